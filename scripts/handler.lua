-- Uppercase echo: the handler that runs when no other is named. Edit it while the server runs.
--
-- Start:    scriptsock
-- Try:      nc 127.0.0.1 7890    (over UDP: nc -u 127.0.0.1 7890)
-- Protocol: each message comes back in upper case; only ASCII letters change
--
-- Save this file, and every open connection answers with the new code from its next message on.

return {
  on_message = function(msg)
    return msg:upper()
  end,
}
