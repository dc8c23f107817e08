-- Stands before a line server: what clients say goes there in upper case, and its answers come back
-- with a number. Each end of a stream is passed on. A save changes both ways at once.
--
-- Start:    scriptsock --script proxy.lua --listen tcp://127.0.0.1:7891
-- Try:      scriptsock    and then: nc 127.0.0.1 7891
-- Protocol: that of the other server

local TARGET = "tcp://127.0.0.1:7890"

local function forth(line)
  return line:upper()
end

local function back(line, conn)
  conn.state.count += 1
  return `{conn.state.count}: {line}`
end

-- Lives as long as the connection, over saves: it asks the state for the code of today.
local function carry_back(conn)
  local state = conn.state
  while true do
    local line, reason = state.target:read()
    if not line then
      return if reason == "eof" then conn:shutdown() else conn:reset()
    end
    conn:send(state.back(line, conn))
  end
end

return {
  framing = "line",
  on_connect = function(conn)
    local target, problem = connect(TARGET, { timeout = 5 })
    if not target then
      return nil, problem, "the other server cannot be reached"
    end
    conn.state = { target = target, count = 0, back = back }
    spawn(carry_back, conn)
  end,
  on_message = function(msg, conn)
    return conn.state.target:send(forth(msg))
  end,
  on_eof = function(conn)
    conn.state.target:shutdown()
    return true
  end,
  on_reload = function(conn)
    conn.state.back = back
  end,
  on_close = function(conn, reason)
    if reason == "reset" then
      conn.state.target:reset()
    end
    log.info(`gone {reason}`)
  end,
}
