//! Framing on datagram sockets, where the boundary is already there: which kinds split a datagram,
//! which take it whole, and that one handler gives the same answers over every transport.

use crate::framed::{bracketing, brackets, quoted, same_dialogue_everywhere};
use crate::support::{DatagramClient, Server};

/// Sends one datagram and expects one for each of `replies`.
#[track_caller]
fn exchange_all(peer: &DatagramClient, datagram: &[u8], replies: &[&[u8]]) {
    peer.send(datagram);
    for reply in replies {
        peer.expect(reply);
    }
}

#[test]
fn lines_split_a_datagram_and_an_unterminated_rest_counts() {
    let server = brackets("\"line\"");
    let peer = server.udp();
    exchange_all(&peer, b"one", &[b"<one>\n"]);
    exchange_all(&peer, b"one\n", &[b"<one>\n"]);
    exchange_all(&peer, b"a\nb\r\n\nc", &[b"<a>\n", b"<b>\n", b"<>\n", b"<c>\n"]);
    exchange_all(&peer, b"\n", &[b"<>\n"]);
    // Were there one answer too many above, it would be here instead.
    exchange_all(&peer, b"end", &[b"<end>\n"]);
}

#[test]
fn crlf_and_delimiters_split_a_datagram() {
    let crlf = brackets("\"crlf\"");
    exchange_all(&crlf.udp(), b"a\r\nb\nc", &[b"<a>\r\n", b"<b>\r\n", b"<c>\r\n"]);
    let zero = brackets("{delimiter = \"\\0\"}");
    let peer = zero.udp();
    exchange_all(&peer, b"a\n\0b\0", &[b"<a\n>\0", b"<b>\0"]);
    exchange_all(&peer, b"c\0\0d", &[b"<c>\0", b"<>\0", b"<d>\0"]);
    exchange_all(&peer, b"end", &[b"<end>\0"]);
}

#[test]
fn no_line_goes_on_in_the_next_datagram() {
    let server = brackets("\"line\"");
    let peer = server.udp();
    exchange_all(&peer, b"half", &[b"<half>\n"]);
    exchange_all(&peer, b" line\n", &[b"< line>\n"]);
}

#[test]
fn every_other_kind_takes_a_datagram_whole_and_unprefixed() {
    for spec in [
        "raw",
        "length:u8",
        "length:u16be",
        "length:varint",
        "length:u16be,adjust=-2",
        "length:u16be,offset=4,header=keep",
        "fixed:3",
        "netstring",
    ] {
        eprintln!("{spec}");
        let server = brackets(&quoted(spec));
        let peer = server.udp();
        exchange_all(&peer, b"a\nbc\0", &[b"<a\nbc\0>"]);
        exchange_all(&peer, b"3:one,", &[b"<3:one,>"]);
        exchange_all(&peer, b"\xff", &[b"<\xff>"]);
    }
}

#[test]
fn an_empty_datagram_is_one_empty_message_for_every_framing() {
    for (spec, answer) in [
        ("\"raw\"", &b"<>"[..]),
        ("\"line\"", b"<>\n"),
        ("\"crlf\"", b"<>\r\n"),
        ("\"delimiter:0x00\"", b"<>\0"),
        ("\"length:u32be\"", b"<>"),
        ("\"fixed:3\"", b"<>"),
        ("\"netstring\"", b"<>"),
        ("function() error(\"not asked\") end", b"<>"),
    ] {
        eprintln!("{spec}");
        let server = brackets(spec);
        let peer = server.udp();
        exchange_all(&peer, b"", &[answer]);
        exchange_all(&peer, b"", &[answer]);
    }
}

#[test]
fn an_empty_reply_is_an_empty_datagram_or_an_empty_line() {
    for (spec, answer) in [("raw", &b""[..]), ("line", b"\n"), ("netstring", b"")] {
        let server = Server::builder()
            .script(&format!(
                "return {{framing = \"{spec}\", on_message = function() return \"\" end}}\n"
            ))
            .start();
        exchange_all(&server.udp(), b"x", &[answer]);
    }
}

const FUNCTION: &str = r#"function(buffer)
  local at = buffer:find(";", 1, true)
  if at then return at, buffer:sub(1, at - 1) end
  return nil
end"#;

#[test]
fn a_function_splits_a_datagram_and_must_use_it_up() {
    let server = brackets(FUNCTION);
    let (peer, witness) = (server.udp(), server.udp());
    exchange_all(&peer, b"one;two;;", &[b"<one>", b"<two>", b"<>"]);
    witness.exchange(b"x;", b"<x>");
    peer.send(b"half");
    let fault = server.wait_log("framing failed");
    assert!(fault.contains("handler fault"), "{fault}");
    server.wait_log("gone: framing;");
    witness.exchange(b"x;", b"<x>");
    // It comes again as a new peer.
    exchange_all(&peer, b"one;", &[b"<one>"]);
}

#[test]
fn an_error_of_a_function_ends_the_peer_with_framing() {
    let server = brackets(
        "function(buffer)
           if buffer == \"bad\" then error(\"no such frame\") end
           return #buffer, buffer
         end",
    );
    let (peer, witness) = (server.udp(), server.udp());
    peer.exchange(b"good", b"<good>");
    witness.exchange(b"good", b"<good>");
    peer.send(b"bad");
    server.wait_log("no such frame");
    server.wait_log("gone: framing;");
    witness.exchange(b"good", b"<good>");
    peer.exchange(b"good", b"<good>");
}

#[test]
fn a_message_over_its_limit_ends_the_peer_as_oversize() {
    for (spec, fits, answer, too_long) in [
        ("line,max=8", &b"12345678\n"[..], &b"<12345678>\n"[..], &b"123456789\n"[..]),
        ("line,max=8", b"12345678", b"<12345678>\n", b"123456789"),
        ("netstring,max=8", b"12345678", b"<12345678>", b"123456789"),
        ("length:u8,max=8", b"12345678", b"<12345678>", b"123456789"),
    ] {
        eprintln!("{spec}");
        let server = brackets(&quoted(spec));
        let (peer, witness) = (server.udp(), server.udp());
        peer.exchange(fits, answer);
        witness.exchange(fits, answer);
        peer.send(too_long);
        server.wait_log("message over the limit of 8 bytes");
        server.wait_log("gone: oversize;");
        witness.exchange(fits, answer);
        peer.exchange(fits, answer);
    }
}

#[test]
fn lines_that_are_short_each_may_be_long_together() {
    let server = brackets("\"line,max=8\"");
    let peer = server.udp();
    exchange_all(
        &peer,
        b"12345678\nabcdefgh\n1234",
        &[b"<12345678>\n", b"<abcdefgh>\n", b"<1234>\n"],
    );
}

#[test]
fn a_line_that_does_not_fit_a_datagram_with_its_end_is_a_send_error() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"line\",
               on_message = function(msg, conn)
                 local ok, why = conn:send((\"x\"):rep(65507))
                 conn:send((\"y\"):rep(65506))
                 return `{ok} {why}`
               end,
             }\n",
        )
        .start();
    let peer = server.udp();
    peer.send(b"go");
    peer.expect(&[&vec![b'y'; 65_506][..], b"\n"].concat());
    peer.expect(b"nil message too long\n");
}

#[test]
fn a_peer_may_change_its_framing() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"line\",
               on_message = function(msg, conn)
                 if msg == \"raw\" then conn:set_framing(\"raw\") end
                 if msg == \"back\" then conn:set_framing(nil) end
                 return \"<\" .. msg .. \">\"
               end,
             }\n",
        )
        .start();
    let (peer, other) = (server.udp(), server.udp());
    exchange_all(&peer, b"a\nraw\nb\nc", &[b"<a>\n", b"<raw>\n", b"<b\nc>"]);
    exchange_all(&peer, b"d\ne\n", &[b"<d\ne\n>"]);
    exchange_all(&other, b"d\ne\n", &[b"<d>\n", b"<e>\n"]);
    exchange_all(&peer, b"back", &[b"<back>"]);
    exchange_all(&peer, b"f\ng", &[b"<f>\n", b"<g>\n"]);
}

#[test]
fn a_framing_of_the_command_line_counts_for_datagrams() {
    let server = Server::builder()
        .script("return function(msg) return \"<\" .. msg .. \">\" end\n")
        .args(["--framing", "line"])
        .start();
    exchange_all(&server.udp(), b"a\nb", &[b"<a>\n", b"<b>\n"]);
}

#[test]
fn one_dialogue_gives_the_same_answers_over_every_transport() {
    let script = r#"return {
      framing = "line",
      on_connect = function(conn) conn.state.n = 0 end,
      on_message = function(msg, conn)
        conn.state.n += 1
        if msg == "several" then return {"a", "", "b"} end
        if msg == "bad" then return nil, "not wanted", "ERR not wanted" end
        if msg == "send" then conn:send("sent"); return "returned" end
        if msg == "nothing" then return end
        return `{conn.state.n} {msg}`
      end,
    }
    "#;
    same_dialogue_everywhere(
        script,
        &[
            (b"hello\n", &[b"1 hello\n"]),
            (b"one\r\ntwo\n", &[b"2 one\n", b"3 two\n"]),
            (b"\n", &[b"4 \n"]),
            (b"several\n", &[b"a\n", b"\n", b"b\n"]),
            (b"bad\n", &[b"ERR not wanted\n"]),
            (b"nothing\nsend\n", &[b"sent\n", b"returned\n"]),
            (b"bye\n", &[b"9 bye\n"]),
        ],
    );
}

#[test]
fn a_function_and_a_delimiter_give_the_same_answers_over_every_transport() {
    same_dialogue_everywhere(
        &bracketing(FUNCTION),
        &[(b"one;", &[b"<one>"]), (b"two;;three;", &[b"<two>", b"<>", b"<three>"])],
    );
    same_dialogue_everywhere(
        &bracketing("\"delimiter:0x00\""),
        &[(b"one\0", &[b"<one>\0"]), (b"two\0\0", &[b"<two>\0", b"<>\0"])],
    );
}
