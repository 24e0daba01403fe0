-- Reads one record with everything needed to judge it, at one moment.
--
-- KEYS  1 record (hash)   2 mirror (string)
-- Returns {fields and values, mirror or nil, now ms, epoch}
local mirror = redis.pcall('GET', KEYS[2])
return { redis.call('HGETALL', key), type(mirror) == 'string' and mirror or false, now, epoch }
