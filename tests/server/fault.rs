//! What a person reads when a script fails: where, in whose words, for which connection and
//! message, in which generation; once, and not two hundred times. Hints for habits of another
//! Lua are in `fault_hints`.

use crate::support::{Client, Server};
use crate::talk::{answering, ask, place_of, reload, reload_refused};

const FAULTY: &str = "\
local LIMITS = {small = 10}

local function look_up(name)
  local limit = LIMITS[name]
  return limit.value -- HERE
end

local function check_message(msg)
  local value = look_up(msg)
  return value
end

return {
  on_message = function(msg, conn)
    if msg == \"fine\" then return msg end
    local checked = check_message(msg)
    return checked
  end,
}
";

/// The server, the connection that sent `message`, and the log once the fault is in it.
fn fault_for(message: &[u8]) -> (Server, Client, String) {
    let server = Server::builder().script(FAULTY).start();
    let mut client = server.tcp();
    client.exchange(b"fine", b"fine");
    client.send(message);
    server.wait_log("handler fault");
    client.exchange(b"fine", b"fine");
    // A later line: everything of the fault is there before it.
    reload(&server, &answering("two"), 2);
    let log = server.log_text();
    let start = log.find("handler fault").unwrap();
    let end = log.find("generation 2 is live").unwrap();
    (server, client, log[start..end].to_owned())
}

fn says(fault: &str, texts: &[&str]) {
    for text in texts {
        assert!(fault.contains(text), "no {text:?} in:\n{fault}");
    }
}

#[test]
fn a_fault_names_the_callback_and_the_error_in_its_first_line() {
    let (_server, _client, fault) = fault_for(b"large");
    let first = fault.lines().next().unwrap();
    says(first, &["on_message", "attempt to index nil"]);
}

#[test]
fn a_fault_shows_the_place_with_its_neighbours() {
    let (_server, _client, fault) = fault_for(b"large");
    let place = place_of(FAULTY, "HERE");
    says(&fault, &[&place, "return limit.value -- HERE", "local limit = LIMITS[name]"]);
}

#[test]
fn a_fault_names_the_connection() {
    let (_server, client, fault) = fault_for(b"large");
    says(&fault, &["conn ", &format!("tcp {}", client.local_addr())]);
}

#[test]
fn a_fault_shows_the_message_as_text_and_hex() {
    let (_server, _client, fault) = fault_for(b"large");
    says(&fault, &["large"]);
    let hex = fault.replace(' ', "").to_lowercase();
    says(&hex, &["6c61726765"]);
}

#[test]
fn a_fault_shows_a_binary_message_without_harm_to_the_terminal() {
    let (_server, _client, fault) = fault_for(b"\x1b[31m\xff\x00\x07");
    assert!(!fault.contains('\u{1b}') && !fault.contains('\0') && !fault.contains('\u{7}'));
    says(&fault.replace(' ', "").to_lowercase(), &["1b5b33316dff0007"]);
}

#[test]
fn a_fault_cuts_a_long_message() {
    let (_server, _client, fault) = fault_for(&"y".repeat(30_000).into_bytes());
    assert!(fault.len() < 10_000, "{} bytes of fault", fault.len());
    says(&fault, &["yyyy"]);
}

#[test]
fn a_fault_has_a_traceback_with_the_scripts_own_names() {
    let (_server, _client, fault) = fault_for(b"large");
    says(&fault, &["look_up", "check_message", "on_message"]);
    let (inner, outer) = (place_of(FAULTY, "HERE"), place_of(FAULTY, "look_up(msg)"));
    says(&fault, &[&inner, &outer, &place_of(FAULTY, "local checked")]);
    assert!(fault.rfind("look_up") < fault.rfind("check_message"), "{fault}");
}

#[test]
fn a_fault_has_nothing_of_the_machinery_in_it() {
    let (_server, _client, fault) = fault_for(b"large");
    for text in ["[C]", "[string", "mlua", "stack traceback:\n\n", "RuntimeError", "thread"] {
        assert!(!fault.contains(text), "{text:?} in:\n{fault}");
    }
}

#[test]
fn a_fault_names_the_generation() {
    let (_server, _client, fault) = fault_for(b"large");
    assert!(fault.contains("generation=1") || fault.contains("generation 1"), "{fault}");
    let server = Server::builder().script(&answering("one")).start();
    reload(&server, FAULTY, 2);
    server.tcp().send(b"large");
    server.wait_log("handler fault");
    server.wait_log("LIMITS[name]");
    let log = server.log_text();
    let fault = &log[log.find("handler fault").unwrap()..];
    assert!(fault.contains("generation=2") || fault.contains("generation 2"), "{fault}");
}

#[test]
fn a_fault_of_old_code_shows_the_old_source() {
    let server = Server::builder()
        .script(
            "return function(msg)
               log.info(\"waiting\")
               repeat sleep(0.01) until server.state.go
               error(\"old code fails\") -- the old line
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("waiting");
    let go = "return function()\n  server.state.go = true\n  return \"went\\n\"\n  -- the new line\nend\n";
    reload(&server, go, 2);
    assert_eq!(ask(&mut server.tcp(), "x"), "went");
    server.wait_log("old code fails");
    server.wait_log("-- the old line");
    server.assert_no_log("-- the new line");
}

#[test]
fn an_error_of_ones_own_shows_its_text_and_line() {
    let server = Server::builder()
        .script("return function(msg)\n  error(\"out of \" .. msg)\nend\n")
        .start();
    server.tcp().send(b"tea");
    assert!(server.wait_log("handler fault").contains("out of tea"));
    server.wait_log("handler.lua:2");
}

#[test]
fn an_error_that_is_a_table_is_shown() {
    for (value, text) in [
        ("{code = 7}", "table"),
        ("setmetatable({}, {__tostring = function() return \"told\" end})", "told"),
    ] {
        let server =
            Server::builder().script(&format!("return function() error({value}) end\n")).start();
        server.tcp().send(b"x");
        let fault = server.wait_log("handler fault");
        assert!(fault.contains(text), "{fault}");
    }
}

#[test]
fn an_error_of_nil_is_shown() {
    let server = Server::builder().script("return function() error() end\n").start();
    let mut client = server.tcp();
    client.send(b"x");
    assert!(server.wait_log("handler fault").contains("nil"));
}

#[test]
fn an_error_behind_a_sleep_has_its_place() {
    let server = Server::builder()
        .script("return function()\n  sleep(0.01)\n  error(\"later\")\nend\n")
        .start();
    server.tcp().send(b"x");
    assert!(server.wait_log("handler fault").contains("later"));
    server.wait_log("handler.lua:3");
}

#[test]
fn a_syntax_error_at_reload_shows_the_line_and_its_neighbours() {
    let server = Server::builder().script(&answering("one")).start();
    let script = "local a = 1\nlocal b = = 2\nlocal c = 3\nreturn function() end\n";
    reload_refused(&server, script);
    server.wait_log("handler.lua:2");
    server.wait_log("local b = = 2");
    server.wait_log("local c = 3");
    server.tcp().exchange(b"x", b"one\n");
}

#[test]
fn a_syntax_error_of_an_open_end_names_the_line_that_opened() {
    let server = Server::builder().script(&answering("one")).start();
    reload_refused(&server, "return function()\n  if true then\n    return \"x\"\nend\n");
    server.wait_log("handler.lua:");
    server.wait_log("end");
    server.tcp().exchange(b"x", b"one\n");
}

#[test]
fn repeats_are_limited_and_counted() {
    const REPEATS: usize = 300;
    let server = Server::builder()
        .script(
            "return {
               on_message = function(msg)
                 error(\"the same every time\")
               end,
               on_error = function() return \"failed\" end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    for _ in 0..REPEATS {
        client.exchange(b"x", b"failed");
    }
    // Whatever the words: a line that counts how often the fault came again.
    let counted = crate::support::wait_until("the repeats should be counted", || {
        client.exchange(b"x", b"failed");
        let log = server.log_text();
        let words = ["repeat", "more", "suppressed", "times"];
        log.lines()
            .find(|line| {
                let line = line.to_lowercase();
                words.iter().any(|word| line.contains(word))
                    && line.split(|c: char| !c.is_ascii_digit()).any(|number| {
                        number.parse::<usize>().is_ok_and(|number| (2..100_000).contains(&number))
                    })
                    && (line.contains("fault") || line.contains("same"))
            })
            .map(str::to_owned)
    });
    eprintln!("counted: {counted}");
    let shown = server.log_count("handler.lua:3");
    assert!(shown < REPEATS / 4, "{shown} of {REPEATS} faults were written out");
}

#[test]
fn another_fault_is_shown_though_one_repeats() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function(msg)
                 if msg == \"other\" then
                   error(\"another fault\")
                 end
                 error(\"the same every time\")
               end,
               on_error = function() return \"failed\" end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    for _ in 0..100 {
        client.exchange(b"x", b"failed");
    }
    client.exchange(b"other", b"failed");
    server.wait_log("another fault");
}

#[test]
fn only_errors_are_logged_where_that_was_asked_for() {
    let server = Server::builder()
        .script("return function() log.info(\"news\") log.error(\"trouble\") end\n")
        .args(["-q"])
        .start();
    server.expect_errors();
    server.tcp().send(b"x");
    server.wait_log("trouble");
    server.assert_no_log("news");
    server.assert_no_log("is live");
}
