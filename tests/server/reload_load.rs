//! Reloads in series: a thousand with memory flat, and fifty under eight busy connections that
//! lose, double and reorder nothing.

use crate::support::{Client, SIGHUP, Server};
use crate::talk::reload;
use std::sync::atomic::{AtomicBool, Ordering};

/// A script whose content, constants and functions differ from generation to generation.
fn bulky(number: usize) -> String {
    let entries: Vec<_> = (0..200)
        .map(|entry| format!("  [\"key {number} {entry}\"] = \"value {}\",", number * entry))
        .collect();
    let helpers: Vec<_> = (0..20)
        .map(|helper| format!("local function helper_{helper}(x) return x .. \"{number}\" end"))
        .collect();
    format!(
        "\
local words = require(\"./words\")
local TABLE = {{
{}
}}
{}
server.state.n = (server.state.n or 0) + 1
return {{
  on_load = function(previous) server.state.previous = previous end,
  on_message = function(msg, conn)
    conn.state.seen = (conn.state.seen or 0) + 1
    return `{number} {{server.state.n}} {{conn.state.seen}} {{words.word}}\\n`
  end,
}}
",
        entries.join("\n"),
        helpers.join("\n")
    )
}

#[test]
fn a_thousand_reloads_leave_memory_flat() {
    const WARM: usize = 200;
    const LAST: usize = 1001;
    const MAY_GROW_KIB: u64 = 12 * 1024;
    let server = Server::builder()
        .script(&bulky(1))
        .file("words.lua", "return {word = \"w1\"}\n")
        .args(["--watch", "off"])
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"1 1 1 w1\n");
    let mut warm_kib = 0;
    for number in 2..=LAST {
        server.save("words.lua", &format!("return {{word = \"w{number}\"}}\n"));
        server.save("handler.lua", &bulky(number));
        server.signal(SIGHUP);
        server.wait_log(&format!("generation {number} is live"));
        client.exchange(b"x", format!("{number} {number} {number} w{number}\n").as_bytes());
        if number == WARM {
            warm_kib = server.memory_kib();
        }
    }
    let end_kib = server.memory_kib();
    eprintln!("resident after {WARM} generations {warm_kib} KiB, after {LAST} {end_kib} KiB");
    assert!(end_kib < warm_kib + MAY_GROW_KIB, "{warm_kib} KiB grew to {end_kib} KiB");
}

#[test]
fn a_thousand_refused_reloads_leave_memory_flat() {
    const MAY_GROW_KIB: u64 = 12 * 1024;
    let server = Server::builder()
        .script("return function() return \"one\\n\" end\n")
        .args(["--watch", "off"])
        .start();
    let mut warm_kib = 0;
    for number in 1..=1000 {
        let on_load = format!("return {{on_load = function() error(\"no {number}.\") end}}\n");
        server.save("handler.lua", &on_load);
        server.signal(SIGHUP);
        server.wait_log_count("reload failed, generation 1 stays live", number);
        if number == 200 {
            warm_kib = server.memory_kib();
        }
    }
    let end_kib = server.memory_kib();
    eprintln!("resident after 200 refusals {warm_kib} KiB, after 1000 {end_kib} KiB");
    assert!(end_kib < warm_kib + MAY_GROW_KIB, "{warm_kib} KiB grew to {end_kib} KiB");
    server.tcp().exchange(b"x", b"one\n");
}

/// Splits the stream into lines by hand and answers each with the number that stands in this
/// file, the number that the server gives, and the line.
const NUMBERED: &str = "\
return function(msg, conn)
  local replies = {}
  local rest = string.gsub((conn.state.rest or \"\") .. msg, \"([^\\n]*)\\n\", function(line)
    table.insert(replies, `NUMBER {server.generation} {line}\\n`)
    return \"\"
  end)
  conn.state.rest = rest
  return table.concat(replies)
end
";

fn numbered(number: usize) -> String {
    NUMBERED.replace("NUMBER", &number.to_string())
}

const WINDOW: usize = 16;

/// Reads `count` answers, however they are cut into reads.
fn read_answers(client: &mut Client, count: usize) -> String {
    let mut all = Vec::new();
    let mut lines = 0;
    while lines < count {
        let some = client.read_once();
        assert!(!some.is_empty(), "the server closed a connection");
        lines += some.split(|byte| *byte == b'\n').count() - 1;
        all.extend(some);
    }
    String::from_utf8(all).unwrap()
}

/// Exchanges one window of numbered lines, sent in two pieces cut anywhere.
fn exchange_window(client: &mut Client, next: &mut usize, generation: &mut usize) {
    let numbers = *next..*next + WINDOW;
    *next = numbers.end;
    let lines = numbers.clone().fold(String::new(), |text, number| text + &format!("m{number}\n"));
    let cut = numbers.start % lines.len();
    client.send(&lines.as_bytes()[..cut]);
    client.send(&lines.as_bytes()[cut..]);
    let answers = read_answers(client, WINDOW);
    assert_eq!(answers.lines().count(), WINDOW, "too many answers: {answers}");
    for (answer, number) in answers.lines().zip(numbers) {
        let mut words = answer.split(' ');
        let file: usize = words.next().unwrap().parse().unwrap();
        let live: usize = words.next().unwrap().parse().unwrap();
        assert_eq!(words.next(), Some(format!("m{number}").as_str()), "in {answer:?}");
        assert_eq!(file, live, "old code with a new number, or the other way round");
        assert!(file >= *generation, "back from generation {generation}: {answer:?}");
        *generation = file;
    }
}

/// Exchanges until told to stop, then once more; gives how many messages there were.
fn keep_exchanging(mut client: Client, stop: &AtomicBool, last: usize) -> usize {
    let (mut next, mut generation) = (0, 1);
    while !stop.load(Ordering::Relaxed) {
        exchange_window(&mut client, &mut next, &mut generation);
    }
    exchange_window(&mut client, &mut next, &mut generation);
    assert_eq!(generation, last, "the last generation has not reached this connection");
    next
}

/// Lets the busy threads end, also where the test fails between.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn reload_under_load(workers: &str) {
    const RELOADS: usize = 50;
    let server = Server::builder().script(&numbered(1)).args(["-w", workers]).start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_end = StopAtEnd(&stop);
        let busy: Vec<_> = (0..8)
            .map(|_| {
                let client = server.tcp();
                scope.spawn(|| keep_exchanging(client, &stop, RELOADS + 1))
            })
            .collect();
        for number in 2..=RELOADS + 1 {
            reload(&server, &numbered(number), number);
        }
        drop(at_end);
        for thread in busy {
            let messages = thread.join().unwrap();
            assert!(messages > RELOADS, "only {messages} messages");
        }
    });
    server.assert_no_log("handler fault");
    server.assert_no_log("reload failed");
}

#[test]
fn fifty_reloads_under_load_lose_double_and_reorder_nothing() {
    reload_under_load("1");
}

#[test]
fn fifty_reloads_under_load_on_two_workers_lose_double_and_reorder_nothing() {
    reload_under_load("2");
}
