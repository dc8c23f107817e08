//! A reload while conversations are open: each stays on the generation it began with until it
//! returns, and a connection without one enters the new `on_session` at its next message. Many at
//! once are in `conversation_load`.

use crate::support::Server;
use crate::talk::{ask, read_line, reload};
use std::time::Duration;

/// A conversation whose answers begin with `word`; `quit` has it return.
pub fn talking(word: &str, keys: &str) -> String {
    format!(
        "return {{
           framing = \"line\",
           {keys}
           on_session = function(conn)
             local n = 0
             while true do
               local msg = conn:read()
               if not msg or msg == \"quit\" then
                 conn:send(\"{word} returns\")
                 return
               end
               n += 1
               conn:send(`{word} {{n}} {{msg}}`)
             end
           end,
           on_close = function(conn, reason) log.info(`gone: {{reason}};`) end,
         }}\n"
    )
}

/// A handler of single messages whose answers begin with `word`.
fn answering(word: &str) -> String {
    format!(
        "return {{
           framing = \"line\",
           on_message = function(msg) return \"{word} \" .. msg end,
           on_close = function(conn, reason) log.info(`gone: {{reason}};`) end,
         }}\n"
    )
}

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn a_conversation_stays_on_its_generation_and_a_new_one_begins_on_the_new() {
    let server = start(&talking("one", ""));
    let mut old = server.tcp();
    old.exchange(b"a\n", b"one 1 a\n");
    reload(&server, &talking("two", ""), 2);
    old.exchange(b"b\n", b"one 2 b\n");
    let mut new = server.tcp();
    new.exchange(b"a\n", b"two 1 a\n");
    old.exchange(b"c\n", b"one 3 c\n");
    old.send(b"quit\n");
    assert_eq!(old.read_to_end(), b"one returns\n");
    new.exchange(b"b\n", b"two 2 b\n");
    server.wait_log("gone: closed;");
}

#[test]
fn a_conversation_outlives_twenty_saves() {
    let server = start(&talking("one", ""));
    let mut old = server.tcp();
    let peer = server.udp();
    for number in 1..=20 {
        old.exchange(
            format!("{number}\n").as_bytes(),
            format!("one {number} {number}\n").as_bytes(),
        );
        peer.exchange(b"x", format!("one {number} x\n").as_bytes());
        reload(&server, &talking(&format!("version {number}"), ""), number + 1);
    }
    old.exchange(b"x\n", b"one 21 x\n");
    server.tcp().exchange(b"x\n", b"version 20 1 x\n");
    // A datagram peer that has returned begins anew, on the new code.
    peer.exchange(b"quit", b"one returns\n");
    server.wait_log("gone: closed;");
    peer.exchange(b"x", b"version 20 1 x\n");
}

#[test]
fn a_conversation_stays_where_the_new_script_has_none() {
    let server = start(&talking("one", ""));
    let mut old = server.tcp();
    old.exchange(b"a\n", b"one 1 a\n");
    reload(&server, &answering("two"), 2);
    old.exchange(b"b\n", b"one 2 b\n");
    server.tcp().exchange(b"a\n", b"two a\n");
    old.send(b"quit\nmore\n");
    assert_eq!(old.read_to_end(), b"one returns\n");
}

#[test]
fn a_connection_without_a_conversation_enters_the_new_one_at_its_next_message() {
    let server = start(&answering("one"));
    let (mut client, peer) = (server.tcp(), server.udp());
    client.exchange(b"a\n", b"one a\n");
    peer.exchange(b"a", b"one a\n");
    let two = r#"return {
      framing = "line",
      on_session = function(conn)
        log.info(`begins {conn.transport};`)
        conn:send("hello")
        while true do
          local msg = conn:read()
          if not msg then return end
          conn:send("two " .. msg)
        end
      end,
    }
    "#;
    reload(&server, two, 2);
    server.tcp().expect(b"hello\n");
    client.expect_silence(Duration::from_millis(100));
    client.send(b"b\n");
    client.expect(b"hello\ntwo b\n");
    client.exchange(b"c\nd\n", b"two c\ntwo d\n");
    peer.send(b"b");
    peer.expect(b"hello\n");
    peer.expect(b"two b\n");
    peer.exchange(b"c", b"two c\n");
    // One began with the new connection, two at the messages.
    server.wait_log_count("begins tcp;", 2);
    server.wait_log("begins udp;");
    assert_eq!(server.log_count("begins "), 3);
}

#[test]
fn the_half_of_a_message_that_came_before_the_reload_belongs_to_the_conversation() {
    let server = start(&answering("one"));
    let mut client = server.tcp();
    client.exchange(b"a\nhalf a", b"one a\n");
    reload(&server, &talking("two", ""), 2);
    client.exchange(b" line\nb\n", b"two 1 half a line\ntwo 2 b\n");
}

#[test]
fn a_call_that_runs_over_the_reload_finishes_before_the_conversation_begins() {
    let server = start(
        r#"return {
          framing = "line",
          on_message = function(msg)
            if msg == "wait" then
              log.info("waiting")
              repeat sleep(0.01) until server.state.go
            end
            return "one " .. msg
          end,
        }
        "#,
    );
    let mut client = server.tcp();
    client.send(b"wait\nnext\n");
    server.wait_log("waiting");
    reload(&server, &talking("two", "on_load = function() server.state.go = true end,"), 2);
    client.expect(b"one wait\ntwo 1 next\n");
}

#[test]
fn a_conversation_keeps_the_framing_of_its_generation() {
    let server = start(&talking("one", "reply_framing = \"crlf\","));
    let mut old = server.tcp();
    old.exchange(b"a\nhalf", b"one 1 a\r\n");
    let two = talking("two", "").replace("framing = \"line\"", "framing = \"netstring\"");
    reload(&server, &two, 2);
    old.exchange(b" a line\n", b"one 2 half a line\r\n");
    server.tcp().exchange(b"1:a,", b"7:two 1 a,");
    old.exchange(b"b\n", b"one 3 b\r\n");
}

#[test]
fn on_reload_of_a_newer_generation_does_not_run_for_a_conversation() {
    let server = start(&talking("one", ""));
    let mut old = server.tcp();
    old.exchange(b"a\n", b"one 1 a\n");
    let on_reload = "on_reload = function(conn) log.info(\"on_reload runs\") end,";
    reload(&server, &talking("two", on_reload), 2);
    old.exchange(b"b\n", b"one 2 b\n");
    reload(&server, &talking("three", on_reload), 3);
    old.send(b"quit\n");
    assert_eq!(old.read_to_end(), b"one returns\n");
    server.wait_log("gone: closed;");
    server.assert_no_log("on_reload runs");
}

#[test]
fn a_refused_reload_changes_nothing_for_a_conversation() {
    let server = start(&talking("one", ""));
    let mut old = server.tcp();
    old.exchange(b"a\n", b"one 1 a\n");
    server.save("handler.lua", "return {on_session = 42}\n");
    server.wait_log("reload failed, generation 1 stays live");
    old.exchange(b"b\n", b"one 2 b\n");
    server.tcp().exchange(b"a\n", b"one 1 a\n");
}

#[test]
fn the_old_generation_unloads_while_its_conversation_goes_on() {
    let server = start(&talking(
        "one",
        "on_unload = function() log.info(\"one unloads\"); server.state.unloaded = true end,",
    ));
    let mut old = server.tcp();
    old.exchange(b"a\n", b"one 1 a\n");
    reload(&server, &talking("two", ""), 2);
    server.wait_log("one unloads");
    old.exchange(b"b\n", b"one 2 b\n");
    old.send(b"quit\n");
    assert_eq!(old.read_to_end(), b"one returns\n");
    server.wait_log("gone: closed;");
    assert_eq!(server.log_count("one unloads"), 1);
}

#[test]
fn modules_and_variables_of_the_old_generation_stay_with_its_conversation() {
    let script = |word: &str| {
        format!(
            "local words = require(\"./words\")
             local count = 0
             return {{
               framing = \"line\",
               on_session = function(conn)
                 while true do
                   local msg = conn:read()
                   if not msg then return end
                   count += 1
                   server.state.total = (server.state.total or 0) + 1
                   conn.state.n = (conn.state.n or 0) + 1
                   local numbers = `{{count}} {{server.state.total}} {{conn.state.n}}`
                   conn:send(`{word} {{words.word}} {{numbers}} {{require(\"./words\").word}}`)
                 end
               end,
             }}\n"
        )
    };
    let server = Server::builder()
        .file("words.lua", "return {word = \"w1\"}\n")
        .script(&script("one"))
        .start();
    let mut old = server.tcp();
    old.exchange(b"x\n", b"one w1 1 1 1 w1\n");
    server.save("words.lua", "return {word = \"w2\"}\n");
    server.wait_log("generation 2 is live");
    reload(&server, &script("three"), 3);
    server.tcp().exchange(b"x\n", b"three w2 1 2 1 w2\n");
    old.exchange(b"x\n", b"one w1 2 3 2 w1\n");
}

#[test]
fn the_tasks_of_a_conversation_survive_a_reload_with_it() {
    let server = start(
        r#"return {
          framing = "line",
          on_session = function(conn)
            local n = 0
            spawn(function()
              repeat sleep(0.01) until server.state.go
              conn:send("the task goes on")
            end)
            while true do
              local msg = conn:read()
              if not msg or msg == "quit" then return end
              conn:send("one " .. msg)
            end
          end,
        }
        "#,
    );
    let mut old = server.tcp();
    old.exchange(b"a\n", b"one a\n");
    reload(&server, &talking("two", ""), 2);
    old.exchange(b"b\n", b"one b\n");
    reload(&server, &talking("three", "on_load = function() server.state.go = true end,"), 3);
    assert_eq!(read_line(&mut old), "the task goes on");
    old.exchange(b"c\n", b"one c\n");
    old.send(b"quit\n");
    old.expect_eof();
}

#[test]
fn an_error_in_an_old_conversation_shows_the_old_source() {
    let server = start(
        "return {
           framing = \"line\",
           on_session = function(conn)
             conn:send(conn:read())
             local msg = conn:read()
             error(\"old code fails\") -- the old line
           end,
           on_close = function(conn, reason) log.info(`gone: {reason};`) end,
         }\n",
    );
    let mut old = server.tcp();
    assert_eq!(ask(&mut old, "a\n"), "a");
    reload(&server, &talking("two", "-- the new line"), 2);
    old.send(b"b\n");
    old.expect_eof();
    let fault = server.wait_log("old code fails");
    assert!(fault.contains("on_session"), "{fault}");
    server.wait_log("-- the old line");
    server.wait_log("gone: error;");
    server.assert_no_log("-- the new line");
}
