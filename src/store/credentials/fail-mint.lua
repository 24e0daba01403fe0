-- Gives the lock back after a mint that brought nothing. The record's value is not touched.
-- A mint that surely brought nothing costs a tenth of its budget: an outage with its back-off must
-- not spend it, and calls without end must.
-- Doubt is noted whoever holds the lock by now; everything else only the holder may write.
--
-- KEYS  1 record
-- a     operation, error (JSON text), retry_in_ms
--       maybe: WeChat may have minted all the same; settle_ms
-- Returns the number of failures in a row, or -1 when the lock was no longer ours
local REFUND = 900

drop_intent(a.operation)
if a.maybe then
  doubt(a.settle_ms)
end
local r = read('lock_op', 'lock_spare', 'budget_level', 'spare_level')
if r.lock_op ~= a.operation then
  return -1
end
release()
if not a.maybe then
  write({ budget_level = math.max(0, tonumber(r.budget_level or 0) - REFUND) })
  if r.lock_spare then
    write({ spare_level = math.max(0, tonumber(r.spare_level or 0) - REFUND) })
  end
end
write({ last_error = a.error, last_error_at = now, retry_at = now + a.retry_in_ms })
return redis.call('HINCRBY', KEYS[1], 'failures', 1)
