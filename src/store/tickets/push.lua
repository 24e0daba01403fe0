-- What the scripts that take pushes in have in common. They take several at once: those that a process
-- hears in one turn, which cost a fraction when they are sent together. Each has its own result, as if
-- they had come one by one; but what Redis refuses to one of them, it refuses to all.
--
-- A push is one argument, a JSON array: what its script wants to know, and behind that these texts
--   its moment ms, or '' if it is not to be counted   'event' or 'message'
--   '1' if it came under the previous key, otherwise ''   the same of the previous token
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
    texts = texts, event_at = own + 5,
  }
end

-- KEYS[1] is the event stream, ARGV[1] its length.
local function add_event(push)
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(push.texts, push.event_at))
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
