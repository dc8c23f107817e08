-- RFC 867, daytime: the date and the time as text, in UTC.
--
-- Start:    scriptsock --script examples/services/daytime.lua
-- Try:      nc -d 127.0.0.1 7890
-- Protocol: TCP: one line, then the end; UDP: a datagram is answered by that line

local FORMAT = "!%A, %B %d, %Y %H:%M:%S-UTC\r\n"

local function daytime()
  return os.date(FORMAT)
end

return {
  on_connect = function(conn)
    if conn.transport == "tcp" then
      conn:send(daytime())
      conn:close()
    end
  end,
  on_message = daytime,
}
