-- Responses: their bytes, and what becomes of the connection behind them.

local TEXT = "text/plain; charset=utf-8"
local BYTES = "application/octet-stream"

local REASONS = {
  [200] = "OK",
  [201] = "Created",
  [204] = "No Content",
  [400] = "Bad Request",
  [404] = "Not Found",
  [405] = "Method Not Allowed",
  [408] = "Request Timeout",
  [413] = "Content Too Large",
  [417] = "Expectation Failed",
  [431] = "Request Header Fields Too Large",
  [500] = "Internal Server Error",
  [501] = "Not Implemented",
  [505] = "HTTP Version Not Supported",
  [507] = "Insufficient Storage",
}

local function head(status, headers)
  local lines = { `HTTP/1.1 {status} {REASONS[status]}` }
  table.insert(lines, os.date("!Date: %a, %d %b %Y %H:%M:%S GMT"))
  local names = {}
  for name in headers do
    table.insert(names, name)
  end
  table.sort(names)
  for _, name in names do
    table.insert(lines, `{name}: {headers[name]}`)
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- What becomes of the connection: HTTP/1.1 keeps it where nothing is said, HTTP/1.0 does not.
local function connection(req)
  if req.is_last then
    return "close"
  end
  return if req.minor == 0 then "keep-alive" else nil
end

-- A response whose length is known.
local function whole(req, status, body, headers)
  headers = if headers then table.clone(headers) else {}
  body = body or ""
  if status ~= 204 then
    headers["Content-Length"] = #body
  end
  if body ~= "" and not headers["Content-Type"] then
    headers["Content-Type"] = TEXT
  end
  headers.Connection = connection(req)
  return head(status, headers) .. if req.method == "HEAD" then "" else body
end

-- A body that a function writes in pieces: chunks, which HTTP/1.0 does not know.
local function stream(conn, req, status, produce, headers)
  local has_chunks = req.minor == 1
  headers = if headers then table.clone(headers) else {}
  headers["Content-Type"] = headers["Content-Type"] or TEXT
  headers["Transfer-Encoding"] = if has_chunks then "chunked" else nil
  req.is_last = req.is_last or not has_chunks
  headers.Connection = connection(req)
  conn:send(head(status, headers))
  if req.method ~= "HEAD" then
    conn.state.is_in_body = true
    produce(function(piece)
      if piece ~= "" then
        conn:send(if has_chunks then string.format("%x\r\n%s\r\n", #piece, piece) else piece)
      end
    end)
    conn.state.is_in_body = nil
    if has_chunks then
      conn:send("0\r\n\r\n")
    end
  end
  if req.is_last then
    conn:close()
  end
end

local response = { BYTES = BYTES }

-- Answers a request with what its route returned.
function response.send(conn, req, status, body, headers)
  if type(body) == "function" then
    return stream(conn, req, status, body, headers)
  end
  local reply = whole(req, status, body, headers)
  if req.is_last then
    conn:send(reply)
    return conn:close()
  end
  return reply
end

-- Answers what cannot be served. What follows it in the stream cannot be told from its body, so
-- the connection ends here.
function response.refuse(conn, req, status, problem)
  local method = req and req.method
  conn:send(whole({ method = method, is_last = true }, status, problem .. "\n"))
  return conn:close()
end

-- Answers a request whose route has failed; where the client has a part of the body already, only
-- the end of the connection tells.
function response.fail(conn)
  if conn.state.is_in_body then
    return conn:reset()
  end
  return response.refuse(conn, nil, 500, "the handler failed")
end

return response
