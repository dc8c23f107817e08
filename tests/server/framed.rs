//! What the tests of framing and conversations share: every kind with its wire text, a handler
//! that shows where its messages begin and end, bytes in awkward pieces, one dialogue over every
//! transport.

use crate::support::{Client, DatagramClient, Server};
use std::time::Duration;

/// One kind of framing, in both of its spellings, with two or more messages on the wire.
pub struct Kind {
    /// As `--framing` takes it.
    pub text: &'static str,
    /// As a table of a script.
    pub table: &'static str,
    /// Messages, the last of them complete.
    pub wire: &'static [u8],
    /// What `bracketing` answers to `wire`.
    pub answers: &'static [u8],
}

const fn kind(
    text: &'static str,
    table: &'static str,
    wire: &'static [u8],
    answers: &'static [u8],
) -> Kind {
    Kind { text, table, wire, answers }
}

/// Every kind but `raw`, whose messages are what the reads happen to return, and functions.
pub const KINDS: [Kind; 18] = [
    kind("line", "{line = true}", b"one\r\ntwo\n\nx\ry\r\r\n", b"<one>\n<two>\n<>\n<x\ry\r>\n"),
    kind(
        "crlf",
        "{crlf = true}",
        b"one\r\ntwo\n\r\nx\ry\r\n",
        b"<one>\r\n<two>\r\n<>\r\n<x\ry>\r\n",
    ),
    kind("delimiter:0x00", "{delimiter = \"\\0\"}", b"one\0two\r\n\0\0", b"<one>\0<two\r\n>\0<>\0"),
    kind(
        "delimiter:0x0d0a0d0a",
        "{delimiter = \"\\r\\n\\r\\n\"}",
        b"a\r\nb\r\n\r\nc\r\n\r\r\n\r\n",
        b"<a\r\nb>\r\n\r\n<c\r\n\r>\r\n\r\n",
    ),
    kind(r"delimiter:\x2c\t", "{delimiter = \",\\t\"}", b"a,b,\t,\t", b"<a,b>,\t<>,\t"),
    kind("delimiter:END", "{delimiter = \"END\"}", b"oneENDtwoEENDEND", b"<one>END<twoE>END<>END"),
    kind("length:u8", "{length = \"u8\"}", b"\x03one\0\x02\r\n", b"\x05<one>\x02<>\x04<\r\n>"),
    kind("length:u16be", "{length = \"u16be\"}", b"\0\x03one\0\0", b"\0\x05<one>\0\x02<>"),
    kind("length:u16le", "{length = \"u16le\"}", b"\x03\0one\0\0", b"\x05\0<one>\x02\0<>"),
    kind("length:u24be", "{length = \"u24be\"}", b"\0\0\x03one\0\0\0", b"\0\0\x05<one>\0\0\x02<>"),
    kind(
        "length:u32be",
        "{length = \"u32be\"}",
        b"\0\0\0\x03one\0\0\0\0",
        b"\0\0\0\x05<one>\0\0\0\x02<>",
    ),
    kind(
        "length:u32le,offset=0,header=strip",
        "{length = \"u32le\", offset = 0, header = \"strip\"}",
        b"\x03\0\0\0one\0\0\0\0",
        b"\x05\0\0\0<one>\x02\0\0\0<>",
    ),
    kind("length:varint", "{length = \"varint\"}", b"\x03one\0", b"\x05<one>\x02<>"),
    // The field counts itself, so a reply's does too.
    kind(
        "length:u16be,adjust=-2",
        "{length = \"u16be\", adjust = -2}",
        b"\0\x05one\0\x02",
        b"\0\x07<one>\0\x04<>",
    ),
    // Modbus.
    kind(
        "length:u16be,offset=4,header=keep",
        "{length = \"u16be\", offset = 4, header = \"keep\"}",
        b"\0\x01\0\0\0\x02\x01\x03\0\x02\0\0\0\0",
        b"<\0\x01\0\0\0\x02\x01\x03><\0\x02\0\0\0\0>",
    ),
    // PostgreSQL.
    kind(
        "length:u32be,offset=1,adjust=-4,header=keep",
        "{length = \"u32be\", offset = 1, adjust = -4, header = \"keep\"}",
        b"Q\0\0\0\x08selfX\0\0\0\x04",
        b"<Q\0\0\0\x08self><X\0\0\0\x04>",
    ),
    kind("fixed:3", "{fixed = 3}", b"onetwo\0\r\n", b"<one><two><\0\r\n>"),
    kind("netstring", "{netstring = true}", b"3:one,0:,4:a,b:,", b"5:<one>,2:<>,6:<a,b:>,"),
];

/// `text` as a string of a script, byte for byte.
pub fn quoted(text: &str) -> String {
    format!("[[{text}]]")
}

/// A handler that answers every message in brackets, and logs why a connection ended. `framing` is
/// an expression of the script.
pub fn bracketing(framing: &str) -> String {
    format!(
        "return {{
           framing = {framing},
           on_message = function(msg) return \"<\" .. msg .. \">\" end,
           on_close = function(conn, reason) log.info(`gone: {{reason}};`) end,
         }}\n"
    )
}

/// A handler that is one conversation: `body` is that of its `on_session`, `keys` is what else the
/// table has. It logs why a connection ended.
pub fn session(keys: &str, body: &str) -> String {
    format!(
        "return {{
           {keys}
           on_session = function(conn)
{body}
           end,
           on_close = function(conn, reason) log.info(`gone: {{reason}};`) end,
         }}\n"
    )
}

/// A server with `bracketing`.
pub fn brackets(framing: &str) -> Server {
    Server::builder().script(&bracketing(framing)).start()
}

/// Sends `pieces`, with a pause behind each in which the server may read it. Whether it does
/// changes nothing: the messages are the same however their bytes arrive.
#[track_caller]
pub fn send_pieces<'a>(client: &mut Client, pieces: impl IntoIterator<Item = &'a [u8]>) {
    for piece in pieces {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends `wire` whole, byte by byte, and cut in two at every place; expects `answers` each time.
#[track_caller]
pub fn exchange_at_every_split(client: &mut Client, wire: &[u8], answers: &[u8]) {
    client.exchange(wire, answers);
    send_pieces(client, wire.chunks(1));
    client.expect(answers);
    for cut in 1..wire.len() {
        send_pieces(client, [&wire[..cut], &wire[cut..]]);
        client.expect(answers);
    }
}

/// A peer of any transport.
pub trait Peer {
    /// Sends `data`, as bytes or as one datagram.
    fn say(&mut self, data: &[u8]);
    /// Expects exactly `data`, as bytes or as one datagram.
    fn hear(&mut self, data: &[u8]);
}

impl Peer for Client {
    fn say(&mut self, data: &[u8]) {
        self.send(data);
    }

    fn hear(&mut self, data: &[u8]) {
        self.expect(data);
    }
}

impl Peer for DatagramClient {
    fn say(&mut self, data: &[u8]) {
        self.send(data);
    }

    fn hear(&mut self, data: &[u8]) {
        self.expect(data);
    }
}

/// Starts `script` on TCP, UDP and Unix sockets of both kinds.
pub fn start_everywhere(script: &str) -> Server {
    Server::builder()
        .script(script)
        .listen("tcp://127.0.0.1:0")
        .listen("udp://127.0.0.1:0")
        .listen("unix://stream.sock")
        .listen("unixgram://datagram.sock")
        .start()
}

/// A new peer of each transport of a server that `start_everywhere` has started.
pub fn peers_everywhere(server: &Server) -> Vec<(&'static str, Box<dyn Peer>)> {
    vec![
        ("tcp", Box::new(server.tcp())),
        ("udp", Box::new(server.udp())),
        ("unix", Box::new(server.unix())),
        ("unixgram", Box::new(server.unixgram())),
    ]
}

/// One dialogue with a new peer of each transport: each message, and its replies in order.
#[track_caller]
pub fn same_dialogue_everywhere(script: &str, dialogue: &[(&[u8], &[&[u8]])]) {
    let server = start_everywhere(script);
    for (transport, mut peer) in peers_everywhere(&server) {
        eprintln!("over {transport}");
        for (message, replies) in dialogue {
            peer.say(message);
            for reply in *replies {
                peer.hear(reply);
            }
        }
    }
}
