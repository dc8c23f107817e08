-- Requests: where a head ends, what it says, and the body behind it. Refuses what two readers could
-- understand in two ways, as RFC 9112 asks.

local LARGEST_HEAD = 8 * 1024
local LARGEST_BODY = 1024 * 1024
local LONGEST_CHUNK_LINE = 256
local MOST_TRAILERS = 100
local PATIENCE = 10 -- seconds for more of a body

local METHODS = {}
for method in ("GET HEAD POST PUT DELETE OPTIONS PATCH CONNECT TRACE"):gmatch("%a+") do
  METHODS[method] = true
end
local TOKEN = "[%w!#%$%%&'%*%+%-%.%^_`|~]+"

-- The framing: a message is a head, without the empty lines before it. What is too long becomes a
-- message too, so that it can be answered.
local function split(buffer)
  local first = buffer:find("[^\r\n]")
  if not first then
    return #buffer
  end
  local _, last = buffer:find("\n\r?\n", first)
  if (last or #buffer) - first >= LARGEST_HEAD then
    return last or #buffer, buffer:sub(first, first + LARGEST_HEAD)
  elseif last then
    return last, buffer:sub(first, last)
  elseif first > 1 then
    return first - 1 -- so that empty lines do not add up
  end
  return nil
end

-- Percent signs, in a path or a query.
local function decoded(text)
  return (text:gsub("%%(%x%x)", function(code)
    return string.char(tonumber(code, 16))
  end))
end

local function parse_query(text)
  local query = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    query[decoded(name:gsub("%+", " "))] = decoded(value:gsub("%+", " "))
  end
  return query
end

-- The first line, into `req`; or a status and what is wrong.
local function parse_line(req, line)
  local method, target, major, minor = line:match("^(" .. TOKEN .. ") ([^%c%s]+) HTTP/(%d)%.(%d)$")
  if not method then
    return 400, "this is no request line"
  elseif major ~= "1" then
    return 505, "only HTTP/1.0 and HTTP/1.1 are spoken here"
  elseif not METHODS[method] then
    return 501, `the method {method} is not known`
  end
  local path, query = target:gsub("^[Hh][Tt][Tt][Pp]://[^/?]*", ""):match("^([^?#]*)%??([^#]*)$")
  if path == "" and target:find("^[Hh]") then
    path = "/"
  end
  if not path or not path:find("^/") and not (path == "*" and method == "OPTIONS") then
    return 400, "this is no path"
  end
  req.method, req.target, req.minor = method, target, math.min(tonumber(minor), 1)
  req.path, req.query = decoded(path), parse_query(query)
  return nil
end

-- A field, into `req`; fields of one name are joined by commas.
local function parse_field(req, line)
  local name, value = line:match("^(" .. TOKEN .. "):[ \t]*(.-)[ \t]*$")
  if not name or value:find("[%z\r\n]") then
    return 400, "this is no header field: " .. line:sub(1, 80)
  end
  local key = name:lower()
  if req.headers[key] and (key == "host" or key == "content-length") then
    return 400, `there are two of the field {name}`
  end
  req.headers[key] = if req.headers[key] then `{req.headers[key]}, {value}` else value
  table.insert(req.fields, { name = name, value = value })
  return nil
end

-- What the fields say about the body and the connection.
local function understand(req)
  local headers = req.headers
  local coding, length = headers["transfer-encoding"], headers["content-length"]
  if req.minor == 1 and not headers.host then
    return 400, "the field Host is missing"
  elseif coding and (length or req.minor == 0) then
    return 400, "a body has either a length or a transfer coding"
  elseif coding and coding:lower() ~= "chunked" then
    return 501, "the only transfer coding here is chunked"
  elseif length and not length:find("^%d+$") then
    return 400, "the length of the body is no number"
  elseif length and tonumber(length) > LARGEST_BODY then
    return 413, `a body may have {LARGEST_BODY} bytes`
  end
  local expect = headers.expect
  if expect and expect:lower() ~= "100-continue" then
    return 417, "the only expectation here is 100-continue"
  end
  req.is_chunked, req.length = coding ~= nil, tonumber(length or 0)
  req.expects_continue = expect ~= nil and req.minor == 1 and (req.is_chunked or req.length > 0)
  local options = "," .. (headers.connection or ""):lower():gsub("%s", "") .. ","
  local is_kept = req.minor == 1 or options:find(",keep-alive,", 1, true)
  req.is_last = not is_kept or options:find(",close,", 1, true) ~= nil
  return nil
end

-- A request; or nil, a status and what is wrong.
local function parse(head)
  if #head > LARGEST_HEAD then
    return nil, 431, `a head may have {LARGEST_HEAD} bytes`
  end
  local req = { headers = {}, fields = {}, body = "" }
  for line in head:gmatch("([^\n]*)\n") do
    line = if line:sub(-1) == "\r" then line:sub(1, -2) else line
    local status, problem
    if not req.method then
      status, problem = parse_line(req, line)
    elseif line ~= "" then
      status, problem = parse_field(req, line)
    end
    if status then
      return nil, status, problem
    end
  end
  local status, problem = understand(req)
  if status then
    return nil, status, problem
  end
  return req
end

-- Why there is no more of a body.
local function cut(reason)
  if reason == "timeout" then
    return 408, "the body does not come"
  end
  return 400, "the body is cut or malformed"
end

local function read_fixed(conn, count)
  return conn:read({ fixed = count, max = LARGEST_BODY, timeout = PATIENCE })
end

local function read_line(conn)
  return conn:read({ delimiter = "\r\n", max = LONGEST_CHUNK_LINE, timeout = PATIENCE })
end

-- Lines behind the last chunk, which nobody here needs.
local function skip_trailers(conn)
  for _ = 1, MOST_TRAILERS do
    local line, reason = read_line(conn)
    if line == "" then
      return nil
    elseif not line then
      return cut(reason)
    end
  end
  return 431, "there are too many trailers"
end

local function read_chunks(conn, req)
  local parts, size = {}, 0
  while true do
    local line, no_line = read_line(conn)
    if not line then
      return cut(no_line)
    end
    local digits = line:match("^(%x+)[ \t]*$") or line:match("^(%x+)[ \t]*;")
    local count = digits and #digits <= 8 and tonumber(digits, 16)
    if not count then
      return 400, "this is no size of a chunk"
    end
    size += count
    if size > LARGEST_BODY then
      return 413, `a body may have {LARGEST_BODY} bytes`
    elseif count == 0 then
      req.body = table.concat(parts)
      return skip_trailers(conn)
    end
    local chunk, reason = read_fixed(conn, count)
    if not chunk then
      return cut(reason)
    end
    table.insert(parts, chunk)
    local line_end, no_end = read_fixed(conn, #"\r\n")
    if line_end ~= "\r\n" then
      return cut(no_end)
    end
  end
end

-- Reads the body into `req.body`; returns a status and what is wrong where that fails.
local function read_body(conn, req)
  if req.expects_continue then
    conn:send("HTTP/1.1 100 Continue\r\n\r\n")
  end
  if req.is_chunked then
    return read_chunks(conn, req)
  elseif req.length > 0 then
    local body, reason = read_fixed(conn, req.length)
    if not body then
      return cut(reason)
    end
    req.body = body
  end
  return nil
end

return { LARGEST_HEAD = LARGEST_HEAD, parse = parse, read_body = read_body, split = split }
