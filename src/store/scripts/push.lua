-- What the scripts that take pushes in have in common. They take several at once: while one answer of
-- Redis is awaited, more pushes arrive, and sent together they cost a fraction. Each has its own result,
-- as if they had come one by one.
--
-- The arguments of a push begin with those of its script. Then follow, for all of them:
--   its moment ms, or '' if it is not to be counted   'event' or 'message'
--   '1' if it came under the previous key, otherwise ''   the same of the previous token
--   number of texts of its event   those texts: names and values
local at = 0

local function next_argument()
  at = at + 1
  return ARGV[at]
end

-- Returns the command that adds its event to the stream, and what is to be counted
local function read_push(stream, length)
  local push = {
    moment = next_argument(), url = next_argument(),
    previous_key = next_argument() == '1', previous_token = next_argument() == '1',
  }
  local event = { 'XADD', stream, 'MAXLEN', '~', length, '*' }
  for i = 7, 6 + tonumber(next_argument()) do
    event[i] = next_argument()
  end
  push.event = event
  return push
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

-- pcall: it is for people alone, and must not cost a push when somebody has spoiled it.
local function write_counts(key)
  local set = { 'HSET', key }
  for name, moment in pairs(moments) do
    set[#set + 1], set[#set + 2] = name, moment
  end
  if #set == 2 then return end
  redis.pcall(unpack(set))
  for name, more in pairs(counts) do
    local counted = redis.pcall('HINCRBY', key, name, more)
    if type(counted) == 'table' then redis.pcall('HSET', key, name, more) end
  end
end
