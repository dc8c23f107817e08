-- A broker for MQTT 3.1.1 without stored sessions and quality of service 2.
--
-- Start:    scriptsock --script mqtt.lua --listen tcp://127.0.0.1:1883 --workers 4
-- Try:      mosquitto_sub -t 'home/#' -v    and: mosquitto_pub -t home/door -m open -q 1 -r
-- Protocol: CONNECT PUBLISH SUBSCRIBE UNSUBSCRIBE PINGREQ DISCONNECT, retained messages, last wills
--
-- Every filter is a topic of the server, once for each quality of service: "1 home/#". Those with
-- wildcards are also kept in `server.shared`, where whoever publishes finds those that match.

local LARGEST = 256 * 1024
local LONGEST_TOPIC = 1000
local CONNECT_WITHIN = 10
local CHECK_EVERY = 0.2

local CONNECT, PUBLISH, PUBACK, SUBSCRIBE = 1, 3, 4, 8
local UNSUBSCRIBE, PINGREQ, DISCONNECT = 10, 12, 14

local ACCEPTED, WRONG_VERSION, REFUSED_ID = "\32\2\0\0", "\32\2\0\1", "\32\2\0\2"
local PINGRESP = "\208\0"
local NOT_SUBSCRIBED = 0x80

local shared = server.shared

-- The framing: a packet without its length, so its first byte and its body.
local function split(buffer)
  local size = 0
  for at = 2, 5 do
    local byte = buffer:byte(at)
    if not byte then
      return nil
    end
    size += byte % 128 * 128 ^ (at - 2)
    if byte < 128 then
      local whole = at + size
      if #buffer < whole then
        return nil, whole
      end
      return whole, buffer:sub(1, 1) .. buffer:sub(at + 1, whole)
    end
  end
  return nil, "a length of more than four bytes"
end

local function packet(first, body)
  local length, rest = "", #body
  repeat
    local low = rest % 128
    rest = rest // 128
    length ..= string.char(if rest > 0 then low + 128 else low)
  until rest == 0
  return string.char(first) .. length .. body
end

local function publication(topic, payload, qos, id, retain)
  local count = if qos > 0 then string.pack(">I2", id) else ""
  return packet(
    PUBLISH * 16 + qos * 2 + (if retain then 1 else 0),
    string.pack(">s2", topic) .. count .. payload
  )
end

-- One number for all receivers of a message: nobody has two of them open for long.
local function next_id()
  return shared.incr("packets") % 65535 + 1
end

-- The string or number at a place of a body, and the place behind it; nil where it is cut.
local function text_at(body, at)
  if not at or #body < at + 1 or #body < at + 1 + string.unpack(">I2", body, at) then
    return nil
  end
  return string.unpack(">s2", body, at)
end

local function number_at(body, at)
  if not at or #body < at + 1 then
    return nil
  end
  return string.unpack(">I2", body, at)
end

local function is_name(text)
  return text ~= nil
    and text ~= ""
    and #text <= LONGEST_TOPIC
    and not text:find("\0", 1, true)
    and utf8.len(text) ~= nil
end

local function is_topic(text)
  return is_name(text) and not text:find("[+#]")
end

local function is_filter(text)
  if not is_name(text) then
    return false
  end
  local levels = text:split("/")
  for number, level in levels do
    local is_wild = level == "+" or (level == "#" and number == #levels)
    if level:find("[+#]") and not is_wild then
      return false
    end
  end
  return true
end

local function matches(filter, topic)
  if topic:sub(1, 1) == "$" and filter:find("^[+#]") then
    return false
  end
  local wanted, levels = filter:split("/"), topic:split("/")
  for number, level in wanted do
    if level == "#" then
      return true
    elseif level ~= "+" and level ~= levels[number] or not levels[number] then
      return false
    end
  end
  return #wanted == #levels
end

-- The keys of the store that begin with a word, without it.
local function each_key(word)
  local found = {}
  for _, key in shared.keys() do
    if key:sub(1, #word) == word then
      table.insert(found, key:sub(#word + 1))
    end
  end
  return found
end

-- Filters with wildcards that somebody has; one key for each that has it, sorted by filter.
local function wild_filters(topic)
  local found, last = {}, nil
  for _, key in each_key("filter ") do
    local filter = key:match("^(.-)%z")
    if filter ~= last and matches(filter, topic) then
      table.insert(found, filter)
    end
    last = filter
  end
  return found
end

local function publish(topic, payload, qos, retain)
  if retain and payload == "" then
    shared.delete("retain " .. topic)
  elseif retain then
    shared.set("retain " .. topic, string.char(qos) .. payload)
  end
  local plain = publication(topic, payload, 0)
  local counted = if qos == 1 then publication(topic, payload, 1, next_id()) else plain
  local filters = wild_filters(topic)
  table.insert(filters, topic)
  for _, filter in filters do
    server.publish("0 " .. filter, plain)
    server.publish("1 " .. filter, counted)
  end
end

local function filter_key(conn, filter)
  return `filter {filter}\0{conn.id}`
end

local function unsubscribe(conn, filter)
  local filters = conn.state.filters
  if filters[filter] then
    conn:unsubscribe(`{filters[filter]} {filter}`)
    shared.delete(filter_key(conn, filter))
    filters[filter] = nil
  end
end

-- The quality of service that is granted, or that it is not.
local function subscribe(conn, filter, qos)
  if not is_filter(filter) then
    return NOT_SUBSCRIBED
  end
  unsubscribe(conn, filter)
  local granted = math.min(qos, 1)
  if not conn:subscribe(`{granted} {filter}`) then
    return NOT_SUBSCRIBED
  end
  conn.state.filters[filter] = granted
  if filter:find("[+#]") then
    shared.set(filter_key(conn, filter), true)
  end
  return granted
end

local function add_retained(answer, filter, qos)
  for _, topic in if filter:find("[+#]") then each_key("retain ") else { filter } do
    local value = matches(filter, topic) and shared.get("retain " .. topic)
    if value then
      local given = math.min(value:byte(), qos)
      table.insert(answer, publication(topic, value:sub(2), given, next_id(), true))
    end
  end
end

-- What the peer must not do ends its connection without a word.
local function broken(conn, why)
  log.info("protocol error", { conn = tostring(conn), why = why })
  conn:close()
end

-- Packets ------------------------------------------------------------------------------------
-- Each gets the connection, the flags of the first byte, and the body; it returns the answer.

local PACKETS = {}

PACKETS[CONNECT] = function(conn, _, body)
  local state = conn.state
  local name, at = text_at(body, 1)
  if state.id or name ~= "MQTT" or #body < 10 then
    return broken(conn, "no CONNECT")
  end
  local level, flags, seconds, at = string.unpack(">BBI2", body, at)
  local id, will_topic, will
  id, at = text_at(body, at)
  if bit32.btest(flags, 4) then
    will_topic, at = text_at(body, at)
    will, at = text_at(body, at)
  end
  local will_qos = bit32.extract(flags, 3, 2)
  if level ~= 4 then
    conn:send(WRONG_VERSION)
    return conn:close()
  elseif not at or will and not is_topic(will_topic) or will_qos > 1 or flags % 2 == 1 then
    return broken(conn, "a malformed CONNECT")
  elseif id == "" and not bit32.btest(flags, 2) then
    conn:send(REFUSED_ID)
    return conn:close()
  end
  state.id = if id == "" then `peer {conn.id}` else id
  state.filters = {}
  state.patience = if seconds > 0 then seconds * 1.5 else math.huge
  if will then
    local retain = bit32.btest(flags, 32)
    state.will = { topic = will_topic, payload = will, qos = will_qos, retain = retain }
  end
  shared.set("client " .. state.id, conn.id)
  conn:set_idle_timeout(0)
  return ACCEPTED
end

PACKETS[PUBLISH] = function(conn, flags, body)
  local qos = bit32.extract(flags, 1, 2)
  local topic, at = text_at(body, 1)
  local id
  if qos > 0 then
    id, at = number_at(body, at)
  end
  if not at or not is_topic(topic) or qos > 1 then
    return broken(conn, "a malformed PUBLISH")
  end
  publish(topic, body:sub(at), qos, bit32.btest(flags, 1))
  return if qos == 1 then packet(PUBACK * 16, string.pack(">I2", id)) else nil
end

PACKETS[PUBACK] = function() end

PACKETS[SUBSCRIBE] = function(conn, flags, body)
  local id, at = number_at(body, 1)
  local codes, answer = "", { "" } -- first the acknowledgement, once its codes are known
  repeat
    local filter
    filter, at = text_at(body, at)
    local qos = at and body:byte(at)
    if not qos or qos > 2 or flags ~= 2 then
      return broken(conn, "a malformed SUBSCRIBE")
    end
    at += 1
    local code = subscribe(conn, filter, qos)
    codes ..= string.char(code)
    if code ~= NOT_SUBSCRIBED then
      add_retained(answer, filter, code)
    end
  until at > #body
  answer[1] = packet(0x90, string.pack(">I2", id) .. codes)
  return answer
end

PACKETS[UNSUBSCRIBE] = function(conn, flags, body)
  local id, at = number_at(body, 1)
  repeat
    local filter
    filter, at = text_at(body, at)
    if not at or flags ~= 2 then
      return broken(conn, "a malformed UNSUBSCRIBE")
    end
    unsubscribe(conn, filter)
  until at > #body
  return packet(0xb0, string.pack(">I2", id))
end

PACKETS[PINGREQ] = function()
  return PINGRESP
end

PACKETS[DISCONNECT] = function(conn)
  conn.state.will = nil
  return conn:close()
end

-- Closes who was silent for too long, and whose name another connection has taken since.
local function check()
  for _, conn in server.connections() do
    local state = conn.state
    if state.id then
      if os.clock() - state.heard > state.patience then
        broken(conn, "nothing within the keep-alive time")
      elseif shared.get("client " .. state.id) ~= conn.id then
        broken(conn, "its name was taken over")
      end
    end
  end
end

return {
  framing = { split, max = LARGEST },
  idle_timeout = CONNECT_WITHIN,
  on_load = function()
    every(CHECK_EVERY, check)
  end,
  on_message = function(msg, conn)
    local first = msg:byte()
    local kind = first // 16
    local run = PACKETS[kind]
    if not run or not conn.state.id and kind ~= CONNECT then
      return broken(conn, "an unexpected packet")
    end
    conn.state.heard = os.clock()
    return run(conn, first % 16, msg:sub(2))
  end,
  on_close = function(conn)
    local state = conn.state
    if not state.id then
      return
    end
    for filter in table.clone(state.filters) do
      unsubscribe(conn, filter)
    end
    if shared.get("client " .. state.id) == conn.id then
      shared.delete("client " .. state.id)
    end
    local will = state.will
    if will then
      publish(will.topic, will.payload, will.qos, will.retain)
    end
  end,
}
