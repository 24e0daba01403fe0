-- Notes that WeChat refuses an authorization for good: only the merchant can renew it.
--
-- KEYS  1 record
-- a     auth_epoch: the authorization that was refused
if tonumber(redis.call('HGET', key, 'auth_epoch') or 0) == a.auth_epoch then
  write({ reauthorize_at = now })
end
return 1
