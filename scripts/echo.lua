-- Sends each message back as it came, byte for byte.
--
-- Start:    scriptsock --script echo.lua
-- Try:      echo "hello" | nc -N 127.0.0.1 7890
-- Protocol: what goes in comes out

return function(msg)
  return msg
end
