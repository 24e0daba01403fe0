-- Takes the right to mint: the lock of one record, for a limited time.
-- The caller has judged the record at `seq`; if somebody refreshed it since, that judgement is void
-- and this refuses, so the second look at the record happens here, under the lock.
-- The record's `clock` counts begins and commits: a mint lives in the interval between its own two.
-- The lease is measured by Redis's clock, which is one for all replicas.
-- Asking again with the same operation id gives the same answer.
--
-- KEYS  1 record (hash)
-- ARGV  1 operation id   2 now ms, by the caller's clock, for back-off   3 lease ms
--       4 seq that was judged   5 '1' to ignore back-off   6 longest back-off there can be, ms
-- Returns {'granted', begin clock}, {'locked', ms left}, {'changed', seq} or {'backoff', until ms}
local field = redis.call('HMGET', KEYS[1], 'seq', 'lock_op', 'lock_until', 'lock_begin', 'retry_at')
local seq, lock_op, lock_until, lock_begin, retry_at =
  tonumber(field[1] or '0'), field[2], tonumber(field[3] or '0'), field[4], tonumber(field[5] or '0')
local time = redis.call('TIME')
local redis_now = time[1] * 1000 + math.floor(time[2] / 1000)
local now = tonumber(ARGV[2])

if lock_op == ARGV[1] then
  return { 'granted', tonumber(lock_begin) }
end
if lock_op and lock_until > redis_now then
  return { 'locked', lock_until - redis_now }
end
if seq ~= tonumber(ARGV[4]) then
  return { 'changed', seq }
end
-- A back-off from further ahead than any can be was written by a clock that has been set right since.
if ARGV[5] ~= '1' and retry_at > now and retry_at <= now + tonumber(ARGV[6]) then
  return { 'backoff', retry_at }
end
local begin = redis.call('HINCRBY', KEYS[1], 'clock', 1)
redis.call('HSET', KEYS[1],
  'lock_op', ARGV[1], 'lock_until', redis_now + tonumber(ARGV[3]), 'lock_begin', begin)
return { 'granted', begin }
