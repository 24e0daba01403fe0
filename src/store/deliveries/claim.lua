-- Hands out deliveries that are due, each to one caller for a while: fresh ones first, but one in five is
-- one that was tried before, so that neither keeps the other waiting for ever. A target that does not
-- answer is left alone for growing pauses, and then tried with one delivery at a time.
--
-- KEYS  for each target: 1 fresh   2 again   3 leased   4 replying (sorted sets)   5 attempts
--       6 target (hashes)
-- ARGV  1 now ms, or '' for Redis's clock   2 ms until a lease ends   3 ms for which keys are kept
--       4 ms that a target is left alone at the most   5 ms between two attempts at the most
--       then for each target: how many at most   how many of all callers together   how many a second
-- Returns for each target {ms until more may be had, -1 when nothing waits, id, attempt, ...}
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local lease_ends = string.format('%.0f', now + ARGV[2])
local RETURNED_AT_ONCE, EACH = 100, 5
-- Full after so much of a second: what a target gets at once after a pause, beside what it may have.
local BURST = 0.25

local function due(at, most)
  return redis.call('ZRANGEBYSCORE', KEYS[at], '-inf', now, 'LIMIT', 0, most)
end

-- Further ahead than anything is put, which is what a clock was set back by.
local function impossible(at, ahead)
  local from = string.format('(%.0f', now + ahead)
  return redis.call('ZRANGEBYSCORE', KEYS[at], from, '+inf', 'LIMIT', 0, RETURNED_AT_ONCE)
end

-- pcall, here and below: what somebody has spoiled is made anew.
local function first_at(at)
  local first = redis.pcall('ZRANGE', KEYS[at], 0, 0, 'WITHSCORES')
  if not first.err then return tonumber(first[2]) end
  redis.call('DEL', KEYS[at])
end

local function next_attempt(at, id)
  local attempt = redis.pcall('HINCRBY', KEYS[at], id, 1)
  if type(attempt) == 'table' then
    redis.call('DEL', KEYS[at])
    attempt = redis.call('HINCRBY', KEYS[at], id, 1)
  end
  redis.call('PEXPIRE', KEYS[at], ARGV[3])
  return attempt
end

-- How many may be had now, ms until the next when that is none, and what is left of this second and whose
-- turn it is; nothing where a person must act first.
local function allowed(at, want, most, rate)
  local state = redis.pcall('HMGET', KEYS[at + 6], 'stopped_at', 'open_until', 'paced_at', 'pace_left', 'turn')
  if state.err then
    redis.call('DEL', KEYS[at + 6])
    state = {}
  end
  if state[1] then return end
  local leased = redis.call('ZCARD', KEYS[at + 3])
  local free = most - leased
  local open_until = tonumber(state[2] or '')
  if open_until then
    local wait = open_until - now
    if wait > 0 and wait <= tonumber(ARGV[4]) then return 0, wait end
    free = 1 - leased
  end
  local full = math.max(1, rate * BURST)
  local paced_at, left = tonumber(state[3] or '') or 0, tonumber(state[4] or '') or full
  left = now < paced_at and full or math.min(full, left + (now - paced_at) * rate / 1000)
  free = math.min(want, free)
  if free > 0 and left < 1 then return 0, math.ceil((1 - left) * 1000 / rate) end
  return math.max(0, math.min(free, math.floor(left))), nil, left, tonumber(state[5] or '') or 0
end

local function take(at, free, left, turn, claimed)
  -- What is fresh is due, whatever the clock says by now.
  local fresh, again = redis.call('ZRANGE', KEYS[at + 1], 0, free - 1), due(at + 2, free)
  local f, a, taken = 1, 1, 0
  while taken < free and (fresh[f] or again[a]) do
    turn = turn + 1
    local from, id = at + 1, fresh[f]
    if not id or again[a] and turn % EACH == 0 then
      from, id, a = at + 2, again[a], a + 1
    else
      f = f + 1
    end
    redis.call('ZREM', KEYS[from], id)
    put(at + 3, lease_ends, id, ARGV[3])
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = next_attempt(at + 5, id)
    taken = taken + 1
  end
  if taken == 0 then return end
  redis.call('HSET', KEYS[at + 6], 'turn', turn % 1000,
    'paced_at', string.format('%.0f', now), 'pace_left', tostring(left - taken))
end

local function claim(at, want, most, rate)
  local waits = false
  for set = 1, 4 do
    if first_at(at + set) then waits = true end
  end
  if not waits then return { -1 } end
  for set = 3, 4 do
    for _, id in ipairs(due(at + set, RETURNED_AT_ONCE)) do
      -- Whoever had it has died, or hangs.
      redis.call('ZREM', KEYS[at + set], id)
      put(at + 2, now, id, ARGV[3])
    end
    for _, id in ipairs(impossible(at + set, 2 * ARGV[2])) do
      redis.call('ZADD', KEYS[at + set], lease_ends, id)
    end
  end
  for _, id in ipairs(impossible(at + 2, tonumber(ARGV[5]))) do
    redis.call('ZADD', KEYS[at + 2], string.format('%.0f', now), id)
  end
  local free, wait, left, turn = allowed(at, want, most, rate)
  local claimed = { -1 }
  -- Whoever resumes it lets others know.
  if not free then return claimed end
  if free > 0 then take(at, free, left, turn, claimed) end
  -- The earliest of what waits. Who can take none hears of it when his own have ended.
  for set = want > 0 and 1 or 3, 4 do
    local score = first_at(at + set)
    local ms = score and math.max(1, score - now)
    if ms and (claimed[1] < 0 or ms < claimed[1]) then claimed[1] = math.ceil(ms) end
  end
  if wait and claimed[1] > 0 then claimed[1] = math.max(claimed[1], math.ceil(wait)) end
  return claimed
end

local all = {}
for i = 1, #KEYS / 6 do
  local arg = 3 * i + 3
  all[i] = claim(6 * (i - 1), tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]))
end
return all
