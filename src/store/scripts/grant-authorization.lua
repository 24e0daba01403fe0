-- Takes in an authorizer's refresh token, from an authorization or from WeChat's list.
-- An authorization that is older than what is known, a revocation included, changes nothing.
--
-- KEYS  1 record   2 mirror (string)
-- a     refresh_token: never empty   authorized_at: ms, by which authorizations are ordered
-- Returns 'granted' or 'older'
local r = read('authorized_at', 'revoked_at', 'auth_epoch', 'epoch')
local known = math.max(tonumber(r.authorized_at or 0), tonumber(r.revoked_at or 0))
if a.authorized_at < known then
  return 'older'
end
-- A mint under way was asked for with the former refresh token: the new epoch makes it void, also when
-- the record, and with it the former epoch, was lost in between.
write({
  refresh_token = a.refresh_token, authorized_at = a.authorized_at,
  auth_epoch = math.max(tonumber(r.auth_epoch or 0) + 1, a.authorized_at), epoch = r.epoch or epoch, schema = 2,
})
redis.call('HDEL', key, 'revoked_at', 'reauthorize_at', 'value', 'expires_at',
  'retry_at', 'failures', 'lock_op', 'lock_until', 'lock_begin', 'lock_epoch', 'lock_spare')
redis.call('DEL', KEYS[2])
return 'granted'
