-- RFC 863, discard: takes everything and says nothing.
--
-- Start:    scriptsock --script examples/services/discard.lua
-- Try:      nc 127.0.0.1 7890
-- Protocol: there is no answer

return {
  on_message = function() end,
}
