-- Times to live, as commands say them.

local words = require("./words")

local LONGEST = 2 ^ 63 / 1000 -- seconds: Redis counts milliseconds in 64 bits

-- What one is in seconds, and whether it counts from now or from 1970.
local UNITS = {
  EX = { seconds = 1, is_relative = true },
  PX = { seconds = 0.001, is_relative = true },
  EXAT = { seconds = 1, is_relative = false },
  PXAT = { seconds = 0.001, is_relative = false },
}

local function invalid(command)
  return nil, `ERR invalid expire time in '{command}' command`
end

-- When such a time is over, in seconds since 1970; or nil and an error.
local function moment(unit, text, command)
  local number, problem = words.number(text)
  if not number then
    return nil, problem
  end
  local seconds = number * UNITS[unit].seconds
  local due = if UNITS[unit].is_relative then server.now() + seconds else seconds
  if math.abs(seconds) >= LONGEST or due >= LONGEST then
    return invalid(command)
  end
  return due
end

-- The same, but it may not be 0 or less.
local function deadline(unit, text, command)
  local due, problem = moment(unit, text, command)
  if due and words.number(text) <= 0 then
    return invalid(command)
  end
  return due, problem
end

return { UNITS = UNITS, deadline = deadline, moment = moment }
