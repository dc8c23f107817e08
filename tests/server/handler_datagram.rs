//! A datagram peer is a connection like any other: its state lasts, its callbacks run, it ends
//! by its timeout or when too many others push it out.

use crate::support::Server;
use std::time::Duration;

const COUNTING: &str = "\
return {
  KEYS
  on_connect = function(conn) conn.state.n = 0; log.info(`comes {conn.transport}`) end,
  on_message = function(msg, conn)
    conn.state.n += 1
    return `{conn.state.n} {msg}`
  end,
  on_close = function(conn, reason) log.info(`goes {reason} {conn.state.n}`) end,
}
";

fn counting(keys: &str) -> String {
    COUNTING.replace("KEYS", keys)
}

#[test]
fn the_state_of_a_peer_lasts_and_on_connect_runs_once() {
    let server = Server::builder().script(&counting("")).start();
    let (first, second) = (server.udp(), server.udp());
    first.exchange(b"a", b"1 a");
    first.exchange(b"b", b"2 b");
    second.exchange(b"c", b"1 c");
    first.exchange(b"d", b"3 d");
    assert_eq!(server.wait_log_count("comes udp", 2).len(), 2);
    assert_eq!(server.log_count("comes udp"), 2);
}

#[test]
fn a_greeting_of_on_connect_goes_before_the_first_answer() {
    let server = Server::builder()
        .script(
            "return {
               on_connect = function(conn) return \"hello\" end,
               on_message = function(msg) return msg end,
             }\n",
        )
        .start();
    let peer = server.udp();
    peer.send(b"x");
    peer.expect(b"hello");
    peer.expect(b"x");
    peer.exchange(b"y", b"y");
}

#[test]
fn a_silent_peer_ends_by_its_timeout_and_comes_again_as_new() {
    let server = Server::builder().script(&counting("peer_timeout = 0.1,")).start();
    let peer = server.udp();
    peer.exchange(b"a", b"1 a");
    peer.exchange(b"b", b"2 b");
    server.wait_log("goes idle 2");
    peer.exchange(b"c", b"1 c");
    server.wait_log_count("comes udp", 2);
}

#[test]
fn a_peer_that_talks_does_not_time_out() {
    let server = Server::builder().script(&counting("peer_timeout = 1,")).start();
    let peer = server.udp();
    for number in 1..=15 {
        peer.exchange(b"a", format!("{number} a").as_bytes());
        std::thread::sleep(Duration::from_millis(100));
    }
    server.assert_no_log("goes");
}

#[test]
fn the_oldest_peer_is_pushed_out() {
    let server = Server::builder().script(&counting("")).args(["--max-peers", "2"]).start();
    let (first, second, third) = (server.udp(), server.udp(), server.udp());
    first.exchange(b"a", b"1 a");
    second.exchange(b"a", b"1 a");
    second.exchange(b"b", b"2 b");
    third.exchange(b"a", b"1 a");
    server.wait_log("goes limit 1");
    second.exchange(b"c", b"3 c");
    third.exchange(b"b", b"2 b");
}

#[test]
fn a_peer_may_be_closed() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function(msg, conn)
                 if msg == \"quit\" then conn:send(\"bye\"); return conn:close() end
                 conn.state.n = (conn.state.n or 0) + 1
                 return `{conn.state.n}`
               end,
               on_close = function(conn, reason) log.info(`goes {reason}`) end,
             }\n",
        )
        .start();
    let peer = server.udp();
    peer.exchange(b"x", b"1");
    peer.exchange(b"x", b"2");
    peer.exchange(b"quit", b"bye");
    server.wait_log("goes closed");
    peer.exchange(b"x", b"1");
}

#[test]
fn a_peer_may_be_kept_and_written_to() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"keep\" then server.state.kept = conn return \"kept\" end
               server.state.kept:send(msg)
             end\n",
        )
        .start();
    let kept = server.udp();
    kept.exchange(b"keep", b"kept");
    server.udp().send(b"from another peer");
    kept.expect(b"from another peer");
    server.tcp().send(b"from a stream");
    kept.expect(b"from a stream");
}

#[test]
fn more_than_64_waiting_datagrams_are_dropped() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"go\" then server.state.go = true return \"went\" end
               if msg == \"wait\" then
                 log.info(\"waiting\")
                 repeat sleep(0.01) until server.state.go
               end
               return msg
             end\n",
        )
        .start();
    let (peer, other) = (server.udp(), server.udp());
    peer.send(b"wait");
    server.wait_log("waiting");
    for number in 0..200 {
        peer.send(format!("{number}").as_bytes());
    }
    // The other's answer says that the 200 before it have been read.
    other.exchange(b"go", b"went");
    peer.expect(b"wait");
    for number in 0..64 {
        peer.expect(format!("{number}").as_bytes());
    }
    peer.exchange(b"end", b"end");
}

#[test]
fn a_reply_larger_than_a_datagram_is_a_send_error() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               local ok, why = conn:send((\"x\"):rep(65508))
               return `{ok} {type(why)}`
             end\n",
        )
        .start();
    server.udp().exchange(b"x", b"nil string");
}

#[test]
fn an_error_of_a_peer_hurts_no_other() {
    let server = Server::builder()
        .script("return function(msg) if msg == \"bad\" then error(\"boom\") end return msg end\n")
        .start();
    let (bad, good) = (server.udp(), server.udp());
    good.exchange(b"x", b"x");
    bad.send(b"bad");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("boom"), "{fault}");
    server.wait_log(&format!("udp {}", bad.local_addr()));
    good.exchange(b"x", b"x");
    bad.exchange(b"x", b"x");
}

#[test]
fn a_unix_datagram_peer_has_a_state_too() {
    let server = Server::builder().script(&counting("")).listen("unixgram://peer.sock").start();
    let peer = server.unixgram();
    peer.exchange(b"a", b"1 a");
    peer.exchange(b"b", b"2 b");
}
