-- Uppercase echo of TCP and UDP for LuaJIT with luv. Says where it listens on standard output.
local uv = require("luv")

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
assert(server:listen(1024, function(failed)
  assert(not failed, failed)
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(err, chunk)
    if chunk then
      client:write(chunk:upper())
    elseif not client:is_closing() then
      client:close()
    end
  end)
end))

local datagrams = uv.new_udp()
assert(datagrams:bind("127.0.0.1", 0))
assert(datagrams:recv_start(function(err, data, peer)
  if data and peer then
    datagrams:send(data:upper(), peer.ip, peer.port)
  end
end))

print("tcp://127.0.0.1:" .. server:getsockname().port)
print("udp://127.0.0.1:" .. datagrams:getsockname().port)
io.stdout:flush()
uv.run()
