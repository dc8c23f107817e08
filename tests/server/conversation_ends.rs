//! How a conversation ends: by its return, its tasks, silence, an error, its budget; and that what
//! it sent arrives.

use crate::framed::session;
use crate::support::Server;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn when_a_conversation_returns_its_connection_is_closed() {
    let server = start(&session("framing = \"line\",", "conn:send(\"<\" .. conn:read() .. \">\")"));
    let mut client = server.tcp();
    client.send(b"one\ntwo\nthree\n");
    assert_eq!(client.read_to_end(), b"<one>\n");
    server.wait_log("gone: closed;");
}

#[test]
fn a_conversation_that_reads_nothing_is_closed_too() {
    let server = start(&session("", "conn:send(\"time is up\")"));
    assert_eq!(server.tcp().read_to_end(), b"time is up");
    server.wait_log("gone: closed;");
}

#[test]
fn when_the_peer_has_ended_the_reason_is_eof() {
    let server = start(&session("framing = \"line\",", "while conn:read() do end"));
    let mut client = server.tcp();
    client.send(b"one\ntwo\n");
    client.half_close();
    client.expect_eof();
    server.wait_log("gone: eof;");
}

#[test]
fn what_a_conversation_sent_is_flushed_before_the_close() {
    const SIZE: usize = 8 << 20;
    let server = start(&session(
        "framing = \"line\",",
        "conn:read()
         local part = (\"0123456789abcdef\"):rep(4096)
         for i = 1, 128 do conn:send_raw(part) end",
    ));
    let mut client = server.tcp();
    client.send(b"go\nand more that no one reads\n");
    let all = client.read_to_end();
    assert_eq!(all.len(), SIZE);
    assert!(all.ends_with(b"0123456789abcdef"));
    server.wait_log("gone: closed;");
}

#[test]
fn a_spawned_task_keeps_the_connection_until_it_has_ended() {
    let server = start(&session(
        "framing = \"line\",",
        "spawn(function()
           repeat sleep(0.01) until server.state.go
           conn:send(\"from the task\")
         end)
         if conn:read() == \"go\" then server.state.go = true end
         conn:send(\"returns\")",
    ));
    let mut client = server.tcp();
    client.exchange(b"x\n", b"returns\n");
    server.assert_no_log("gone");
    server.tcp().send(b"go\n");
    assert_eq!(client.read_to_end(), b"from the task\n");
    server.wait_log("gone: closed;");
}

#[test]
fn a_task_of_a_task_keeps_the_connection_too() {
    let server = start(&session(
        "framing = \"line\",",
        "spawn(function()
           sleep(0.01)
           spawn(function()
             sleep(0.05)
             spawn(function(word) sleep(0.05); conn:send(word) end, \"innermost\")
           end)
         end)",
    ));
    assert_eq!(server.tcp().read_to_end(), b"innermost\n");
    server.wait_log("gone: closed;");
}

#[test]
fn one_task_may_read_while_the_other_sends() {
    let server = start(&session(
        "framing = \"line\",",
        "local ended = false
         spawn(function()
           while not ended do conn:send(\"tick\"); sleep(0.01) end
         end)
         local n = 0
         while conn:read() do n += 1 end
         ended = true
         sleep(0.03)
         conn:send(`{n} read`)",
    ));
    let mut client = server.tcp();
    client.expect(b"tick\ntick\ntick\n");
    client.send(b"a\nb\nc\n");
    client.expect(b"tick\n");
    client.half_close();
    let rest = String::from_utf8(client.read_to_end()).unwrap();
    assert!(rest.ends_with("3 read\n"), "{rest}");
    server.wait_log("gone: eof;");
}

#[test]
fn on_idle_may_keep_a_conversation_open() {
    let server = start(&session(
        "framing = \"line\",
         idle_timeout = 0.1,
         on_idle = function(conn)
           conn.state.n = (conn.state.n or 0) + 1
           conn:send(`idle {conn.state.n}`)
           return conn.state.n < 3 or nil
         end,",
        "local msg, why = conn:read()
         log.info(`read gave {msg} {why};`)",
    ));
    assert_eq!(server.tcp().read_to_end(), b"idle 1\nidle 2\nidle 3\n");
    server.wait_log("read gave nil closed;");
    server.wait_log("gone: idle;");
}

#[test]
fn a_silent_conversation_ends_as_idle() {
    let server = start(&session(
        "framing = \"line\", idle_timeout = 0.1, peer_timeout = 0.1,",
        "conn:send(conn:read())
         local msg, why = conn:read()
         log.info(`{conn.transport} read gave {msg} {why};`)",
    ));
    let mut client = server.tcp();
    client.exchange(b"x\n", b"x\n");
    client.expect_eof();
    server.wait_log("tcp read gave nil closed;");
    server.wait_log("gone: idle;");
    server.udp().exchange(b"x", b"x\n");
    server.wait_log("udp read gave nil closed;");
    server.wait_log_count("gone: idle;", 2);
}

#[test]
fn an_error_in_a_conversation_is_shown_and_ends_it() {
    let server = start(&session(
        "framing = \"line\",",
        "while true do
           local msg = conn:read()
           conn:send(\"<\" .. msg .. \">\")
           if msg == \"bad\" then error(\"no such word\") end
         end",
    ));
    let mut witness = server.tcp();
    let mut client = server.tcp();
    witness.exchange(b"one\n", b"<one>\n");
    client.send(b"one\nbad\ntwo\n");
    assert_eq!(client.read_to_end(), b"<one>\n<bad>\n");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_session") && fault.contains("no such word"), "{fault}");
    server.wait_log("gone: error;");
    witness.exchange(b"two\n", b"<two>\n");
}

#[test]
fn a_string_of_on_error_is_the_last_word_of_a_failed_conversation() {
    let server = start(&session(
        "framing = \"line\",
         on_error = function(err) return \"sorry: \" .. err:match(\"no such %w+\") end,",
        "conn:read() error(\"no such word\")",
    ));
    let mut client = server.tcp();
    client.send(b"x\n");
    assert_eq!(client.read_to_end(), b"sorry: no such word\n");
    server.wait_log("gone: error;");
}

#[test]
fn an_error_in_a_datagram_conversation_ends_that_peer() {
    let server = start(&session(
        "",
        "while true do
           local msg = conn:read()
           if msg == \"bad\" then error(\"no such word\") end
           conn:send(msg)
         end",
    ));
    let (bad, good) = (server.udp(), server.udp());
    good.exchange(b"one", b"one");
    bad.exchange(b"one", b"one");
    bad.send(b"bad");
    server.wait_log("no such word");
    server.wait_log("gone: error;");
    good.exchange(b"two", b"two");
    bad.exchange(b"new here", b"new here");
}

#[test]
fn the_budget_begins_again_at_every_message() {
    let script = session(
        "framing = \"line\",",
        "while true do
           local msg = conn:read()
           if not msg then return end
           local start = os.clock()
           while os.clock() - start < 0.03 do end
           conn:send(msg)
         end",
    );
    let server = Server::builder().script(&script).args(["--budget", "150ms"]).start();
    let mut client = server.tcp();
    // All of them are there at once, so that no read has to wait for its message.
    let lines = "x\n".repeat(20);
    client.exchange(lines.as_bytes(), lines.as_bytes());
    server.assert_no_log("handler fault");
}

#[test]
fn a_conversation_over_its_budget_is_ended() {
    let script = session(
        "framing = \"line\",",
        "while true do
           local msg = conn:read()
           if msg == \"loop\" then
             while true do pcall(function() while true do end end) end
           end
           conn:send(msg)
         end",
    );
    let server = Server::builder().script(&script).args(["--budget", "50ms"]).start();
    let mut witness = server.tcp();
    let mut client = server.tcp();
    witness.exchange(b"x\n", b"x\n");
    client.exchange(b"x\n", b"x\n");
    client.send(b"loop\n");
    client.expect_eof();
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_session"), "{fault}");
    server.wait_log("gone: error;");
    witness.exchange(b"y\n", b"y\n");
}

#[test]
fn a_loop_that_ignores_the_end_is_ended_by_its_budget() {
    let script = session("framing = \"line\",", "while true do conn:read() end");
    let server = Server::builder().script(&script).args(["--budget", "50ms"]).start();
    let mut client = server.tcp();
    client.send(b"one\n");
    client.half_close();
    client.expect_eof();
    server.wait_log("handler fault");
    server.wait_log("gone: error;");
}
