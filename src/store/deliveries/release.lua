-- Lets a push go that was held back, into the queues of its targets.
--
-- KEYS  1 held pushes (sorted set)   then the queues of fresh deliveries (sorted sets)
-- ARGV  1 id   2 the moment at which it came, ms   3 ms for which keys are kept
-- Returns 1, or 0 when it was let go before
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
for i = 2, #KEYS do
  -- pcall: a queue that somebody has spoiled is made anew.
  if type(redis.pcall('ZADD', KEYS[i], ARGV[2], ARGV[1])) == 'table' then
    redis.call('DEL', KEYS[i])
    redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
  end
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return 1
