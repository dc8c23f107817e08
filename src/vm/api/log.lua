-- `log`, and the `print` of every generation, which is returned.
local host, arguments = ...

local base = _G
local error, select, tostring, type = error, select, tostring, type
local concat = table.concat
local expected = arguments.expected

local function print(...)
  local parts = table.create(select("#", ...))
  for i = 1, select("#", ...) do
    parts[i] = tostring((select(i, ...)))
  end
  host.log("info", concat(parts, "\t"))
end

local log = {}
for _, level in { "debug", "info", "warn", "error" } do
  log[level] = function(message, fields)
    if fields ~= nil and type(fields) ~= "table" then
      error(expected(`log.{level}`, "a table of fields as its second value", fields), 2)
    end
    local parts = {}
    if fields then
      for name, value in fields do
        local text = tostring(value)
        if type(value) == "string" and string.match(text, "^[%w_.:/-]+$") == nil then
          -- Not by %q: what has control bytes is escaped behind this, and once is enough.
          text = `"{(string.gsub(text, '[\\"]', "\\%0"))}"`
        end
        table.insert(parts, `{tostring(name)}={text}`)
      end
      table.sort(parts)
    end
    host.log(level, tostring(message), if fields then concat(parts, " ") else nil)
  end
end
base.log = log

return print
