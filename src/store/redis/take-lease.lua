-- Takes a piece of work, or holds on to it: nobody else does it for a while.
--
-- KEYS  1 lease (string)
-- ARGV  1 owner   2 ms
-- Returns 1, or 0 when somebody else has it
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
