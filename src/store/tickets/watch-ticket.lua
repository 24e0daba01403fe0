-- Says what the silence of WeChat's ticket pushes calls for, each thing once for all replicas.
--
-- KEYS  1 ticket record (hash)
-- ARGV  1 now ms   2 ms of silence that are worth a warning   3 ms after which pushes are asked for
--       4 ms that need a person   5 ms a ticket lives   6 ms between two requests for pushes
--       7 ms a new deployment waits for its first ticket before it asks
--       8 ms between two requests when WeChat did not answer the first
-- Returns {what is newly so: '' | 'silent' | 'silent_long' | 'expired', '1' to ask for pushes, silence ms}
local now = tonumber(ARGV[1])
local r = redis.call('HMGET', KEYS[1], 'received_at', 'create_time', 'watched_since', 'stage',
  'push_asked_at', 'refused', 'push_unanswered')
local received_at, watched_since = tonumber(r[1]), tonumber(r[3])
if not received_at and not watched_since then
  redis.call('HSET', KEYS[1], 'watched_since', now)
  watched_since = now
end
local silence = now - (received_at or watched_since)

local stage = ''
if received_at and now >= tonumber(r[2]) + tonumber(ARGV[5]) then
  stage = 'expired'
elseif silence >= tonumber(ARGV[4]) then
  stage = 'silent_long'
elseif silence >= tonumber(ARGV[2]) then
  stage = 'silent'
end
if stage ~= '' then
  redis.call('HSET', KEYS[1], 'stage', stage)
end

local ask = 0
local patience = received_at and tonumber(ARGV[3]) or tonumber(ARGV[7])
local asked_at = tonumber(r[5])
local pause = tonumber(r[7] and ARGV[8] or ARGV[6])
if (silence >= patience or r[6]) and (not asked_at or now - asked_at >= pause) then
  redis.call('HSET', KEYS[1], 'push_asked_at', now)
  redis.call('HDEL', KEYS[1], 'push_unanswered')
  ask = 1
end
return { stage ~= (r[4] or '') and stage or '', ask, silence }
