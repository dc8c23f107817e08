-- Values by their keys, one table for all connections: SET key value, GET key, DEL key.
server.state.values = server.state.values or {}
local values = server.state.values

local COMMANDS = {
  SET = function(key, value)
    values[key] = value
    return "OK"
  end,
  GET = function(key)
    return values[key] or "NONE"
  end,
  DEL = function(key)
    local known = values[key]
    values[key] = nil
    return known and "OK" or "NONE"
  end,
}

return {
  framing = "line",
  on_message = function(line)
    local command, key, value = line:match("^(%u+) (%S+) ?(.*)$")
    local run = COMMANDS[command]
    return run and run(key, value) or "ERROR"
  end,
}
