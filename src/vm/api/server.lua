-- `server` but for what differs between generations: the other connections, topics, and the store
-- of all workers.
local host, arguments, new_conn, handle_of = ...

local error, type = error, type
local freeze = table.freeze
local expected, expected_number = arguments.expected, arguments.expected_number
local is_number, check_allowed = arguments.is_number, arguments.check_allowed
local check_topic = arguments.check_topic

local function check_data(call, data)
  if type(data) ~= "string" then
    error(expected(call, "a string", data), 3)
  end
end

-- The handle of the connection that is to be left out; nil where there is none.
local function left_out(call, except)
  if except == nil then
    return nil
  end
  local found = handle_of(except)
  if not found then
    error(expected(call, "a connection as the one to leave out", except), 3)
  end
  return found
end

local function sent(all)
  if all then
    return true
  end
  return nil, "full"
end

local server = {}

function server.stop()
  check_allowed("server.stop")
  host.stop()
end

function server.connections()
  check_allowed("server.connections")
  local list = host.connections()
  for i, conn in list do
    if type(conn) == "userdata" then
      list[i] = new_conn(conn)
      host.keep_object(conn, list[i])
    end
  end
  return list
end

function server.publish(topic, data, except)
  check_topic("server.publish", topic)
  check_data("server.publish", data)
  check_allowed("server.publish")
  return sent(host.publish(topic, data, left_out("server.publish", except)))
end

function server.broadcast(data, except)
  check_data("server.broadcast", data)
  check_allowed("server.broadcast")
  return sent(host.broadcast(data, left_out("server.broadcast", except)))
end

local LONGEST_KEY = 1024

local function check_key(call, key)
  if type(key) ~= "string" then
    error(expected(call, "a key as a string", key), 3)
  elseif #key > LONGEST_KEY then
    error(`{call} expects a key of {LONGEST_KEY} bytes at most, got {#key}`, 3)
  end
  check_allowed(call, 4)
end

local function check_value(call, value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    local hint = if value == nil then " (server.shared.delete removes a key)" else ""
    error(expected(call, "a string, a number or a boolean", value) .. hint, 3)
  end
end

local function check_ttl(call, ttl)
  if ttl ~= nil and (not is_number(ttl) or ttl <= 0) then
    error(expected_number(call, "a time to live in seconds above 0", ttl), 3)
  end
end

local shared = {}

function shared.get(key)
  check_key("server.shared.get", key)
  return host.shared.get(key)
end

function shared.set(key, value, ttl)
  check_key("server.shared.set", key)
  check_value("server.shared.set", value)
  check_ttl("server.shared.set", ttl)
  if host.shared.set(key, value, ttl) then
    return true
  end
  return nil, "limit"
end

function shared.add(key, value, ttl)
  check_key("server.shared.add", key)
  check_value("server.shared.add", value)
  check_ttl("server.shared.add", ttl)
  local problem = host.shared.add(key, value, ttl)
  if problem then
    return nil, problem
  end
  return true
end

function shared.incr(key, by, ttl)
  check_key("server.shared.incr", key)
  if by == nil then
    by = 1
  elseif not is_number(by) then
    error(expected_number("server.shared.incr", "a number to add", by), 2)
  end
  check_ttl("server.shared.incr", ttl)
  local value, problem = host.shared.incr(key, by, ttl)
  if problem then
    return nil, problem
  end
  return value
end

function shared.delete(key)
  check_key("server.shared.delete", key)
  return host.shared.delete(key)
end

function shared.keys()
  check_allowed("server.shared.keys")
  return host.shared.keys()
end

server.shared = freeze(shared)
server.now = host.now


return server
