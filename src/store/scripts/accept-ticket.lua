-- Takes a component_verify_ticket in, once. This script alone says which ticket is the newest: the one
-- with the later CreateTime, and of two with the same the one that came later. One that was replaced
-- comes back only under a later CreateTime; the newest that comes again lives longer, and replaces
-- nobody.
-- "Seen" is marked last and in the same step as the effect: a crash or an error between the two
-- would turn WeChat's re-sent push into a loss. For the same reason what can fail comes first, which is
-- the event where somebody has put something else under the key of the stream: nothing is undone then.
--
-- KEYS  1 seen marker   2 ticket record (hash)   3 ticket mirror (string)   4 event stream
--       5 arrivals (list of moments, for people)
-- ARGV  1 ticket   2 create_time ms (what tickets are ordered by)   3 received_at ms
--       4 ms until the ticket dies   5 ms to remember the push   6 stream length   7 event fields JSON
--       8 the latest create_time that can be, ms: one further ahead was written by a clock that is wrong
--       9 how many arrivals are kept   10 ms between two arrivals of one ticket that people want to see
-- Returns 'stored', 'duplicate' (the same push, or the same ticket) or 'older' (a newer one is there)
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'duplicate'
end

local ticket, create_time = ARGV[1], tonumber(ARGV[2])
-- replaced: hashes of the tickets of this very create_time that gave way to one another
local r = redis.call('HMGET', KEYS[2], 'ticket', 'create_time', 'previous_ticket', 'replaced', 'count')
local newest, known, replaced = r[1], tonumber(r[2] or '') or 0, r[4] or ''
local later = create_time > known or known > tonumber(ARGV[8])
local same_time = create_time == known and not later
local gave_way = same_time
  and (ticket == r[3] or string.find(replaced, redis.sha1hex(ticket), 1, true))

local outcome = 'older'
if ticket == newest or gave_way then
  outcome = 'duplicate'
elseif later or same_time then
  outcome = 'stored'
end

if outcome == 'stored' then
  local event = { 'XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*' }
  for _, field in ipairs(cjson.decode(ARGV[7])) do
    event[#event + 1] = field
  end
  redis.call(unpack(event))
  if newest then
    redis.call('HSET', KEYS[2], 'previous_ticket', newest, 'previous_create_time', r[2] or 0)
  end
  local count = string.format('%.0f', (tonumber(r[5] or '') or 0) + 1)
  redis.call('HSET', KEYS[2], 'ticket', ticket, 'count', count)
end
if outcome == 'stored' or ticket == newest and later then
  redis.call('HSET', KEYS[2], 'create_time', ARGV[2], 'received_at', ARGV[3])
  if same_time and newest then
    redis.call('HSET', KEYS[2], 'replaced', replaced .. redis.sha1hex(newest) .. ' ')
  else
    redis.call('HDEL', KEYS[2], 'replaced')
  end
  -- It is good until WeChat says otherwise, and the silence is over.
  redis.call('HDEL', KEYS[2], 'refused', 'refused_at', 'stage')
  redis.call('SET', KEYS[3], ticket, 'PX', ARGV[4])
  -- pcall: what only people look at must not cost a ticket when somebody has spoiled it.
  local last = redis.pcall('LINDEX', KEYS[5], 0)
  last = type(last) == 'string' and tonumber(last) or 0
  if outcome == 'stored' or tonumber(ARGV[3]) - last >= tonumber(ARGV[10]) then
    redis.pcall('LPUSH', KEYS[5], ARGV[3])
    redis.pcall('LTRIM', KEYS[5], 0, tonumber(ARGV[9]) - 1)
  end
end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[5])
return outcome
