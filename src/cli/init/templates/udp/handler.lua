-- A protocol for datagrams: requests have numbers, so that one which got lost can be sent again.
--
-- Start:    scriptsock
-- Try:      scriptsock connect udp://127.0.0.1:7890    then type: 1 add 5
-- Protocol: "NUMBER add AMOUNT" and "NUMBER total" are answered by "NUMBER TOTAL"; a number that
--           was answered is answered again, and not done again
--
-- A peer is its address. conn.state is its own, and is forgotten when it was silent for long.

local SILENCE = 120 -- seconds
local MOST_ANSWERS = 16 -- that are kept for a peer

local function perform(verb, amount, state)
  if verb == "add" and tonumber(amount) then
    state.total = (state.total or 0) + tonumber(amount)
  elseif verb ~= "total" or amount ~= "" then
    return nil
  end
  return tostring(state.total or 0)
end

local function keep(state, number, answer)
  state.answers[number] = answer
  table.insert(state.order, number)
  if #state.order > MOST_ANSWERS then
    state.answers[table.remove(state.order, 1)] = nil
  end
end

return {
  framing = "line", -- an end of line in a datagram may be there or not
  peer_timeout = SILENCE,
  on_connect = function(conn)
    conn.state.answers, conn.state.order = {}, {}
  end,
  on_message = function(msg, conn)
    local number, verb, amount = msg:match("^(%d+) (%l+) ?(%S*)$")
    if not number then
      return nil, "malformed", "ERR expected NUMBER add AMOUNT, or NUMBER total"
    end
    local known = conn.state.answers[number]
    if known then
      return known
    end
    local result = perform(verb, amount, conn.state)
    if not result then
      return nil, "unknown request", `{number} ERR`
    end
    keep(conn.state, number, `{number} {result}`)
    return `{number} {result}`
  end,
} :: Handler
