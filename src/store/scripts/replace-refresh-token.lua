-- Takes in the refresh token that WeChat names for a standing authorization, because the stored one is
-- refused or gone. The access token stays, and so does the authorization.
--
-- KEYS  1 record
-- a     refresh_token: never empty   auth_epoch: the authorization it was asked for
-- Returns 1, or 0 when the account has ended or renewed its authorization since
local r = read('auth_epoch', 'revoked_at')
if r.revoked_at or tonumber(r.auth_epoch or 0) ~= a.auth_epoch then
  return 0
end
write({ refresh_token = a.refresh_token })
redis.call('HDEL', key, 'reauthorize_at')
return 1
