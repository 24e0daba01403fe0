-- Hands a single-use value to one caller: it disappears from the mirror as it is given out.
-- The mirror decides, because a service may take a code by GETDEL on it.
-- If the answer is lost on its way, the value is lost with it; a new one is minted then.
--
-- KEYS  1 record (hash)   2 mirror (string)
-- ARGV  1 now ms   2 ms that the value must outlive
-- Returns {value, expires_at, seq, obtained_at} or nil when there is nothing to give
local field = redis.call('HMGET', KEYS[1], 'value', 'expires_at', 'seq', 'obtained_at', 'taken_at')
if not field[1] or field[5] or tonumber(field[2]) <= tonumber(ARGV[2]) then
  return nil
end
if redis.call('GET', KEYS[2]) ~= field[1] then
  return nil
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'taken_at', ARGV[1])
return { field[1], field[2], field[3], field[4] }
