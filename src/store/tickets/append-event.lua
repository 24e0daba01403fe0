-- Adds events to the stream, each unless its push was seen before, under any of its names, or is stored
-- under as many addresses already as one push may be.
--
-- KEYS  1 event stream   2 counters (hash)   then, for each push, its seen markers, the last of which is
--       the number of its addresses (string) if those are counted
-- ARGV  1 stream length   then each push: how many addresses it may have, 0 when they are not counted
--       ms for which each of its keys is kept
--       what `push.lua` says
-- Returns for each 'stored', 'duplicate' or 'elsewhere'
local function append(keys, lives, most, push)
  local markers = most > 0 and #keys - 1 or #keys
  for i = 1, markers do
    if redis.call('EXISTS', keys[i]) == 1 then return 'duplicate' end
  end
  local counted, addresses = keys[markers + 1], 0
  if counted then
    -- pcall: what a person has put there must not keep a push from being stored.
    local found = redis.pcall('GET', counted)
    addresses = type(found) == 'string' and tonumber(found) or 0
    if addresses >= most then return 'elsewhere' end
  end
  redis.call(unpack(push.event))
  for i = 1, markers do
    redis.call('SET', keys[i], '1', 'PX', lives[i])
  end
  if counted then
    redis.call('SET', counted, addresses + 1, 'PX', lives[#keys])
  end
  return 'stored'
end

local results, key = {}, 2
for i, texts in ipairs(decode_pushes(2)) do
  local keys, most, lives = {}, texts[1], texts[2]
  for n = 1, #lives do
    key = key + 1
    keys[n] = KEYS[key]
  end
  local push = read_push(texts, 2, KEYS[1], ARGV[1])
  local outcome = append(keys, lives, most, push)
  -- What is refused is counted elsewhere.
  if outcome ~= 'elsewhere' then count(push, outcome) end
  results[i] = outcome
end
write_counts(KEYS[2])
return results
