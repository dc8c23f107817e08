//! One connection does not hold up the others: calls that are each within their budget, waits that
//! are over at once, silence that is no time at all.

use crate::support::{Client, Server};
use std::time::{Duration, Instant};

/// Longer than one call and what a busy machine adds, shorter than all of them together.
const SOON: Duration = Duration::from_millis(1500);

const CALLS: usize = 64;

/// A call that takes 60 ms, and others that answer at once.
const SLOW: &str = "local function slow()
       log.info(\"begins;\")
       local begin = os.clock()
       while os.clock() - begin < 0.06 do end
     end
     ";

#[track_caller]
fn expect_soon(client: &mut Client) {
    let begin = Instant::now();
    client.exchange(b"quick\n", b"quick\n");
    assert!(begin.elapsed() < SOON, "answered after {:?}", begin.elapsed());
}

#[test]
fn slow_messages_in_a_row_let_others_go_between() {
    let script = format!(
        "{SLOW}
         return {{
           framing = \"line\",
           on_message = function(msg)
             if msg == \"slow\" then slow() end
             return msg
           end,
         }}"
    );
    let server = Server::builder().script(&script).start();
    let (mut busy, mut other) = (server.tcp(), server.tcp());
    other.exchange(b"quick\n", b"quick\n");
    busy.send("slow\n".repeat(CALLS).as_bytes());
    server.wait_log("begins;");
    expect_soon(&mut other);
}

#[test]
fn slow_messages_of_a_conversation_let_others_go_between() {
    let script = format!(
        "{SLOW}
         return {{
           framing = \"line\",
           on_session = function(conn)
             while true do
               local msg = conn:read()
               if not msg then return end
               if msg == \"slow\" then slow() end
               conn:send(msg)
             end
           end,
         }}"
    );
    let server = Server::builder().script(&script).start();
    let (mut busy, mut other) = (server.tcp(), server.tcp());
    other.exchange(b"quick\n", b"quick\n");
    busy.send("slow\n".repeat(CALLS).as_bytes());
    server.wait_log("begins;");
    expect_soon(&mut other);
}

#[test]
fn slow_datagrams_behind_a_wait_let_others_go_between() {
    let script = format!(
        "{SLOW}
         return {{
           framing = \"line\",
           on_message = function(msg, conn)
             if msg == \"wait\" then
               conn:send(\"waits\")
               repeat sleep(0.01) until server.state.go
             elseif msg == \"go\" then
               server.state.go = true
             elseif msg == \"slow\" then
               slow()
             end
             return msg
           end,
         }}"
    );
    let server = Server::builder().script(&script).start();
    let (busy, mut other) = (server.udp(), server.tcp());
    busy.exchange(b"wait", b"waits\n");
    for _ in 1..CALLS {
        busy.send(b"slow");
    }
    other.exchange(b"go\n", b"go\n");
    server.wait_log("begins;");
    expect_soon(&mut other);
}

#[test]
fn slow_datagrams_of_a_conversation_let_others_go_between() {
    let script = format!(
        "{SLOW}
         return {{
           framing = \"line\",
           on_session = function(conn)
             conn:send(conn:read())
             if conn.transport == \"udp\" then
               repeat sleep(0.01) until server.state.go
             end
             while true do
               local msg = conn:read()
               if msg == \"go\" then server.state.go = true end
               if msg == \"slow\" then slow() end
               conn:send(msg)
             end
           end,
         }}"
    );
    let server = Server::builder().script(&script).start();
    let (busy, mut other) = (server.udp(), server.tcp());
    busy.exchange(b"wait", b"wait\n");
    other.exchange(b"first\n", b"first\n");
    for _ in 1..CALLS {
        busy.send(b"slow");
    }
    other.exchange(b"go\n", b"go\n");
    server.wait_log("begins;");
    expect_soon(&mut other);
}

#[test]
fn connections_that_are_made_at_once_let_others_go_between() {
    for url in ["udp://127.0.0.1:9", "unix:///no/such/socket", "tcp://127.0.0.1:1"] {
        let script = format!(
            "return {{
               framing = \"line\",
               on_message = function(msg, conn)
                 if msg == \"dial\" then
                   conn:send(\"dials\")
                   while true do
                     local up = connect(\"{url}\")
                     if up then up:close() end
                   end
                 end
                 return msg
               end,
             }}"
        );
        let server = Server::builder().script(&script).start();
        let (mut busy, mut other) = (server.tcp(), server.tcp());
        other.exchange(b"quick\n", b"quick\n");
        busy.send(b"dial\n");
        server.wait_log("generation 1 is live");
        expect_soon(&mut other);
        busy.expect(b"dials\n");
        expect_soon(&mut other);
    }
}

#[test]
fn bytes_that_are_skipped_slowly_let_others_go_between() {
    let script = |style: &str| {
        format!(
            "{SLOW}
             local function split(data)
               if data:sub(1, 1) == \"-\" then slow() return 1 end
               return #data, data
             end
             return {{
               on_connect = function(conn) if server.state.quick then conn:set_framing(split) end end,
               {style}
             }}"
        )
    };
    for style in [
        "on_message = function(msg) server.state.quick = true return msg end,",
        "on_session = function(conn)
           while true do
             local msg = conn:read()
             if not msg then return end
             server.state.quick = true
             conn:send(msg)
           end
         end,",
    ] {
        let server = Server::builder().script(&script(style)).start();
        let mut other = server.tcp();
        other.exchange(b"quick\n", b"quick\n");
        let mut busy = server.tcp();
        busy.send("-".repeat(CALLS).as_bytes());
        busy.send(b"found");
        busy.half_close();
        server.wait_log("begins;");
        expect_soon(&mut other);
        assert_eq!(busy.read_to_end(), b"found");
    }
}

#[test]
fn timers_without_end_let_spawned_tasks_begin() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"line\",
               on_load = function()
                 for i = 1, 400 do
                   every(0.001, function()
                     local begin = os.clock()
                     while os.clock() - begin < 0.0002 do end
                   end)
                 end
               end,
               on_message = function(msg, conn)
                 spawn(function() conn:send(msg) end)
               end,
             }",
        )
        .start();
    server.tcp().exchange(b"quick\n", b"quick\n");
}

#[test]
fn an_idle_timeout_of_almost_nothing_is_a_millisecond() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"line\",
               on_connect = function(conn) conn:set_idle_timeout(1e-9) end,
               on_idle = function(conn)
                 conn.state.n = (conn.state.n or 0) + 1
                 return true
               end,
               on_message = function(msg, conn) return tostring(conn.state.n) end,
             }",
        )
        .start();
    let mut client = server.tcp();
    let begin = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    client.send(b"how often?\n");
    let answer = String::from_utf8(client.read_once()).unwrap();
    let count: u128 = answer.trim().parse().unwrap();
    assert!(count <= begin.elapsed().as_millis(), "{count} times");
}
