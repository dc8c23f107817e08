//! A callback that waits in its own `send` or `flush` while the peer takes nothing: it ends with
//! the peer, by the send timeout, by a reset of either side, and the server still drains. And the
//! ends of a connection whose peer does not stop sending.

use crate::support::{Client, SIGTERM, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than the kernel and the queue take, so that the wait behind it lasts.
const SCRIPT: &str = r#"
local FLOOD = ("x"):rep(32 * 1024 * 1024)
return {
  on_message = function(msg, conn)
    if msg == "send" then
      conn:send(FLOOD)
      server.state.waiting = conn
      log.info("waits in send")
      local ok, why = conn:send("more")
      log.info(`send gave {ok} {why}`)
    elseif msg == "flush" then
      conn:send(FLOOD)
      server.state.waiting = conn
      log.info("waits in flush")
      local ok, why = conn:flush()
      log.info(`flush gave {ok} {why}`)
    elseif msg == "drip" then
      log.info("waits in drip")
      local ok, why
      repeat
        ok, why = conn:send("p")
        sleep(0.01)
      until not ok
      log.info(`drip gave {ok} {why}`)
    elseif msg == "reset it" then
      server.state.waiting:reset()
      return "done"
    else
      return msg
    end
  end,
  on_close = function(conn, reason) log.info(`gone {conn.peer} {reason}`) end,
}
"#;

fn start(arguments: &[&str]) -> Server {
    let arguments = arguments.iter().copied().chain(["--budget", "5s"]);
    Server::builder().script(SCRIPT).args(arguments).start()
}

/// Has a new connection wait in `call`; its peer reads nothing.
fn waiting_in(server: &Server, call: &str) -> Client {
    let mut client = server.tcp();
    client.send(call.as_bytes());
    server.wait_log(&format!("waits in {call}"));
    client
}

fn drains_at_once(server: &mut Server) {
    let begin = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "drained in {:?}", begin.elapsed());
    server.wait_log("stopped in order");
}

fn ends_as_slow(call: &str) {
    let mut server = start(&["--send-timeout", "500ms"]);
    let client = waiting_in(&server, call);
    server.wait_log(&format!("{call} gave nil closed"));
    server.wait_log(&format!("gone {} slow", client.local_addr()));
    server.tcp().exchange(b"others", b"others");
    drains_at_once(&mut server);
    server.assert_no_log("handler fault");
}

#[test]
fn a_send_that_no_one_takes_ends_by_the_send_timeout() {
    ends_as_slow("send");
}

#[test]
fn a_flush_that_no_one_takes_ends_by_the_send_timeout() {
    ends_as_slow("flush");
}

#[test]
fn a_call_that_waits_when_its_peer_is_too_slow_ends_by_itself_at_a_drain() {
    let mut server = start(&["--send-timeout", "1s"]);
    let client = waiting_in(&server, "send");
    drains_at_once(&mut server);
    server.wait_log("send gave nil closed");
    server.wait_log(&format!("gone {} slow", client.local_addr()));
}

fn ends_with_the_peers_reset(call: &str) {
    let mut server = start(&[]);
    let client = waiting_in(&server, call);
    let address = client.local_addr();
    let begin = Instant::now();
    client.reset();
    server.wait_log(&format!("{call} gave nil closed"));
    server.wait_log(&format!("gone {address} reset"));
    assert!(begin.elapsed() < Duration::from_secs(5), "told after {:?}", begin.elapsed());
    server.tcp().exchange(b"others", b"others");
    drains_at_once(&mut server);
}

#[test]
fn a_send_ends_when_the_peer_resets() {
    ends_with_the_peers_reset("send");
}

#[test]
fn a_flush_ends_when_the_peer_resets() {
    ends_with_the_peers_reset("flush");
}

#[test]
fn sends_between_sleeps_end_when_the_peer_resets() {
    ends_with_the_peers_reset("drip");
}

fn ends_when_another_resets_it(call: &str) {
    let mut server = start(&[]);
    let client = waiting_in(&server, call);
    let begin = Instant::now();
    server.tcp().exchange(b"reset it", b"done");
    server.wait_log(&format!("{call} gave nil closed"));
    server.wait_log(&format!("gone {} reset", client.local_addr()));
    assert!(begin.elapsed() < Duration::from_secs(5), "told after {:?}", begin.elapsed());
    drains_at_once(&mut server);
}

#[test]
fn a_flush_ends_when_another_connection_resets_it() {
    ends_when_another_resets_it("flush");
}

#[test]
fn a_send_ends_when_another_connection_resets_it() {
    ends_when_another_resets_it("send");
}

const GOODBYE: &str = r#"
return {
  on_message = function(msg, conn)
    if msg == "quit" then conn:send("bye"); conn:close() return end
    return msg
  end,
}
"#;

/// Sends pieces until the server has cut the connection; gives how much that was and how long
/// it took.
fn send_until_cut(client: &mut Client, piece: &[u8], pause: Duration) -> (usize, Duration) {
    let begin = Instant::now();
    let mut sent = 0;
    while client.try_send(piece).is_ok() {
        sent += piece.len();
        assert!(begin.elapsed() < Duration::from_secs(15), "never cut, after {sent} bytes");
        std::thread::sleep(pause);
    }
    (sent, begin.elapsed())
}

#[test]
fn after_a_close_a_loud_peer_is_read_for_64_kib_at_most() {
    // What the kernel holds for both ends comes on top.
    const MOST: usize = 16 * 1024 * 1024;
    let server = Server::builder().script(GOODBYE).start();
    let mut client = server.tcp();
    client.exchange(b"quit", b"bye");
    let (sent, took) = send_until_cut(&mut client, &vec![b'x'; 65536], Duration::ZERO);
    assert!(sent < MOST, "{sent} bytes were taken after the close");
    assert!(took < Duration::from_millis(1900), "cut after {took:?}");
    server.tcp().exchange(b"others", b"others");
}

#[test]
fn after_a_close_a_quiet_peer_is_read_for_two_seconds_at_most() {
    let server = Server::builder().script(GOODBYE).start();
    let mut client = server.tcp();
    client.exchange(b"quit", b"bye");
    let (sent, took) = send_until_cut(&mut client, b"x", Duration::from_millis(20));
    assert!(took > Duration::from_secs(1), "cut after {took:?}, {sent} bytes");
    assert!(took < Duration::from_secs(5), "cut after {took:?}, {sent} bytes");
}

#[test]
fn the_last_words_arrive_at_a_peer_that_is_sending() {
    let server = Server::builder().script(GOODBYE).start();
    let mut client = server.tcp();
    client.exchange(b"hello", b"hello");
    let mut reader = client.second_handle();
    client.send(b"quit");
    reader.expect(b"bye");
    // It sends on and is not cut off before it has seen the end.
    client.send(&[b'x'; 1000]);
    reader.expect_eof();
}

#[test]
fn a_reset_drops_what_was_sent_and_comes_at_once() {
    let server = Server::builder()
        .script(
            r#"return {
              on_message = function(msg, conn) conn:send("A") conn:reset() end,
              on_close = function(conn, reason) sleep(4) log.info(`gone {reason}`) end,
            }"#,
        )
        .start();
    let mut stream = TcpStream::connect(server.tcp_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let begin = Instant::now();
    stream.write_all(b"x").unwrap();
    let end = stream.read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert!(begin.elapsed() < Duration::from_secs(3), "reset after {:?}", begin.elapsed());
    server.wait_log("gone reset");
}
