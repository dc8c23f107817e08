//! `--shadow N` counts messages as the framing does, however they come in.

use std::time::Duration;

use crate::support::{Client, Server};

fn shadowed(framing: &str, count: &str) -> Server {
    Server::builder().script(&script(framing, "upper")).args(["--shadow", count]).start()
}

fn script(framing: &str, way: &str) -> String {
    format!("return {{ framing = \"{framing}\", on_message = function(m) return m:{way}() end }}\n")
}

/// Sends pieces so far apart that each is a read of its own.
fn send_in_pieces<'p>(client: &mut Client, pieces: impl IntoIterator<Item = &'p [u8]>) {
    for piece in pieces {
        client.send(piece);
        client.expect_silence(Duration::from_millis(50));
    }
}

#[test]
fn a_message_in_pieces_is_shown_whole() {
    let server = shadowed("line", "10");
    let mut client = server.tcp();
    send_in_pieces(&mut client, [&b"ab"[..]]);
    client.exchange(b"c\n", b"ABC\n");
    server.save("handler.lua", &script("line", "lower"));
    server.wait_log("shadow: 1 of 1 reply changes");
    server.wait_log("message \"abc\\n\"");
    server.wait_log("before \"ABC\\n\"");
    server.wait_log("now    \"abc\\n\"");
}

#[test]
fn a_message_byte_by_byte_is_one() {
    let server = shadowed("line", "4");
    let mut client = server.tcp();
    send_in_pieces(&mut client, b"hello".chunks(1));
    client.exchange(b"\n", b"HELLO\n");
    server.save("handler.lua", &script("line", "lower"));
    server.wait_log("shadow: 1 of 1 reply changes");
    server.wait_log("message \"hello\\n\"");
}

#[test]
fn a_counted_message_is_one_wherever_it_was_cut() {
    let server = shadowed("length:u16be", "10");
    let mut client = server.tcp();
    // The second begins in the read that ends the first, and looks like a header where it is cut.
    send_in_pieces(&mut client, [&b"\0"[..], b"\x04a"]);
    client.exchange(b"bcd\0\x03\0", b"\0\x04ABCD");
    client.exchange(b"\x01x", b"\0\x03\0\x01X");
    server.save("handler.lua", &script("length:u16be", "lower"));
    server.wait_log("shadow: 2 of 2 replies change");
}

#[test]
fn many_messages_in_a_row_are_as_many() {
    const COUNT: usize = 20_000;
    let server = shadowed("line", "20000");
    let mut client = server.tcp();
    let mut writer = client.second_handle();
    let lines: Vec<u8> = (0..COUNT).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let replies = lines.to_ascii_uppercase();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.send(&lines));
        client.expect(&replies);
    });
    server.save("handler.lua", &script("line", "lower"));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("20000 of 20000 replies change"), "{line}");
}

#[test]
fn the_end_of_a_stream_ends_a_line() {
    let server = shadowed("line", "10");
    let mut client = server.tcp();
    client.exchange(b"a\nbc", b"A\n");
    client.half_close();
    client.expect(b"BC\n");
    client.expect_eof();
    server.save("handler.lua", &script("line", "lower"));
    server.wait_log("shadow: 2 of 2 replies change");
    server.wait_log("message \"bc\"");
    server.wait_log("now    \"bc\\n\"");
}

#[test]
fn what_breaks_the_framing_has_an_end_as_its_answer() {
    let server = shadowed("netstring", "10");
    let mut client = server.tcp();
    client.exchange(b"1:a,", b"1:A,");
    client.send(b"hello\n");
    client.expect_eof();
    server.save("handler.lua", &script("line", "lower"));
    let line = server.wait_log("shadow: ");
    assert!(line.contains("2 of 2 replies change"), "{line}");
    server.wait_log("message \"hello\\n\"");
}

#[test]
fn the_beginning_of_a_message_is_none_yet() {
    let server = shadowed("line", "10");
    let mut client = server.tcp();
    client.exchange(b"a\nb", b"A\n");
    server.save("handler.lua", &script("line", "lower"));
    server.wait_log("shadow: 1 of 1 reply changes");
    // It goes on across the save.
    client.exchange(b"c\n", b"bc\n");
    server.save("handler.lua", &script("line", "reverse"));
    let line = server.wait_log_count("shadow: ", 2).remove(1);
    assert!(line.contains("1 of 2 replies changes"), "{line}");
    server.wait_log("message \"bc\\n\"");
}
