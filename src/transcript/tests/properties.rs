//! What is written is read back.

use super::super::parse::SIGNS;
use super::super::{Dialogue, Step};
use super::random::dialogue;
use crate::frame::tests::Dice;
use crate::frame::tests::fuzz::fuzz;

fn steps(dialogue: &Dialogue) -> Vec<&Step> {
    dialogue.steps.iter().map(|placed| &placed.step).collect()
}

/// Parses what a dialogue is written as, and it is the same.
fn check(dialogue: &Dialogue) {
    let text = dialogue.to_string();
    let again = Dialogue::parse("again", text.as_bytes());
    let again = again.unwrap_or_else(|mistakes| panic!("{text:?}\n{mistakes}"));
    assert_eq!(again.directives, dialogue.directives, "{text:?}");
    assert_eq!(steps(&again), steps(dialogue), "{text:?}");
    assert_eq!(again.to_string(), text);
}

#[test]
fn any_steps_are_read_back_as_they_were_written() {
    let mut seen = 0;
    fuzz("steps", |dice| {
        let dialogue = dialogue(dice);
        check(&dialogue);
        // However its lines end, and with or without an end of the last one.
        let text = dialogue.to_string();
        let crlf = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let crlf = Dialogue::parse("crlf", crlf.trim_end_matches("\r\n").as_bytes()).unwrap();
        assert_eq!(steps(&crlf), steps(&dialogue), "{text:?}");
        seen += dialogue.steps.len();
    });
    assert!(seen > 5_000, "{seen}");
}

/// What lines are made of, behind their sign.
const PIECES: [&str; 26] = [
    " ", "  ", "\t", "\r", "\"", "\"a\"", "\\n", "\\x", "${a}", "$$", "(?<a>.)", "??", "00",
    "500ms", "eof", "silence ", "reload x", "log x", "#", "bob", "é", "\u{feff}", "\0", "a", ">",
    "<~",
];

const DIRECTIVES: [&str; 6] =
    ["@eol none", "@framing line", "@framing ", "@transport udp", "@handler ", "@peer bob "];

fn line(dice: &Dice) -> String {
    let mut line = match dice.below(8) {
        0 => (*dice.pick(&DIRECTIVES)).to_owned(),
        1 => String::new(),
        _ => format!("{}{} ", dice.pick(&["", "", "", "bob"]), dice.pick(&SIGNS).0),
    };
    for _ in 0..dice.below(4) {
        line += *dice.pick(&PIECES);
    }
    line
}

/// Text that looks like a dialogue.
pub(super) fn likely(dice: &Dice) -> String {
    let ends = ["\n", "\n", "\r\n"];
    (0..dice.below(6)).map(|_| line(dice) + *dice.pick(&ends)).collect()
}

#[test]
fn any_text_that_parses_is_written_as_the_same() {
    let mut parsed = 0;
    let mut case = |text: &str| {
        if let Ok(dialogue) = Dialogue::parse("t", text.as_bytes()) {
            check(&dialogue);
            parsed += dialogue.steps.len();
        }
    };
    fuzz("texts", |dice| {
        case(&likely(dice));
        // One line alone is right more often.
        case(&line(dice));
        case(&format!("<~ (?<a>.)\n{}", line(dice)));
        // A right one, with a byte changed.
        let mut bytes = dialogue(dice).to_string().into_bytes();
        if !bytes.is_empty() {
            let at = dice.below(bytes.len());
            bytes[at] = *dice.pick(b"ax >\r\n\"$\\");
        }
        case(&String::from_utf8_lossy(&bytes));
    });
    assert!(parsed > 3_000, "{parsed}");
}
