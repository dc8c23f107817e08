-- Writes each message and its sender to the server's log, and says so to the sender.
--
-- Start:    scriptsock --script log.lua
-- Try:      echo "hello" | nc -N 127.0.0.1 7890
-- Protocol: each message is answered by "logged N bytes"

local function without_newline(msg)
  return (msg:gsub("\r?\n$", "")) -- the parentheses drop the count that gsub returns as well
end

return {
  on_message = function(msg, conn)
    log.info(without_newline(msg), { peer = conn.peer, bytes = #msg })
    return `logged {#msg} bytes\n`
  end,
}
