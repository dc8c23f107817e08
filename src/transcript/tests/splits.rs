//! However a stream is cut, a step takes the same of it.

use super::super::{Action, BytesPattern, Expectation, Line, Variables, Verdict};
use super::random::dialogue;
use super::steps;
use crate::frame::tests::Dice;
use crate::frame::tests::fuzz::fuzz;

/// The verdict at the end of a stream that comes in pieces.
fn cut(expectation: &Expectation, pieces: &[&[u8]]) -> (Verdict, Variables) {
    let mut variables = Variables::default();
    let mut check = expectation.begin(&variables);
    let mut received = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        match check.read(&received, &mut variables) {
            Verdict::More => {}
            verdict => return (verdict, variables),
        }
    }
    (check.end(&received, &mut variables), variables)
}

/// What was taken, and how many bytes were right before the first that was not.
fn outcome((verdict, variables): (Verdict, Variables)) -> (Option<usize>, Variables) {
    match verdict {
        Verdict::Matched(length) => (Some(length), variables),
        _ => (None, variables),
    }
}

const PATTERNS: [&str; 16] = [
    "a+b",
    "(?<x>a|ab)(?<y>b|bc)",
    "[^b]*b",
    ".*?ba",
    "(ab)*c",
    r"a\b",
    r"a\Bb",
    "a*$",
    "(?m)^a$",
    r"(?<x>.{3})",
    "(a|b|c){2,5}c",
    r"(?i)A\x00?b",
    "a{3}|b",
    "(?<x>a*)(?<y>b*)c",
    "a.b.c",
    r"\r\n",
];

fn stream(dice: &Dice) -> Vec<u8> {
    (0..dice.below(12)).map(|_| *dice.pick(b"aaabbc\r\n\0")).collect()
}

#[test]
fn any_cut_of_a_stream_gives_the_same_verdict() {
    let mut matched = 0;
    fuzz("cuts", |dice| {
        let pattern = format!("<<~ {}", dice.pick(&PATTERNS));
        let mut all = steps(&pattern);
        all.extend(dialogue(dice).steps.into_iter().map(|placed| placed.step));
        for step in all {
            let Action::Expect(wanted) = &step.action else { continue };
            let expectation =
                Expectation::new(wanted, dice.pick::<&[u8]>(&[b"\n", b"\r\n", b"aab"]));
            let stream = stream(dice);
            let whole = outcome(cut(&expectation, &[&stream]));
            let pieces = dice.pieces(&stream, 1 + dice.below(4));
            assert_eq!(outcome(cut(&expectation, &pieces)), whole, "{step} {pieces:?}");
            matched += usize::from(whole.0.is_some());
        }
    });
    assert!(matched > 1_000, "{matched}");
}

/// The slow and plain way: every prefix is tried, from the shortest on.
#[test]
fn the_shortest_prefix_that_matches_is_taken() {
    fuzz("prefixes", |dice| {
        let pattern = dice.pick(&PATTERNS);
        // What looks at the byte behind is another thing in a prefix.
        if pattern.contains(['$', '\\']) {
            return;
        }
        let stream = stream(dice);
        let plain = BytesPattern::new(Line::new(pattern).unwrap()).unwrap();
        let mut expected = Variables::default();
        let shortest = (0..=stream.len()).find(|&end| plain.is_all(&stream[..end], &mut expected));
        let expectation = match &steps(&format!("<<~ {pattern}"))[0].action {
            Action::Expect(wanted) => Expectation::new(wanted, b""),
            other => panic!("{other:?}"),
        };
        let pieces = dice.pieces(&stream, 3);
        assert_eq!(
            outcome(cut(&expectation, &pieces)),
            (shortest, expected),
            "{pattern} {pieces:?}"
        );
    });
}

/// The states that such a pattern has are far more than are kept.
#[test]
fn what_was_forgotten_is_found_again() {
    let dice = Dice::new(9);
    let expectation = match &steps("<<~ (.*)x[abx]{300}y")[0].action {
        Action::Expect(wanted) => Expectation::new(wanted, b""),
        other => panic!("{other:?}"),
    };
    let mut stream: Vec<u8> = (0..20_000).map(|_| *dice.pick(b"abx")).collect();
    stream.extend(b"x".iter().chain([b'a'; 300].iter()).chain(b"y"));
    let pieces = dice.pieces(&stream, 40);
    assert_eq!(cut(&expectation, &pieces).0, Verdict::Matched(stream.len()));
    assert_eq!(cut(&expectation, &[&stream]).0, Verdict::Matched(stream.len()));
}
