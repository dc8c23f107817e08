-- A subset of Redis: strings, lists and expiry, kept in memory.
--
-- Start:    scriptsock --script examples/redis/handler.lua --listen tcp://127.0.0.1:6379
-- Try:      redis-cli set greeting hello ex 60     and then: redis-cli get greeting
-- Protocol: RESP2 and RESP3, and inline commands; README.md lists the commands

local resp = require("./lib/resp")
local store = require("./lib/store")

local COMMANDS = {}
local BY_NAME = {} -- in capitals too, as most clients write them
local GROUPS = {
  connection = require("./lib/connection"),
  generic = require("./lib/keys"),
  list = require("./lib/lists"),
  string = require("./lib/strings"),
}
for group, commands in GROUPS do
  for name, command in commands do
    command.name, command.group = name, group
    COMMANDS[name] = command
  end
end
require("./lib/describe")(COMMANDS)
for name, command in COMMANDS do
  BY_NAME[name], BY_NAME[name:upper()] = command, command
end

local SHOWN = 128 -- bytes of what a peer sent, in an error

local function unknown(args)
  local shown = ""
  for index = 2, #args do
    if #shown >= SHOWN then
      break
    end
    shown ..= `'{args[index]:sub(1, SHOWN - #shown)}' `
  end
  local name = args[1]:sub(1, SHOWN)
  return nil, `ERR unknown command '{name}', with args beginning with: {shown}`
end

-- What a command answers: a value; or nil and an error.
local function run(args, conn, state)
  local command = BY_NAME[args[1]] or BY_NAME[args[1]:lower()]
  if not command then
    return unknown(args)
  end
  local arity = command.arity
  if arity ~= #args and (arity > 0 or #args < -arity) then
    return nil, `ERR wrong number of arguments for '{command.name}' command`
  end
  return command.run(args, store.database(state.database or 0), conn)
end

return {
  framing = { resp.split, max = resp.LARGEST },
  on_load = function()
    every(1, store.sweep)
  end,
  on_message = function(msg, conn)
    local args, malformed = resp.arguments(msg)
    if not args then
      conn:send(resp.failure(`ERR Protocol error: {malformed}`))
      return conn:close()
    end
    local state = conn.state
    local value, problem = run(args, conn, state)
    if problem then
      return resp.failure(problem)
    elseif value == nil then
      return nil -- QUIT has answered
    end
    return resp.encode(value, state.has_resp3)
  end,
  on_error = function(_, conn)
    return conn and resp.failure("ERR the command has failed; the server's log says why")
  end,
}
