//! What others feel of a handler that loops for ever: one connection sends such a message again
//! and again, 20 others go on asking.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Effort;
use crate::load::{connect, exchange};
use crate::process::Server;
use crate::table::{self, Samples};

const CALLS: usize = 20;
const OTHERS: usize = 20;

/// The pause of an innocent connection between an answer and its next message.
const PAUSE: Duration = Duration::from_millis(1);

const ENDED: &[u8] = b"ended";

const HANDLER: &str = r#"return {
  on_message = function(msg)
    if msg == "loop" then while true do end end
    return msg:upper()
  end,
  on_error = function() return "ended" end,
}
"#;

type Span = (Instant, Instant);

/// Runs it with the default budget of 100 ms and prints the figures.
pub fn measure(_: Effort) {
    let server = Server::with_handler(HANDLER);
    let over = AtomicBool::new(false);
    let (calls, answers) = thread::scope(|scope| {
        let (over, server) = (&over, server.tcp);
        let others: Vec<_> =
            (0..OTHERS).map(|number| scope.spawn(move || ask(server, number, over))).collect();
        thread::sleep(Duration::from_millis(200));
        let calls = loop_again_and_again(server);
        over.store(true, Ordering::Relaxed);
        let answers: Vec<Span> =
            others.into_iter().flat_map(|other| other.join().unwrap()).collect();
        (calls, answers)
    });
    table::alone("while true do end, budget 100 ms, ms");
    let length = |(from, to): &Span| *to - *from;
    let worst: Samples = calls.iter().map(|call| worst_beside(call, &answers)).collect();
    table::single("worst answer of 20 others, a call", &worst);
    let ended: Samples = calls.iter().map(length).collect();
    table::single("its message to its end, pause included", &ended);
    let asked = answers.iter().filter(|span| span.0 >= calls[0].0);
    let seconds = calls[0].0.elapsed().as_secs_f64();
    println!("  the others got {:.0} answers a second meanwhile", asked.count() as f64 / seconds);
}

/// Asks with small pauses until it is over; returns when each answer was asked for and came.
fn ask(server: SocketAddr, number: usize, over: &AtomicBool) -> Vec<Span> {
    let stream = connect(server, number);
    let mut spans = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        exchange(&stream, b"hello");
        spans.push((began, Instant::now()));
        thread::sleep(PAUSE);
    }
    spans
}

/// Sends the message that loops, each as soon as the one before was ended.
fn loop_again_and_again(server: SocketAddr) -> Vec<Span> {
    let mut stream = connect(server, OTHERS);
    let call = |_| {
        let began = Instant::now();
        stream.write_all(b"loop").unwrap();
        let mut answer = [0; ENDED.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, ENDED);
        (began, Instant::now())
    };
    (0..CALLS).map(call).collect()
}

/// The longest wait among the answers that were due during `call`.
fn worst_beside(call: &Span, answers: &[Span]) -> Duration {
    let beside = answers.iter().filter(|(from, to)| *from < call.1 && *to > call.0);
    beside.map(|(from, to)| *to - *from).max().unwrap_or_default()
}
