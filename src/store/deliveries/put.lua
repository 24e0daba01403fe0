-- What the scripts that plan and move deliveries have in common.

-- Puts a delivery into the queue at KEYS[at] (sorted set), which is kept for so many ms from now on.
-- pcall: one that somebody has spoiled is made anew, and must not cost a delivery.
local function put(at, score, id, kept_ms)
  if type(redis.pcall('ZADD', KEYS[at], score, id)) == 'table' then
    redis.call('DEL', KEYS[at])
    redis.call('ZADD', KEYS[at], score, id)
  end
  redis.call('PEXPIRE', KEYS[at], kept_ms)
end

