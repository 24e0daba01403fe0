-- Adds one event to the stream unless the push was seen before, under any of its names.
--
-- KEYS  1 event stream   2.. seen markers
-- ARGV  1 stream length   2 event fields JSON   3.. ms for which each marker is kept
-- Returns 'stored' or 'duplicate'
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return 'duplicate'
  end
end
local event = { 'XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*' }
for _, field in ipairs(cjson.decode(ARGV[2])) do
  event[#event + 1] = field
end
redis.call(unpack(event))
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], '1', 'PX', ARGV[i + 1])
end
return 'stored'
