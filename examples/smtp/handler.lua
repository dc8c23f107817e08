-- A sink for mail: takes every message, writes it to the log, and delivers nothing.
--
-- Start:    scriptsock --script examples/smtp/handler.lua --listen tcp://127.0.0.1:2525
-- Try:      nc -C 127.0.0.1 2525
--           then type: EHLO me, MAIL FROM:<a@b>, RCPT TO:<c@d>, DATA, some lines, a dot, QUIT
-- Protocol: RFC 5321 with PIPELINING, SIZE, 8BITMIME, SMTPUTF8 and ENHANCEDSTATUSCODES

local NAME = "sink.example"
local LARGEST = 1024 * 1024 -- of a message
local LONGEST_COMMAND = 1000
local LONGEST_LINE = 64 * 1024 -- of a message
local SHOWN = 8 * 1024 -- bytes of a message in the log
local MOST_FIELDS = 1000 -- lines among which the subject is looked for
local MOST_RECIPIENTS = 100
local MOST_ERRORS = 20 -- then the client is sent away
local PATIENCE = 300 -- seconds for the next line

-- Mailboxes that are not there, for a client to meet.
local REFUSED = {
  nobody = "550 5.1.1 there is no such mailbox",
  full = "452 4.2.2 the mailbox is full",
  later = "451 4.7.1 come back later",
}

-- What ends a session: why a read has failed.
local FAREWELLS = {
  shutdown = `421 4.3.2 {NAME} stops`,
  oversize = "500 5.5.2 the line is too long",
}

-- The message that is being put together.
local function reset(session)
  session.from, session.to = nil, {}
end

-- An address in angle brackets, and what stands behind it; a quoted local part may hold anything.
local function parse_path(text)
  local path, rest = text:match("^ ?<([^<>\"%s]*)>(.*)$")
  if not path then
    path, rest = text:match('^ ?<("[^"]*"@[^<>%s]*)>(.*)$')
  end
  if not path or rest ~= "" and rest:sub(1, 1) ~= " " then
    return nil
  end
  return path:gsub("^@[^:]*:", ""), rest -- a route in front is not used any more
end

local function is_mailbox(path)
  return path:find("^[^@]+@[^@]+$") ~= nil or path:find('^".*"@[^@]+$') ~= nil
end

-- What is wrong with the parameters of MAIL.
local function check_parameters(text)
  for word in text:gmatch("%S+") do
    local name, value = word:match("^([%w-]+)=?(.*)$")
    name = name and name:upper()
    if name == "SIZE" then
      if not value:find("^%d+$") then
        return "501 5.5.4 SIZE takes a number"
      elseif tonumber(value) > LARGEST then
        return `552 5.3.4 a message may have {LARGEST} bytes`
      end
    elseif name == "BODY" then
      if value:upper() ~= "7BIT" and value:upper() ~= "8BITMIME" then
        return "501 5.5.4 BODY is 7BIT or 8BITMIME"
      end
    elseif name ~= "SMTPUTF8" or value ~= "" then
      return `555 5.5.4 the parameter {word} is not known`
    end
  end
  return nil
end

-- The lines of a message up to the dot, without the dots that were put in front; or nil and why
-- there are no more. Only CRLF ends a line here: what passes for an end of the message elsewhere
-- must not smuggle a second one.
local function read_message(conn)
  local lines, size, has_bare = {}, 0, false
  conn:set_framing({ delimiter = "\r\n", max = LONGEST_LINE })
  while true do
    local line, reason = conn:read()
    if not line then
      return nil, reason
    elseif line == "." then
      conn:set_framing() -- commands again
      return { lines = lines, size = size, has_bare = has_bare }
    end
    line = if line:sub(1, 1) == "." then line:sub(2) else line
    has_bare = has_bare or line:find("[\r\n]") ~= nil
    size += #line + #"\r\n"
    if size <= LARGEST then
      table.insert(lines, line)
    else
      table.clear(lines)
    end
  end
end

-- The value of a header field, with the lines that continue it; its beginning where it is long.
local function field(lines, wanted)
  local value
  for index = 1, math.min(#lines, MOST_FIELDS) do
    local line = lines[index]
    if line == "" then
      break
    elseif value and #value < SHOWN and line:find("^[ \t]") then
      value ..= line
    elseif value then
      break
    else
      local name, text = line:match("^([^:%s]+)[ \t]*:[ \t]*(.*)$")
      value = if name and name:lower() == wanted then text else nil
    end
  end
  return value and value:sub(1, SHOWN)
end

local COMMANDS = {}

local function greeted(session, argument)
  if argument == "" then
    return false, "501 5.5.4 and your name?"
  end
  session.client = argument
  reset(session)
  return true
end

function COMMANDS.HELO(session, argument)
  local is_fine, problem = greeted(session, argument)
  return if is_fine then `250 {NAME}` else problem
end

function COMMANDS.EHLO(session, argument)
  local is_fine, problem = greeted(session, argument)
  if not is_fine then
    return problem
  end
  return {
    `250-{NAME}`,
    "250-PIPELINING",
    `250-SIZE {LARGEST}`,
    "250-8BITMIME",
    "250-SMTPUTF8",
    "250-ENHANCEDSTATUSCODES",
    "250 HELP",
  }
end

function COMMANDS.MAIL(session, argument)
  local path, parameters = parse_path(argument:match("^[Ff][Rr][Oo][Mm]:(.*)$") or "")
  if not session.client then
    return "503 5.5.1 EHLO or HELO first"
  elseif session.from then
    return "503 5.5.1 there is a sender already"
  elseif not path then
    return "501 5.5.4 the form is MAIL FROM:<address>"
  elseif path ~= "" and not is_mailbox(path) then
    return "501 5.1.7 this is no address"
  end
  local problem = check_parameters(parameters)
  if problem then
    return problem
  end
  session.from = path
  return "250 2.1.0 ok"
end

function COMMANDS.RCPT(session, argument)
  local path, parameters = parse_path(argument:match("^[Tt][Oo]:(.*)$") or "")
  if not session.from then
    return "503 5.5.1 MAIL first"
  elseif not path then
    return "501 5.5.4 the form is RCPT TO:<address>"
  elseif not is_mailbox(path) and path:lower() ~= "postmaster" then
    return "501 5.1.3 this is no address"
  elseif parameters:find("%S") then
    return "555 5.5.4 RCPT takes no parameters here"
  elseif #session.to >= MOST_RECIPIENTS then
    return "452 4.5.3 there are too many recipients"
  end
  local refused = REFUSED[path:match("^[^@]+"):lower()]
  if refused then
    return refused
  end
  table.insert(session.to, path)
  return "250 2.1.5 ok"
end

function COMMANDS.DATA(session, argument)
  if argument ~= "" then
    return "501 5.5.4 DATA takes no argument"
  elseif #session.to == 0 then
    return if session.from then "554 5.5.1 RCPT first" else "503 5.5.1 MAIL first"
  end
  session.conn:send("354 end with a dot on a line of its own")
  local message, reason = read_message(session.conn)
  if not message then
    session.is_over = true
    return FAREWELLS[reason]
  end
  local from, to = session.from, session.to
  reset(session)
  if message.size > LARGEST then
    return `552 5.3.4 a message may have {LARGEST} bytes`
  elseif message.has_bare then
    return "550 5.6.0 lines end with CR LF, and neither stands alone"
  end
  server.state.messages = (server.state.messages or 0) + 1
  local number = server.state.messages
  log.info(`message {number} from <{from}> to <{table.concat(to, ">, <")}>`, {
    subject = field(message.lines, "subject") or "none",
    bytes = message.size,
    text = table.concat(message.lines, "\n"):sub(1, SHOWN),
  })
  return `250 2.0.0 taken as message {number}`
end

function COMMANDS.RSET(session, argument)
  if argument ~= "" then
    return "501 5.5.4 RSET takes no argument"
  end
  reset(session)
  return "250 2.0.0 ok"
end

function COMMANDS.NOOP()
  return "250 2.0.0 ok"
end

function COMMANDS.VRFY(_, argument)
  if argument == "" then
    return "501 5.5.4 and whom?"
  end
  return "252 2.1.5 send some mail, and see"
end

function COMMANDS.EXPN()
  return "502 5.5.1 there are no lists here"
end

function COMMANDS.HELP()
  return "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT"
end

function COMMANDS.QUIT(session, argument)
  if argument ~= "" then
    return "501 5.5.4 QUIT takes no argument"
  end
  session.is_over = true
  return `221 2.0.0 {NAME} says good bye`
end

-- Answers one line.
local function answer(session, line)
  local verb, argument = line:match("^(%a+)[ \t]*$"), ""
  if not verb then
    verb, argument = line:match("^(%a+) +(.-)[ \t]*$")
  end
  local run = verb and COMMANDS[verb:upper()]
  if not run then
    return "500 5.5.2 the command is not known"
  elseif argument:find("%c") then
    return "501 5.5.2 there are control characters in it"
  end
  return run(session, argument)
end

return {
  framing = { "crlf", max = LONGEST_COMMAND },
  idle_timeout = PATIENCE,
  on_idle = function()
    return `421 4.4.2 {NAME} has waited too long`
  end,
  on_session = function(conn)
    local session = { conn = conn, errors = 0, to = {} }
    conn:send(`220 {NAME} ESMTP takes everything`)
    repeat
      local line, reason = conn:read()
      if not line then
        return FAREWELLS[reason]
      end
      local reply = answer(session, line)
      for _, each in if type(reply) == "table" then reply else { reply } do
        conn:send(each)
        session.errors += if each:find("^5") then 1 else 0
      end
      if session.errors > MOST_ERRORS then
        return `421 4.7.0 {NAME} has seen too many errors`
      end
    until session.is_over
  end,
}
