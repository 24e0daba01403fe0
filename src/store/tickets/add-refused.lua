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

local function number_in(found)
  return type(found) == 'string' and tonumber(found) or nil
end

local function add(field, count)
  local reply = redis.pcall('HINCRBY', KEYS[1], field, count)
  if type(reply) == 'table' then
    redis.call('HSET', KEYS[1], field, count)
  end
end

if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
  redis.call('DEL', KEYS[1])
end
for _, one in ipairs(cjson.decode(ARGV[2])) do
  local name = one.url .. ':' .. one.reason .. ':'
  add(name .. 'total', one.count)
  if one.row > 0 then
    local before = number_in(redis.pcall('HGET', KEYS[1], name .. 'at'))
    local accepted = number_in(redis.pcall('HGET', KEYS[2], 'accepted_' .. one.url .. '_at'))
    local goes_on = before and math.abs(tonumber(one.since) - before) <= tonumber(ARGV[1])
    local both = name .. 'beside_' .. one.url
    local between = accepted and before and accepted > before and accepted < tonumber(one.at)
    for _, kind in ipairs(one.beside) do
      between = between or kind == one.url
    end
    if not goes_on or (between and redis.call('HEXISTS', KEYS[1], both) == 0) then
      redis.call('HSET', KEYS[1], name .. 'row', 0, name .. 'since', one.since)
      redis.call('HDEL', KEYS[1], name .. 'beside_event', name .. 'beside_message')
    end
    if goes_on and between and one.apart then
      redis.call('HSET', KEYS[1], both, 1)
    end
    add(name .. 'row', one.row)
    redis.call('HSET', KEYS[1], name .. 'at', one.at)
    for _, kind in ipairs(one.beside) do
      redis.call('HSET', KEYS[1], name .. 'beside_' .. kind, 1)
    end
    for field, text in pairs(one.last) do
      redis.call('HSET', KEYS[1], name .. field, text)
    end
  end
end
