//! Handlers that take memory without end: the call fails at the limit of the VM, not the process
//! and not the worker; what can be collected is, and where that is not enough the VM is rebuilt
//! with empty state.

use crate::crowd::Crowd;
use crate::support::{Client, Server};
use crate::talk::{answering, ask, place_of, reload, reload_refused};

const SCRIPT: &str = "\
return {
  on_message = function(msg)
    if msg == \"marker\" then
      return tostring(server.state.after)
    end
    if msg == \"remember\" then
      server.state.memory = \"kept\"
    end
    if msg == \"memory\" then
      return tostring(server.state.memory)
    end
    if msg ~= \"run\" then
      return msg
    end
    CASE -- HERE
    server.state.after = true
    return \"went on\"
  end,
  on_error = function()
    return \"ended\"
  end,
}
";

/// A budget that no case reaches before its memory limit.
const LIMITS: [&str; 4] = ["--memory", "64MiB", "--budget", "20s"];

fn start(code: &str) -> (Server, String) {
    let script = SCRIPT.replace("CASE", code);
    (Server::builder().script(&script).args(LIMITS).start(), script)
}

/// Runs a case whose memory is garbage once the call has ended: the state stays.
pub fn ends_at_the_limit(code: &str) {
    let (server, script) = start(code);
    let crowd = Crowd::gather(&server);
    let mut client = server.tcp();
    client.exchange(b"remember", b"remember");
    client.exchange(b"run", b"ended");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_message") && fault.contains("memory"), "{fault}");
    server.wait_log(&place_of(&script, "HERE"));
    client.exchange(b"marker", b"nil");
    client.exchange(b"memory", b"kept");
    for _ in 0..3 {
        client.exchange(b"run", b"ended");
        client.exchange(b"still here", b"still here");
    }
    client.exchange(b"marker", b"nil");
    client.exchange(b"memory", b"kept");
    crowd.dismiss(std::thread::current().name().unwrap_or("memory"));
    let resident = server.memory_kib();
    assert!(resident < 400 * 1024, "{resident} KiB resident under a limit of 64 MiB");
}

#[test]
fn a_string_that_doubles() {
    ends_at_the_limit("local s = \"x\" while true do s = s .. s end");
}

#[test]
fn a_string_that_doubles_in_a_pcall() {
    ends_at_the_limit(
        "pcall(function() local s = \"x\" while true do s = s .. s end end) server.state.after = true",
    );
}

#[test]
fn a_string_that_grows_slowly() {
    ends_at_the_limit(
        "local s, parts = (\"x\"):rep(100000), {} while true do table.insert(parts, s .. #parts) end",
    );
}

#[test]
fn a_table_that_grows() {
    ends_at_the_limit("local t = {} while true do t[#t + 1] = {} end");
}

#[test]
fn a_table_that_grows_in_a_pcall() {
    ends_at_the_limit(
        "pcall(function() local t = {} while true do t[#t + 1] = {} end end) server.state.after = true",
    );
}

#[test]
fn a_table_that_grows_in_pcalls_without_end() {
    ends_at_the_limit(
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) server.state.after = true end",
    );
}

#[test]
fn a_table_that_grows_in_a_coroutine() {
    ends_at_the_limit(
        "local co = coroutine.create(function() local t = {} while true do t[#t + 1] = {} end end) coroutine.resume(co) server.state.after = true",
    );
}

#[test]
fn a_table_of_numbers_that_grows() {
    ends_at_the_limit("local t = {} while true do table.insert(t, #t) end");
}

#[test]
fn a_table_that_grows_in_a_gsub_callback() {
    ends_at_the_limit(
        "local t = {} string.gsub((\"x\"):rep(100), \".\", function() while true do t[#t + 1] = {} end end) server.state.after = true",
    );
}

#[test]
fn closures_without_end() {
    ends_at_the_limit(
        "local last while true do local before = last last = function() return before end end",
    );
}

#[test]
fn recursion_without_end() {
    let (server, _) = start("local function f(x) return f(x + 1) + 1 end f(1)");
    let mut client = server.tcp();
    client.exchange(b"run", b"ended");
    assert!(server.wait_log("handler fault").contains("overflow"));
    client.exchange(b"marker", b"nil");
}

/// One allocation beyond the limit fails in a way that the script may catch; the server lives.
fn survives(code: &str) {
    let (server, _) = start(code);
    let crowd = Crowd::gather(&server);
    let mut client = server.tcp();
    for _ in 0..3 {
        client.send(b"run");
        let answer = client.read_once();
        assert!(answer == b"ended" || answer == b"went on", "{:?}", answer.escape_ascii());
        client.exchange(b"still here", b"still here");
    }
    crowd.dismiss(std::thread::current().name().unwrap_or("allocation"));
    let resident = server.memory_kib();
    assert!(resident < 400 * 1024, "{resident} KiB resident under a limit of 64 MiB");
}

#[test]
fn one_huge_string() {
    survives("local s = (\"x\"):rep(1e9)");
}

#[test]
fn one_huge_string_in_pcalls() {
    survives("for _ = 1, 10 do pcall(string.rep, \"x\", 1e9) end");
}

#[test]
fn one_huge_table() {
    survives("local t = table.create(6e7, 0)");
}

#[test]
fn one_huge_buffer() {
    survives("local b = buffer.create(1e9)");
}

#[test]
fn one_huge_format() {
    survives("local s = (\"x\"):rep(5e7) local t = s .. s .. s .. s");
}

#[test]
fn a_state_over_the_limit_rebuilds_the_vm_and_keeps_the_connections() {
    let (server, _) =
        start("server.state.big = {} while true do table.insert(server.state.big, {1, 2, 3}) end");
    let crowd = Crowd::gather(&server);
    let mut client = server.tcp();
    let peer = server.udp();
    peer.exchange(b"hello", b"hello");
    client.exchange(b"remember", b"remember");
    client.exchange(b"memory", b"kept");
    client.send(b"run");
    assert!(server.wait_log("handler fault").contains("memory"));
    let rebuilt = server.wait_log("rebuilt");
    assert!(rebuilt.contains("state"), "{rebuilt}");
    server.tcp().exchange(b"memory", b"nil");
    crowd.dismiss("rebuild");
    // The fault may or may not reach `on_error` of the VM that is gone.
    let answers = client_answer_after_fault(&mut client);
    assert_eq!(answers, "nil");
    peer.exchange(b"hello", b"hello");
}

/// The answer to `memory`, behind an `ended` of the call before it, if that was sent.
fn client_answer_after_fault(client: &mut Client) -> String {
    client.send(b"memory");
    let mut all = String::new();
    while !all.ends_with("nil") && !all.ends_with("kept") {
        all += &String::from_utf8(client.read_once()).unwrap();
    }
    all.trim_start_matches("ended").to_owned()
}

#[test]
fn a_rebuilt_vm_reloads_as_before() {
    let (server, _) =
        start("server.state.big = {} while true do table.insert(server.state.big, {1, 2, 3}) end");
    let mut client = server.tcp();
    client.send(b"run");
    server.wait_log("rebuilt");
    reload(&server, &answering("two"), 2);
    assert_eq!(ask(&mut server.tcp(), "x"), "two");
}

#[test]
fn a_body_over_the_limit_is_refused_and_keeps_the_state() {
    let (server, _) = start("");
    let mut client = server.tcp();
    client.exchange(b"remember", b"remember");
    let script = "local t = {}\nwhile true do t[#t + 1] = {} end\n";
    reload_refused(&server, script);
    server.wait_log("memory");
    server.wait_log("handler.lua:2");
    client.exchange(b"memory", b"kept");
}

#[test]
fn a_body_over_the_limit_stops_the_start() {
    let failed = Server::builder()
        .script("local t = {}\nwhile true do t[#t + 1] = {} end\n")
        .args(LIMITS)
        .listen("tcp://127.0.0.1:0")
        .start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.stderr.contains("memory"), "{failed:?}");
    assert!(failed.stderr.contains("handler.lua:2"), "{failed:?}");
}

#[test]
fn an_on_load_over_the_limit_is_refused_and_keeps_the_state() {
    let (server, _) = start("");
    let mut client = server.tcp();
    client.exchange(b"remember", b"remember");
    let script = "\
return {
  on_load = function()
    local t = {}
    while true do t[#t + 1] = {} end -- HERE
  end,
}
";
    reload_refused(&server, script);
    server.wait_log("memory");
    server.wait_log(&place_of(script, "HERE"));
    client.exchange(b"memory", b"kept");
}

#[test]
fn garbage_within_the_limit_is_collected_in_time() {
    let (server, _) = start("for i = 1, 3000 do local s = (\"x\"):rep(100000) .. i end");
    let mut client = server.tcp();
    client.exchange(b"run", b"went on");
    client.exchange(b"run", b"went on");
    server.assert_no_log("handler fault");
}
