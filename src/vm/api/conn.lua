-- The methods and fields of connections. Returns what makes an object for a connection, and what
-- finds the handle in one.
local host, arguments, wait = ...

local error, rawget, rawset = error, rawget, rawset
local setmetatable, tostring, type = setmetatable, tostring, type
local is_yieldable = coroutine.isyieldable
local expected, check_allowed = arguments.expected, arguments.check_allowed
local check_seconds, check_topic = arguments.check_seconds, arguments.check_topic

-- A connection is a table, which holds its handle and, once it was used, `state`.

local HANDLE = host.handle_key

local function handle(self, method, level)
  local found = type(self) == "table" and rawget(self, HANDLE)
  if not found then
    error(`call it with a colon: conn:{method}(...)`, level or 3)
  end
  return found
end

-- What a method of the host gave: a value, or an error.
local function settled(outcome, problem)
  if outcome == "raise" then
    error(problem, 3)
  elseif outcome == nil then
    return nil, problem
  end
  return outcome
end

-- A read that asks for more than a message. It is called by the host's `read`, which is one more
-- level of the stack.
local function read_by(self, spec, more)
  if more ~= nil then
    error('conn:read takes one framing; a timeout goes into it: { "line", timeout = 5 }', 3)
  end
  local conn = handle(self, "read", 4)
  local outcome, problem = host.read(conn, spec, is_yieldable())
  if outcome == false then
    return wait()
  elseif outcome == "raise" then
    error(problem, 3)
  elseif outcome == nil then
    return nil, problem
  end
  return outcome
end

-- What is on the way of messages is the host's: `send`, `send_raw`, `flush` and `read`.
local methods = host.methods(read_by)

function methods.set_framing(self, spec)
  local conn = handle(self, "set_framing")
  check_allowed("conn:set_framing")
  return settled(host.set_framing(conn, spec))
end

function methods.set_idle_timeout(self, seconds)
  local conn = handle(self, "set_idle_timeout")
  check_allowed("conn:set_idle_timeout")
  if seconds ~= nil then
    check_seconds("conn:set_idle_timeout", seconds)
  end
  return settled(host.set_idle_timeout(conn, seconds))
end

function methods.option(self, name, value)
  local conn = handle(self, "option")
  if type(name) ~= "string" then
    error(expected("conn:option", "the name of an option as a string", name), 2)
  end
  check_allowed("conn:option")
  return settled(host.option(conn, name, value))
end

for _, method in { "subscribe", "unsubscribe" } do
  methods[method] = function(self, topic)
    local conn = handle(self, method)
    check_topic(`conn:{method}`, topic)
    check_allowed(`conn:{method}`)
    return settled(host[method](conn, topic))
  end
end

for _, method in { "close", "reset", "shutdown" } do
  methods[method] = function(self)
    local conn = handle(self, method)
    check_allowed(`conn:{method}`)
    host.order(conn, method)
  end
end

local conn_type = {
  __metatable = "conn",
  -- The host has looked among the methods, and is one more level of the stack.
  __index = host.index(methods, function(self, key)
    if key == "state" then
      local state = {}
      rawset(self, "state", state)
      return state
    end
    local value, problem = host.field(rawget(self, HANDLE), key)
    if problem then
      error(problem, 3)
    end
    return value
  end),
  __newindex = function(self, key, value)
    if key ~= "state" then
      error(`conn.{tostring(key)} cannot be set; keep your own values in conn.state`, 2)
    end
    rawset(self, key, value)
  end,
  __tostring = function(self)
    return host.describe(rawget(self, HANDLE))
  end,
}

local function new_conn(conn)
  return setmetatable({ [HANDLE] = conn }, conn_type)
end

local function handle_of(value)
  return type(value) == "table" and rawget(value, HANDLE)
end

return new_conn, handle_of
