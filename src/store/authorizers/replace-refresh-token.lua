-- Takes in the refresh token that WeChat names for a standing authorization, because the stored one is
-- refused, gone or used up. The access token stays, and so does the authorization.
--
-- KEYS  1 record
-- a     refresh_token: never empty   auth_epoch: the authorization it was asked for
--       instead_of: the stored text that it takes the place of, absent when there is none
-- Returns 1, or 0 when the account has ended or renewed its authorization since, or another refresh token
-- has come
local r = read('auth_epoch', 'revoked_at', 'refresh_token')
if r.revoked_at or tonumber(r.auth_epoch or 0) ~= a.auth_epoch or r.refresh_token ~= a.instead_of then
  return 0
end
write({ refresh_token = a.refresh_token })
redis.call('HDEL', KEYS[1], 'reauthorize_at')
return 1
