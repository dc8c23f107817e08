//! The stock scripts through the socket, and the order in which a script is looked up.

use crate::support::{Client, SIGTERM, Server};
use std::fs;
use std::path::{Path, PathBuf};

/// The stock scripts that there are at least.
const STOCK: [&str; 7] =
    ["handler.lua", "upper.lua", "echo.lua", "reverse.lua", "log.lua", "reject.lua", "chat.lua"];

/// A handler that says where it came from.
fn tagged(tag: &str) -> String {
    format!("return function(msg) return \"{tag} \" .. msg end")
}

/// A server with a built-in script, from an empty folder.
fn built_in(name: &str) -> (Server, Client) {
    let server = Server::builder().args(["--script", name]).start();
    assert_eq!(fs::read_dir(server.dir()).unwrap().count(), 0, "not an empty folder");
    let client = server.tcp();
    (server, client)
}

#[test]
fn handler_and_upper_answer_in_upper_case() {
    for name in ["handler.lua", "upper.lua"] {
        let (server, mut client) = built_in(name);
        client.exchange("show 信息\n".as_bytes(), "SHOW 信息\n".as_bytes());
        client.exchange(b"a\xff\x00z", b"A\xff\x00Z");
        server.udp().exchange(b"", b"");
    }
}

#[test]
fn echo_gives_every_byte_back() {
    let (server, mut client) = built_in("echo.lua");
    let every: Vec<u8> = (0..=255).collect();
    client.exchange(&every, &every);
    server.udp().exchange(&every, &every);
    server.udp().exchange(b"", b"");
}

#[test]
fn reverse_turns_the_code_points_of_each_line_round() {
    let (server, mut client) = built_in("reverse.lua");
    for (message, reply) in [
        ("abc\n", "cba\n"),
        ("héllo\n", "olléh\n"),
        ("信息\r\n", "息信\n"),
        ("\n", "\n"),
        ("ab\ncd\n\n", "ba\ndc\n\n"),
        ("😀 x\n", "x 😀\n"),
    ] {
        client.exchange(message.as_bytes(), reply.as_bytes());
    }
    server.udp().exchange(b"ab", b"ba\n");
}

#[test]
fn reverse_turns_bytes_round_where_they_are_no_text() {
    let (_server, mut client) = built_in("reverse.lua");
    client.exchange(b"ab\xff\xfe\n", b"\xfe\xffba\n");
    client.exchange(b"\xc3(\n", b"(\xc3\n");
    client.exchange(b"\xff\x00\r\n", b"\x00\xff\n");
}

#[test]
fn log_writes_what_came_and_from_whom() {
    let (server, mut client) = built_in("log.lua");
    client.exchange("note 信息\n".as_bytes(), b"logged 12 bytes\n");
    let line = server.wait_log("note 信息");
    assert!(line.contains(" INFO "), "{line}");
    assert!(line.contains(&client.local_addr().to_string()), "no peer in {line}");
    assert!(line.contains("generation=1"), "no generation in {line}");

    client.exchange(b"esc \x1b[31m\n", b"logged 10 bytes\n");
    let line = server.wait_log("esc ");
    assert!(!line.contains('\x1b'), "a control byte reached the log: {line:?}");
}

#[test]
fn reject_takes_plain_lines_and_refuses_the_rest() {
    let (server, mut client) = built_in("reject.lua");
    client.exchange(b"hello\n", b"OK hello\n");
    client.exchange(b"bell\x07\n", b"ERR control byte\n");
    let line = server.wait_log("message rejected");
    assert!(line.contains("control byte"), "no reason in {line}");
    assert!(line.contains(&client.local_addr().to_string()), "no connection in {line}");
    assert!(line.contains("generation=1") && line.contains("hash="), "{line}");

    client.exchange(&[[b'x'; 81].as_slice(), b"\n"].concat(), b"ERR too long\n");
    client.exchange(b"\n", b"ERR empty\n");
    client.exchange(b"still open\n", b"OK still open\n");
    assert_eq!(server.wait_log_count("message rejected", 3).len(), 3);
}

#[test]
fn reject_judges_every_line_of_a_packet() {
    let (_server, mut client) = built_in("reject.lua");
    client.exchange(b"one\r\n\ntwo\n", b"OK one\nERR empty\nOK two\n");
}

#[test]
fn chat_tells_a_room_what_one_of_it_says() {
    let server = Server::builder().args(["--script", "chat.lua", "--workers", "2"]).start();
    let mut ann = server.tcp();
    ann.expect(b"* plain text, /name NAME or /join ROOM\n* you are guest1, in lobby\n");
    let mut bob = server.tcp();
    bob.expect(b"* plain text, /name NAME or /join ROOM\n* you are guest2, in lobby\n");
    ann.expect(b"* guest2 is here\n");

    ann.exchange(b"/name ann\n", b"* you are ann\n");
    bob.expect(b"* guest1 is now ann\n");
    ann.send(b"hello\n");
    bob.exchange(b"hi\n", b"ann: hello\n");
    ann.expect(b"guest2: hi\n");

    bob.exchange(b"/join den\n", b"* you are guest2, in den\n");
    ann.expect(b"* guest2 has left\n");
    ann.exchange(b"/join a/b\n", b"* plain text, /name NAME or /join ROOM\n");
    ann.exchange(b"/join den\n", b"* you are ann, in den\n");
    bob.expect(b"* ann is here\n");
    drop(ann);
    bob.expect(b"* ann has left\n");
}

#[test]
fn chat_refuses_what_could_fake_another_line() {
    let (server, mut client) = built_in("chat.lua");
    client.expect(b"* plain text, /name NAME or /join ROOM\n* you are guest1, in lobby\n");
    client.exchange(b"\x1b[2J\n", b"* plain text, /name NAME or /join ROOM\n");
    assert!(server.wait_log("message rejected").contains("bad line"));
}

#[test]
fn every_stock_script_starts_by_its_path_and_by_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lua"))
        .collect();
    let names: Vec<&str> =
        files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    for stock in STOCK {
        assert!(names.contains(&stock), "no {stock} in {names:?}");
    }
    for (path, name) in files.iter().zip(names) {
        let by_path = start_line(path.to_str().unwrap());
        let by_name = start_line(name);
        assert_eq!(field(&by_path, "hash="), field(&by_name, "hash="), "{name}: two texts");
    }
}

#[test]
fn a_script_is_looked_up_as_given_then_under_scripts_then_built_in() {
    let server = Server::builder()
        .file("upper.lua", &tagged("given"))
        .file("scripts/upper.lua", &tagged("scripts"))
        .args(["--script", "upper.lua"])
        .start();
    server.tcp().exchange(b"x", b"given x");

    let server = Server::builder()
        .file("scripts/upper.lua", &tagged("scripts"))
        .args(["--script", "upper.lua"])
        .start();
    server.tcp().exchange(b"x", b"scripts x");

    let server = Server::builder().args(["--script", "upper.lua"]).start();
    server.tcp().exchange(b"x", b"X");
}

#[test]
fn a_script_under_scripts_reloads_where_it_was_found() {
    let server = Server::builder()
        .file("scripts/upper.lua", &tagged("one"))
        .args(["--script", "upper.lua"])
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one x");
    server.save("scripts/upper.lua", &tagged("two"));
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two x");
}

#[test]
fn the_default_is_scripts_handler() {
    let server = Server::builder().file("scripts/handler.lua", &tagged("mine")).start();
    server.tcp().exchange(b"x", b"mine x");
}

#[test]
fn without_any_script_the_default_goes_live_when_it_appears() {
    for folder_exists in [true, false] {
        let builder = Server::builder();
        let builder = if folder_exists { builder.file("scripts/README", "") } else { builder };
        let server = builder.start();
        let mut client = server.tcp();
        client.exchange(b"before", b"BEFORE");
        server.save("scripts/handler.lua", &tagged("mine"));
        server.wait_log("generation 2 is live");
        client.exchange(b"after", b"mine after");
        server.save("scripts/handler.lua", &tagged("edited"));
        server.wait_log("generation 3 is live");
        client.exchange(b"again", b"edited again");
    }
}

#[test]
fn a_miss_lists_every_place() {
    let failed = Server::builder().args(["--script", "uper.lua"]).start_expecting_failure();
    failed.assert_one_line(1, &["uper.lua", "scripts/uper.lua", "upper.lua"]);
}

#[test]
fn the_script_can_come_from_the_environment() {
    let server = Server::builder().env("SCRIPTSOCK_SCRIPT", "reverse.lua").start();
    server.tcp().exchange(b"abc\n", b"cba\n");
}

/// The log line of the first generation with `script`.
fn start_line(script: &str) -> String {
    let mut server = Server::builder().args(["--script", script]).start();
    let line = server.wait_log("generation 1 is live");
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0, "{script}");
    line
}

fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}")).1;
    value.split_whitespace().next().unwrap()
}
