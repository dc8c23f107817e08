-- Tells the time by SNTP, as a server whose clock is its machine's.
--
-- Start:    scriptsock --script sntp.lua --listen udp://127.0.0.1:1123
-- Try:      ntpdate -q -p 1 -o 4 127.0.0.1    (on port 123), or any client of SNTP
-- Protocol: RFC 4330: a datagram of 48 bytes, or more, is answered by one of 48 bytes

local SIZE = 48
local SINCE_1900 = 2208988800 -- seconds from 1900 to 1970
local CLIENT, SERVER, ACTIVE, PASSIVE = 3, 4, 1, 2
local ANSWERS = { [CLIENT] = SERVER, [ACTIVE] = PASSIVE }
local STRATUM = 1
local PRECISION = -20 -- as a power of two: about a microsecond
local REFERENCE = "LOCL"

local ROUND = 2 ^ 32

-- 64 bits: seconds since 1900 and their fraction. In 2036 they begin anew, as clients know.
local function timestamp(time)
  local seconds = math.floor(time)
  local fraction = math.floor((time - seconds) * ROUND)
  return string.pack(">I4I4", (seconds + SINCE_1900) % ROUND, fraction)
end

return function(msg)
  local received = server.now()
  if #msg < SIZE then
    return nil, "too short"
  end
  local first, _, poll = msg:byte(1, 3)
  local version, mode = bit32.extract(first, 3, 3), bit32.extract(first, 0, 3)
  if version < 1 or version > 4 or not ANSWERS[mode] then
    return nil, "not a request"
  end
  local sent_by_client = msg:sub(41, 48)
  return string.pack(
    ">BBBbI4I4c4",
    version * 8 + ANSWERS[mode],
    STRATUM,
    poll,
    PRECISION,
    0, -- root delay
    0, -- root dispersion
    REFERENCE
  ) .. timestamp(math.floor(received)) .. sent_by_client .. timestamp(received) .. timestamp(
    server.now()
  )
end
