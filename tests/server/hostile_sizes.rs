//! Peers that send too much: messages over the limit, without an end, and held just below the limit
//! by many. The server lives, its memory stays bounded, and everyone else is answered.

use crate::framed::brackets;
use crate::hostile_frames::{beside_a_witness, is_bounded, is_timeout};
use crate::support::{LIMIT, Server};
use crate::talk::read_line;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

/// Writes `filler` behind `head` for as long as the server takes it; how much that was.
fn endless(address: SocketAddr, head: &[u8], filler: &[u8]) -> usize {
    const ENOUGH: usize = 64 << 20;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    let block = filler.repeat(65_536 / filler.len());
    let mut sent = 0;
    if stream.write_all(head).is_err() {
        return sent;
    }
    while sent < ENOUGH {
        match stream.write(&block) {
            Ok(count) => sent += count,
            Err(error) => {
                assert!(!is_timeout(error.kind()), "the server neither reads on nor closes");
                break;
            }
        }
    }
    sent
}

#[test]
fn a_message_that_never_ends_is_cut_off_and_takes_no_memory() {
    const NEVER: &str = "function(buffer)
      if buffer:byte(1) == 97 then return 1, \"a\" end
    end";
    for (framing, head, filler, good, answer) in [
        ("\"line\"", &b""[..], &b"x"[..], &b"a\n"[..], &b"<a>\n"[..]),
        ("\"line\"", b"", b"\r", b"a\n", b"<a>\n"),
        ("\"crlf\"", b"", b"\r", b"a\r\n", b"<a>\r\n"),
        ("\"delimiter:0x0d0a0d0a\"", b"", b"\r\n\r", b"a\r\n\r\n", b"<a>\r\n\r\n"),
        ("\"delimiter:0x00\"", b"", b"\xff", b"a\0", b"<a>\0"),
        ("\"netstring\"", b"", b"1", b"1:a,", b"3:<a>,"),
        ("\"length:varint\"", b"", b"\xff", b"\x01a", b"\x03<a>"),
        ("\"length:u32be\"", b"\xff\xff\xff\xff", b"x", b"\0\0\0\x01a", b"\0\0\0\x03<a>"),
        (NEVER, b"", b"x", b"a", b"<a>"),
    ] {
        eprintln!("{framing} {}", filler.escape_ascii());
        let server = brackets(framing);
        let before = server.memory_kib();
        beside_a_witness(&server, (good, answer), 8, |_| {
            let sent = endless(server.tcp_addr(), head, filler);
            assert!(sent < 32 << 20, "the server took {sent} bytes of one message");
        });
        server.wait_log_count("gone: ", 8);
        // Eight times the limit of 1 MiB, a few times over: buffers double, garbage waits.
        is_bounded(&server, before, 48 * 1024);
    }
}

#[test]
fn many_who_stop_just_below_the_limit_take_no_more_than_that() {
    const PEERS: usize = 200;
    for (framing, head, answer) in [
        ("\"line,max=64KiB\"", &b""[..], &b"\n"[..]),
        ("\"length:u32be,max=64KiB\"", b"\0\x01\0\0", b"1234567"),
        ("\"netstring,max=64KiB\"", b"65536:", b"1234567,"),
        ("\"fixed:65536\"", b"", b"1234567"),
    ] {
        eprintln!("{framing}");
        let script = format!(
            "return {{framing = {framing}, reply_framing = \"line\",
                      on_message = function(msg) return tostring(#msg) end}}\n"
        );
        let server = Server::builder().script(&script).start();
        let before = server.memory_kib();
        let mut clients: Vec<_> = (0..PEERS).map(|_| server.tcp()).collect();
        for client in &mut clients {
            client.send(&[head, &vec![b'x'; 65_529]].concat());
        }
        // By the time that the last is answered, the others have been read.
        let last = clients.last_mut().unwrap();
        last.send(answer);
        assert!(read_line(last).starts_with("655"));
        is_bounded(&server, before, 48 * 1024);
        for client in &mut clients[..PEERS - 1] {
            client.send(answer);
            assert!(read_line(client).starts_with("655"));
        }
        is_bounded(&server, before, 64 * 1024);
    }
}

#[test]
fn a_hundred_oversize_messages_end_a_hundred_connections() {
    for (framing, good, answer, too_long) in [
        ("\"line,max=1KiB\"", &b"a\n"[..], &b"<a>\n"[..], vec![b'x'; 4096]),
        ("\"netstring,max=1KiB\"", b"1:a,", b"3:<a>,", b"1025:".to_vec()),
        ("\"length:u32be,max=1KiB\"", b"\0\0\0\x01a", b"\0\0\0\x03<a>", vec![0xff; 4]),
    ] {
        let server = brackets(framing);
        let mut witness = server.tcp();
        let mut clients: Vec<_> = (0..100).map(|_| server.tcp()).collect();
        for client in &mut clients {
            client.send(good);
            client.send(&too_long);
        }
        witness.exchange(good, answer);
        for client in &mut clients {
            client.expect(answer);
            client.expect_eof();
        }
        server.wait_log_count("gone: oversize;", 100);
        witness.exchange(good, answer);
    }
}
