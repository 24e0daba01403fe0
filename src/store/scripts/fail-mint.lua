-- Gives the lock back after a mint that brought nothing. The record's value is not touched.
-- Doubt is noted whoever holds the lock by now; everything else only the holder may write.
--
-- KEYS  1 record (hash)
-- ARGV  1 operation id   2 now ms   3 error JSON   4 next try at ms
--       5 '1' when WeChat may have minted all the same
-- Returns the number of failures in a row, or -1 when the lock was no longer ours
if ARGV[5] == '1' then
  redis.call('HSET', KEYS[1], 'suspect', redis.call('HINCRBY', KEYS[1], 'clock', 1))
end
if redis.call('HGET', KEYS[1], 'lock_op') ~= ARGV[1] then
  return -1
end
redis.call('HDEL', KEYS[1], 'lock_op', 'lock_until', 'lock_begin')
redis.call('HSET', KEYS[1], 'last_error', ARGV[3], 'last_error_at', ARGV[2], 'retry_at', ARGV[4])
return redis.call('HINCRBY', KEYS[1], 'failures', 1)
