-- Notes that WeChat refuses an authorization for good: only the merchant can renew it.
--
-- KEYS  1 record
-- a     auth_epoch: the authorization that was refused   refused: the stored text of its refresh token
-- Returns 1, or 0 when another authorization or another refresh token has come since
local r = read('auth_epoch', 'refresh_token')
if tonumber(r.auth_epoch or 0) ~= a.auth_epoch or r.refresh_token ~= a.refused then
  return 0
end
write({ reauthorize_at = now })
return 1
