-- What the scripts that take pushes in have in common. They take several at once: those that a process
-- hears in one turn, which cost a fraction when they are sent together. Each has its own result, as if
-- they had come one by one; but what Redis refuses to one of them, it refuses to all.
--
-- A push is one argument, a JSON array: what its script wants to know, and behind that these texts
--   its moment ms, or '' if it is not to be counted   'event' or 'message'
--   '1' if it came under the previous key, otherwise ''   the same of the previous token
--   '' or what is to be delivered of it: a JSON array of its id, the names and texts of what is kept until
--   then, ms for which, and for each queue its score and the bytes that wait in it
--   the texts of its event: names and values

-- All of them before anything is written, so that none that cannot be read undoes others.
local function decode_pushes(from)
  local pushes = {}
  for i = from, #ARGV do
    pushes[#pushes + 1] = cjson.decode(ARGV[i])
  end
  return pushes
end

-- Takes apart what follows the first `own` elements: what is counted, and where the event begins.
local function read_push(texts, own)
  return {
    moment = texts[own + 1], url = texts[own + 2],
    previous_key = texts[own + 3] == '1', previous_token = texts[own + 4] == '1',
    delivery = texts[own + 5], texts = texts, event_at = own + 6,
  }
end

-- KEYS of a push to be delivered: what is kept of it (hash), and for each queue the queue (sorted set) and
-- the state of its target (hash).
local function delivery_keys(push)
  return push.delivery == '' and 0 or 1 + 2 * #push.delivery[4]
end

-- `before`: how many keys stand before its own.
-- pcall: what somebody has spoiled is made anew.
local function plan_deliveries(delivery, before)
  local id, kept, life, queues = delivery[1], delivery[2], delivery[3], delivery[4]
  redis.call('HSET', KEYS[before + 1], unpack(kept))
  redis.call('PEXPIRE', KEYS[before + 1], life)
  for i, queue in ipairs(queues) do
    local at = before + 2 * i
    put(at, queue[1], id, life)
    if type(redis.pcall('HINCRBY', KEYS[at + 1], 'bytes', queue[2])) == 'table' then
      redis.call('DEL', KEYS[at + 1])
      redis.call('HSET', KEYS[at + 1], 'bytes', queue[2])
    end
    redis.call('PEXPIRE', KEYS[at + 1], life)
  end
end

-- KEYS[1] is the event stream, ARGV[1] its length. `before`: how many keys stand before those of its
-- deliveries.
local function add_event(push, before)
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(push.texts, push.event_at))
  if push.delivery ~= '' then plan_deliveries(push.delivery, before) end
end

-- What the marker of a seen push says: its id, where it is delivered.
local function marker_of(push)
  return push.delivery == '' and '1' or push.delivery[1]
end

local counts, moments = {}, {}

local function count(push, outcome)
  if push.moment == '' then return end
  local names = { outcome == 'duplicate' and 'duplicate' or 'accepted' }
  if push.previous_key then names[#names + 1] = 'previous_key' end
  if push.previous_token then names[#names + 1] = 'previous_token' end
  for _, name in ipairs(names) do
    counts[name] = (counts[name] or 0) + 1
    moments[name .. '_at'] = push.moment
  end
  moments['accepted_' .. push.url .. '_at'] = push.moment
end

-- KEYS[2] are the counters.
-- The moments are those of arrival, so one that took longer may set them back by as much.
-- pcall: it is for people alone, and must not cost a push when somebody has spoiled it.
local function write_counts()
  local set = {}
  for name, moment in pairs(moments) do
    set[#set + 1], set[#set + 2] = name, moment
  end
  if #set == 0 then return end
  redis.pcall('HSET', KEYS[2], unpack(set))
  for name, more in pairs(counts) do
    local counted = redis.pcall('HINCRBY', KEYS[2], name, more)
    if type(counted) == 'table' then redis.pcall('HSET', KEYS[2], name, more) end
  end
end
