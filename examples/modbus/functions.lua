-- The functions of Modbus: from a request, a function code and its data, to the answer.
-- The names of data, the limits and the exceptions are those of the specification, "MODBUS
-- Application Protocol V1.1b3".

local device = require("./device")

local ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
local MOST_BITS_READ, MOST_BITS_WRITTEN = 2000, 1968
local MOST_REGISTERS_READ, MOST_REGISTERS_WRITTEN = 125, 123
local ON, OFF = 0xFF00, 0x0000

local functions = {}

-- The request's function code with its highest bit set, and a code that says why.
function functions.exception(request, code)
  return string.char(bit32.bor(request:byte(), 0x80), code)
end

local function is_inside(name, address, count)
  return address + count <= device.SIZES[name]
end

local function packed_bits(unit, name, address, count)
  local bytes = table.create(math.ceil(count / 8), 0)
  for index = 0, count - 1 do
    local place = index // 8 + 1
    local bit = device.read(unit, name, address + index)
    bytes[place] = bit32.bor(bytes[place], bit32.lshift(bit, index % 8))
  end
  return string.char(table.unpack(bytes))
end

local function packed_registers(unit, name, address, count)
  local words = table.create(count)
  for index = 0, count - 1 do
    words[index + 1] = string.pack(">I2", device.read(unit, name, address + index))
  end
  return table.concat(words)
end

-- Reads `name`, `most` entries at a time, which `pack` makes bytes of.
local function reader(name, most, pack)
  return function(unit, request)
    if #request ~= 5 then
      return nil, ILLEGAL_VALUE
    end
    local code, address, count = string.unpack(">BI2I2", request)
    if count < 1 or count > most then
      return nil, ILLEGAL_VALUE
    elseif not is_inside(name, address, count) then
      return nil, ILLEGAL_ADDRESS
    end
    return string.char(code) .. string.pack("s1", pack(unit, name, address, count))
  end
end

-- Writes one entry, which `value` makes of a word.
local function writer(name, value)
  return function(unit, request)
    if #request ~= 5 then
      return nil, ILLEGAL_VALUE
    end
    local _, address, word = string.unpack(">BI2I2", request)
    local entry = value(word)
    if not entry then
      return nil, ILLEGAL_VALUE
    elseif not is_inside(name, address, 1) then
      return nil, ILLEGAL_ADDRESS
    end
    device.write(unit, name, address, entry)
    return request
  end
end

-- Writes several entries: `size` says how many bytes they have, `entry` which is the one at an
-- index.
local function block_writer(name, most, size, entry)
  return function(unit, request)
    if #request < 6 then
      return nil, ILLEGAL_VALUE
    end
    local _, address, count, bytes = string.unpack(">BI2I2B", request)
    local data = request:sub(7)
    if count < 1 or count > most or bytes ~= size(count) or bytes ~= #data then
      return nil, ILLEGAL_VALUE
    elseif not is_inside(name, address, count) then
      return nil, ILLEGAL_ADDRESS
    end
    for index = 0, count - 1 do
      device.write(unit, name, address + index, entry(data, index))
    end
    return request:sub(1, 5)
  end
end

local function coil(word)
  return if word == ON then 1 elseif word == OFF then 0 else nil
end

local function register(word)
  return word
end

local function bytes_of_bits(count)
  return math.ceil(count / 8)
end

local function bit_at(data, index)
  return bit32.extract(data:byte(index // 8 + 1), index % 8)
end

local function bytes_of_registers(count)
  return 2 * count
end

local function register_at(data, index)
  return (string.unpack(">I2", data, 2 * index + 1))
end

local FUNCTIONS = {
  [1] = reader("coils", MOST_BITS_READ, packed_bits),
  [2] = reader("discretes", MOST_BITS_READ, packed_bits),
  [3] = reader("holding", MOST_REGISTERS_READ, packed_registers),
  [4] = reader("inputs", MOST_REGISTERS_READ, packed_registers),
  [5] = writer("coils", coil),
  [6] = writer("holding", register),
  [15] = block_writer("coils", MOST_BITS_WRITTEN, bytes_of_bits, bit_at),
  [16] = block_writer("holding", MOST_REGISTERS_WRITTEN, bytes_of_registers, register_at),
}

-- The answer, which may be an exception.
function functions.answer(unit, request)
  device.touch(unit)
  local perform = FUNCTIONS[request:byte()]
  if not perform then
    return functions.exception(request, ILLEGAL_FUNCTION)
  end
  local answer, code = perform(unit, request)
  return answer or functions.exception(request, code)
end

return functions
