-- The Lua half of the script's API: checks arguments and raises errors at the caller's line, so
-- that the Rust half gets sound values and never raises. Runs once per VM, before the sandbox is
-- closed; returns what vm/machine.rs needs to make environments and conn objects.
local host = ...

local base = _G
local error, pcall, rawget, rawset, select = error, pcall, rawget, rawset, select
local setmetatable, tostring, type = setmetatable, tostring, type
local concat, freeze = table.concat, table.freeze
local create, is_yieldable, resume = coroutine.create, coroutine.isyieldable, coroutine.resume
local yield = coroutine.yield
local info = debug.info

local OUT_OF_MEMORY = "not enough memory"

local function expected(call, what, value)
  return `{call} expects {what}, got {if value == nil then "nil" else type(value)}`
end

-- Names of issues to come, so that a script that uses one is told so and not "nil value".
local function not_built(name)
  return function()
    error(`{name} is not built yet`, 2)
  end
end

-- A memory error must end the call, as it would without a pcall around it: scriptsock collects
-- only after that, and until then every allocation fails.

local function is_out_of_memory(problem)
  -- What a function of the host could not allocate comes as a userdata.
  return problem == OUT_OF_MEMORY
    or type(problem) == "userdata" and host.is_out_of_memory(problem)
end

local function surfaced(ok, ...)
  if not ok and is_out_of_memory((...)) then
    host.end_for_memory()
  end
  return ok, ...
end

function base.pcall(f, ...)
  return surfaced(pcall(f, ...))
end

local function surfaced_problem(problem)
  surfaced(false, problem)
  return problem
end

local xpcall = xpcall
function base.xpcall(f, handler, ...)
  if type(handler) ~= "function" then
    error(expected("xpcall", "a function as its handler", handler), 2)
  end
  return surfaced(xpcall(f, function(problem)
    local ok, text = surfaced(pcall(handler, surfaced_problem(problem)))
    if not ok then
      error(text, 0)
    end
    return text
  end, ...))
end

function coroutine.resume(co, ...)
  return surfaced(resume(co, ...))
end

local function unwrapped(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

local safe_resume = coroutine.resume
function coroutine.wrap(f)
  local co = create(f)
  return function(...)
    return unwrapped(safe_resume(co, ...))
  end
end

-- Pattern functions: patterns are bounded, and what is plain is searched for in linear time.
-- Luau's own plain search takes the product of both lengths; below this it is the faster one.

local LARGEST_PATTERN = 4096
local LARGEST_PRODUCT = 1000000

local function checked_pattern(name, pattern)
  if type(pattern) == "string" and #pattern > LARGEST_PATTERN then
    error(`string.{name}: the pattern has {#pattern} bytes, {LARGEST_PATTERN} are allowed`, 3)
  end
end

for _, name in { "match", "gmatch", "gsub" } do
  local original = string[name]
  string[name] = function(subject, pattern, ...)
    checked_pattern(name, pattern)
    return original(subject, pattern, ...)
  end
end

local find = string.find
function string.find(subject, pattern, init, plain)
  if type(subject) == "string" and type(pattern) == "string" then
    local is_large = #subject * #pattern > LARGEST_PRODUCT
    if is_large and (plain or not find(pattern, "[%^%$%*%+%?%.%(%)%[%]%%%-]")) then
      local start = if type(init) == "number" then init else 1
      return host.find(subject, pattern, start)
    end
    if not plain then
      checked_pattern("find", pattern)
    end
  end
  return find(subject, pattern, init, plain)
end

local split = string.split
function string.split(subject, separator)
  if type(subject) == "string" and type(separator) == "string" and #separator > 1 then
    if #subject * #separator > LARGEST_PRODUCT then
      return host.split(subject, separator)
    end
  end
  return split(subject, separator)
end

-- Sorting: Luau's own order is compared in C, where no call can be ended; a comparator can.

local LARGEST_UNCHECKED_SORT = 100000

local function less(a, b)
  return a < b
end

local sort = table.sort
function table.sort(list, comparator)
  if comparator == nil and type(list) == "table" and #list > LARGEST_UNCHECKED_SORT then
    comparator = less
  end
  return sort(list, comparator)
end

-- Waiting: the host notes what is waited for, then the call yields to it.

function base.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error(expected("sleep", "a number of seconds, 0 or more", seconds), 2)
  end
  local problem = host.sleep(seconds, is_yieldable())
  if problem then
    error(problem, 2)
  end
  yield()
end

-- Logging.

local function print(...)
  local parts = table.create(select("#", ...))
  for i = 1, select("#", ...) do
    parts[i] = tostring((select(i, ...)))
  end
  host.log("info", concat(parts, "\t"))
end

local log = {}
for _, level in { "debug", "info", "warn", "error" } do
  log[level] = function(message, fields)
    if fields ~= nil and type(fields) ~= "table" then
      error(expected(`log.{level}`, "a table of fields as its second value", fields), 2)
    end
    local parts = {}
    if fields then
      for name, value in fields do
        local text = tostring(value)
        if type(value) == "string" and string.match(text, "^[%w_.:/-]+$") == nil then
          text = string.format("%q", text)
        end
        table.insert(parts, `{tostring(name)}={text}`)
      end
      table.sort(parts)
    end
    host.log(level, tostring(message), if fields then concat(parts, " ") else nil)
  end
end
base.log = log

for _, name in { "after", "every", "spawn", "connect", "asset" } do
  base[name] = not_built(name)
end
for _, name in { "json", "hex", "base64", "hash", "random" } do
  base[name] = setmetatable({}, {
    __index = function(_, key)
      error(`{name}.{key} is not built yet`, 2)
    end,
    __metatable = false,
  })
end

-- Connections: a table a connection, which holds its handle and, once it was used, `state`.

local HANDLE = newproxy()

local function handle(self, method)
  local found = type(self) == "table" and rawget(self, HANDLE)
  if not found then
    error(`call it with a colon: conn:{method}(...)`, 3)
  end
  return found
end

local methods = {}

function methods.send(self, data)
  local conn = handle(self, "send")
  if type(data) ~= "string" then
    error(expected("conn:send", "a string", data), 2)
  end
  local can_wait = is_yieldable()
  while true do
    local outcome, problem = host.send(conn, data, can_wait)
    if outcome == "raise" then
      error(problem, 2)
    elseif outcome ~= "wait" then
      return outcome, problem
    end
    yield()
  end
end

function methods.flush(self)
  local outcome, problem = host.flush(handle(self, "flush"), is_yieldable())
  if outcome == "raise" then
    error(problem, 2)
  elseif outcome == "wait" then
    local closed = yield()
    if closed then
      return nil, "closed"
    end
    return true
  end
  return outcome, problem
end

for _, method in { "close", "reset", "shutdown" } do
  methods[method] = function(self)
    local problem = host.order(handle(self, method), method)
    if problem then
      error(problem, 2)
    end
  end
end

for _, method in {
  "read",
  "send_raw",
  "set_framing",
  "set_idle_timeout",
  "option",
  "subscribe",
  "unsubscribe",
} do
  methods[method] = not_built(`conn:{method}`)
end

local conn_type = {
  __metatable = "conn",
  __index = function(self, key)
    local method = methods[key]
    if method then
      return method
    end
    if key == "state" then
      local state = {}
      rawset(self, "state", state)
      return state
    end
    local value, problem = host.field(rawget(self, HANDLE), key)
    if problem then
      error(problem, 2)
    end
    return value
  end,
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
    local body, fault = host.load(generation, source)
    if not body then
      error(fault, 0)
    end
    table.insert(chain, source)
    local was_loading = host.set_loading(true)
    local ok, value = surfaced(pcall(body))
    host.set_loading(was_loading)
    table.remove(chain)
    if not ok then
      error(value, 0)
    end
    values[source] = if value == nil then true else value
    return values[source]
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
      elseif table.find({ "connections", "publish", "broadcast", "shared" }, key) then
        error(`server.{key} is not built yet`, 2)
      end
      return nil
    end,
  })
end

local function stop()
  local problem = host.stop()
  if problem then
    error(problem, 2)
  end
end

local function new_environment(generation, worker, has_siblings, state, sources)
  local environment = {
    print = print,
    require = make_require(generation, sources),
    server = setmetatable({
      generation = generation,
      worker = worker,
      state = if has_siblings then nil else state,
      now = host.now,
      stop = stop,
    }, new_server_type(state, has_siblings)),
  }
  freeze(environment.server)
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
