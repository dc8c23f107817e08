//! The document says what is so.

use super::super::directive::DIRECTIVES;
use super::super::parse::SIGNS;
use super::super::parse::word::{DEEDS, SIGHTS};
use super::parse;

const FORMAT: &str = include_str!("../format.md");

#[test]
fn every_example_parses_and_comes_back() {
    let examples: Vec<_> = FORMAT
        .split("```dialogue\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 7, "{examples:?}");
    for example in &examples {
        let dialogue = parse(example);
        assert!(!dialogue.steps.is_empty(), "{example}");
        let again = parse(&dialogue.to_string());
        assert_eq!(again.to_string(), dialogue.to_string());
    }
    // Each sign is shown.
    let all: Vec<_> = examples.iter().flat_map(|example| parse(example).steps).collect();
    for (sign, _) in SIGNS {
        let shown = all.iter().any(|placed| {
            let text = placed.step.to_string();
            let text = text.trim_start_matches(|c: char| c.is_alphanumeric());
            text == sign || text.starts_with(&format!("{sign} "))
        });
        assert!(shown, "no example has {sign}");
    }
}

#[test]
fn every_word_is_in_a_table() {
    let rows: Vec<_> = FORMAT.lines().filter(|line| line.starts_with("| `")).collect();
    let begins = |begin: &str| rows.iter().filter(|row| row.starts_with(begin)).count();
    for (name, _) in DIRECTIVES {
        assert_eq!(begins(&format!("| `@{name} ")), 1, "@{name}");
    }
    for (sign, words) in [("!>", &DEEDS[..]), ("!<", &SIGHTS)] {
        for word in words {
            let forms = [format!("| `{sign} {word}`"), format!("| `{sign} {word} ")];
            assert_eq!(forms.iter().map(|form| begins(form)).sum::<usize>(), 1, "{sign} {word}");
        }
    }
    assert_eq!(rows.len(), DIRECTIVES.len() + DEEDS.len() + SIGHTS.len());
}
