-- Changes a key that is published for an application, if it still holds what was found there: of two
-- replicas, and of a replica and an application, the one that knows less must not be the last to write.
--
-- KEYS  1 the key, of any type
-- ARGV  1 what was found: '-' nothing, '!' another type than a string, '=' and its text
--       2 what belongs there: '-' nothing, '=' and its text
--       3 its life in ms
-- Returns 1, or 0 when it holds something else by now
local value = redis.pcall('GET', KEYS[1])
local found = '-'
if type(value) == 'string' then
  found = '=' .. value
elseif type(value) == 'table' then
  found = '!'
end
if found ~= ARGV[1] then
  return 0
end
if ARGV[2] == '-' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.sub(ARGV[2], 2), 'PX', ARGV[3])
end
return 1
