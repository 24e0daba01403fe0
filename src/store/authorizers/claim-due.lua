-- Hands out authorizers that are due, each to one caller for a while, and no more of them a second than
-- WeChat shall be asked for.
--
-- KEYS  1 due index (sorted set)   2 pace (hash)
-- ARGV  1 now in ms, or '' for Redis's clock   2 how many at most   3 ms until a claim ends
--       4 per second   5 how many at once after a pause
-- Returns {ms until more may be had, 0 when nothing more is due, appid, ...}
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local most, rate, burst = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
-- Both keys only save work: what somebody has spoiled is made anew.
local due = redis.pcall('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most + 1)
if due.err then
  redis.call('DEL', KEYS[1])
  due = {}
end
if #due == 0 then
  return { 0 }
end
local pace = redis.pcall('HMGET', KEYS[2], 'at', 'left')
if pace.err then
  redis.call('DEL', KEYS[2])
  pace = {}
end
local at, left = tonumber(pace[1] or 0) or 0, tonumber(pace[2] or burst) or burst
-- A clock that was set back must not stop everything until it has caught up.
local passed = now > at and now - at or 0
left = math.min(burst, left + passed * rate / 1000)
local allowed = math.min(most, math.floor(left))
local more = #due > allowed
while #due > allowed do
  table.remove(due)
end
for _, appid in ipairs(due) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), appid)
end
left = left - #due
redis.call('HSET', KEYS[2], 'at', string.format('%.0f', now), 'left', tostring(left))
local wait = 0
if more then
  wait = math.max(1, math.ceil((math.min(most, burst) - left) * 1000 / rate))
end
table.insert(due, 1, wait)
return due
