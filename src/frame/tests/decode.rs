//! Each kind by examples: messages, replies, datagrams, ends of streams, and what is refused.

use super::super::{
    Affixes, Decoded, FrameError, Framing, Message, Progress, Spec, Split, TooLong,
};
use super::{Stream, blocks, custom, framing, lines};

/// The messages of a whole stream.
fn messages(framing: &Framing, stream: &[u8]) -> Vec<String> {
    let (messages, ended) = Stream::read(framing, &[stream]);
    assert_eq!(ended, Ok(()));
    messages.iter().map(|message| message.escape_ascii().to_string()).collect()
}

#[test]
fn every_kind_reads_its_messages() {
    let table: [(&str, &[u8], &[&str]); 26] = [
        ("raw", b"one\ntwo", &["one\\ntwo"]),
        ("raw,max=4", b"one\ntwo", &["one\\n", "two"]),
        ("line", b"one\r\ntwo\n\nrest", &["one", "two", "", "rest"]),
        ("line", b"one\r\r\n\r\nrest\r", &["one\\r", "", "rest"]),
        ("line", b"\r", &[""]),
        ("line,max=3", b"one\r\ntwo\n", &["one", "two"]),
        ("crlf", b"one\r\ntwo\nrest", &["one", "two", "rest"]),
        (r"delimiter:\0", b"one\0\0two\0rest", &["one", "", "two", "rest"]),
        ("delimiter:abab", b"abaabab-ababab", &["aba", "-", "ab"]),
        ("delimiter:ab,max=3", b"oneabtwoabtoo", &["one", "two", "too"]),
        ("length:u8", b"\x03one\x00\x03two", &["one", "", "two"]),
        ("length:u16be", b"\0\x03one", &["one"]),
        ("length:u16le", b"\x03\0one", &["one"]),
        ("length:u24be", b"\0\0\x03one", &["one"]),
        ("length:u32be", b"\0\0\0\x03one", &["one"]),
        ("length:u32le", b"\x03\0\0\0one", &["one"]),
        ("length:varint", b"\x03one\x83\0two", &["one", "two"]),
        ("length:u8,header=keep", b"\x03one\x00", &["\\x03one", "\\x00"]),
        // Modbus, Postgres, MQTT.
        (
            "length:u16be,offset=4,header=keep",
            b"\x12\x34\0\0\0\x01!",
            &["\\x124\\x00\\x00\\x00\\x01!"],
        ),
        ("length:u32be,offset=1,adjust=-4,header=keep", b"S\0\0\0\x04", &["S\\x00\\x00\\x00\\x04"]),
        ("length:varint,offset=1,header=keep", b"\xc0\0\x30\x01x", &["\\xc0\\x00", "0\\x01x"]),
        ("length:u8,adjust=1", b"\x00a\x01bc", &["a", "bc"]),
        ("length:u8,max=3", b"\x03one", &["one"]),
        ("fixed:3", b"onetwo", &["one", "two"]),
        ("netstring", b"3:one,0:,3:two,", &["one", "", "two"]),
        ("netstring,max=12", b"12:hello, world,", &["hello, world"]),
    ];
    for (text, stream, expected) in table {
        assert_eq!(messages(&framing(text), stream), expected, "{text}");
    }
}

#[test]
fn a_function_reads_its_messages() {
    assert_eq!(messages(&lines(100), b"one\n##two\n#rest"), ["one", "two", "rest"]);
    assert_eq!(messages(&lines(100), b"one\n##"), ["one"]);
    assert_eq!(messages(&blocks(100), b"\0\x03one\0\0"), ["one", ""]);
}

#[test]
fn an_empty_stream_has_no_message() {
    for text in ["raw", "all", "line", "delimiter:x", "length:u8", "fixed:3", "netstring"] {
        let framing = Spec::parse(text).unwrap().once(10);
        assert_eq!(framing.decode(&mut Progress::default(), b"", true), Ok(None), "{text}");
    }
}

#[test]
fn a_read_may_ask_for_everything_or_for_nothing() {
    let all = Spec::parse("all").unwrap().once(6);
    assert_eq!(all.decode(&mut Progress::default(), b"abc", false), Ok(None));
    assert_eq!(messages(&all, b"abc\ndef".get(..6).unwrap()), ["abc\\nde"]);
    let oversize = Err(FrameError::Oversize { max: 6 });
    assert_eq!(all.decode(&mut Progress::default(), b"abc\ndef", false), oversize);

    let nothing = Spec::parse("fixed:0").unwrap().once(6);
    let empty = Ok(Some(Decoded { consumed: 0, message: Message::At(0..0) }));
    for (bytes, eof) in [(&b""[..], false), (b"abc", false), (b"", true)] {
        assert_eq!(nothing.decode(&mut Progress::default(), bytes, eof), empty);
    }
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let table: [(&str, &[u8], &str); 20] = [
        ("line,max=3", b"four", "message over the limit of 3 bytes"),
        ("line,max=3", b"one\rx", "message over the limit of 3 bytes"),
        ("delimiter:ab,max=3", b"fourab", "message over the limit of 3 bytes"),
        ("delimiter:ab,max=3", b"four", "message over the limit of 3 bytes"),
        ("length:u16be,max=3", b"\0\x04", "message over the limit of 3 bytes"),
        ("length:u16be,header=keep,max=3", b"\0\x02", "message over the limit of 3 bytes"),
        ("length:u32be", b"\xff\xff\xff\xff", "message over the limit of 1048576 bytes"),
        ("length:varint", b"\xff\xff\xff\xff\x0f", "message over the limit of 1048576 bytes"),
        (
            "length:varint",
            b"\xff\xff\xff\xff\x10",
            "malformed message: a varint is longer than 32 bits",
        ),
        (
            "length:varint",
            b"\x80\x80\x80\x80\x80",
            "malformed message: a varint is longer than 32 bits",
        ),
        (
            "length:u8,adjust=-4",
            b"\x03",
            "malformed message: a length field says 3, which is too small",
        ),
        ("length:u16be", b"\0\x05four", "cut message dropped: 6 bytes"),
        ("length:u16be,offset=4,header=keep", b"\0", "cut message dropped: 1 bytes"),
        ("fixed:3", b"oneab", "cut message dropped: 2 bytes"),
        ("netstring", b"3:one!", "malformed message: no comma at the end of a netstring"),
        (
            "netstring",
            b":",
            "malformed message: a netstring does not begin with its length and a colon",
        ),
        (
            "netstring",
            b"3x",
            "malformed message: a netstring does not begin with its length and a colon",
        ),
        ("netstring", b"03:", "malformed message: the length of a netstring begins with a zero"),
        ("netstring,max=99", b"100", "message over the limit of 99 bytes"),
        ("netstring", b"3:on", "cut message dropped: 4 bytes"),
    ];
    for (text, stream, why) in table {
        let (_, ended) = Stream::read(&framing(text), &[stream]);
        assert_eq!(ended.unwrap_err().to_string(), why, "{text}");
    }
    let digits = Spec::parse("netstring,max=1TiB").unwrap().once(1);
    let (_, ended) = Stream::read(&digits, &[b"10000000000"]);
    assert_eq!(
        ended.unwrap_err().to_string(),
        "malformed message: the length of a netstring has more than 10 digits"
    );
}

#[test]
fn too_much_is_refused_before_it_is_there() {
    let table: [(&str, &[u8]); 6] = [
        ("line,max=3", b"four"),
        ("line,max=3", b"one\rx"),
        ("delimiter:ab,max=3", b"fourx"),
        ("length:u32be,max=3", b"\0\0\0\x04"),
        ("netstring,max=3", b"4"),
        ("all,max=3", b"four"),
    ];
    for (text, stream) in table {
        let framing = Spec::parse(text).unwrap().once(1);
        let before = framing.decode(&mut Progress::default(), &stream[..stream.len() - 1], false);
        assert_eq!(before, Ok(None), "{text}");
        let decoded = framing.decode(&mut Progress::default(), stream, false);
        assert_eq!(decoded, Err(FrameError::Oversize { max: 3 }), "{text}");
    }
    for text in ["fixed:4,max=3", "length:u8,offset=3,header=keep,max=3"] {
        let framing = Spec::parse(text).unwrap().once(1);
        let decoded = framing.decode(&mut Progress::default(), b"", false);
        assert_eq!(decoded, Err(FrameError::Oversize { max: 3 }), "{text}");
    }
}

#[test]
fn nonsense_of_a_function_is_refused() {
    let message = |consumed, length| Split::Message { consumed, message: vec![b'x'; length] };
    let table = [
        (
            Ok(message(0, 1)),
            "the framing function failed: it consumed 0 bytes, and so would for ever",
        ),
        (Ok(message(4, 1)), "the framing function failed: it consumed 4 bytes, but was offered 3"),
        (Ok(message(3, 10)), "message over the limit of 9 bytes"),
        (
            Ok(Split::Skip(0)),
            "the framing function failed: it consumed 0 bytes, and so would for ever",
        ),
        (Ok(Split::Skip(4)), "the framing function failed: it consumed 4 bytes, but was offered 3"),
        (
            Ok(Split::More { need: Some(3) }),
            "the framing function failed: it needs 3 bytes, but was offered 3",
        ),
        (Ok(Split::More { need: Some(10) }), "message over the limit of 9 bytes"),
        (Ok(Split::More { need: Some(9) }), "cut message dropped: 3 bytes"),
        (Ok(Split::More { need: None }), "cut message dropped: 3 bytes"),
        (Ok(Split::Malformed("no frame".to_owned())), "malformed message: no frame"),
        (Err("it failed".to_owned()), "the framing function failed: it failed"),
    ];
    for (split, why) in table {
        let framing = custom(move |_, _| split.clone(), 9);
        let (_, ended) = Stream::read(&framing, &[b"one"]);
        assert_eq!(ended.unwrap_err().to_string(), why);
    }
    let (_, ended) = Stream::read(&lines(9), &[b"one\nnever-ending"]);
    assert_eq!(ended, Err(FrameError::Oversize { max: 9 }));
}

#[test]
fn skipped_bytes_are_handed_back_at_once() {
    let framing = lines(9);
    let mut progress = Progress::default();
    assert_eq!(framing.decode(&mut progress, b"###on", false), Ok(None));
    assert_eq!(progress.take_skipped(), 3);
    assert_eq!(progress.take_skipped(), 0);
    let message = Message::Owned(b"one".to_vec());
    let decoded = framing.decode(&mut progress, b"one\n", false);
    assert_eq!(decoded, Ok(Some(Decoded { consumed: 4, message: message.clone() })));

    // Or with the message.
    let mut progress = Progress::default();
    assert_eq!(framing.decode(&mut progress, b"###on", false), Ok(None));
    let decoded = framing.decode(&mut progress, b"###one\n", false);
    assert_eq!(decoded, Ok(Some(Decoded { consumed: 7, message })));
}

#[test]
fn what_is_needed_is_known_from_the_header_on() {
    let table: [(&str, &[u8], usize); 6] = [
        ("line", b"one", 0),
        ("fixed:12", b"", 12),
        ("length:u16be", b"\0", 0),
        ("length:u16be", b"\x01\0", 258),
        ("netstring", b"12:", 16),
        ("raw", b"", 0),
    ];
    for (text, bytes, needed) in table {
        let mut progress = Progress::default();
        assert_eq!(framing(text).decode(&mut progress, bytes, false), Ok(None), "{text}");
        assert_eq!(framing(text).needed(&progress), needed, "{text}");
    }
    let mut progress = Progress::default();
    assert_eq!(blocks(1000).decode(&mut progress, b"\x01\0", false), Ok(None));
    assert_eq!(blocks(1000).needed(&progress), 258);
}

#[test]
fn replies_are_framed() {
    let table: [(&str, usize, &str, &str); 14] = [
        ("raw", 3, "", ""),
        ("line", 3, "", "\\n"),
        ("crlf", 3, "", "\\r\\n"),
        ("delimiter:0x0003", 3, "", "\\x00\\x03"),
        ("fixed:3", 3, "", ""),
        ("length:u8", 255, "\\xff", ""),
        ("length:u16be", 258, "\\x01\\x02", ""),
        ("length:u16le,adjust=-2", 256, "\\x02\\x01", ""),
        ("length:u24be", 258, "\\x00\\x01\\x02", ""),
        ("length:u32be", 258, "\\x00\\x00\\x01\\x02", ""),
        ("length:varint", 300, "\\xac\\x02", ""),
        ("length:u8,header=keep", 300, "", ""),
        ("netstring", 0, "0:", ","),
        ("netstring", 9_999_999_999, "9999999999:", ","),
    ];
    for (text, length, prefix, suffix) in table {
        let framing = framing(text);
        let affixes = framing.affixes(length, false).unwrap();
        assert_eq!(affixes.prefix.escape_ascii().to_string(), prefix, "{text}");
        assert_eq!(affixes.suffix.escape_ascii().to_string(), suffix, "{text}");
        // In a datagram only terminators.
        let datagram = framing.affixes(length, true).unwrap();
        let suffix = if text == "netstring" { b"" } else { affixes.suffix };
        assert_eq!(datagram, Affixes { suffix, ..Affixes::default() }, "{text}");
    }
    let too_long = [
        ("length:u8", 256),
        ("length:u16le", 65536),
        ("length:u24be", 1 << 24),
        ("length:u32be", 1 << 32),
        ("length:varint", 1 << 32),
        ("length:u8,adjust=-1", 255),
        ("length:u8,adjust=4", 3),
        ("netstring", 10_000_000_000),
    ];
    for (text, length) in too_long {
        assert_eq!(framing(text).affixes(length, false), Err(TooLong), "{text}");
        assert!(framing(text).affixes(length, true).is_ok(), "{text}");
    }
}

/// The messages of a datagram.
fn datagram(framing: &Framing, bytes: &[u8]) -> Result<Vec<String>, FrameError> {
    let (mut messages, mut rest, mut first) = (Vec::new(), bytes, true);
    while let Some(decoded) = framing.decode_datagram(rest, first)? {
        messages.push(decoded.message.bytes(rest).escape_ascii().to_string());
        (rest, first) = (&rest[decoded.consumed..], false);
    }
    Ok(messages)
}

#[test]
fn datagrams_are_split_at_terminators_only() {
    let table: [(&str, &[u8], &[&str]); 9] = [
        ("raw", b"a\nb", &["a\\nb"]),
        ("line", b"a\r\nb\n", &["a", "b"]),
        ("line", b"\n", &[""]),
        ("crlf", b"a\n\nb", &["a", "", "b"]),
        ("delimiter:--", b"a--b-", &["a", "b-"]),
        ("length:u8", b"\x09abc", &["\\tabc"]),
        ("fixed:1", b"abc", &["abc"]),
        ("netstring", b"abc", &["abc"]),
        ("length:u16be,offset=4,header=keep", b"a", &["a"]),
    ];
    for (text, bytes, expected) in table {
        assert_eq!(datagram(&framing(text), bytes).unwrap(), expected, "{text}");
        assert_eq!(datagram(&framing(text), b"").unwrap(), [""], "{text}");
    }
    for text in ["raw", "line", "delimiter:x", "length:u8", "netstring", "fixed:3"] {
        let framing = framing(&format!("{text},max=3"));
        assert_eq!(datagram(&framing, b"four"), Err(FrameError::Oversize { max: 3 }), "{text}");
    }
}

#[test]
fn a_count_takes_no_more_than_that_of_the_rest_of_a_datagram() {
    for (rest, consumed) in [(&b"ab"[..], 2), (b"abc", 3), (b"abcd", 3)] {
        let decoded = framing("fixed:3").decode_datagram(rest, false).unwrap().unwrap();
        assert_eq!(decoded.consumed, consumed);
        assert_eq!(decoded.message.bytes(rest), &rest[..consumed]);
    }
    let spoilt = Spec::parse("fixed:3,max=2").unwrap().once(9).decode_datagram(b"abcd", false);
    assert_eq!(spoilt, Err(FrameError::Oversize { max: 2 }));
}

#[test]
fn a_function_has_to_use_a_datagram_up() {
    assert_eq!(datagram(&lines(9), b"one\n#two##\n").unwrap(), ["one", "two##"]);
    assert_eq!(datagram(&lines(9), b"one\n##").unwrap(), ["one"]);
    assert_eq!(datagram(&lines(9), b"").unwrap(), [""]);
    let left = datagram(&blocks(9), b"\0\x01x\0\x09xx").unwrap_err();
    let why = "the framing function failed: it left 4 bytes of a datagram";
    assert_eq!(left.to_string(), why);
}
