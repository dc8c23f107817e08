-- Commands about strings.

local expiry = require("./expiry")
local resp = require("./resp")
local store = require("./store")
local words = require("./words")

local NULL, OK = resp.NULL, resp.OK
local ZERO = integer.create(0)

-- The string of a key, nil where there is none; or nil and an error.
local function find(db, key)
  local value = store.find(db, key)
  if type(value) == "table" then
    return nil, words.WRONG_TYPE
  end
  return value
end

local function value_or_null(db, key)
  local value, problem = find(db, key)
  if problem then
    return nil, problem
  end
  return value or NULL
end

-- A new value for a key that keeps its time.
local function replace(db, key, value)
  db.values[key] = value
end

local function add(db, key, by)
  local text, problem = find(db, key)
  if problem then
    return nil, problem
  end
  local old, no_number = words.int64(text or "0")
  if not old then
    return nil, no_number
  end
  local sum = integer.add(old, by)
  if integer.lt(by, ZERO) ~= integer.lt(sum, old) and by ~= ZERO then
    return nil, "ERR increment or decrement would overflow"
  end
  replace(db, key, tostring(sum))
  return { line = `:{sum}` }
end

local function add_argument(db, key, text, is_down)
  local by, problem = words.int64(text)
  if not by then
    return nil, problem
  elseif is_down and by == integer.minsigned then
    return nil, "ERR decrement would overflow"
  end
  return add(db, key, if is_down then integer.neg(by) else by)
end

-- Flags of SET, and what each cannot stand beside.
local EXCLUDES = { NX = "XX", XX = "NX", GET = "none" }

-- The options of SET behind key and value; or nil and an error.
local function set_options(args)
  local options = {}
  local index = 4
  while index <= #args do
    local option = args[index]:upper()
    local excluded = EXCLUDES[option]
    if excluded and not options[excluded] then
      options[option] = true
    elseif options.time or options.KEEPTTL then
      return nil, words.SYNTAX
    elseif option == "KEEPTTL" then
      options.KEEPTTL = true
    elseif expiry.UNITS[option] and args[index + 1] then
      options.time = { unit = option, text = args[index + 1] }
      index += 1
    else
      return nil, words.SYNTAX
    end
    index += 1
  end
  return options
end

local function set(args, db)
  local key = args[2]
  if #args == 3 then
    store.set(db, key, args[3])
    return OK
  end
  local options, problem = set_options(args)
  if not options then
    return nil, problem
  end
  local expires
  if options.time then
    expires, problem = expiry.deadline(options.time.unit, options.time.text, "set")
    if not expires then
      return nil, problem
    end
  end
  local old = store.find(db, key)
  if options.GET and type(old) == "table" then
    return nil, words.WRONG_TYPE
  end
  local answer = if options.GET then old or NULL else OK
  if options.NX and old or options.XX and not old then
    return if options.GET then answer else NULL
  end
  store.set(db, key, args[3], if options.KEEPTTL then db.expires[key] else expires)
  return answer
end

-- SETEX and PSETEX.
local function set_for(args, db, unit)
  local expires, problem = expiry.deadline(unit, args[3], args[1]:lower())
  if not expires then
    return nil, problem
  end
  store.set(db, args[2], args[4], expires)
  return OK
end

-- The bytes from one index to another, both counted from 0, or from the end where below 0.
local function range(text, first, last)
  if first < 0 and last < 0 and first > last then
    return ""
  end
  first = math.max(if first < 0 then #text + first else first, 0)
  last = math.max(if last < 0 then #text + last else last, 0)
  return text:sub(first + 1, last + 1)
end

local function mset(args, db)
  for index = 2, #args, 2 do
    store.set(db, args[index], args[index + 1])
  end
end

local function mset_arguments(args)
  if #args % 2 == 0 then
    return nil, `ERR wrong number of arguments for '{args[1]:lower()}' command`
  end
  return true
end

return {
  get = {
    arity = 2,
    summary = "The value of a key",
    run = function(args, db)
      return value_or_null(db, args[2])
    end,
  },
  set = {
    arity = -3,
    summary = "Sets a key, with EX PX EXAT PXAT KEEPTTL NX XX GET",
    run = set,
  },
  setnx = {
    arity = 3,
    summary = "Sets a key that is not there",
    run = function(args, db)
      if store.find(db, args[2]) then
        return 0
      end
      store.set(db, args[2], args[3])
      return 1
    end,
  },
  setex = {
    arity = 4,
    summary = "Sets a key for so many seconds",
    run = function(args, db)
      return set_for(args, db, "EX")
    end,
  },
  psetex = {
    arity = 4,
    summary = "Sets a key for so many milliseconds",
    run = function(args, db)
      return set_for(args, db, "PX")
    end,
  },
  getset = {
    arity = 3,
    summary = "Sets a key and returns its old value",
    run = function(args, db)
      local old, problem = value_or_null(db, args[2])
      if not problem then
        store.set(db, args[2], args[3])
      end
      return old, problem
    end,
  },
  getdel = {
    arity = 2,
    summary = "Removes a key and returns its value",
    run = function(args, db)
      local old, problem = value_or_null(db, args[2])
      if not problem then
        store.remove(db, args[2])
      end
      return old, problem
    end,
  },
  mget = {
    arity = -2,
    summary = "The values of keys",
    run = function(args, db)
      local values = {}
      for index = 2, #args do
        values[index - 1] = find(db, args[index]) or NULL
      end
      return values
    end,
  },
  mset = {
    arity = -3,
    summary = "Sets several keys",
    run = function(args, db)
      local fits, problem = mset_arguments(args)
      if not fits then
        return nil, problem
      end
      mset(args, db)
      return OK
    end,
  },
  msetnx = {
    arity = -3,
    summary = "Sets several keys, where none of them is there",
    run = function(args, db)
      local fits, problem = mset_arguments(args)
      if not fits then
        return nil, problem
      end
      for index = 2, #args, 2 do
        if store.find(db, args[index]) then
          return 0
        end
      end
      mset(args, db)
      return 1
    end,
  },
  append = {
    arity = 3,
    summary = "Adds to a string",
    run = function(args, db)
      local old, problem = find(db, args[2])
      if problem then
        return nil, problem
      end
      local value = (old or "") .. args[3]
      replace(db, args[2], value)
      return #value
    end,
  },
  strlen = {
    arity = 2,
    summary = "The length of a string",
    run = function(args, db)
      local value, problem = find(db, args[2])
      if problem then
        return nil, problem
      end
      return #(value or "")
    end,
  },
  getrange = {
    arity = 4,
    summary = "A part of a string",
    run = function(args, db)
      local first, last = words.number(args[3]), words.number(args[4])
      if not first or not last then
        return nil, words.NOT_AN_INTEGER
      end
      local value, problem = find(db, args[2])
      if problem then
        return nil, problem
      end
      return range(value or "", first, last)
    end,
  },
  incr = {
    arity = 2,
    summary = "Adds 1",
    run = function(args, db)
      return add(db, args[2], integer.create(1))
    end,
  },
  decr = {
    arity = 2,
    summary = "Takes 1 away",
    run = function(args, db)
      return add(db, args[2], integer.create(-1))
    end,
  },
  incrby = {
    arity = 3,
    summary = "Adds a number",
    run = function(args, db)
      return add_argument(db, args[2], args[3], false)
    end,
  },
  decrby = {
    arity = 3,
    summary = "Takes a number away",
    run = function(args, db)
      return add_argument(db, args[2], args[3], true)
    end,
  },
}
