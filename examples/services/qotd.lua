-- RFC 865, quote of the day: one short message.
--
-- Start:    scriptsock --script examples/services/qotd.lua
-- Try:      nc -d 127.0.0.1 7890
-- Protocol: TCP: the quote, then the end; UDP: a datagram is answered by the quote
--
-- The quotes are in quotes.json; save that file, and the next client gets the new ones.

local QUOTES = require("./quotes.json")
local SECONDS_A_DAY = 24 * 60 * 60

local function quote()
  local day = os.time() // SECONDS_A_DAY
  return QUOTES[day % #QUOTES + 1] .. "\r\n"
end

return {
  on_connect = function(conn)
    if conn.transport == "tcp" then
      conn:send(quote())
      conn:close()
    end
  end,
  on_message = quote,
}
