-- Takes the right to mint: the lock of one record, for a limited time.
-- The caller has judged the record at `seq`; if somebody refreshed it since, that judgement is void
-- and this refuses, so the second look at the record happens here, under the lock.
-- The record's `clock` counts begins and commits: a mint lives in the interval between its own two.
-- Asking again with the same operation id gives the same answer.
--
-- KEYS  1 record (hash)
-- ARGV  1 operation id   2 now ms   3 lease ms   4 seq that was judged   5 '1' to ignore back-off
-- Returns {'granted', begin clock}, {'locked', until ms}, {'changed', seq} or {'backoff', until ms}
local field = redis.call('HMGET', KEYS[1], 'seq', 'lock_op', 'lock_until', 'lock_begin', 'retry_at')
local seq, lock_op, lock_until, lock_begin, retry_at =
  field[1] or '0', field[2], field[3], field[4], field[5]
local now = tonumber(ARGV[2])

if lock_op == ARGV[1] then
  return { 'granted', tonumber(lock_begin) }
end
if lock_op and tonumber(lock_until) > now then
  return { 'locked', tonumber(lock_until) }
end
if seq ~= ARGV[4] then
  return { 'changed', tonumber(seq) }
end
if ARGV[5] ~= '1' and retry_at and tonumber(retry_at) > now then
  return { 'backoff', tonumber(retry_at) }
end
local begin = redis.call('HINCRBY', KEYS[1], 'clock', 1)
redis.call('HSET', KEYS[1], 'lock_op', ARGV[1], 'lock_until', now + tonumber(ARGV[3]), 'lock_begin', begin)
redis.call('HDEL', KEYS[1], 'suspect')
return { 'granted', begin }
