-- RFC 868, time: the seconds since 1900 as four bytes, the highest first.
--
-- Start:    scriptsock --script examples/services/time.lua
-- Try:      nc -d 127.0.0.1 7890 | od -An -tu1
-- Protocol: TCP: the four bytes, then the end; UDP: a datagram, which should be empty, is answered
--           by them

local FROM_1900_TO_1970 = 2208988800 -- seconds
local WRAP = 2 ^ 32 -- in the year 2036 it begins anew

local function time()
  return string.pack(">I4", (os.time() + FROM_1900_TO_1970) % WRAP)
end

return {
  on_connect = function(conn)
    if conn.transport == "tcp" then
      conn:send(time())
      conn:close()
    end
  end,
  on_message = time,
}
