-- Sends the requests of a file, one after the other, each once: a repeated push would be answered from
-- what is remembered, which costs less. The file has, for each, its length and then its bytes.
local requests, sent = {}, 0
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  while true do
    local length = file:read('*n')
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  wraps = 0
end

function request()
  sent = sent + 1
  if sent > #requests then
    sent = 1
    wraps = wraps + 1
  end
  return requests[sent]
end

function done(summary, latency)
  local repeated = 0
  for _, thread in ipairs(threads) do repeated = repeated + thread:get('wraps') end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50Ms":%.4f,"p99Ms":%.4f,"refused":%d,"failed":%d,"wraps":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, repeated
  ))
end
