-- The small services of RFC 862 to 868: echo, discard, chargen, qotd, daytime, time; TCP and UDP.
--
-- Start:    scriptsock --script examples/services/handler.lua \
--             --listen echo=tcp://127.0.0.1:7007 --listen echo-udp=udp://127.0.0.1:7007 \
--             --listen daytime=tcp://127.0.0.1:7013 --listen daytime-udp=udp://127.0.0.1:7013
-- Try:      nc -d 127.0.0.1 7013    and for datagrams: nc -u 127.0.0.1 7013
-- Protocol: the name of the listener says which service it is, up to a "-"
--
-- Each service is a file beside this one, and a handler of its own, too.

local SERVICES = {
  echo = require("./echo"),
  discard = require("./discard"),
  chargen = require("./chargen"),
  qotd = require("./qotd"),
  daytime = require("./daytime"),
  time = require("./time"),
}

local function service(conn)
  return SERVICES[conn.listener:match("^%l+")]
end

return {
  on_connect = function(conn)
    local own = service(conn)
    if not own then
      return nil, `no service has the name of the listener {conn.listener}`
    end
    return own.on_connect and own.on_connect(conn)
  end,
  on_message = function(msg, conn)
    return service(conn).on_message(msg, conn)
  end,
}
