//! `after` and `every`: when they run, how they are cancelled, and with whom they end. How many
//! there may be is in `timers_many`, how they fail in `faults_tasks`.

use crate::support::{Client, Server, wait_until};
use crate::talk::reload;
use std::time::{Duration, Instant};

/// A handler whose messages are names of cases. `beat` counts, `beats` answers the count, `later`
/// answers it when every timer of these tests would have run some times more.
const CASES: &str = r"
local function beat()
  server.state.beats = (server.state.beats or 0) + 1
end

local CASES = {
  beats = function() return tostring(server.state.beats or 0) end,
  later = function() sleep(0.3) return tostring(server.state.beats or 0) end,
  LIST
}

return {
  on_message = function(msg, conn) return CASES[msg](conn) end,
  on_close = function(conn, reason) log.info(`gone {reason}`) end,
}
";

fn cases(list: &str) -> Server {
    Server::builder().script(&CASES.replace("LIST", list)).start()
}

fn number(client: &mut Client, question: &str) -> u64 {
    client.send(question.as_bytes());
    String::from_utf8(client.read_once()).unwrap().parse().unwrap()
}

/// Waits until `beat` has run `count` times.
#[track_caller]
fn wait_for_beats(client: &mut Client, count: u64) {
    wait_until("the timer should run", || (number(client, "beats") >= count).then_some(()));
}

/// No timer runs any more.
#[track_caller]
fn is_still(client: &mut Client) -> u64 {
    let before = number(client, "beats");
    assert_eq!(number(client, "later"), before, "a timer still runs");
    before
}

#[test]
fn after_runs_when_its_time_has_passed() {
    let server = cases(
        r#"set = function(conn) after(0.2, function() conn:send("now") end) return "set" end,"#,
    );
    let mut client = server.tcp();
    let begin = Instant::now();
    client.exchange(b"set", b"set");
    client.expect(b"now");
    assert!(begin.elapsed() >= Duration::from_millis(200), "after {:?}", begin.elapsed());
}

#[test]
fn after_runs_once() {
    let server = cases(r#"set = function() after(0.01, beat) return "set" end,"#);
    let mut client = server.tcp();
    client.exchange(b"set", b"set");
    wait_for_beats(&mut client, 1);
    assert_eq!(is_still(&mut client), 1);
}

#[test]
fn after_runs_though_no_one_keeps_its_handle() {
    let server = cases(
        r#"set = function()
          for _ = 1, 100 do after(0.2, beat) end
          -- Garbage enough for a collection.
          for n = 1, 20000 do local t = {n, {n}} end
          return "set"
        end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"set", b"set");
    wait_for_beats(&mut client, 100);
    assert_eq!(is_still(&mut client), 100);
}

#[test]
fn the_earlier_timer_runs_first() {
    let server = cases(
        r#"set = function(conn)
          after(0.3, function() conn:send("third ") end)
          after(0.1, function() conn:send("first ") end)
          after(0.2, function() conn:send("second ") end)
          return "set "
        end,"#,
    );
    server.tcp().exchange(b"set", b"set first second third ");
}

#[test]
fn every_runs_again_and_again() {
    let server = cases(
        r#"set = function(conn)
          local n = 0
          every(0.02, function() n += 1 conn:send(`{n} `) end)
          return "set "
        end,"#,
    );
    let mut client = server.tcp();
    let begin = Instant::now();
    client.exchange(b"set", b"set 1 2 3 4 5 6 7 8 9 10 11 ");
    assert!(begin.elapsed() >= Duration::from_millis(200), "11 beats in {:?}", begin.elapsed());
}

#[test]
fn a_timer_that_was_cancelled_never_runs() {
    let server = cases(
        r#"once = function() after(0.1, beat):cancel() return "cancelled" end,
        again = function() every(0.1, beat):cancel() return "cancelled" end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"once", b"cancelled");
    client.exchange(b"again", b"cancelled");
    assert_eq!(is_still(&mut client), 0);
}

#[test]
fn every_ends_when_it_is_cancelled_from_outside() {
    let server = cases(
        r#"set = function(conn) conn.state.timer = every(0.01, beat) return "set" end,
        stop = function(conn) conn.state.timer:cancel() return "stopped" end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"set", b"set");
    wait_for_beats(&mut client, 3);
    client.exchange(b"stop", b"stopped");
    assert!(is_still(&mut client) >= 3);
}

#[test]
fn every_ends_when_it_is_cancelled_from_inside() {
    let server = cases(
        r#"set = function(conn)
          local timer
          timer = every(0.01, function()
            beat()
            if server.state.beats == 3 then
              timer:cancel()
              conn:send("cancelled and went on")
            end
          end)
          return "set "
        end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"set", b"set cancelled and went on");
    assert_eq!(is_still(&mut client), 3);
}

#[test]
fn a_cancel_too_many_or_too_late_is_harmless() {
    let server = cases(
        r#"twice = function()
          local timer = after(60, beat)
          timer:cancel()
          timer:cancel()
          return "cancelled twice"
        end,
        late = function()
          local timer = after(0.01, beat)
          sleep(0.1)
          timer:cancel()
          return "cancelled late"
        end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"twice", b"cancelled twice");
    client.exchange(b"late", b"cancelled late");
    assert_eq!(is_still(&mut client), 1);
    server.assert_no_log("handler fault");
}

#[test]
fn every_skips_the_beats_that_find_it_busy() {
    const SECONDS_BUSY: f64 = 1.0;
    let server = cases(
        r#"set = function(conn)
          local busy, overlapped, runs, begin = false, false, 0, server.now()
          local timer
          timer = every(0.02, function()
            overlapped = overlapped or busy
            busy = true
            runs += 1
            if runs == 1 then sleep(1) end
            busy = false
            if runs == 10 then
              timer:cancel()
              conn:send(`{overlapped} {server.now() - begin}`)
            end
          end)
          return "set "
        end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"set", b"set ");
    let answer = String::from_utf8(client.read_once()).unwrap();
    let (overlapped, seconds) = answer.split_once(' ').unwrap();
    assert_eq!(overlapped, "false");
    // The first run, and eight beats at least behind it: 50 that were missed are not made up for.
    let seconds: f64 = seconds.parse().unwrap();
    assert!(seconds >= SECONDS_BUSY + 8.0 * 0.02 - 0.005, "ten runs in {seconds} s");
}

#[test]
fn a_timer_may_wait_and_delays_no_one() {
    let server = cases(
        r#"set = function(conn)
          after(0.001, function()
            log.info("waiting")
            repeat sleep(0.01) until server.state.go
            conn:send("waited")
          end)
          return "set"
        end,
        go = function() server.state.go = true return "went" end,"#,
    );
    let mut client = server.tcp();
    client.exchange(b"set", b"set");
    server.wait_log("waiting");
    client.exchange(b"beats", b"0");
    server.tcp().exchange(b"beats", b"0");
    server.tcp().exchange(b"go", b"went");
    client.expect(b"waited");
}

#[test]
fn a_timer_of_a_connection_ends_with_it() {
    let server = cases(r#"set = function() every(0.01, beat) return "set" end,"#);
    let mut client = server.tcp();
    let mut other = server.tcp();
    client.exchange(b"set", b"set");
    wait_for_beats(&mut other, 3);
    drop(client);
    server.wait_log("gone eof");
    is_still(&mut other);
}

#[test]
fn a_timer_of_a_datagram_peer_ends_with_it() {
    let script = CASES
        .replace("LIST", r#"set = function() every(0.01, beat) return "set" end,"#)
        .replace("return {\n", "return {\n  peer_timeout = 0.3,\n");
    let server = Server::builder().script(&script).start();
    let mut other = server.tcp();
    server.udp().exchange(b"set", b"set");
    wait_for_beats(&mut other, 3);
    server.wait_log("gone idle");
    is_still(&mut other);
}

#[test]
fn what_a_timer_of_a_connection_makes_ends_with_the_connection_too() {
    let server = cases(
        r#"set = function()
          after(0.01, function() spawn(function() every(0.01, beat) end) end)
          return "set"
        end,"#,
    );
    let mut client = server.tcp();
    let mut other = server.tcp();
    client.exchange(b"set", b"set");
    wait_for_beats(&mut other, 3);
    drop(client);
    server.wait_log("gone eof");
    is_still(&mut other);
}

#[test]
fn a_timer_of_a_connection_survives_a_reload_with_its_old_code() {
    let old = CASES.replace(
        "LIST",
        r#"set = function(conn) every(0.02, function() conn:send("old ") end) return "set " end,"#,
    );
    let server = Server::builder().script(&old).start();
    let mut client = server.tcp();
    client.exchange(b"set", b"set old old ");
    let two = r#"return {
      on_reload = function(conn) conn:send("RELOADED ") end,
      on_close = function(conn, reason) log.info(`gone {reason}`) end,
    }"#;
    reload(&server, two, 2);
    let mut seen = String::new();
    wait_until("the timer should run on", || {
        seen += std::str::from_utf8(&client.read_once()).unwrap();
        let (_, after) = seen.split_once("RELOADED ")?;
        after.starts_with("old old old ").then_some(())
    });
    drop(client);
    server.wait_log("gone");
    server.assert_no_log("handler fault");
}

#[test]
fn a_timer_that_on_close_made_belongs_to_the_generation() {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg) return msg end,
              on_close = function(conn) after(0.05, function() log.info("afterwards") end) end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"x");
    drop(client);
    server.wait_log("afterwards");
}
