//! The way to the place of a fault: through timers, tasks, `pcall`, coroutines and modules it
//! names the right file and line.

use crate::faults_tasks::says;
use crate::support::{Client, Server};
use crate::talk::reload;

/// A handler that runs `call` at a message, and answers others with themselves.
fn started_with(call: &str) -> (Server, Client, String) {
    let script = format!(
        "local deep = require(\"./lib/deep\")
local function work() -- WORK
  deep.fail() -- CALL
end
return function(msg, conn)
  if msg ~= \"x\" then return msg end
  {call}
end
"
    );
    let server = Server::builder().script(&script).file("lib/deep.lua", DEEP).start();
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("handler fault");
    client.exchange(b"goes on", b"goes on");
    reload(&server, &format!("-- a later line\n{script}"), 2);
    let log = server.log_text();
    let start = log.find("handler fault").unwrap();
    let end = log.find("generation 2 is live").unwrap();
    (server, client, log[start..end].to_owned())
}

const DEEP: &str = "\
local deep = {}
local function inner()
  error(\"deep trouble\") -- HERE
end
function deep.fail()
  inner() -- BETWEEN
end
function deep.fail_waiting()
  sleep(0.01)
  inner()
end
return deep
";

#[test]
fn errors_in_timers_and_tasks_name_what_failed_and_the_way_there() {
    for (call, name) in [
        ("spawn(work)", "spawn failed"),
        ("after(0.01, work)", "after failed"),
        ("every(0.01, work)", "every failed"),
    ] {
        let (_server, _client, fault) = started_with(call);
        says(fault.lines().next().unwrap(), &[name, "lib/deep.lua:3", "deep trouble"]);
        says(&fault, &["error(\"deep trouble\") -- HERE", "inner", "fail", "work"]);
        says(&fault, &["lib/deep.lua:6", "handler.lua:3", "generation=1"]);
    }
}

#[test]
fn an_error_behind_a_wait_in_a_task_names_its_place() {
    let (_server, _client, fault) = started_with("spawn(deep.fail_waiting)");
    says(fault.lines().next().unwrap(), &["spawn failed", "lib/deep.lua:3", "deep trouble"]);
    says(&fault, &["lib/deep.lua:10", "fail_waiting"]);
}

#[test]
fn an_error_passed_on_through_pcall_names_its_first_place() {
    for call in [
        "local ok, err = pcall(work) error(err, 0)",
        "local ok, err = pcall(pcall, work) local _, e = pcall(work) error(e, 0)",
        "local ok, err = xpcall(work, function(e) return e end) error(err, 0)",
        "spawn(function() local ok, err = pcall(deep.fail_waiting) error(err, 0) end)",
    ] {
        let (_server, _client, fault) = started_with(call);
        says(fault.lines().next().unwrap(), &["lib/deep.lua:3", "deep trouble"]);
        says(&fault, &["error(\"deep trouble\") -- HERE"]);
    }
}

#[test]
fn an_error_in_a_coroutine_names_its_first_place() {
    for call in [
        "coroutine.wrap(work)()",
        "local co = coroutine.create(work) local _, e = coroutine.resume(co) error(e, 0)",
        "after(0.01, function() coroutine.wrap(function() coroutine.wrap(work)() end)() end)",
    ] {
        let (_server, _client, fault) = started_with(call);
        says(fault.lines().next().unwrap(), &["lib/deep.lua:3", "deep trouble"]);
        says(&fault, &["error(\"deep trouble\") -- HERE"]);
    }
}

#[test]
fn a_traceback_of_the_scripts_own_names_files_and_lines() {
    let (_server, _client, fault) =
        started_with("local _, trace = xpcall(work, debug.traceback) error(trace, 0)");
    says(&fault, &["lib/deep.lua:3", "lib/deep.lua:6", "handler.lua:3"]);
}

/// The first fault of a handler that runs `call` at a message, with `lib/bad.lua` beside it.
fn fault_of(call: &str) -> String {
    let script = format!(
        "local function work()\n  {call}\nend\n\
         return function(msg)\n  if msg ~= \"x\" then return msg end\n  work()\nend\n"
    );
    let server = Server::builder().script(&script).file("lib/bad.lua", BAD).start();
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("handler.lua:6");
    client.exchange(b"goes on", b"goes on");
    server.log_text()
}

const BAD: &str = "\
local function inner()
  error(\"bad module\")
end
inner()
";

#[test]
fn the_body_of_a_module_is_in_the_traceback() {
    let fault = fault_of("require(\"./lib/bad\")");
    says(&fault, &["lib/bad.lua:2: bad module", "lib/bad.lua:2 in inner", "lib/bad.lua:4"]);
    says(&fault, &["handler.lua:2 in work", "handler.lua:6"]);
}

#[test]
fn a_coroutine_of_the_scripts_own_is_in_the_traceback() {
    for call in [
        "local function inner() error(\"in it\") end; coroutine.wrap(function() inner() end)()",
        "local function inner() error(\"in it\") end; \
         local co = coroutine.create(function() inner() end); \
         local ok, why = coroutine.resume(co); error(why, 0)",
        "local function inner() error(\"in it\") end; coroutine.wrap(function() \
         coroutine.wrap(function() inner() end)() end)()",
    ] {
        let fault = fault_of(call);
        says(&fault, &["handler.lua:2: in it", "handler.lua:2 in inner"]);
        says(&fault, &["handler.lua:2 in work", "handler.lua:6"]);
    }
}

#[test]
fn an_error_that_was_caught_lends_its_way_to_no_other() {
    let fault = fault_of("pcall(require, \"./lib/bad\"); error(\"another\")");
    says(&fault, &["handler.lua:2: another", "handler.lua:2 in work"]);
    assert!(!fault.contains("bad.lua"), "{fault}");
}
