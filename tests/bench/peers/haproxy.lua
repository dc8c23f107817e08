-- Uppercase echo line by line for HAProxy, which has no call for "whatever is there".
core.register_service("upper", "tcp", function(applet)
  while true do
    local line = applet:getline()
    if not line or line == "" then
      return
    end
    applet:send(line:upper())
  end
end)
