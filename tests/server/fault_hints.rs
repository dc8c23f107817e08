//! Habits of Lua 5.4 that Luau does not have: each gets a hint that says what to write instead,
//! as a syntax error at reload or as a fault while running.

use crate::support::Server;
use crate::talk::{answering, reload_refused};

/// A script with `line` in it is refused at reload, names the line, and the log says one of
/// `instead`, which the line itself does not.
fn hint(line: &str, instead: &[&str]) {
    let server = Server::builder().script(&answering("one")).start();
    let script =
        format!("return function(msg)\n  local a, b = 6, 3\n  {line}\n  return msg\nend\n");
    reload_refused(&server, &script);
    server.wait_log("handler.lua:3");
    server.wait_log(line);
    hinted(&server, line, instead);
    server.tcp().exchange(b"x", b"one\n");
}

/// `line` fails while running, names itself, and the log says one of `instead`.
fn hint_while_running(line: &str, instead: &[&str]) {
    let script =
        format!("return function(msg)\n  local a, b = 6, 3\n  {line}\n  return msg\nend\n");
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("handler fault");
    server.wait_log("handler.lua:3");
    hinted(&server, line, instead);
}

fn hinted(server: &Server, line: &str, instead: &[&str]) {
    for text in instead {
        assert!(!line.contains(text), "{text:?} stands in the line itself");
    }
    crate::support::wait_until(&format!("a hint of {instead:?} for {line:?}"), || {
        let log = server.log_text();
        instead.iter().any(|text| log.contains(text)).then_some(())
    });
}

#[test]
fn bitwise_and() {
    hint("local c = a & b", &["bit32.band"]);
}

#[test]
fn bitwise_or() {
    hint("local c = a | b", &["bit32.bor"]);
}

#[test]
fn bitwise_xor() {
    hint("local c = a ~ b", &["bit32.bxor"]);
}

#[test]
fn bitwise_not() {
    hint("local c = ~a", &["bit32.bnot"]);
}

#[test]
fn shift_left() {
    hint("local c = 1 << 2", &["bit32.lshift"]);
}

#[test]
fn shift_right() {
    hint("local c = a >> b", &["bit32.rshift"]);
}

#[test]
fn goto_statement() {
    hint("goto done", &["continue", "while"]);
}

#[test]
fn goto_label() {
    hint("::again::", &["continue", "while"]);
}

#[test]
fn const_attribute() {
    hint("local x <const> = 1", &["const x = 1", "const x"]);
}

#[test]
fn close_attribute() {
    hint("local x <close> = a", &["pcall", "on_close"]);
}

#[test]
fn io_open() {
    hint_while_running("local f = io.open(\"notes.txt\")", &["asset", "require"]);
}

#[test]
fn io_write() {
    hint_while_running("io.write(\"hello\")", &["log.", "print"]);
}

#[test]
fn os_execute() {
    hint_while_running("os.execute(\"ls\")", &["machine", "sandbox", "no os.", "does not have"]);
}

#[test]
fn math_type() {
    hint_while_running("local kind = math.type(a)", &["math.floor", "% 1", "type(x)"]);
}

#[test]
fn load_of_text() {
    hint_while_running("local f = load(\"return 1\")", &["require"]);
}

#[test]
fn a_hint_stands_with_the_fault_and_not_elsewhere() {
    let server = Server::builder().script(&answering("one")).start();
    reload_refused(&server, "local x = \"a & b << c goto done\"\nlocal y = = 2\n");
    server.wait_log("handler.lua:2");
    server.assert_no_log("bit32");
    server.assert_no_log("continue");
}
