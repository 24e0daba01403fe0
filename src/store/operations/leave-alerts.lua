-- Lets another replica tell people of problems at once.
--
-- KEYS  1 alerts (hash)
-- ARGV  1 replica
if redis.call('TYPE', KEYS[1]).ok == 'hash' and redis.call('HGET', KEYS[1], 'teller') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'teller', 'teller_until')
end
