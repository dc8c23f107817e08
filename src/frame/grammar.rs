//! The text grammar: `kind[:value][,key=value]...`, such as `line`, `delimiter:\0,max=64KiB` or
//! `length:u16be,offset=4,header=keep`.

use std::fmt::Write;

use super::draft::Draft;
use super::fields::Field;
use super::spec::Spec;
use crate::text::{self, hex_byte};

impl Spec {
    /// Reads the text grammar.
    ///
    /// # Errors
    /// What was expected, and the nearest right word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut draft = Draft::default();
        read(text, &mut draft)?;
        draft.finish()
    }
}

/// Reads a text into a draft that has nothing yet.
pub(super) fn read(text: &str, draft: &mut Draft) -> Result<(), String> {
    let (name, rest) = text.split_at(text.find([':', ',']).unwrap_or(text.len()));
    let name = name.trim();
    let delimited = name == "delimiter";
    let mut options = rest;
    if let Some(behind) = rest.strip_prefix(':') {
        // A comma may be the delimiter, so it ends none.
        let first = behind.chars().next().filter(|_| delimited).map_or(0, char::len_utf8);
        let end = behind[first..].find(',').map_or(behind.len(), |at| first + at);
        let value;
        (value, options) = behind.split_at(end);
        if delimited {
            draft.kind(name, Some(&Field::Text(&unescape(value)?)))?;
        } else {
            draft.kind(name, Some(&Field::Text(value.trim().as_bytes())))?;
        }
    } else {
        draft.kind(name, None)?;
    }
    let mut seen = Vec::new();
    for option in options.split(',').skip(1) {
        // The one key whose values need no name.
        let header =
            ["strip", "keep"].contains(&option.trim()).then_some(("header", option.trim()));
        let Some((key, value)) = option.split_once('=').or(header) else {
            let hint = if delimited { r"; a comma in a delimiter is \x2c" } else { "" };
            return Err(format!("expected KEY=VALUE behind the comma, got '{option}'{hint}"));
        };
        let key = key.trim();
        if seen.contains(&key) {
            return Err(format!("{key} is given twice"));
        }
        seen.push(key);
        draft.option(key, &Field::Text(value.trim().as_bytes()))?;
    }
    Ok(())
}

/// The bytes that a delimiter's text stands for: hex digits behind `0x`, else itself with escapes.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.trim().strip_prefix("0x") {
        return from_hex(digits.as_bytes()).ok_or_else(|| {
            format!("delimiter expects two hex digits a byte behind 0x, got '{}'", text.trim())
        });
    }
    text::unescape(text).ok_or_else(|| {
        r"delimiter expects \r, \n, \t, \0, \\ or \xHH behind a backslash".to_owned()
    })
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks();
    rest.is_empty().then(|| pairs.iter().map(|&[high, low]| hex_byte(high, low)).collect())?
}

/// A delimiter as the grammar takes it.
pub(super) fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    // What begins so would be taken for hex digits, spaces before it too.
    let like_hex = bytes.trim_ascii_start().starts_with(b"0x");
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' if *byte != b',' && !(at == 0 && like_hex) => text.push((*byte).into()),
            // A String takes everything.
            _ => _ = write!(text, "\\x{byte:02x}"),
        }
    }
    text
}
