//! One message to very many: from its arrival at the server until everybody has it.

use std::io::{Read, Write};
use std::net::TcpStream;

use scriptsock::net::descriptors;

use crate::Effort;
use crate::control::Kind;
use crate::load::{self, FanOut};
use crate::process::Server;
use crate::table;
use crate::turns;

const SUBSCRIBERS: usize = 1000;

const HANDLER: &str = r#"return {
  framing = "line",
  on_connect = function(conn) conn:subscribe("all") end,
  on_message = function(msg) server.publish("all", msg) end,
}
"#;

/// 1,000 connections that all get what the first of them says, one message after the other.
pub fn measure(effort: Effort) {
    // The servers inherit it.
    let limit = descriptors::raise_limit().unwrap_or(u64::MAX);
    if limit < 2 * SUBSCRIBERS as u64 + 100 {
        return println!("publish: skipped, the limit of open descriptors is {limit}");
    }
    let servers = [&Server::with_handler(HANDLER), &Server::control(Kind::Broadcast)];
    let [ours, theirs] = turns::measure(effort, servers, |server| {
        let mut load = FanOut::new(subscribers(server), line(b"publish to everybody, 32 letters"));
        Box::new(move |length| load.run(length))
    });
    let until_all = |rate| SUBSCRIBERS as f64 * 1e6 / rate;
    let each = |rate| 1e6 / rate;
    table::compare("publish, 32 B to 1,000 subscribers");
    table::row("until all have it, us", &ours.rate.map(until_all), &theirs.rate.map(until_all));
    table::row("the same a subscriber, us", &ours.rate.map(each), &theirs.rate.map(each));
    table::row("server CPU a subscriber, us", &ours.cost, &theirs.cost);
}

fn line(letters: &[u8]) -> Vec<u8> {
    [letters, b"\n"].concat()
}

/// Connections of which the server knows, because the last of them was heard by all.
fn subscribers(server: &Server) -> Vec<TcpStream> {
    let links: Vec<_> = (0..SUBSCRIBERS).map(|number| load::connect(server.tcp, number)).collect();
    let hello = line(b"hello");
    (&links[SUBSCRIBERS - 1]).write_all(&hello).unwrap();
    for mut link in &links {
        let mut got = vec![0; hello.len()];
        link.read_exact(&mut got).unwrap();
        assert_eq!(got, hello);
        link.set_nonblocking(true).unwrap();
    }
    links
}
