//! `examples/redis`, driven by the clients that come with Redis.

use crate::support::{Server, Tool};

const HANDLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/redis/handler.lua");

/// The files of the example, as a copy of it needs them.
const FILES: [(&str, &str); 11] = [
    ("handler.lua", include_str!("../../examples/redis/handler.lua")),
    ("lib/connection.lua", include_str!("../../examples/redis/lib/connection.lua")),
    ("lib/describe.lua", include_str!("../../examples/redis/lib/describe.lua")),
    ("lib/expiry.lua", include_str!("../../examples/redis/lib/expiry.lua")),
    ("lib/glob.lua", include_str!("../../examples/redis/lib/glob.lua")),
    ("lib/keys.lua", include_str!("../../examples/redis/lib/keys.lua")),
    ("lib/lists.lua", include_str!("../../examples/redis/lib/lists.lua")),
    ("lib/resp.lua", include_str!("../../examples/redis/lib/resp.lua")),
    ("lib/store.lua", include_str!("../../examples/redis/lib/store.lua")),
    ("lib/strings.lua", include_str!("../../examples/redis/lib/strings.lua")),
    ("lib/words.lua", include_str!("../../examples/redis/lib/words.lua")),
];

fn start() -> Server {
    Server::builder().args(["--script", HANDLER]).listen("tcp://127.0.0.1:0").start()
}

fn port(server: &Server) -> String {
    server.tcp_addr().port().to_string()
}

/// What redis-cli prints for commands, one a line.
#[track_caller]
fn ask(cli: &Tool, server: &Server, commands: &str) -> String {
    cli.run_with(["-p", &port(server), "--no-raw"], commands).ok()
}

#[test]
fn redis_cli_shows_every_kind_of_answer() {
    let Some(cli) = Tool::find("redis-cli", "redis-tools") else { return };
    let server = start();
    let printed = ask(
        &cli,
        &server,
        "set k \"hello\\n\" ex 100\nget k\nttl k\nincr n\nmget k nokey n\nlpush l a b\n\
         lrange l 0 -1\nget nokey\ndel k n\nkeys *\nflushall\ndbsize\n",
    );
    let expected = "OK\n\"hello\\n\"\n(integer) 100\n(integer) 1\n\
         1) \"hello\\n\"\n2) (nil)\n3) \"1\"\n(integer) 2\n1) \"b\"\n2) \"a\"\n(nil)\n(integer) 2\n\
         1) \"l\"\nOK\n(integer) 0\n";
    assert_eq!(printed, expected);
    server.assert_no_log("handler fault");
}

#[test]
fn redis_cli_shows_errors_in_the_words_of_redis() {
    let Some(cli) = Tool::find("redis-cli", "redis-tools") else { return };
    let server = start();
    let printed = ask(
        &cli,
        &server,
        "nosuch a b\nget\nset k v ex 0\nset k text\nincr k\nlpush k x\nselect 99\nping\n",
    );
    let expected = "(error) ERR unknown command 'nosuch', with args beginning with: 'a' 'b' \n\
         (error) ERR wrong number of arguments for 'get' command\n\
         (error) ERR invalid expire time in 'set' command\nOK\n\
         (error) ERR value is not an integer or out of range\n\
         (error) WRONGTYPE Operation against a key holding the wrong kind of value\n\
         (error) ERR DB index is out of range\nPONG\n";
    assert_eq!(printed.replace("\n\n", "\n"), expected);
    server.assert_no_log("handler fault");
}

#[test]
fn redis_cli_speaks_the_newer_protocol_too() {
    let Some(cli) = Tool::find("redis-cli", "redis-tools") else { return };
    let server = start();
    let commands = "config get save\nget nokey\nclient setname me\nclient getname\n";
    let printed = cli.run_with(["-3", "-p", &port(&server), "--no-raw"], commands).ok();
    assert_eq!(printed, "1# \"save\" => \"\"\n(nil)\nOK\n\"me\"\n");
}

#[test]
fn redis_cli_loads_scans_and_selects() {
    let Some(cli) = Tool::find("redis-cli", "redis-tools") else { return };
    let server = start();
    let set = |all, number| format!("{all}SET key:{number} {number}\r\n");
    let sets = (0..1000).fold(String::new(), set);
    let printed = cli.run_with(["-p", &port(&server), "-n", "2", "--pipe"], &sets).ok();
    assert!(printed.contains("errors: 0, replies: 1000"), "{printed}");
    let mut scan = cli.command();
    scan.args(["-p", &port(&server), "-n", "2", "--scan", "--pattern", "key:1?7"]);
    let found = String::from_utf8(scan.output().unwrap().stdout).unwrap();
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    let expected: Vec<_> = (0..10).map(|digit| format!("key:1{digit}7")).collect();
    assert_eq!(found, expected);
    assert_eq!(
        ask(&cli, &server, "dbsize\nselect 2\ndbsize\n"),
        "(integer) 0\nOK\n(integer) 1000\n"
    );
}

/// Runs redis-benchmark; each of `names` must have a result, and nothing must be wrong.
#[track_caller]
fn benchmark(server: &Server, args: &[&str], names: &[&str]) {
    let Some(benchmark) = Tool::find("redis-benchmark", "redis-tools") else { return };
    let port = port(server);
    let all = ["-p", &port, "-c", "20", "-q"].into_iter().chain(args.iter().copied());
    let printed = benchmark.run(all);
    assert_eq!(printed.err, "", "{printed:?}");
    let out = printed.ok();
    // Progress is written over itself, with carriage returns.
    let results: Vec<_> =
        out.split(['\r', '\n']).filter(|line| line.contains("requests per")).collect();
    for name in names {
        assert!(results.iter().any(|line| line.trim_start().starts_with(name)), "{name}: {out}");
    }
    assert_eq!(results.len(), names.len(), "{results:?}");
    assert!(!out.contains("ERR") && !out.contains("WARNING"), "{out}");
    server.assert_no_log("handler fault");
}

const MAIN: [&str; 4] = ["PING_INLINE: ", "PING_MBULK: ", "SET: ", "GET: "];

#[test]
fn redis_benchmark_runs_to_its_end() {
    benchmark(&start(), &["-t", "ping,set,get", "-n", "2000"], &MAIN);
}

#[test]
fn redis_benchmark_runs_to_its_end_with_pipelining() {
    benchmark(&start(), &["-t", "ping,set,get", "-n", "10000", "-P", "16", "-r", "100"], &MAIN);
}

#[test]
fn redis_benchmark_runs_what_else_it_can() {
    let names = ["INCR", "LPUSH: ", "RPUSH", "LPOP", "RPOP", "LPUSH (", "LRANGE_100", "LRANGE_300"];
    let names = [names.as_slice(), &["LRANGE_500", "LRANGE_600", "MSET"]].concat();
    let tests = "incr,lpush,rpush,lpop,rpop,lrange,mset";
    benchmark(&start(), &["-t", tests, "-n", "500"], &names);
}

#[test]
fn a_save_changes_the_answers_and_keeps_the_keys() {
    let Some(cli) = Tool::find("redis-cli", "redis-tools") else { return };
    let builder =
        FILES.iter().fold(Server::builder(), |builder, (path, text)| builder.file(path, text));
    let server = builder.args(["--script", "handler.lua"]).listen("tcp://127.0.0.1:0").start();
    let mut client = server.tcp();
    client.exchange(b"SET k v\r\nSELECT 1\r\nPING\r\n", b"+OK\r\n+OK\r\n+PONG\r\n");
    client.send(b"SET half ");
    let (path, text) = FILES[1];
    server.save(path, &text.replace("+PONG", "+PONG anew"));
    server.wait_log("generation 2 is live");
    client.exchange(b"there\r\nPING\r\nDBSIZE\r\n", b"+OK\r\n+PONG anew\r\n:1\r\n");
    assert_eq!(ask(&cli, &server, "get k\n"), "\"v\"\n");
}
