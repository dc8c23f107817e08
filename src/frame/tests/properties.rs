//! What holds for every framing and every stream.

use super::super::{Framing, Progress, Spec};
use super::{Dice, Stream, blocks, lines};

/// Framings whose messages do not depend on how a stream is cut.
pub(super) const KINDS: [&str; 18] = [
    "line",
    "crlf",
    "all",
    r"delimiter:\0",
    r"delimiter:\r\n.\r\n",
    "delimiter:abaab",
    "length:u8",
    "length:u16be",
    "length:u16le,adjust=3",
    "length:u24be",
    "length:u32be,adjust=-4",
    "length:u32le",
    "length:varint",
    "length:varint,offset=1,header=keep",
    "length:u16be,offset=4,header=keep",
    "fixed:1",
    "fixed:7",
    "netstring",
];

pub(super) fn framings(max: usize) -> Vec<(&'static str, Framing)> {
    let mut all: Vec<_> =
        KINDS.iter().map(|text| (*text, Spec::parse(text).unwrap().once(max))).collect();
    all.push(("function", lines(max)));
    all.push(("function that needs", blocks(max)));
    all
}

/// Bytes that a framing has something to say about: encoded messages, small numbers, terminators
/// and their parts, or anything.
pub(super) fn stream(dice: &Dice, framing: &Framing) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..dice.below(8) {
        match dice.below(8) {
            0 => {
                let length = dice.below(12);
                stream.extend(dice.bytes(length));
            }
            1 => stream.extend((0..dice.below(6)).map(|_| dice.pick(b"ab\r\n.\0#0123456789:,"))),
            2 => stream.extend((0..dice.below(6)).map(|_| dice.pick(&[0, 0, 0, 1, 2, 5, 128]))),
            _ => {
                let length = dice.below(20);
                let message = dice.bytes(length);
                let Ok(affixes) = framing.affixes(length, false) else { continue };
                stream.extend_from_slice(&affixes.prefix);
                stream.extend_from_slice(&message);
                stream.extend_from_slice(affixes.suffix);
            }
        }
    }
    stream
}

/// A stream gives the same whole and in pieces.
pub(super) fn check_cuts(dice: &Dice, name: &str, framing: &Framing, stream: &[u8]) {
    let whole = Stream::read(framing, &[stream]);
    let pieces = dice.pieces(stream, 1 + dice.below(16));
    let cut = Stream::read(framing, &pieces);
    assert_eq!(whole, cut, "{name}: {} in {pieces:?}", stream.escape_ascii());
    // The end may be known with the last bytes.
    let mut at_once = Stream::default();
    let ended = at_once.arrive(framing, stream, true);
    assert_eq!(whole, (at_once.messages, ended), "{name}: {}", stream.escape_ascii());
}

#[test]
fn any_cut_of_a_stream_gives_the_same_messages() {
    let dice = Dice::new(2);
    for _ in 0..2_000 {
        let max = 1 + dice.below(40);
        for (name, framing) in framings(max) {
            let stream = stream(&dice, &framing);
            check_cuts(&dice, name, &framing, &stream);
        }
    }
}

#[test]
fn raw_loses_no_byte() {
    let dice = Dice::new(3);
    let framing = Spec::parse("raw,max=10").unwrap().once(1);
    for _ in 0..1_000 {
        let length = dice.below(100);
        let stream = dice.bytes(length);
        let (messages, ended) = Stream::read(&framing, &dice.pieces(&stream, 30));
        assert_eq!((messages.concat(), ended), (stream, Ok(())));
        assert!(messages.iter().all(|message| (1..=10).contains(&message.len())));
    }
}

#[test]
fn what_is_framed_is_read_back() {
    let dice = Dice::new(4);
    for text in KINDS.into_iter().filter(|text| !text.contains("keep") && *text != "all") {
        let framing = Spec::parse(text).unwrap().once(2_000);
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        while sent.len() < 200 {
            let length = match text.strip_prefix("fixed:") {
                Some(size) => size.parse().unwrap(),
                None => *dice.pick(&[0, 1, 2, 127, 128, 255, 256, 300, 2_000]),
            };
            // Letters, which are part of no terminator but one.
            let message: Vec<u8> = (0..length).map(|_| *dice.pick(b"abcdefgh")).collect();
            let Ok(affixes) = framing.affixes(length, false) else { continue };
            if text.contains("abaab") && message.windows(5).any(|part| part == b"abaab") {
                continue;
            }
            let begin = stream.len();
            stream.extend_from_slice(&affixes.prefix);
            stream.extend_from_slice(&message);
            stream.extend_from_slice(affixes.suffix);
            let decoded = framing.decode(&mut Progress::default(), &stream[begin..], false);
            let decoded = decoded.unwrap().unwrap();
            if text.contains("abaab") && decoded.consumed != stream.len() - begin {
                // It ended in a part of the terminator.
                stream.truncate(begin);
                continue;
            }
            assert_eq!(decoded.consumed, stream.len() - begin, "{text}");
            sent.push(message);
        }
        let (messages, ended) = Stream::read(&framing, &dice.pieces(&stream, 100));
        assert_eq!((messages, ended), (sent, Ok(())), "{text}");
    }
}

/// The slow and plain way.
#[test]
fn terminated_messages_are_those_of_a_plain_split() {
    let dice = Dice::new(5);
    for (text, terminator) in [("line", "\n"), ("delimiter:ab", "ab"), ("delimiter:aba", "aba")] {
        let framing = Spec::parse(text).unwrap().once(1_000);
        for _ in 0..1_000 {
            let length = dice.below(30);
            let stream: String = (0..length).map(|_| char::from(*dice.pick(b"aab\r\n"))).collect();
            let mut expected: Vec<_> = stream.split(terminator).collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            if text == "line" {
                for line in &mut expected {
                    *line = line.strip_suffix('\r').unwrap_or(line);
                }
            }
            let (messages, ended) = Stream::read(&framing, &dice.pieces(stream.as_bytes(), 4));
            assert_eq!(ended, Ok(()));
            let messages: Vec<_> =
                messages.iter().map(|message| std::str::from_utf8(message).unwrap()).collect();
            assert_eq!(messages, expected, "{text}: {stream:?}");
        }
    }
}
