//! The cost: a file and what is compared with it take time by their length, however they are cut.

use std::time::{Duration, Instant};

use super::super::{Dialogue, Expectation, Variables, Verdict};
use super::{Step, one};
use crate::transcript::Action;

/// As long as this a file is.
const LONG: usize = 64 << 20;

/// The square of it would still take a day.
const LENGTH: usize = 8 << 20;

/// Far above what it takes, far below the square of anything.
const LIMIT: Duration = Duration::from_secs(20);

/// Parses, in good time, a text that is `begin`, as many of `middle` as there is room for, and `end`.
fn parse(length: usize, begin: &str, middle: &str, end: &str) -> Result<Dialogue, String> {
    let text = [begin, &middle.repeat(length / middle.len()), end].concat();
    let start = Instant::now();
    let parsed = Dialogue::parse("t", text.as_bytes());
    let shown = parsed.map_err(|mistakes| mistakes.to_string());
    assert!(start.elapsed() < LIMIT, "{begin}{middle}...: {:?}", start.elapsed());
    shown
}

#[test]
fn a_line_of_any_length_costs_its_length() {
    let long = [
        (1, "> ", "x", ""),
        (1, ">> \"", "\\x41", "\""),
        (1, ">x ", "00 ", ""),
        (1, "<x ", "??", ""),
        (2, "<~ (?<a>.)\n>$ ", "${a}$$", ""),
        (1, "", "x", "> a"),
        (0, "# ", "é", ""),
        (1, "!< log ", " ", ""),
        (1, "", "\n", "> a"),
    ];
    for (steps, begin, middle, end) in long {
        let dialogue = parse(LENGTH, begin, middle, end).unwrap();
        assert_eq!(dialogue.steps.len(), steps, "{begin}");
    }
    assert_eq!(parse(LONG, "> ", "x", "").unwrap().steps.len(), 1);
}

#[test]
fn a_mistake_in_a_long_line_costs_its_length() {
    let long = [
        ("", "x", ""),
        (">> \"", "\\\"", ""),
        (">x ", "00", "g"),
        ("<~ (?<a>.)\n>$ ", "${a}", "${b"),
        (">$ ${", "x", "}"),
        ("@", "x", ""),
        ("!> ", "x", ""),
        ("@peer ", "x", " 1"),
        ("> ", "é", "\n>a"),
        ("", "> a\n>b\n", ""),
        ("", "@eol lf\n", ""),
        ("@framing delimiter:", "x", ",max=0"),
    ];
    for (begin, middle, end) in long {
        let shown = parse(LENGTH, begin, middle, end).unwrap_err();
        assert!(shown.len() < 20_000, "{}", shown.len());
    }
    assert!(parse(LONG, "", "x", "").is_err());
}

fn expectation(text: &str) -> Expectation {
    let Step { action: Action::Expect(wanted), .. } = one(text) else { panic!("{text}") };
    Expectation::new(&wanted, b"\n")
}

/// Were a byte looked at again at each read, each of these would take an hour.
#[test]
fn bytes_that_come_one_by_one_cost_their_number() {
    const COUNT: usize = 4 << 20;
    let bytes = vec![b'x'; COUNT + 1];
    let long = "x".repeat(COUNT + 1);
    let masked = "78??".repeat(COUNT / 2 + 1);
    for text in [
        format!("< {long}"),
        format!("<x {masked}"),
        "<~ ^x".to_owned(),
        "<<~ x+y".to_owned(),
        "<<~ (?<a>.{3})[a-z]*$".to_owned(),
        "<<~ (x|xx|xxx)*y".to_owned(),
    ] {
        let expectation = expectation(&text);
        let mut variables = Variables::default();
        let mut check = expectation.begin(&variables);
        let began = Instant::now();
        for end in 0..=COUNT {
            assert_eq!(
                check.read(&bytes[..end], &mut variables),
                Verdict::More,
                "{text:.20} {end}"
            );
        }
        assert!(began.elapsed() < LIMIT, "{text:.20}: {:?}", began.elapsed());
    }
}
