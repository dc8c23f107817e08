//! Where a message is too long or malformed, and where the stream ends in the middle of one.

use crate::framed::{bracketing, brackets, quoted};
use crate::support::Server;

/// A spec, a good message with its answer, and a bad one.
type Case = (&'static str, &'static [u8], &'static [u8], &'static [u8]);

/// With a limit of 8 bytes: the good one just fits, the bad one is too long.
const LIMITED: [Case; 9] = [
    ("line,max=8", b"12345678\n", b"<12345678>\n", b"123456789\n"),
    ("line,max=8", b"12345678\r\n", b"<12345678>\n", b"1234567890"),
    ("crlf,max=8", b"12345678\r\n", b"<12345678>\r\n", b"123456789\r\n"),
    ("delimiter:0x3b,max=8", b"12345678;", b"<12345678>;", b"123456789;"),
    ("delimiter:END,max=8", b"12345678END", b"<12345678>END", b"123456789012"),
    ("length:u16be,max=8", b"\0\x0812345678", b"\0\x0a<12345678>", b"\0\x09"),
    ("length:varint,max=8", b"\x0812345678", b"\x0a<12345678>", b"\xff\xff\xff\x7f"),
    ("length:u16be,offset=1,header=keep,max=8", b"A\0\x0512345", b"<A\0\x0512345>", b"A\0\x06"),
    ("netstring,max=8", b"8:12345678,", b"10:<12345678>,", b"9:"),
];

#[test]
fn a_message_over_its_limit_ends_the_connection_as_oversize() {
    for (spec, fits, answer, too_long) in LIMITED {
        eprintln!("{spec}");
        let server = brackets(&quoted(spec));
        let mut witness = server.tcp();
        let mut client = server.tcp();
        client.exchange(&[fits, fits].concat(), &[answer, answer].concat());
        server.assert_no_log("over the limit");
        client.send(too_long);
        client.expect_eof();
        let line = server.wait_log("message over the limit of 8 bytes");
        assert!(line.contains(" INFO "), "{line}");
        server.wait_log("gone: oversize;");
        witness.exchange(fits, answer);
    }
}

#[test]
fn what_came_before_a_message_over_its_limit_is_answered() {
    for (spec, fits, answer, too_long) in LIMITED {
        eprintln!("{spec}");
        let server = brackets(&quoted(spec));
        let mut client = server.tcp();
        client.send(&[fits, fits, too_long].concat());
        assert_eq!(client.read_to_end(), [answer, answer].concat());
        server.wait_log("gone: oversize;");
    }
}

#[test]
fn nothing_behind_a_message_over_its_limit_is_handled() {
    let server = brackets("\"line,max=8\"");
    let mut client = server.tcp();
    client.send(b"one\n123456789\ntwo\nthree\n");
    assert_eq!(client.read_to_end(), b"<one>\n");
    server.wait_log("gone: oversize;");
}

#[test]
fn a_message_without_its_end_is_over_the_limit_before_the_end_comes() {
    for spec in ["line,max=8", "crlf,max=8", "delimiter:0x00,max=8"] {
        let server = brackets(&quoted(spec));
        let mut client = server.tcp();
        client.send(&[b'x'; 40]);
        client.expect_eof();
        server.wait_log("gone: oversize;");
    }
}

#[test]
fn without_a_max_the_limit_is_that_of_the_command_line() {
    for (spec, fits, answer, too_long) in LIMITED {
        let spec = spec.replace(",max=8", "");
        let server = Server::builder()
            .script(&bracketing(&quoted(&spec)))
            .args(["--max-message", "8"])
            .start();
        let mut client = server.tcp();
        client.exchange(fits, answer);
        client.send(too_long);
        client.expect_eof();
        server.wait_log("message over the limit of 8 bytes");
    }
}

#[test]
fn a_max_counts_instead_of_the_limit_of_the_command_line() {
    let server = Server::builder()
        .script(&bracketing("{line = true, max = 16}"))
        .args(["--max-message", "8"])
        .start();
    let mut client = server.tcp();
    client.exchange(b"0123456789abcdef\n", b"<0123456789abcdef>\n");
    client.send(b"0123456789abcdefg\n");
    client.expect_eof();
    server.wait_log("message over the limit of 16 bytes");
}

#[test]
fn without_any_setting_the_limit_is_one_mebibyte() {
    const MIB: usize = 1 << 20;
    let server = Server::builder()
        .script(
            "return {framing = \"length:u32be\", reply_framing = \"line\",
                     on_message = function(msg) return tostring(#msg) end}\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"\0\x10\0\0");
    client.exchange(&vec![b'x'; MIB], b"1048576\n");
    client.send(b"\0\x10\0\x01");
    client.expect_eof();
    server.wait_log("message over the limit of 1048576 bytes");
}

/// The bad one is no message.
const MALFORMED: [Case; 9] = [
    ("netstring", b"1:x,", b"3:<x>,", b"x"),
    ("netstring", b"1:x,", b"3:<x>,", b"3:onex"),
    ("netstring", b"1:x,", b"3:<x>,", b"03:one,"),
    ("netstring", b"1:x,", b"3:<x>,", b":,"),
    ("netstring", b"1:x,", b"3:<x>,", b"-1:,"),
    ("netstring", b"1:x,", b"3:<x>,", b"1 :x,"),
    ("length:varint", b"\x01x", b"\x03<x>", b"\xff\xff\xff\xff\xff\x01"),
    ("length:varint", b"\x01x", b"\x03<x>", b"\xff\xff\xff\xff\x7f"),
    ("length:u16be,adjust=-4", b"\0\x05x", b"\0\x07<x>", b"\0\x03"),
];

#[test]
fn a_malformed_message_ends_the_connection_with_framing() {
    for (spec, good, answer, bad) in MALFORMED {
        eprintln!("{spec} {}", bad.escape_ascii());
        let server = Server::builder()
            .script(&bracketing(&quoted(spec)))
            .args(["--on-error", "keep"])
            .start();
        let mut witness = server.tcp();
        let mut client = server.tcp();
        client.exchange(good, answer);
        client.send(&[good, bad].concat());
        assert_eq!(client.read_to_end(), answer);
        let line = server.wait_log("malformed message: ");
        assert!(line.contains(" INFO "), "{line}");
        server.wait_log("gone: framing;");
        witness.exchange(good, answer);
    }
}

#[test]
fn an_unterminated_rest_is_a_message_at_end_of_stream() {
    for (spec, wire, answers) in [
        ("raw", &b"two"[..], &b"<two>"[..]),
        ("line", b"two", b"<two>\n"),
        ("line", b"one\ntwo", b"<one>\n<two>\n"),
        ("line", b"one\ntwo\r", b"<one>\n<two>\n"),
        ("line", b"one\n", b"<one>\n"),
        ("line", b"", b""),
        ("crlf", b"one\r\ntwo", b"<one>\r\n<two>\r\n"),
        ("delimiter:0x00", b"one\0two\n", b"<one>\0<two\n>\0"),
        ("delimiter:END", b"oneENDtwoEN", b"<one>END<twoEN>END"),
    ] {
        eprintln!("{spec} {}", wire.escape_ascii());
        let server = brackets(&quoted(spec));
        let mut client = server.tcp();
        client.send(wire);
        client.half_close();
        assert_eq!(client.read_to_end(), answers);
        server.wait_log("gone: eof;");
        server.assert_no_log("cut message");
    }
}

#[test]
fn a_cut_counted_message_is_dropped_and_logged() {
    for (spec, wire, answers, logged) in [
        ("fixed:3", &b"oneab"[..], &b"<one>"[..], "cut message dropped: 2 bytes"),
        ("length:u16be", b"\0\x03one\0\x05ab", b"\0\x05<one>", "cut message dropped: "),
        ("length:u16be", b"\0\x03one\0", b"\0\x05<one>", "cut message dropped: 1 byte"),
        ("length:u16be,offset=4,header=keep", b"\0\x01\0", b"", "cut message dropped: 3 bytes"),
        ("length:varint", b"\x80", b"", "cut message dropped: 1 byte"),
        ("netstring", b"3:one,5:ab", b"5:<one>,", "cut message dropped: "),
        ("netstring", b"3:one,5", b"5:<one>,", "cut message dropped: "),
        ("netstring", b"3:one", b"", "cut message dropped: "),
    ] {
        eprintln!("{spec} {}", wire.escape_ascii());
        let server = brackets(&quoted(spec));
        let mut client = server.tcp();
        client.send(wire);
        client.half_close();
        assert_eq!(client.read_to_end(), answers);
        let line = server.wait_log(logged);
        assert!(line.contains(" INFO "), "{line}");
        server.wait_log("gone: eof;");
    }
}

#[test]
fn a_stream_that_ends_between_messages_has_no_cut_one() {
    for kind in &crate::framed::KINDS {
        let server = brackets(&quoted(kind.text));
        let mut client = server.tcp();
        client.send(kind.wire);
        client.half_close();
        assert_eq!(client.read_to_end(), kind.answers);
        server.wait_log("gone: eof;");
        server.assert_no_log("cut message");
    }
}

#[test]
fn on_eof_runs_after_the_last_message() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"line\",
               on_message = function(msg) sleep(0.02); return \"<\" .. msg .. \">\" end,
               on_eof = function(conn) conn:send(\"last\"); return \"words\" end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"one\ntwo\nthree");
    client.half_close();
    assert_eq!(client.read_to_end(), b"<one>\n<two>\n<three>\nlast\nwords\n");
}

#[test]
fn on_eof_is_told_of_an_end_within_a_counted_message() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"length:u16be\",
               on_message = function(msg) return msg end,
               on_eof = function(conn)
                 conn:send(\"cut\")
                 after(0.05, function() conn:send(\"later\") conn:close() end)
                 return true
               end,
             }",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"\0\x03one\0\x05ab");
    client.half_close();
    assert_eq!(client.read_to_end(), b"\0\x03one\0\x03cut\0\x05later");
    server.wait_log("cut message dropped: 4 bytes");
}
