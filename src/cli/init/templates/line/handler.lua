-- A line protocol: a command and its words on each line, and one line as the answer.
--
-- Start:    scriptsock
-- Try:      scriptsock connect 7890    then type: add 2 3
-- Protocol: "echo TEXT", "add NUMBER NUMBER", "count" and "quit"
--
-- A new command is a function in the table below. Save, and open connections have it at once.

local LONGEST_LINE = 200
local HELP = "commands: echo TEXT, add NUMBER NUMBER, count, quit"

local COMMANDS = {}

function COMMANDS.echo(text)
  return text
end

function COMMANDS.add(words)
  local first, second = words:match("^(%S+) (%S+)$")
  local a, b = tonumber(first), tonumber(second)
  if not a or not b then
    return nil, "no numbers", "ERR two numbers, please"
  end
  return tostring(a + b)
end

function COMMANDS.count(_, conn)
  return tostring(conn.state.count)
end

function COMMANDS.quit(_, conn)
  conn:send("bye")
  conn:close()
end

return {
  framing = `line,max={LONGEST_LINE}`,
  on_connect = function(conn)
    conn.state.count = 0
    return HELP
  end,
  on_message = function(msg, conn)
    conn.state.count += 1
    local name, rest = msg:match("^(%l+) ?(.*)$")
    local command = name and COMMANDS[name]
    if not command then
      return nil, "unknown command", "ERR " .. HELP -- rejected: the second value is logged
    end
    return command(rest, conn)
  end,
} :: Handler
