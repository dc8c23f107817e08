//! What `scriptsock bench` makes of servers that are late, stand still or close: each message is in
//! one of its figures, and in the right one.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::bench_command::{Bench, bench, json};
use crate::bench_hostile::{answer_with, count, failing, serve};
use crate::support::{SIGINT, idle_address, wait_until};

#[test]
fn a_pause_at_the_end_counts_for_each_message_that_never_left() {
    // The first twenty messages are answered at once, the others never.
    let server = serve(|mut stream| {
        let mut message = [0; 32];
        for _ in 0..20 {
            if stream.read_exact(&mut message).is_err() {
                return;
            }
            let _ = stream.write_all(&message.to_ascii_uppercase());
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let result = failing(&format!("{server} -c 1 --rate 200 -d 1s --timeout 1s"));
    assert_eq!(count(&result, "messages_due"), 200, "{result}");
    assert_eq!(count(&result, "messages_answered"), 20, "{result}");
    let unsent = count(&result, "messages_unsent");
    assert_eq!(unsent, 179, "{result}");
    let latency = &result["latency_microseconds"];
    assert_eq!(count(latency, "count"), 20 + unsent, "{result}");
    // They were due all through the rest of the second.
    assert!(latency["p50"].as_f64().unwrap() > 300_000.0, "{result}");
    assert!(latency["max"].as_f64().unwrap() < 1_000_000.0, "{result}");
    let shown = bench(&format!("{server} -c 1 --rate 200 -d 500ms --timeout 500ms"));
    assert!(shown.stdout.contains("never left, as all connections awaited answers"), "{shown:?}");
}

#[test]
fn late_datagrams_are_never_wrong_however_many_they_are() {
    const HELD: usize = 3000;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut held = VecDeque::new();
        let mut buffer = [0; 64];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            held.push_back(buffer[..length].to_ascii_uppercase());
            // Each is answered once: the first ones long after they were given up.
            let owed = if held.len() > HELD { held.len() } else { 0 };
            for answer in held.drain(..owed) {
                let _ = socket.send_to(&answer, peer);
                thread::sleep(Duration::from_micros(20));
            }
        }
    });
    let (_, result) = json(&format!("udp://{server} -c 1 --depth 64 -d 3s --timeout 10ms"));
    assert_eq!(result["answers_wrong"], 0, "{result}");
    assert!(count(&result, "answers_late") > 1500, "{result}");
}

#[test]
fn a_server_that_closes_after_some_answers_is_asked_again_at_once() {
    let server = serve(|mut stream| {
        let mut message = [0; 32];
        for _ in 0..10 {
            if stream.read_exact(&mut message).is_err() {
                return;
            }
            let _ = stream.write_all(&message.to_ascii_uppercase());
        }
    });
    let result = failing(&format!("{server} -c 1 -n 2000"));
    // Ten messages of each connection are answered; one more may have been on its way already.
    assert!(count(&result, "errors_total") >= 2000 / 11 - 1, "{result}");
    // With a pause of 100 ms behind each it would be twenty seconds.
    assert!(result["elapsed_seconds"].as_f64().unwrap() < 10.0, "{result}");
}

#[test]
fn what_never_left_was_not_sent() {
    // With bytes that were not read this is a reset.
    let server = serve(|mut stream| drop(stream.read_exact(&mut [0; 32])));
    let result = failing(&format!("{server} -c 4 --depth 64 --size 1MiB -d 300ms"));
    let sent = count(&result, "messages_sent");
    let bytes = count(&result, "bytes_sent");
    assert!(sent <= bytes.div_ceil(1 << 20) + count(&result, "connections_opened"), "{result}");
    let refused = failing(&format!("{} -c 2 --mode churn -n 100", idle_address()));
    assert_eq!(count(&refused, "messages_sent"), 0, "{refused}");
    assert_eq!(count(&refused, "messages_unanswered"), 0, "{refused}");
}

#[test]
fn a_run_without_an_answer_has_taken_its_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let result = failing(&format!("{url} -n 10 -c 4 --timeout 100ms"));
    assert!(result["elapsed_seconds"].as_f64().unwrap() > 0.1, "{result}");
}

#[test]
fn an_interrupt_without_any_answer_is_a_failure() {
    let server = serve(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let load = Bench::start(&format!("{server} -c 2 -d 1h --timeout 1h --json"));
    // It takes signals before it connects, so both are open by then.
    wait_until("the connections should be there", || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let end = format!("127.0.0.1:{:04X} 01", server.port()).replace("127.0.0.1", "0100007F");
        (sockets.lines().filter(|line| line.contains(&end)).count() >= 2).then_some(())
    });
    load.signal(SIGINT);
    let finished = load.finish();
    assert_eq!(finished.status, 1, "{finished:?}");
    let result: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(result["ended"], "interrupted", "{result}");
    assert_eq!(result["ok"], false, "{result}");
}

#[test]
fn a_message_has_one_stamp_at_most() {
    let finished = bench(r"80 --message a{stamp}b{stamp}");
    assert_eq!(finished.status, 2, "{finished:?}");
    assert!(
        finished.stderr.contains("--message: {stamp} may be in a message once"),
        "{finished:?}"
    );
}

#[test]
fn more_than_was_asked_for_is_shown_where_there_is_something_to_show() {
    let server = answer_with(|_, message| message.to_ascii_uppercase().repeat(2));
    let shown = bench(&format!("{server} -c 1 -n 10"));
    assert!(shown.stdout.contains("more than was asked for"), "{shown:?}");
    assert!(!shown.stdout.contains("\"\""), "{shown:?}");
}
