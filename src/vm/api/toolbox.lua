-- The Lua half of `json hex base64 hash random`, and of what the sandbox leaves of `debug` and
-- `coroutine`: checks arguments, raises errors at the caller's line. Runs once per VM, by the
-- prelude, before the sandbox is closed; that makes every table of the base read-only.
local host, arguments = ...

local base = _G
local error, type = error, type
local find, sub = string.find, string.sub
local running, info = coroutine.running, debug.info
local expected, expected_number = arguments.expected, arguments.expected_number

-- The value if it is a string; else the error belongs to the caller of the API's function.
local function checked_string(call, value)
  if type(value) ~= "string" then
    error(expected(call, "a string", value), 3)
  end
  return value
end

base.json = {
  null = host.json_null,
  encode = function(value)
    if value == nil then
      error(expected("json.encode", "a value (null is json.null)", value), 2)
    end
    local text, problem = host.json_encode(value)
    if not text then
      error(`json.encode: {problem}`, 2)
    end
    return text
  end,
  decode = function(text)
    return host.json_decode(checked_string("json.decode", text))
  end,
}

base.hex = {
  encode = function(data)
    return host.hex_encode(checked_string("hex.encode", data))
  end,
  decode = function(text)
    return host.hex_decode(checked_string("hex.decode", text))
  end,
  dump = function(data)
    return host.hex_dump(checked_string("hex.dump", data))
  end,
}

base.base64 = {
  encode = function(data)
    return host.base64_encode(checked_string("base64.encode", data))
  end,
  decode = function(text)
    return host.base64_decode(checked_string("base64.decode", text))
  end,
}

local ALGORITHMS = { sha256 = true, sha1 = true, md5 = true }
local VARIANTS = { modbus = true, ccitt = true, xmodem = true, arc = true }

local hash = {}
for name in ALGORITHMS do
  local call = `hash.{name}`
  hash[name] = function(data)
    return host.digest(name, checked_string(call, data))
  end
end

-- A string that is none of the names is shown, anything else by its type.
local function checked_name(call, what, names, value)
  if type(value) ~= "string" then
    error(expected(call, what, value), 3)
  elseif not names[value] then
    error(`{call} expects {what}, got "{sub(value, 1, 32)}"`, 3)
  end
  return value
end

function hash.hmac(algorithm, key, data)
  checked_name("hash.hmac", '"sha256", "sha1" or "md5"', ALGORITHMS, algorithm)
  if type(key) ~= "string" then
    error(expected("hash.hmac", "a string as its key", key), 2)
  end
  return host.hmac(algorithm, key, checked_string("hash.hmac", data))
end

function hash.crc32(data)
  return host.crc32(checked_string("hash.crc32", data))
end

function hash.crc16(data, variant)
  checked_string("hash.crc16", data)
  if variant == nil then
    variant = "modbus"
  end
  checked_name("hash.crc16", '"modbus", "ccitt", "xmodem" or "arc"', VARIANTS, variant)
  return host.crc16(data, variant)
end

base.hash = hash

base.random = {
  bytes = function(count)
    local most = host.most_random
    local is_whole = type(count) == "number" and count % 1 == 0
    if not is_whole or count < 0 or count > most then
      error(expected_number("random.bytes", `a whole number from 0 to {most}`, count), 2)
    end
    local bytes, problem = host.random(count)
    if not bytes then
      error(`random.bytes: {problem}`, 2)
    end
    return bytes
  end,
}

-- The sandbox. On the stack there are functions of the host that nobody else may call, and the
-- coroutine of a call is resumed by the host alone: a script gets hold of neither.

-- Where `debug.info` looks and what for. Of the options there is no "f", the function itself.
local function checked_info(where, level, what)
  if type(where) ~= "thread" then
    what, level = level, 0
    if type(where) == "number" then
      level = where
    elseif type(where) ~= "function" then
      error(expected("debug.info", "a function, a level or a thread", where), 3)
    end
  end
  if type(level) ~= "number" or level < 0 or level % 1 ~= 0 then
    error(expected("debug.info", "a whole number, 0 or more, as its level", level), 3)
  elseif type(what) ~= "string" or find(what, "[^slna]") then
    error(expected("debug.info", 'a string of the options "s", "l", "n" and "a"', what), 3)
  end
end

function debug.info(where, level, what)
  checked_info(where, level, what)
  if type(where) == "thread" then
    return info(where, level, what)
  elseif type(where) == "number" then
    -- This function is on the stack too.
    return info(where + 1, level)
  end
  return info(where, level)
end

function coroutine.running()
  local co = running()
  if host.is_call(co) then
    return nil
  end
  return co
end
