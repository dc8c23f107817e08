//! Bounds on connections, descriptors and silence, and the two workers that share a port.

use crate::support::{Client, Server, wait_until};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A pause in which nothing may happen. It cannot be an event, so it is short.
const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn over_max_conns_peers_wait_for_a_place() {
    let server = Server::builder().args(["--max-conns", "2"]).start();
    let mut first = server.tcp();
    first.exchange(b"first", b"FIRST");
    let mut second = server.tcp();
    second.exchange(b"second", b"SECOND");
    server.assert_no_log(" WARN ");

    let mut third = server.tcp();
    third.send(b"third");
    third.expect_silence(PAUSE);
    server.wait_log(" WARN ");
    first.exchange(b"first again", b"FIRST AGAIN");
    drop(first);
    third.expect(b"THIRD");

    let mut fourth = server.tcp();
    fourth.send(b"fourth");
    fourth.expect_silence(PAUSE);
    second.half_close();
    second.expect_eof();
    fourth.expect(b"FOURTH");
    third.exchange(b"third again", b"THIRD AGAIN");
    server.wait_log(" WARN ");
    assert_eq!(server.log_count(" WARN "), 1, "it warns once");
}

#[test]
fn max_conns_counts_all_workers_and_listeners() {
    let server = Server::builder()
        .args(["--max-conns", "3", "-w", "2"])
        .listen("tcp://127.0.0.1:0")
        .listen("unix://s.sock")
        .start();
    let mut clients = [server.tcp(), server.unix(), server.tcp()];
    for client in &mut clients {
        client.exchange(b"in", b"IN");
    }
    let mut waiting = [server.tcp(), server.unix()];
    for client in &mut waiting {
        client.send(b"waiting");
    }
    for client in &mut waiting {
        client.expect_silence(PAUSE);
    }
    drop(clients);
    for client in &mut waiting {
        client.expect(b"WAITING");
    }
}

#[test]
fn silence_ends_a_connection_after_the_idle_timeout() {
    let script = r#"return {
      on_message = function(msg) return msg:upper() end,
      on_close = function(conn, reason) log.info("gone " .. conn.peer .. " by " .. reason) end,
    }"#;
    let server = Server::builder().script(script).args(["--idle-timeout", "200ms"]).start();
    let mut client = server.tcp();
    client.exchange(b"hello", b"HELLO");
    let silent = Instant::now();
    client.expect_eof();
    assert!(silent.elapsed() >= Duration::from_millis(150), "after {:?}", silent.elapsed());
    server.wait_log(&format!("gone {} by idle", client.local_addr()));

    let mut never_spoke = server.tcp();
    never_spoke.expect_eof();
}

#[test]
fn a_client_that_speaks_is_not_idle() {
    let server = Server::builder().args(["--idle-timeout", "1s"]).start();
    let mut client = server.tcp();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2500) {
        client.exchange(b"alive", b"ALIVE");
        client.expect_silence(Duration::from_millis(50));
    }
}

#[test]
fn a_reply_that_no_one_takes_ends_after_the_send_timeout() {
    let script = r#"local big = ("x"):rep(64 * 1024 * 1024)
      return {
        on_message = function(msg) return if msg == "big" then big else msg:upper() end,
        on_close = function(conn, reason) log.info("gone " .. conn.peer .. " by " .. reason) end,
      }"#;
    // To make so large a string takes more than half of the usual budget on an ordinary machine.
    let server = Server::builder()
        .script(script)
        .args(["--send-timeout", "300ms", "--budget", "10s"])
        .start();
    let mut witness = server.tcp();
    witness.exchange(b"before", b"BEFORE");
    let mut deaf = server.tcp();
    deaf.send(b"big");
    server.wait_log(&format!("gone {} by slow", deaf.local_addr()));
    witness.exchange(b"after", b"AFTER");
}

#[test]
fn exhausted_descriptors_neither_spin_nor_end_the_server() {
    const CLIENTS: usize = 60;
    let server = Server::builder().rlimit_nofile(40).start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.tcp()).collect();
    clients[0].exchange(b"first", b"FIRST");
    for client in &mut clients[1..] {
        client.send(b"x");
    }
    clients[CLIENTS - 1].expect_silence(PAUSE);

    let before = server.cpu_time();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        clients[0].exchange(b"still served", b"STILL SERVED");
        clients[0].expect_silence(Duration::from_millis(100));
    }
    let spent = server.cpu_time().saturating_sub(before);
    assert!(spent < Duration::from_millis(300), "{spent:?} of CPU time in one second");
    server.wait_log(" WARN ");

    // Those that were let in leave one after the other, and those that waited get their turn.
    for client in &mut clients[1..] {
        client.expect(b"X");
        client.half_close();
        client.expect_eof();
    }
    clients[0].exchange(b"after", b"AFTER");
    server.tcp().exchange(b"next", b"NEXT");
    assert!(server.log_count(" WARN ") < 20, "a flood of warnings");
    assert!(server.is_running());
}

#[test]
fn two_workers_both_serve_tcp_and_udp() {
    let script = "return function() return tostring(server.worker) end";
    let server = Server::builder().script(script).args(["-w", "2"]).start();
    assert_eq!(server.ready().len(), 2, "one line a listener, not a worker");
    both_seen("TCP", || {
        let mut client = server.tcp();
        client.send(b"?");
        client.read_once()
    });
    both_seen("UDP", || {
        let peer = server.udp();
        peer.send(b"?");
        peer.receive()
    });
}

fn both_seen(transport: &str, mut ask: impl FnMut() -> Vec<u8>) {
    let mut seen = HashSet::new();
    wait_until(&format!("both workers should answer over {transport}"), || {
        seen.insert(ask());
        (seen.len() == 2).then_some(())
    });
}
