-- Notes that an account has authorized by a start link; for each account the newest time is kept.
--
-- KEYS  1 link (hash: `link` and one field for each account)
-- ARGV  1 what the link says, as JSON   2 account   3 authorized at, epoch ms   4 ms to remember it for
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[2]))
redis.call('HSETNX', KEYS[1], 'link', ARGV[1])
if not known or known < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
