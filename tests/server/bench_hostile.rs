//! `scriptsock bench` against servers that do not do what they should: it says what they did, ends,
//! and exits with status 1.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::Backlog;
use serde_json::Value;

use crate::bench_command::{bench, json};
use crate::support::idle_address;

/// A TCP server that gives each connection to `handle`. It ends with the test program.
pub fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// A TCP server that answers each message of 32 bytes with what `answer` makes of it.
pub fn answer_with(answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    serve(move |mut stream| {
        let mut message = [0; 32];
        let mut number = 0;
        while stream.read_exact(&mut message).is_ok() {
            if stream.write_all(&answer(number, &message)).is_err() {
                return;
            }
            number += 1;
        }
    })
}

/// A UDP server that answers each datagram with what `answer` makes of it.
fn answer_datagrams(
    mut answer: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        let mut number = 0;
        while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
            for datagram in answer(number, &buffer[..count]) {
                // The load may have ended.
                let _ = socket.send_to(&datagram, peer);
            }
            number += 1;
        }
    });
    address
}

/// Runs a load that has to fail; the result.
#[track_caller]
pub fn failing(arguments: &str) -> Value {
    let (status, result) = json(arguments);
    assert_eq!(status, 1, "{arguments}: {result}");
    assert_eq!(result["ok"], false, "{result}");
    result
}

#[track_caller]
pub fn count(result: &Value, name: &str) -> u64 {
    result[name].as_u64().unwrap_or_else(|| panic!("no {name} in {result}"))
}

#[test]
fn a_refused_connection_asks_whether_the_server_runs() {
    for mode in ["exchange", "churn", "bulk", "idle"] {
        let arguments = format!("{} -c 3 --mode {mode} -d 1h", idle_address());
        let result = failing(&arguments);
        assert_eq!(result["ended"], "gave_up", "{mode}: {result}");
        assert!(count(&result["errors"], "refused") >= 3, "{mode}: {result}");
        let shown = bench(&arguments);
        assert_eq!(shown.stdout, "", "{shown:?}");
        assert_eq!(shown.stderr.lines().count(), 1, "{shown:?}");
        assert!(shown.stderr.contains("connection refused; is the server running"), "{shown:?}");
    }
}

#[test]
fn a_missing_socket_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for scheme in ["unix", "unixgram"] {
        let url = format!("{scheme}://{}/none.sock", dir.path().display());
        let shown = bench(&format!("{url} -d 1h"));
        assert_eq!(shown.status, 1, "{shown:?}");
        assert!(shown.stderr.contains("file not found"), "{shown:?}");
    }
}

#[test]
fn datagrams_to_a_closed_port_end_by_themselves() {
    let address = idle_address();
    let result = failing(&format!("udp://{address} -c 2 --timeout 50ms -d 1h"));
    assert_eq!(result["ended"], "gave_up", "{result}");
    assert!(count(&result["errors"], "refused") > 0, "{result}");
}

#[test]
fn an_unknown_host_is_told_in_one_line() {
    let shown = bench("tcp://no-such-host.invalid:80");
    assert_eq!((shown.status, shown.stdout.as_str()), (1, ""), "{shown:?}");
    assert!(shown.stderr.starts_with("scriptsock bench: tcp://no-such-host.invalid:80: unknown"));
    assert_eq!(shown.stderr.lines().count(), 1, "{shown:?}");
}

#[test]
fn a_wrong_answer_is_counted_and_the_first_is_shown() {
    let address = answer_with(|number, message| {
        let mut answer = message.to_ascii_uppercase();
        if number == 7 {
            answer[20] = b'\n';
        }
        answer
    });
    let result = failing(&format!("{address} -c 1 -n 20"));
    assert_eq!(count(&result, "answers_wrong"), 1, "{result}");
    assert_eq!(count(&result, "messages_answered"), 20, "{result}");
    assert_eq!(count(&result["first_wrong"], "at_byte"), 20, "{result}");
    assert_eq!(result["first_wrong"]["expected"], "HAAAAAAAIJKLMNOPQRSTUVWXYZABCDEF");
    assert_eq!(result["first_wrong"]["got"], "HAAAAAAAIJKLMNOPQRST\\nVWXYZABCDEF");
    let shown = bench(&format!("{address} -c 1 -n 20"));
    assert!(shown.stdout.contains("1 WRONG"), "{shown:?}");
    assert!(shown.stdout.contains("QRST\\nVW"), "{shown:?}");
}

#[test]
fn the_answer_to_another_message_is_wrong() {
    for framing in ["raw", "fixed:32"] {
        let before = Mutex::new(vec![b'A'; 32]);
        let address = answer_with(move |number, message| {
            let new = message.to_ascii_uppercase();
            let old = std::mem::replace(&mut *before.lock().unwrap(), new.clone());
            if number == 5 { old } else { new }
        });
        let result = failing(&format!("{address} -c 1 -n 20 --expect upper --framing {framing}"));
        assert_eq!(count(&result, "answers_wrong"), 1, "{framing}: {result}");
    }
}

#[test]
fn a_repeated_answer_is_more_than_was_asked_for() {
    let address = answer_with(|number, message| {
        let answer = message.to_ascii_uppercase();
        if number == 5 { answer.repeat(2) } else { answer }
    });
    let result = failing(&format!("{address} -c 1 -n 20 --expect upper --timeout 300ms"));
    let unasked = result["errors"]["unasked"].as_u64().unwrap_or_default();
    assert!(unasked + count(&result, "answers_wrong") > 0, "{result}");
}

#[test]
fn a_server_that_closes_early_is_told() {
    let address = serve(|mut stream| {
        let mut message = [0; 32];
        let _ = stream.read_exact(&mut message);
        let _ = stream.write_all(&message[..10]);
    });
    for mode in ["exchange", "churn", "bulk --size 32"] {
        let result = failing(&format!("{address} -c 2 -n 6 --mode {mode}"));
        let closed = result["errors"]["closed"].as_u64().unwrap_or_default();
        let reset = result["errors"]["reset"].as_u64().unwrap_or_default();
        assert!(closed + reset > 0, "{mode}: {result}");
        assert_eq!(count(&result, "messages_answered"), 0, "{mode}: {result}");
    }
}

#[test]
fn idle_connections_that_the_server_closes_are_counted() {
    let number = AtomicUsize::new(0);
    let address = serve(move |mut stream| {
        if number.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            // Until the other end closes.
            let _ = stream.read(&mut [0]);
        }
    });
    let result = failing(&format!("{address} --mode idle -c 10 -d 4s"));
    assert_eq!(count(&result["errors"], "closed"), 5, "{result}");
    assert_eq!(count(&result, "connections_open_at_end"), 5, "{result}");
    assert_eq!(count(&result, "connections_opened"), 10, "{result}");
}

#[test]
fn a_silent_server_ends_in_timeouts() {
    let address = serve(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    for mode in ["exchange", "exchange --depth 4", "churn", "bulk"] {
        let result = failing(&format!("{address} -c 2 -d 100ms --timeout 100ms --mode {mode}"));
        assert!(count(&result["errors"], "timeout") >= 2, "{mode}: {result}");
        assert_eq!(count(&result, "messages_answered"), 0, "{mode}: {result}");
    }
    let shown = bench(&format!("{address} -c 2 -d 50ms --timeout 50ms"));
    assert!(shown.stdout.contains("no answer within 50ms"), "{shown:?}");
    assert!(shown.stdout.contains("--framing line"), "{shown:?}");
}

#[test]
fn messages_are_not_sent_in_vain_for_ever() {
    let silent = serve(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let urls = [format!("tcp://{silent}"), format!("udp://{}", socket.local_addr().unwrap())];
    for url in urls {
        let result = failing(&format!("{url} -c 2 -n 1000000 --timeout 50ms"));
        assert_eq!(result["ended"], "gave_up", "{url}: {result}");
        assert!(count(&result, "messages_sent") < 1_000_000, "{url}: {result}");
    }
}

/// Such as one that has as many connections as it may: the kernel completes those of its backlog
/// only, and leaves the others without an answer.
#[test]
fn a_server_that_accepts_no_more_is_not_asked_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let result = failing(&format!("{address} --mode idle -c 6000 -d 10ms --timeout 20ms"));
    let timeouts = count(&result["errors"], "connect_timeout");
    assert!((1..5000).contains(&timeouts), "{result}");
    assert!(count(&result, "connections_open_at_end") > 0, "{result}");
}

#[test]
fn a_server_that_reads_nothing_holds_up_nobody() {
    let address = serve(|stream| {
        // The other end closes it.
        let mut one = [0];
        while stream.peek(&mut one).is_ok_and(|count| count > 0) {
            thread::park_timeout(Duration::from_millis(10));
        }
    });
    let result = failing(&format!("{address} --mode bulk -c 2 -d 100ms --timeout 200ms"));
    assert!(count(&result["errors"], "timeout") > 0, "{result}");
}

#[test]
fn a_flood_is_noticed_and_ends() {
    let address = serve(|mut stream| while stream.write_all(&[b'x'; 8192]).is_ok() {});
    for arguments in
        ["--expect upper", "--framing line", "--mode churn", "--framing netstring", "--mode bulk"]
    {
        let result = failing(&format!("{address} -c 3 -d 300ms --timeout 300ms {arguments}"));
        assert!(count(&result, "errors_total") > 0, "{arguments}: {result}");
    }
    // Who asks for nothing may be told anything.
    let (status, result) = json(&format!("{address} --mode idle -c 3 -d 200ms"));
    assert_eq!(status, 0, "{result}");
    assert!(count(&result, "bytes_received") > 0, "{result}");
}

/// Of twenty messages, one every 10 ms, each was due 100 ms at least before the server went on.
/// Counted from when they left, only the first would have waited.
#[test]
fn a_pause_of_the_server_counts_for_each_message_that_was_due_in_it() {
    let pause = Duration::from_millis(300);
    let address = answer_with(move |number, message| {
        let begin = Instant::now();
        while number == 0 && begin.elapsed() < pause {
            thread::park_timeout(pause);
        }
        message.to_vec()
    });
    let (status, result) = json(&format!("{address} -c 1 --rate 100 -n 20"));
    assert_eq!(status, 0, "{result}");
    assert_eq!(count(&result, "messages_answered"), 20, "{result}");
    let times = &result["latency_microseconds"];
    for name in ["p50", "mean"] {
        assert!(times[name].as_f64().unwrap() > 99_000.0, "{name}: {result}");
    }
}

#[test]
fn lost_datagrams_are_counted_and_replaced() {
    let address = answer_datagrams(
        |number, datagram| {
            if number % 5 == 0 { vec![] } else { vec![datagram.to_vec()] }
        },
    );
    let (status, result) = json(&format!("udp://{address} -c 2 --depth 3 -n 100 --timeout 100ms"));
    assert_eq!(status, 0, "{result}");
    let (lost, answered) = (count(&result, "messages_lost"), count(&result, "messages_answered"));
    assert!(lost >= 20, "{result}");
    assert_eq!(lost + answered, 100, "{result}");
    assert_eq!(result["expect"], "echo", "{result}");
}

#[test]
fn a_late_answer_is_not_a_wrong_one() {
    let mut held = None;
    let address = answer_datagrams(move |number, datagram| match number {
        3 => {
            held = Some(datagram.to_vec());
            vec![]
        }
        // It was given up, else there were no fifth on the one connection.
        4 => vec![held.take().unwrap_or_default(), datagram.to_vec()],
        _ => vec![datagram.to_vec()],
    });
    let (status, result) = json(&format!("udp://{address} -c 1 -n 20 --timeout 200ms"));
    assert_eq!(status, 0, "{result}");
    assert_eq!(count(&result, "answers_late"), 1, "{result}");
    assert_eq!(count(&result, "messages_lost"), 1, "{result}");
    assert_eq!(count(&result, "messages_answered"), 19, "{result}");
}

#[test]
fn repeated_swapped_and_wrong_datagrams_are_told_apart() {
    let repeats = answer_datagrams(|number, datagram| {
        vec![datagram.to_vec(); if number == 5 { 2 } else { 1 }]
    });
    let result = failing(&format!("udp://{repeats} -c 1 -n 20 --timeout 5s"));
    assert_eq!(count(&result, "answers_wrong"), 1, "{result}");
    assert_eq!(count(&result, "messages_answered"), 20, "{result}");

    let wrong = answer_datagrams(|number, datagram| {
        let mut answer = datagram.to_vec();
        if number == 5 {
            answer.push(b'!');
        }
        vec![answer]
    });
    let result = failing(&format!("udp://{wrong} -c 1 -n 20 --timeout 5s"));
    assert_eq!(count(&result, "answers_wrong"), 1, "{result}");

    // Two answers that overtake each other are both right: that is what datagrams may do.
    let mut held = None;
    let swaps = answer_datagrams(move |_, datagram| {
        if let Some(first) = held.take() {
            vec![datagram.to_vec(), first]
        } else {
            held = Some(datagram.to_vec());
            vec![]
        }
    });
    let (status, result) = json(&format!("udp://{swaps} -c 1 --depth 2 -n 20 --timeout 5s"));
    assert_eq!(status, 0, "{result}");
    assert_eq!(count(&result, "messages_answered"), 20, "{result}");
}
