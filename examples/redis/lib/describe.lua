-- COMMAND: tells a client which commands there are. redis-cli makes its help and its completion
-- of COMMAND DOCS.

local words = require("./words")

local function named(commands, args)
  local found = {}
  for index = 3, #args do
    local command = commands[args[index]:lower()]
    if command then
      table.insert(found, command)
    end
  end
  if #args == 2 then
    for _, command in commands do
      table.insert(found, command)
    end
  end
  return found
end

-- Name, arity, flags, and where its keys are.
local function describe(command)
  local has_keys = command.group == "string" or command.group == "list"
  local key = if has_keys then 1 else 0
  return { command.name, command.arity, {}, key, key, key }
end

local function document(command)
  return { map = { "summary", command.summary, "since", "1.0.0", "group", command.group } }
end

local function count(commands)
  local number = 0
  for _ in commands do
    number += 1
  end
  return number
end

-- Adds the command to `commands`, which it describes.
return function(commands)
  commands.command = {
    name = "command",
    group = "server",
    arity = -1,
    summary = "COUNT, INFO and DOCS of the commands",
    run = function(args)
      local what = if args[2] then args[2]:upper() else "INFO"
      local answer = {}
      if what == "COUNT" then
        return count(commands)
      elseif what == "INFO" then
        for _, command in named(commands, if args[2] then args else { "command", "info" }) do
          table.insert(answer, describe(command))
        end
        return answer
      elseif what == "DOCS" then
        for _, command in named(commands, args) do
          table.insert(answer, command.name)
          table.insert(answer, document(command))
        end
        return { map = answer }
      end
      return words.unknown_subcommand(args)
    end,
  }
end
