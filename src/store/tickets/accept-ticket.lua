-- Takes tickets (component_verify_ticket) of one component in, each once. This script alone says which
-- is the newest: the one with the later CreateTime, and of two with the same the one that came later.
-- One that was replaced comes back only under a later CreateTime; the newest that comes again lives
-- longer, and replaces nobody.
-- "Seen" is marked last and in the same step as the effect: a crash or an error between the two
-- would turn WeChat's re-sent push into a loss. For the same reason what can fail comes first, which is
-- the event where somebody has put something else under the key of the stream: nothing is undone then.
--
-- KEYS  1 event stream   2 counters (hash)   3 ticket record (hash)   4 ticket mirror (string)
--       5 arrivals (list of moments, for people)   then the seen marker of each push and the keys of its
--       deliveries
-- ARGV  1 stream length
--       2 the latest create_time that can be, ms: one further ahead was written by a clock that is wrong
--       3 how many arrivals are kept   4 ms between two arrivals of one ticket that people want to see
--       then each push: ticket   create_time ms (what tickets are ordered by)   received_at ms
--       ms until the ticket dies   ms to remember the push   what `push.lua` says
-- Returns for each 'stored', 'duplicate' (the same push, or the same ticket) or 'older' (a newer one is
-- there)
-- Tickets of one moment that are remembered: WeChat sends one or two.
local MOST_REPLACED = 100
local latest, arrivals_kept, arrivals_apart = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

-- pcall: what only people look at must not cost a ticket when somebody has spoiled it.
local function note_arrival(received_at, is_new)
  if not is_new then
    local last = redis.pcall('LINDEX', KEYS[5], 0)
    last = type(last) == 'string' and tonumber(last) or 0
    if tonumber(received_at) - last < arrivals_apart then return end
  end
  local kept = redis.pcall('LPUSH', KEYS[5], received_at)
  if type(kept) == 'number' and kept > arrivals_kept then
    redis.pcall('LTRIM', KEYS[5], 0, arrivals_kept - 1)
  end
end

-- `marker`: where the seen marker of this push stands in KEYS
local function accept(marker, arrived, push)
  if redis.call('EXISTS', KEYS[marker]) == 1 then return 'duplicate' end
  local ticket, create_time = arrived.ticket, tonumber(arrived.create_time)
  -- replaced: hashes of the tickets of this very create_time that gave way to one another
  local r = redis.call('HMGET', KEYS[3], 'ticket', 'create_time', 'previous_ticket', 'replaced', 'count',
    'refused', 'refused_at', 'stage')
  local newest, known, replaced = r[1], tonumber(r[2] or '') or 0, r[4] or ''
  local later = create_time > known or known > latest
  local same_time = create_time == known and not later
  local gave_way = same_time
    and (ticket == r[3] or string.find(replaced, redis.sha1hex(ticket), 1, true))

  local outcome = 'older'
  if ticket == newest or gave_way then
    outcome = 'duplicate'
  elseif later or same_time then
    outcome = 'stored'
  end

  if outcome == 'stored' or ticket == newest and later then
    local set = { 'create_time', arrived.create_time, 'received_at', arrived.received_at }
    local function add(name, value) set[#set + 1], set[#set + 2] = name, value end
    if outcome == 'stored' then
      add_event(push, marker)
      add('ticket', ticket)
      add('count', string.format('%.0f', (tonumber(r[5] or '') or 0) + 1))
      if newest then
        add('previous_ticket', newest)
        add('previous_create_time', r[2] or 0)
      end
    end
    local among_equals = same_time and newest
    if among_equals then
      add('replaced', string.sub(replaced .. redis.sha1hex(newest) .. ' ', -MOST_REPLACED * 41))
    elseif r[4] then
      redis.call('HDEL', KEYS[3], 'replaced')
    end
    redis.call('HSET', KEYS[3], unpack(set))
    -- It is good until WeChat says otherwise, and the silence is over.
    if r[6] or r[7] or r[8] then
      redis.call('HDEL', KEYS[3], 'refused', 'refused_at', 'stage')
    end
    redis.call('SET', KEYS[4], ticket, 'PX', arrived.life)
    note_arrival(arrived.received_at, outcome == 'stored')
  end
  redis.call('SET', KEYS[marker], '1', 'PX', arrived.remember)
  return outcome
end

local results, before = {}, 5
for i, texts in ipairs(decode_pushes(5)) do
  local arrived = {
    ticket = texts[1], create_time = texts[2], received_at = texts[3],
    life = texts[4], remember = texts[5],
  }
  local push = read_push(texts, 5)
  local outcome = accept(before + 1, arrived, push)
  before = before + 1 + delivery_keys(push)
  count(push, outcome)
  results[i] = outcome
end
write_counts()
return results
