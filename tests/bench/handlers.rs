//! Handlers that do more than echo, against the same logic natively and in `LuaJIT`: values by their
//! keys, a JSON request, a checksum of 1 KiB. Each answer is checked once, its length always.

use std::io::{Read, Write};

use crate::Effort;
use crate::aims::{Aim, Finding};
use crate::control::{self, Kind};
use crate::load::{self, PingPong, message, stamp};
use crate::peers;
use crate::process::Server;
use crate::turns::{self, Figures, Load, Names};

/// What is sent, and what comes back.
type Exchange = (Vec<u8>, Vec<u8>);

/// One handler under one load.
struct Case {
    names: Names,
    script: &'static str,
    control: Kind,
    /// What a connection of that number asks, again and again.
    asks: fn(usize) -> Vec<Exchange>,
    /// Messages in a write.
    depth: usize,
}

const CONNECTIONS: usize = 64;

/// Exchanges of a connection until it begins again.
const ROUND: usize = 64;

const BLOCK: usize = 1024;

const KV: &str = include_str!("handlers/kv.lua");
const JSON: &str = include_str!("handlers/json.lua");
const ADLER: &str = include_str!("handlers/adler.lua");
const CRC: &str = include_str!("handlers/crc.lua");

const fn case(
    title: &'static str,
    script: &'static str,
    control: Kind,
    asks: fn(usize) -> Vec<Exchange>,
    depth: usize,
) -> Case {
    let rate = "messages a second";
    let names = Names { title, rate, cost: "server CPU a message, us" };
    Case { names, script, control, asks, depth }
}

const CASES: [Case; 6] = [
    case("key-value lines, ping-pong", KV, Kind::KeyValue, key_value, 1),
    case("key-value lines, 16 a write", KV, Kind::KeyValue, key_value, 16),
    case("JSON request, ping-pong", JSON, Kind::Json, json, 1),
    case("JSON request, 16 a write", JSON, Kind::Json, json, 16),
    case("checksum of 1 KiB, loop in the script", ADLER, Kind::Adler, adler, 1),
    case("checksum of 1 KiB, hash.crc32", CRC, Kind::Crc, crc, 1),
];

/// What came out of one case: the finding, and each server's figures.
pub struct Outcome {
    pub finding: Finding,
    pub title: &'static str,
    /// scriptsock, its control, and luv where it is there.
    pub figures: Vec<Figures>,
}

/// Every case, printed.
pub fn measure(effort: Effort) -> Vec<Outcome> {
    CASES.iter().map(|case| case.measure(effort)).collect()
}

impl Case {
    fn measure(&self, effort: Effort) -> Outcome {
        let (ours, control) = (Server::with_handler(self.script), Server::control(self.control));
        // It has no CRC of its own.
        let luv = Some(self.script).filter(|_| effort.peers && self.control != Kind::Crc);
        let luv = luv.and_then(peers::handler);
        let servers: Vec<_> = [&ours, &control].into_iter().chain(&luv).collect();
        let figures = turns::measure_all(effort, &servers, |server| self.load(server));
        let Names { title, .. } = self.names;
        let [ours, control] = [&figures[0], &figures[1]];
        turns::show(&self.names, ours, control);
        let finding = Finding::ratio(title, "us", [&ours.cost, &control.cost], Aim::None)
            .with_throughput(&ours.rate, &control.rate);
        Outcome { finding, title, figures }
    }

    fn load(&self, server: &Server) -> Load {
        let asked: Vec<_> = (0..CONNECTIONS).map(self.asks).collect();
        let links: Vec<_> =
            (0..CONNECTIONS).map(|number| load::connect(server.tcp, number)).collect();
        for (mut link, exchanges) in links.iter().zip(&asked) {
            for (request, answer) in exchanges {
                link.write_all(request).unwrap();
                let mut got = vec![0; answer.len()];
                link.read_exact(&mut got).unwrap();
                assert_eq!(sorted(&got), sorted(answer), "{}", String::from_utf8_lossy(request));
            }
            link.set_nonblocking(true).unwrap();
        }
        let depth = self.depth;
        let mut next = vec![0; CONNECTIONS];
        let ask = move |index: usize, to: &mut Vec<u8>| {
            let from = next[index];
            next[index] = (from + depth) % ROUND;
            let batch = &asked[index][from..from + depth];
            batch
                .iter()
                .map(|(request, answer)| {
                    to.extend_from_slice(request);
                    answer.len()
                })
                .sum()
        };
        let mut load = PingPong::asking(links, depth, Box::new(ask));
        Box::new(move |length| load.run(length))
    }
}

/// A table's keys have no order, so what is made of them has none either.
fn sorted(answer: &[u8]) -> Vec<u8> {
    let mut answer = answer.to_vec();
    answer.sort_unstable();
    answer
}

/// Set, get, delete, get: of keys that other connections do not touch.
fn key_value(connection: usize) -> Vec<Exchange> {
    let key = |number: usize| format!("user:{connection}:{number}");
    let value = |number: usize| format!("the value with number {number}");
    let exchanges = |number: usize| {
        let (key, value) = (key(number), value(number));
        [
            (format!("SET {key} {value}\n"), "OK\n".to_owned()),
            (format!("GET {key}\n"), format!("{value}\n")),
            (format!("DEL {key}\n"), "OK\n".to_owned()),
            (format!("GET {key}\n"), "NONE\n".to_owned()),
        ]
    };
    let all = (0..ROUND / 4).flat_map(exchanges);
    all.map(|(request, answer)| (request.into_bytes(), answer.into_bytes())).collect()
}

fn json(connection: usize) -> Vec<Exchange> {
    let object = |number: usize, count: usize| {
        format!(
            "{{\"id\":{number},\"user\":\"user-{connection}\",\"roles\":[\"read\",\"write\"],\
             \"count\":{count},\"note\":\"the quick brown fox\"}}\n"
        )
        .into_bytes()
    };
    let count = |number: usize| 10_000 + connection * ROUND + number;
    (0..ROUND)
        .map(|number| (object(number, count(number)), object(number, count(number) + 1)))
        .collect()
}

fn adler(connection: usize) -> Vec<Exchange> {
    blocks(connection, control::adler)
}

fn crc(connection: usize) -> Vec<Exchange> {
    blocks(connection, control::crc32)
}

fn blocks(connection: usize, sum: fn(&[u8]) -> u32) -> Vec<Exchange> {
    let block = |number: usize| {
        let mut block = message(BLOCK);
        stamp(&mut block, (connection * ROUND + number) as u64);
        let answer = format!("{:08x}", sum(&block)).into_bytes();
        (block, answer)
    };
    (0..ROUND).map(block).collect()
}
