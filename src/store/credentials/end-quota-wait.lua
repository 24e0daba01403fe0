-- Forgets that WeChat refused a mint because a quota was used up, and how many calls were made today: the
-- quota was cleared.
--
-- KEYS  1 record
-- Returns 1 when the record was waiting for it, or 0
local r = read('last_error', 'retry_at')
redis.call('HDEL', KEYS[1], 'day_calls')
local ok, failure = pcall(cjson.decode, r.last_error or '')
if not r.retry_at or not ok or type(failure) ~= 'table' or failure.class ~= 'quota' then
  return 0
end
redis.call('HDEL', KEYS[1], 'retry_at')
return 1
