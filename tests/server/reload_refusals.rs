//! What must not go live: scripts that fail on trial, on a worker or in `on_load`. The running
//! generation stays, the log says why with file and line, and a fixed save goes live.

use crate::support::{Client, Server};
use crate::talk::{answering, ask, place_of, reload_refused};
use mlua::chunk::Compiler;

/// Saves `script` over a generation that answers `one`: it is refused, the log says each of
/// `says`, a client that was there keeps its answers, and a fixed save goes live.
fn refused(script: &str, says: &[&str]) -> Server {
    let server = Server::builder().script(&answering("one")).args(["--budget", "50ms"]).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    reload_refused(&server, script);
    for text in says {
        server.wait_log(text);
    }
    client.exchange(b"x", b"one\n");
    server.tcp().exchange(b"x", b"one\n");
    server.save("handler.lua", &answering("fixed"));
    server.wait_log_count(" is live", 2);
    client.exchange(b"x", b"fixed\n");
    server
}

/// Starts with `script`: exit status 1, nothing on standard output, each of `says` on standard
/// error.
fn no_start(script: &str, says: &[&str]) {
    let failed = Server::builder()
        .script(script)
        .args(["--budget", "50ms"])
        .listen("tcp://127.0.0.1:0")
        .start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert_eq!(failed.stdout, "");
    for text in says {
        assert!(failed.stderr.contains(text), "no {text:?} in:\n{}", failed.stderr);
    }
}

const SYNTAX_ERROR: &str = "local greeting = \"hello\"\nreturn functoin(msg) end\n";

#[test]
fn a_syntax_error_is_refused() {
    refused(SYNTAX_ERROR, &["handler.lua:2", "return functoin(msg) end"]);
}

#[test]
fn a_syntax_error_stops_the_start() {
    no_start(SYNTAX_ERROR, &["handler.lua:2", "return functoin(msg) end"]);
}

#[test]
fn a_syntax_error_in_a_module_names_the_module() {
    let server = Server::builder().script(&answering("one")).start();
    server.save("lib/words.lua", "local one = 1\nlocal = 2\n");
    reload_refused(&server, "return require(\"./lib/words\")\n");
    server.wait_log("words.lua:2");
    server.tcp().exchange(b"x", b"one\n");
}

#[test]
fn a_body_that_raises_is_refused() {
    refused("local limit = 1\nerror(\"no limit set\")\n", &["no limit set", "handler.lua:2"]);
}

#[test]
fn a_body_that_raises_stops_the_start() {
    no_start("error(\"no limit set\")\n", &["no limit set", "handler.lua:1"]);
}

#[test]
fn a_body_that_raises_a_table_is_refused() {
    refused("error({code = 7})\n", &["handler.lua"]);
}

const ENDLESS_BODY: &str = "local n = 0\nwhile true do n += 1 end\n";

#[test]
fn a_body_that_loops_for_ever_is_refused() {
    refused(ENDLESS_BODY, &["handler.lua:2", "budget"]);
}

#[test]
fn a_body_that_loops_for_ever_stops_the_start() {
    no_start(ENDLESS_BODY, &["handler.lua:2", "budget"]);
}

#[test]
fn a_module_that_loops_for_ever_is_refused() {
    let server = Server::builder().script(&answering("one")).args(["--budget", "50ms"]).start();
    server.save("lib/words.lua", "pcall(function() while true do end end)\nreturn {}\n");
    reload_refused(&server, "require(\"./lib/words\")\nreturn function() end\n");
    server.wait_log("words.lua:1");
    server.wait_log("budget");
    server.tcp().exchange(b"x", b"one\n");
}

#[test]
fn a_body_that_returns_a_number_is_refused() {
    refused("return 42\n", &["number", "function", "table"]);
}

#[test]
fn a_body_that_returns_a_number_stops_the_start() {
    no_start("return 42\n", &["number", "function", "table"]);
}

#[test]
fn a_body_that_returns_nothing_is_refused() {
    refused("local x = 1\n", &["function", "table"]);
}

#[test]
fn an_empty_script_is_refused() {
    refused("", &["function", "table"]);
}

#[test]
fn a_callback_of_the_wrong_type_is_refused() {
    refused("return {on_message = \"hello\"}\n", &["on_message", "string", "function"]);
}

#[test]
fn an_unknown_callback_names_the_nearest_right_one() {
    refused("return {on_mesage = function() end}\n", &["on_mesage", "on_message"]);
    refused("return {on_conect = function() end}\n", &["on_conect", "on_connect"]);
    refused("return {on_closed = function() end}\n", &["on_closed", "on_close"]);
}

#[test]
fn an_idle_timeout_of_the_wrong_type_is_refused() {
    refused(
        "return {idle_timeout = \"soon\", on_message = function() end}\n",
        &["idle_timeout", "string", "number"],
    );
}

const NOT_WHILE_LOADING: &str = "not while loading; use on_load";

#[test]
fn a_body_that_sleeps_is_refused() {
    let script = "sleep(0.01)\nreturn function() end\n";
    refused(script, &[NOT_WHILE_LOADING, "handler.lua:1"]);
}

#[test]
fn a_body_that_sleeps_stops_the_start() {
    no_start("sleep(0.01)\nreturn function() end\n", &[NOT_WHILE_LOADING, "handler.lua:1"]);
}

#[test]
fn a_module_that_sleeps_is_refused() {
    let server = Server::builder().script(&answering("one")).start();
    server.save("slow.lua", "sleep(0)\nreturn {}\n");
    reload_refused(&server, "require(\"./slow\")\nreturn function() end\n");
    server.wait_log(NOT_WHILE_LOADING);
    server.wait_log("slow.lua:1");
}

/// A trial sees an empty `server.state`, so only the worker finds this one out.
#[test]
fn a_body_that_sends_is_refused() {
    let server = Server::builder()
        .script("return function(msg, conn) server.state.conn = conn; return \"one\\n\" end\n")
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    let script = "\
local conn = server.state.conn
if conn then
  conn:send(\"from the body\\n\")
end
return function() return \"two\\n\" end
";
    reload_refused(&server, script);
    server.wait_log(NOT_WHILE_LOADING);
    server.wait_log(&place_of(script, "conn:send"));
    client.exchange(b"x", b"one\n");
}

#[test]
fn a_body_that_closes_a_connection_is_refused() {
    let server = Server::builder()
        .script("return function(msg, conn) server.state.conn = conn; return \"one\\n\" end\n")
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    reload_refused(
        &server,
        "if server.state.conn then server.state.conn:close() end\nreturn function() end\n",
    );
    server.wait_log(NOT_WHILE_LOADING);
    client.exchange(b"x", b"one\n");
}

#[test]
fn a_body_may_read_and_write_the_state() {
    let script = "\
server.state.bodies = (server.state.bodies or 0) + 1
return function() return server.state.bodies .. \"\\n\" end
";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"1\n");
    server.save("handler.lua", &format!("-- changed\n{script}"));
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"2\n");
}

#[test]
fn a_trial_logs_nothing_twice() {
    let script = "print(\"body runs\")\nlog.info(\"body logs\")\nreturn function() end\n";
    let server = Server::builder().script(script).start();
    server.save("handler.lua", &answering("two"));
    server.wait_log("generation 2 is live");
    assert_eq!(server.log_count("body runs"), 1, "{}", server.log_text());
    assert_eq!(server.log_count("body logs"), 1, "{}", server.log_text());
}

const FAILING_ON_LOAD: &str = "\
return {
  on_load = function()
    error(\"no database\")
  end,
  on_message = function() return \"two\\n\" end,
}
";

#[test]
fn an_on_load_that_fails_keeps_the_old_generation() {
    let server =
        refused(FAILING_ON_LOAD, &["no database", "on_load", &place_of(FAILING_ON_LOAD, "error")]);
    assert_eq!(server.log_count("reload failed"), 1, "{}", server.log_text());
}

#[test]
fn an_on_load_that_fails_stops_the_start() {
    no_start(FAILING_ON_LOAD, &["no database", "on_load", &place_of(FAILING_ON_LOAD, "error")]);
}

#[test]
fn an_on_load_may_sleep_while_the_old_generation_answers() {
    let one = "return function(msg) server.state.go = msg == \"go\"; return \"one\\n\" end\n";
    let server = Server::builder().script(one).start();
    let mut client = server.tcp();
    let two = "\
return {
  on_load = function()
    log.info(\"loading\")
    repeat sleep(0.01) until server.state.go
  end,
  on_message = function() return \"two\\n\" end,
}
";
    server.save("handler.lua", two);
    server.wait_log("loading");
    client.exchange(b"x", b"one\n");
    client.exchange(b"go", b"one\n");
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
}

/// Connections until both workers have one; each answers `worker generation`.
fn clients_of_both_workers(server: &Server) -> Vec<Client> {
    let mut seen = [false; 2];
    let mut clients = Vec::new();
    while seen != [true; 2] || clients.len() < 8 {
        assert!(clients.len() < 200, "200 connections, all on one worker");
        let mut client = server.tcp();
        let answer = ask(&mut client, "x");
        let worker: usize = answer.split(' ').next().unwrap().parse().unwrap();
        seen[worker - 1] = true;
        clients.push(client);
    }
    clients
}

const TWO_WORKERS: &str = "\
return {
  on_load = function()
    if server.worker == WORKER then
      error(\"this worker refuses\")
    end
  end,
  on_message = function()
    return server.worker .. \" \" .. server.generation .. \" WORD\\n\"
  end,
}
";

fn for_two_workers(failing: &str, word: &str) -> String {
    TWO_WORKERS.replace("WORKER", failing).replace("WORD", word)
}

fn fails_on_worker(failing: &str) {
    let server = Server::builder().script(&for_two_workers("0", "one")).args(["-w", "2"]).start();
    let mut clients = clients_of_both_workers(&server);
    reload_refused(&server, &for_two_workers(failing, "two"));
    server.wait_log("this worker refuses");
    for client in &mut clients {
        let answer = ask(client, "x");
        assert!(answer.ends_with(" 1 one"), "a worker has swapped: {answer:?}");
    }
    server.save("handler.lua", &for_two_workers("0", "three"));
    server.wait_log_count(" is live", 2);
    for client in &mut clients {
        let answer = ask(client, "x");
        assert!(answer.ends_with(" three"), "a worker has not swapped: {answer:?}");
    }
    assert_eq!(server.log_count("reload failed"), 1, "{}", server.log_text());
}

#[test]
fn an_on_load_that_fails_on_the_second_worker_only_swaps_none() {
    fails_on_worker("2");
}

#[test]
fn an_on_load_that_fails_on_the_first_worker_only_swaps_none() {
    fails_on_worker("1");
}

#[test]
fn an_on_load_that_fails_on_the_second_worker_only_stops_the_start() {
    let failed = Server::builder()
        .script(&for_two_workers("2", "one"))
        .args(["-w", "2"])
        .start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.stderr.contains("this worker refuses"), "{failed:?}");
}

#[test]
fn what_a_failed_on_load_did_to_the_state_is_not_undone() {
    let server = Server::builder()
        .script("return function() return tostring(server.state.n) .. \"\\n\" end\n")
        .start();
    reload_refused(
        &server,
        "return {on_load = function() server.state.n = 5; error(\"no\") end}\n",
    );
    server.tcp().exchange(b"x", b"5\n");
}

#[test]
fn a_failure_names_every_new_mistake_once() {
    let server = Server::builder().script(&answering("one")).start();
    reload_refused(&server, "error(\"first mistake\")\n");
    server.wait_log("first mistake");
    server.save("handler.lua", "error(\"second mistake\")\n");
    server.wait_log("second mistake");
    server.wait_log_count("reload failed, generation 1 stays live", 2);
    server.tcp().exchange(b"x", b"one\n");
}

#[test]
fn bytecode_is_refused_at_reload() {
    let bytecode = Compiler::new().compile("return function() return 'bytes' end").unwrap();
    let server = Server::builder().script(&answering("one")).start();
    std::fs::write(server.dir().join("handler.lua"), bytecode).unwrap();
    server.wait_log("reload failed, generation 1 stays live");
    server.wait_log("bytecode");
    server.tcp().exchange(b"x", b"one\n");
}

#[test]
fn bytecode_is_refused_at_start() {
    let bytecode = Compiler::new().compile("return function() return 'bytes' end").unwrap();
    let builder = Server::builder().args(["--script", "handler.lua"]).listen("tcp://127.0.0.1:0");
    std::fs::write(builder.dir().join("handler.lua"), bytecode).unwrap();
    let failed = builder.start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.stderr.contains("bytecode"), "{failed:?}");
}

#[test]
fn bytecode_is_refused_as_a_module() {
    let bytecode = Compiler::new().compile("return {}").unwrap();
    let server = Server::builder().script(&answering("one")).start();
    std::fs::write(server.dir().join("words.lua"), bytecode).unwrap();
    reload_refused(&server, "require(\"./words\")\nreturn function() end\n");
    server.wait_log("bytecode");
}
