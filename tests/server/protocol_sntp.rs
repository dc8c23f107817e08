//! A server of SNTP in one file: datagrams with fixed binary fields.

use crate::support::{DatagramClient, Server};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CLOCK: &str = include_str!("protocols/sntp.lua");

const SENT: [u8; 8] = *b"\xe1\x02\x03\x04\0\xff\x80\n";
const SINCE_1900: f64 = 2_208_988_800.0;
/// What a time loses where it becomes 64 bits, and on the way here.
const SLACK: f64 = 0.001;

fn start() -> Server {
    Server::builder().script(CLOCK).start()
}

/// A request that begins with this byte, and was sent at `SENT`.
fn request(first: u8) -> Vec<u8> {
    let mut packet = vec![0; 48];
    packet[0] = first;
    packet[2] = 6;
    packet[40..].copy_from_slice(&SENT);
    packet
}

fn ask(peer: &DatagramClient, packet: &[u8]) -> Vec<u8> {
    peer.send(packet);
    let answer = peer.receive();
    assert_eq!(answer.len(), 48);
    answer
}

fn seconds(field: &[u8]) -> f64 {
    let number = u64::from_be_bytes(field.try_into().unwrap());
    #[expect(clippy::cast_precision_loss, reason = "a time needs no more than microseconds")]
    let seconds = number as f64 / 4_294_967_296.0;
    seconds - SINCE_1900
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn every_field_is_as_the_protocol_has_it() {
    let server = start();
    let before = now();
    let answer = ask(&server.udp(), &request(0x23));
    let after = now();
    // No leap second, version 4, a server; stratum 1, the poll of the client, 2^-20 seconds.
    assert_eq!(answer[..4], [0x24, 1, 6, 0xec]);
    // Root delay, root dispersion, reference.
    assert_eq!(answer[4..16], *b"\0\0\0\0\0\0\0\0LOCL");
    assert_eq!(answer[24..32], SENT);
    let (reference, received, sent) =
        (seconds(&answer[16..24]), seconds(&answer[32..40]), seconds(&answer[40..]));
    assert!(before - SLACK <= received, "{before} {received}");
    assert!(received <= sent, "{received} {sent}");
    assert!(sent <= after + SLACK, "{sent} {after}");
    assert!((0.0..=1.0).contains(&(received - reference)), "{reference} {received}");
}

#[test]
fn a_version_is_answered_in_kind() {
    let server = start();
    let peer = server.udp();
    // A client, and a peer that takes part in both ways.
    for (first, answered) in
        [(0x0b, 0x0c), (0x13, 0x14), (0x1b, 0x1c), (0xe3, 0x24), (0x19, 0x1a), (0x21, 0x22)]
    {
        assert_eq!(ask(&peer, &request(first))[0], answered, "to {first:#x}");
    }
}

#[test]
fn what_follows_the_request_is_not_looked_at() {
    let server = start();
    let signed = [&request(0x23)[..], &[7; 20]].concat();
    assert_eq!(ask(&server.udp(), &signed)[24..32], SENT);
}

#[test]
fn what_is_no_request_is_not_answered() {
    let server = start();
    let peer = server.udp();
    let mut wrong = vec![vec![], b"time?".to_vec(), request(0x23)[..47].to_vec()];
    // Answers, broadcasts, reserved modes, and versions that there are not.
    wrong.extend([0x24, 0x22, 0x25, 0x26, 0x27, 0x20, 0x03, 0x2b].map(request));
    for packet in &wrong {
        peer.send(packet);
    }
    ask(&peer, &request(0x23));
    peer.expect_silence(Duration::from_millis(50));
    assert_eq!(server.wait_log_count("message rejected", wrong.len()).len(), wrong.len());
    assert_eq!(server.log_count("reason=\"too short\""), 3);
}

#[test]
fn the_time_goes_on_for_many_peers_and_over_saves() {
    let server = start();
    let peers: Vec<_> = (0..20).map(|_| server.udp()).collect();
    let mut last = 0.0;
    for generation in 2..5 {
        for peer in &peers {
            let sent = seconds(&ask(peer, &request(0x1b))[40..]);
            assert!(sent >= last, "{last} {sent}");
            last = sent;
        }
        crate::talk::reload(&server, &format!("-- {generation}\n{CLOCK}"), generation);
    }
}
