//! The cost: no byte is looked at twice, however the stream is cut.

use std::cell::Cell;
use std::rc::Rc;

use super::super::{Framing, Progress, Spec, Split};
use super::{Dice, blocks, custom};

#[test]
fn a_line_that_never_ends_costs_its_length() {
    // Were a byte looked at again at each call, this would take an hour.
    const LENGTH: usize = 64 << 20;
    let bytes = vec![b'x'; LENGTH];
    let framing = Spec::parse("line").unwrap().once(LENGTH);
    let mut progress = Progress::default();
    for end in 1..=LENGTH {
        assert!(framing.decode(&mut progress, &bytes[..end], false).unwrap().is_none());
    }
    assert_eq!(progress.scanned, LENGTH);
}

#[test]
fn what_was_searched_is_not_looked_at_again() {
    let dice = Dice::new(1);
    for text in ["line", "crlf", "delimiter:|", "delimiter:|<->|", r"delimiter:\n\n"] {
        let framing = Spec::parse(text).unwrap().once(1 << 20);
        let terminator = framing.affixes(0, false).unwrap().suffix.to_vec();
        let mut bytes = vec![b'-'; 10_000];
        let mut progress = Progress::default();
        for piece in dice.pieces(&bytes.clone(), 100) {
            let end = bytes.len().min(progress.scanned + terminator.len() - 1 + piece.len());
            assert_eq!(framing.decode(&mut progress, &bytes[..end], false), Ok(None), "{text}");
            assert!(end - progress.scanned < terminator.len(), "{text}");
            // Whoever looks again finds one.
            let seen = progress.scanned;
            bytes[..seen].iter_mut().zip(terminator.iter().cycle()).for_each(|(a, b)| *a = *b);
        }
        assert!(progress.scanned > 5_000, "{text}");
    }
}

#[test]
fn a_terminator_is_found_across_pieces() {
    for text in ["line", "crlf", "delimiter:abcab", "delimiter:aaaa", "delimiter:aab"] {
        let framing = Spec::parse(text).unwrap().once(100);
        let suffix = framing.affixes(0, false).unwrap().suffix;
        let stream = [b"xaa", suffix, b"rest"].concat();
        let found = framing.decode(&mut Progress::default(), &stream, false).unwrap().unwrap();
        for first in 0..found.consumed {
            for second in first..found.consumed {
                let mut progress = Progress::default();
                for end in [first, second] {
                    let early = framing.decode(&mut progress, &stream[..end], false);
                    assert_eq!(early, Ok(None), "{text} {end}");
                }
                let decoded = framing.decode(&mut progress, &stream[..found.consumed], false);
                assert_eq!(decoded, Ok(Some(found.clone())), "{text} {first} {second}");
            }
        }
    }
}

/// A framing whose function wants all of a long message, and the bytes that it was offered.
fn counting(
    total: usize,
    need: impl Fn(usize) -> Option<usize> + 'static,
) -> (Framing, Rc<Cell<usize>>) {
    let offers = Rc::new(Cell::new(0));
    let count = offers.clone();
    let split = move |offered: &[u8], _| {
        count.set(count.get() + offered.len());
        Ok(if offered.len() < total {
            Split::More { need: need(offered.len()) }
        } else {
            Split::Message { consumed: total, message: offered[..total].to_vec() }
        })
    };
    (custom(split, 2 << 20), offers)
}

#[test]
fn a_function_is_offered_little_more_than_it_uses() {
    const TOTAL: usize = 1 << 20;
    let bytes = vec![0; TOTAL + 100_000];
    let decoded = |framing: &Framing| {
        let decoded = framing.decode(&mut Progress::default(), &bytes, false).unwrap().unwrap();
        assert_eq!(decoded.consumed, TOTAL);
    };
    // 4 KiB, 8 KiB, ..., 1 MiB.
    let (framing, offers) = counting(TOTAL, |_| None);
    decoded(&framing);
    assert_eq!(offers.get(), 2 * TOTAL - 4096);
    // 4 KiB, then all.
    let (framing, offers) = counting(TOTAL, |_| Some(TOTAL));
    decoded(&framing);
    assert_eq!(offers.get(), TOTAL + 4096);
    // Small messages in a full buffer.
    let (framing, offers) = counting(10, |_| None);
    let (mut rest, mut count) = (&bytes[..100_000], 0);
    while !rest.is_empty() {
        let decoded = framing.decode(&mut Progress::default(), rest, false).unwrap().unwrap();
        (rest, count) = (&rest[decoded.consumed..], count + 1);
    }
    assert_eq!(count, 10_000);
    assert!(offers.get() <= 10_000 * 4096);
}

#[test]
fn a_function_that_said_what_it_needs_is_not_asked_before() {
    let (framing, offers) = counting(100_000, |_| Some(100_000));
    let bytes = vec![0; 100_000];
    let mut progress = Progress::default();
    for end in 0..100_000 {
        assert_eq!(framing.decode(&mut progress, &bytes[..end], false), Ok(None));
    }
    assert_eq!(offers.get(), 1);
    assert!(framing.decode(&mut progress, &bytes, false).unwrap().is_some());
    assert_eq!(offers.get(), 100_001);
    // Nor again while nothing has come.
    let mut progress = Progress::default();
    for _ in 0..10 {
        assert_eq!(blocks(100).decode(&mut progress, b"\0", false), Ok(None));
    }
}

#[test]
fn a_function_is_asked_again_when_bytes_have_come() {
    let (framing, offers) = counting(4, |_| None);
    let mut progress = Progress::default();
    for end in [1, 1, 1, 2, 3, 3] {
        assert_eq!(framing.decode(&mut progress, &b"four"[..end], false), Ok(None));
    }
    assert_eq!(offers.get(), 1 + 2 + 3);
    assert!(framing.decode(&mut progress, b"four", false).unwrap().is_some());
}

#[test]
fn a_function_is_told_of_the_end_with_the_last_bytes() {
    let ends = Rc::new(Cell::new(0));
    let told = ends.clone();
    let split = move |offered: &[u8], eof: bool| {
        told.set(told.get() + usize::from(eof));
        assert_eq!(eof, offered.len() == 10_000);
        Ok(Split::More { need: None })
    };
    let framing = custom(split, 1 << 20);
    let cut = framing.decode(&mut Progress::default(), &[0; 10_000], true).unwrap_err();
    assert_eq!(cut.to_string(), "cut message dropped: 10000 bytes");
    assert_eq!(ends.get(), 1);
}

#[test]
fn what_a_function_needed_is_forgotten_once_it_skips() {
    let split = |offered: &[u8], _| {
        Ok(match offered {
            b"skip" => Split::Skip(3),
            [b'p', ..] => Split::Message { consumed: 1, message: b"p".to_vec() },
            _ => Split::More { need: Some(4) },
        })
    };
    let framing = custom(split, 9);
    let mut progress = Progress::default();
    assert_eq!(framing.decode(&mut progress, b"s", false), Ok(None));
    let decoded = framing.decode(&mut progress, b"skip", false).unwrap().unwrap();
    assert_eq!(decoded.consumed, 4);
}
