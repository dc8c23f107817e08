-- Answers each message in upper case, as a handler that is a single function.
--
-- Start:    scriptsock --script upper.lua
-- Try:      echo "hello" | nc -N 127.0.0.1 7890
-- Protocol: each message comes back in upper case; only ASCII letters change

return function(msg)
  return msg:upper()
end
