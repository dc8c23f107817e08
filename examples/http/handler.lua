-- A small HTTP/1.1 server: edit the routes below while clients are connected.
--
-- Start:    scriptsock --script examples/http/handler.lua --listen tcp://127.0.0.1:8080
-- Try:      curl -i http://127.0.0.1:8080/hello/world
-- Protocol: RFC 9112: keep-alive, pipelining, bodies with a length or in chunks

local request = require("./lib/request")
local response = require("./lib/response")

local IDLE = 60 -- seconds that a connection may be silent
local SLOWEST = 30 -- seconds that /slow waits at most
local MOST_LINES = 100 -- of /count
local NOTES = 1000 -- that are kept

local INDEX = [[
GET  /hello/NAME         a greeting, in JSON
POST /echo               sends the body back
PUT  /notes/NAME         keeps a text; GET and DELETE do what they say
GET  /notes              the names of all texts
GET  /slow?seconds=1     answers later, and delays nobody else
GET  /count?to=3         a line every 100 ms, in chunks
GET  /headers            what you sent
GET  /fault              how a mistake in a handler looks
]]

server.state.notes = server.state.notes or {}

-- A number of the query, between 0 and a limit; a default where there is none.
local function bounded(text, default, most)
  local number = tonumber(text or default)
  return number and number >= 0 and number <= most and number or nil
end

local function note_count()
  local count = 0
  for _ in server.state.notes do
    count += 1
  end
  return count
end

-- What a route gets is the request, and what its pattern captured. It returns a status, a body
-- and headers; or a status and a function that sends the body in pieces.
local ROUTES = {
  {
    path = "^/$",
    GET = function()
      return 200, INDEX
    end,
  },
  {
    path = "^/hello/([^/]+)$",
    GET = function(_, name)
      local is_text, text = pcall(json.encode, { hello = name })
      if not is_text then
        return 400, "the name is no UTF-8\n"
      end
      return 200, text .. "\n", { ["Content-Type"] = "application/json" }
    end,
  },
  {
    path = "^/echo$",
    POST = function(req)
      return 200, req.body, { ["Content-Type"] = req.headers["content-type"] or response.BYTES }
    end,
  },
  {
    path = "^/notes$",
    GET = function()
      local names = {}
      for name in server.state.notes do
        table.insert(names, name .. "\n")
      end
      table.sort(names)
      return 200, table.concat(names)
    end,
  },
  {
    path = "^/notes/([%w%-_]+)$",
    GET = function(_, name)
      local text = server.state.notes[name]
      return if text then 200 else 404, text or "no such note\n"
    end,
    PUT = function(req, name)
      local is_new = server.state.notes[name] == nil
      if is_new and note_count() >= NOTES then
        return 507, "there are too many notes\n"
      end
      server.state.notes[name] = req.body
      return if is_new then 201 else 204, nil, { Location = "/notes/" .. name }
    end,
    DELETE = function(_, name)
      if not server.state.notes[name] then
        return 404, "no such note\n"
      end
      server.state.notes[name] = nil
      return 204
    end,
  },
  {
    path = "^/slow$",
    GET = function(req)
      local seconds = bounded(req.query.seconds, 1, SLOWEST)
      if not seconds then
        return 400, `seconds is a number from 0 to {SLOWEST}\n`
      end
      sleep(seconds)
      return 200, `{seconds} seconds later\n`
    end,
  },
  {
    path = "^/count$",
    GET = function(req)
      local last = bounded(req.query.to, 3, MOST_LINES)
      if not last then
        return 400, `to is a number from 0 to {MOST_LINES}\n`
      end
      return 200, function(write)
        for number = 1, last do
          write(`{number}\n`)
          sleep(0.1)
        end
      end
    end,
  },
  {
    path = "^/headers$",
    GET = function(req)
      local lines = { `{req.method} {req.target} HTTP/1.{req.minor}\n` }
      for _, field in req.fields do
        table.insert(lines, `{field.name}: {field.value}\n`)
      end
      return 200, table.concat(lines)
    end,
  },
  {
    path = "^/fault$",
    GET = function()
      error("this route always fails")
    end,
  },
}

-- The methods of a route, as `Allow` lists them.
local function allowed(route)
  local methods = { "OPTIONS" }
  for method in route do
    if method ~= "path" then
      table.insert(methods, method)
    end
  end
  if route.GET then
    table.insert(methods, "HEAD")
  end
  table.sort(methods)
  return table.concat(methods, ", ")
end

-- The route of a path, and what its pattern captured.
local function find(path)
  for _, route in ROUTES do
    local captures = { path:match(route.path) }
    if captures[1] then
      return route, captures
    end
  end
  return nil
end

-- The answer where no function of a route is for a request.
local function unanswered(req, route)
  if req.method == "OPTIONS" and (route or req.path == "*") then
    return 204, nil, route and { Allow = allowed(route) }
  elseif route then
    return 405, nil, { Allow = allowed(route) }
  end
  return 404, `there is nothing at {req.path}\n`
end

local function answer(req, conn)
  local route, captures = find(req.path)
  local act = route and route[if req.method == "HEAD" then "GET" else req.method]
  if not act then
    -- A body that nobody reads would be taken for the next request.
    req.is_last = req.is_last or req.is_chunked or req.length > 0
    return response.send(conn, req, unanswered(req, route))
  end
  local status, problem = request.read_body(conn, req)
  if status then
    return response.refuse(conn, req, status, problem)
  end
  return response.send(conn, req, act(req, table.unpack(captures)))
end

return {
  framing = { request.split, max = request.LARGEST_HEAD + 1 },
  idle_timeout = IDLE,
  on_message = function(msg, conn)
    local req, status, problem = request.parse(msg)
    if not req then
      return response.refuse(conn, nil, status, problem)
    end
    return answer(req, conn)
  end,
  on_error = function(_, conn)
    if conn then
      response.fail(conn)
    end
  end,
}
