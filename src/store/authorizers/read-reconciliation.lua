-- Reads how far the comparison of a component with WeChat's list has come.
--
-- KEYS  1 its state (hash)
-- Returns {run (JSON) or nil, moment of the last request in ms or nil, now ms, epoch}
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
  return { false, false, now, epoch }
end
local r = read('run', 'requested_at')
return { r.run or false, r.requested_at or false, now, epoch }
