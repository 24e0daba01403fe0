-- Lets a push go that was held back, into the queues of its targets.
--
-- KEYS  1 held pushes (sorted set)   then the queues of fresh deliveries (sorted sets)
-- ARGV  1 id   2 the moment at which it came, ms   3 ms for which keys are kept
-- Returns 1, or 0 when it was let go before
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
for i = 2, #KEYS do
  put(i, ARGV[2], ARGV[1], ARGV[3])
end
return 1
