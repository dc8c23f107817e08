//! `spawn`: when a task starts, what it gets, how it is cancelled, with whom it ends. Waiting in
//! tasks is in `tasks_waiting`.

use crate::support::{SIGTERM, Server};
use std::time::{Duration, Instant};

/// A handler whose messages are names of cases.
const CASES: &str = r"
local CASES = {
  LIST
}

return {
  on_message = function(msg, conn)
    if CASES[msg] then return CASES[msg](conn) end
    return msg
  end,
  on_close = function(conn, reason) log.info(`gone {reason}`) end,
}
";

pub fn cases(list: &str) -> Server {
    Server::builder().script(&CASES.replace("LIST", list)).start()
}

/// The first thing that the case answers, from a server of its own.
pub fn answer_of(case: &str) -> (Server, String) {
    let server = cases(&format!("case = function(conn) {case} end,"));
    let mut client = server.tcp();
    client.send(b"case");
    let answer = String::from_utf8(client.read_once()).unwrap();
    (server, answer)
}

#[test]
fn a_task_starts_after_the_callback_has_returned() {
    let server = cases(
        r#"case = function(conn)
          conn:send("before ")
          spawn(function() conn:send("spawned ") end)
          conn:send("after ")
          return "returned "
        end,"#,
    );
    server.tcp().exchange(b"case", b"before after returned spawned ");
}

#[test]
fn a_task_starts_when_the_callback_waits() {
    let server = cases(
        r#"case = function(conn)
          spawn(function() conn:send("spawned ") end)
          conn:send("before ")
          sleep(0.1)
          return "after "
        end,"#,
    );
    server.tcp().exchange(b"case", b"before spawned after ");
}

#[test]
fn a_task_gets_its_arguments() {
    let server = cases(
        r#"case = function(conn)
          local list = {"a", "b"}
          spawn(function(...)
            local who, text, none, count, given = ...
            conn:send(`{select('#', ...)} {who == conn} {text} {none} {count} {given == list}`)
          end, conn, "t\0t", nil, 1.5, list, nil)
        end,"#,
    );
    server.tcp().exchange(b"case", b"6 true t\0t nil 1.5 true");
}

#[test]
fn a_task_cancelled_before_it_starts_never_runs() {
    let server = cases(
        r#"case = function(conn)
          spawn(function() conn:send("spawned") end):cancel()
          sleep(0.2)
          return "alone"
        end,"#,
    );
    server.tcp().exchange(b"case", b"alone");
}

#[test]
fn a_task_cancelled_while_it_waits_never_goes_on() {
    let server = cases(
        r#"case = function(conn)
          local task = spawn(function()
            conn:send("begins ")
            pcall(sleep, 0.1)
            pcall(sleep, 0.1)
            conn:send("went on ")
          end)
          sleep(0.05)
          task:cancel()
          sleep(0.4)
          return "ended"
        end,"#,
    );
    server.tcp().exchange(b"case", b"begins ended");
    server.assert_no_log("handler fault");
}

#[test]
fn a_task_that_has_ended_may_be_cancelled() {
    let (server, answer) = answer_of(
        r#"local task = spawn(function() end)
           sleep(0.05)
           task:cancel()
           task:cancel()
           return "harmless""#,
    );
    assert_eq!(answer, "harmless");
    server.assert_no_log("handler fault");
}

#[test]
fn a_task_delays_neither_its_connection_nor_others() {
    let server = cases(
        r#"wait = function(conn)
          spawn(function()
            repeat sleep(0.01) until server.state.go
            conn:send("waited")
          end)
          return "spawned"
        end,
        go = function() server.state.go = true return "went" end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"wait", b"spawned");
    client.exchange(b"hello", b"hello");
    server.tcp().exchange(b"hello", b"hello");
    server.tcp().exchange(b"go", b"went");
    client.expect(b"waited");
}

#[test]
fn a_task_of_a_connection_ends_with_it() {
    let server = cases(
        r#"case = function()
          spawn(function()
            log.info("task waits")
            pcall(function() repeat sleep(0.01) until server.state.go end)
            log.info("task went on")
          end)
        end,
        go = function() server.state.go = true sleep(0.2) return "went" end,"#,
    );
    let mut client = server.tcp();
    client.send(b"case");
    server.wait_log("task waits");
    drop(client);
    server.wait_log("gone eof");
    server.tcp().exchange(b"go", b"went");
    server.assert_no_log("task went on");
}

#[test]
fn a_task_may_answer_a_datagram_peer_later() {
    let server =
        cases(r#"case = function(conn) spawn(function() sleep(0.05) conn:send("later") end) end,"#);
    let peer = server.udp();
    peer.send(b"case");
    peer.expect(b"later");
}

#[test]
fn ten_thousand_tasks_wait_at_once() {
    let server = cases(
        r#"case = function(conn)
          local ended = 0
          for n = 1, 10000 do
            spawn(function() sleep(0.2) ended += 1 if ended == 10000 then conn:send("all") end end)
          end
          return "spawned "
        end,"#,
    );
    server.tcp().exchange(b"case", b"spawned all");
}

#[test]
fn tasks_that_have_ended_leave_nothing_behind() {
    const MOST_KIB: u64 = 60 * 1024;
    let server = cases(
        r#"case = function()
          for _ = 1, 20 do
            for n = 1, 10000 do
              while not spawn(function() return n end) do sleep(0) end
            end
            sleep(0)
          end
          return "done"
        end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"case", b"done");
    let before = server.memory_kib();
    for _ in 0..3 {
        client.exchange(b"case", b"done");
    }
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < MOST_KIB, "{grown} KiB after 600,000 tasks that have ended");
    server.assert_no_log("handler fault");
}

#[test]
fn a_task_has_a_budget_of_its_own() {
    for (call, name) in [
        ("spawn(function() while true do end end)", "spawn failed"),
        ("after(0.01, function() while true do end end)", "after failed"),
        ("every(0.01, function() while true do pcall(error) end end)", "every failed"),
    ] {
        let server = cases(&format!(r#"case = function() {call} return "made" end,"#));
        let mut client = server.tcp();
        client.exchange(b"case", b"made");
        let fault = server.wait_log("handler fault");
        assert!(fault.contains(name), "{call}: {fault}");
        server.tcp().exchange(b"others", b"others");
        client.exchange(b"itself", b"itself");
    }
}

#[test]
fn a_conversation_ends_when_its_tasks_have_ended() {
    let server = Server::builder()
        .script(
            r#"return {
              on_session = function(conn)
                spawn(function() sleep(0.2) conn:send("late ") end)
                conn:send("early ")
              end,
            }"#,
        )
        .start();
    assert_eq!(server.tcp().read_to_end(), b"early late ");
}

#[test]
fn a_drain_does_not_wait_for_tasks_that_sleep_on() {
    let mut server = Server::builder()
        .script(
            r#"return {
              on_load = function()
                every(0.01, function() end)
                after(3600, function() end)
                spawn(sleep, 3600)
                log.info("loaded")
              end,
              on_message = function(msg) spawn(sleep, 3600) return msg end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    let begin = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "drained in {:?}", begin.elapsed());
    client.expect_eof();
}
