-- Runs a file of tests/bench/handlers, the argument, in LuaJIT with luv: lines or blocks of 1 KiB.
local uv = require("luv")

-- What those files take from scriptsock.
json = require("cjson")
server = { state = {} }

local handler = assert(loadfile(arg[1]))()
local on_message = handler.on_message

-- Each takes the messages off the front of `buffer`; returns the rest, and the replies.

local function lines(buffer)
  local replies, from = {}, 1
  while true do
    local at = buffer:find("\n", from, true)
    if not at then
      return buffer:sub(from), table.concat(replies)
    end
    replies[#replies + 1] = on_message(buffer:sub(from, at - 1)) .. "\n"
    from = at + 1
  end
end

local function blocks(buffer)
  local replies, from = {}, 1
  while #buffer - from + 1 >= 1024 do
    replies[#replies + 1] = on_message(buffer:sub(from, from + 1023))
    from = from + 1024
  end
  return buffer:sub(from), table.concat(replies)
end

local split = handler.framing == "line" and lines or blocks

local listener = uv.new_tcp()
assert(listener:bind("127.0.0.1", 0))
assert(listener:listen(1024, function(failed)
  assert(not failed, failed)
  local client, buffer = uv.new_tcp(), ""
  listener:accept(client)
  client:nodelay(true)
  client:read_start(function(err, chunk)
    if not chunk then
      return client:is_closing() or client:close()
    end
    local replies
    buffer, replies = split(buffer .. chunk)
    if #replies > 0 then
      client:write(replies)
    end
  end)
end))

-- For form's sake: nobody sends datagrams to this one.
local datagrams = uv.new_udp()
assert(datagrams:bind("127.0.0.1", 0))

print("tcp://127.0.0.1:" .. listener:getsockname().port)
print("udp://127.0.0.1:" .. datagrams:getsockname().port)
io.stdout:flush()
uv.run()
