-- The handlers of tests/bench/handlers for LuaJIT with luv; which one is the argument.
local uv = require("luv")
local ok, json = pcall(require, "cjson")

local values = {}

local COMMANDS = {
  SET = function(key, value)
    values[key] = value
    return "OK"
  end,
  GET = function(key)
    return values[key] or "NONE"
  end,
  DEL = function(key)
    local known = values[key]
    values[key] = nil
    return known and "OK" or "NONE"
  end,
}

local HANDLERS = {}

function HANDLERS.kv(line)
  local command, key, value = line:match("^(%u+) (%S+) ?(.*)$")
  local run = COMMANDS[command]
  return run and run(key, value) or "ERROR"
end

function HANDLERS.json(line)
  local request = json.decode(line)
  request.count = request.count + 1
  return json.encode(request)
end

function HANDLERS.adler(block)
  local a, b = 1, 0
  for i = 1, #block do
    a = (a + block:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return ("%04x%04x"):format(b, a)
end

-- Each takes the messages off the front of `buffer`; returns the rest, and the replies.

local function lines(buffer, handler)
  local replies, from = {}, 1
  while true do
    local at = buffer:find("\n", from, true)
    if not at then
      return buffer:sub(from), table.concat(replies)
    end
    replies[#replies + 1] = handler(buffer:sub(from, at - 1)) .. "\n"
    from = at + 1
  end
end

local function blocks(buffer, handler)
  local replies, from = {}, 1
  while #buffer - from + 1 >= 1024 do
    replies[#replies + 1] = handler(buffer:sub(from, from + 1023))
    from = from + 1024
  end
  return buffer:sub(from), table.concat(replies)
end

local KIND = arg[1]
assert(KIND ~= "json" or ok, json)
local handler = assert(HANDLERS[KIND], "no such handler")
local split = KIND == "adler" and blocks or lines

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
assert(server:listen(1024, function(failed)
  assert(not failed, failed)
  local client, buffer = uv.new_tcp(), ""
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(err, chunk)
    if not chunk then
      return client:is_closing() or client:close()
    end
    local replies
    buffer, replies = split(buffer .. chunk, handler)
    if #replies > 0 then
      client:write(replies)
    end
  end)
end))

-- The second is there for form's sake: nobody sends datagrams to this one.
local datagrams = uv.new_udp()
assert(datagrams:bind("127.0.0.1", 0))

print("tcp://127.0.0.1:" .. server:getsockname().port)
print("udp://127.0.0.1:" .. datagrams:getsockname().port)
io.stdout:flush()
uv.run()
