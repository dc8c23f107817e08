//! Bytes of a peer and answers of a function that nobody would think of. A moment by default;
//! `SCRIPTSOCK_FUZZ_SECONDS=600` makes it ten minutes, `SCRIPTSOCK_FUZZ_SEED` another start.

use std::time::{Duration, Instant};

use super::super::{Codec, Framing, Progress, Spec, Split};
use super::properties::{KINDS, check_cuts, framings, stream};
use super::{Dice, Stream, custom};

/// The cases of a run that is not told how long it may take.
const CASES: u64 = 3_000;

/// Runs cases until the time is over.
pub(crate) fn fuzz(name: &str, mut case: impl FnMut(&Dice)) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let time = number("SCRIPTSOCK_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("SCRIPTSOCK_FUZZ_SEED").unwrap_or(0);
    let began = Instant::now();
    let mut cases = 0;
    while time.map_or(cases < CASES, |time| began.elapsed() < time) {
        // Each case has its own seed, which a failure names: it can be run alone.
        let seed = seed.wrapping_add(cases);
        let dice = Dice::new(seed);
        let failed = FailedCase(name, seed);
        case(&dice);
        std::mem::forget(failed);
        cases += 1;
    }
    assert!(cases > 0);
    println!("{name}: {cases} cases in {:.0?}", began.elapsed());
}

/// Dropped only when a case panics.
struct FailedCase<'a>(&'a str, u64);

impl Drop for FailedCase<'_> {
    fn drop(&mut self) {
        eprintln!("{}: the case of SCRIPTSOCK_FUZZ_SEED={} failed", self.0, self.1);
    }
}

/// Bytes beside a message that a buffer has to hold until it is whole, or known to be too long.
fn beside(framing: &Framing) -> usize {
    match &framing.codec {
        Codec::Line | Codec::Crlf => 1,
        Codec::Delimiter(delimiter) => delimiter.bytes().len() - 1,
        Codec::Length(_) => 5,
        Codec::Netstring => 12,
        Codec::Raw | Codec::All | Codec::Fixed(_) | Codec::Custom(_) => 0,
    }
}

/// Feeds a stream piece by piece; what stays in the buffer is bounded.
fn feed(dice: &Dice, name: &str, framing: &Framing, bytes: &[u8]) {
    let mut stream = Stream::default();
    for piece in dice.pieces(bytes, 1 + dice.below(100)) {
        if stream.arrive(framing, piece, false).is_err() {
            return;
        }
        let most = framing.max() + beside(framing);
        assert!(stream.held <= most, "{name}: {} bytes held, {most} allowed", stream.held);
    }
    _ = stream.arrive(framing, b"", true);
}

#[test]
fn random_bytes_do_no_harm() {
    fuzz("random bytes", |dice| {
        let max = 1 + dice.below(*dice.pick(&[4, 40, 400]));
        for (name, framing) in framings(max) {
            let bytes = match dice.below(3) {
                0 => {
                    let length = dice.below(300);
                    dice.bytes(length)
                }
                _ => stream(dice, &framing),
            };
            feed(dice, name, &framing, &bytes);
            check_cuts(dice, name, &framing, &bytes);
        }
    });
}

#[test]
fn random_datagrams_do_no_harm() {
    fuzz("random datagrams", |dice| {
        for (name, framing) in framings(1 + dice.below(100)) {
            let bytes = stream(dice, &framing);
            let (mut rest, mut first) = (&bytes[..], true);
            while let Ok(Some(decoded)) = framing.decode_datagram(rest, first) {
                assert!(decoded.consumed > 0 || (first && rest.is_empty()), "{name}");
                assert!(decoded.message.bytes(rest).len() <= framing.max(), "{name}");
                (rest, first) = (&rest[decoded.consumed..], false);
            }
        }
    });
}

#[test]
fn random_answers_of_a_function_do_no_harm() {
    fuzz("random answers", |dice| {
        let max = 1 + dice.below(*dice.pick(&[40, 20_000]));
        let answers = Dice::new(dice.roll());
        let near = move |length: usize| match answers.below(16) {
            0 => 0,
            1 => usize::MAX,
            2 => length + 1 + answers.below(10_000),
            _ => 1 + answers.below(length),
        };
        let kind = Dice::new(dice.roll());
        let split = move |offered: &[u8], _| {
            assert!(offered.len() <= max);
            let number = near(offered.len());
            Ok(match kind.below(9) {
                0 | 1 => Split::Skip(number),
                2 => Split::More { need: Some(number.max(offered.len() + 1)) },
                3 => Split::More { need: Some(number) },
                4 | 5 => Split::More { need: None },
                6 => Split::Malformed("no frame".to_owned()),
                7 => return Err("it failed".to_owned()),
                _ => Split::Message { consumed: number, message: offered.to_vec() },
            })
        };
        let framing = custom(split, max);
        let length = dice.below(30_000);
        let bytes = dice.bytes(length);
        feed(dice, "answers", &framing, &bytes);
    });
}

#[test]
fn random_texts_do_no_harm() {
    const WORDS: [&str; 16] = [
        ",", ":", "=", "max", "offset", "adjust", "header", "keep", "0x", "\\", "9", "é", " ", "-",
        "u16be", "KiB",
    ];
    fuzz("random texts", |dice| {
        let mut text = dice.pick(&KINDS).to_string();
        for _ in 0..dice.below(8) {
            text += *dice.pick(&WORDS);
        }
        if let Ok(spec) = Spec::parse(&text) {
            assert_eq!(Spec::parse(&spec.to_string()), Ok(spec.clone()), "{text}");
            let framing = spec.once(100);
            _ = framing.decode(&mut Progress::default(), text.as_bytes(), true);
        }
    });
}
