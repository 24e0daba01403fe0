-- Ends one attempt of a delivery.
--
-- KEYS  1 again   2 the lease   3 dead   4 fresh (sorted sets)   5 attempts   6 target
--       7 what is kept of the push (hashes)   8 the reply to the user (string)
-- ARGV  1 id   2 attempt   3 'delivered', 'again', 'dead', 'stop' (the target wants no more) or 'released' (it
--       was not tried)   4 now ms   5 when to try again, epoch ms   6 what people read of this attempt
--       7 the name of its field   8 '1' when the target was asked, '' when not
--       9 failures in a row from which the target is left alone   10 ms for which at first
--       11 ms at the most   12 ms for which the target wants to be left alone, or ''
--       13 ms to keep what is kept for people when it went well at once   14 when it did not
--       15 the reply to the user, for WeChat's repeats, or ''   16 ms for which keys are kept
--       17 when the attempt began, epoch ms   18 'told' when the user got what the target said, 'late',
--       'failed' or 'malformed' when he got nothing, or ''   19 ms for which the reply is kept
-- Returns 'done', or 'not_ours' when another attempt has begun meanwhile
local id, attempt, outcome, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

-- pcall, everywhere: what somebody has spoiled is made anew, and must not cost a delivery that is out of
-- its queue by then.
local function remove(at)
  local removed = redis.pcall('ZREM', KEYS[at], id)
  if type(removed) == 'number' then return removed end
  redis.call('DEL', KEYS[at])
  return 0
end
local function note(...)
  if type(redis.pcall('HSET', KEYS[6], ...)) == 'table' then redis.call('DEL', KEYS[6]) end
end
local function add(field, n)
  local sum = redis.pcall('HINCRBY', KEYS[6], field, n)
  return type(sum) == 'number' and sum or 1
end

-- Asked again, since the answer was lost.
if redis.pcall('HGET', KEYS[7], ARGV[7]) == ARGV[6] then return 'done' end
local known = redis.pcall('HGET', KEYS[5], id)
if type(known) == 'table' then redis.call('DEL', KEYS[5]) end
if type(known) ~= 'table' and (known or '0') ~= attempt then return 'not_ours' end
-- A lease that has ended, and was given to nobody since, was ours all the same; and so is one that went
-- with a spoiled queue, while no other attempt is known.
if remove(2) + remove(1) == 0 and known ~= attempt then return 'not_ours' end

local kept = redis.pcall('HGET', KEYS[7], 'size')
if type(kept) == 'table' then
  redis.call('DEL', KEYS[7])
  kept = false
end
if kept then
  if outcome ~= 'released' then redis.call('HSET', KEYS[7], ARGV[7], ARGV[6]) end
end
if ARGV[15] ~= '' then redis.call('SET', KEYS[8], ARGV[15], 'PX', ARGV[19]) end

if ARGV[18] == 'told' then
  redis.pcall('HDEL', KEYS[6], 'reply_misses', 'reply_missed', 'reply_missed_at', 'reply_missing_since')
elseif ARGV[18] ~= '' then
  note('reply_missed', ARGV[18], 'reply_missed_at', ARGV[4])
  if add('reply_misses', 1) == 1 then note('reply_missing_since', ARGV[4]) end
end

local went_well = outcome == 'delivered'
if went_well then
  redis.call('HDEL', KEYS[5], id)
  add('bytes', -(tonumber(kept or '') or 0))
  if kept and redis.call('HINCRBY', KEYS[7], 'open', -1) <= 0 then
    redis.call('HDEL', KEYS[7], 'body', 'message', 'json', 'query')
    redis.call('PEXPIRE', KEYS[7], tonumber(attempt) <= 1 and ARGV[13] or ARGV[14])
  end
elseif outcome == 'dead' then
  redis.pcall('HDEL', KEYS[5], id)
  put(3, ARGV[4], id, ARGV[16])
  redis.call('PEXPIRE', KEYS[7], ARGV[16])
elseif outcome == 'released' then
  put(4, ARGV[4], id, ARGV[16])
else
  put(1, ARGV[5], id, ARGV[16])
end
if ARGV[8] == '' then
  if outcome == 'dead' then add('given_up', 1) end
  return 'done'
end

note('answered_at', ARGV[4], 'answered', ARGV[6])
if went_well then
  add('delivered', 1)
  note('delivered_at', ARGV[4])
  redis.pcall('HDEL', KEYS[6], 'failures', 'failing_since', 'failed_at', 'open_until')
  return 'done'
end
add(outcome == 'dead' and 'given_up' or 'failed', 1)
if outcome == 'stop' then note('stopped_at', ARGV[4]) end
local state = redis.pcall('HMGET', KEYS[6], 'open_until', 'failed_at')
local open_until, failed_at = tonumber(state[1] or '') or 0, tonumber(state[2] or '') or 0
local pause, most = tonumber(ARGV[12] or '') or 0, tonumber(ARGV[9])
-- Those that were under way together are one failure: a restart is no outage.
if tonumber(ARGV[17]) >= failed_at then
  note('failed_at', ARGV[4])
  local failures = add('failures', 1)
  if failures == 1 then note('failing_since', ARGV[4]) end
  if failures >= most then
    local grown = ARGV[10] * 2 ^ math.min(failures - most, 20)
    pause = math.max(pause, math.min(tonumber(ARGV[11]), grown))
  end
end
if pause > 0 and now + pause > open_until then note('open_until', string.format('%.0f', now + pause)) end
return 'done'
