//! Handlers that run for ever: the call ends at its budget and no statement of it runs after
//! that, the log names the line, others keep getting answers, the connection works again. Other
//! callbacks are in `runaway_callbacks`, memory in `runaway_memory`, the share of a repeat offender
//! in `runaway_share`.

use crate::crowd::Crowd;
use crate::support::Server;
use crate::talk::place_of;

/// The message `run` runs the case; `marker` tells whether a statement ran after its end.
const SCRIPT: &str = "\
return {
  on_message = function(msg)
    if msg == \"marker\" then
      return tostring(server.state.after)
    end
    if msg ~= \"run\" then
      return msg
    end
    CASE
    server.state.after = true
    return \"went on\"
  end,
  on_error = function()
    return \"ended\"
  end,
}
";

/// Runs a case: `code` goes wild in the line that holds `HERE`, else in its first line.
fn ends_at_the_budget(code: &str) {
    let marked = match code.split_once('\n') {
        _ if code.contains("HERE") => code.to_owned(),
        Some((first, rest)) => format!("{first} -- HERE\n{rest}"),
        None => format!("{code} -- HERE"),
    };
    let script = SCRIPT.replace("CASE", &marked);
    let server = Server::builder().script(&script).args(["--budget", "50ms"]).start();
    let crowd = Crowd::gather(&server);
    let mut client = server.tcp();
    client.exchange(b"run", b"ended");
    client.exchange(b"marker", b"nil");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_message") && fault.contains("budget"), "{fault}");
    server.wait_log(&place_of(&script, "HERE"));
    client.exchange(b"run", b"ended");
    client.exchange(b"marker", b"nil");
    client.exchange(b"still here", b"still here");
    crowd.dismiss(std::thread::current().name().unwrap_or("runaway"));
}

#[test]
fn an_endless_loop() {
    ends_at_the_budget("while true do end");
}

#[test]
fn an_endless_loop_that_calls() {
    ends_at_the_budget("local n = 0 while true do n = math.max(n, 1) end");
}

#[test]
fn an_endless_repeat() {
    ends_at_the_budget("repeat local x = {} until false");
}

#[test]
fn a_long_numeric_loop() {
    ends_at_the_budget("for i = 1, 1e15 do local x = i end");
}

#[test]
fn a_pcall() {
    ends_at_the_budget("pcall(function() while true do end end) server.state.after = true");
}

#[test]
fn a_pcall_in_a_loop() {
    ends_at_the_budget(
        "while true do pcall(function() while true do end end) server.state.after = true end",
    );
}

#[test]
fn a_pcall_of_nothing_in_a_loop() {
    ends_at_the_budget("local function f() end while true do pcall(f) end");
}

#[test]
fn a_pcall_that_raises_in_a_loop() {
    ends_at_the_budget("while true do pcall(error, \"again\") end");
}

#[test]
fn a_chain_of_150_pcalls() {
    let link = "pcall(function() while true do end end) server.state.after = true\n";
    ends_at_the_budget(&link.repeat(150));
}

#[test]
fn a_nest_of_150_pcalls() {
    ends_at_the_budget(
        "local f = function() while true do end end -- HERE
         for _ = 1, 150 do
           local inner = f
           f = function() pcall(inner) server.state.after = true end
         end
         f()",
    );
}

#[test]
fn pcalls_that_double_at_every_level() {
    ends_at_the_budget("local function f() pcall(f) pcall(f) end f()");
}

#[test]
fn an_xpcall_whose_handler_would_run_on() {
    ends_at_the_budget(
        "xpcall(function() while true do end end, function() server.state.after = true end)",
    );
}

#[test]
fn an_xpcall_whose_handler_loops() {
    ends_at_the_budget("xpcall(error, function() while true do end end) server.state.after = true");
}

#[test]
fn a_coroutine() {
    ends_at_the_budget(
        "local co = coroutine.create(function() while true do end end) -- HERE
         coroutine.resume(co) server.state.after = true",
    );
}

#[test]
fn a_nested_coroutine() {
    ends_at_the_budget(
        "local outer = coroutine.create(function()
           local inner = coroutine.create(function() while true do end end) -- HERE
           coroutine.resume(inner) server.state.after = true
         end)
         coroutine.resume(outer) server.state.after = true",
    );
}

#[test]
fn a_wrapped_coroutine_in_a_pcall() {
    ends_at_the_budget(
        "local co = coroutine.wrap(function() while true do end end) -- HERE
         pcall(co) server.state.after = true",
    );
}

#[test]
fn a_coroutine_that_yields_for_ever() {
    ends_at_the_budget(
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    );
}

#[test]
fn coroutines_without_end() {
    ends_at_the_budget(
        "while true do coroutine.resume(coroutine.create(function() end)) end server.state.after = true",
    );
}

#[test]
fn a_gsub_callback() {
    ends_at_the_budget(
        "string.gsub(\"abc\", \".\", function() while true do end end) server.state.after = true",
    );
}

#[test]
fn a_gsub_callback_with_a_pcall() {
    ends_at_the_budget(
        "string.gsub((\"a\"):rep(1000), \".\", function() pcall(function() while true do end end) server.state.after = true end)",
    );
}

#[test]
fn a_sort_comparator() {
    ends_at_the_budget(
        "table.sort({3, 1, 2}, function() while true do end end) server.state.after = true",
    );
}

#[test]
fn an_index_metamethod() {
    ends_at_the_budget(
        "local t = setmetatable({}, {__index = function() while true do end end}) -- HERE
         local x = t.anything server.state.after = true",
    );
}

#[test]
fn a_newindex_metamethod_in_a_pcall() {
    ends_at_the_budget(
        "local t = setmetatable({}, {__newindex = function() while true do end end}) -- HERE
         pcall(function() t.x = 1 server.state.after = true end) server.state.after = true",
    );
}

#[test]
fn an_arithmetic_metamethod() {
    ends_at_the_budget(
        "local t = setmetatable({}, {__add = function() while true do end end}) -- HERE
         local x = t + 1 server.state.after = true",
    );
}

#[test]
fn a_comparing_metamethod() {
    ends_at_the_budget(
        "local t = {__lt = function() while true do end end} -- HERE
         local x = setmetatable({}, t) < setmetatable({}, t) server.state.after = true",
    );
}

#[test]
fn a_tostring_metamethod() {
    ends_at_the_budget(
        "local t = setmetatable({}, {__tostring = function() while true do end end}) -- HERE
         local x = tostring(t) server.state.after = true",
    );
}

#[test]
fn a_tostring_metamethod_in_print() {
    ends_at_the_budget(
        "local t = setmetatable({}, {__tostring = function() while true do end end}) -- HERE
         print(t) server.state.after = true",
    );
}

#[test]
fn an_iterator_that_loops() {
    ends_at_the_budget(
        "for _ in function() while true do end end do server.state.after = true end",
    );
}

#[test]
fn an_iterator_without_end() {
    ends_at_the_budget("for _ in function() return 1 end do end server.state.after = true");
}

#[test]
fn an_iter_metamethod() {
    ends_at_the_budget(
        "local t = setmetatable({}, {__iter = function() while true do end end}) -- HERE
         for _ in t do server.state.after = true end",
    );
}

#[test]
fn a_pathological_match() {
    ends_at_the_budget(
        "string.match((\"a\"):rep(40), (\"a*\"):rep(30) .. \"b\") server.state.after = true",
    );
}

#[test]
fn a_pathological_match_in_a_pcall() {
    ends_at_the_budget(
        "pcall(string.match, (\"a\"):rep(40), (\"a*\"):rep(30) .. \"b\") server.state.after = true",
    );
}

#[test]
fn a_pathological_gmatch() {
    ends_at_the_budget(
        "for _ in string.gmatch((\"a\"):rep(40), (\"a*\"):rep(30) .. \"b\") do end server.state.after = true",
    );
}

#[test]
fn a_loop_behind_a_sleep() {
    ends_at_the_budget("sleep(0.01) while true do end");
}

#[test]
fn a_loop_behind_a_sleep_in_a_pcall() {
    ends_at_the_budget(
        "pcall(function() sleep(0.01) while true do end end) server.state.after = true",
    );
}

#[test]
fn a_loop_in_a_module() {
    let server = Server::builder()
        .script(
            "local wild = require(\"./wild\")
             return function(msg)
               if msg == \"run\" then wild() server.state.after = true end
               if msg == \"marker\" then return tostring(server.state.after) end
               return msg
             end\n",
        )
        .file("wild.lua", "return function()\n  while true do end\nend\n")
        .args(["--budget", "50ms"])
        .start();
    let mut client = server.tcp();
    client.send(b"run");
    assert!(server.wait_log("handler fault").contains("budget"));
    server.wait_log("wild.lua:2");
    client.exchange(b"marker", b"nil");
}

#[test]
fn a_call_that_sleeps_now_and_then_is_not_ended() {
    let script = "\
return function(msg)
  for _ = 1, 10 do
    local start = os.clock()
    while os.clock() - start < 0.02 do end
    sleep(0)
  end
  return \"done\\n\"
end
";
    let server = Server::builder().script(script).args(["--budget", "100ms"]).start();
    server.tcp().exchange(b"x", b"done\n");
    server.assert_no_log("handler fault");
}

#[test]
fn a_long_sleep_costs_no_budget() {
    let script = "return function() sleep(0.4); return \"done\\n\" end\n";
    let server = Server::builder().script(script).args(["--budget", "50ms"]).start();
    server.tcp().exchange(b"x", b"done\n");
    server.assert_no_log("handler fault");
}

#[test]
fn a_datagram_that_runs_away() {
    let server = Server::builder()
        .script(
            "return function(msg) if msg == \"run\" then while true do end end return msg end\n",
        )
        .args(["--budget", "50ms"])
        .start();
    let (bad, good) = (server.udp(), server.udp());
    good.exchange(b"hello", b"hello");
    bad.send(b"run");
    assert!(server.wait_log("handler fault").contains("budget"));
    good.exchange(b"hello", b"hello");
    bad.exchange(b"again", b"again");
}
