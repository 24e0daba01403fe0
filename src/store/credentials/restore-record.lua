-- Writes a record back from a replica's memory when Redis has lost it: a key deleted or edited by
-- hand, a restart without data, a failover that lost the last writes.
--
-- KEYS  1 record   2 mirror (string)
-- a     the remembered value (may be none), value_since, expires_at, obtained_at, seq, clock, committed,
--       committed_op, committed_epoch, reason, replica, half_life_ms
--       authorizers only: refresh_token, authorized_at, revoked_at, revoked_by, reauthorize_at,
--       auth_epoch
--       quarantine_ms: given when the value is so old that nobody need doubt it; who was calling for another
--       one when Redis lost its memory may still be at it
-- Returns 'restored', 'mirror' when only that was missing, 'renumbered' when Redis has a newer value
--         under a seq that was given out before, or 'kept' when Redis knows better
local r = read('value', 'expires_at', 'obtained_at', 'seq', 'clock', 'committed_op',
  'committed_epoch', 'epoch', 'auth_epoch', 'authorized_at', 'revoked_at', 'refresh_token')

local outcome

-- Authorizations and revocations are ordered by WeChat's time, whatever was lost in between.
local function decided_at(x)
  return math.max(tonumber(x.authorized_at or 0), tonumber(x.revoked_at or 0))
end
if decided_at(r) > decided_at(a) or (r.revoked_at and decided_at(r) == decided_at(a)) then
  return 'kept'
end
local lost_authorization = decided_at(r) < decided_at(a)
if lost_authorization or (a.refresh_token and not r.refresh_token) then
  outcome = 'restored'
  -- They were about the authorization before.
  if lost_authorization then
    redis.call('HDEL', KEYS[1], 'revoked_at', 'revoked_by', 'reauthorize_at')
  end
  write({
    refresh_token = a.refresh_token, authorized_at = a.authorized_at, revoked_at = a.revoked_at,
    revoked_by = a.revoked_by,
    reauthorize_at = a.reauthorize_at, auth_epoch = a.auth_epoch, epoch = r.epoch or epoch, schema = 2,
  })
end
if lost_authorization and r.value then
  redis.call('HDEL', KEYS[1], 'value', 'expires_at')
  redis.call('DEL', KEYS[2])
  r.value = nil
end
if a.revoked_at then
  redis.call('HDEL', KEYS[1], 'refresh_token')
end
if a.revoked_at or not a.value then
  return outcome or 'kept'
end

local seq, clock = tonumber(r.seq or 0), math.max(a.clock, tonumber(r.clock or 0))
local same = r.committed_op == a.committed_op
-- The record was lost, and whoever minted then remembered nothing: that value is newer than the lost
-- one, whatever its seq says. Mints under way began under the former count, so their order is unknown.
local after_loss = (r.committed_epoch == epoch and a.committed_epoch ~= epoch)
  or tonumber(r.obtained_at or 0) > a.obtained_at
if r.value and r.value ~= a.value and not same and seq <= a.seq and after_loss then
  write({ seq = a.seq + 1, clock = clock, committed = clock })
  return 'renumbered'
end

local missing = not r.value
if missing and a.quarantine_ms and not r.epoch then
  write({ quarantine_until = now + a.quarantine_ms })
  r.epoch = epoch
end
local older = r.value and seq < a.seq
-- A commit writes its value once: the same commit with another value was edited by hand.
local edited = r.value and same and (r.value ~= a.value or tonumber(r.expires_at or 0) ~= a.expires_at)
if missing or older or edited then
  outcome = 'restored'
  write({
    value = a.value, value_since = a.value_since, expires_at = a.expires_at,
    obtained_at = a.obtained_at, seq = a.seq, clock = clock, committed = a.committed,
    committed_op = a.committed_op, committed_epoch = a.committed_epoch, reason = a.reason,
    replica = a.replica, half_life_ms = a.half_life_ms, epoch = r.epoch or a.committed_epoch,
    auth_epoch = a.auth_epoch or 0, schema = 2,
  })
elseif r.value ~= a.value or not same then
  return outcome or 'kept'
end

if a.expires_at > now and redis.pcall('GET', KEYS[2]) ~= a.value then
  redis.call('SET', KEYS[2], a.value, 'PX', a.expires_at - now)
  outcome = outcome or 'mirror'
end
return outcome or 'kept'
