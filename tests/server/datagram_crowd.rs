//! Datagram peers in numbers and at their ends: they hold nobody else up, are never more than
//! allowed, and what a closing callback does is done at once.

use crate::support::{DatagramClient, SIGCONT, SIGSTOP, SIGTERM, Server};
use crate::talk::ask;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Exchanges without a pause until told to stop; gives the worst wait and the number of answers.
fn worst_answer(server: &Server, stop: &AtomicBool) -> (Duration, usize) {
    let mut client = server.tcp();
    let (mut worst, mut count) = (Duration::ZERO, 0);
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        client.exchange(b"hello", b"hello");
        worst = worst.max(start.elapsed());
        count += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    (worst, count)
}

#[test]
fn a_callback_that_sends_twenty_thousand_datagrams_holds_nobody_up() {
    let mut server = Server::builder()
        .script(
            r#"return function(msg, conn)
              if msg ~= "go" then return msg end
              log.info("sends")
              for i = 1, 20000 do conn:send("x" .. i) end
              log.info("has sent")
            end"#,
        )
        .args(["--budget", "5s"])
        .start();
    let peer = server.udp();
    peer.send(b"go");
    server.wait_log("sends");
    let mut client = server.tcp();
    for _ in 0..50 {
        client.exchange(b"hello", b"hello");
    }
    peer.expect(b"x1");
    server.wait_log("has sent");
    server.udp().exchange(b"hello", b"hello");
    let begin = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "drained in {:?}", begin.elapsed());
}

#[test]
fn a_callback_that_sends_for_ever_holds_nobody_up() {
    let mut server = Server::builder()
        .script(
            r#"return function(msg, conn)
              if msg ~= "go" then return msg end
              log.info("sends")
              local n = 0
              while conn:send("x" .. n) do n += 1 end
              log.info("cannot send on")
            end"#,
        )
        .start();
    let peer = server.udp();
    peer.send(b"go");
    server.wait_log("sends");
    let mut client = server.tcp();
    for _ in 0..50 {
        client.exchange(b"hello", b"hello");
    }
    let begin = Instant::now();
    server.signal(SIGTERM);
    let status = server.wait_exit();
    assert!(begin.elapsed() < Duration::from_secs(15), "ended after {:?}", begin.elapsed());
    assert!(status == 0 || status == 1, "ended with {status}");
}

#[test]
fn an_idle_peers_last_words_to_another_arrive_promptly() {
    let server = Server::builder()
        .script(
            r#"return {
              peer_timeout = 1.5,
              on_message = function(msg, conn)
                if msg == "keep" then server.state.kept = conn return "kept" end
                conn.state.last = true
                return msg
              end,
              on_close = function(conn)
                if conn.state.last then server.state.kept:send(`{server.now()}`) end
              end,
            }"#,
        )
        .start();
    let (idle, kept) = (server.udp(), server.udp());
    idle.exchange(b"hello", b"hello");
    std::thread::sleep(Duration::from_millis(750));
    kept.exchange(b"keep", b"kept");
    let sent: f64 = String::from_utf8(kept.receive()).unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let delay = now.as_secs_f64() - sent;
    assert!(delay < 0.5, "the datagram waited {delay:.3} s in the server");
}

#[test]
fn an_idle_peers_on_close_may_close_another() {
    let server = Server::builder()
        .script(
            r#"return {
              peer_timeout = 1.5,
              on_message = function(msg, conn)
                conn.state.name = msg
                server.state[msg] = conn
                return msg
              end,
              on_close = function(conn, reason)
                log.info(`{conn.state.name} gone {reason} at {server.now()};`)
                if conn.state.name == "first" then server.state.second:close() end
              end,
            }"#,
        )
        .start();
    let (first, second) = (server.udp(), server.udp());
    first.exchange(b"first", b"first");
    std::thread::sleep(Duration::from_millis(750));
    second.exchange(b"second", b"second");
    let time_of = |end: &str| -> f64 {
        let line = server.wait_log(end);
        line.split_once(" at ").unwrap().1.split_once(';').unwrap().0.parse().unwrap()
    };
    let delay = time_of("second gone closed") - time_of("first gone idle");
    assert!(delay < 0.5, "closed {delay:.3} s later");
}

#[test]
fn an_on_reload_may_close_its_peer() {
    let script = r"return {
      on_message = function(msg, conn) return msg end,
      on_reload = function(conn) conn:close() end,
      on_close = function(conn, reason) log.info(`gone {conn.peer} {reason}`) end,
    }";
    let server = Server::builder().script("return function(msg) return msg end\n").start();
    let (first, second) = (server.udp(), server.udp());
    first.exchange(b"x", b"x");
    second.exchange(b"x", b"x");
    server.save("handler.lua", script);
    server.wait_log(&format!("gone {} closed", first.local_addr()));
    server.wait_log(&format!("gone {} closed", second.local_addr()));
    first.exchange(b"x", b"x");
}

#[test]
fn sixty_four_runaway_peers_leave_turns_for_others() {
    const PEERS: u32 = 64;
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg)
                if msg == "run" then while true do end end
                return msg
              end,
              on_error = function() return "ended" end,
            }"#,
        )
        .args(["--budget", "50ms"])
        .start();
    let stop = AtomicBool::new(false);
    let (took, (worst, answers)) = std::thread::scope(|scope| {
        let other = scope.spawn(|| worst_answer(&server, &stop));
        let begin = Instant::now();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let peers: Vec<DatagramClient> = (0..PEERS).map(|_| server.udp()).collect();
            for peer in &peers {
                peer.send(b"run");
            }
            for peer in &peers {
                peer.expect(b"ended");
            }
        }));
        stop.store(true, Ordering::Relaxed);
        ended.unwrap();
        (begin.elapsed(), other.join().unwrap())
    });
    eprintln!("{PEERS} runaway peers: {took:.1?}, worst of {answers} answers {worst:.1?}");
    assert!(took > Duration::from_secs(3), "the whole took only {took:?}");
    assert!(worst < Duration::from_millis(1500), "an answer took {worst:?}");
}

#[test]
fn a_datagram_behind_a_close_is_not_handled_by_the_closed_peer() {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg, conn)
                if conn.state.closed then log.info(`{msg} handled by a closed peer`) end
                log.info(`handled {msg}`)
                if msg == "close" then conn.state.closed = true conn:close() return end
                if msg == "close later" then
                  conn.state.closed = true
                  conn:close()
                  sleep(0.05)
                  return
                end
                return msg
              end,
            }"#,
        )
        .start();
    for message in ["close", "close later"] {
        let (peer, other) = (server.udp(), server.udp());
        // Both are there when the server looks.
        server.signal(SIGSTOP);
        peer.send(message.as_bytes());
        peer.send(b"behind");
        peer.send(b"behind");
        server.signal(SIGCONT);
        server.wait_log(&format!("handled {message}"));
        other.exchange(b"x", b"x");
        std::thread::sleep(Duration::from_millis(200));
        other.exchange(b"x", b"x");
    }
    server.assert_no_log("handled by a closed peer");
}

#[test]
fn a_peer_closed_in_on_connect_gets_no_on_message() {
    let server = Server::builder()
        .script(
            r#"return {
              on_connect = function(conn)
                if conn.transport == "udp" then conn:close() end
              end,
              on_message = function(msg, conn)
                if conn.transport == "udp" then log.info("handled") end
                return msg
              end,
              on_close = function(conn, reason) log.info(`gone {reason}`) end,
            }"#,
        )
        .start();
    let peer = server.udp();
    server.signal(SIGSTOP);
    peer.send(b"x");
    peer.send(b"y");
    server.signal(SIGCONT);
    server.wait_log("gone closed");
    server.tcp().exchange(b"hello", b"hello");
    peer.expect_silence(Duration::from_millis(200));
    server.assert_no_log("handled");
}

#[test]
fn no_more_than_max_peers_are_open_though_all_are_busy() {
    let server = Server::builder()
        .script(
            r#"
            server.state.open = 0
            server.state.most = 0
            return {
              on_connect = function(conn)
                if conn.transport ~= "udp" then return end
                server.state.open += 1
                server.state.most = math.max(server.state.most, server.state.open)
              end,
              on_message = function(msg, conn)
                if conn.transport ~= "udp" then
                  return `{server.state.open} {server.state.most}\n`
                end
                sleep(0.5)
                return msg
              end,
              on_close = function(conn)
                if conn.transport == "udp" then server.state.open -= 1 end
              end,
            }"#,
        )
        .args(["--max-peers", "10"])
        .start();
    let mut client = server.tcp();
    let peers: Vec<DatagramClient> = (0..100).map(|_| server.udp()).collect();
    let begin = Instant::now();
    for peer in &peers {
        peer.send(b"x");
    }
    while begin.elapsed() < Duration::from_secs(1) {
        let answer = ask(&mut client, "?");
        let (open, most) = answer.split_once(' ').unwrap();
        let (open, most): (usize, usize) = (open.parse().unwrap(), most.parse().unwrap());
        assert!(open <= 10 && most <= 10, "{open} peers are open, {most} were");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(ask(&mut client, "?").ends_with(" 10"), "the limit was never reached");
    // Once nobody is busy a new one gets a place.
    std::thread::sleep(Duration::from_secs(1));
    server.udp().exchange(b"late", b"late");
}

#[test]
fn what_waits_for_many_peers_is_bounded_together() {
    const PEERS: usize = 60;
    const EACH: usize = 60;
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"wait\" then conn:send(\"waits\") sleep(1000) end
               return \"alive\"
             end",
        )
        .start();
    let before = server.memory_kib();
    let large = vec![b'x'; 60_000];
    let peers: Vec<_> = (0..PEERS).map(|_| server.udp()).collect();
    let witness = server.udp();
    for peer in &peers {
        peer.exchange(b"wait", b"waits");
        for number in 1..=EACH {
            peer.send(&large);
            // What the system holds for the socket must not run over.
            if number % 3 == 0 {
                witness.exchange(b"x", b"alive");
            }
        }
    }
    let grown = server.memory_kib() - before;
    assert!(grown < 110 * 1024, "{grown} KiB wait");
}
