//! Faults beyond `on_message`: in each callback, in timers and tasks, with values that are no
//! text; names of callbacks that do not exist; repeats. The way to the place is in
//! `faults_traces`.

use crate::support::Server;
use crate::talk::{place_of, reload};
use std::time::Duration;

#[test]
fn an_unknown_callback_names_the_nearest_right_one() {
    let cases = [
        ("on_mesage", "on_message"),
        ("on_sesion", "on_session"),
        ("on_conect", "on_connect"),
        ("on_eo", "on_eof"),
        ("on_idel", "on_idle"),
        ("on_reloda", "on_reload"),
        ("on_eror", "on_error"),
        ("on_colse", "on_close"),
        ("on_laod", "on_load"),
        ("on_unlaod", "on_unload"),
    ];
    for (written, meant) in cases {
        let failed = Server::builder()
            .script(&format!("return {{\n  {written} = function() end,\n}}\n"))
            .listen("tcp://127.0.0.1:0")
            .start_expecting_failure();
        assert_eq!(failed.status, 1, "{written}: {failed:?}");
        for name in [written, meant] {
            assert!(failed.stderr.contains(name), "{written}: no {name:?} in {failed:?}");
        }
    }
}

#[test]
fn a_callback_of_a_wrong_type_is_named() {
    for name in ["on_session", "on_message", "on_idle", "on_load"] {
        for value in ["7", "\"text\"", "{}", "true"] {
            let failed = Server::builder()
                .script(&format!("return {{{name} = {value}}}\n"))
                .listen("tcp://127.0.0.1:0")
                .start_expecting_failure();
            assert_eq!(failed.status, 1, "{name} = {value}: {failed:?}");
            assert!(failed.stderr.contains(name), "{name} = {value}: {failed:?}");
        }
    }
}

#[test]
fn a_handler_is_a_conversation_or_takes_messages_and_not_both() {
    let failed = Server::builder()
        .script("return {on_session = function() end, on_message = function() end}\n")
        .listen("tcp://127.0.0.1:0")
        .start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    for name in ["on_session", "on_message"] {
        assert!(failed.stderr.contains(name), "{failed:?}");
    }
}

/// Each callback of a connection, and what else the handler needs for it to run.
const CALLBACKS: [(&str, &str); 7] = [
    ("on_connect", ""),
    ("on_message", ""),
    ("on_session", ""),
    ("on_eof", ""),
    ("on_idle", "idle_timeout = 0.05,"),
    ("on_close", ""),
    ("on_reload", ""),
];

/// For each callback that the body fails in: the fault's first line names it and says `says`,
/// and the server goes on.
fn fails_in_each(body: &str, says: &str, callbacks: &[(&str, &str)]) {
    for (name, more) in callbacks {
        let script =
            format!("return {{\n  {more}\n  {name} = function()\n    {body}\n  end,\n}}\n");
        let server = Server::builder().script(&script).start();
        let mut client = server.tcp();
        // A connection that on_connect refuses may be gone already.
        let _ = client.try_send(b"x");
        match *name {
            "on_eof" | "on_close" => client.half_close(),
            "on_reload" => server.save("handler.lua", &format!("-- again\n{script}")),
            _ => {}
        }
        let fault = server.wait_log("handler fault");
        assert!(fault.contains(&format!("{name} failed")), "{name}: {fault}");
        assert!(fault.contains(says), "{name}: no {says:?} in {fault}");
        let number = if *name == "on_reload" { 5 } else { 4 };
        let place = format!("handler.lua:{number}");
        if body.starts_with("error") {
            assert!(fault.contains(&place), "{name}: no {place} in {fault}");
        }
        drop(client);
        assert!(server.is_running());
        drop(server.tcp());
    }
}

#[test]
fn an_error_in_each_callback_is_told_with_its_name_and_place() {
    fails_in_each("error(\"boom\")", "boom", &CALLBACKS);
}

#[test]
fn an_error_that_is_a_table_or_nil_is_told_in_each_callback() {
    fails_in_each("error({code = 7})", "table", &CALLBACKS);
    fails_in_each("error(nil)", "nil", &CALLBACKS);
}

#[test]
fn a_number_returned_by_a_callback_is_a_fault_that_names_it() {
    fails_in_each("return 7", "number", &CALLBACKS[..2]);
    fails_in_each("return 7", "number", &CALLBACKS[3..5]);
    fails_in_each("return 7", "number", &CALLBACKS[6..]);
}

#[test]
fn an_array_with_a_number_is_a_fault_that_names_the_callback() {
    fails_in_each("return {\"a\", 7}", "number", &CALLBACKS[..2]);
}

#[test]
fn an_error_in_a_conversation_closes_it_as_error() {
    let server = Server::builder()
        .script(
            r#"return {
              on_session = function(conn)
                conn:send("hello ")
                error("boom after " .. conn:read())
              end,
              on_error = function(err, conn) return "sorry" end,
              on_close = function(conn, reason) log.info(`gone {reason}`) end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.expect(b"hello ");
    client.send(b"x");
    assert_eq!(client.read_to_end(), b"sorry");
    assert!(server.wait_log("handler fault").contains("on_session failed"));
    server.wait_log("gone error");
}

#[track_caller]
pub fn says(fault: &str, texts: &[&str]) {
    for text in texts {
        assert!(fault.contains(text), "no {text:?} in:\n{fault}");
    }
}

#[test]
fn error_values_that_are_no_text_are_told_in_timers_and_tasks() {
    for (value, text) in [
        ("{code = 7}", "table"),
        ("nil", "nil"),
        ("print", "function"),
        ("setmetatable({}, {__tostring = function() return \"told\" end})", "told"),
        ("setmetatable({}, {__tostring = function() error(\"no\") end})", ""),
    ] {
        for (call, name) in [("spawn(f)", "spawn failed"), ("after(0.01, f)", "after failed")] {
            let script = format!(
                "local function f() error({value}) end
                 return function(msg) if msg == \"x\" then {call} end return msg end\n"
            );
            let server = Server::builder().script(&script).start();
            let mut client = server.tcp();
            client.exchange(b"x", b"x");
            let fault = server.wait_log("handler fault");
            assert!(fault.contains(name) && fault.contains(text), "error({value}): {fault}");
            client.exchange(b"goes on", b"goes on");
        }
    }
}

#[test]
fn on_error_is_told_of_timers_without_a_connection() {
    let server = Server::builder()
        .script(
            r"return {
              on_load = function() after(0.01, function() error({}) end) end,
              on_error = function(err, conn) log.info(`told: {type(err)} {conn}`) end,
            }",
        )
        .start();
    server.wait_log("told: string nil");
    assert!(server.wait_log("handler fault").contains("after failed"));
}

#[test]
fn on_error_is_told_of_tasks() {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg) spawn(function() error("boom") end) return msg end,
              on_error = function(err) log.info(`told: {err}`) error("and again") end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    server.wait_log("told: handler.lua:2: boom");
    server.wait_log("and again");
    client.exchange(b"goes on", b"goes on");
}

#[test]
fn a_timer_of_an_older_generation_fails_in_its_own_source() {
    let old = "return {
  on_message = function(msg, conn)
    spawn(function()
      repeat sleep(0.01) until server.state.go
      error(\"of old\") -- OLD LINE
    end)
    return msg
  end,
}
";
    let server = Server::builder().script(old).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    let new = "return function(msg) server.state.go = true return msg end\n";
    reload(&server, new, 2);
    client.exchange(b"x", b"x");
    let fault = server.wait_log("handler fault");
    says(&fault, &["spawn failed", "of old", &place_of(old, "OLD LINE"), "generation=1"]);
    server.wait_log("-- OLD LINE");
}

#[test]
fn repeated_faults_of_tasks_are_limited_and_counted() {
    const REPEATS: usize = 200;
    let script = "return function(msg)
  spawn(function()
    error(\"the same every time\")
  end)
  return msg
end
";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    for _ in 0..REPEATS {
        client.exchange(b"x", b"x");
    }
    let counted = server.wait_log("handler fault repeated");
    says(&counted, &["spawn failed", "handler.lua:3"]);
    let mut words = counted.split_whitespace();
    let count: usize = words.find_map(|word| word.parse().ok()).unwrap();
    assert!((REPEATS / 4..REPEATS).contains(&count), "{counted}");
    let shown = server.log_count("spawn failed");
    assert!(shown < REPEATS / 4, "{shown} of {REPEATS} faults were written out");
}

#[test]
fn an_every_that_fails_each_time_does_not_drown_the_log() {
    let server = Server::builder()
        .script(
            "return {
               on_load = function() every(0.001, function() error(\"each time\") end) end,
               on_message = function(msg) return msg end,
             }\n",
        )
        .start();
    assert!(server.wait_log("handler fault").contains("every failed"));
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    client.expect_silence(Duration::from_secs(1));
    let shown = server.log_count("each time");
    assert!(shown < 20, "{shown} lines about it in a second");
    client.exchange(b"goes on", b"goes on");
}
