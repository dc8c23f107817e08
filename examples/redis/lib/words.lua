-- Errors in Redis's own words, and numbers as it reads them.

local words = {
  NOT_AN_INTEGER = "ERR value is not an integer or out of range",
  NOT_POSITIVE = "ERR value is out of range, must be positive",
  SYNTAX = "ERR syntax error",
  WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value",
}

-- A number of 64 bits: no spaces, no plus, no zeros in front. Else nil and an error.
function words.int64(text)
  local number = #text <= 20 and integer.fromstring(text)
  if number and tostring(number) == text then
    return number
  end
  return nil, words.NOT_AN_INTEGER
end

-- The same as an ordinary number, exact up to 2^53.
function words.number(text)
  local number, problem = words.int64(text)
  return number and integer.tonumber(number), problem
end

function words.unknown_subcommand(args)
  return nil, `ERR unknown subcommand '{args[2]:sub(1, 128)}'. Try {args[1]:upper()} HELP.`
end

return words
