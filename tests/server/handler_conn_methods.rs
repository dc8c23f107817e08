//! `send flush close reset shutdown` of a connection, while it is open and when it is gone.

use crate::handler_conn::{answer, answering_with};
use crate::support::Server;
use crate::talk::{ask, read_line};
use std::time::Duration;

#[test]
fn send_returns_true() {
    assert_eq!(answer("conn:send(\"\")"), "true");
}

#[test]
fn what_was_sent_leaves_when_the_callback_waits() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"go\" then server.state.go = true return \"went\" end
               conn:send(\"first\")
               repeat sleep(0.01) until server.state.go
               return \"second\"
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"first");
    server.tcp().exchange(b"go", b"went");
    client.expect(b"second");
}

#[test]
fn flush_waits_until_all_has_left() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               for _ = 1, 64 do conn:send((\"x\"):rep(65536)) end
               conn:flush()
               log.info(\"flushed\")
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    let mut count = 0;
    while count < 64 * 65536 {
        let some = client.read_once();
        assert!(!some.is_empty(), "end of stream after {count} bytes");
        count += some.len();
    }
    assert_eq!(count, 64 * 65536);
    server.wait_log("flushed");
}

#[test]
fn a_send_of_more_than_the_buffer_waits_for_the_peer() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"ask\" then return tostring(server.state.sent) end
               for n = 1, 1000 do
                 conn:send((\"x\"):rep(65536))
                 server.state.sent = n
               end
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    let mut other = server.tcp();
    other.send(b"ask");
    let sent: Vec<u8> = other.read_once();
    assert_ne!(sent, b"1000", "64 MiB were taken from a handler whose peer reads nothing");
    let mut count = 0;
    while count < 1000 * 65536 {
        count += client.read_once().len();
    }
    assert_eq!(count, 1000 * 65536);
    server.assert_no_log("handler fault");
}

#[test]
fn close_sends_the_last_words_and_drops_what_is_behind() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               server.state.seen = (server.state.seen or 0) + 1
               if msg == \"ask\" then return tostring(server.state.seen) end
               conn:send(\"last words\")
               conn:close()
               sleep(0.05)
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"quit");
    client.expect(b"last words");
    // The peer may be faster than its own end.
    let _ = client.try_send(b"behind");
    client.expect_eof();
    server.tcp().exchange(b"ask", b"2");
}

#[test]
fn close_delivers_its_words_though_input_is_pending() {
    let server = Server::builder()
        .script("return function(msg, conn) conn:send(\"bye\"); conn:close() end\n")
        .start();
    for _ in 0..20 {
        let mut client = server.tcp();
        client.send("x".repeat(20_000).as_bytes());
        assert_eq!(client.read_to_end(), b"bye");
    }
}

#[test]
fn close_reset_and_shutdown_return_nothing() {
    for method in ["close", "reset", "shutdown"] {
        let server = Server::builder()
            .script(&format!(
                "return function(msg, conn)
                   log.info(`{method} returned {{select(\"#\", conn:{method}())}} values`)
                 end\n"
            ))
            .start();
        let mut client = server.tcp();
        client.send(b"x");
        server.wait_log(&format!("{method} returned 0 values"));
        server.assert_no_log("message rejected");
    }
}

#[test]
fn reset_resets() {
    let server = Server::builder().script("return function(msg, conn) conn:reset() end\n").start();
    let mut client = server.tcp();
    client.send(b"x");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.read_once()));
    assert!(outcome.is_err(), "an end in order: {outcome:?}");
}

#[test]
fn shutdown_half_closes_and_goes_on_reading() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"done\" then conn:send(\"that is all\"); conn:shutdown() return end
               log.info(`heard {msg}`)
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"done");
    assert_eq!(client.read_to_end(), b"that is all");
    client.send(b"one more thing");
    server.wait_log("heard one more thing");
}

/// Keeps the first connection, and answers others with what the expression gives once that one
/// is gone.
fn on_a_closed_connection(expression: &str) -> String {
    let server = Server::builder()
        .script(&format!(
            "return {{
               on_message = function(msg, conn)
                 if msg == \"keep\" then server.state.gone = conn return \"kept\\n\" end
                 local gone = server.state.gone
                 local first, second = {expression}
                 return `{{first}} {{second}}\\n`
               end,
               on_close = function(conn) log.info(\"is gone\") end,
             }}\n"
        ))
        .start();
    let mut client = server.tcp();
    client.exchange(b"keep", b"kept\n");
    drop(client);
    server.wait_log("is gone");
    let answer = ask(&mut server.tcp(), "x");
    server.assert_no_log("handler fault");
    answer
}

#[test]
fn send_on_a_closed_connection_says_closed() {
    assert_eq!(on_a_closed_connection("gone:send(\"x\")"), "nil closed");
}

#[test]
fn flush_on_a_closed_connection_says_closed() {
    assert_eq!(on_a_closed_connection("gone:flush()"), "nil closed");
}

#[test]
fn close_reset_and_shutdown_of_a_closed_connection_do_not_throw() {
    assert_eq!(on_a_closed_connection("pcall(function() gone:close() end)"), "true nil");
    assert_eq!(on_a_closed_connection("pcall(function() gone:reset() end)"), "true nil");
    assert_eq!(on_a_closed_connection("pcall(function() gone:shutdown() end)"), "true nil");
}

#[test]
fn the_fields_of_a_closed_connection_stay() {
    assert_eq!(on_a_closed_connection("gone.transport, type(gone.state)"), "tcp table");
    assert_eq!(on_a_closed_connection("gone.peer_ip, #tostring(gone) > 10"), "127.0.0.1 true");
}

#[test]
fn send_after_ones_own_close_says_closed() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               conn:close()
               local ok, why = conn:send(\"late\")
               log.info(`after close: {ok} {why}`)
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    client.expect_eof();
    server.wait_log("after close: nil closed");
}

#[test]
fn a_send_to_another_connection_arrives() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"listen\" then server.state.listener = conn return \"listening\\n\" end
               return `{server.state.listener:send(msg)}\\n`
             end\n",
        )
        .start();
    let mut listener = server.tcp();
    listener.exchange(b"listen", b"listening\n");
    server.tcp().exchange(b"news\n", b"true\n");
    assert_eq!(read_line(&mut listener), "news");
    server.udp().exchange(b"more\n", b"true\n");
    assert_eq!(read_line(&mut listener), "more");
}

#[test]
fn a_send_to_another_connection_never_waits() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"listen\" then server.state.listener = conn return \"listening\\n\" end
               for n = 1, 10000 do
                 local ok, why = server.state.listener:send((\"x\"):rep(65536))
                 if not ok then return `{why}\\n` end
               end
               return \"never full\\n\"
             end\n",
        )
        .args(["--budget", "5s"])
        .start();
    let mut listener = server.tcp();
    listener.exchange(b"listen", b"listening\n");
    server.tcp().exchange(b"x", b"full\n");
    drop(listener);
}

#[test]
fn a_send_of_something_else_than_a_string_is_the_scripts_mistake() {
    let server = answering_with("pcall(function() conn:send({}) end)");
    let mut client = server.tcp();
    client.exchange(b"x", b"false\n");
    client.expect_silence(Duration::from_millis(50));
}
