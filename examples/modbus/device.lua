-- The device behind the protocol: its units, how large their tables are, and what their inputs say.
--
--   coil 0                the heater is on
--   discrete input 0      the set point is reached
--   input register 0      the temperature in tenths of a degree
--   input register 1      how many requests the unit got
--   holding register 0    the set point in tenths of a degree
--   holding registers 900 to 902, faults to order: the delay of each answer in milliseconds; how
--   many requests are answered with exception 6 (busy); how many are not answered at all. 65535 is
--   all of them. Requests about these registers have no faults.

local UNITS = { 1, 2 } -- each with tables of its own
local OWN_UNITS = { 0, 255 } -- what clients without units call the first one
local SET_POINT = 600
local ROOM = 200 -- the temperature without heating
local RATE = 5 -- tenths of a degree in a second

local device = {
  SIZES = { coils = 64, discretes = 64, inputs = 64, holding = 1000 },
  DELAY = 900,
  BUSY = 901,
  DROPPED = 902,
  ALWAYS = 65535,
}

-- What the faults are until a client sets them.
local FAULTS = { [device.DELAY] = 0, [device.BUSY] = 0, [device.DROPPED] = 0 }

local function new_unit()
  local unit = { coils = {}, holding = { [0] = SET_POINT }, requests = 0, degrees = ROOM }
  unit.since = server.now()
  for register, value in FAULTS do
    unit.holding[register] = value
  end
  return unit
end

-- Kept over saves of this file; absent entries are 0.
function device.unit(id)
  if table.find(OWN_UNITS, id) then
    id = UNITS[1]
  end
  if not table.find(UNITS, id) then
    return nil
  end
  server.state.units = server.state.units or {}
  local units = server.state.units
  units[id] = units[id] or new_unit()
  return units[id]
end

-- The temperature now, on its way to the set point or back to that of the room.
local function temperature(unit)
  local now = server.now()
  local target = if unit.coils[0] == 1 then unit.holding[0] else ROOM
  local most = math.max(now - unit.since, 0) * RATE
  unit.degrees += math.clamp(target - unit.degrees, -most, most)
  unit.since = now
  return math.round(unit.degrees)
end

-- What is done before anything of the unit is read or written.
function device.touch(unit)
  unit.requests = (unit.requests + 1) % 65536
  temperature(unit)
end

-- The value at an address of one of the four tables.
function device.read(unit, name, address)
  if name == "discretes" then
    return if address == 0 and temperature(unit) == unit.holding[0] then 1 else 0
  elseif name == "inputs" then
    local inputs = { [0] = temperature(unit), [1] = unit.requests }
    return inputs[address] or 0
  end
  return unit[name][address] or 0
end

function device.write(unit, name, address, value)
  unit[name][address] = value
end

-- Whether a request, which begins with its function and an address, is about registers of faults.
function device.is_about_faults(request)
  local code, address = request:byte(), request:sub(2, 3)
  local is_holding = code == 3 or code == 6 or code == 16
  return is_holding and #address == 2 and string.unpack(">I2", address) >= device.DELAY
end

return device
