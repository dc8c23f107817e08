-- RFC 862, echo: what comes in goes out, byte for byte.
--
-- Start:    scriptsock --script examples/services/echo.lua
-- Try:      nc 127.0.0.1 7890
-- Protocol: a stream comes back as it is, and so does a datagram

return {
  on_message = function(msg)
    return msg
  end,
}
