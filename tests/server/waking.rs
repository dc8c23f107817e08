//! Nobody sleeps through what he waits for: reads beside a full queue, reads that are given up,
//! datagrams that mean nothing.

use crate::support::{Client, Server};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

/// A server that answers each byte with 50, and reads no further before they have left.
fn amplifier() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut peer = Client::of_tcp(listener.accept().unwrap().0);
        peer.set_read_limit(Duration::from_secs(60));
        peer.set_write_limit(Duration::from_secs(60));
        loop {
            let data = peer.read_once();
            if data.is_empty() {
                return;
            }
            peer.send(&data.repeat(50));
        }
    });
    address
}

#[test]
fn an_outgoing_connection_is_read_while_its_peer_takes_nothing() {
    const SENT: usize = 4 << 20;
    let script = format!(
        "return {{
           on_session = function(conn)
             local up = connect(\"tcp://{}\")
             spawn(function()
               local all = 0
               while all < {} do
                 local data, why = up:read()
                 if not data then log.info(`read gave {{why}};`) return end
                 all += #data
               end
               conn:send(`{{all}} came back`)
               up:close()
               conn:close()
             end)
             while true do
               local data = conn:read()
               if not data then return end
               up:send(data)
             end
           end,
         }}",
        amplifier(),
        SENT * 50,
    );
    let server = Server::builder().script(&script).args(["--send-timeout", "5s"]).start();
    let mut client = server.tcp();
    client.set_read_limit(Duration::from_secs(60));
    client.send(&vec![b'a'; SENT]);
    client.expect(format!("{} came back", SENT * 50).as_bytes());
    server.assert_no_log("read gave");
}

#[test]
fn a_conversation_that_reads_ends_when_its_peer_takes_nothing() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"line\",
               on_session = function(conn)
                 conn:option(\"send_buffer\", 4096)
                 for _ = 1, 17 do conn:send((\"x\"):rep(60000)) end
                 log.info(`read gave {select(2, conn:read())};`)
               end,
               on_close = function(conn, reason) log.info(`gone: {reason};`) end,
             }",
        )
        .args(["--send-timeout", "300ms"])
        .start();
    let _client = server.tcp();
    server.wait_log("gone: slow;");
    server.wait_log("read gave closed;");
}

#[test]
fn what_a_task_gave_up_to_read_goes_to_on_message() {
    let server = start(
        "return {
           framing = \"line\",
           on_message = function(msg, conn)
             if msg ~= \"task\" then return `<{msg}>` end
             spawn(function()
               conn:send(\"reads\")
               conn:read({fixed = 100, timeout = 0.3})
               sleep(1000)
             end)
           end,
         }",
    );
    let mut client = server.tcp();
    client.exchange(b"task\n", b"reads\n");
    client.exchange(b"short\n", b"<short>\n");
}

#[test]
fn an_outgoing_datagram_that_is_no_message_does_not_end_the_wait() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let script = format!(
        "local function split(data)
           if data == \"nothing\" then return #data end
           return #data, data
         end
         return {{
           on_connect = function(conn)
             local up = connect(\"udp://{}\", {{framing = split}})
             up:send(\"hello\")
             while true do log.info(`got {{up:read()}};`) end
           end,
         }}",
        peer.local_addr().unwrap(),
    );
    let server = start(&script);
    let _client = server.tcp();
    let (_, dialler) = peer.recv_from(&mut [0; 64]).unwrap();
    peer.send_to(b"one", dialler).unwrap();
    server.wait_log("got one;");
    peer.send_to(b"nothing", dialler).unwrap();
    server.wait_log("got one;");
    peer.send_to(b"two", dialler).unwrap();
    server.wait_log("got two;");
}

#[test]
fn a_datagram_that_a_task_finds_too_long_ends_its_peer() {
    let server = start(
        "return {
           on_message = function(msg, conn)
             spawn(function()
               conn:send(\"reads\")
               log.info(`read gave {select(2, conn:read({\"line\", max = 4}))};`)
               sleep(1000)
             end)
           end,
           on_close = function(conn, reason) log.info(`gone: {reason};`) end,
         }",
    );
    let client = server.udp();
    client.exchange(b"x", b"reads");
    client.send(b"much too long");
    server.wait_log("gone: oversize;");
}
