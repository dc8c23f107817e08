//! Subscribers and workers that are slow: a stream whose buffer is full is closed as `slow`, a
//! datagram peer loses news, a worker that is far behind is told of as `full`; publishing never
//! waits, and no queue grows without end.

use crate::many::{one_on_each, start};
use crate::support::{Client, Server, wait_until};
use std::time::Duration;

static CHUNK: [u8; 65536] = [b'x'; 65536];

/// The kernel of both sides holds some tens of chunks, the server a MiB.
const MOST_CHUNKS: usize = 1600;

const MOST_MEMORY_KIB: u64 = 400 * 1024;

/// Says the command until `slow` has been closed as slow, while `reading` gets every chunk.
fn outrun(server: &Server, command: &str, speaker: &mut Client, reading: &mut Client, slow: &str) {
    for _ in 0..MOST_CHUNKS {
        speaker.exchange(command.as_bytes(), b"true\n");
        reading.expect(&CHUNK);
        if server.log_count(slow) > 0 {
            return;
        }
    }
    panic!("{MOST_CHUNKS} chunks, and no {slow:?} in the log");
}

#[test]
fn a_slow_subscriber_is_closed_as_slow_and_holds_no_one_up() {
    for workers in ["1", "4"] {
        let server = start(workers);
        let (mut speaker, mut reading, mut slow) = (server.tcp(), server.tcp(), server.tcp());
        reading.exchange(b"sub news", b"true\n");
        slow.exchange(b"sub news", b"true\n");
        let mark = format!("gone {} slow", slow.local_addr());
        outrun(&server, "chunk news", &mut speaker, &mut reading, &mark);
        // The others go on as if it had never been there.
        speaker.exchange(b"pub news more", b"true\n");
        reading.expect(b"more\n");
        let memory = server.memory_kib();
        assert!(memory < MOST_MEMORY_KIB, "{memory} KiB resident");
        assert_eq!(server.log_count(" slow"), server.log_count(&mark), "{}", server.log_text());
        server.assert_no_log("handler fault");
    }
}

#[test]
fn a_slow_listener_to_a_broadcast_is_closed_as_slow() {
    let server = start("2");
    let (mut speaker, mut reading, mut slow) = (server.tcp(), server.tcp(), server.tcp());
    reading.exchange(b"unsub nothing", b"true\n");
    slow.exchange(b"unsub nothing", b"true\n");
    let mark = format!("gone {} slow", slow.local_addr());
    outrun(&server, "chunk_all", &mut speaker, &mut reading, &mark);
    speaker.exchange(b"others more", b"true\n");
    reading.expect(b"more\n");
}

const FLOODING: &str = r#"
local CHUNK = ("x"):rep(65536)
local is_inside, ticks = false, 0

return {
  on_load = function()
    every(0.001, function()
      ticks += 1
      if is_inside then log.info("a publish waited") end
    end)
  end,
  on_message = function(msg, conn)
    if msg == "sub" then
      conn:subscribe("news")
      return "subscribed"
    elseif msg == "flood" then
      is_inside = true
      for _ = 1, 200 do
        server.publish("news", CHUNK)
        server.broadcast(CHUNK, conn)
      end
      is_inside = false
      return "flooded"
    elseif msg == "small flood" then
      for n = 1, 20000 do server.publish("news", "small") end
      return "flooded"
    elseif msg == "ticks" then
      return `{ticks}`
    end
    return msg
  end,
}
"#;

#[test]
fn a_publish_never_waits() {
    let server = Server::builder().script(FLOODING).args(["--budget", "20s"]).start();
    let mut speaker = server.tcp();
    for _ in 0..5 {
        let mut deaf: Vec<_> = (0..5).map(|_| server.tcp()).collect();
        for client in &mut deaf {
            client.exchange(b"sub", b"subscribed");
        }
        speaker.exchange(b"flood", b"flooded");
        wait_until("the timer should run", || {
            speaker.send(b"ticks");
            (speaker.read_once() != b"0").then_some(())
        });
        let memory = server.memory_kib();
        assert!(memory < MOST_MEMORY_KIB, "{memory} KiB resident");
    }
    server.assert_no_log("a publish waited");
    server.assert_no_log("handler fault");
}

#[test]
fn a_datagram_subscriber_that_is_too_slow_loses_news_and_stays() {
    let server = Server::builder().script(FLOODING).args(["--budget", "20s"]).start();
    let (peer, other) = (server.udp(), server.udp());
    peer.exchange(b"sub", b"subscribed");
    let mut speaker = server.tcp();
    speaker.exchange(b"small flood", b"flooded");
    other.exchange(b"hello", b"hello");
    wait_until("the peer should be answered again", || {
        peer.send(b"hello");
        // The answer may be lost too, while the kernel's buffer is full of news.
        while let Some(datagram) = peer.receive_within(Duration::from_millis(100)) {
            if datagram == b"hello" {
                return Some(());
            }
            assert_eq!(datagram, b"small");
        }
        None
    });
    server.assert_no_log("handler fault");
}

#[test]
fn a_worker_that_is_far_behind_is_told_of_and_no_queue_grows() {
    let script = r#"
      local TEXT = ("x"):rep(4096)
      return function(msg, conn)
        if msg == "worker" then
          return `{server.worker}\n`
        elseif msg == "sub" then
          return `{conn:subscribe("news")}\n`
        elseif msg == "spin" then
          log.info("spins")
          local stop = server.now() + 4
          while server.now() < stop do end
          return "stopped\n"
        end
        for n = 1, 50000 do
          local ok, why = server.publish("news", TEXT)
          if not ok then return `{why}\n` end
        end
        return "never full\n"
      end"#;
    let server = Server::builder().script(script).args(["-w", "2", "--budget", "30s"]).start();
    let mut first = one_on_each(&server, 2);
    let mut second = one_on_each(&server, 2);
    second[1].exchange(b"sub", b"true\n");
    first[1].send(b"spin");
    server.wait_log("spins");
    first[0].exchange(b"flood", b"full\n");
    let memory = server.memory_kib();
    assert!(memory < MOST_MEMORY_KIB, "{memory} KiB resident");
    first[1].expect(b"stopped\n");
    first[1].exchange(b"worker", b"2\n");
    second[0].exchange(b"worker", b"1\n");
}

#[test]
fn subscriptions_have_a_limit_that_is_told() {
    let script = r#"
      local LONG = ("x"):rep(1000)
      return function(msg, conn)
        if msg ~= "fill" then return msg end
        for n = 1, 1000000 do
          local ok, why = conn:subscribe(LONG .. n)
          if not ok then return why end
        end
        return "no limit"
      end"#;
    let server = Server::builder().script(script).args(["--budget", "60s"]).start();
    let mut client = server.tcp();
    client.set_read_limit(Duration::from_secs(60));
    client.exchange(b"fill", b"limit");
    let memory = server.memory_kib();
    assert!(memory < 2 * MOST_MEMORY_KIB, "{memory} KiB resident");
    server.tcp().exchange(b"others", b"others");
}
