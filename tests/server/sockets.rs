//! Sockets as the textbooks teach them: addresses, half-close in both directions, resets that are
//! RST, idle timeouts. Options are in `sockets_options`.

use crate::support::{Client, Server};
use crate::talk::ask;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[test]
fn the_addresses_are_those_of_both_ends() {
    let server = Server::builder()
        .script("return function(msg, conn) return `{conn.local_addr} {conn.peer}\\n` end\n")
        .listen("tcp://0.0.0.0:0")
        .start();
    let port = server.tcp_addr().port();
    for host in ["127.0.0.1", "127.0.0.2"] {
        let address: SocketAddr = format!("{host}:{port}").parse().unwrap();
        let mut client = Client::tcp(address);
        let expected = format!("{address} {}", client.local_addr());
        assert_eq!(ask(&mut client, "x"), expected);
    }
}

#[test]
fn a_client_that_has_said_all_still_gets_a_long_answer() {
    let server = Server::builder()
        .script(
            r#"return {
              on_session = function(conn)
                local all = conn:read("all")
                for n = 1, 100 do conn:send(("y"):rep(65536)) end
                conn:send(`that were {#all} bytes`)
              end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.send(&vec![b'x'; 100_000]);
    client.half_close();
    let answer = client.read_to_end();
    assert_eq!(answer.len(), 100 * 65536 + b"that were 100000 bytes".len());
    assert!(answer.ends_with(b"that were 100000 bytes"));
}

#[test]
fn a_server_that_has_said_all_still_hears_a_long_question() {
    let server = Server::builder()
        .script(
            r#"return {
              on_session = function(conn)
                conn:send("speak")
                conn:shutdown()
                log.info(`heard {#conn:read({all = true, max = 10000000})}`)
                local sent, why = conn:send("too late")
                log.info(`sent {sent} {why}`)
              end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    assert_eq!(client.read_to_end(), b"speak");
    for _ in 0..50 {
        client.send(&vec![b'x'; 100_000]);
    }
    client.half_close();
    server.wait_log("heard 5000000");
    server.wait_log("sent nil");
}

#[test]
fn a_reset_is_rst_from_wherever_it_is_called() {
    for call in [
        "conn:reset()",
        "spawn(function() conn:reset() end)",
        "after(0.01, function() conn:reset() end)",
        "conn:send((\"x\"):rep(100000)) conn:flush() conn:reset()",
    ] {
        let server = Server::builder()
            .script(&format!(
                "return {{
                   on_message = function(msg, conn) {call} end,
                   on_close = function(conn, reason) log.info(`gone {{reason}}`) end,
                 }}\n"
            ))
            .start();
        let mut client = server.tcp();
        client.send(b"x");
        client.expect_reset();
        server.wait_log("gone reset");
    }
}

#[test]
fn a_reset_of_a_conversation_is_rst_too() {
    let server = Server::builder()
        .script(
            r"return {
              on_session = function(conn)
                conn:read()
                conn:reset()
                local data, why = conn:read()
                log.info(`after the reset {data} {why}`)
              end,
            }",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    client.expect_reset();
    let line = server.wait_log("after the reset nil ");
    assert!(line.contains("closed") || line.contains("reset"), "{line}");
}

#[test]
fn a_peer_that_resets_is_told_of_as_reset() {
    let server = Server::builder()
        .script(
            r#"return {
              on_session = function(conn)
                conn:send("ready")
                local data, why = conn:read()
                log.info(`read gave {data} {why}`)
              end,
              on_close = function(conn, reason) log.info(`gone {reason}`) end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.expect(b"ready");
    client.reset();
    server.wait_log("read gave nil reset");
    server.wait_log("gone reset");
}

const IDLE: &str = r"return {
  idle_timeout = RULE,
  on_message = function(msg, conn)
    local seconds = tonumber(msg)
    return `{conn:set_idle_timeout(seconds)}`
  end,
  on_close = function(conn, reason) log.info(`gone {reason}`) end,
}";

#[test]
fn an_idle_timeout_may_be_set_for_one_connection() {
    let server = Server::builder().script(&IDLE.replace("RULE", "nil")).start();
    let (mut client, mut other) = (server.tcp(), server.tcp());
    client.exchange(b"0.3", b"true");
    let begin = Instant::now();
    client.expect_eof();
    assert!(begin.elapsed() >= Duration::from_millis(250), "after {:?}", begin.elapsed());
    server.wait_log("gone idle");
    other.exchange(b"0", b"true");
    assert_eq!(server.log_count("gone"), 1);
}

#[test]
fn an_idle_timeout_of_zero_is_never_and_nil_is_the_rule_again() {
    let server = Server::builder().script(&IDLE.replace("RULE", "0.4")).start();
    let mut client = server.tcp();
    client.exchange(b"0", b"true");
    server.tcp().expect_eof();
    client.expect_silence(Duration::from_millis(600));
    client.exchange(b"none", b"true");
    client.expect_eof();
    server.wait_log_count("gone idle", 2);
}

#[test]
fn a_longer_idle_timeout_lets_the_connection_live() {
    let server = Server::builder().script(&IDLE.replace("RULE", "0.3")).start();
    let mut client = server.tcp();
    client.exchange(b"60", b"true");
    server.tcp().expect_eof();
    client.expect_silence(Duration::from_millis(500));
    client.exchange(b"60", b"true");
}
