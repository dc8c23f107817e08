-- A JSON object a line; its field `count` comes back counted up. LuaJIT can run it too.
return {
  framing = "line",
  on_message = function(line)
    local request = json.decode(line)
    if not request then
      return "ERROR"
    end
    request.count = request.count + 1
    return json.encode(request)
  end,
}
