//! Each callback: when it runs, what it gets, what its return value does. `on_message` is in
//! `handler_returns`, `on_load`, `on_unload` and `on_reload` are in `reload_state`.

use crate::support::{SIGTERM, Server};
use crate::talk::read_line;
use std::time::Duration;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

/// Callbacks that log the reason of every close, beside `others`.
fn closing(others: &str) -> Server {
    start(&format!(
        "return {{
           on_close = function(conn, reason) log.info(`gone: {{reason}} {{conn.state.name}}`) end,
           {others}
         }}\n"
    ))
}

#[test]
fn on_connect_greets() {
    let server = start(
        "return {
           on_connect = function(conn) return \"hello \" .. conn.peer .. \"\\n\" end,
           on_message = function(msg) return msg end,
         }\n",
    );
    let mut client = server.tcp();
    client.expect(format!("hello {}\n", client.local_addr()).as_bytes());
    client.exchange(b"x", b"x");
}

#[test]
fn on_connect_may_send_and_return_several() {
    let server = start(
        "return {
           on_connect = function(conn) conn:send(\"one\\n\"); return {\"two\\n\", \"three\\n\"} end,
         }\n",
    );
    server.tcp().expect(b"one\ntwo\nthree\n");
}

#[test]
fn on_connect_runs_before_the_first_message() {
    let server = start(
        "return {
           on_connect = function(conn) sleep(0.05); conn.state.ready = true end,
           on_message = function(msg, conn) return tostring(conn.state.ready) end,
         }\n",
    );
    server.tcp().exchange(b"x", b"true");
    server.udp().exchange(b"x", b"true");
}

#[test]
fn on_connect_refuses_by_a_reject() {
    let server = closing(
        "on_connect = function(conn)
           conn.state.name = \"refused\"
           if server.state.full then return nil, \"house full\", \"come back later\\n\" end
           server.state.full = true
         end,
         on_message = function(msg) return msg end,",
    );
    let mut first = server.tcp();
    first.exchange(b"x", b"x");
    let mut second = server.tcp();
    assert_eq!(second.read_to_end(), b"come back later\n");
    server.wait_log("reason=\"house full\"");
    server.wait_log("gone: rejected refused");
    first.exchange(b"x", b"x");
}

#[test]
fn on_connect_refuses_by_an_error() {
    let server = closing("on_connect = function(conn) error(\"no room\") end,");
    let mut client = server.tcp();
    client.expect_gone();
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_connect") && fault.contains("no room"), "{fault}");
    server.wait_log("gone: error");
}

#[test]
fn on_connect_refuses_a_datagram_peer_too() {
    let server = start(
        "return {
           on_connect = function() return nil, \"not you\" end,
           on_message = function() return \"never\" end,
         }\n",
    );
    let peer = server.udp();
    peer.send(b"x");
    server.wait_log("reason=\"not you\"");
    peer.expect_silence(Duration::from_millis(100));
}

#[test]
fn without_on_eof_the_rest_is_flushed_and_the_connection_closes() {
    let server = start("return function(msg) sleep(0.05); return msg:upper() end\n");
    let mut client = server.tcp();
    client.send(b"abc");
    client.half_close();
    assert_eq!(client.read_to_end(), b"ABC");
}

#[test]
fn on_eof_may_send_last_words() {
    let server = start(
        "return {
           on_message = function(msg) return msg end,
           on_eof = function(conn) conn:send(\"bye \"); return \"now\" end,
         }\n",
    );
    let mut client = server.tcp();
    client.send(b"abc ");
    client.half_close();
    assert_eq!(client.read_to_end(), b"abc bye now");
}

#[test]
fn on_eof_keeps_the_connection_for_sending() {
    let server = start(
        "return {
           on_message = function(msg, conn)
             if msg == \"first\" then server.state.first = conn; return \"noted\" end
             server.state.first:send(\"late news\")
             server.state.first:close()
             return \"sent\"
           end,
           on_eof = function(conn) log.info(\"half closed\"); return true end,
         }\n",
    );
    let mut first = server.tcp();
    first.exchange(b"first", b"noted");
    first.half_close();
    server.wait_log("half closed");
    server.tcp().exchange(b"poke", b"sent");
    assert_eq!(first.read_to_end(), b"late news");
}

#[test]
fn on_idle_may_keep_the_connection_open() {
    let server = closing(
        "idle_timeout = 0.1,
         on_idle = function(conn)
           conn.state.name = \"patient\"
           conn.state.times = (conn.state.times or 0) + 1
           conn:send(`idle {conn.state.times}\\n`)
           if conn.state.times < 3 then return true end
         end,",
    );
    let mut client = server.tcp();
    assert_eq!(client.read_to_end(), b"idle 1\nidle 2\nidle 3\n");
    server.wait_log("gone: idle patient");
}

#[test]
fn an_on_idle_that_waits_comes_to_its_end() {
    let server = closing(
        "idle_timeout = 0.1,
         on_message = function(msg) return msg end,
         on_idle = function(conn)
           sleep(0.02)
           return \"bye\"
         end,",
    );
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    assert_eq!(client.read_to_end(), b"bye");
    server.wait_log("gone: idle");
}

#[test]
fn an_on_idle_that_fails_is_told_and_closes() {
    let server = closing(
        "idle_timeout = 0.1,
         on_message = function(msg) return msg end,
         on_idle = function() error(\"no patience\") end,
         on_error = function() return \"sorry\" end,",
    );
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    assert_eq!(client.read_to_end(), b"sorry");
    server.wait_log("gone: idle");
}

#[test]
fn without_on_idle_the_idle_timeout_closes() {
    let server = closing("idle_timeout = 0.1, on_message = function(msg) return msg end,");
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    client.expect_eof();
    server.wait_log("gone: idle");
}

#[test]
fn the_idle_timeout_of_the_command_line_closes() {
    let server = Server::builder()
        .script("return {on_close = function(conn, reason) log.info(`gone: {reason}`) end}\n")
        .args(["--idle-timeout", "100ms"])
        .start();
    server.tcp().expect_eof();
    server.wait_log("gone: idle");
}

#[test]
fn without_an_idle_timeout_a_silent_connection_stays() {
    let server = start("return function(msg) return msg end\n");
    let mut client = server.tcp();
    client.expect_silence(Duration::from_millis(400));
    client.exchange(b"x", b"x");
}

#[test]
fn a_string_of_on_error_is_sent() {
    let server = start(
        "return {
           on_message = function(msg, conn) error(\"boom with \" .. msg) end,
           on_error = function(err, conn)
             return `sorry {conn.peer_port}: {string.match(err, \"boom with %w+\")}\\n`
           end,
         }\n",
    );
    let mut client = server.tcp();
    let port = client.local_addr().port();
    client.exchange(b"abc", format!("sorry {port}: boom with abc\n").as_bytes());
    client.exchange(b"def", format!("sorry {port}: boom with def\n").as_bytes());
    server.wait_log("handler fault");
}

#[test]
fn on_error_gets_the_text_of_an_error_that_is_no_string() {
    let server = start(
        "return {
           on_message = function() error({code = 7}) end,
           on_error = function(err) return type(err) .. \"\\n\" end,
         }\n",
    );
    server.tcp().exchange(b"x", b"string\n");
}

#[test]
fn an_on_error_that_fails_itself_is_logged_and_that_is_the_end_of_it() {
    let server = start(
        "return {
           on_message = function(msg) if msg == \"bad\" then error(\"first\") end return msg end,
           on_error = function() error(\"second\") end,
         }\n",
    );
    let mut client = server.tcp();
    client.send(b"bad");
    server.wait_log("first");
    server.wait_log("second");
    client.exchange(b"good", b"good");
    let log = server.log_text();
    assert!(log.contains("on_error"), "{log}");
    assert!(log.matches("handler fault").count() <= 2, "{log}");
}

#[test]
fn on_error_of_on_load_has_no_connection() {
    let server = start("return function() return \"one\" end\n");
    server.save(
        "handler.lua",
        "return {
           on_load = function() error(\"not ready\") end,
           on_error = function(err, conn) log.info(`no connection: {conn == nil}`) end,
         }\n",
    );
    server.wait_log("reload failed, generation 1 stays live");
    server.wait_log("no connection: true");
}

#[test]
fn on_close_says_eof() {
    let server = closing("on_message = function(msg, conn) conn.state.name = msg; return msg end,");
    let mut client = server.tcp();
    client.exchange(b"ann", b"ann");
    client.half_close();
    client.expect_eof();
    server.wait_log("gone: eof ann");
}

#[test]
fn on_close_says_closed() {
    let server = closing(
        "on_message = function(msg, conn)
           conn.state.name = msg
           conn:send(\"bye\")
           return conn:close()
         end,",
    );
    let mut client = server.tcp();
    client.send(b"ann");
    assert_eq!(client.read_to_end(), b"bye");
    server.wait_log("gone: closed ann");
}

#[test]
fn on_close_says_reset() {
    let server = closing("on_message = function(msg, conn) conn.state.name = msg; return msg end,");
    let mut client = server.tcp();
    client.exchange(b"ann", b"ann");
    client.reset();
    server.wait_log("gone: reset ann");
}

#[test]
fn on_close_says_shutdown() {
    let mut server =
        closing("on_message = function(msg, conn) conn.state.name = msg; return msg end,");
    let mut client = server.tcp();
    client.exchange(b"ann", b"ann");
    server.signal(SIGTERM);
    client.expect_eof();
    assert_eq!(server.wait_exit(), 0);
    server.wait_log("gone: shutdown ann");
}

#[test]
fn on_close_runs_once_and_after_the_call_that_was_running() {
    let server = closing(
        "on_message = function(msg, conn)
           conn.state.name = \"busy\"
           log.info(\"begins\")
           repeat sleep(0.01) until server.state.go
           conn.state.name = \"done\"
         end,
         on_connect = function() if server.state.seen then server.state.go = true end
           server.state.seen = true end,",
    );
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("begins");
    client.reset();
    let _second = server.tcp();
    server.wait_log("gone: reset done");
    assert_eq!(server.log_count("gone: reset"), 1);
}

#[test]
fn on_close_may_tell_others() {
    let server = start(
        "return {
           on_message = function(msg, conn) server.state.watcher = conn; return \"watching\\n\" end,
           on_close = function(conn, reason) server.state.watcher:send(`left: {reason}\\n`) end,
         }\n",
    );
    let mut watcher = server.tcp();
    watcher.exchange(b"x", b"watching\n");
    drop(server.tcp());
    assert_eq!(read_line(&mut watcher), "left: eof");
}

#[test]
fn an_on_close_that_fails_is_reported_and_hurts_no_one() {
    let server = start(
        "return {
           on_message = function(msg) return msg end,
           on_close = function() error(\"cannot say goodbye\") end,
         }\n",
    );
    let mut other = server.tcp();
    other.exchange(b"x", b"x");
    drop(server.tcp());
    let fault = server.wait_log("cannot say goodbye");
    assert!(fault.contains("on_close"), "{fault}");
    other.exchange(b"x", b"x");
}
