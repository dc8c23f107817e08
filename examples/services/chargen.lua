-- RFC 864, chargen: lines of 72 characters, each begins one character later than the one before.
--
-- Start:    scriptsock --script examples/services/chargen.lua
-- Try:      nc -d 127.0.0.1 7890
-- Protocol: TCP: lines until the client closes, whatever it says; UDP: a datagram is answered by
--           one of 0 to 512 characters

local FIRST, LAST = 33, 126 -- the printable characters, as the RFC's example has them
local WIDTH = 72
local BURST = 20 -- lines at a time
local PAUSE = 0.05 -- seconds between bursts: the RFC has none, but a person watches
local MOST_IN_DATAGRAM = 512

local ALPHABET = {}
for code = FIRST, LAST do
  table.insert(ALPHABET, string.char(code))
end
local TWICE = string.rep(table.concat(ALPHABET), 2)

local function line(number)
  local begin = number % #ALPHABET + 1
  return TWICE:sub(begin, begin + WIDTH - 1) .. "\r\n"
end

local function lines(first, count)
  local text = table.create(count)
  for number = first, first + count - 1 do
    table.insert(text, line(number))
  end
  return table.concat(text)
end

local function generate(conn)
  local number = 0
  while conn:send(lines(number, BURST)) do
    number += BURST
    sleep(PAUSE)
  end
end

return {
  on_connect = function(conn)
    if conn.transport == "tcp" then
      spawn(generate, conn)
    end
  end,
  on_message = function(_, conn)
    if conn.transport == "udp" then
      return lines(0, MOST_IN_DATAGRAM // WIDTH + 1):sub(1, math.random(0, MOST_IN_DATAGRAM))
    end
  end,
}
