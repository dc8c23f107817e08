-- A store like memcached, over TCP and over UDP (without its frame header), for one worker.
--
-- Start:    scriptsock --script memcached.lua
-- Try:      printf 'set k 0 60 5\r\nhello\r\nget k\r\n' | nc -N 127.0.0.1 7890
-- Protocol: the text protocol of memcached: set add replace append prepend cas, get gets,
--           incr decr delete touch flush_all stats version verbosity quit, with "noreply"

local LONGEST_KEY = 250
local LARGEST = 1024 * 1024
local LONGEST_RELATIVE = 60 * 60 * 24 * 30 -- larger expiry times are seconds since 1970
local PATIENCE = 10 -- seconds for a block to arrive
local PIECE = 32 * 1024 -- of a block that is thrown away
local END_OF_BLOCK = "\r\n"

local BAD_LINE = "CLIENT_ERROR bad command line format"
local BAD_CHUNK = "CLIENT_ERROR bad data chunk"
local TOO_LARGE = "SERVER_ERROR object too large for cache"

local state = server.state
state.items = state.items or {} -- key -> { flags, value, expires, unique }
state.last_unique = state.last_unique or 0

local function is_key(text)
  return text ~= nil and #text <= LONGEST_KEY and not text:find("%c")
end

-- When an expiry time is over: nil is never.
local function deadline(text)
  local seconds = tonumber(text)
  if seconds == 0 then
    return nil
  elseif seconds < 0 then
    return 0
  elseif seconds > LONGEST_RELATIVE then
    return seconds
  end
  return server.now() + seconds
end

local function is_over(item)
  local flushed = state.flush_at and state.flush_at <= server.now() and item.stored < state.flush_at
  return flushed or (item.expires ~= nil and item.expires <= server.now())
end

local function find(key)
  local item = state.items[key]
  if item and is_over(item) then
    state.items[key] = nil
    return nil
  end
  return item
end

local function put(key, item)
  state.last_unique += 1
  item.unique = state.last_unique
  item.stored = server.now()
  state.items[key] = item
  return "STORED"
end

local function sweep()
  for key in state.items do
    find(key)
  end
end

-- Numbers of 64 bits without a sign; what is none is nil.
local TEN = integer.create(10)
local ZERO = integer.create(0)

local function counter(text)
  if not text or not text:find("^%d+$") or #text > 20 then
    return nil
  end
  local number = ZERO
  for digit in text:gmatch("%d") do
    number = integer.add(integer.mul(number, TEN), integer.create(tonumber(digit)))
  end
  return number
end

-- What a block is stored by: what there is under its key, the new item, and the cas number.
local STORE = {
  set = function(key, _, item)
    return put(key, item)
  end,
  add = function(key, old, item)
    return if old then "NOT_STORED" else put(key, item)
  end,
  replace = function(key, old, item)
    return if old then put(key, item) else "NOT_STORED"
  end,
  append = function(key, old, item)
    if not old then
      return "NOT_STORED"
    end
    return put(key, { flags = old.flags, expires = old.expires, value = old.value .. item.value })
  end,
  prepend = function(key, old, item)
    if not old then
      return "NOT_STORED"
    end
    return put(key, { flags = old.flags, expires = old.expires, value = item.value .. old.value })
  end,
  cas = function(key, old, item, unique)
    if not old then
      return "NOT_FOUND"
    end
    return if old.unique == tonumber(unique) then put(key, item) else "EXISTS"
  end,
}

-- Reads a block that is not wanted, so that the next line is found behind it. A datagram has all
-- of a block that it will ever have.
local function skip(conn, count)
  local is_stream = conn.transport == "tcp"
  while count > 0 do
    local patience = if is_stream then PATIENCE else 0
    local piece = conn:read({ fixed = math.min(count, PIECE), timeout = patience })
    if not piece then
      return if is_stream then conn:close() else nil
    end
    count -= #piece
  end
end

local function store(conn, command, key, flags, expires, size, unique)
  size = tonumber(size)
  if not is_key(key) then
    skip(conn, size + #END_OF_BLOCK)
    return BAD_LINE
  elseif size > LARGEST then
    skip(conn, size + #END_OF_BLOCK)
    state.items[key] = nil
    return TOO_LARGE
  end
  local whole = size + #END_OF_BLOCK
  local block = conn:read({ fixed = whole, max = whole, timeout = PATIENCE })
  if not block then
    conn:send(BAD_CHUNK)
    return conn:close()
  elseif #block ~= whole or block:sub(-#END_OF_BLOCK) ~= END_OF_BLOCK then
    return BAD_CHUNK -- the rest of a datagram may be shorter
  end
  local item = { flags = flags, expires = deadline(expires), value = block:sub(1, size) }
  local old = find(key)
  if old and #old.value + #item.value > LARGEST and command:find("pend$") then
    return TOO_LARGE
  end
  return STORE[command](key, old, item, unique)
end

local function get(keys, has_unique)
  local lines = {}
  for key in keys:gmatch("%S+") do
    if not is_key(key) then
      return BAD_LINE
    end
    local item = find(key)
    if item then
      local unique = if has_unique then ` {item.unique}` else ""
      table.insert(lines, `VALUE {key} {item.flags} {#item.value}{unique}`)
      table.insert(lines, item.value)
    end
  end
  table.insert(lines, "END")
  return table.concat(lines, "\r\n") -- one message, so one datagram
end

local function count(key, delta, up)
  local by = counter(delta)
  if not by then
    return "CLIENT_ERROR invalid numeric delta argument"
  end
  local item = find(key)
  if not item then
    return "NOT_FOUND"
  end
  local number = counter(item.value)
  if not number then
    return "CLIENT_ERROR cannot increment or decrement non-numeric value"
  elseif up then
    number = integer.add(number, by)
  else
    number = if integer.ult(number, by) then ZERO else integer.sub(number, by)
  end
  local value = string.format("%u", number)
  put(key, { flags = item.flags, expires = item.expires, value = value })
  return value
end

local COMMANDS = {
  get = function(rest)
    return if rest == "" then "ERROR" else get(rest, false)
  end,
  gets = function(rest)
    return if rest == "" then "ERROR" else get(rest, true)
  end,
  incr = function(rest)
    local key, delta = rest:match("^(%S+) (%S+)$")
    return if is_key(key) then count(key, delta, true) else "ERROR"
  end,
  decr = function(rest)
    local key, delta = rest:match("^(%S+) (%S+)$")
    return if is_key(key) then count(key, delta, false) else "ERROR"
  end,
  delete = function(rest)
    local key = rest:match("^(%S+)$") or rest:match("^(%S+) 0$")
    if not is_key(key) then
      return BAD_LINE
    end
    local item = find(key)
    state.items[key] = nil
    return if item then "DELETED" else "NOT_FOUND"
  end,
  touch = function(rest)
    local key, expires = rest:match("^(%S+) (-?%d+)$")
    if not is_key(key) then
      return "ERROR"
    end
    local item = find(key)
    if not item then
      return "NOT_FOUND"
    end
    item.expires = deadline(expires)
    return "TOUCHED"
  end,
  flush_all = function(rest)
    local delay = tonumber(if rest == "" then "0" else rest)
    if not delay or delay < 0 then
      return BAD_LINE
    end
    if delay == 0 then
      table.clear(state.items)
      state.flush_at = nil
    else
      state.flush_at = server.now() + delay
    end
    return "OK"
  end,
  stats = function(rest)
    return if rest ~= "" then "ERROR" else `STAT time {math.floor(server.now())}\r\nEND`
  end,
  version = function(rest)
    return if rest ~= "" then "ERROR" else "VERSION 1.0.0"
  end,
  verbosity = function(rest)
    return if rest:find("^%d+$") then "OK" else "ERROR"
  end,
  quit = function(rest, conn)
    return if rest ~= "" then "ERROR" else conn:close()
  end,
}

local HAS_NOREPLY =
  { incr = true, decr = true, delete = true, touch = true, flush_all = true, verbosity = true }

-- A line of one of the commands that a block follows: key, flags, expiry, size and cas number.
local function storage(command, rest)
  if command == "cas" then
    return rest:match("^(%S+) (%d+) (-?%d+) (%d+) (%d+)$")
  end
  return rest:match("^(%S+) (%d+) (-?%d+) (%d+)$")
end

return {
  framing = { "crlf", max = 64 * 1024 },
  on_load = function()
    every(1, sweep)
  end,
  on_message = function(msg, conn)
    local command, rest = msg:match("^(%S+) *(.-) *$")
    if not command then
      return "ERROR"
    end
    local is_quiet = 0
    if STORE[command] or HAS_NOREPLY[command] then
      rest, is_quiet = rest:gsub(" ?noreply$", "")
    end
    local answer
    if STORE[command] then
      local key, flags, expires, size, unique = storage(command, rest)
      answer = if key then store(conn, command, key, flags, expires, size, unique) else "ERROR"
    elseif COMMANDS[command] then
      answer = COMMANDS[command](rest, conn)
    else
      return nil, "unknown command", "ERROR"
    end
    return if is_quiet == 0 then answer else nil
  end,
}
