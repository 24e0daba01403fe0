-- Changes what is known about one authorizer, for people to look at; the other fields stay.
--
-- KEYS  1 authorizers of a component (hash appid -> JSON)   2 their index (sorted set by appid)
-- ARGV  1 appid   2 JSON object of the changed fields
-- `state` is ordered by `state_at` (ms): an older one changes neither.
local ok, entry = pcall(cjson.decode, redis.call('HGET', KEYS[1], ARGV[1]) or '{}')
if not ok or type(entry) ~= 'table' then
  entry = {}
end
local patch = cjson.decode(ARGV[2])
if patch.state_at and (tonumber(entry.state_at) or 0) > patch.state_at then
  patch.state, patch.state_at = nil, nil
end
for name, value in pairs(patch) do
  entry[name] = value
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(entry))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
