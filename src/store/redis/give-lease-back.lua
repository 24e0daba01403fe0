-- Ends a lease, if it is still the caller's.
--
-- KEYS  1 lease (string)
-- ARGV  1 owner
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
