//! What a framing function may not do: wait, send or order.

use crate::framed::brackets;
use crate::support::Server;
use crate::talk::ask;

const REFUSED: &str = "not in a framing function";

/// A line that names a call has the function make it; the message is how that went.
const CALLING: &str = r#"
local CALLS = {
  sleep = function() sleep(0.01) end,
  send = function(conn) conn:send("x") end,
  send_raw = function(conn) conn:send_raw("x") end,
  flush = function(conn) conn:flush() end,
  read = function(conn) conn:read() end,
  close = function(conn) conn:close() end,
  reset = function(conn) conn:reset() end,
  shutdown = function(conn) conn:shutdown() end,
  set_framing = function(conn) conn:set_framing("raw") end,
  spawn = function() spawn(function() end) end,
  after = function() after(1, function() end) end,
  every = function() every(1, function() end) end,
  connect = function() connect("tcp://127.0.0.1:9") end,
  broadcast = function() server.broadcast("x") end,
  publish = function() server.publish("topic", "x") end,
}
return {
  framing = function(buffer)
    local at = buffer:find("\n", 1, true)
    if not at then return nil end
    local call = CALLS[buffer:sub(1, at - 1)]
    if not call then return at, buffer:sub(1, at - 1) end
    local ok, why = pcall(call, server.state.conn)
    return at, `{ok} {why}`
  end,
  on_connect = function(conn) server.state.conn = conn end,
  on_message = function(msg) return msg .. "\n" end,
}
"#;

#[test]
fn a_call_that_waits_sends_or_orders_raises_in_a_framing_function() {
    let server = Server::builder().script(CALLING).start();
    let mut client = server.tcp();
    for call in [
        "sleep",
        "send",
        "send_raw",
        "flush",
        "read",
        "close",
        "reset",
        "shutdown",
        "set_framing",
        "spawn",
        "after",
        "every",
        "connect",
        "broadcast",
        "publish",
    ] {
        let answer = ask(&mut client, &format!("{call}\n"));
        assert!(answer.starts_with("false ") && answer.contains(REFUSED), "{call}: {answer}");
    }
    assert_eq!(ask(&mut client, "still here\n"), "still here");
}

#[test]
fn a_framing_function_that_waits_ends_its_connection_with_framing() {
    let server = brackets(
        "function(buffer)
           if buffer == \"wait\" then sleep(0.01) end
           return #buffer, buffer
         end",
    );
    let mut witness = server.tcp();
    let mut client = server.tcp();
    client.exchange(b"x", b"<x>");
    client.send(b"wait");
    client.expect_eof();
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("framing failed") && fault.contains(REFUSED), "{fault}");
    server.wait_log("gone: framing;");
    witness.exchange(b"x", b"<x>");
}

#[test]
fn a_framing_function_may_log_and_read_the_state() {
    let server = Server::builder()
        .script(
            "return {
               on_load = function() server.state.size = 2 end,
               framing = function(buffer)
                 log.info(`splits {#buffer}`)
                 local size = server.state.size
                 if #buffer < size then return nil, size end
                 return size, buffer:sub(1, size)
               end,
               on_message = function(msg)
                 server.state.size += 1
                 return \"<\" .. msg .. \">\"
               end,
             }\n",
        )
        .start();
    server.tcp().exchange(b"abcdefghi", b"<ab><cde><fghi>");
    server.wait_log("splits ");
}
