-- A conversation: questions and answers in their order, as straight-line code.
--
-- Start:    scriptsock
-- Try:      scriptsock connect 7890
-- Protocol: two questions, then a list of things, a line each; an empty line ends it
--
-- A conversation goes on with the code that it began with; the next connection has the new one.

local PATIENCE = 60 -- seconds for an answer
local MOST_THINGS = 100

local function ask(conn, question)
  conn:send(question)
  return conn:read({ timeout = PATIENCE })
end

local function ask_for_number(conn, question)
  while true do
    local answer, problem = ask(conn, question)
    if not answer then
      return nil, problem
    end
    local number = tonumber(answer)
    if number then
      return number
    end
    conn:send(`"{answer}" is no number`)
  end
end

local function read_list(conn)
  local things = {}
  local line = conn:read({ timeout = PATIENCE })
  while line and line ~= "" and #things < MOST_THINGS do
    table.insert(things, line)
    line = conn:read({ timeout = PATIENCE })
  end
  return things
end

return {
  framing = "line",
  on_session = function(conn)
    local name = ask(conn, "your name?")
    local age = name and ask_for_number(conn, `hello {name}, how old are you?`)
    if not age then
      return "goodbye" -- nobody there, or too slow
    end
    conn:send("what is in your bag? An empty line ends the list")
    local things = read_list(conn)
    log.info("a visitor", { name = name, age = age, things = #things })
    return `{name}, {age}: {table.concat(things, ", ")}`
  end,
} :: Handler
