-- A chat with names and rooms: what one says, everyone else in the room reads.
--
-- Start:    scriptsock --script examples/chat/handler.lua --listen tcp://127.0.0.1:7890
-- Try:      nc 127.0.0.1 7890    in two terminals
-- Protocol: a line goes to the others in the room. A line that begins with "/" is a command: /name,
--           /join, /rooms, /who, /tell, /help, /quit; what the server says begins with "*"
--
-- Works with any number of workers: what all have to know is in server.shared.

local rooms = require("./rooms")

local FIRST_ROOM = "lobby"
local LONGEST_LINE = 512
local HELP = {
  "* /name NAME       be called so",
  "* /join ROOM       go to a room",
  "* /rooms           the rooms, and how many are in each",
  "* /who             who is in this room",
  "* /tell NAME TEXT  say something to one person only",
  "* /quit            leave",
}

local function refuse(reason)
  return nil, reason, "* " .. reason
end

local function is_word(text)
  return text:find("^%w+$") ~= nil and #text <= 20
end

local function say(conn, text)
  rooms.tell(conn.state.room, text, conn)
end

local function enter(conn, room)
  conn.state.room = room
  rooms.enter(conn, room, conn.state.name)
  say(conn, `* {conn.state.name} is here`)
  return `* you are {conn.state.name}, in {room}`
end

local function leave(conn, word)
  say(conn, `* {conn.state.name} {word}`)
  rooms.leave(conn, conn.state.room, conn.state.name)
end

local COMMANDS = {}

function COMMANDS.name(conn, name)
  if not is_word(name) then
    return refuse("a name is letters and digits, 20 at most")
  elseif not rooms.take_name(conn, name) then
    return refuse(`{name} is taken`)
  end
  local old = conn.state.name
  rooms.leave(conn, conn.state.room, old)
  rooms.give_up_name(conn, old)
  conn.state.name = name
  rooms.enter(conn, conn.state.room, name)
  say(conn, `* {old} is now {name}`)
  return `* you are {name}`
end

function COMMANDS.join(conn, room)
  if not is_word(room) then
    return refuse("a room is letters and digits, 20 at most")
  elseif room == conn.state.room then
    return refuse(`you are in {room}`)
  end
  leave(conn, `has gone to {room}`)
  return enter(conn, room)
end

function COMMANDS.rooms()
  local lines = {}
  for _, room in rooms.all() do
    table.insert(lines, `* {room.name}: {#room.people}`)
  end
  return lines
end

function COMMANDS.who(conn)
  for _, room in rooms.all() do
    if room.name == conn.state.room then
      return `* {table.concat(room.people, ", ")}`
    end
  end
end

function COMMANDS.tell(conn, words)
  local name, text = words:match("^(%w+) (.+)$")
  if not name then
    return refuse("write /tell NAME TEXT")
  elseif not rooms.tell_person(name, `{conn.state.name} to you: {text}`) then
    return refuse(`{name} is not here`)
  end
  return `* told {name}`
end

function COMMANDS.help()
  return HELP
end

function COMMANDS.quit(conn)
  conn:send("* goodbye")
  conn:close()
end

local function greet(conn)
  local name = `guest{conn.id}`
  while not rooms.take_name(conn, name) do
    name ..= "x"
  end
  conn.state.name = name
  return { "* /help lists the commands", enter(conn, FIRST_ROOM) }
end

local function hear(msg, conn)
  if msg:find("%c") then
    return refuse("a line is plain text")
  elseif msg:sub(1, 1) ~= "/" then
    if msg ~= "" then
      say(conn, `{conn.state.name}: {msg}`)
    end
    return
  end
  local name, rest = msg:match("^/(%l+) *(.*)$")
  local command = name and COMMANDS[name]
  if not command then
    return refuse("no such command; /help lists them")
  end
  return command(conn, rest)
end

return {
  framing = { "line", max = LONGEST_LINE },
  on_connect = greet,
  on_message = hear,
  on_reload = function(conn)
    return if conn.state.name then nil else greet(conn) -- another script began this connection
  end,
  on_close = function(conn)
    if conn.state.name then
      leave(conn, "has left")
      rooms.give_up_name(conn, conn.state.name)
    end
  end,
}
