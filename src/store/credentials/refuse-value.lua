-- Notes that WeChat called a value dead, which makes the record due, or says why not yet.
-- A live value of ours that dies outside our own refresh means that somebody else mints with our
-- secret. The first time it is minted again at once; again within one life of the value, it is a
-- foreign refresher, and minting at every complaint would be a war that nobody wins.
-- `refused_at` is the last refusal acted upon, whatever the reason; `counted_at` the last one that
-- `refusals` counts, because only somebody else can explain it.
--
-- KEYS  1 record
-- a     seq: of the refused value   by: who says so (JSON text)
--       young_ms: a complaint about a younger value may be older than the value itself
--       interval_ms, foreign_interval_ms: least time between two refusals that are acted on
--       own_doing: asked for by a person, which says nothing about others
-- Returns {'accepted' | 'foreign' | 'joined'}, {'other', seq}, or {'throttled', until ms}
local r = read('seq', 'obtained_at', 'value_since', 'expires_at', 'refused_seq', 'refused_at', 'counted_at',
  'refusals', 'suspect', 'epoch', 'foreign_since', 'value')
local seq = tonumber(r.seq or 0)

if not r.value or seq ~= a.seq then
  return { 'other', seq }
end
if tonumber(r.refused_seq) == seq then
  return { 'joined' }
end
local obtained_at, refused_at = tonumber(r.obtained_at), tonumber(r.refused_at)
-- WeChat repeats some values, which makes them no younger.
local since = tonumber(r.value_since) or obtained_at
if ahead(since + a.young_ms, a.young_ms) then
  return { 'throttled', since + a.young_ms }
end
local interval = r.foreign_since and a.foreign_interval_ms or a.interval_ms
if refused_at and ahead(refused_at + interval, interval) then
  return { 'throttled', refused_at + interval }
end

write({ refused_seq = seq, refused_at = now, refused_by = a.by })
if a.own_doing then
  write({ forced = 1 })
end
-- What our own doubtful mints or a failover explain is nobody else's doing.
if a.own_doing or r.suspect or r.epoch ~= epoch then
  return { 'accepted' }
end
local life = tonumber(r.expires_at) - obtained_at
local refusals = 1
local counted_at = tonumber(r.counted_at)
if counted_at and now - counted_at < life then
  refusals = (tonumber(r.refusals) or 0) + 1
end
write({ refusals = refusals, counted_at = now })
if refusals < 2 then
  return { 'accepted' }
end
if r.foreign_since then
  return { 'accepted' }
end
write({ foreign_since = now })
return { 'foreign' }
