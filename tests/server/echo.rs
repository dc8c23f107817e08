//! The classic socket lessons over TCP: one message, a loop, clients that vanish, the next client,
//! a thousand at once, bytes of every kind, a flood.

use crate::support::{Client, Server, Tool, raise_descriptor_limit, wait_until};
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::time::Duration;

/// Answers in upper case, `slow` only after a wait, and logs how each connection ended.
const WITNESSED: &str = r#"return {
  on_message = function(msg, conn)
    if msg == "slow" then
      log.info("slow call begins")
      sleep(0.3)
    end
    return msg:upper()
  end,
  on_close = function(conn, reason)
    log.info("gone " .. conn.peer .. " by " .. reason)
  end,
}"#;

/// A way to leave in mid-conversation.
type Ending = fn(Client);

#[test]
fn one_message_one_answer_and_close() {
    let server = Server::builder().start();
    let mut client = server.tcp();
    client.exchange(b"hello\n", b"HELLO\n");
    client.half_close();
    client.expect_eof();
}

#[test]
fn the_client_of_the_readme_gets_upper_case() {
    let Some(nc) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = Server::builder().start();
    let port = server.tcp_addr().port().to_string();
    assert_eq!(nc.run_with(["-N", "127.0.0.1", &port], "hello\n").ok(), "HELLO\n");
}

#[test]
fn a_loop_of_messages_on_one_connection() {
    let server = Server::builder().start();
    let mut client = server.tcp();
    for number in 0..200 {
        let message = format!("message {number} of a loop");
        client.exchange(message.as_bytes(), message.to_uppercase().as_bytes());
    }
}

#[test]
fn an_answer_behind_a_half_close_still_arrives() {
    let server = Server::builder().script(WITNESSED).start();
    let mut client = server.tcp();
    client.send(b"slow");
    server.wait_log("slow call begins");
    client.half_close();
    client.expect(b"SLOW");
    client.expect_eof();
    server.wait_log(&format!("gone {} by eof", client.local_addr()));
}

#[test]
fn clients_that_vanish_hurt_no_one() {
    let server = Server::builder().script(WITNESSED).start();
    let mut witness = server.tcp();
    witness.exchange(b"before", b"BEFORE");

    let endings: [(Ending, &str); 3] = [(drop, "eof"), (half_closed, "eof"), (reset, "reset")];
    for (vanish, reason) in endings {
        let mut client = server.tcp();
        let peer = client.local_addr();
        client.exchange(b"i am here", b"I AM HERE");
        vanish(client);
        server.wait_log(&format!("gone {peer} by {reason}"));
        witness.exchange(b"still there?", b"STILL THERE?");
        server.tcp().exchange(b"next", b"NEXT");
    }
    server.assert_no_log(&format!("gone {}", witness.local_addr()));
}

#[test]
fn clients_that_vanish_while_their_call_runs_hurt_no_one() {
    let server = Server::builder().script(WITNESSED).start();
    let mut witness = server.tcp();
    let endings: [Ending; 2] = [drop, reset];
    for (index, vanish) in endings.into_iter().enumerate() {
        let mut client = server.tcp();
        let peer = client.local_addr();
        client.send(b"slow");
        server.wait_log_count("slow call begins", index + 1);
        vanish(client);
        witness.exchange(b"meanwhile", b"MEANWHILE");
        server.wait_log(&format!("gone {peer} by "));
        witness.exchange(b"after", b"AFTER");
    }
    server.tcp().exchange(b"next", b"NEXT");
}

#[test]
fn a_thousand_clients_at_once_all_get_their_answer() {
    const CLIENTS: usize = 1000;
    raise_descriptor_limit(CLIENTS as u64 + 200);
    let server = Server::builder().start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.tcp()).collect();
    for round in 0..2 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("client {number} round {round}").as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.expect(format!("CLIENT {number} ROUND {round}").as_bytes());
        }
    }
}

#[test]
fn five_hundred_clients_one_after_the_other() {
    let server = Server::builder().start();
    let before = open_descriptors(&server);
    for number in 0..500 {
        let mut client = server.tcp();
        client.exchange(
            format!("visitor {number}").as_bytes(),
            format!("VISITOR {number}").as_bytes(),
        );
    }
    wait_until("the descriptors of gone clients should be closed", || {
        (open_descriptors(&server) <= before).then_some(())
    });
}

#[test]
fn ipv6() {
    let server = Server::builder().listen("tcp://[::1]:0").listen("udp://[::1]:0").start();
    assert!(server.ready()[0].starts_with("tcp://[::1]:"), "{:?}", server.ready());
    assert!(server.ready()[1].starts_with("udp://[::1]:"), "{:?}", server.ready());
    server.tcp().exchange(b"six", b"SIX");
    server.udp().exchange(b"six", b"SIX");
}

#[test]
fn upper_case_is_of_ascii_bytes_alone() {
    let server = Server::builder().start();
    let mut client = server.tcp();
    client.exchange("show 信息".as_bytes(), "SHOW 信息".as_bytes());
    client.exchange("straße é".as_bytes(), "STRAßE é".as_bytes());
    client.exchange(b"a\xff\xfe\xc3z", b"A\xff\xfe\xc3Z");
    let every: Vec<u8> = (0..=255).collect();
    client.exchange(&every, &every.to_ascii_uppercase());
}

#[test]
fn sixty_four_mebibytes_at_full_speed_come_back_whole() {
    let server = Server::builder().start();
    flood(server.tcp(), 64 << 20);
}

#[test]
fn a_flood_over_a_unix_socket_comes_back_whole() {
    let server = Server::builder().listen("unix://flood.sock").start();
    flood(server.unix(), 16 << 20);
}

#[test]
fn a_client_that_never_reads_is_held_back_and_hurts_no_one() {
    let server = Server::builder().start();
    let mut witness = server.tcp();
    let mut deaf = server.tcp();
    witness.exchange(b"before", b"BEFORE");
    let memory = server.memory_kib();

    deaf.set_write_limit(Duration::from_millis(500));
    let error = deaf.try_send(&vec![b'x'; 64 << 20]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");

    witness.exchange(b"after", b"AFTER");
    let grown = server.memory_kib().saturating_sub(memory);
    assert!(grown < 32 << 10, "the server holds {grown} KiB for a client that never reads");
}

/// Sends `size` bytes while a thread reads, half-closes, and compares what came back.
fn flood(mut client: Client, size: usize) {
    let data = noise(size);
    let expected = Sha256::digest(data.to_ascii_uppercase());
    let mut reader = client.second_handle();
    let reading = std::thread::spawn(move || {
        let (mut digest, mut count) = (Sha256::new(), 0);
        loop {
            let piece = reader.read_once();
            if piece.is_empty() {
                return (digest.finalize(), count);
            }
            digest.update(&piece);
            count += piece.len();
        }
    });
    client.send(&data);
    client.half_close();
    let (digest, count) = reading.join().unwrap();
    assert_eq!(count, size);
    assert!(digest == expected, "the right number of bytes, but not the right ones");
}

/// Bytes of every value in no order (Marsaglia's xorshift).
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Half-closes, takes the server's end of stream, and leaves.
fn half_closed(mut client: Client) {
    client.half_close();
    client.expect_eof();
}

fn reset(client: Client) {
    client.reset();
}

fn open_descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}
