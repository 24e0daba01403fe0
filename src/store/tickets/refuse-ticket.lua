-- Notes that WeChat refuses a ticket. The one before it gets its turn once, if there is one, and then the
-- newest its second chance: a refusal may pass.
--
-- KEYS  1 ticket record (hash)
-- ARGV  1 the refused ticket   2 now ms
-- Returns 'previous' or 'again' for what is left to try, 'none', or 'newer' when another one has arrived
local r = redis.call('HMGET', KEYS[1], 'ticket', 'previous_ticket', 'refused', 'refused_again')
if ARGV[1] == r[1] then
  if r[3] then
    redis.call('HSET', KEYS[1], 'refused_again', r[1], 'refused_at', ARGV[2])
    return 'none'
  end
  redis.call('HSET', KEYS[1], 'refused', 'newest', 'refused_at', ARGV[2])
  return r[2] and r[2] ~= r[1] and 'previous' or 'again'
end
if ARGV[1] == r[2] and r[3] then
  redis.call('HSET', KEYS[1], 'refused', 'both', 'refused_at', ARGV[2])
  return r[4] == r[1] and 'none' or 'again'
end
return 'newer'
