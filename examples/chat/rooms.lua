-- Who is where: names and rooms, for all workers.
--
-- A name is an entry "name NAME" of server.shared, so that two cannot have it, and a topic of the
-- same words, which reaches its owner. To be in a room is an entry "in ROOM NAME" and a topic
-- "in ROOM".

local rooms = {}

-- Makes a name the connection's; false where somebody has it.
function rooms.take_name(conn, name)
  local key = "name " .. name
  if not server.shared.add(key, true) then
    return false
  end
  conn:subscribe(key)
  return true
end

function rooms.give_up_name(conn, name)
  local key = "name " .. name
  conn:unsubscribe(key)
  server.shared.delete(key)
end

function rooms.enter(conn, room, name)
  server.shared.set(`in {room} {name}`, true)
  conn:subscribe("in " .. room)
end

function rooms.leave(conn, room, name)
  server.shared.delete(`in {room} {name}`)
  conn:unsubscribe("in " .. room)
end

-- To everyone in a room but one.
function rooms.tell(room, text, except)
  server.publish("in " .. room, text, except)
end

-- To one person; false where there is none of that name.
function rooms.tell_person(name, text)
  local key = "name " .. name
  if not server.shared.get(key) then
    return false
  end
  server.publish(key, text)
  return true
end

-- The rooms in which somebody is, with their people, both sorted.
function rooms.all()
  local found = {}
  for _, key in server.shared.keys() do
    local name, person = key:match("^in (%w+) (%w+)$")
    if name then
      local last = found[#found]
      if not last or last.name ~= name then
        last = { name = name, people = {} }
        table.insert(found, last)
      end
      table.insert(last.people, person)
    end
  end
  return found
end

return rooms
