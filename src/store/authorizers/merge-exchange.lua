-- Adds an authorization code to the codes that are to be exchanged, or changes one that is there.
--
-- KEYS  1 exchanges of a component (hash id -> JSON)
-- ARGV  1 id   2 JSON object   3 'add': what is known already stays as it is; 'change': it does not
-- Returns the exchange as JSON, or nothing for a change of one that is gone
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text and ARGV[3] == 'change' then
  return nil
end
local exchange = cjson.decode(text or '{}')
local nameless = text and not exchange.authorizer
for name, value in pairs(cjson.decode(ARGV[2])) do
  if ARGV[3] == 'change' or exchange[name] == nil then
    exchange[name] = value
  end
end
-- It was given up because nobody could say whose it was: now WeChat can be asked about that account.
if ARGV[3] == 'add' and nameless and exchange.authorizer and exchange.outcome == 'expired' then
  exchange.outcome = nil
  exchange.next_at = 0
end
if exchange.outcome then
  exchange.code = nil
end
local merged = cjson.encode(exchange)
redis.call('HSET', KEYS[1], ARGV[1], merged)
return merged
