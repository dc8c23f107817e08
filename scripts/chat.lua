-- A chat with rooms: what one person types, everyone else in the room reads.
--
-- Start:    scriptsock --script chat.lua
-- Try:      nc 127.0.0.1 7890    in two terminals
-- Protocol: a line goes to the others in the room; "/name NAME", "/join ROOM"

local FIRST_ROOM = "lobby"
local LONGEST_WORD = 20
local HELP = "* plain text, /name NAME or /join ROOM"

local function tell_others(conn, text)
  server.publish("room " .. conn.state.room, text, conn)
end

local function enter(conn, room)
  conn.state.room = room
  conn:subscribe("room " .. room)
  tell_others(conn, `* {conn.state.name} is here`)
  return `* you are {conn.state.name}, in {room}`
end

local function leave(conn)
  tell_others(conn, `* {conn.state.name} has left`)
  conn:unsubscribe("room " .. conn.state.room)
end

local function greet(conn)
  conn.state.name = `guest{conn.id}`
  return { HELP, enter(conn, FIRST_ROOM) }
end

local COMMANDS = {
  name = function(conn, name)
    tell_others(conn, `* {conn.state.name} is now {name}`)
    conn.state.name = name
    return `* you are {name}`
  end,
  join = function(conn, room)
    leave(conn)
    return enter(conn, room)
  end,
}

return {
  framing = "line",
  on_connect = greet,
  on_message = function(msg, conn)
    local name, word = msg:match("^/(%l+) (%w+)$")
    local command = name and COMMANDS[name]
    if command and #word <= LONGEST_WORD then
      return command(conn, word)
    elseif msg:sub(1, 1) == "/" or msg:find("%c") then
      return nil, "bad line", HELP
    end
    tell_others(conn, `{conn.state.name}: {msg}`)
  end,
  on_close = leave,
  on_reload = function(conn)
    return if conn.state.room then nil else greet(conn) -- another script began this connection
  end,
}
