-- The Lua half of the script's API: checks arguments and raises errors at the caller's line, so
-- that the Rust half gets sound values and never raises. Runs once per VM, before the sandbox is
-- closed; returns what vm/machine.rs needs to make environments and conn objects. Each part is a
-- file beside this one; what is here differs between generations.
local host, parts = ...

local base = _G
local error, rawset, setmetatable, type, xpcall = error, rawset, setmetatable, type, xpcall
local concat, freeze = table.concat, table.freeze
local info = debug.info

local arguments = parts.arguments(host)
local expected = arguments.expected
local surfaced, is_out_of_memory = parts.protected(host, arguments)
parts.world(host)
parts.text(host)
local wait = parts.tasks(host, arguments)
local print = parts.log(host, arguments)
parts.toolbox(host, arguments)
local new_conn, handle_of = parts.conn(host, arguments, wait)
local server = parts.server(host, arguments, new_conn, handle_of)

-- Generations: each has an environment of its own, with a `require` and a `server` of its own.

local function requiring_file(sources)
  local level = 3
  while true do
    local source = info(level, "s")
    if source == nil then
      return sources.main
    elseif sources[source] then
      return source
    end
    level += 1
  end
end

-- An error in a JSON file is told as one in code is, so that it is shown in its place.
local function decoded(source, text)
  local value, problem = host.json_decode(text)
  if problem then
    local what, line, column = string.match(problem, "^(.*) at line (%d+) column (%d+)$")
    error(if what then `{source}:{line}: {what} at column {column}` else `{source}: {problem}`, 0)
  end
  return value
end

-- A memory error has to pass as it is.
local function keep_frames(problem)
  if type(problem) == "string" and not is_out_of_memory(problem) then
    host.keep_frames(problem)
  end
  return problem
end

-- `sources` holds the chunk names of the generation's files, and under "main" that of its script.
local function make_require(generation, sources)
  local values, chain = {}, { call = 0 }
  return function(name)
    if type(name) ~= "string" then
      error(expected("require", "a path as a string", name), 2)
    end
    local source, problem = host.resolve(generation, requiring_file(sources), name)
    if not source then
      error(problem, 2)
    end
    if values[source] ~= nil then
      return values[source]
    end
    -- A body cannot wait, so what another call left here is of one that was ended within a body.
    if chain.call ~= host.call() then
      table.clear(chain)
      chain.call = host.call()
    end
    if table.find(chain, source) then
      error(`require cycle: {concat(chain, " -> ")} -> {source}`, 2)
    end
    local body, fault, json = host.load(generation, source)
    if json then
      values[source] = decoded(source, json)
      return values[source]
    elseif not body then
      error(fault, 0)
    end
    table.insert(chain, source)
    local before = host.load_begins()
    local ok, value = surfaced(xpcall(body, keep_frames))
    host.load_ends(before)
    table.remove(chain)
    if not ok then
      error(value, 0)
    end
    values[source] = if value == nil then true else value
    return values[source]
  end
end

local function make_asset(generation, sources)
  local assets = {}
  return function(name)
    if type(name) ~= "string" then
      error(expected("asset", "a path as a string", name), 2)
    end
    local from = requiring_file(sources)
    local known = assets[from]
    if known and known[name] then
      return known[name]
    end
    local bytes, problem = host.asset(generation, from, name)
    if not bytes then
      error(problem, 2)
    end
    if not known then
      known = {}
      assets[from] = known
    end
    known[name] = bytes
    return bytes
  end
end

-- Where there are several workers each has a state of its own, which surprises: the first use is
-- told to the host, that is why `state` is no plain field then.
local function new_server_type(state, has_siblings)
  return freeze({
    __index = function(_, key)
      if key == "state" and has_siblings then
        host.note_state()
        return state
      end
      return nil
    end,
  })
end

local function freeze_with(own, metatable)
  for name, value in server do
    own[name] = value
  end
  return freeze(setmetatable(own, metatable))
end

local function new_environment(generation, worker, has_siblings, state, sources)
  local environment = {
    print = print,
    require = make_require(generation, sources),
    asset = make_asset(generation, sources),
    server = freeze_with({
      generation = generation,
      worker = worker,
      state = if has_siblings then nil else state,
    }, new_server_type(state, has_siblings)),
  }
  environment._G = environment
  return setmetatable(environment, {
    __index = base,
    __newindex = function(_, name, value)
      rawset(environment, name, value)
      -- Files loaded before hold on to the base's value of this name unless they are told.
      if base[name] ~= nil then
        host.note_override(environment)
      end
    end,
  })
end

return new_environment, new_conn
