//! How fast messages are told apart, with nothing around it: no socket, no Lua, no copy. Framings
//! that count look at the header only, so that theirs is the rate of messages times their size.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use scriptsock::frame::{Framing, Progress, Spec, Split, Splitter};

use crate::Effort;
use crate::process::own_cpu;
use crate::table::{self, Samples};

/// What is decoded again and again: more than a read returns, less than the cache holds.
const STREAM: usize = 256 * 1024;

/// Framings that have a message of any length.
const KINDS: [&str; 8] = [
    "raw",
    "line",
    "crlf",
    r"delimiter:\0",
    r"delimiter:\r\n.\r\n",
    "length:u16be",
    "length:varint",
    "netstring",
];

/// The limit of a message.
const MAX: usize = 1 << 20;

/// Each framing with each size.
const ROWS: u32 = 30;

/// How often the stream is decoded between two looks at the clock.
const PASSES: u32 = 32;

/// Every framing, with short, middling and long messages.
pub fn measure(effort: Effort) {
    for size in [32, 1024, 16 * 1024] {
        table::alone(&format!("decode {size} B messages"));
        for kind in KINDS.map(str::to_owned).into_iter().chain([format!("fixed:{size}")]) {
            let framing = framing(&kind);
            row(effort, &kind, &framing, &stream(&framing, size));
        }
        let function = Framing::custom(Rc::new(Blocks), MAX);
        row(effort, "function, native", &function, &stream(&framing("length:u16be"), size));
    }
}

fn framing(text: &str) -> Framing {
    Spec::parse(text).unwrap().standing(MAX).unwrap()
}

/// Framed messages of that size, as many as fit.
fn stream(framing: &Framing, size: usize) -> Vec<u8> {
    let affixes = framing.affixes(size, false).unwrap();
    let message = [&affixes.prefix, vec![b'x'; size].as_slice(), affixes.suffix].concat();
    message.repeat(STREAM / message.len())
}

/// Two lines of the table: bytes a second, and time a message. The time is that of this thread's
/// CPU, so that others on the machine disturb it little.
fn row(effort: Effort, name: &str, framing: &Framing, stream: &[u8]) {
    let expected = decode(framing, stream);
    let (mut rate, mut cost) = (Samples::default(), Samples::default());
    for _ in 0..effort.rounds {
        let (began, mut passes, mut used) = (own_cpu(), 0, Duration::ZERO);
        // All rows together take as long as a round is meant to.
        while used < effort.round / ROWS {
            // Reading the clock takes as long as many a message.
            for _ in 0..PASSES {
                assert_eq!(decode(framing, black_box(stream)), expected);
            }
            passes += PASSES;
            used = own_cpu().saturating_sub(began);
        }
        let nanoseconds = used.as_secs_f64() * 1e9 / f64::from(passes);
        rate.push(stream.len() as f64 / nanoseconds);
        cost.push(nanoseconds / expected as f64);
    }
    table::single(&format!("{name}, GB/s"), &rate);
    table::single(&format!("{name}, ns a message"), &cost);
}

/// How many messages there are.
fn decode(framing: &Framing, stream: &[u8]) -> usize {
    let (mut rest, mut count) = (stream, 0);
    let mut progress = Progress::default();
    while let Some(decoded) = framing.decode(&mut progress, rest, false).unwrap() {
        black_box(decoded.message.bytes(rest));
        rest = &rest[decoded.consumed..];
        count += 1;
    }
    assert!(rest.is_empty());
    count
}

/// As `length:u16be`: what a function costs when it costs nothing itself.
struct Blocks;

impl Splitter for Blocks {
    fn split(&self, offered: &[u8], _: bool) -> Result<Split, String> {
        let Some(header) = offered.first_chunk() else { return Ok(Split::More { need: Some(2) }) };
        let whole = 2 + usize::from(u16::from_be_bytes(*header));
        Ok(match offered.get(2..whole) {
            Some(message) => Split::Message { consumed: whole, message: message.to_vec() },
            None => Split::More { need: Some(whole) },
        })
    }
}
