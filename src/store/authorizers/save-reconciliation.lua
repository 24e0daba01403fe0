-- Writes down a step of a comparison with WeChat's list, and holds on to the lease for the next one.
-- Only the holder writes: another one may have gone on long since.
--
-- KEYS  1 its state (hash)   2 the appids that it has seen (set)   3 lease (string)
-- a     owner, lease_ms, run: JSON of the state   fresh: forget who was seen   seen: appids to add
--       seen_ms: for how long they are kept
-- Returns 1, or 0 when somebody else has the lease
if redis.call('GET', KEYS[3]) ~= a.owner then
  return 0
end
redis.call('PEXPIRE', KEYS[3], a.lease_ms)
-- Spoiled by hand: none of it is worth more than another run.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
  redis.call('DEL', KEYS[1])
end
if a.fresh or redis.call('TYPE', KEYS[2]).ok ~= 'set' then
  redis.call('DEL', KEYS[2])
end
write({ run = a.run })
if a.seen and #a.seen > 0 then
  redis.call('SADD', KEYS[2], unpack(a.seen))
  redis.call('PEXPIRE', KEYS[2], a.seen_ms)
end
return 1
