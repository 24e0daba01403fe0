-- Ends an authorization: the token goes, a tombstone stays, so that a mint under way or a late answer
-- cannot bring it back.
--
-- KEYS  1 record   2 mirror (string)
-- a     revoked_at: ms, by which authorizations and revocations are ordered
--       by: 'list' when it follows from what WeChat does not say any more, and may be undone by what it says
-- Returns 'revoked' or 'older' when the account has authorized again since
local r = read('authorized_at', 'revoked_at', 'auth_epoch', 'epoch')
local known = math.max(tonumber(r.authorized_at or 0), tonumber(r.revoked_at or 0))
if a.revoked_at < known then
  return 'older'
end
write({ revoked_at = a.revoked_at, auth_epoch = math.max(tonumber(r.auth_epoch or 0) + 1, a.revoked_at), epoch = r.epoch or epoch })
if a.by then
  write({ revoked_by = a.by })
else
  redis.call('HDEL', KEYS[1], 'revoked_by')
end
redis.call('HDEL', KEYS[1], 'refresh_token', 'value', 'expires_at', 'retry_at')
redis.call('DEL', KEYS[2])
return 'revoked'
