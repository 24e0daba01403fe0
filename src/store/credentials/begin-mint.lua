-- Takes the right to mint: the lock of one record, for a limited time.
-- The caller has judged the record at `judged_seq`; if somebody refreshed it since, that judgement is
-- void and this refuses, so the second look at the record happens here, under the lock.
-- The record's `clock` counts begins, commits and doubts: a mint lives in the interval between its own
-- begin and commit, and only intervals that do not overlap have a known order.
-- Asking again with the same operation id gives the same answer.
--
-- KEYS  1 record
-- a     operation, judged_seq, lease_ms, intent_ms, quarantine_ms, settle_ms, longest_backoff_ms,
--       ignore_backoff, needed: no live value will be left soon, or there is none
--       max_mints, max_spare_mints: at once, and again in half a life, with and without need
--       half_life_ms: if unknown yet
--       daily_calls: what WeChat allows, 0 if unknown
-- Returns {'granted', begin, epoch}, {'changed', seq}, or what to wait for, with the moment in ms:
--         {'locked' | 'unresolved' | 'quarantined' | 'settling' | 'backoff', until}
--         {'throttled', until, 1 when that is news}
local r = read('seq', 'lock_op', 'lock_until', 'lock_begin', 'lock_epoch', 'epoch', 'quarantine_until',
  'settle_at', 'retry_at', 'half_life_ms', 'budget_at', 'budget_level', 'spare_at',
  'spare_level', 'throttled', 'day', 'day_calls')

if r.lock_op == a.operation and r.lock_epoch == epoch then
  return { 'granted', tonumber(r.lock_begin), epoch }
end

-- The last writes may be gone, a lock or a commit among them. Whoever held a lock then can still be
-- calling WeChat, so nobody begins until that is over; and nobody knows which value was the last.
if r.epoch and r.epoch ~= epoch then
  release()
  doubt(0)
  write({ epoch = epoch, quarantine_until = now + a.quarantine_ms })
  return { 'quarantined', now + a.quarantine_ms }
end
if ahead(r.quarantine_until, a.quarantine_ms) then
  return { 'quarantined', tonumber(r.quarantine_until) }
end

if r.lock_op and ahead(r.lock_until, a.lease_ms) then
  return { 'locked', tonumber(r.lock_until) }
end
if tonumber(r.seq or 0) ~= a.judged_seq then
  return { 'changed', tonumber(r.seq or 0) }
end
if ahead(r.settle_at, a.settle_ms) then
  return { 'settling', tonumber(r.settle_at) }
end
if not a.ignore_backoff and ahead(r.retry_at, a.longest_backoff_ms) then
  return { 'backoff', tonumber(r.retry_at) }
end

-- Somebody's lock ended without a word: dead, or paused and still to speak. Waiting until it can no
-- longer be under way saves a mint, so it is not waited for when time is short.
local open = intents()
for operation, over_at in pairs(open) do
  if ahead(over_at, a.intent_ms) then
    if not a.needed then
      return { 'unresolved', over_at }
    end
  else
    open[operation] = nil
    save_intents(open)
    doubt(0)
  end
end

local function throttled(until_ms)
  write({ throttled = 1 })
  return { 'throttled', until_ms, r.throttled and 0 or 1 }
end

-- The storm guard: buckets that drain at a steady rate, so that after a storm there is a try every
-- other minute and not none for an hour. One holds all mints, the other those that are not needed.
-- Nothing gets past them. Levels are kept in thousandths.
local half_life = tonumber(r.half_life_ms or a.half_life_ms)
local function pour(at, level, most)
  local drain_ms = half_life / most
  local drained = math.max(0, now - tonumber(at or 0)) / drain_ms
  level = math.max(0, tonumber(level or 0) / 1000 - drained) + 1
  return level, level > most + 0.001 and math.ceil((level - most) * drain_ms) or nil
end
local level, wait_ms = pour(r.budget_at, r.budget_level, a.max_mints)
local spare_level
if not a.needed then
  local spare_wait_ms
  spare_level, spare_wait_ms = pour(r.spare_at, r.spare_level, a.max_spare_mints)
  wait_ms = math.max(wait_ms or 0, spare_wait_ms or 0)
end
if wait_ms and wait_ms > 0 then
  return throttled(now + wait_ms)
end
-- WeChat counts calls by Beijing's day.
local day = math.floor((now + 28800000) / 86400000)
local calls = tonumber(r.day) == day and tonumber(r.day_calls or 0) or 0
if a.daily_calls > 0 and not a.needed and calls >= a.daily_calls * 0.9 then
  return throttled((day + 1) * 86400000 - 28800000)
end

local begin = tick()
open[a.operation] = now + a.intent_ms
save_intents(open)
write({
  lock_op = a.operation, lock_until = now + a.lease_ms, lock_begin = begin, lock_epoch = epoch,
  epoch = epoch, budget_at = now, budget_level = math.floor(level * 1000),
  day = day, day_calls = calls + 1, schema = 2,
})
redis.call('HDEL', KEYS[1], 'throttled', 'lock_spare')
if spare_level then
  write({ spare_at = now, spare_level = math.floor(spare_level * 1000), lock_spare = 1 })
end
return { 'granted', begin, epoch }
