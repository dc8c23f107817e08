//! What one bad moment must not leave behind: a module that never ended its loading, an `on_load`
//! that never ends, errors whose texts lie, and connections that are gone.

use crate::support::{SIGTERM, Server};
use crate::talk::{answering, ask, reload};
use std::time::{Duration, Instant};

const LAZY: &str = r#"
return {
  on_message = function(msg, conn)
    if msg == "load" then
      LOAD
    elseif msg == "use" then
      conn:send("sent ")
      sleep(0.01)
      conn:send("slept")
      conn:close()
      return
    end
    return msg
  end,
  on_error = function() return "ended" end,
}
"#;

fn a_lazy_module_leaves_nothing(module: &str, load: &str) {
    let server = Server::builder()
        .script(&LAZY.replace("LOAD", load))
        .file("lazy.lua", module)
        .args(["--budget", "50ms"])
        .start();
    for _ in 0..3 {
        let mut bad = server.tcp();
        bad.send(b"load");
        let answer = bad.read_once();
        assert!(answer == b"ended" || answer == b"load", "{:?}", answer.escape_ascii());
        for client in [&mut server.tcp(), &mut bad] {
            client.send(b"use");
            assert_eq!(client.read_to_end(), b"sent slept");
        }
    }
    server.assert_no_log("not while loading");
}

#[test]
fn a_lazy_module_that_loops_for_ever() {
    a_lazy_module_leaves_nothing("while true do end\n", "require(\"./lazy\")");
}

#[test]
fn a_lazy_module_that_loops_for_ever_in_a_pcall() {
    a_lazy_module_leaves_nothing("while true do end\n", "pcall(require, \"./lazy\")");
}

#[test]
fn a_lazy_module_that_yields_in_a_coroutine() {
    a_lazy_module_leaves_nothing(
        "coroutine.yield() return {}\n",
        "coroutine.wrap(function() require(\"./lazy\") end)()",
    );
}

#[test]
fn a_lazy_module_that_fails() {
    a_lazy_module_leaves_nothing("error(\"no\")\n", "require(\"./lazy\")");
}

#[test]
fn a_signal_while_the_first_on_load_sleeps_ends_the_start() {
    let mut server = Server::builder()
        .script("return {on_load = function() log.info(\"loading\") sleep(1000) end}\n")
        .listen("tcp://127.0.0.1:0")
        .ready_lines(0)
        .start();
    server.wait_log("loading");
    let begin = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 1);
    assert!(begin.elapsed() < Duration::from_secs(3), "ended after {:?}", begin.elapsed());
    assert_eq!(server.stdout_text(), "");
}

#[test]
fn an_on_load_that_never_ends_fails_and_the_next_save_goes_live() {
    let server = Server::builder().script(&answering("one")).start();
    let begin = Instant::now();
    let hanging = "return {on_load = function() log.info(\"loading\") sleep(1000) end}\n";
    server.save("handler.lua", hanging);
    server.wait_log("loading");
    assert_eq!(ask(&mut server.tcp(), "x"), "one");
    server.wait_log("reload failed, generation 1 stays live");
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(15), "after {took:?}");
    server.wait_log("on_load");
    assert_eq!(ask(&mut server.tcp(), "x"), "one");
    reload(&server, &answering("two"), 2);
    assert_eq!(ask(&mut server.tcp(), "x"), "two");
}

#[test]
fn a_running_reply_outlives_stop_and_one_signal() {
    let mut server = Server::builder()
        .script(
            r#"return function(msg)
              if msg == "stop" then return server.stop() end
              log.info("sleeps")
              sleep(1)
              return "done"
            end"#,
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("sleeps");
    server.tcp().send(b"stop");
    server.wait_log("draining");
    server.signal(SIGTERM);
    client.expect(b"done");
    client.expect_eof();
    assert_eq!(server.wait_exit(), 0);
    server.wait_log("stopped in order");
}

#[test]
fn on_error_sees_the_connection_whose_on_close_failed() {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg, conn)
                conn.state.name = msg
                conn.state.conn = conn
                return "ok"
              end,
              on_close = function(conn) error("no " .. conn.state.name) end,
              on_error = function(err, conn)
                log.info(`on_error of {conn.state.name} same {conn.state.conn == conn}`)
              end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"Ada", b"ok");
    drop(client);
    server.wait_log("on_error of Ada same true");
    let peer = server.udp();
    peer.exchange(b"Bob", b"ok");
}

#[test]
fn connections_whose_on_close_fails_are_forgotten() {
    // Each holds 100 KiB: a tenth of them kept would be over the limit.
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg, conn)
                conn.state.big = ("x"):rep(100000) .. conn.id
                return "ok"
              end,
              on_close = function(conn)
                server.state.closed = (server.state.closed or 0) + 1
                if server.state.closed == 2000 then log.info("all closed") end
                error("no")
              end,
              on_error = function(err, conn) conn.state.seen = true end,
            }"#,
        )
        .args(["--memory", "16MiB"])
        .start();
    for _ in 0..2000 {
        server.tcp().exchange(b"x", b"ok");
    }
    server.wait_log("all closed");
    server.tcp().exchange(b"x", b"ok");
    server.assert_no_log("memory");
    let resident = server.memory_kib();
    assert!(resident < 120 * 1024, "{resident} KiB resident");
}

#[test]
fn a_fault_whose_text_names_an_absurd_line() {
    const LINES: [&str; 5] =
        ["18446744073709551615", "18446744073709551616", "9223372036854775807", "4294967295", "0"];
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg)
                if msg == "x" then return msg end
                error(`handler.lua:{msg}: hi`, 0)
              end,
              on_error = function() return "ended" end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    for line in LINES {
        client.exchange(line.as_bytes(), b"ended");
        client.exchange(b"x", b"x");
    }
    for (count, line) in LINES.iter().enumerate() {
        server.save("handler.lua", &format!("error(\"handler.lua:{line}: hi\", 0)\n"));
        server.wait_log_count("reload failed, generation 1 stays live", count + 1);
    }
    client.exchange(b"x", b"x");
    reload(&server, &answering("two"), 2);
    client.exchange(b"x", b"two\n");
}

#[test]
fn an_empty_reply_on_a_raw_stream_is_nothing_and_costs_nothing() {
    let server = Server::builder()
        .script(
            r#"return function(msg, conn)
              if msg == "empty" then return "" end
              if msg == "empties" then return {"", "", ""} end
              if msg == "none" then return {} end
              if msg == "sent" then conn:send("") return "" end
              if msg == "flushed" then conn:send("") conn:flush() return nil, "no", "" end
              return msg
            end"#,
        )
        .start();
    let mut client = server.tcp();
    for message in ["empty", "empties", "none", "sent", "flushed"] {
        client.send(message.as_bytes());
        let before = server.cpu_time();
        client.expect_silence(Duration::from_millis(300));
        let spent = server.cpu_time().saturating_sub(before);
        assert!(spent < Duration::from_millis(150), "{message}: {spent:?} of CPU time");
        client.exchange(b"x", b"x");
    }
    server.assert_no_log("handler fault");
}

#[test]
fn an_empty_reply_does_not_stop_the_idle_timeout() {
    let server = Server::builder()
        .script("return {idle_timeout = 0.3, on_message = function() return \"\" end}\n")
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    client.expect_eof();
}

fn the_lines_of_a_long_reason_are_short(arguments: &[&str]) {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg)
                if msg == "reject" then return nil, ("x"):rep(5e6), "no" end
                if msg == "fail" then error(("y"):rep(5e6)) end
                return msg
              end,
              on_error = function(err) return "ended" end,
            }"#,
        )
        .args(arguments.iter().copied())
        .start();
    let mut client = server.tcp();
    client.exchange(b"reject", b"no");
    let line = server.wait_log("message rejected");
    assert!(line.contains("xxxx") && line.len() < 10_000, "a line of {} bytes", line.len());
    client.exchange(b"fail", b"ended");
    server.wait_log("handler fault");
    let longest = server.log_text().lines().map(str::len).max().unwrap();
    assert!(longest < 20_000, "a line of {longest} bytes");
}

#[test]
fn a_long_reason_is_cut_in_the_log() {
    the_lines_of_a_long_reason_are_short(&[]);
}

#[test]
fn a_long_reason_is_cut_in_the_log_as_json() {
    the_lines_of_a_long_reason_are_short(&["--log-format", "json"]);
}
