//! Every function of the API called in wrong ways: an error that names the function, what it
//! expects and what it got, at the line of the call.

use crate::support::Server;
use crate::table::{expect_errors, script};

/// What a call that takes a string gets instead, and how that is told.
const NO_STRINGS: [(&str, &str); 6] = [
    ("", "nil"),
    ("nil", "nil"),
    ("7", "number"),
    ("true", "boolean"),
    ("{}", "table"),
    ("print", "function"),
];

#[test]
fn what_takes_a_string_takes_nothing_else() {
    let calls = [
        "json.decode",
        "hex.encode",
        "hex.decode",
        "hex.dump",
        "base64.encode",
        "base64.decode",
        "hash.sha256",
        "hash.sha1",
        "hash.md5",
        "hash.crc32",
        "hash.crc16",
    ];
    let rows: Vec<(String, String)> = calls
        .iter()
        .flat_map(|call| {
            let row = |&(value, kind): &(&str, &str)| {
                (format!("{call}({value})"), format!("{call} expects a string, got {kind}"))
            };
            NO_STRINGS.iter().map(row).collect::<Vec<_>>()
        })
        .collect();
    let rows: Vec<_> = rows.iter().map(|(call, text)| (call.as_str(), text.as_str())).collect();
    expect_errors(&rows);
}

#[test]
fn paths_are_strings() {
    expect_errors(&[
        ("asset()", "asset expects a path as a string, got nil"),
        ("asset({})", "asset expects a path as a string, got table"),
        ("require(7)", "require expects a path as a string, got number"),
    ]);
}

#[test]
fn names_of_hashes_are_checked() {
    let names = "hash.hmac expects \"sha256\", \"sha1\" or \"md5\", got";
    let variants = "hash.crc16 expects \"modbus\", \"ccitt\", \"xmodem\" or \"arc\", got";
    expect_errors(&[
        ("hash.hmac()", &format!("{names} nil")),
        ("hash.hmac('sha512', 'k', 'd')", &format!("{names} \"sha512\"")),
        ("hash.hmac(string.rep('x', 1e6), 'k', 'd')", &format!("{names} \"{}\"", "x".repeat(32))),
        ("hash.hmac('md5')", "hash.hmac expects a string as its key, got nil"),
        ("hash.hmac('md5', 'k')", "hash.hmac expects a string, got nil"),
        ("hash.crc16('x', 'y')", &format!("{variants} \"y\"")),
        ("hash.crc16('x', 1)", &format!("{variants} number")),
    ]);
}

#[test]
fn counts_are_whole_and_bounded() {
    let text = |got| format!("random.bytes expects a whole number from 0 to 1048576, got {got}");
    expect_errors(&[
        ("random.bytes()", &text("nil")),
        ("random.bytes('8')", &text("string")),
        ("random.bytes(-1)", &text("-1")),
        ("random.bytes(1.5)", &text("1.5")),
        ("random.bytes(1048577)", &text("1048577")),
        ("random.bytes(0/0)", &text("nan")),
        ("random.bytes(math.huge)", &text("inf")),
        ("random.bytes(-math.huge)", &text("-inf")),
        ("random.bytes(1e308)", &text("1e+308")),
    ]);
}

#[test]
fn what_json_cannot_say_is_named_with_its_place() {
    let keys = "json.encode: a table must have either the keys 1 to n or strings as keys";
    expect_errors(&[
        ("json.encode()", "json.encode expects a value (null is json.null), got nil"),
        ("json.encode(print)", "json.encode: a function cannot be said in JSON"),
        (
            "json.encode({a = {1, print}})",
            "json.encode: a function cannot be said in JSON, at a[2]",
        ),
        ("json.encode(0/0)", "json.encode: nan cannot be said in JSON"),
        (
            "json.encode({-math.huge})",
            "json.encode: an infinite number cannot be said in JSON, at [1]",
        ),
        ("json.encode({1, 2, x = 3})", keys),
        ("json.encode({[3] = 1})", keys),
        ("json.encode('\\xff')", "json.encode: the string \"\\xff\" is no valid UTF-8 at byte 1"),
        ("json.encode(_G)", "json.encode: a table holds itself, at _G"),
        ("json.encode(coroutine.create(print))", "json.encode: a thread cannot be said in JSON"),
        ("json.encode(buffer.create(1))", "json.encode: a buffer cannot be said in JSON"),
        ("json.encode(vector.one)", "json.encode: a vector cannot be said in JSON"),
    ]);
}

#[test]
fn what_debug_tells_is_checked() {
    let options = "debug.info expects a string of the options \"s\", \"l\", \"n\" and \"a\", got";
    let level = "debug.info expects a whole number, 0 or more, as its level, got number";
    expect_errors(&[
        ("debug.info()", "debug.info expects a function, a level or a thread, got nil"),
        ("debug.info('x', 's')", "debug.info expects a function, a level or a thread, got string"),
        ("debug.info(1)", &format!("{options} nil")),
        ("debug.info(1, 'f')", &format!("{options} string")),
        ("debug.info(print, 'sf')", &format!("{options} string")),
        ("debug.info(-1, 's')", level),
        ("debug.info(0/0, 's')", level),
        ("debug.info(1.5, 's')", level),
        (
            "debug.info(coroutine.create(print), 's')",
            "debug.info expects a whole number, 0 or more, as its level, got string",
        ),
        ("debug.info(coroutine.create(print), 1, 'f')", &format!("{options} string")),
    ]);
}

/// Such an error is a fault like any other where nobody catches it.
#[test]
fn an_uncaught_misuse_shows_the_line_of_the_call() {
    let text =
        script(&["hex.encode(nil)"]).replace("shown(pcall(rows[tonumber(msg)]))", "rows[1]()");
    let server = Server::builder().script(&text).start();
    server.tcp().send(b"x");
    server.wait_log("on_message failed: handler.lua:2: hex.encode expects a string, got nil");
}
