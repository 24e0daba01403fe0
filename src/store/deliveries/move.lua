-- What people, and time, do with deliveries of one target, some at a time.
--
-- KEYS  1 from (sorted set)   2 to (sorted set), where they are put   3 attempts (hash)   4 target (hash)
--       then what is kept of each push (hash)
-- ARGV  1 'replay' (from the beginning), 'give_up', 'drop' or 'discard', which a person wanted   2 now ms
--       3 ms to keep what is kept for people   4 ms for which keys are kept
--       then the ids, in the order of the keys
-- Returns how many were there
local what, moved = ARGV[1], 0

local function forget(push)
  local size = redis.pcall('HGET', KEYS[push], 'size')
  size = type(size) == 'string' and tonumber(size)
  if not size then return end
  redis.pcall('HINCRBY', KEYS[4], 'bytes', -size)
  if redis.call('HINCRBY', KEYS[push], 'open', -1) > 0 then return end
  redis.call('HDEL', KEYS[push], 'body', 'message', 'json', 'query')
  redis.call('PEXPIRE', KEYS[push], ARGV[3])
end

for i = 5, #KEYS do
  local id = ARGV[i]
  if redis.call('ZREM', KEYS[1], id) == 1 then
    moved = moved + 1
    redis.pcall('HDEL', KEYS[3], id)
    if what == 'replay' or what == 'give_up' then
      put(2, ARGV[2], id, ARGV[4])
      -- What is kept of it must not go before it.
      redis.call('PEXPIRE', KEYS[i], ARGV[4])
    else
      forget(i)
    end
  end
end
if moved == 0 then return 0 end
if what == 'drop' then
  redis.pcall('HINCRBY', KEYS[4], 'dropped', moved)
  redis.pcall('HSET', KEYS[4], 'dropped_at', ARGV[2])
elseif what == 'give_up' then
  redis.pcall('HINCRBY', KEYS[4], 'given_up', moved)
end
return moved
