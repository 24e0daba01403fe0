-- Adds one event to the stream unless the push was seen before, under any of its names, or is stored
-- under as many addresses already as one push may be.
--
-- KEYS  1 event stream   2.. seen markers   last, if its addresses are counted: their number (string)
-- ARGV  1 stream length   2 event fields JSON   3.. ms for which each key but the first is kept
--       last: how many addresses one push may have; 0 when they are not counted
-- Returns 'stored', 'duplicate' or 'elsewhere'
local most = tonumber(ARGV[#ARGV])
local counted = most > 0 and KEYS[#KEYS] or nil
local markers = counted and #KEYS - 1 or #KEYS
for i = 2, markers do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return 'duplicate'
  end
end
local addresses = 0
if counted then
  -- pcall: what a person has put there must not keep a push from being stored.
  local found = redis.pcall('GET', counted)
  addresses = type(found) == 'string' and tonumber(found) or 0
  if addresses >= most then
    return 'elsewhere'
  end
end
local event = { 'XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*' }
for _, field in ipairs(cjson.decode(ARGV[2])) do
  event[#event + 1] = field
end
redis.call(unpack(event))
for i = 2, markers do
  redis.call('SET', KEYS[i], '1', 'PX', ARGV[i + 1])
end
if counted then
  redis.call('SET', counted, addresses + 1, 'PX', ARGV[#KEYS + 1])
end
return 'stored'
