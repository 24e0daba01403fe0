-- Notes that WeChat refuses a ticket. The one before it gets its turn once, if there is one.
--
-- KEYS  1 ticket record (hash)
-- ARGV  1 the refused ticket   2 now ms
-- Returns 1 when another ticket is left to try, or 0
local r = redis.call('HMGET', KEYS[1], 'ticket', 'previous_ticket', 'refused')
if ARGV[1] == r[1] and r[3] ~= 'both' then
  redis.call('HSET', KEYS[1], 'refused', 'newest', 'refused_at', ARGV[2])
  return r[2] and r[2] ~= r[1] and 1 or 0
end
if ARGV[1] == r[2] and r[3] then
  redis.call('HSET', KEYS[1], 'refused', 'both', 'refused_at', ARGV[2])
  return 0
end
-- A newer one has arrived meanwhile.
return 1
