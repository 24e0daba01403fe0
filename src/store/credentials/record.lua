-- What every script about one record has in common; it is put in front of each of them.
-- KEYS[1] is the record (hash), ARGV[1] the arguments as JSON, here `a`.
-- In all scripts a command's name is a literal and its key an element of KEYS, not a variable that holds
-- one: some clouds read scripts before they run them, and refuse the others.
--
-- Time is Redis's own, one for all replicas, so that no replica's wrong clock ends a lease or keeps a
-- dead value alive. `a.now` is given only where time is simulated.
-- `epoch` is Redis's replication id: it changes with every restart and failover, that is, whenever
-- the last writes may be gone.
local a = cjson.decode(ARGV[1])

local now = a.now
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local info = redis.pcall('INFO', 'replication')
local epoch = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or 'unknown'

local function read(...)
  local record, names = {}, { ... }
  for i, value in ipairs(redis.call('HMGET', KEYS[1], ...)) do
    record[names[i]] = value or nil
  end
  return record
end

-- All that judging the record takes, at one moment; KEYS[2] is its mirror.
-- Returns {fields and values, mirror or nil, now ms, epoch, digest}: the digest stands for all but `now`.
-- The fields and the mirror are left out when the digest is `a.known`.
local function whole()
  local fields = redis.call('HGETALL', KEYS[1])
  local mirror = redis.pcall('GET', KEYS[2])
  mirror = type(mirror) == 'string' and mirror or false
  -- Calls are counted by Beijing's day.
  local day = math.floor((now + 28800000) / 86400000)
  local digest = redis.sha1hex(table.concat(fields, '\0') .. '\0' .. tostring(mirror) .. '\0' .. epoch .. day)
  if digest == a.known then
    return { false, false, now, epoch, digest }
  end
  return { fields, mirror, now, epoch, digest }
end

local function write(fields)
  local flat = {}
  for name, value in pairs(fields) do
    flat[#flat + 1] = name
    -- Lua prints large numbers in a short form that loses digits.
    flat[#flat + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  redis.call('HSET', KEYS[1], unpack(flat))
end

-- Whether a moment is still ahead. One further ahead than any can be was written by a clock that has
-- been set right since.
local function ahead(moment, longest_ms)
  moment = tonumber(moment or 0)
  return moment > now and moment <= now + longest_ms
end

local function tick()
  return redis.call('HINCRBY', KEYS[1], 'clock', 1)
end

-- WeChat may have issued a value that nobody knows of: one more mint, begun from now on, settles it.
-- `settle_ms` is how long the call that may have issued it can still be executing.
local function doubt(settle_ms)
  local settle_at = tonumber(redis.call('HGET', KEYS[1], 'settle_at') or 0)
  write({ suspect = tick(), settle_at = math.max(settle_at, now + settle_ms) })
end

local function release()
  redis.call('HDEL', KEYS[1], 'lock_op', 'lock_until', 'lock_begin', 'lock_epoch', 'lock_spare')
end

-- An intent says that a mint has begun and has not reported its end: operation id to the moment at
-- which it can no longer be under way.
local function intents()
  local text = redis.call('HGET', KEYS[1], 'intents')
  return text and cjson.decode(text) or {}
end

local function save_intents(open)
  if next(open) == nil then
    redis.call('HDEL', KEYS[1], 'intents')
  else
    write({ intents = cjson.encode(open) })
  end
end

local function drop_intent(operation)
  local open = intents()
  open[operation] = nil
  save_intents(open)
end

-- Makes `a.value` the value for everybody to read and announces it. A value that WeChat repeats keeps
-- its seq: it has another end, and is not another value to learn. Returns seq and end.
-- r: the record before, with seq, value, value_since, half_life_ms
-- a: operation, value, life_ms, age_ms: time since the call to WeChat started, reason, replica, kind,
--    subject, channel, history_length; KEYS 2 mirror, 3 history
local function store_value(r)
  local obtained_at = now - a.age_ms
  local expires_at = obtained_at + a.life_ms
  local same = r.value == a.value
  local seq = tonumber(r.seq or 0) + (same and 0 or 1)
  write({
    value = a.value, value_since = same and tonumber(r.value_since) or obtained_at,
    expires_at = expires_at, obtained_at = obtained_at, seq = seq, committed = tick(),
    committed_op = a.operation, committed_epoch = epoch, reason = a.reason, replica = a.replica,
    failures = 0, schema = 2,
    half_life_ms = math.max(tonumber(r.half_life_ms or 0), math.floor(a.life_ms / 2)),
  })
  redis.call('HDEL', KEYS[1], 'retry_at', 'taken_at', 'refused_seq', 'forced')
  if expires_at > now then
    redis.call('SET', KEYS[2], a.value, 'PX', expires_at - now)
  else
    redis.call('DEL', KEYS[2])
  end
  -- History is for people: that somebody spoiled its key must not cost a value.
  local entry = { obtained_at = obtained_at, expires_at = expires_at, seq = seq, reason = a.reason, replica = a.replica }
  if type(redis.pcall('LPUSH', KEYS[3], cjson.encode(entry))) == 'number' then
    redis.call('LTRIM', KEYS[3], 0, a.history_length - 1)
  end
  redis.pcall('PUBLISH', a.channel,
    cjson.encode({ kind = a.kind, subject = a.subject, seq = seq, expires_at = expires_at }))
  return seq, expires_at
end
