-- Stands before a line server: makes its commands shorter, and keeps its secrets.
--
-- Start:    scriptsock --script examples/proxy/handler.lua --listen tcp://127.0.0.1:7891
-- Try:      nc -lk 127.0.0.1 7890    and in a second terminal: nc 127.0.0.1 7891
-- Protocol: that of the other server, a line at a time; on the way there aliases of commands are
--           written out and spaces made one, on the way back passwords and tokens become stars
--
-- A save changes both ways of every open connection at once.

local UPSTREAM = "tcp://127.0.0.1:7890"
local PATIENCE = 5 -- seconds to connect

local ALIASES = { ls = "LIST", get = "FETCH", rm = "DELETE", q = "QUIT" }
local SECRETS = { "password", "token" }
local STARS = "***"

-- From the client to the server: "ls  inbox" becomes "LIST inbox".
local function there(line)
  local word, rest = line:match("^%s*(%S+)%s*(.-)%s*$")
  if not word then
    return nil
  end
  local command = ALIASES[word:lower()] or word:upper()
  return if rest == "" then command else command .. " " .. rest:gsub("%s+", " ")
end

-- From the server to the client: "token=4711" becomes "token=***".
local function back(line)
  for _, name in SECRETS do
    line = line:gsub(`({name}=)[^%s,;]+`, "%1" .. STARS)
  end
  return line
end

-- Lives as long as the connection, over saves: the state has today's way back.
local function carry_back(conn)
  local state = conn.state
  while true do
    local line, reason = state.upstream:read()
    if line then
      conn:send(state.back(line))
    elseif reason == "eof" then
      return conn:shutdown()
    else
      return conn:reset()
    end
  end
end

return {
  framing = "line",
  on_connect = function(conn)
    local upstream, problem = connect(UPSTREAM, { timeout = PATIENCE })
    if not upstream then
      return nil, problem, "the other server cannot be reached"
    end
    conn.state.upstream, conn.state.back = upstream, back
    spawn(carry_back, conn)
  end,
  on_message = function(msg, conn)
    local line = there(msg)
    if line then
      return conn.state.upstream:send(line)
    end
  end,
  on_eof = function(conn)
    conn.state.upstream:shutdown()
    return true -- what the server still says is passed on
  end,
  on_reload = function(conn)
    conn.state.back = back
  end,
  on_close = function(conn, reason)
    if reason == "reset" then
      conn.state.upstream:reset()
    end
  end,
}
