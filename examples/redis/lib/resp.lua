-- The wire: where a command ends in what has arrived, its arguments, and answers as bytes.

local LARGEST = 16 * 1024 * 1024 -- of a command
local LONGEST_ARGUMENT = 8 * 1024 * 1024
local MOST_ARGUMENTS = 64 * 1024
local LONGEST_LINE = 64 * 1024

local ARRAY, BULK = string.byte("*$", 1, 2)
local ESCAPES = { n = "\n", r = "\r", t = "\t", b = "\b", a = "\a" }

-- Between words; text is what is between these.
local BLANK, TEXT = "[ \t\r\n%z]", "[^ \t\r\n%z]"

local NULL = table.freeze({})
local OK = table.freeze({ line = "+OK" })

-- Inline commands ----------------------------------------------------------------------------

-- A word in quotes that begins at `at`: its text and where it ends; nil where it does not.
local function quoted(line, at)
  local quote = line:sub(at, at)
  local parts = {}
  at += 1
  while at <= #line do
    local char = line:sub(at, at)
    if char == quote then
      return table.concat(parts), at + 1
    elseif quote == '"' and char == "\\" and at < #line then
      local code = line:match("^x(%x%x)", at + 1)
      local escaped = line:sub(at + 1, at + 1)
      char = if code then string.char(tonumber(code, 16)) else ESCAPES[escaped] or escaped
      at += if code then 3 else 1
    elseif quote == "'" and line:sub(at, at + 1) == "\\'" then
      char = "'"
      at += 1
    end
    table.insert(parts, char)
    at += 1
  end
  return nil
end

-- The words of an inline command, or nil where a quote is not closed.
local function words(line)
  local found = {}
  local at = line:find(TEXT)
  while at do
    local word, after = "", at
    while after <= #line and not line:find("^" .. BLANK, after) do
      local part
      if line:find("^[\"']", after) then
        part, after = quoted(line, after)
        if not part or (after <= #line and not line:find("^" .. BLANK, after)) then
          return nil
        end
      else
        part = line:match("^[^ \t\r\n%z\"']+", after)
        after += #part
      end
      word ..= part
    end
    table.insert(found, word)
    at = line:find(TEXT, after)
  end
  return found
end

local function split_inline(buffer)
  local last = buffer:find("\n", 1, true)
  if last then
    local line = buffer:sub(1, last)
    return last, if line:find(TEXT) then line else nil -- an empty line is nothing
  elseif #buffer > LONGEST_LINE then
    return nil, "too big inline request"
  end
  return nil
end

-- Arrays -------------------------------------------------------------------------------------

-- Why there is no argument at `at`: what is malformed, or nil where more may make it one.
local function why_no_argument(buffer, at)
  if not buffer:find("\r\n", at, true) then
    return if #buffer - at > LONGEST_LINE then "too big bulk count string" else nil
  elseif buffer:byte(at) ~= BULK then
    return `expected '$', got '{buffer:sub(at, at)}'`
  end
  return "invalid bulk length"
end

-- Reads an array of bulk strings. Returns where it ends, and its items unless it is empty; or nil
-- and how many bytes are needed, if that is known; or nil and what is malformed.
local function scan(buffer)
  local digits, at = buffer:match("^%*(-?%d+)\r\n()")
  local count = tonumber(digits)
  if not count or count > MOST_ARGUMENTS then
    if count or buffer:find("\r\n", 1, true) then
      return nil, "invalid multibulk length"
    elseif #buffer > LONGEST_LINE then
      return nil, "too big mbulk count string"
    end
    return nil
  elseif count < 1 then
    return at - 1
  end
  local items = {}
  for index = 1, count do
    local size, first = buffer:match("^%$(%d+)\r\n()", at)
    local length = tonumber(size)
    if not length or length > LONGEST_ARGUMENT then
      return nil, why_no_argument(buffer, at)
    end
    at = first + length + 2
    if at - 1 > #buffer then
      return nil, at - 1
    end
    items[index] = buffer:sub(first, first + length - 1)
  end
  return at - 1, items
end

-- The message that was found last, and its arguments: most often they are what is asked for next.
local last_message, last_arguments

-- The framing: a message is a command as it came. What is malformed becomes a message too, so
-- that it can be answered.
local function split(buffer)
  if buffer:byte(1) ~= ARRAY then
    local last, text = split_inline(buffer)
    if last or not text then
      return last, text
    end
    return #buffer, buffer
  end
  local last, found = scan(buffer)
  if last and found then
    last_message, last_arguments = buffer:sub(1, last), found
    return last, last_message
  elseif type(found) == "string" then
    return #buffer, buffer
  end
  return last, found
end

-- The arguments of a message; or nil and what is malformed.
local function arguments(message)
  if message == last_message then
    return last_arguments
  elseif message:byte(1) == ARRAY then
    local last, found = scan(message)
    return last and found, found
  end
  local last, problem = split_inline(message)
  if not last then
    return nil, problem
  end
  return words(message:sub(1, last)), "unbalanced quotes in request"
end

-- Answers ------------------------------------------------------------------------------------

-- A string is a bulk string, a number an integer, an array an array; `{ line = "+OK" }` is that
-- line, and `{ map = { key, value, ... } }` a map, which RESP2 does not know.
local function encode(value, has_resp3)
  local kind = type(value)
  if kind == "string" then
    return "$" .. #value .. "\r\n" .. value .. "\r\n"
  elseif kind == "number" then
    return string.format(":%d\r\n", value)
  elseif value == NULL then
    return if has_resp3 then "_\r\n" else "$-1\r\n"
  elseif value.line then
    return value.line .. "\r\n"
  end
  local items = value.map or value
  local head = if value.map and has_resp3 then "%" .. #items // 2 else "*" .. #items
  local parts = { head .. "\r\n" }
  for _, item in items do
    table.insert(parts, encode(item, has_resp3))
  end
  return table.concat(parts)
end

-- An error is one line, whatever a peer has put into it.
local function failure(problem)
  return "-" .. problem:gsub("[\r\n]", " ") .. "\r\n"
end

return {
  LARGEST = LARGEST,
  NULL = NULL,
  OK = OK,
  arguments = arguments,
  encode = encode,
  failure = failure,
  split = split,
}
