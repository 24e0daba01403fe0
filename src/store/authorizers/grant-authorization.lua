-- Takes in an authorizer's refresh token, from an authorization or from WeChat's list, and the access
-- token that may have come with it.
-- An authorization that is older than what is known, a revocation included, changes nothing, but the
-- token that was issued for it may have ended the stored one.
--
-- KEYS  1 record   2 mirror (string)   3 history (list)
-- a     authorized_at: ms, by which authorizations are ordered
--       refresh_token: absent when none came, which leaves the stored one; never empty
--       unchanged_epoch: the caller saw this very refresh token under this auth_epoch
--       doubtful: an exchange may have issued a token that nobody has; settle_ms
--       with a token: operation, value, life_ms, age_ms, overlap_ms, reason,
--       replica, kind, subject, channel, history_length
-- Returns 'granted', 'known' or 'older'
local r = read('authorized_at', 'revoked_at', 'auth_epoch', 'epoch', 'obtained_at', 'committed_op',
  'seq', 'value', 'value_since', 'half_life_ms')
if a.operation and r.committed_op == a.operation then
  return 'granted'
end
local known = math.max(tonumber(r.authorized_at or 0), tonumber(r.revoked_at or 0))
if a.authorized_at < known then
  if (a.value or a.doubtful) and r.value then
    doubt(a.settle_ms)
  end
  return 'older'
end
local auth_epoch = tonumber(r.auth_epoch or 0)
if a.unchanged_epoch == auth_epoch and not r.revoked_at and not a.value then
  write({ authorized_at = a.authorized_at })
  redis.call('HDEL', KEYS[1], 'reauthorize_at')
  -- An exchange whose answer was lost has issued a token, and thus ended the stored one.
  if a.doubtful and r.value then
    doubt(a.settle_ms)
  end
  return 'known'
end
-- A mint under way was asked for with the former refresh token: the new epoch makes it void, also when
-- the record, and with it the former epoch, was lost in between.
write({
  authorized_at = a.authorized_at, auth_epoch = math.max(auth_epoch + 1, a.authorized_at),
  epoch = r.epoch or epoch, schema = 2,
})
redis.call('HDEL', KEYS[1], 'revoked_at', 'revoked_by', 'reauthorize_at', 'value', 'expires_at',
  'retry_at', 'failures', 'lock_op', 'lock_until', 'lock_begin', 'lock_epoch', 'lock_spare')
redis.call('DEL', KEYS[2])
if a.refresh_token then
  write({ refresh_token = a.refresh_token })
end
if a.value then
  -- A mint that was called about the same time may have come after this token and ended it. Exchanges
  -- follow one after the other.
  local minted = r.committed_op and not string.find(r.committed_op, '^exchange:')
  local overlapped = minted and tonumber(r.obtained_at or 0) > now - a.age_ms - a.overlap_ms
  store_value(r)
  if overlapped or a.doubtful then
    doubt(a.settle_ms)
  else
    redis.call('HDEL', KEYS[1], 'suspect', 'settle_at')
  end
end
return 'granted'
