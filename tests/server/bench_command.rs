//! `scriptsock bench` as a user runs it: every mode and transport against scriptsock itself. The
//! numbers of messages decide, never a time.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{SIGINT, Server, raise_descriptor_limit, wait_until};

const ECHO: &str = "return function(msg) return msg end";

/// A load under way.
pub struct Bench(Child);

/// How a load ended.
#[derive(Debug)]
pub struct Finished {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    /// Starts one with arguments that are separated by blanks.
    pub fn start(arguments: &str) -> Self {
        Self::start_with(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Starts one.
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
        command.arg("bench").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end. What it prints fits a pipe.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let ended = wait_until("the load should end", || self.0.try_wait().unwrap());
        let read = |stream: &mut dyn std::io::Read| {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        Finished {
            status: ended.code().expect("an exit status"),
            stdout: read(self.0.stdout.as_mut().unwrap()),
            stderr: read(self.0.stderr.as_mut().unwrap()),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Fails only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one to its end.
#[track_caller]
pub fn bench(arguments: &str) -> Finished {
    Bench::start(arguments).finish()
}

/// Runs one with `--json`; its exit status, and what it printed.
#[track_caller]
pub fn json(arguments: &str) -> (i32, Value) {
    let finished = bench(&format!("{arguments} --json"));
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
    assert_eq!(finished.stderr, "", "{finished:?}");
    (finished.status, serde_json::from_str(&finished.stdout).unwrap())
}

/// Runs one that has to go well.
#[track_caller]
fn fine(arguments: &str) -> Value {
    let (status, result) = json(arguments);
    assert_eq!(status, 0, "{arguments}: {result}");
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(result["answers_wrong"], 0, "{result}");
    assert_eq!(result["errors_total"], 0, "{result}");
    assert_eq!(result["ended"], "in_order", "{result}");
    result
}

/// Runs one of `count` messages that all are answered.
#[track_caller]
fn all_answered(count: u64, arguments: &str) -> Value {
    let result = fine(&format!("{arguments} -n {count}"));
    assert_eq!(result["messages_sent"], count, "{result}");
    assert_eq!(result["messages_answered"], count, "{result}");
    result
}

/// A server of the default handler on every transport, and its URLs.
fn everywhere() -> (Server, Vec<String>) {
    let builder = Server::builder();
    let unix = format!("unix://{}", builder.dir().join("s.sock").display());
    let unixgram = format!("unixgram://{}", builder.dir().join("g.sock").display());
    let listen = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &unix, &unixgram];
    let server = listen.iter().fold(builder, |builder, url| builder.listen(*url)).start();
    let urls = server.ready().to_vec();
    (server, urls)
}

#[test]
fn messages_are_exchanged_over_every_transport() {
    let (_server, urls) = everywhere();
    assert_eq!(urls.len(), 4);
    for url in &urls {
        for depth in [1, 7] {
            let result = all_answered(500, &format!("{url} -c 8 --depth {depth} --timeout 10s"));
            assert_eq!(result["expect"], "upper", "{url}");
            assert_eq!(result["bytes_received"], 500 * 32, "{url}");
            assert_eq!(result["latency_microseconds"]["count"], 500, "{url}");
            assert_eq!(result["connections_open_at_most"], 8, "{url}");
            assert_eq!(result["messages_lost"], 0, "{url}");
        }
    }
}

#[test]
fn churn_opens_a_connection_for_each_message() {
    let (server, urls) = everywhere();
    for url in [&urls[0], &urls[2]] {
        let result = all_answered(300, &format!("{url} --mode churn -c 10 --expect upper"));
        assert_eq!(result["connections_opened"], 300, "{url}");
        assert_eq!(result["connect_microseconds"]["count"], 300, "{url}");
        assert_eq!(result["connections_open_at_end"], 0, "{url}");
    }
    server.assert_no_log(" WARN ");
}

#[test]
fn bulk_moves_every_byte_and_checks_it() {
    let (_server, urls) = everywhere();
    for url in [&urls[0], &urls[2]] {
        let result = all_answered(100, &format!("{url} --mode bulk -c 3 --size 100000"));
        assert_eq!(result["bytes_sent"], 10_000_000, "{url}");
        assert_eq!(result["bytes_received"], 10_000_000, "{url}");
        assert_eq!(result["expect"], "upper", "{url}");
    }
}

#[test]
fn bulk_can_be_one_way() {
    let server = Server::builder().script("return function() end").start();
    let url = &server.ready()[0];
    let result = fine(&format!("{url} --mode bulk -c 2 --expect none -d 200ms"));
    assert!(result["bytes_sent"].as_u64().unwrap() > 0, "{result}");
    assert_eq!(result["messages_answered"], 0, "{result}");
    let result = fine(&format!("{url} --mode bulk -c 2 --expect none -n 50 --size 100000"));
    assert_eq!(result["bytes_sent"], 5_000_000, "{result}");
}

#[test]
fn a_thousand_connections_stay_open_and_idle() {
    raise_descriptor_limit(2200);
    let server = Server::builder().start();
    let result = fine(&format!("{} --mode idle -c 1000 -d 300ms", server.ready()[0]));
    assert_eq!(result["connections_opened"], 1000, "{result}");
    assert_eq!(result["connections_open_at_end"], 1000, "{result}");
    assert_eq!(result["messages_sent"], 0, "{result}");
}

#[test]
fn the_schedule_is_kept() {
    let server = Server::builder().start();
    for (url, rate, due) in [(0, 1000, 500), (1, 2000, 1000)] {
        let url = &server.ready()[url];
        let result = fine(&format!("{url} --rate {rate} -d 500ms --timeout 10s"));
        assert_eq!(result["messages_due"], due, "{result}");
        let count = |name: &str| result[name].as_u64().unwrap();
        assert_eq!(count("messages_sent") + count("messages_unsent"), due, "{result}");
        assert_eq!(count("messages_answered"), count("messages_sent"), "{result}");
        // A machine that stood still for half of it would be told here.
        assert!(count("messages_sent") >= due / 2, "{result}");
    }
}

#[test]
fn churn_keeps_a_schedule_too_and_a_count_ends_it() {
    let server = Server::builder().start();
    let result = all_answered(50, &format!("{} --mode churn --rate 5000 -c 4", server.ready()[0]));
    assert_eq!(result["connections_opened"], 50);
    assert_eq!(result["messages_due"].as_u64().unwrap().min(50), 50, "{result}");
}

#[test]
fn a_warm_up_does_not_count() {
    let server = Server::builder().start();
    let url = &server.ready()[0];
    let result = fine(&format!("{url} -c 4 --warmup 200ms -n 100"));
    assert_eq!(result["messages_sent"], 100, "{result}");
    assert_eq!(result["latency_microseconds"]["count"], 100, "{result}");
}

#[test]
fn framings_tell_answers_apart() {
    for framing in ["line", "crlf", "delimiter:;", "length:u16be", "netstring", "fixed:32"] {
        let script = format!("return {{ framing = '{framing}', on_message = {} }}", &ECHO[7..]);
        let server = Server::builder().script(&script).start();
        for depth in [1, 16] {
            let url = &server.ready()[0];
            let result =
                all_answered(300, &format!("{url} -c 5 --depth {depth} --framing {framing}"));
            assert_eq!(result["expect"], "echo", "{framing}");
        }
    }
}

#[test]
fn a_message_of_the_users_own_is_sent_with_its_stamp() {
    let script = "return { framing = 'line', on_message = function(msg) \
                  return #msg == 21 and msg:sub(1, 13) == 'hello, world ' and msg or '?' end }";
    let server = Server::builder().script(script).start();
    let url = server.ready()[0].as_str();
    let message = "hello, world {stamp}\\r\\n";
    let arguments = [url, "--message", message, "--expect", "echo", "-n", "100", "--framing"];
    let finished = Bench::start_with(&[&arguments[..], &["line"]].concat()).finish();
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(finished.stdout.contains("100 sent, 100 answered"), "{finished:?}");
}

#[test]
fn answers_can_be_anything() {
    let script = "return { framing = 'line', on_message = function() return '+PONG' end }";
    let server = Server::builder().script(script).start();
    let url = &server.ready()[0];
    let result = all_answered(100, &format!(r"{url} --message PING\r\n --expect none"));
    assert_eq!(result["expect"], "none");
    let result = all_answered(100, &format!(r"{url} --message PING\r\n"));
    assert_eq!(result["expect"], "none");
}

#[test]
fn an_interrupt_ends_it_with_the_result() {
    let server = Server::builder().args(["-v"]).start();
    let bench = Bench::start(&format!("{} -c 2 -d 1h --json", server.ready()[0]));
    server.wait_log_count(" message ", 10);
    bench.signal(SIGINT);
    let finished = bench.finish();
    assert_eq!(finished.status, 0, "{finished:?}");
    let result: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(result["ended"], "interrupted", "{result}");
    assert!(result["messages_answered"].as_u64().unwrap() > 0, "{result}");
}

#[test]
fn the_table_is_for_people_and_nothing_is_drawn_without_a_terminal() {
    let server = Server::builder().start();
    let finished = bench(&format!("{} -n 200 -c 4", server.ready()[0]));
    assert_eq!((finished.status, finished.stderr.as_str()), (0, ""), "{finished:?}");
    for part in [
        "4 connections, 1 message of 32 bytes in flight on each",
        "200 sent, 200 answered",
        "held against the message in upper case",
        "p99.9",
        "own CPU",
        "errors      none",
    ] {
        assert!(finished.stdout.contains(part), "no {part:?} in {}", finished.stdout);
    }
}

#[test]
fn the_readme_names_every_field_of_the_json() {
    let readme = include_str!("../../README.md");
    let server = Server::builder().start();
    let result = all_answered(10, &format!("{} -c 1", server.ready()[0]));
    let fields = result.as_object().unwrap();
    assert!(fields.len() > 30, "{fields:?}");
    let times = result["latency_microseconds"].as_object().unwrap();
    for name in fields.keys().chain(times.keys()) {
        assert!(readme.contains(&format!("`{name}`")), "the README does not name {name}");
    }
}

#[test]
fn help_lists_the_command_and_mistakes_end_with_status_2() {
    let help = Command::new(env!("CARGO_BIN_EXE_scriptsock")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let is_listed = |line: &str| {
        line.split_once("  Measure a server").is_some_and(|(name, _)| name.trim() == "bench")
    };
    assert!(help.lines().any(is_listed), "{help}");
    let finished = bench("");
    assert_eq!(finished.status, 2);
    assert!(finished.stderr.starts_with("scriptsock: <URL> is missing"), "{finished:?}");
    assert_eq!(bench("80 --mode chrun").status, 2);
    let finished = bench("udp://127.0.0.1:9 --size 65508");
    assert_eq!(finished.status, 2);
    assert!(finished.stderr.contains("holds 65507 bytes at most"), "{finished:?}");
    let help = bench("--help");
    assert!(help.stdout.contains("Usage: scriptsock bench [OPTIONS] <URL>"), "{help:?}");
}

#[test]
fn the_servers_environment_is_not_the_commands() {
    let server = Server::builder().start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
    command.args(["bench", server.ready()[0].as_str(), "-n", "10", "-c", "1"]);
    command.env("SCRIPTSOCK_FRAMING", "line").env("SCRIPTSOCK_BUDGET", "nonsense");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn more_connections_than_descriptors_are_refused() {
    let mut shell = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_scriptsock");
    shell.args(["-c", "ulimit -n 200; exec \"$0\" bench 9 -c 200", program]);
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("leaves room for 136 connections"), "{told}");
}

#[test]
fn options_of_the_server_before_the_command_are_a_mistake() {
    let failed = Server::builder().args(["--once", "bench", "80"]).start_expecting_failure();
    failed.assert_one_line(2, &["'bench' cannot be used with '--once'"]);
}
