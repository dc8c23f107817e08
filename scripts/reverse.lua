-- Answers each line turned round: "abc" gives "cba".
--
-- Start:    scriptsock --script reverse.lua
-- Try:      echo "hello" | nc -N 127.0.0.1 7890
-- Protocol: text is turned round by code points, anything that is no UTF-8 by bytes

local function reverse(text)
  local count = utf8.len(text) -- nil where the bytes are no UTF-8
  if count == nil or count == #text then
    return text:reverse()
  end

  local turned = table.create(count)
  for _, code in utf8.codes(text) do
    turned[count] = utf8.char(code)
    count -= 1
  end
  return table.concat(turned)
end

return {
  framing = "line",
  on_message = reverse,
}
