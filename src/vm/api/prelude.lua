-- The Lua half of the script's API: checks arguments and raises errors at the caller's line, so
-- that the Rust half gets sound values and never raises. Runs once per VM, before the sandbox is
-- closed; returns what vm/machine.rs needs to make environments and conn objects.
local host = ...

local base = _G
local error, pcall, rawget, rawset, select = error, pcall, rawget, rawset, select
local setmetatable, tostring, type = setmetatable, tostring, type
local concat, freeze, unpack = table.concat, table.freeze, table.unpack
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

-- Arguments: what is wrong with one is an error of whoever called the API's function.

local function is_number(value)
  return type(value) == "number" and value == value
end

-- As `expected`, for numbers out of range.
local function expected_number(call, what, value)
  if type(value) == "number" then
    return `{call} expects {what}, got {value}`
  end
  return expected(call, what, value)
end

local function check_seconds(call, seconds)
  if not is_number(seconds) or seconds < 0 then
    error(expected_number(call, "a number of seconds, 0 or more", seconds), 3)
  end
end

local function check_function(call, fn)
  if type(fn) ~= "function" then
    error(expected(call, "a function", fn), 3)
  end
end

-- While a body or a framing function runs, nothing may be sent, ordered or made.
local function check_allowed(call, level)
  local problem = host.forbidden(call)
  if problem then
    error(problem, level or 3)
  end
end

-- Waiting: the host notes what is waited for, then the call yields to it; what it is resumed with
-- only the host can read.

local function wait()
  return host.answer(yield())
end

function base.sleep(seconds)
  check_seconds("sleep", seconds)
  local problem = host.sleep(seconds, is_yieldable())
  if problem then
    error(problem, 2)
  end
  wait()
end

-- Timers and tasks: a handle a task, which knows its number.

local TASK = newproxy()

local task_type = {
  __metatable = "task",
  __index = {
    cancel = function(self)
      local id = type(self) == "table" and rawget(self, TASK)
      if not id then
        error("call it with a colon: task:cancel()", 2)
      end
      host.cancel_task(id)
    end,
  },
  __tostring = function(self)
    return `task {rawget(self, TASK)}`
  end,
}

local function add_task(kind, seconds, fn)
  local id = host.add_task(kind, seconds, fn)
  if id == nil then
    return nil, "limit"
  end
  return setmetatable({ [TASK] = id }, task_type)
end

function base.after(seconds, fn)
  check_seconds("after", seconds)
  check_function("after", fn)
  check_allowed("after")
  return add_task("after", seconds, fn)
end

local SHORTEST_PERIOD = 0.001

function base.every(seconds, fn)
  if not is_number(seconds) or seconds < SHORTEST_PERIOD then
    error(expected_number("every", `a number of seconds, {SHORTEST_PERIOD} or more`, seconds), 2)
  end
  check_function("every", fn)
  check_allowed("every")
  return add_task("every", seconds, fn)
end

function base.spawn(fn, ...)
  check_function("spawn", fn)
  check_allowed("spawn")
  local count = select("#", ...)
  if count == 0 then
    return add_task("spawn", 0, fn)
  end
  local arguments = { ... }
  return add_task("spawn", 0, function()
    fn(unpack(arguments, 1, count))
  end)
end

local CONNECT_TIMEOUT = 10

function base.connect(url, options)
  if type(url) ~= "string" then
    error(expected("connect", "a URL as a string", url), 2)
  end
  local timeout, framing = CONNECT_TIMEOUT, nil
  if options ~= nil then
    if type(options) ~= "table" then
      error(expected("connect", "a table of options as its second value", options), 2)
    end
    for name in options do
      if name ~= "timeout" and name ~= "framing" then
        error(`connect has no option '{tostring(name)}'; there are timeout and framing`, 2)
      end
    end
    framing = rawget(options, "framing")
    timeout = rawget(options, "timeout")
    if timeout == nil then
      timeout = CONNECT_TIMEOUT
    end
  end
  check_seconds("connect: timeout", timeout)
  local problem = host.connect(url, timeout, framing, is_yieldable())
  if problem then
    error(problem, 2)
  end
  return wait()
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


host.toolbox(host, expected)

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

-- What a method of the host gave: a value, an error, or something to wait for.
local function settled(outcome, problem)
  if outcome == "raise" then
    error(problem, 3)
  elseif outcome == "wait" then
    return wait()
  elseif outcome == nil then
    return nil, problem
  end
  return outcome
end

local function send(conn, name, data, framed)
  if type(data) ~= "string" then
    error(expected(`conn:{name}`, "a string", data), 3)
  end
  check_allowed(`conn:{name}`, 4)
  local can_wait = is_yieldable()
  while true do
    local outcome, problem = host.send(conn, data, framed, can_wait)
    if outcome == true then
      return true
    elseif outcome ~= "wait" then
      return nil, problem
    end
    local room, why = wait()
    if not room then
      return nil, why
    end
  end
end

function methods.send(self, data)
  return send(handle(self, "send"), "send", data, true)
end

function methods.send_raw(self, data)
  return send(handle(self, "send_raw"), "send_raw", data, false)
end

function methods.flush(self)
  local conn = handle(self, "flush")
  check_allowed("conn:flush")
  return settled(host.flush(conn, is_yieldable()))
end

function methods.read(self, spec)
  return settled(host.read(handle(self, "read"), spec, is_yieldable()))
end

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

local LONGEST_TOPIC = 1024

local function check_topic(call, topic)
  if type(topic) ~= "string" then
    error(expected(call, "a topic as a string", topic), 3)
  elseif #topic == 0 or #topic > LONGEST_TOPIC then
    error(`{call} expects a topic of 1 to {LONGEST_TOPIC} bytes, got {#topic}`, 3)
  end
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

-- An error in a JSON file is told as one in code is, so that it is shown in its place.
local function decoded(source, text)
  local value, problem = host.json_decode(text)
  if problem then
    local what, line, column = string.match(problem, "^(.*) at line (%d+) column (%d+)$")
    error(if what then `{source}:{line}: {what} at column {column}` else `{source}: {problem}`, 0)
  end
  return value
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
    local ok, value = surfaced(pcall(body))
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

-- The other connections, topics, and the store of all workers.

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
  local found = type(except) == "table" and rawget(except, HANDLE)
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

freeze(shared)

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

local function new_environment(generation, worker, has_siblings, state, sources)
  local environment = {
    print = print,
    require = make_require(generation, sources),
    asset = make_asset(generation, sources),
    server = setmetatable({
      generation = generation,
      worker = worker,
      state = if has_siblings then nil else state,
      now = host.now,
      stop = server.stop,
      connections = server.connections,
      publish = server.publish,
      broadcast = server.broadcast,
      shared = shared,
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
