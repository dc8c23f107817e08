//! Every kind of framing: what it reads however the bytes are cut, and how it frames replies. The
//! ends of a stream and of a message's size are in `framing_ends`, wrong specs in
//! `framing_errors`, a script's own function in `framing_function`.

use crate::framed::{
    KINDS, bracketing, brackets, exchange_at_every_split, quoted, same_dialogue_everywhere,
};
use crate::support::Server;

#[test]
fn every_kind_as_a_string_gives_the_same_messages_at_every_split() {
    for kind in &KINDS {
        eprintln!("{}", kind.text);
        let server = brackets(&quoted(kind.text));
        exchange_at_every_split(&mut server.tcp(), kind.wire, kind.answers);
        server.assert_no_log("gone: framing");
    }
}

#[test]
fn every_kind_as_a_table_is_the_same_as_its_string() {
    for kind in &KINDS {
        eprintln!("{}", kind.table);
        let server = brackets(kind.table);
        server.tcp().exchange(kind.wire, kind.answers);
    }
}

#[test]
fn every_kind_on_the_command_line_overrides_the_scripts() {
    for kind in &KINDS {
        eprintln!("{}", kind.text);
        let server = Server::builder()
            .script(&bracketing("\"fixed:1000\""))
            .args(["--framing", kind.text])
            .start();
        server.tcp().exchange(kind.wire, kind.answers);
    }
}

#[test]
fn the_framing_of_the_environment_counts_for_a_script_without_one() {
    let server = Server::builder()
        .script("return function(msg) return \"<\" .. msg .. \">\" end\n")
        .env("SCRIPTSOCK_FRAMING", "line")
        .start();
    server.tcp().exchange(b"one\ntwo\n", b"<one>\n<two>\n");
}

#[test]
fn the_short_option_frames_the_default_handler() {
    let server = Server::builder().args(["-f", "netstring"]).start();
    server.tcp().exchange(b"3:one,4:two!,", b"3:ONE,4:TWO!,");
}

#[test]
fn a_kind_may_stand_first_in_a_table() {
    for (spec, wire, answers) in [
        ("{\"line\"}", &b"one\ntwo\n"[..], &b"<one>\n<two>\n"[..]),
        ("{\"line\", max = 1024}", b"one\n", b"<one>\n"),
        ("{\"line\", max = \"1KiB\"}", b"one\n", b"<one>\n"),
        ("{\"fixed:3\"}", b"onetwo", b"<one><two>"),
        ("{\"delimiter:0x00\"}", b"one\0", b"<one>\0"),
        ("{\"length:u16be,offset=2\", header = \"keep\"}", b"AB\0\x01x", b"<AB\0\x01x>"),
        ("{\"length:u16be\", adjust = -2}", b"\0\x05one", b"\0\x07<one>"),
    ] {
        eprintln!("{spec}");
        brackets(spec).tcp().exchange(wire, answers);
    }
}

#[test]
fn a_varint_takes_as_many_bytes_as_it_needs() {
    let server = brackets("\"length:varint\"");
    let mut client = server.tcp();
    let message = "x".repeat(200);
    let wire = [b"\xc8\x01", message.as_bytes()].concat();
    let answer = [b"\xca\x01<", message.as_bytes(), b">"].concat();
    exchange_at_every_split(&mut client, &wire, &answer);
    let message = "y".repeat(20_000);
    let wire = [b"\xa0\x9c\x01", message.as_bytes()].concat();
    let answer = [b"\xa2\x9c\x01<", message.as_bytes(), b">"].concat();
    client.exchange(&wire, &answer);
}

#[test]
fn the_mqtt_framing_keeps_a_header_before_a_varint() {
    let server = brackets("\"length:varint,offset=1,header=keep\"");
    let mut client = server.tcp();
    exchange_at_every_split(&mut client, b"\xc0\0\x30\x03abc", b"<\xc0\0><\x30\x03abc>");
    let body = "z".repeat(130);
    let wire = [b"\x30\x82\x01", body.as_bytes()].concat();
    client.exchange(&wire, &[b"<", &wire[..], b">"].concat());
}

#[test]
fn large_messages_arrive_whole() {
    let payload = "0123456789".repeat(90_000);
    for (spec, head, tail) in [
        ("line", &b""[..], &b"\n"[..]),
        ("delimiter:0x00", b"", b"\0"),
        ("length:u32be", b"\0\x0d\xbb\xa0", b""),
        ("netstring", b"900000:", b","),
        ("fixed:900000", b"", b""),
    ] {
        let script = format!(
            "return {{framing = \"{spec}\", reply_framing = \"line\",
                      on_message = function(msg) return `{{#msg}} {{msg:sub(-3)}}` end}}\n"
        );
        let server = Server::builder().script(&script).start();
        let wire = [head, payload.as_bytes(), tail].concat();
        let mut client = server.tcp();
        client.exchange(&wire, b"900000 789\n");
        client.exchange(&wire, b"900000 789\n");
    }
}

#[test]
fn ten_thousand_messages_of_one_write_are_answered_in_order() {
    let server = brackets("\"line\"");
    let mut client = server.tcp();
    let mut reader = client.second_handle();
    let messages: Vec<_> = (0..10_000).map(|number| format!("message {number}")).collect();
    let wire = messages.join("\n") + "\n";
    let answers = format!("<{}>\n", messages.join(">\n<"));
    let sending = std::thread::spawn(move || client.send(wire.as_bytes()));
    reader.expect(answers.as_bytes());
    sending.join().unwrap();
}

#[test]
fn without_a_framing_the_bytes_are_handed_over_as_they_come() {
    let server = Server::builder().script("return function(msg) return msg end\n").start();
    let mut client = server.tcp();
    client.exchange(b"no line", b"no line");
    client.exchange(b"a\r\nb\n\0\xff", b"a\r\nb\n\0\xff");
}

#[test]
fn raw_gives_64_kib_at_most() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"raw\", reply_framing = \"line\",
               on_message = function(msg, conn)
                 conn.state.most = math.max(conn.state.most or 0, #msg)
                 conn.state.sum = (conn.state.sum or 0) + #msg
                 if conn.state.sum == 1000000 then return tostring(conn.state.most) end
               end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(&vec![b'x'; 1_000_000]);
    let most: usize = crate::talk::read_line(&mut client).parse().unwrap();
    assert!(most <= 65_536, "a message of {most} bytes");
}

#[test]
fn raw_with_a_max_is_cut_there() {
    for spec in ["\"raw,max=4\"", "{raw = true, max = 4}", "{\"raw\", max = 4}"] {
        let server = brackets(spec);
        server.tcp().exchange(b"abcdefgh", b"<abcd><efgh>");
    }
}

#[test]
fn several_lines_in_one_raw_read_are_worth_one_hint() {
    const HINT: &str = "one read held several lines";
    let say = |framing: &str, messages: &[(&[u8], &[u8])]| {
        let server = brackets(framing);
        let mut client = server.tcp();
        for (message, answer) in messages {
            client.exchange(message, answer);
        }
        client.half_close();
        client.expect_eof();
        // Whatever was to be logged comes before this.
        server.wait_log("gone: eof;");
        server
    };
    let lines = (&b"a\nb\nc\n"[..], &b"<a\nb\nc\n>"[..]);
    let server = say("nil", &[lines, lines, (b"x\n", b"<x\n>"), lines]);
    server.tcp().exchange(lines.0, lines.1);
    let hint = server.wait_log(HINT);
    assert!(hint.contains(" INFO ") && hint.contains("framing = "), "{hint}");
    assert_eq!(server.log_count(HINT), 1);

    say("nil", &[(b"one line\n", b"<one line\n>"), (b"none", b"<none>")]).assert_no_log(HINT);
    say("\"line\"", &[(b"a\nb\nc\n", b"<a>\n<b>\n<c>\n")]).assert_no_log(HINT);
}

/// Replies of all sorts, for a message that asks for them.
const REPLIES: &str = "\
return {
  framing = FRAMING,
  on_message = function(msg, conn)
    if msg == \"sev\" then return {\"a\", \"\", \"bc\"} end
    if msg == \"emp\" then return \"\" end
    if msg == \"snd\" then conn:send(\"one\"); conn:send(\"\"); return \"two\" end
    if msg == \"rawly\" or msg == \"raw\" then conn:send_raw(\"bytes\"); return \"end\" end
  end,
}
";

#[test]
fn every_reply_gets_its_own_frame() {
    for (framing, message, several, empty, sent, rawly) in [
        ("line", "MSG\n", "a\n\nbc\n", "\n", "one\n\ntwo\n", "bytesend\n"),
        ("crlf", "MSG\r\n", "a\r\n\r\nbc\r\n", "\r\n", "one\r\n\r\ntwo\r\n", "bytesend\r\n"),
        ("netstring", "3:MSG,", "1:a,0:,2:bc,", "0:,", "3:one,0:,3:two,", "bytes3:end,"),
        ("length:u8", "\x03MSG", "\x01a\0\x02bc", "\0", "\x03one\0\x03two", "bytes\x03end"),
        ("fixed:3", "MSG", "abc", "", "onetwo", "bytesend"),
    ] {
        let script = REPLIES.replace("FRAMING", &quoted(framing));
        let server = Server::builder().script(&script).start();
        let mut client = server.tcp();
        for (name, reply) in [("sev", several), ("emp", empty), ("snd", sent), ("raw", rawly)] {
            client.exchange(message.replace("MSG", name).as_bytes(), reply.as_bytes());
        }
        client.half_close();
        client.expect_eof();
    }
}

#[test]
fn an_empty_message_is_one_and_is_answered() {
    for (framing, wire, answer) in [
        ("line", &b"\n"[..], &b"<>\n"[..]),
        ("line", b"\r\n", b"<>\n"),
        ("crlf", b"\n", b"<>\r\n"),
        ("delimiter:0x00", b"\0", b"<>\0"),
        ("length:u32le", b"\0\0\0\0", b"\x02\0\0\0<>"),
        ("netstring", b"0:,", b"2:<>,"),
    ] {
        brackets(&quoted(framing)).tcp().exchange(wire, answer);
    }
}

#[test]
fn a_reply_that_its_field_cannot_count_is_a_send_error() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"length:u8\",
               on_message = function(msg, conn)
                 local fits = conn:send((\"x\"):rep(255))
                 local ok, why = conn:send((\"x\"):rep(256))
                 return `{fits} {ok} {why}`
               end,
             }\n",
        )
        .start();
    let answer = [b"\xff", &[b'x'; 255][..], b"\x19true nil message too long"].concat();
    let mut client = server.tcp();
    client.exchange(b"\x01?", &answer);
    client.exchange(b"\x01?", &answer);
}

#[test]
fn a_returned_reply_that_its_field_cannot_count_does_not_end_the_connection() {
    let server = Server::builder()
        .script(
            "return {
               framing = \"length:u8\",
               on_message = function(msg) return msg:rep(200) end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"\x02ab");
    server.wait_log("on_message");
    client.exchange(b"\x01x", &[b"\xc8", &[b'x'; 200][..]].concat());
}

#[test]
fn one_handler_of_lines_serves_every_transport() {
    same_dialogue_everywhere(
        &bracketing("\"line\""),
        &[(b"one\n", &[b"<one>\n"]), (b"two\r\n", &[b"<two>\n"]), (b"\n", &[b"<>\n"])],
    );
}
