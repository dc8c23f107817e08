//! Waiting in a callback: `sleep` delays its own connection and no other, works through `pcall`,
//! and says what to do in a coroutine of the script's own.

use crate::support::Server;
use std::time::{Duration, Instant};

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

/// `wait` waits until another connection says `go`; anything else is echoed.
const WAITING: &str = "\
return function(msg, conn)
  if msg == \"go\" then server.state.go = true end
  if msg == \"wait\" then
    log.info(\"waiting\")
    repeat sleep(0.01) until server.state.go
    return \"waited \"
  end
  return msg
end
";

#[test]
fn sleep_sleeps() {
    let server = start("return function() sleep(0.2); return \"awake\" end\n");
    let mut client = server.tcp();
    let begin = Instant::now();
    client.exchange(b"x", b"awake");
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
}

#[test]
fn a_sleeping_callback_delays_only_its_own_connection() {
    let server = start(WAITING);
    let mut waiting = server.tcp();
    waiting.send(b"wait");
    server.wait_log("waiting");
    let mut other = server.tcp();
    let peer = server.udp();
    for _ in 0..10 {
        other.exchange(b"hello", b"hello");
        peer.exchange(b"hello", b"hello");
    }
    other.exchange(b"go", b"go");
    waiting.expect(b"waited ");
    waiting.exchange(b"hello", b"hello");
}

#[test]
fn messages_behind_a_sleeping_callback_keep_their_order() {
    let server = start(WAITING);
    let mut waiting = server.tcp();
    waiting.send(b"wait");
    server.wait_log("waiting");
    waiting.send(b"behind it");
    server.tcp().exchange(b"go", b"go");
    waiting.expect(b"waited behind it");
}

#[test]
fn a_sleeping_datagram_peer_keeps_its_order_and_delays_no_other() {
    let server = start(WAITING);
    let (waiting, other) = (server.udp(), server.udp());
    waiting.send(b"wait");
    server.wait_log("waiting");
    for number in 0..20 {
        waiting.send(format!("behind {number}").as_bytes());
    }
    other.exchange(b"hello", b"hello");
    other.exchange(b"go", b"go");
    waiting.expect(b"waited ");
    for number in 0..20 {
        waiting.expect(format!("behind {number}").as_bytes());
    }
}

#[test]
fn many_callbacks_may_sleep_at_once() {
    let server = start("return function(msg) sleep(0.3); return msg end\n");
    let mut clients: Vec<_> = (0..300).map(|_| server.tcp()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("message {number}").as_bytes());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("message {number}").as_bytes());
    }
}

#[test]
fn sleep_works_through_pcall() {
    let server = start(
        "return function()
           local ok = pcall(sleep, 0.01)
           local again = pcall(function() sleep(0.01); pcall(sleep, 0.01); error(\"x\") end)
           return `{ok} {again}`
         end\n",
    );
    server.tcp().exchange(b"x", b"true false");
}

#[test]
fn sleep_works_in_every_callback() {
    let server = start(
        "return {
           on_load = function() sleep(0.01) end,
           on_connect = function(conn) sleep(0.01); conn.state.n = 1 end,
           on_message = function(msg, conn)
             sleep(0.01)
             if msg == \"bad\" then error(\"x\") end
             return `{conn.state.n}`
           end,
           on_error = function() sleep(0.01); return \"failed\" end,
           on_eof = function(conn) sleep(0.01); conn:send(\"end\") end,
           on_close = function() sleep(0.01); log.info(\"slept in on_close\") end,
         }\n",
    );
    let mut client = server.tcp();
    client.exchange(b"x", b"1");
    client.exchange(b"bad", b"failed");
    client.half_close();
    assert_eq!(client.read_to_end(), b"end");
    server.wait_log("slept in on_close");
}

#[test]
fn sleep_in_a_function_of_a_module_works() {
    let server = Server::builder()
        .script("local slow = require(\"./slow\")\nreturn function() return slow() end\n")
        .file("slow.lua", "return function() sleep(0.01) return \"slow\" end\n")
        .start();
    server.tcp().exchange(b"x", b"slow");
}

#[test]
fn sleep_in_a_coroutine_of_the_scripts_own_says_what_to_use() {
    let server = start(
        "return function()
           local co = coroutine.create(function() sleep(0.01) end)
           local ok, why = coroutine.resume(co)
           return `{ok} {why}`
         end\n",
    );
    let mut client = server.tcp();
    client.send(b"x");
    let answer = String::from_utf8(client.read_once()).unwrap();
    assert!(answer.starts_with("false "), "{answer:?}");
    assert!(answer.contains("use spawn"), "{answer:?}");
}

#[test]
fn sleep_in_a_wrapped_coroutine_is_a_fault_that_says_what_to_use() {
    let server = start("return function() coroutine.wrap(function() sleep(0.01) end)() end\n");
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("handler fault");
    server.wait_log("use spawn");
}

#[test]
fn a_sleep_of_nonsense_is_a_mistake_of_the_script() {
    for length in ["\"soon\"", "-1", "0/0", "nil"] {
        let server = start(&format!("return function() sleep({length}); return \"slept\" end\n"));
        let mut client = server.tcp();
        client.send(b"x");
        let fault = server.wait_log("handler fault");
        assert!(fault.contains("sleep"), "sleep({length}): {fault}");
    }
}

#[test]
fn a_connection_that_goes_while_its_callback_sleeps_is_told_afterwards() {
    let server = start(
        "return {
           on_message = function(msg, conn)
             if msg == \"go\" then server.state.go = true return \"went\" end
             log.info(\"waiting\")
             repeat sleep(0.01) until server.state.go
             log.info(\"call ends\")
             return \"too late\"
           end,
           on_close = function(conn, reason) log.info(`close: {reason}`) end,
         }\n",
    );
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("waiting");
    client.reset();
    let mut other = server.tcp();
    other.exchange(b"go", b"went");
    server.wait_log("close: reset");
    let log = server.log_text();
    assert!(log.find("call ends") < log.find("close: reset"), "{log}");
    server.assert_no_log("handler fault");
}
