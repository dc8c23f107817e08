-- DNS messages: RFC 1035 4.1, with the OPT record of RFC 6891.

local HEADER = 12
local LONGEST_NAME = 255
local POINTER, FARTHEST = 0xC000, 0x3FFF
local OPT, IN = 41, 1
local OWN_SIZE = 1232 -- of a datagram that is taken here
local OPT_SIZE = 11
local DO = 0x8000
local QR, AA, TC, RD = 0x8000, 0x0400, 0x0200, 0x0100

-- Reading ------------------------------------------------------------------------------------

-- A name at `at`, and where it ends; or nil. A pointer is followed only where it points back.
local function read_name(message, at)
  local labels, length, after = {}, 0, nil
  local limit = at
  while true do
    local size = message:byte(at)
    if not size then
      return nil
    elseif size == 0 then
      return table.concat(labels, "."), after or at + 1
    elseif size >= 192 then
      local low = message:byte(at + 1)
      local target = low and (size - 192) * 256 + low + 1
      if not target or target >= limit or target <= HEADER then
        return nil
      end
      after = after or at + 2
      at, limit = target, target
    else
      length += size + 1
      if size > 63 or length >= LONGEST_NAME or at + size > #message then
        return nil
      end
      -- No name here has a label with a dot in it: such a one must not look like two.
      table.insert(labels, (message:sub(at + 1, at + size):gsub("%.", "\0")))
      at += size + 1
    end
  end
end

local function read_question(message)
  local name, at = read_name(message, HEADER + 1)
  if not name or at + 3 > #message then
    return nil
  end
  local kind, class = string.unpack(">I2I2", message, at)
  return { name = name, key = name:lower(), kind = kind, class = class }, at + 4
end

-- A record at `at`: its owner, type, class, time to live; and where it ends.
local function read_record(message, at)
  local name, after = read_name(message, at)
  if not name or after + 9 > #message then
    return nil
  end
  local kind, class, ttl, size = string.unpack(">I2I2I4I2", message, after)
  after += 10 + size
  if after - 1 > #message then
    return nil
  end
  return { name = name, kind = kind, class = class, ttl = ttl }, after
end

-- The OPT record among what follows the question; nil where there is none, false where
-- something is malformed.
local function read_edns(message, at, counts)
  local edns
  for index = 1, counts.answers + counts.authorities + counts.additionals do
    local record, after = read_record(message, at)
    if not record then
      return false
    elseif record.kind == OPT then
      local is_additional = index > counts.answers + counts.authorities
      if edns or record.name ~= "" or not is_additional then
        return false
      end
      local version = bit32.extract(record.ttl, 16, 8)
      edns = { size = record.class, version = version, flags = bit32.band(record.ttl, DO) }
    end
    at = after
  end
  if at <= #message then
    return false
  end
  return edns
end

local function is_response(message)
  return message:byte(3) >= 128
end

-- A query; or nil and what is wrong.
local function parse(message)
  if #message < HEADER then
    return nil, "shorter than a header"
  elseif is_response(message) then
    return nil, "a response"
  end
  local id, flags, questions, answers, authorities, additionals =
    string.unpack(">I2I2I2I2I2I2", message)
  if questions ~= 1 then
    return nil, `{questions} questions`
  end
  local question, at = read_question(message)
  if not question then
    return nil, "a malformed question"
  end
  local counts = { answers = answers, authorities = authorities, additionals = additionals }
  local edns = read_edns(message, at, counts)
  if edns == false then
    return nil, "malformed behind the question"
  end
  return {
    id = id,
    flags = flags,
    opcode = bit32.extract(flags, 11, 4),
    question = question,
    question_bytes = message:sub(HEADER + 1, at - 1),
    edns = edns,
  }
end

-- Writing ------------------------------------------------------------------------------------

-- A message that grows: its parts, its size, and where each name stands in it.
local function writer(bytes)
  return { parts = { bytes }, size = #bytes, places = {} }
end

local function put(into, bytes)
  table.insert(into.parts, bytes)
  into.size += #bytes
end

-- A name, with a pointer to where its end was written before.
local function put_name(into, name, is_plain)
  while name ~= "" do
    local key = name:lower()
    local place = into.places[key]
    if place and not is_plain then
      return put(into, string.pack(">I2", POINTER + place))
    elseif not place and into.size <= FARTHEST then
      into.places[key] = into.size
    end
    local label, rest = name:match("^([^.]*)%.?(.*)$")
    put(into, string.pack("s1", label))
    name = rest
  end
  return put(into, "\0")
end

local function put_record(into, name, record)
  put_name(into, name)
  put(into, string.pack(">I2I2I4", record.kind, IN, record.ttl))
  local data = { parts = {}, size = into.size + 2, places = into.places }
  for _, part in record.parts do
    if type(part) == "string" then
      put(data, part)
    else
      put_name(data, part.name, part.is_plain)
    end
  end
  put(into, string.pack(">s2", table.concat(data.parts)))
end

local function header(query, flags, code, counts)
  flags = QR + bit32.band(query.flags, 0x7800 + RD) + flags + code % 16
  return string.pack(">I2I2I2I2I2I2", query.id, flags, 1, counts[1], counts[2], counts[3])
end

local function opt(query, code)
  if not query.edns then
    return ""
  end
  local ttl = code // 16 * 2 ^ 24 + query.edns.flags
  return string.pack(">BI2I2I4I2", 0, OPT, OWN_SIZE, ttl, 0)
end

-- A message that begins with a header, to be filled in, and the question as it came.
local function begun(query)
  local into = writer(("\0"):rep(HEADER) .. query.question_bytes)
  local name, place = query.question.key, HEADER
  while name ~= "" do
    into.places[name] = place
    local label, rest = name:match("^([^.]*)%.?(.*)$")
    place += #label + 1
    name = rest
  end
  return into
end

-- A reply of `limit` bytes at most; where it would be larger, one without records that says so.
-- With a zone the SOA says how long a no holds.
local function reply(query, code, answers, zone, limit)
  local into = begun(query)
  for _, each in answers do
    put_record(into, each.name, each.record)
  end
  if zone then
    put_record(into, zone.origin, zone.soa)
  end
  local additional = if query.edns then 1 else 0
  local is_ours = zone ~= nil or #answers > 0
  if into.size + additional * OPT_SIZE > limit then
    local head = header(query, AA + TC, code, { 0, 0, additional })
    return head .. query.question_bytes .. opt(query, code)
  end
  local counts = { #answers, if zone then 1 else 0, additional }
  into.parts[1] = header(query, if is_ours then AA else 0, code, counts) .. query.question_bytes
  return table.concat(into.parts) .. opt(query, code)
end

-- What can be said to something that is no query: its number comes back.
local function failure(message, code)
  local id, flags = string.unpack(">I2I2", message)
  flags = QR + bit32.band(flags, 0x7800 + RD) + code
  return string.pack(">I2I2I2I2I2I2", id, flags, 0, 0, 0, 0)
end

return {
  HEADER = HEADER,
  failure = failure,
  is_response = is_response,
  parse = parse,
  reply = reply,
}
