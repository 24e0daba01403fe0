-- Writes a ticket back that Redis has lost since a replica saw it, and the key for readers: deleted or
-- edited by hand, a restart without data, a failover that lost the last writes.
--
-- KEYS  1 ticket record (hash)   2 ticket mirror (string)   3 where a spoiled record is kept aside
-- ARGV  1 now ms   2 ms a ticket lives   3 JSON of what is remembered: {} or ticket, create_time,
--       received_at, count, and the ticket before it   4 ms by which a create_time may be ahead
-- Returns {'kept' | 'mirror' | 'restored', '1' when a spoiled record was put aside, the record as JSON}
local now, life, latest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[1]) + tonumber(ARGV[4])
local known = cjson.decode(ARGV[3])

local kind = redis.call('TYPE', KEYS[1]).ok
local ticket, create_time, received_at, count
if kind == 'hash' then
  local r = redis.call('HMGET', KEYS[1], 'ticket', 'create_time', 'received_at', 'count')
  ticket, create_time = r[1], tonumber(r[2] or '')
  received_at, count = tonumber(r[3] or ''), tonumber(r[4] or '')
end
local spoiled = kind ~= 'none' and kind ~= 'hash' or (ticket and not create_time) and true or false
if spoiled then
  redis.call('RENAME', KEYS[1], KEYS[3])
  ticket, create_time = nil, nil
end

local outcome = 'kept'
if known.ticket and known.create_time + life > now then
  -- Of two with one create_time accept-ticket.lua has chosen. Where nothing but the ticket differs from
  -- what is remembered, no other one has come: somebody wrote it.
  local same_arrival = create_time == known.create_time and received_at == known.received_at
    and (count or 0) <= known.count
  local edited = same_arrival and ticket ~= known.ticket
    or ticket and create_time > latest and known.create_time <= latest
  if not ticket or create_time < known.create_time or edited then
    outcome = 'restored'
    if create_time ~= known.create_time then
      redis.call('HDEL', KEYS[1], 'replaced')
    end
    ticket, create_time = known.ticket, known.create_time
    for name, value in pairs(known) do
      -- Lua prints large numbers in a short form that loses digits.
      redis.call('HSET', KEYS[1], name, type(value) == 'number' and string.format('%.0f', value) or value)
    end
    -- The one before it must be another one.
    if redis.call('HGET', KEYS[1], 'previous_ticket') == ticket then
      redis.call('HDEL', KEYS[1], 'previous_ticket', 'previous_create_time')
    end
  end
end

local left = ticket and create_time + life - now or 0
if left > 0 and redis.pcall('GET', KEYS[2]) ~= ticket then
  redis.call('SET', KEYS[2], ticket, 'PX', string.format('%.0f', left))
  outcome = outcome == 'kept' and 'mirror' or outcome
end

local flat = redis.call('HGETALL', KEYS[1])
local record = {}
for i = 1, #flat, 2 do
  record[flat[i]] = flat[i + 1]
end
return { outcome, spoiled and '1' or '', cjson.encode(record) }
