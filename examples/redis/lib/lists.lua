-- Commands about lists. A list is `{ first, last, items }`: items by a number that may be below 0,
-- so that both ends grow alike.

local resp = require("./resp")
local store = require("./store")
local words = require("./words")

local NULL = resp.NULL
local NO_ARRAY = { line = "*-1" }

-- The list of a key, nil where there is none; or nil and an error.
local function find(db, key)
  local value = store.find(db, key)
  if type(value) == "string" then
    return nil, words.WRONG_TYPE
  end
  return value
end

local function length(list)
  return list.last - list.first + 1
end

local function push(args, db, is_left)
  local list, problem = find(db, args[2])
  if problem then
    return nil, problem
  elseif not list then
    list = { first = 1, last = 0, items = {} }
    store.set(db, args[2], list)
  end
  for index = 3, #args do
    if is_left then
      list.first -= 1
      list.items[list.first] = args[index]
    else
      list.last += 1
      list.items[list.last] = args[index]
    end
  end
  return length(list)
end

local function take(list, is_left)
  local at = if is_left then list.first else list.last
  local item = list.items[at]
  list.items[at] = nil
  if is_left then
    list.first += 1
  else
    list.last -= 1
  end
  return item
end

local function pop_count(text)
  local number = words.number(text)
  if not number or number < 0 then
    return nil, words.NOT_POSITIVE
  end
  return number
end

local function pop(args, db, is_left)
  local wanted, bad_count
  if #args > 3 then
    return nil, `ERR wrong number of arguments for '{args[1]:lower()}' command`
  elseif args[3] then
    wanted, bad_count = pop_count(args[3])
    if bad_count then
      return nil, bad_count
    end
  end
  local list, problem = find(db, args[2])
  if problem then
    return nil, problem
  elseif not list then
    return if wanted then NO_ARRAY else NULL
  end
  local taken = {}
  for _ = 1, math.min(wanted or 1, length(list)) do
    table.insert(taken, take(list, is_left))
  end
  if length(list) == 0 then
    store.remove(db, args[2])
  end
  return if wanted then taken else taken[1]
end

local function range(args, db)
  local first, last = words.number(args[3]), words.number(args[4])
  if not first or not last then
    return nil, words.NOT_AN_INTEGER
  end
  local list, problem = find(db, args[2])
  if problem then
    return nil, problem
  end
  local size = if list then length(list) else 0
  first = math.max(if first < 0 then size + first else first, 0)
  last = math.min(if last < 0 then size + last else last, size - 1)
  local items = {}
  for index = first, last do
    table.insert(items, list.items[list.first + index])
  end
  return items
end

local function index(args, db)
  local list, problem = find(db, args[2])
  if problem then
    return nil, problem
  end
  if not list then
    return NULL
  end
  local at, no_number = words.number(args[3])
  if not at then
    return nil, no_number
  end
  return list.items[if at < 0 then list.last + 1 + at else list.first + at] or NULL
end

local function at_end(arity, is_left, summary, act)
  return {
    arity = arity,
    summary = summary,
    run = function(args, db)
      return act(args, db, is_left)
    end,
  }
end

return {
  lpush = at_end(-3, true, "Adds to the front of a list", push),
  rpush = at_end(-3, false, "Adds to the end of a list", push),
  lpop = at_end(-2, true, "Takes from the front of a list", pop),
  rpop = at_end(-2, false, "Takes from the end of a list", pop),
  llen = {
    arity = 2,
    summary = "The length of a list",
    run = function(args, db)
      local list, problem = find(db, args[2])
      if problem then
        return nil, problem
      end
      return if list then length(list) else 0
    end,
  },
  lrange = { arity = 4, summary = "A part of a list", run = range },
  lindex = { arity = 3, summary = "An item of a list", run = index },
}
