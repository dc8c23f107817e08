-- An authoritative DNS server for a few zones, over UDP and TCP.
--
-- Start:    scriptsock --script examples/dns/handler.lua --listen 5300    (UDP and TCP)
-- Try:      dig @127.0.0.1 -p 5300 example.test MX
-- Protocol: RFC 1035 with EDNS (RFC 6891); the zones are in zone.lua

local records = require("./lib/records")
local wire = require("./lib/wire")
local zones = require("./zone")

local LARGEST_DATAGRAM = 1232 -- what passes everywhere in one piece
local SMALLEST_LIMIT = 512 -- what a peer takes that says nothing else
local LARGEST_STREAM = 65535
local FORGET = 5 -- seconds after which a silent peer of UDP is nobody

local IN, ANY = 1, 255
local QUERY = 0
local NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 3, 4, 5, 16

local SERVED = records.load(zones)

-- The zone that a name is in: that of the most labels.
local function zone_of(name)
  local at = 1
  while at do
    local zone = SERVED[name:sub(at)]
    if zone then
      return zone
    end
    local dot = name:find(".", at, true)
    at = dot and dot + 1
  end
  return nil
end

-- Puts the records of one name and type into `answer`; whether there are any.
local function take(answer, node, name, kind)
  local found = false
  for _, record in node do
    if record.kind == kind or kind == ANY then
      table.insert(answer, { name = name, record = record })
      found = true
    end
  end
  return found
end

local function cname_of(node)
  for _, record in node do
    if record.kind == records.KINDS.CNAME then
      return record
    end
  end
  return nil
end

-- Answers a question: the code, the answers, and the SOA where there are none.
local function look_up(question)
  local zone = zone_of(question.key)
  if not zone or question.class ~= IN and question.class ~= ANY then
    return REFUSED, {}
  end
  local answer = {}
  local name, key, seen = question.name, question.key, {}
  while not seen[key] do
    seen[key] = true
    local node = zone.nodes[key]
    if not node then
      return NXDOMAIN, answer, zone
    elseif take(answer, node, name, question.kind) then
      return NOERROR, answer
    end
    local alias = cname_of(node)
    if not alias then
      return NOERROR, answer, zone
    end
    table.insert(answer, { name = name, record = alias })
    name, key = alias.target, alias.target:lower()
    zone = zone_of(key)
    if not zone then
      return NOERROR, answer -- the rest is for others to answer
    end
  end
  return NOERROR, answer -- aliases that go round
end

-- What a peer can take at once.
local function limit_of(conn, edns)
  if conn.transport ~= "udp" and conn.transport ~= "unixgram" then
    return LARGEST_STREAM
  end
  return math.clamp(if edns then edns.size else SMALLEST_LIMIT, SMALLEST_LIMIT, LARGEST_DATAGRAM)
end

local function answer(query, limit)
  if query.opcode ~= QUERY then
    return wire.reply(query, NOTIMP, {}, nil, limit)
  elseif query.edns and query.edns.version > 0 then
    return wire.reply(query, BADVERS, {}, nil, limit)
  elseif query.question.kind >= 249 and query.question.kind < ANY then
    return wire.reply(query, REFUSED, {}, nil, limit) -- transfers of zones, and the like
  end
  local code, found, zone = look_up(query.question)
  return wire.reply(query, code, found, zone, limit)
end

return {
  framing = "length:u16be", -- on TCP; a datagram is a message as it is
  idle_timeout = 30,
  peer_timeout = FORGET,
  on_message = function(msg, conn)
    local query, problem = wire.parse(msg)
    if query then
      return answer(query, limit_of(conn, query.edns))
    elseif #msg < wire.HEADER or wire.is_response(msg) then
      return nil, problem -- to answer an answer could go on for ever
    end
    return nil, problem, wire.failure(msg, FORMERR)
  end,
}
