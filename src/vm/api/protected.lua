-- `pcall`, `xpcall` and coroutines that let the end of a call pass.
local host, arguments = ...

local base = _G
local error, pcall, type = error, pcall, type
local create, resume = coroutine.create, coroutine.resume
local expected = arguments.expected

local OUT_OF_MEMORY = "not enough memory"

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

-- Where an error of another coroutine came from is remembered, for the traceback.
local function kept(co, ok, ...)
  local problem = ...
  if not ok and type(problem) == "string" then
    host.keep_frames(problem, co)
  end
  return ok, ...
end

function coroutine.resume(co, ...)
  return kept(co, surfaced(resume(co, ...)))
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

return surfaced, is_out_of_memory
