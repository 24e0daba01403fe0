-- Hands a single-use value to one caller: it disappears from the mirror as it is given out.
-- The mirror decides, because a service may take a code by GETDEL on it.
-- If the answer is lost on its way, the value is lost with it; a new one is minted then.
--
-- KEYS  1 record   2 mirror (string)
-- a     min_life_ms: what the value must have left to be worth giving
--       only: this very value and no other, because it was used elsewhere
-- Returns {value, expires_at, seq, obtained_at, now} or nil when there is nothing to give
local r = read('value', 'expires_at', 'seq', 'obtained_at', 'taken_at')
if not r.value or r.taken_at or tonumber(r.expires_at) <= now + a.min_life_ms then
  return nil
end
if (a.only and a.only ~= r.value) or redis.pcall('GET', KEYS[2]) ~= r.value then
  return nil
end
redis.call('DEL', KEYS[2])
write({ taken_at = now })
return { r.value, tonumber(r.expires_at), tonumber(r.seq), tonumber(r.obtained_at), now }
