-- Takes lines of plain text and refuses everything else, with the reason.
--
-- Start:    scriptsock --script reject.lua
-- Try:      echo "hello" | nc -N 127.0.0.1 7890
--           printf 'bell\a\n' | nc -N 127.0.0.1 7890
-- Protocol: "OK" and the line, or "ERR" and the reason; the log says what was rejected

local MAX_BYTES = 80

local function fault(text)
  if text == "" then
    return "empty"
  end
  if #text > MAX_BYTES then
    return "too long"
  end
  if text:find("%c") then
    return "control byte"
  end
  return nil
end

return {
  framing = "line",
  on_message = function(msg)
    local reason = fault(msg)
    if reason then
      return nil, reason, "ERR " .. reason -- rejected; the third value is the reply
    end
    return "OK " .. msg
  end,
}
