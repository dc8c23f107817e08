-- Commands about keys of any kind: what there is, and when it expires.

local expiry = require("./expiry")
local glob = require("./glob")
local resp = require("./resp")
local store = require("./store")
local words = require("./words")

local NO_KEY, NEVER = -2, -1

local function type_of(value)
  if value == nil then
    return "none"
  end
  return if type(value) == "string" then "string" else "list"
end

local function count(args, db, each)
  local found = 0
  for index = 2, #args do
    if store.find(db, args[index]) then
      found += 1
      if each then
        each(db, args[index])
      end
    end
  end
  return found
end

local function delete(args, db)
  return count(args, db, store.remove)
end

local function matching(db, pattern, kind)
  store.sweep()
  local fits = glob(pattern)
  local keys = {}
  for key, value in db.values do
    if fits(key) and (not kind or type_of(value) == kind) then
      table.insert(keys, key)
    end
  end
  return keys
end

-- All keys in one answer, which is a way to scan, too.
local function scan(args, db)
  if not args[2]:find("^%d+$") then
    return nil, "ERR invalid cursor"
  end
  local pattern, kind = "*", nil
  for index = 3, #args, 2 do
    local option, value = args[index]:upper(), args[index + 1]
    if option == "MATCH" and value then
      pattern = value
    elseif option == "TYPE" and value then
      kind = value:lower()
    elseif option == "COUNT" and value then
      local size, problem = words.number(value)
      if not size or size < 1 then
        return nil, problem or words.SYNTAX
      end
    else
      return nil, words.SYNTAX
    end
  end
  return { "0", matching(db, pattern, kind) }
end

-- NX, XX, GT and LT of EXPIRE.
local function conditions(args)
  local given = {}
  for index = 4, #args do
    local option = args[index]:upper()
    if not table.find({ "NX", "XX", "GT", "LT" }, option) then
      return nil, `ERR Unsupported option {args[index]}`
    end
    given[option] = true
  end
  if given.NX and (given.XX or given.GT or given.LT) then
    return nil, "ERR NX and XX, GT or LT options at the same time are not compatible"
  elseif given.GT and given.LT then
    return nil, "ERR GT and LT options at the same time are not compatible"
  end
  return given
end

local function is_refused(given, old, due)
  local limit = old or math.huge -- what never expires outlives everything
  return given.NX and old
    or given.XX and not old
    or given.GT and due <= limit
    or given.LT and due >= limit
end

local function expire(args, db, unit)
  local given, problem = conditions(args)
  if not given then
    return nil, problem
  end
  local due, bad_time = expiry.moment(unit, args[3], args[1]:lower())
  if not due then
    return nil, bad_time
  end
  local key = args[2]
  if not store.find(db, key) or is_refused(given, db.expires[key], due) then
    return 0
  elseif due <= server.now() then
    store.remove(db, key)
  else
    db.expires[key] = due
  end
  return 1
end

local function left(db, key, a_second)
  if not store.find(db, key) then
    return NO_KEY
  end
  local due = db.expires[key]
  return if due then math.round((due - server.now()) * a_second) else NEVER
end

local function expiring(unit, summary)
  return {
    arity = -3,
    summary = summary,
    run = function(args, db)
      return expire(args, db, unit)
    end,
  }
end

local function clearing(clear, summary)
  return {
    arity = -1,
    summary = summary,
    run = function(args, db)
      local mode = args[2] and args[2]:upper()
      if #args > 2 or mode and mode ~= "SYNC" and mode ~= "ASYNC" then
        return nil, words.SYNTAX
      end
      clear(db)
      return resp.OK
    end,
  }
end

return {
  del = { arity = -2, summary = "Removes keys", run = delete },
  unlink = { arity = -2, summary = "Removes keys", run = delete },
  exists = {
    arity = -2,
    summary = "How many of the keys there are",
    run = function(args, db)
      return count(args, db)
    end,
  },
  type = {
    arity = 2,
    summary = "The kind of a value",
    run = function(args, db)
      return { line = "+" .. type_of(store.find(db, args[2])) }
    end,
  },
  keys = {
    arity = 2,
    summary = "The keys that a pattern matches",
    run = function(args, db)
      return matching(db, args[2])
    end,
  },
  scan = { arity = -2, summary = "All keys, with MATCH COUNT TYPE", run = scan },
  dbsize = {
    arity = 1,
    summary = "How many keys there are",
    run = function(_, db)
      return #matching(db, "*")
    end,
  },
  flushdb = clearing(store.clear, "Removes all keys of this database"),
  flushall = clearing(store.clear_all, "Removes all keys"),
  expire = expiring("EX", "Seconds that a key has to live, with NX XX GT LT"),
  pexpire = expiring("PX", "Milliseconds that a key has to live, with NX XX GT LT"),
  expireat = expiring("EXAT", "The second when a key expires, with NX XX GT LT"),
  pexpireat = expiring("PXAT", "The millisecond when a key expires, with NX XX GT LT"),
  ttl = {
    arity = 2,
    summary = "Seconds until a key expires",
    run = function(args, db)
      return left(db, args[2], 1)
    end,
  },
  pttl = {
    arity = 2,
    summary = "Milliseconds until a key expires",
    run = function(args, db)
      return left(db, args[2], 1000)
    end,
  },
  persist = {
    arity = 2,
    summary = "Lets a key live for ever",
    run = function(args, db)
      if not store.find(db, args[2]) or not db.expires[args[2]] then
        return 0
      end
      db.expires[args[2]] = nil
      return 1
    end,
  },
}
