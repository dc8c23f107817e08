-- In a simulated server `os.time`, `os.date` and `os.clock` follow its clock, and chance begins at
-- its seed. A real one has none of these host functions, and keeps what Luau has.
local host = ...

if host.clock == nil then
  return
end

local os, math = os, math
local time, date = os.time, os.date

math.randomseed(host.seed)

function os.time(at)
  return if at == nil then math.floor(host.now()) else time(at)
end

function os.date(format, at)
  return date(format, if at == nil then os.time() else at)
end

function os.clock()
  return host.clock()
end
