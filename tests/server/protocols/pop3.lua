-- A mail drop for POP3. Mail is kept until a session that deleted it says QUIT.
--
-- Start:    scriptsock --script pop3.lua --listen tcp://127.0.0.1:7110
-- Try:      nc -C 127.0.0.1 7110    then type: USER ann, PASS secret, LIST, RETR 1, QUIT
-- Protocol: RFC 1939: USER PASS STAT LIST UIDL RETR TOP DELE RSET NOOP CAPA QUIT; three wrong
--           passwords end the session, and lock their address out for a while

local PASSWORDS = { ann = "secret", bob = "hunter2" }
local ATTEMPTS = 3
local LOCKED_FOR = 60
local LONGEST_LINE = 255

local state = server.state
state.drops = state.drops
  or {
    ann = {
      { id = "a1", text = "Subject: one\n\nhello ann\n.\n..two dots\n" },
      { id = "a2", text = "Subject: two\nFrom: bob\n\nfirst\nsecond\nthird" },
    },
    bob = {},
  }
state.users = state.users or {} -- name -> the connection that has the drop open

-- Attempts -----------------------------------------------------------------------------------

local function key(conn)
  return `wrong {conn.peer_ip}`
end

local function is_locked(conn)
  return (server.shared.get(key(conn)) or 0) >= ATTEMPTS
end

-- Mail ---------------------------------------------------------------------------------------

local function lines_of(mail)
  local lines = mail.text:split("\n")
  if lines[#lines] == "" then
    table.remove(lines)
  end
  return lines
end

local function size_of(mail)
  local size = 0
  for _, line in lines_of(mail) do
    size += #line + #"\r\n"
  end
  return size
end

-- What is left of the drop: how many, and their octets.
local function stat(session)
  local count, size = 0, 0
  for number, mail in session.drop do
    if not session.deleted[number] then
      count += 1
      size += size_of(mail)
    end
  end
  return count, size
end

local function find(session, text)
  local number = tonumber(text)
  local mail = number and session.drop[number]
  if not mail or session.deleted[number] then
    return nil, "no such message"
  end
  return mail, number
end

-- An answer of several lines, which ends with a dot.
local function listed(first, lines)
  local answer = { first }
  for _, line in lines do
    table.insert(answer, if line:sub(1, 1) == "." then "." .. line else line)
  end
  table.insert(answer, ".")
  return answer
end

-- LIST and UIDL: `what` says it of one message.
local function scan(session, text, what)
  if text ~= "" then
    local mail, number = find(session, text)
    if not mail then
      return "-ERR " .. number
    end
    return `+OK {number} {what(mail)}`
  end
  local lines = {}
  for number, mail in session.drop do
    if not session.deleted[number] then
      table.insert(lines, `{number} {what(mail)}`)
    end
  end
  return listed(`+OK {#lines} messages`, lines)
end

-- Commands -----------------------------------------------------------------------------------
-- Each gets the session and the rest of its line, and returns its answer.

local function quit(session)
  session.is_over = true
  return "+OK bye"
end

local function capabilities()
  return listed("+OK what there is", { "USER", "TOP", "UIDL", "PIPELINING" })
end

local AUTHORIZATION = { QUIT = quit, CAPA = capabilities }

function AUTHORIZATION.USER(session, name)
  if name == "" then
    return "-ERR who?"
  end
  session.name = name -- whether there is such a user is nobody's business
  return "+OK and the password?"
end

function AUTHORIZATION.PASS(session, password)
  local name, conn = session.name, session.conn
  if not name then
    return "-ERR USER first"
  end
  session.name = nil
  if PASSWORDS[name] ~= password or is_locked(conn) then
    server.shared.incr(key(conn), 1, LOCKED_FOR)
    session.is_over = is_locked(conn)
    return if session.is_over then "-ERR too many attempts" else "-ERR wrong name or password"
  elseif state.users[name] then
    return "-ERR [IN-USE] the drop is open in another session"
  end
  server.shared.delete(key(conn))
  state.users[name] = conn
  conn.state.user = name
  session.user, session.drop, session.deleted = name, state.drops[name], {}
  local count, size = stat(session)
  return `+OK {count} messages ({size} octets)`
end

local TRANSACTION = { CAPA = capabilities }

function TRANSACTION.NOOP()
  return "+OK"
end

function TRANSACTION.STAT(session)
  local count, size = stat(session)
  return `+OK {count} {size}`
end

function TRANSACTION.LIST(session, text)
  return scan(session, text, size_of)
end

function TRANSACTION.UIDL(session, text)
  return scan(session, text, function(mail)
    return mail.id
  end)
end

function TRANSACTION.RETR(session, text)
  local mail, problem = find(session, text)
  if not mail then
    return "-ERR " .. problem
  end
  return listed(`+OK {size_of(mail)} octets`, lines_of(mail))
end

function TRANSACTION.TOP(session, text)
  local number, count = text:match("^(%d+) +(%d+)$")
  if not number then
    return "-ERR TOP takes a message and a number of lines"
  end
  local mail, problem = find(session, number)
  if not mail then
    return "-ERR " .. problem
  end
  local lines = lines_of(mail)
  local headers = (table.find(lines, "") or #lines)
  return listed("+OK", table.move(lines, 1, math.min(headers + count, #lines), 1, {}))
end

function TRANSACTION.DELE(session, text)
  local mail, number = find(session, text)
  if not mail then
    return "-ERR " .. number
  end
  session.deleted[number] = true
  return `+OK message {number} is deleted`
end

function TRANSACTION.RSET(session)
  table.clear(session.deleted)
  return "+OK"
end

function TRANSACTION.QUIT(session)
  local kept = {}
  for number, mail in session.drop do
    if not session.deleted[number] then
      table.insert(kept, mail)
    end
  end
  state.drops[session.user] = kept
  return quit(session)
end

local function answer(session, line)
  local command, rest = line:match("^(%a+) ?(.*)$")
  local commands = if session.user then TRANSACTION else AUTHORIZATION
  local run = command and commands[command:upper()]
  if not run then
    return "-ERR what?"
  end
  return run(session, rest)
end

return {
  framing = { "crlf", max = LONGEST_LINE },
  idle_timeout = 600,
  on_session = function(conn)
    if is_locked(conn) then
      return "-ERR locked out, try again later"
    end
    local session = { conn = conn, is_over = false }
    conn:send("+OK the drop is open")
    repeat
      local line, reason = conn:read()
      if not line then
        return if reason == "oversize" then "-ERR the line is too long" else nil
      end
      local text = answer(session, line)
      for _, each in if type(text) == "table" then text else { text } do
        conn:send(each)
      end
    until session.is_over
  end,
  on_close = function(conn)
    local user = conn.state.user
    if user and state.users[user] == conn then
      state.users[user] = nil
    end
  end,
}
