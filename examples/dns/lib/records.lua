-- Zones as tables become records on the wire. What is wrong with them is an error, and so a reload
-- that fails.

local KINDS =
  { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33 }
local LONGEST_LABEL, LONGEST_NAME, LONGEST_STRING = 63, 253, 255

-- A name without the dot at its end; `@` and relative names belong to the zone.
local function absolute(name, origin)
  local whole = `{name}.{origin}`
  if name == "@" then
    whole = origin
  elseif name:sub(-1) == "." then
    whole = name:sub(1, -2)
  end
  assert(#whole <= LONGEST_NAME, `{whole}: the name is too long`)
  for label in (whole .. "."):gmatch("([^.]*)%.") do
    local is_fine = #label > 0 and #label <= LONGEST_LABEL
    assert(is_fine, `{whole}: a label has 1 to {LONGEST_LABEL} bytes`)
  end
  return whole
end

local function ipv4(text)
  local bytes = {}
  for part in (text .. "."):gmatch("([^.]*)%.") do
    local number = part:find("^%d%d?%d?$") and tonumber(part)
    assert(number and number <= 255, `{text} is no IPv4 address`)
    table.insert(bytes, string.char(number))
  end
  assert(#bytes == 4, `{text} is no IPv4 address`)
  return table.concat(bytes)
end

-- The groups of a part of an IPv6 address.
local function groups(text, whole)
  local bytes = ""
  if text ~= "" then
    for group in (text .. ":"):gmatch("([^:]*):") do
      assert(group:find("^%x%x?%x?%x?$"), `{whole} is no IPv6 address`)
      bytes ..= string.pack(">I2", tonumber(group, 16))
    end
  end
  return bytes
end

local function ipv6(text)
  local head, tail = text:match("^(.-)::(.*)$")
  local first = groups(head or text, text)
  local last = groups(tail or "", text)
  local missing = 16 - #first - #last
  assert(if head then missing >= 2 else missing == 0, `{text} is no IPv6 address`)
  return first .. ("\0"):rep(missing) .. last
end

local function text(value)
  local parts = {}
  for _, part in if type(value) == "table" then value else { value } do
    assert(#part <= LONGEST_STRING, `a string of TXT has {LONGEST_STRING} bytes at most`)
    table.insert(parts, string.pack("s1", part))
  end
  return table.concat(parts)
end

-- The data of a record as parts: bytes, and `{ name = ... }`, which can be compressed.
local PARTS = {
  A = function(value)
    return { ipv4(value) }
  end,
  AAAA = function(value)
    return { ipv6(value) }
  end,
  TXT = function(value)
    return { text(value) }
  end,
  MX = function(value, origin)
    return { string.pack(">I2", value[1]), { name = absolute(value[2], origin) } }
  end,
  SRV = function(value, origin)
    local target = { name = absolute(value[4], origin), is_plain = true }
    return { string.pack(">I2I2I2", value[1], value[2], value[3]), target }
  end,
  SOA = function(value, origin)
    local server = { name = absolute(value[1], origin) }
    local mailbox = { name = absolute(value[2], origin) }
    return { server, mailbox, string.pack(">I4I4I4I4I4", table.unpack(value, 3, 7)) }
  end,
}
for _, kind in { "NS", "CNAME", "PTR" } do
  PARTS[kind] = function(value, origin)
    return { { name = absolute(value, origin) } }
  end
end

local function record(kind, value, origin, ttl)
  local parts = PARTS[kind](value, origin)
  local target = if kind == "CNAME" then parts[1].name else nil
  return { kind = KINDS[kind], ttl = ttl, parts = parts, target = target }
end

-- The records of one name.
local function node(name, kinds, origin, ttl)
  local found = {}
  local names = {}
  for kind in kinds do
    assert(KINDS[kind], `{name}: records of type {kind} are not known`)
    assert(type(kinds[kind]) == "table", `{name}, {kind}: a list is wanted`)
    table.insert(names, kind)
  end
  assert(not kinds.CNAME or #names == 1, `{name}: an alias has no other records`)
  table.sort(names) -- so that answers keep their order
  for _, kind in names do
    for _, value in if kind == "SOA" then { kinds.SOA } else kinds[kind] do
      local done, made = pcall(record, kind, value, origin, ttl)
      assert(done, `{name}, {kind}: {made}`)
      table.insert(found, made)
    end
  end
  return found
end

-- A zone with its names in lower case. Names that only have others below them are there, too.
local function zone(origin, source)
  local made = { nodes = {} }
  local soa = source.names["@"] and source.names["@"].SOA
  assert(soa, `{origin}: the zone has no SOA`)
  for name, kinds in source.names do
    local key = absolute(name, origin):lower()
    made.nodes[key] = node(key, kinds, origin, source.ttl)
    local parent = key:match("^[^.]*%.(.*)$")
    while parent and #parent > #origin do
      made.nodes[parent] = made.nodes[parent] or {}
      parent = parent:match("^[^.]*%.(.*)$")
    end
  end
  -- How long a no may be kept: RFC 2308.
  made.origin, made.soa = origin, record("SOA", soa, origin, math.min(source.ttl, soa[7]))
  return made
end

local function load(zones)
  local served = {}
  for origin, source in zones do
    local key = absolute(origin .. ".", ""):lower()
    served[key] = zone(key, source)
  end
  return served
end

return { KINDS = KINDS, load = load }
