-- Stores a minted value, gives the lock back and tells everybody, in one step.
-- WeChat keeps the last minted value alive, and only intervals that do not overlap have a known
-- order: a mint that began after the stored one was committed is surely newer and is taken. Any
-- other may be older; the stored value stays and the record is marked suspect, which leads to one
-- more mint that settles it: `suspect` is the clock at which the doubt arose, and a mint that began
-- later ends it.
-- Repeating a commit with the same operation id changes nothing.
--
-- KEYS  1 record (hash)   2 mirror (string)   3 history (list)
-- ARGV  1 operation id   2 begin clock   3 value   4 expires_at ms   5 obtained_at ms
--       6 ms until the mirror expires   7 reason   8 replica   9 history length
--       10 rotations channel   11 kind   12 subject
--       13 '1' when an earlier try of this call may have minted too, so that the order is unknown
--       14 ms before which doubt is not settled: the other call may still be executing
-- Returns {'stored' | 'overlapped', seq}
local field =
  redis.call('HMGET', KEYS[1], 'seq', 'value', 'committed_op', 'committed', 'lock_op', 'suspect')
local seq, value, committed_op, committed, lock_op, suspect =
  tonumber(field[1] or '0'), field[2], field[3], tonumber(field[4] or '0'), field[5], field[6]

if committed_op == ARGV[1] then
  return { 'stored', seq }
end
if lock_op == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'lock_op', 'lock_until', 'lock_begin')
end
if tonumber(ARGV[2]) <= committed then
  redis.call('HSET', KEYS[1],
    'suspect', redis.call('HINCRBY', KEYS[1], 'clock', 1), 'retry_at', ARGV[14])
  return { 'overlapped', seq }
end

-- The same value again means a longer life, not another value to learn.
if value ~= ARGV[3] then
  seq = seq + 1
end
local clock = redis.call('HINCRBY', KEYS[1], 'clock', 1)
redis.call('HSET', KEYS[1],
  'value', ARGV[3], 'expires_at', ARGV[4], 'obtained_at', ARGV[5], 'seq', seq,
  'committed', clock, 'committed_op', ARGV[1], 'reason', ARGV[7], 'replica', ARGV[8], 'failures', 0)
redis.call('HDEL', KEYS[1], 'retry_at', 'taken_at')
if ARGV[13] == '1' then
  redis.call('HSET', KEYS[1], 'suspect', clock, 'retry_at', ARGV[14])
elseif suspect and tonumber(suspect) <= tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], 'suspect')
end
if tonumber(ARGV[6]) > 0 then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[6])
else
  redis.call('DEL', KEYS[2])
end
local entry = { obtained_at = tonumber(ARGV[5]), expires_at = tonumber(ARGV[4]), seq = seq, reason = ARGV[7], replica = ARGV[8] }
redis.call('LPUSH', KEYS[3], cjson.encode(entry))
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[9]) - 1)
redis.call('PUBLISH', ARGV[10],
  cjson.encode({ kind = ARGV[11], subject = ARGV[12], seq = seq, expires_at = tonumber(ARGV[4]) }))
return { 'stored', seq }
