-- Everything that waits or runs later: `sleep`, timers, tasks, outgoing connections. Returns what
-- a method that waits ends with.
local host, arguments = ...

local base = _G
local error, rawget, select = error, rawget, select
local setmetatable, tostring, type = setmetatable, tostring, type
local unpack = table.unpack
local is_yieldable, yield = coroutine.isyieldable, coroutine.yield
local expected, expected_number = arguments.expected, arguments.expected_number
local is_number, check_allowed = arguments.is_number, arguments.check_allowed
local check_function, check_seconds = arguments.check_function, arguments.check_seconds

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

return wait
