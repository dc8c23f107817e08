-- Commands about the connection and the server itself.

local glob = require("./glob")
local resp = require("./resp")
local store = require("./store")
local words = require("./words")

local OK, NULL = resp.OK, resp.NULL
local VERSION = "7.0.0" -- of the Redis that clients may take this for

-- What CONFIG GET knows: redis-benchmark asks for the first two.
local SETTINGS = {
  save = "",
  appendonly = "no",
  databases = tostring(store.DATABASES),
  maxmemory = "0",
  timeout = "0",
}

local function is_name(text)
  return not text:find("[^!-~]")
end

local function name_connection(conn, name)
  if not is_name(name) then
    return nil, "ERR Client names cannot contain spaces, newlines or special characters."
  end
  conn.state.name = name
  return OK
end

local function authenticate()
  return nil,
    "ERR AUTH <password> called without any password configured for the default user."
      .. " Are you sure your configuration is correct?"
end

-- The options of HELLO behind the version: an error, or nothing and a name.
local function hello_options(args)
  local index, name = 3, nil
  while index <= #args do
    local option = args[index]:upper()
    if option == "AUTH" and index + 2 <= #args then
      local _, problem = authenticate()
      return problem
    elseif option == "SETNAME" and index + 1 <= #args then
      name = args[index + 1]
      index += 2
    else
      return `ERR Syntax error in HELLO option '{args[index]}'`
    end
  end
  return nil, name
end

local function hello(args, _, conn)
  local version
  if args[2] then
    version = words.number(args[2])
    if not version then
      return nil, "ERR Protocol version is not an integer or out of range"
    elseif version ~= 2 and version ~= 3 then
      return nil, "NOPROTO unsupported protocol version"
    end
    local problem, name = hello_options(args)
    if problem then
      return nil, problem
    elseif name then
      local named, bad_name = name_connection(conn, name)
      if not named then
        return nil, bad_name
      end
    end
    conn.state.has_resp3 = version == 3
  end
  local proto = if conn.state.has_resp3 then 3 else 2
  local about = { "server", "redis", "version", VERSION, "proto", proto, "id", conn.id }
  for _, item in { "mode", "standalone", "role", "master", "modules", {} } do
    table.insert(about, item)
  end
  return { map = about }
end

local CLIENT = {
  ID = function(_, conn)
    return conn.id
  end,
  GETNAME = function(_, conn)
    return conn.state.name or NULL
  end,
  SETNAME = function(args, conn)
    return name_connection(conn, args[3])
  end,
  SETINFO = function()
    return OK
  end,
}
local CLIENT_ARGUMENTS = { ID = 2, GETNAME = 2, SETNAME = 3, SETINFO = 4 }

local function client(args, _, conn)
  local name = args[2]:upper()
  if not CLIENT[name] then
    return words.unknown_subcommand(args)
  elseif #args ~= CLIENT_ARGUMENTS[name] then
    return nil, `ERR wrong number of arguments for 'client|{name:lower()}' command`
  end
  return CLIENT[name](args, conn)
end

local function config(args)
  local name = args[2]:upper()
  if name ~= "GET" then
    return words.unknown_subcommand(args)
  elseif #args < 3 then
    return nil, "ERR wrong number of arguments for 'config|get' command"
  end
  local map = {}
  for setting, value in SETTINGS do
    for index = 3, #args do
      if glob(args[index]:lower())(setting) then
        table.insert(map, setting)
        table.insert(map, value)
        break
      end
    end
  end
  return { map = map }
end

local function select_database(args, _, conn)
  local number, problem = words.number(args[2])
  if not number then
    return nil, problem
  elseif number < 0 or number >= store.DATABASES then
    return nil, "ERR DB index is out of range"
  end
  conn.state.database = number
  return OK
end

local function quit(_, _, conn)
  conn:send(resp.encode(OK))
  return conn:close()
end

local function info()
  local lines = {
    "# Server",
    `redis_version:{VERSION}`,
    "redis_mode:standalone",
    `generation:{server.generation}`,
    "# Clients",
    `connected_clients:{#server.connections()}`,
  }
  return table.concat(lines, "\r\n") .. "\r\n"
end

return {
  ping = {
    arity = -1,
    summary = "PONG, or what was sent",
    run = function(args)
      if #args > 2 then
        return nil, "ERR wrong number of arguments for 'ping' command"
      end
      return args[2] or { line = "+PONG" }
    end,
  },
  echo = {
    arity = 2,
    summary = "What was sent",
    run = function(args)
      return args[2]
    end,
  },
  select = { arity = 2, summary = "Changes the database", run = select_database },
  quit = { arity = -1, summary = "Closes the connection", run = quit },
  hello = { arity = -1, summary = "The protocol: 2 or 3", run = hello },
  auth = { arity = -2, summary = "There is no password", run = authenticate },
  client = { arity = -2, summary = "ID, GETNAME, SETNAME, SETINFO", run = client },
  config = { arity = -2, summary = "GET a setting", run = config },
  info = { arity = -1, summary = "About the server", run = info },
  time = {
    arity = 1,
    summary = "Seconds since 1970, and microseconds",
    run = function()
      local now = server.now()
      local seconds = math.floor(now)
      return { tostring(seconds), tostring(math.floor((now - seconds) * 1000000)) }
    end,
  },
}
