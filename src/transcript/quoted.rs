//! Exact bytes, in quotes with escapes and in hex, and the variables among them; to be read and
//! to be written.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter, Write};

use memchr::{memchr, memchr3};

use super::field::{Field, SPACES, short};
use super::mistake::Slip;
use super::template::Template;
use super::words::Name;
use crate::text::nearest;

const ESCAPES: &str = r#"expected \r, \n, \t, \0, \\, \" or \xHH"#;

/// Text to the end of the line. With `names`, which are defined, it is a template.
pub(super) fn read_text(
    field: Field<'_>,
    names: Option<&BTreeSet<Name>>,
) -> Result<Template, Slip> {
    let Some(names) = names else { return Ok(Template::literal(field.text)) };
    let mut template = Template::default();
    let mut rest = field;
    while let Some(at) = memchr(b'$', rest.text.as_bytes()) {
        template.push_literal(&rest.text.as_bytes()[..at]);
        rest = read_dollar(rest.skip(at), names, &mut template)?;
    }
    template.push_literal(rest.text.as_bytes());
    Ok(template)
}

/// Bytes in quotes. With `names`, which are defined, it is a template.
pub(super) fn read_quoted(
    field: Field<'_>,
    names: Option<&BTreeSet<Name>>,
) -> Result<Template, Slip> {
    let mut rest = field.trim();
    if !rest.text.starts_with('"') {
        return Err(rest.slip(r#"expected bytes in quotes, as in "OK\r\n""#));
    }
    rest = rest.skip(1);
    let mut template = Template::default();
    // Where there are no variables, $ is a byte like any other.
    let dollar = if names.is_some() { b'$' } else { b'"' };
    while let Some(at) = memchr3(b'"', b'\\', dollar, rest.text.as_bytes()) {
        template.push_literal(&rest.text.as_bytes()[..at]);
        rest = rest.skip(at);
        rest = match (rest.text.as_bytes()[0], names) {
            (b'\\', _) => read_escape(rest, &mut template)?,
            (b'$', Some(names)) => read_dollar(rest, names, &mut template)?,
            _ if rest.text.len() > 1 => {
                let problem = r#"expected the end of the line behind the quotes; a quote among the bytes is \""#;
                return Err(rest.skip(1).slip(problem));
            }
            _ => return Ok(template),
        };
    }
    Err(rest.skip(rest.text.len()).slip("expected a closing quote"))
}

/// What a backslash begins; gives what is behind it.
fn read_escape<'l>(field: Field<'l>, template: &mut Template) -> Result<Field<'l>, Slip> {
    let (byte, length) = match &field.text.as_bytes()[1..] {
        [b'r', ..] => (b'\r', 2),
        [b'n', ..] => (b'\n', 2),
        [b't', ..] => (b'\t', 2),
        [b'0', ..] => (0, 2),
        [byte @ (b'\\' | b'"'), ..] => (*byte, 2),
        [b'x', high, low, ..] => match hex_byte(*high, *low) {
            Some(byte) => (byte, 4),
            None => return Err(field.slip(r"expected two hex digits behind \x")),
        },
        _ => return Err(field.slip(ESCAPES)),
    };
    template.push_literal(&[byte]);
    Ok(field.skip(length))
}

/// What a dollar sign begins; gives what is behind it.
fn read_dollar<'l>(
    field: Field<'l>,
    names: &BTreeSet<Name>,
    template: &mut Template,
) -> Result<Field<'l>, Slip> {
    let behind = &field.text[1..];
    if behind.starts_with('$') {
        template.push_literal(b"$");
        return Ok(field.skip(2));
    }
    let inner = behind.strip_prefix('{').and_then(|inner| inner.split_once('}'));
    let Some((text, _)) = inner else {
        return Err(field.slip("expected ${NAME}, or $$ for a dollar sign"));
    };
    let name = Name::new(text).filter(|name| names.contains(name));
    template.push_variable(name.ok_or_else(|| {
        let hint = nearest(text, names.iter().map(Name::as_str));
        let hint = hint.map(|name| format!("; did you mean ${{{name}}}")).unwrap_or_default();
        field.slip(format!(
            "expected a variable that a group (?<NAME>...) above sets, got {}{hint}",
            short(text)
        ))
    })?);
    Ok(field.skip(text.len() + 3))
}

/// Bytes in hex, `None` where `??` stands for any.
pub(super) fn read_hex(field: Field<'_>) -> Result<Vec<Option<u8>>, Slip> {
    let bytes = field.text.as_bytes();
    let mut read = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        at += match &bytes[at..] {
            [b' ' | b'\t', ..] => 1,
            [b'?', b'?', ..] => {
                read.push(None);
                2
            }
            [high, low, ..] if hex_byte(*high, *low).is_some() => {
                read.push(hex_byte(*high, *low));
                2
            }
            _ => {
                let word = field.skip(at).text.split(SPACES).next().unwrap_or_default();
                let problem = format!("expected two hex digits a byte, got {}", short(word));
                return Err(field.skip(at).slip(problem));
            }
        };
    }
    Ok(read)
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Bytes as they stand between quotes: what can be seen as it is, all else escaped.
pub(super) struct Quoted<'a>(pub(super) &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\r' => out.write_str("\\r"),
                    '\n' => out.write_str("\\n"),
                    '\t' => out.write_str("\\t"),
                    '\0' => out.write_str("\\0"),
                    '\\' | '"' => write!(out, "\\{c}"),
                    '\'' => out.write_char(c),
                    _ if c.escape_debug().len() == 1 => out.write_char(c),
                    _ => write_escapes(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
                }?;
            }
            write_escapes(out, chunk.invalid())?;
        }
        Ok(())
    }
}

fn write_escapes(out: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
}

/// A space and a byte in hex; recordings have many of them.
fn write_hex(out: &mut Formatter<'_>, byte: u8) -> fmt::Result {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    out.write_char(' ')?;
    out.write_char(digit(byte >> 4))?;
    out.write_char(digit(byte & 15))
}

/// Bytes in hex, a space before each.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write_hex(out, *byte))
    }
}

/// Bytes in hex, a space before each, `??` for any byte.
pub(super) struct Masked<'a>(pub(super) &'a [Option<u8>]);

impl Display for Masked<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            Some(byte) => write_hex(out, *byte),
            None => out.write_str(" ??"),
        })
    }
}
