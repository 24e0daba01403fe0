-- Takes a component_verify_ticket in, once, and never lets an older one replace a newer one.
-- "Seen" is marked last and in the same step as the effect: a crash or an error between the two
-- would turn WeChat's re-sent push into a loss.
--
-- KEYS  1 seen marker   2 ticket record (hash)   3 ticket mirror (string)   4 event stream
--       5 arrivals (list of moments, for people)
-- ARGV  1 ticket   2 create_time ms (what tickets are ordered by)   3 received_at ms
--       4 ms until the ticket dies   5 ms to remember the push   6 stream length   7 event fields JSON
--       8 the latest create_time that can be, ms: one further ahead was written by a clock that is wrong
--       9 how many arrivals are kept
-- Returns 'stored', 'older' (a newer or the same one is already there) or 'duplicate'
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'duplicate'
end

local current = redis.call('HMGET', KEYS[2], 'ticket', 'create_time')
local outcome = 'older'
local known = tonumber(current[2] or '') or 0
if known < tonumber(ARGV[2]) or known > tonumber(ARGV[8]) then
  outcome = 'stored'
  if current[1] then
    redis.call('HSET', KEYS[2], 'previous_ticket', current[1], 'previous_create_time', current[2])
  end
  redis.call('HSET', KEYS[2], 'ticket', ARGV[1], 'create_time', ARGV[2], 'received_at', ARGV[3])
  redis.call('HINCRBY', KEYS[2], 'count', 1)
  -- The new one is good until WeChat says otherwise, and the silence is over.
  redis.call('HDEL', KEYS[2], 'refused', 'refused_at', 'stage')
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4])
  local event = { 'XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*' }
  for _, field in ipairs(cjson.decode(ARGV[7])) do
    event[#event + 1] = field
  end
  redis.call(unpack(event))
  -- pcall: what only people look at must not cost a ticket when somebody has spoiled it.
  redis.pcall('LPUSH', KEYS[5], ARGV[3])
  redis.pcall('LTRIM', KEYS[5], 0, tonumber(ARGV[9]) - 1)
end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[5])
return outcome
