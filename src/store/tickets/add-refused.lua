-- Adds up refused pushes of one platform, or of none: how many ever, and how many in a row.
-- A row is over when a push was accepted at the same URL since, or when none was refused for long. But
-- when what stands apart goes on being refused after that, both come there, and it is a row of its own.
--
-- KEYS  1 refused pushes (hash)   2 push stats (hash) with the moments of accepted pushes
-- ARGV  1 ms without a refusal after which a row is over
--       2 JSON list of {url, reason, count, row: how many of them belong to a row, since, at: epoch ms
--         as texts, beside: kinds of URL at which pushes were accepted between two of them, apart: whether
--         that says nothing about these at the same URL either, and last: a table of texts that tell
--         of the last one}
-- pcall: what a person has spoiled must not keep the rest from being counted.
local refused, stats = KEYS[1], KEYS[2]

local function number_of(key, field)
  local found = redis.pcall('HGET', key, field)
  return type(found) == 'string' and tonumber(found) or nil
end

local function add(field, count)
  local reply = redis.pcall('HINCRBY', refused, field, count)
  if type(reply) == 'table' then
    redis.call('HSET', refused, field, count)
  end
end

if redis.call('TYPE', refused).ok ~= 'hash' then
  redis.call('DEL', refused)
end
for _, one in ipairs(cjson.decode(ARGV[2])) do
  local name = one.url .. ':' .. one.reason .. ':'
  add(name .. 'total', one.count)
  if one.row > 0 then
    local before = number_of(refused, name .. 'at')
    local accepted = number_of(stats, 'accepted_' .. one.url .. '_at')
    local goes_on = before and math.abs(tonumber(one.since) - before) <= tonumber(ARGV[1])
    local both = name .. 'beside_' .. one.url
    local between = accepted and before and accepted > before and accepted < tonumber(one.at)
    for _, kind in ipairs(one.beside) do
      between = between or kind == one.url
    end
    if not goes_on or (between and redis.call('HEXISTS', refused, both) == 0) then
      redis.call('HSET', refused, name .. 'row', 0, name .. 'since', one.since)
      redis.call('HDEL', refused, name .. 'beside_event', name .. 'beside_message')
    end
    if goes_on and between and one.apart then
      redis.call('HSET', refused, both, 1)
    end
    add(name .. 'row', one.row)
    redis.call('HSET', refused, name .. 'at', one.at)
    for _, kind in ipairs(one.beside) do
      redis.call('HSET', refused, name .. 'beside_' .. kind, 1)
    end
    for field, text in pairs(one.last) do
      redis.call('HSET', refused, name .. field, text)
    end
  end
end
