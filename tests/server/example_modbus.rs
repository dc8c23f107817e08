//! The Modbus/TCP device of the examples, driven by mbpoll.

use std::time::{Duration, Instant};

use crate::examples::{path, play, text};
use crate::support::{Printed, Server, Tool, wait_until};

const FILES: [&str; 3] = ["handler.lua", "device.lua", "functions.lua"];

/// The device, and a client of it; none where that is not installed.
struct Bench {
    server: Server,
    tool: Tool,
}

impl Bench {
    fn new() -> Option<Self> {
        let tool = Tool::find("mbpoll", "mbpoll")?;
        let mut builder = Server::builder().listen("tcp://127.0.0.1:0");
        for file in FILES {
            builder = builder.file(file, &text(&format!("modbus/{file}")));
        }
        let server = builder.args(["--script", "handler.lua"]).start();
        Some(Self { server, tool })
    }

    /// Runs mbpoll once, counting from 0; `words` are its options, and behind a `=` what to write.
    #[track_caller]
    fn poll(&self, words: &str) -> Printed {
        let port = self.server.tcp_addr().port().to_string();
        let (options, values) = words.split_once('=').unwrap_or((words, ""));
        let mut args = vec!["-m", "tcp", "-p", &port, "-0", "-1", "-o", "5"];
        args.extend(options.split_whitespace());
        args.push("127.0.0.1");
        args.extend(values.split_whitespace());
        self.tool.run(args)
    }

    /// What a table holds.
    #[track_caller]
    fn read(&self, words: &str) -> Vec<i64> {
        let printed = self.poll(words).ok();
        let values = printed.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]:"));
        values.map(|(_, value)| value.split_whitespace().next().unwrap().parse().unwrap()).collect()
    }

    #[track_caller]
    fn write(&self, words: &str) {
        let printed = self.poll(words).ok();
        assert!(printed.contains("Written "), "{printed}");
    }

    #[track_caller]
    fn fails(&self, words: &str, why: &str) {
        let printed = self.poll(words);
        assert_eq!(printed.status, Some(1), "{printed:?}");
        assert!(printed.err.contains(why), "no {why:?} in {printed:?}");
    }
}

#[test]
fn tables_are_read_and_written() {
    let Some(bench) = Bench::new() else { return };
    bench.write("-t 4 -r 10 = 1 2 65535");
    assert_eq!(bench.read("-t 4 -r 9 -c 3"), [0, 1, 2]);
    bench.write("-t 4 -r 11 = 7");
    assert_eq!(bench.read("-t 4 -r 10 -c 2"), [1, 7]);
    bench.write("-t 0 -r 20 = 1 0 1 1 0 0 0 0 1 1");
    assert_eq!(bench.read("-t 0 -r 19 -c 12"), [0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0]);
    bench.write("-t 0 -r 20 = 0");
    assert_eq!(bench.read("-t 0 -r 20 -c 3"), [0, 0, 1]);
    // Another unit has tables of its own.
    assert_eq!(bench.read("-a 2 -t 4 -r 10 -c 2"), [0, 0]);
    assert_eq!(bench.read("-a 255 -t 4 -r 10 -c 2"), [1, 7]);
    bench.server.assert_no_log("handler fault");
}

#[test]
fn the_heater_gets_warm_and_reaches_its_set_point() {
    let Some(bench) = Bench::new() else { return };
    assert_eq!(bench.read("-t 3 -r 0 -c 1"), [200]);
    bench.write("-t 4 -r 0 = 203");
    bench.write("-t 0 -r 0 = 1");
    wait_until("the set point should be reached", || {
        (bench.read("-t 1 -r 0 -c 1") == [1]).then_some(())
    });
    assert_eq!(bench.read("-t 3 -r 0 -c 1"), [203]);
    assert!(bench.read("-t 3 -r 1 -c 1")[0] >= 5);
}

#[test]
fn what_the_device_does_not_have_is_refused() {
    let Some(bench) = Bench::new() else { return };
    bench.fails("-t 4 -r 999 -c 2", "Illegal data address");
    bench.fails("-t 4 -r 1000 = 1", "Illegal data address");
    bench.fails("-t 0 -r 64 -c 1", "Illegal data address");
    bench.fails("-a 3 -t 4 -r 0 -c 1", "Target device failed to respond");
    assert_eq!(bench.read("-t 4 -r 999 -c 1"), [0]);
}

#[test]
fn faults_come_to_order() {
    let Some(bench) = Bench::new() else { return };
    bench.write("-t 4 -r 901 = 2");
    bench.fails("-t 3 -r 0 -c 1", "Slave device or server is busy");
    bench.fails("-t 0 -r 0 = 1", "Slave device or server is busy");
    assert_eq!(bench.read("-t 0 -r 0 -c 1"), [0]);

    bench.write("-t 4 -r 902 = 1");
    bench.fails("-o 0.3 -t 3 -r 0 -c 1", "Connection timed out");
    assert_eq!(bench.read("-t 3 -r 0 -c 1"), [200]);

    bench.write("-t 4 -r 900 = 700");
    let begin = Instant::now();
    assert_eq!(bench.read("-t 3 -r 0 -c 1"), [200]);
    assert!(begin.elapsed() >= Duration::from_millis(700), "{:?}", begin.elapsed());
    bench.write("-t 4 -r 900 = 60000");
    bench.fails("-o 0.2 -t 3 -r 0 -c 1", "Connection timed out");
    // Unit 2 is not late.
    bench.write("-a 2 -t 4 -r 0 = 250");
    bench.write("-t 4 -r 900 = 0");
    assert_eq!(bench.read("-t 4 -r 900 -c 3"), [0, 0, 0]);
}

#[test]
fn a_save_changes_the_protocol_and_keeps_the_tables() {
    let Some(bench) = Bench::new() else { return };
    bench.write("-t 4 -r 10 = 4711");
    let functions = text("modbus/functions.lua");
    let without_coils = functions.replace("  [1] = reader", "  [101] = reader");
    assert_ne!(functions, without_coils);
    bench.server.save("functions.lua", &without_coils);
    bench.server.wait_log("generation 2 is live");
    assert_eq!(bench.read("-t 4 -r 10 -c 1"), [4711]);
    bench.fails("-t 0 -r 0 -c 1", "Illegal function");
}

#[test]
fn its_dialogues_are_kept() {
    for dialogue in ["read-and-write", "exceptions", "faults", "heater"] {
        let builder = Server::builder().listen("tcp://127.0.0.1:0");
        let server = builder.args(["--script", &path("modbus/handler.lua")]).start();
        play(&server.ready()[0], &format!("modbus/{dialogue}.dialogue"));
        server.assert_no_log("handler fault");
    }
}
