-- Adds events to the stream, each unless its push was seen before, under any of its names, or is stored
-- under as many addresses already as one push may be.
--
-- KEYS  1 event stream   2 counters (hash)   then, for each push, its seen markers, the last of which is
--       the number of its addresses (string) if those are counted, and the keys of its deliveries
-- ARGV  1 stream length   then each push: how many addresses it may have, 0 when they are not counted
--       ms for which each of its keys is kept
--       what `push.lua` says
-- Returns for each 'stored', 'duplicate' or 'elsewhere'

-- `before`: how many keys stand before those of this push
local function append(before, lives, most, push)
  local is_counted = most > 0
  local markers, last = is_counted and #lives - 1 or #lives, before + #lives
  for i = 1, markers do
    if redis.call('EXISTS', KEYS[before + i]) == 1 then return 'duplicate' end
  end
  local addresses = 0
  if is_counted then
    -- pcall: what a person has put there must not keep a push from being stored.
    local found = redis.pcall('GET', KEYS[last])
    addresses = type(found) == 'string' and tonumber(found) or 0
    if addresses >= most then return 'elsewhere' end
  end
  add_event(push, last)
  for i = 1, markers do
    redis.call('SET', KEYS[before + i], marker_of(push), 'PX', lives[i])
  end
  if is_counted then
    redis.call('SET', KEYS[last], addresses + 1, 'PX', lives[#lives])
  end
  return 'stored'
end

local results, before = {}, 2
for i, texts in ipairs(decode_pushes(2)) do
  local most, lives = texts[1], texts[2]
  local push = read_push(texts, 2)
  local outcome = append(before, lives, most, push)
  before = before + #lives + delivery_keys(push)
  -- What is refused is counted elsewhere.
  if outcome ~= 'elsewhere' then count(push, outcome) end
  results[i] = outcome
end
write_counts()
return results
