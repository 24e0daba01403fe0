-- Writes down what became of problems and which messages are owed for it, all or nothing.
--
-- KEYS  1 alerts (hash)
-- ARGV  1 replica   2 JSON {set: {field: text}, forget: [field]}
-- Returns 1, or 0 when another replica has taken over
if redis.call('HGET', KEYS[1], 'teller') ~= ARGV[1] then
  return 0
end
local change = cjson.decode(ARGV[2])
for field, text in pairs(change.set) do
  redis.call('HSET', KEYS[1], field, text)
end
for _, field in ipairs(change.forget) do
  redis.call('HDEL', KEYS[1], field)
end
return 1
