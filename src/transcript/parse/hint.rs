//! What to say about a line that is no step.

use super::super::field::{Field, SPACES};
use super::super::mistake::Slip;
use super::SIGNS;
use crate::text::Printable;

/// About a line where `behind` its name, if it has one, no sign stands.
pub(super) fn no_sign(line: Field<'_>, behind: Field<'_>) -> Slip {
    let begins = |field: Field<'_>| {
        let text = field.trim().text;
        text.starts_with(['@', '#']) || SIGNS.iter().any(|(sign, _)| text.starts_with(sign))
    };
    let spaced = behind.text.starts_with(SPACES);
    if behind.at == line.at && spaced {
        return line.slip("expected a sign in the first column; only payload has spaces before it");
    }
    if spaced && begins(behind) {
        return behind.slip("expected the sign right behind the name, without a space");
    }
    behind.slip(format!(
        "expected a sign (> < >> << >x <x <~ <<~ = !> !<); to send this line write '> {}'",
        head(line.text)
    ))
}

/// About a line where no space stands behind its sign, which is at `field`.
pub(super) fn no_space(sign: &str, field: Field<'_>) -> Slip {
    let behind = field.skip(sign.len());
    // `>xylophone` begins like `>x`, and is meant to be `> xylophone`.
    let text = field.text.trim_start_matches(['<', '>']);
    let hint = match &field.text[..field.text.len() - text.len()] {
        way @ (">" | "<") => format!("; a text is written '{way} {}'", head(text)),
        _ => String::new(),
    };
    behind.slip(format!("expected a space behind {sign}{hint}"))
}

/// About a line that is UTF-8 only up to a byte.
pub(super) fn not_utf8(number: usize, line: &[u8], valid: usize) -> Slip {
    let mut problem = format!("expected UTF-8 text, got the byte 0x{:02x}", line[valid]);
    if number == 1 && (line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff")) {
        problem += "; this looks like UTF-16";
    } else {
        problem += "; other bytes are written >> \"\\xff\" or >x ff";
    }
    Slip::new(valid, problem)
}

/// The first characters.
fn head(text: &str) -> String {
    const SHOWN: usize = 24;
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    let dots = if end < text.len() { "…" } else { "" };
    format!("{}{dots}", Printable(&text.as_bytes()[..end]))
}
