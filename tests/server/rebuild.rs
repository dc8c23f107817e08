//! A VM whose data is over its memory limit is replaced: once, never behind the back of a reload,
//! and without what waited on the old one.

use crate::support::{Client, Server, wait_until};
use crate::talk::{answering, ask, reload};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const SCRIPT: &str = r#"
return {
  on_load = function()
    log.info("loading ONE")
    sleep(PAUSE)
  end,
  on_message = function(msg)
    if msg == "fill" then
      local big = server.state.big or {}
      server.state.big = big
      while true do table.insert(big, {1, 2, 3}) end
    elseif msg == "wait" then
      log.info("waits")
      sleep(1000)
    end
    return "one\n"
  end,
  on_error = function() return "ended\n" end,
}
"#;

const LIMITS: [&str; 4] = ["--memory", "16MiB", "--budget", "20s"];

fn script(pause: f64) -> String {
    SCRIPT.replace("PAUSE", &pause.to_string())
}

fn start(pause: f64) -> Server {
    Server::builder().script(&script(pause)).args(LIMITS).start()
}

/// Asks on a new connection; `None` where no answer came in time.
fn answer(server: &Server) -> Option<String> {
    let mut stream = TcpStream::connect(server.tcp_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(b"x").unwrap();
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned())
}

fn answers(server: &Server, word: &str) {
    wait_until(&format!("the server should answer {word}"), || {
        (answer(server).as_deref() == Some(word)).then_some(())
    });
}

#[test]
fn six_exhausting_messages_make_one_rebuild() {
    let server = start(1.5);
    let mut clients: Vec<Client> = (0..6).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.send(b"fill");
    }
    server.wait_log("rebuilt");
    answers(&server, "one");
    // Longer than a further on_load would take to begin.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.log_count("rebuilt"), 1);
    assert_eq!(server.log_count("loading ONE"), 2, "at the start, and for the one rebuild");
}

#[test]
fn a_reload_during_a_rebuild_stays_live() {
    let server = start(1.0);
    server.tcp().send(b"fill");
    server.wait_log_count("loading ONE", 2);
    reload(&server, &answering("two"), 2);
    let until = std::time::Instant::now() + Duration::from_secs(3);
    while std::time::Instant::now() < until {
        assert_eq!(ask(&mut server.tcp(), "x"), "two");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_reload_that_was_loading_while_the_vm_was_exhausted_works() {
    let server = start(0.0);
    let two = script(1.0).replace("ONE", "TWO").replace("one", "two");
    server.save("handler.lua", &two);
    server.wait_log("loading TWO");
    server.tcp().send(b"fill");
    server.wait_log("handler fault");
    server.wait_log("generation 2 is live");
    answers(&server, "two");
    // And it goes on to be what it is.
    std::thread::sleep(Duration::from_secs(2));
    answers(&server, "two");
    reload(&server, &answering("three"), 3);
    assert_eq!(ask(&mut server.tcp(), "x"), "three");
}

#[test]
fn a_call_that_waits_on_a_replaced_vm_is_ended() {
    let server = start(0.0);
    let mut waiting = server.tcp();
    waiting.send(b"wait");
    server.wait_log("waits");
    server.tcp().send(b"fill");
    server.wait_log("rebuilt");
    waiting.expect(b"ended\n");
    server.wait_log("the VM was rebuilt while the call waited");
    waiting.exchange(b"x", b"one\n");
}

#[test]
fn memory_does_not_pile_up_over_rebuilds() {
    const MOST_KIB: u64 = 220 * 1024;
    let server = Server::builder()
        .script(&script(0.0))
        .args(["--memory", "32MiB", "--budget", "20s"])
        .start();
    for number in 1..=10 {
        let mut waiting = server.tcp();
        waiting.send(b"wait");
        server.wait_log_count("waits", number);
        let peer = server.udp();
        peer.exchange(b"x", b"one\n");
        server.tcp().send(b"fill");
        server.wait_log_count("rebuilt", number);
        waiting.expect(b"ended\n");
    }
    let resident = server.memory_kib();
    eprintln!("resident after 10 rebuilds of 32 MiB: {resident} KiB");
    assert!(resident < MOST_KIB, "{resident} KiB resident after 10 rebuilds");
}
