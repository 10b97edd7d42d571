-- wrk -s wrk.lua URL -- FILE UNIQUE [EXPECTED]: sends the requests of a file, one a line, in turn.
--
-- A line is METHOD, path, token (or nothing) and body, with tabs between. @n@ in a body is UNIQUE and a number that is never the same.
-- Where a text is EXPECTED, an answer without it is a bad one.
local lines, turn, sent, expected, unique = {}, 0, 0, nil, nil
bad = 0

local function format(line, body)
  local headers = { ['accept'] = 'application/json' }
  if line.token ~= '' then headers['authorization'] = 'Bearer ' .. line.token end
  if body == '' then body = nil else headers['content-type'] = 'application/json' end
  return wrk.format(line.method, line.path, headers, body)
end

function init(arguments)
  local varies = false
  for text in io.lines(arguments[1]) do
    local line = {}
    line.method, line.path, line.token, line.body = text:match('^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$')
    line.varies = line.body:find('@n@', 1, true)
    line.request = format(line, line.body)
    varies = varies or line.varies
    lines[#lines + 1] = line
  end
  unique, expected = arguments[2], arguments[3]
  turn = math.random(#lines)
  if #lines > 1 or varies then
    function request()
      turn = turn % #lines + 1
      local line = lines[turn]
      if not line.varies then return line.request end
      sent = sent + 1
      return format(line, (line.body:gsub('@n@', unique .. sent)))
    end
  else
    -- One request needs no function, which would be called for each.
    local line = lines[1]
    wrk.method, wrk.path, wrk.body = line.method, line.path, line.body ~= '' and line.body or nil
    wrk.headers['accept'] = 'application/json'
    if line.token ~= '' then wrk.headers['authorization'] = 'Bearer ' .. line.token end
    if wrk.body then wrk.headers['content-type'] = 'application/json' end
  end
  if expected then
    function response(status, headers, body)
      if not body:find(expected, 1, true) then bad = bad + 1 end
    end
  end
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function done(summary, latency)
  local errors = summary.errors
  local wrong = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  for _, thread in ipairs(threads) do wrong = wrong + thread:get('bad') end
  io.write(string.format('JSON {"requests": %d, "micros": %d, "bytes": %d, "p50": %f, "p99": %f, "wrong": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), wrong))
end
