-- Makes one replica the one that tells people of problems, or keeps it the one. All are handed what was
-- told so far: whoever is the next one must know it even if Redis loses it.
--
-- KEYS  1 alerts (hash): `teller`, `teller_until`, `kept`, and what `save-alerts` writes
-- ARGV  1 replica   2 ms   3 now in ms, or '' for Redis's clock
-- Returns {'other' while another replica is the one | 'mine' | 'lost': mine, and Redis has lost what
-- was written, field, text, ...}
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Spoiled by hand: what is wrong is told once more.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
  redis.call('DEL', KEYS[1])
end
local teller = redis.call('HMGET', KEYS[1], 'teller', 'teller_until')
-- A clock that was set back must not silence everybody.
local ends = math.min(tonumber(teller[2] or 0) or 0, now + ARGV[2])
if teller[1] and teller[1] ~= ARGV[1] and now < ends then
  local known = redis.call('HGETALL', KEYS[1])
  table.insert(known, 1, 'other')
  return known
end
local kept = redis.call('HEXISTS', KEYS[1], 'kept') == 1
redis.call('HSET', KEYS[1], 'teller', ARGV[1], 'kept', '1',
  'teller_until', string.format('%.0f', now + ARGV[2]))
local known = redis.call('HGETALL', KEYS[1])
table.insert(known, 1, kept and 'mine' or 'lost')
return known
