//! UDP peers as plain blocking clients: sizes, order, peers as connections, the address that a
//! reply leaves from.

use crate::support::{DatagramClient, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What UDP over IPv4 can carry: 65,535 less the headers of IP and UDP.
const LARGEST: usize = 65_507;

/// Counts the datagrams of each peer.
const COUNTING: &str = r#"return {
  peer_timeout = PEER_TIMEOUT,
  on_connect = function(conn)
    conn.state.n = 0
    log.info("new " .. conn.peer)
  end,
  on_message = function(msg, conn)
    conn.state.n += 1
    return msg .. " " .. conn.state.n
  end,
  on_close = function(conn, reason)
    log.info("gone " .. conn.peer .. " by " .. reason)
  end,
}"#;

#[test]
fn one_datagram_one_answer() {
    let server = Server::builder().start();
    server.udp().exchange(b"hello", b"HELLO");
}

#[test]
fn a_loop_of_datagrams_from_several_peers() {
    let server = Server::builder().start();
    let peers: Vec<DatagramClient> = (0..20).map(|_| server.udp()).collect();
    for round in 0..20 {
        for (number, peer) in peers.iter().enumerate() {
            let message = format!("peer {number} round {round}");
            peer.exchange(message.as_bytes(), message.to_uppercase().as_bytes());
        }
    }
}

#[test]
fn an_empty_datagram_is_answered_by_an_empty_one() {
    let server = Server::builder().start();
    let peer = server.udp();
    peer.exchange(b"", b"");
    peer.exchange(b"and on", b"AND ON");
    server.udp().exchange(b"", b"");
}

#[test]
fn the_largest_datagram_comes_back_whole() {
    let server = Server::builder().start();
    let peer = server.udp();
    let mut data: Vec<u8> = (0..=255).cycle().take(LARGEST).collect();
    *data.last_mut().unwrap() = b'z';
    peer.exchange(&data, &data.to_ascii_uppercase());
    peer.exchange(b"a small one behind it", b"A SMALL ONE BEHIND IT");
}

#[test]
fn a_reply_too_large_for_a_datagram_is_an_error_and_not_cut() {
    let script =
        r#"return function(msg) return if msg == "big" then ("x"):rep(65508) else msg end"#;
    let server = Server::builder().script(script).start();
    server.expect_errors();
    let peer = server.udp();
    peer.send(b"big");
    peer.exchange(b"next", b"next");
    server.wait_log("65508");
}

#[test]
fn bytes_that_are_no_text_pass_unharmed() {
    let server = Server::builder().start();
    let peer = server.udp();
    peer.exchange("show 信息".as_bytes(), "SHOW 信息".as_bytes());
    peer.exchange(b"\x00a\xff\xfe\r\n", b"\x00A\xff\xfe\r\n");
}

#[test]
fn the_datagrams_of_a_peer_are_answered_in_order() {
    let server = Server::builder().start();
    let peer = server.udp();
    for number in 0..50 {
        peer.send(format!("number {number}").as_bytes());
    }
    for number in 0..50 {
        peer.expect(format!("NUMBER {number}").as_bytes());
    }
}

#[test]
fn several_replies_are_several_datagrams() {
    let script = r#"return function(msg) return { msg, "", msg:upper() } end"#;
    let server = Server::builder().script(script).start();
    let peer = server.udp();
    peer.send(b"three");
    peer.expect(b"three");
    peer.expect(b"");
    peer.expect(b"THREE");
}

#[test]
fn a_peer_is_a_connection_with_a_state_of_its_own() {
    let server = Server::builder().script(&counting(60.0)).start();
    let (first, second) = (server.udp(), server.udp());
    first.exchange(b"a", b"a 1");
    first.exchange(b"a", b"a 2");
    second.exchange(b"b", b"b 1");
    first.exchange(b"a", b"a 3");
    for peer in [&first, &second] {
        let opened = format!("new {}", peer.local_addr());
        server.wait_log(&opened);
        assert_eq!(server.log_count(&opened), 1, "{opened}");
    }
}

#[test]
fn a_greeting_comes_before_the_first_answer() {
    let script = r#"return {
      on_connect = function(conn) return "hello " .. conn.transport end,
      on_message = function(msg) return msg:upper() end,
    }"#;
    let server = Server::builder().script(script).start();
    let peer = server.udp();
    peer.send(b"first");
    peer.expect(b"hello udp");
    peer.expect(b"FIRST");
    peer.exchange(b"second", b"SECOND");
}

#[test]
fn a_silent_peer_is_forgotten_after_its_timeout() {
    let server = Server::builder().script(&counting(0.3)).start();
    let peer = server.udp();
    peer.exchange(b"a", b"a 1");
    server.wait_log(&format!("gone {} by idle", peer.local_addr()));
    peer.exchange(b"a", b"a 1");
}

#[test]
fn more_peers_than_allowed_push_the_oldest_out() {
    let server = Server::builder().script(&counting(60.0)).args(["--max-peers", "2"]).start();
    let peers = [server.udp(), server.udp(), server.udp()];
    for peer in &peers {
        peer.exchange(b"a", b"a 1");
    }
    server.wait_log(&format!("gone {} by limit", peers[0].local_addr()));
    peers[2].exchange(b"a", b"a 2");
    peers[1].exchange(b"a", b"a 2");
    peers[0].exchange(b"a", b"a 1");
}

#[test]
fn a_peer_that_vanishes_before_its_answer_hurts_no_one() {
    let script = r#"return function(msg)
      if msg == "slow" then
        sleep(0.2)
        log.info("slow call ends")
      end
      return msg:upper()
    end"#;
    let server = Server::builder().script(script).start();
    let witness = server.udp();
    for round in 1..=3 {
        server.udp().send(b"slow");
        witness.exchange(b"meanwhile", b"MEANWHILE");
        server.wait_log_count("slow call ends", round);
        witness.exchange(b"after", b"AFTER");
    }
}

#[test]
fn a_waiting_call_delays_only_its_own_peer() {
    let script = r#"return function(msg)
      if msg == "slow" then
        log.info("slow call begins")
        sleep(2)
      end
      return msg:upper()
    end"#;
    let server = Server::builder().script(script).start();
    let (slow, quick) = (server.udp(), server.udp());
    slow.send(b"slow");
    server.wait_log("slow call begins");
    slow.send(b"behind it");
    for _ in 0..20 {
        quick.exchange(b"quick", b"QUICK");
    }
    slow.expect_silence(Duration::from_millis(1));
    slow.expect(b"SLOW");
    slow.expect(b"BEHIND IT");
}

#[test]
fn a_reject_can_answer_a_datagram() {
    let script = r#"return function(msg) return nil, "not today", "ERR " .. msg end"#;
    let server = Server::builder().script(script).start();
    server.udp().exchange(b"now?", b"ERR now?");
    let line = server.wait_log("message rejected");
    assert!(line.contains("not today"), "{line}");
}

#[test]
fn a_wildcard_bind_answers_from_the_address_that_was_asked() {
    let server = Server::builder().listen("udp://0.0.0.0:0").start();
    let port = server.udp_addr().port();
    let peers = [1, 2, 3].map(|host| {
        let asked = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), port));
        DatagramClient::udp(asked)
    });
    for round in 0..3 {
        for peer in &peers {
            peer.exchange(format!("round {round}").as_bytes(), format!("ROUND {round}").as_bytes());
        }
    }
    // All at once too, so that the replies of one batch leave from different addresses.
    for peer in &peers {
        peer.send(b"together");
    }
    for peer in &peers {
        peer.expect(b"TOGETHER");
    }
}

#[test]
fn an_ipv6_wildcard_bind_answers() {
    let server = Server::builder().listen("udp://[::]:0").start();
    let port = server.udp_addr().port();
    DatagramClient::udp(format!("[::1]:{port}").parse().unwrap()).exchange(b"six", b"SIX");
}

fn counting(peer_timeout: f64) -> String {
    COUNTING.replace("PEER_TIMEOUT", &peer_timeout.to_string())
}
