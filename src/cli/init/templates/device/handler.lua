-- A thermometer that does not exist: asked for readings, or told to report them by itself.
--
-- Start:    scriptsock
-- Try:      scriptsock connect 7890    then type: TEMP?    and: REPORT ON
-- Protocol: "*IDN?", "TEMP?", "SET NUMBER", "REPORT ON", "REPORT OFF"; a line is answered by a line
--
-- What it says is made up in `read_sensor`: change it while a client is connected, and save.

local NAME = "ACME,THERMO-1,0001,1.0"
local BEGIN = 20.0
local STEP = 0.1 -- degrees from one reading to the next
local PERIOD = 1 -- seconds between reports

local function read_sensor(state)
  state.degrees = (state.degrees or BEGIN) + STEP
  return string.format("%.1f", state.degrees)
end

local function stop_reports(state)
  if state.reports then
    state.reports:cancel()
    state.reports = nil
  end
end

local function start_reports(conn)
  stop_reports(conn.state)
  conn.state.reports = every(PERIOD, function()
    conn:send(read_sensor(conn.state))
  end)
end

local function set(msg, state)
  local degrees = tonumber(msg:match("^SET (%S+)$"))
  if not degrees then
    return nil, "unknown command", "ERR"
  end
  state.degrees = degrees
  return "OK"
end

return {
  framing = "line",
  on_message = function(msg, conn)
    if msg == "*IDN?" then
      return NAME
    elseif msg == "TEMP?" then
      return read_sensor(conn.state)
    elseif msg == "REPORT ON" then
      start_reports(conn)
      return "OK"
    elseif msg == "REPORT OFF" then
      stop_reports(conn.state)
      return "OK"
    end
    return set(msg, conn.state)
  end,
  on_reload = function(conn)
    if conn.state.reports then
      start_reports(conn) -- a timer goes on with the old code until it is made anew
    end
  end,
} :: Handler
