-- Stores a minted value, gives the lock back and tells everybody, in one step.
-- WeChat keeps the last minted value alive. A mint that began after the stored one was committed is
-- surely newer and is taken. Any other may be older, and after a change of epoch nobody can tell:
-- then the stored value stays while it lives, and a doubt leads to one more mint that settles it.
-- Repeating a commit with the same operation id changes nothing.
--
-- KEYS  1 record   2 mirror (string)   3 history (list)
-- a     operation, begin, epoch: as begin-mint gave them
--       value, life_ms, age_ms: time since the call to WeChat started
--       doubtful: an earlier try of this call may have minted too; settle_ms
--       single_use: one value does not end another, so their order does not matter
--       auth_epoch: of the authorization this was minted under; refresh_token: a new one, if any
--       sent_refresh_token: the stored text that the call was made with
--       reason, replica, kind, subject, channel, history_length
-- Returns {'stored', seq, expires_at ms, the record as it stands then, see `whole` in `record.lua`},
--         {'overlapped' | 'superseded', seq, expires_at ms}
local r = read('seq', 'value', 'value_since', 'expires_at', 'committed_op', 'committed', 'lock_op', 'suspect',
  'auth_epoch', 'refresh_token', 'foreign_since', 'refused_seq', 'refused_at', 'counted_at', 'half_life_ms')
local seq = tonumber(r.seq or 0)

if r.committed_op == a.operation then
  return { 'stored', seq, tonumber(r.expires_at), whole() }
end
drop_intent(a.operation)
if r.lock_op == a.operation then
  release()
end

-- Whatever becomes of the value: WeChat has put this refresh token in the place of the one that the call
-- was made with, and takes that one no more.
if a.refresh_token and r.refresh_token and r.refresh_token == a.sent_refresh_token then
  write({ refresh_token = a.refresh_token })
end

-- Revoked or authorized anew while the call was under way: this value belongs to the past.
if tonumber(r.auth_epoch or 0) ~= (a.auth_epoch or 0) then
  -- But it may have ended the token of the authorization that stands now.
  if r.value then
    doubt(0)
  end
  return { 'superseded', seq, 0 }
end

local newer = a.single_use or (a.begin > tonumber(r.committed or 0) and a.epoch == epoch)
local nothing_live = not r.value or tonumber(r.expires_at) <= now
if not newer and not nothing_live then
  doubt(0)
  return { 'overlapped', seq, tonumber(r.expires_at) }
end

local alive_after_all = r.value == a.value and tonumber(r.refused_seq) == seq
local expires_at
seq, expires_at = store_value(r)
if a.refresh_token then
  write({ refresh_token = a.refresh_token })
end
if not newer then
  doubt(0)
elseif a.doubtful then
  doubt(a.settle_ms)
elseif r.suspect and tonumber(r.suspect) <= a.begin then
  redis.call('HDEL', KEYS[1], 'suspect', 'settle_at')
end
-- A value that WeChat gives again was never ended, whoever called it dead. And after a whole life
-- without a refusal, whoever minted with our secret has stopped.
local blamed_at = tonumber(r.counted_at or r.refused_at) or 0
if alive_after_all or (r.foreign_since and now - blamed_at >= a.life_ms) then
  redis.call('HDEL', KEYS[1], 'foreign_since', 'refusals', 'counted_at')
end

return { 'stored', seq, expires_at, whole() }
