//! The globals of a script: `server`, `log`, `print`, what is not built yet. `require` is in
//! `handler_require`.

use crate::support::Server;
use crate::talk::ask;
use std::time::SystemTime;

fn start(body: &str) -> Server {
    Server::builder().script(&format!("return function(msg, conn)\n  {body}\nend\n")).start()
}

/// Starts a handler that runs `statement` once a message; gives the first log line with `text`.
fn logged(statement: &str, text: &str) -> String {
    let server = start(statement);
    let mut client = server.tcp();
    client.send(b"x");
    server.expect_errors();
    let line = server.wait_log(text);
    server.assert_no_log("handler fault");
    line
}

#[test]
fn server_generation_is_the_number_in_the_log() {
    let server = start("return server.generation .. \"\\n\"");
    assert_eq!(ask(&mut server.tcp(), "x"), "1");
    server.wait_log("generation 1 is live");
}

#[test]
fn server_worker_counts_from_one() {
    let server = start("return server.worker .. \"\\n\"");
    assert_eq!(ask(&mut server.tcp(), "x"), "1");
}

#[test]
fn server_now_is_the_wall_clock() {
    let server = start("return string.format(\"%.6f\\n\", server.now())");
    let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let there: f64 = ask(&mut server.tcp(), "x").parse().unwrap();
    assert!((there - here.as_secs_f64()).abs() < 10.0, "{there} here {here:?}");
}

#[test]
fn server_now_has_a_fraction_and_goes_on() {
    let server = start(
        "local before = server.now()
         sleep(0.05)
         local passed = server.now() - before
         return `{passed > 0.04 and passed < 5} {before ~= math.floor(before)}\\n`",
    );
    assert_eq!(ask(&mut server.tcp(), "x"), "true true");
}

#[test]
fn server_stop_ends_the_program_in_order() {
    let mut server = Server::builder()
        .script(
            "return {
               on_message = function() server.stop(); return \"stopping\" end,
               on_close = function(conn, reason) log.info(`gone: {reason}`) end,
               on_unload = function() log.info(\"unloads\") end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    assert_eq!(client.read_to_end(), b"stopping");
    assert_eq!(server.wait_exit(), 0);
    server.wait_log("gone: shutdown");
    server.wait_log("unloads");
    server.wait_log("stopped in order");
}

#[test]
fn server_state_is_one_of_all_connections_of_a_worker() {
    let server = start("server.state.n = (server.state.n or 0) + 1 return `{server.state.n}\\n`");
    assert_eq!(ask(&mut server.tcp(), "x"), "1");
    assert_eq!(ask(&mut server.tcp(), "x"), "2");
    server.udp().exchange(b"x", b"3\n");
}

#[test]
fn server_state_with_several_workers_gets_a_warning() {
    let script = "return function() server.state.n = 1 return \"x\\n\" end\n";
    let server = Server::builder().script(script).args(["-w", "2"]).start();
    assert_eq!(ask(&mut server.tcp(), "x"), "x");
    let line = server.wait_log("server.state");
    assert!(line.contains(" WARN "), "{line}");
}

#[test]
fn print_joins_its_arguments_at_info() {
    let line = logged("print(\"alpha\", 7, nil, true)", "alpha");
    assert!(line.contains(" INFO "), "{line}");
    let joined = ["alpha\t7\tnil\ttrue", "alpha\\t7\\tnil\\ttrue"];
    assert!(joined.iter().any(|text| line.contains(text)), "{line}");
    assert!(line.contains("generation=1") && line.contains("hash="), "{line}");
}

#[test]
fn print_takes_what_tostring_gives() {
    let line = logged(
        "print(setmetatable({}, {__tostring = function() return \"a point\" end}))",
        "a point",
    );
    assert!(line.contains(" INFO "), "{line}");
}

#[test]
fn log_levels_are_named() {
    for (level, name) in [("info", " INFO "), ("warn", " WARN "), ("error", " ERROR ")] {
        let line = logged(&format!("log.{level}(\"from the script\")"), "from the script");
        assert!(line.contains(name), "{line}");
        assert!(line.contains("generation=1") && line.contains("hash="), "{line}");
    }
}

#[test]
fn log_debug_is_for_those_who_ask() {
    let script = "return function(msg) log.debug(\"detail\") log.info(\"news\") end\n";
    let server = Server::builder().script(script).start();
    server.tcp().send(b"x");
    server.wait_log("news");
    server.assert_no_log("detail");
    let server = Server::builder().script(script).args(["-v"]).start();
    server.tcp().send(b"x");
    assert!(server.wait_log("detail").contains(" DEBUG "));
}

#[test]
fn log_takes_fields() {
    let line = logged("log.info(\"stored\", {count = 3, key = \"a b\", done = true})", "stored");
    assert!(line.contains("count=3"), "{line}");
    assert!(line.contains("key=\"a b\""), "{line}");
    assert!(line.contains("done=true"), "{line}");
}

#[test]
fn log_fields_are_quoted_and_escaped_once() {
    let line = logged(r#"log.info("stored", {t = "one\ntwo \"2\" \\ \0"})"#, "stored");
    assert!(line.contains(r#" t="one\ntwo \"2\" \\ \x00" "#), "{line}");
}

#[test]
fn the_log_shows_control_bytes_escaped_and_text_as_it_is() {
    let line = logged("log.info(\"信息 \\27[31mred\\0 end\")", "信息");
    assert!(line.contains("end"), "{line}");
    assert!(!line.contains('\u{1b}') && !line.contains('\0'), "{line:?}");
}

#[test]
fn a_script_cannot_forge_a_log_line() {
    let server = start("log.info(\"first\\ngeneration 9 is live\") return \"x\\n\"");
    assert_eq!(ask(&mut server.tcp(), "x"), "x");
    let line = server.wait_log("first");
    assert!(line.contains("generation 9 is live"), "{line}");
}
