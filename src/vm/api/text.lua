-- Functions of Luau's library that are slow, or could run long unchecked: ours do neither.
local host = ...

local error, type = error, type

string.upper, string.lower = host.upper, host.lower

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
