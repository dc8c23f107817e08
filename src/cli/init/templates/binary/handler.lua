-- A binary protocol: messages with a length in front, packed and unpacked.
--
-- Start:    scriptsock
-- Try:      printf '\0\003\001hi' | scriptsock connect --hex 7890
-- Protocol: two bytes say how many follow; then a byte for the operation, and its arguments:
--           1 echo: any bytes · 2 add: two numbers of four bytes · 3 set, 4 get: a key behind a
--           byte with its length, and for set a value. An answer has a status in that place: 0 is
--           well, 1 unknown operation, 2 malformed, 3 not found.

local OK, UNKNOWN, MALFORMED, NOT_FOUND = 0, 1, 2, 3

local function status(code, data)
  return string.char(code) .. (data or "")
end

local function refuse(code, reason)
  return nil, reason, status(code) -- the reason goes to the log, the status to the peer
end

-- What string.unpack finds, or nil where the bytes are too few.
local function unpacked(format, data)
  local results = table.pack(pcall(string.unpack, format, data))
  if results[1] then
    return table.unpack(results, 2, results.n)
  end
  return nil
end

local OPERATIONS = {
  function(data)
    return status(OK, data)
  end,
  function(data)
    local a, b, behind = unpacked(">i4i4", data)
    if not a or behind <= #data then
      return refuse(MALFORMED, "add takes two numbers of four bytes")
    end
    return status(OK, string.pack(">i8", a + b))
  end,
  function(data, store)
    local key, behind = unpacked("s1", data)
    if not key then
      return refuse(MALFORMED, "set takes a key and a value")
    end
    store[key] = data:sub(behind)
    return status(OK)
  end,
  function(data, store)
    local key = unpacked("s1", data)
    if not key then
      return refuse(MALFORMED, "get takes a key")
    end
    local value = store[key]
    return if value then status(OK, value) else status(NOT_FOUND)
  end,
}

return {
  framing = "length:u16be", -- the answers get such a length too
  on_message = function(msg)
    local operation = OPERATIONS[msg:byte() or 0]
    if not operation then
      return refuse(UNKNOWN, "unknown operation")
    end
    return operation(msg:sub(2), server.state) -- a save keeps what is stored
  end,
} :: Handler
