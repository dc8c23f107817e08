-- A Modbus/TCP device that does not exist: a heater with a set point, and faults to order.
--
-- Start:    scriptsock --script examples/modbus/handler.lua --listen tcp://127.0.0.1:5020
-- Try:      mbpoll -m tcp -p 5020 -a 1 -0 -t 3 -r 0 -c 2 -1 127.0.0.1
-- Protocol: Modbus/TCP, functions 1 to 6, 15 and 16: a header of seven bytes (transaction, protocol
--           0, how many bytes follow, unit), a function code and its data
--
-- device.lua has the units and what is in their tables, functions.lua the protocol.

local device = require("./device")
local functions = require("./functions")

local HEADER = ">I2I2I2B"
local HEADER_BYTES = 7
local LARGEST_FRAME = 260
local LONGEST_DELAY = 60 -- seconds

local BUSY = 6
local NO_SUCH_UNIT = 11

-- What a register says is to happen so many times more. Counts it down.
local function falls_due(unit, register)
  local left = unit.holding[register] or 0
  if left > 0 and left < device.ALWAYS then
    unit.holding[register] = left - 1
  end
  return left > 0
end

-- The answer to a request, spoilt as the unit was told to; nil where there is to be none.
local function disturbed(unit, request)
  if device.is_about_faults(request) then
    return functions.answer(unit, request) -- else nobody could switch them off
  end
  local delay = (unit.holding[device.DELAY] or 0) / 1000
  if delay > 0 then
    sleep(math.min(delay, LONGEST_DELAY))
  end
  if falls_due(unit, device.DROPPED) then
    return nil
  elseif falls_due(unit, device.BUSY) then
    return functions.exception(request, BUSY)
  end
  return functions.answer(unit, request)
end

return {
  framing = { length = "u16be", offset = 4, header = "keep", max = LARGEST_FRAME },
  on_message = function(frame)
    if #frame <= HEADER_BYTES then
      return nil, "no function code"
    end
    local transaction, protocol, _, id = string.unpack(HEADER, frame)
    if protocol ~= 0 then
      return nil, "not Modbus"
    end
    local request = frame:sub(HEADER_BYTES + 1)
    local unit = device.unit(id)
    local answer
    if unit then
      answer = disturbed(unit, request)
    else
      answer = functions.exception(request, NO_SUCH_UNIT)
    end
    if answer then
      return string.pack(HEADER, transaction, protocol, #answer + 1, id) .. answer
    end
  end,
}
