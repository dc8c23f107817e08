-- Patterns of keys: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a character that is meant as such.

local MAGIC = "[%^%$%(%)%%%.%[%]%*%+%-%?]"

local function literal(char)
  return if char == "\0" then "%z" else (char:gsub(MAGIC, "%%%0"))
end

-- A set that begins at `at`: as a Lua pattern, and where it ends.
local function set(pattern, at)
  local parts = { "[" }
  at += 1
  if pattern:sub(at, at) == "^" then
    table.insert(parts, "^")
    at += 1
  end
  local is_empty = true
  while at <= #pattern and pattern:sub(at, at) ~= "]" do
    local first, last = pattern:match("^([^\\])%-(.)", at)
    if first then
      if first > last then
        first, last = last, first
      end
      for code = first:byte(), last:byte() do
        table.insert(parts, literal(string.char(code)))
      end
      at += 3
    else
      at += if pattern:sub(at, at) == "\\" and at < #pattern then 1 else 0
      table.insert(parts, literal(pattern:sub(at, at)))
      at += 1
    end
    is_empty = false
  end
  if is_empty then
    return if #parts == 2 then "." else "%f[%z]%Z", at + 1 -- everything, or nothing at all
  end
  table.insert(parts, "]")
  return table.concat(parts), at + 1
end

-- A function that says whether a key fits.
return function(pattern)
  if pattern == "*" then
    return function()
      return true
    end
  end
  local parts = { "^" }
  local at = 1
  while at <= #pattern do
    local char = pattern:sub(at, at)
    local part
    if char == "[" then
      part, at = set(pattern, at)
    elseif char == "*" then
      part, at = ".*", pattern:find("[^*]", at) or #pattern + 1
    elseif char == "?" then
      part, at = ".", at + 1
    else
      at += if char == "\\" and at < #pattern then 1 else 0
      part, at = literal(pattern:sub(at, at)), at + 1
    end
    table.insert(parts, part)
  end
  table.insert(parts, "$")
  local compiled = table.concat(parts)
  return function(key)
    return key:find(compiled) ~= nil
  end
end
