//! Bytes that nobody would write, and what is compared with them.

use super::super::{Action, Dialogue, Expectation, Variables, Verdict};
use super::properties::likely;
use super::random::dialogue;
use crate::frame::tests::Dice;
use crate::frame::tests::fuzz::fuzz;

/// Parses; what is wrong has a place in the file.
fn parse(bytes: &[u8]) {
    let lines: Vec<_> = bytes.split(|&byte| byte == b'\n').collect();
    let Err(mistakes) = Dialogue::parse("t", bytes) else { return };
    assert!(!mistakes.list.is_empty());
    for mistake in &mistakes.list {
        let line = lines[mistake.line - 1];
        assert!((1..=line.len() + 1).contains(&mistake.column), "{mistake:?}");
        assert!((1..=mistake.excerpt.chars().count() + 1).contains(&mistake.mark), "{mistake:?}");
        assert!(mistake.problem.len() < 400, "{mistake:?}");
        assert!(!mistake.problem.is_empty() && !mistake.problem.contains('\n'), "{mistake:?}");
    }
    _ = mistakes.to_string();
}

#[test]
fn random_bytes_do_no_harm() {
    fuzz("bytes", |dice| {
        let length = dice.below(60);
        parse(&dice.bytes(length));
        let mut bytes = likely(dice).into_bytes();
        for _ in 0..dice.below(4) {
            if !bytes.is_empty() {
                let at = dice.below(bytes.len());
                bytes[at] = dice.bytes(1)[0];
            }
        }
        parse(&bytes);
        let mut bytes = dialogue(dice).to_string().into_bytes();
        bytes.truncate(dice.below(bytes.len() + 1));
        parse(&bytes);
    });
}

/// Bytes that are near what a turn expects: what other turns say, and chance.
fn answer(dice: &Dice, dialogue: &Dialogue) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.below(4) {
        if dice.below(3) == 0 {
            let length = dice.below(9);
            bytes.extend(dice.bytes(length));
        } else {
            let text = dialogue.to_string();
            bytes.extend(text.bytes().skip(dice.below(40)).take(dice.below(9)));
        }
    }
    bytes
}

#[test]
fn random_answers_do_no_harm() {
    let (mut matched, mut differed) = (0, 0);
    fuzz("answers", |dice| {
        let dialogue = dialogue(dice);
        let eol = dialogue.directives.eol();
        let mut variables = Variables::default();
        for placed in &dialogue.steps {
            let Action::Expect(wanted) = &placed.step.action else { continue };
            let expectation = Expectation::new(wanted, &eol);
            let answer = answer(dice, &dialogue);
            match expectation.begin(&variables).end(&answer, &mut variables) {
                Verdict::Matched(length) => {
                    assert!(length <= answer.len());
                    matched += 1;
                }
                Verdict::Differs(difference) => {
                    assert!(difference.to_string().len() < 2_000);
                    differed += 1;
                }
                Verdict::More => panic!("no more can come"),
            }
            _ = expectation.datagram(&answer, &mut variables).map_err(|it| it.to_string());
        }
    });
    assert!(matched > 500 && differed > 500, "{matched} {differed}");
}
