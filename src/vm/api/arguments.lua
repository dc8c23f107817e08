-- What the parts of the API check arguments with. Errors belong to whoever called the API's
-- function, so each check says at which level of the stack that is.
local host = ...

local error, type = error, type

local function expected(call, what, value)
  return `{call} expects {what}, got {if value == nil then "nil" else type(value)}`
end

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

local LONGEST_TOPIC = 1024

local function check_topic(call, topic)
  if type(topic) ~= "string" then
    error(expected(call, "a topic as a string", topic), 3)
  elseif #topic == 0 or #topic > LONGEST_TOPIC then
    error(`{call} expects a topic of 1 to {LONGEST_TOPIC} bytes, got {#topic}`, 3)
  end
end

return {
  expected = expected,
  expected_number = expected_number,
  is_number = is_number,
  check_allowed = check_allowed,
  check_function = check_function,
  check_seconds = check_seconds,
  check_topic = check_topic,
}
