//! The life of outgoing connections: `close`, `reset` and `shutdown` as the other side sees them,
//! whom they end with, a send that waits, and a drain.

use crate::outgoing::calling;
use crate::support::{Listener, SIGTERM, Server, wait_until};
use crate::talk::{ask, reload};
use std::time::{Duration, Instant};

#[test]
fn a_close_sends_the_last_words() {
    let listener = Listener::tcp();
    let server = calling(
        &listener.url(),
        r#"local up = connect(URL) up:send("last words") up:close()
           local sent, why = up:send("late")
           local data, problem = up:read()
           return `{sent} {why} {data} {problem}\n`"#,
    );
    let mut client = server.tcp();
    client.send(b"x");
    assert_eq!(listener.accept().read_to_end(), b"last words");
    client.expect(b"nil closed nil closed\n");
}

#[test]
fn a_reset_is_seen_as_one() {
    let listener = Listener::tcp();
    let server = calling(&listener.url(), r#"local up = connect(URL) up:reset() return "done""#);
    server.tcp().exchange(b"x", b"done");
    listener.accept().expect_reset();
}

#[test]
fn a_shutdown_leaves_the_reading_side_open() {
    let listener = Listener::tcp();
    let server = calling(
        &listener.url(),
        r#"local up = connect(URL) up:send("request") up:shutdown()
           return up:read("line") .. "\n""#,
    );
    let mut client = server.tcp();
    client.send(b"x");
    let mut up = listener.accept();
    assert_eq!(up.read_to_end(), b"request");
    up.send(b"answer\n");
    client.expect(b"answer\n");
}

const KEEPING: &str = r#"
return {
  on_message = function(msg, conn)
    conn.state.up = assert(connect("URL"))
    conn.state.up:send("hello\n")
    return "kept\n"
  end,
  on_reload = function(conn) conn.state.up:send("reloaded\n") end,
}
"#;

#[test]
fn a_connection_that_a_callback_made_ends_with_its_client() {
    let listener = Listener::tcp();
    let server = Server::builder().script(&KEEPING.replace("URL", &listener.url())).start();
    let (mut client, mut second) = (server.tcp(), server.tcp());
    client.exchange(b"x", b"kept\n");
    let mut up = listener.accept();
    second.exchange(b"x", b"kept\n");
    let mut other = listener.accept();
    up.expect(b"hello\n");
    drop(client);
    up.expect_gone();
    other.expect(b"hello\n");
    other.expect_silence(Duration::from_millis(100));
}

#[test]
fn a_connection_that_a_callback_made_survives_a_reload() {
    let listener = Listener::tcp();
    let script = KEEPING.replace("URL", &listener.url());
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"kept\n");
    let mut up = listener.accept();
    up.expect(b"hello\n");
    for generation in 2..5 {
        reload(&server, &format!("-- {generation}\n{script}"), generation);
        up.expect(b"reloaded\n");
    }
    listener.assert_no_more();
    drop(client);
    up.expect_gone();
}

#[test]
fn a_connection_of_on_load_ends_after_on_unload() {
    let listener = Listener::tcp();
    let script = r#"
      local up
      return {
        on_load = function() up = assert(connect("URL")) up:send(`load {server.generation}\n`) end,
        on_unload = function() sleep(0.05) up:send("goodbye\n") end,
      }"#;
    let script = script.replace("URL", &listener.url());
    let server = Server::builder().script(&script).start();
    let mut first = listener.accept();
    first.expect(b"load 1\n");
    reload(&server, &format!("-- again\n{script}"), 2);
    let mut second = listener.accept();
    second.expect(b"load 2\n");
    assert_eq!(first.read_to_end(), b"goodbye\n");
    second.expect_silence(Duration::from_millis(100));
}

#[test]
fn a_connection_that_a_task_made_ends_with_the_owner_of_the_task() {
    let listener = Listener::tcp();
    let server = calling(
        &listener.url(),
        r#"spawn(function()
             local up = assert(connect(URL))
             up:send("from a task")
             sleep(3600)
           end)
           return "spawned""#,
    );
    let mut client = server.tcp();
    client.exchange(b"x", b"spawned");
    let mut up = listener.accept();
    up.expect(b"from a task");
    drop(client);
    up.expect_gone();
}

const FLOODING: &str = r#"
return function(msg, conn)
  if msg == "ask" then return `{server.state.sent}\n` end
  local up = assert(connect("URL"))
  log.info("connected")
  for n = 1, 1000 do
    local ok, why = up:send(("x"):rep(65536))
    if not ok then return `gave up: {why}\n` end
    server.state.sent = n
  end
  up:close()
  return "all sent\n"
end
"#;

#[test]
fn a_send_waits_while_the_other_side_takes_nothing() {
    let listener = Listener::tcp();
    let server = Server::builder().script(&FLOODING.replace("URL", &listener.url())).start();
    let mut client = server.tcp();
    client.send(b"x");
    let mut up = listener.accept();
    server.wait_log("connected");
    let mut other = server.tcp();
    // It stands still at some number: the buffers of the kernel and the queue are full.
    let mut last = String::new();
    wait_until("the sending should stand still", || {
        let sent = ask(&mut other, "ask");
        std::thread::sleep(Duration::from_millis(50));
        let is_still = sent != "nil" && sent == last;
        last = sent;
        is_still.then_some(())
    });
    assert_ne!(last, "1000", "64 MiB were taken for a peer that reads nothing");
    let memory = server.memory_kib();
    assert!(memory < 200 * 1024, "{memory} KiB resident");
    assert_eq!(up.read_to_end().len(), 1000 * 65536);
    client.expect(b"all sent\n");
}

#[test]
fn a_send_that_waits_too_long_gives_up() {
    let listener = Listener::tcp();
    let server = Server::builder()
        .script(&FLOODING.replace("URL", &listener.url()))
        .args(["--send-timeout", "500ms"])
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    let up = listener.accept();
    client.expect(b"gave up: closed\n");
    server.tcp().exchange(b"ask", format!("{}\n", ask(&mut client, "ask")).as_bytes());
    drop(up);
}

#[test]
fn a_send_that_waits_ends_when_the_other_side_goes() {
    let listener = Listener::tcp();
    let server = Server::builder().script(&FLOODING.replace("URL", &listener.url())).start();
    let mut client = server.tcp();
    client.send(b"x");
    let up = listener.accept();
    server.wait_log("connected");
    let begin = Instant::now();
    up.reset();
    client.expect(b"gave up: closed\n");
    assert!(begin.elapsed() < Duration::from_secs(5), "told after {:?}", begin.elapsed());
}

#[test]
fn a_drain_tells_who_reads_and_ends_outgoing_connections() {
    let listener = Listener::tcp();
    let script = r#"return {
      on_load = function()
        spawn(function()
          local up = assert(connect("URL"))
          up:send("hello")
          log.info("reads")
          local data, why = up:read()
          log.info(`read gave {data} {why}`)
        end)
      end,
    }"#;
    let mut server = Server::builder().script(&script.replace("URL", &listener.url())).start();
    let mut up = listener.accept();
    up.expect(b"hello");
    server.wait_log("reads");
    let begin = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "drained in {:?}", begin.elapsed());
    server.wait_log("read gave nil shutdown");
    up.expect_gone();
}

#[test]
fn a_closed_outgoing_connection_holds_no_descriptor() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp) = (listener.local_addr().unwrap(), peer.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    for (url, how) in [
        (format!("udp://{udp}"), "close"),
        (format!("udp://{udp}"), "reset"),
        (format!("tcp://{tcp}"), "close"),
        (format!("tcp://{tcp}"), "reset"),
    ] {
        let server = Server::builder()
            .script(&format!(
                "server.state.kept = {{}}
                 return {{
                   framing = \"line\",
                   on_message = function(msg)
                     local up = connect(\"{url}\")
                     up:send(\"hello\")
                     up:{how}()
                     table.insert(server.state.kept, up)
                     return msg
                   end,
                 }}"
            ))
            .start();
        let mut client = server.tcp();
        client.exchange(b"x\n", b"x\n");
        let count = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
        for _ in 0..100 {
            client.exchange(b"x\n", b"x\n");
        }
        wait_until("the descriptors should be closed", || (count() < 60).then_some(()));
    }
}
