//! What the format says, what it refuses, and what is compared.

mod client;
mod expect;
mod format;
mod fuzz;
mod linear;
mod mistakes;
mod parse;
mod parts;
mod properties;
mod random;
mod record;
mod splits;

use super::{Dialogue, Step, Template, Text};

/// A dialogue that has no mistake.
fn parse(text: &str) -> Dialogue {
    Dialogue::parse("t.dialogue", text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn steps(text: &str) -> Vec<Step> {
    parse(text).steps.into_iter().map(|placed| placed.step).collect()
}

fn one(text: &str) -> Step {
    let mut steps = steps(text);
    assert_eq!(steps.len(), 1, "{text}");
    steps.remove(0)
}

fn text(text: &str) -> Text {
    Text::new(Template::literal(text)).unwrap()
}
