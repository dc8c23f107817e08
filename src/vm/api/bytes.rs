//! What stands behind `hex` and `base64`. Encoders write their result where it stays, in pieces,
//! and are under the budget of the call between them. Decoders are not while they run; at 1 ns a
//! byte that matters only for texts of 100 MB.

use std::sync::LazyLock;

use data_encoding::{BASE64, DecodeError, DecodeKind, Encoding, HEXLOWER, Specification};
use mlua::{Lua, Table};

use crate::text::HexDump;
use crate::vm::raw::stack::{self, Arguments, Native, Stack};

/// How much is encoded between two safepoints; of whole groups of base64.
const PIECE: usize = 3 << 14;

/// A dump shows no more than this of its input, 4095 rows; a format's precision is below 65536.
const LONGEST_DUMP: usize = 65_520;

/// `hex_encode`, `hex_decode`, `hex_dump`, `base64_encode` and `base64_decode`, of one string.
pub(super) fn add(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let functions: [(&str, Native); 5] = [
        ("hex_encode", |arguments, stack| encode(&HEXLOWER, arguments, stack)),
        ("hex_decode", hex_decode),
        ("hex_dump", hex_dump),
        ("base64_encode", |arguments, stack| encode(&BASE64, arguments, stack)),
        ("base64_decode", base64_decode),
    ];
    for (name, native) in functions {
        table.raw_set(name, stack::function(lua, native, None)?)?;
    }
    Ok(())
}

fn text(arguments: Arguments<'_>) -> Result<&[u8], String> {
    arguments.bytes(1).ok_or_else(|| "a string was expected".to_owned())
}

fn encode<'a>(
    encoding: &Encoding,
    arguments: Arguments<'a>,
    stack: &mut Stack<'a>,
) -> Result<(), String> {
    let data = text(arguments)?;
    let pace = stack.pace();
    stack.push_filled(encoding.encode_len(data.len()), |out| {
        let pieces = data.chunks(PIECE).zip(out.chunks_mut(encoding.encode_len(PIECE)));
        for (piece, out) in pieces {
            pace.check();
            encoding.encode_mut(piece, out);
        }
        Ok(())
    })
}

fn hex_decode<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    stack.push_bytes(&from_hex(text(arguments)?)?);
    Ok(())
}

fn hex_dump<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    let dump = format!("{:.LONGEST_DUMP$}", HexDump(text(arguments)?));
    stack.push_bytes(dump.as_bytes());
    Ok(())
}

fn base64_decode<'a>(arguments: Arguments<'a>, stack: &mut Stack<'a>) -> Result<(), String> {
    stack.push_bytes(&from_base64(text(arguments)?)?);
    Ok(())
}

/// White space between the digits of what people paste, and between lines of mail.
const IGNORED: &str = " \t\r\n";

fn lenient(of: &Encoding, translate: (&str, &str)) -> Encoding {
    let mut specification: Specification = of.specification();
    specification.padding = None;
    specification.ignore.push_str(IGNORED);
    specification.translate.from.push_str(translate.0);
    specification.translate.to.push_str(translate.1);
    #[expect(clippy::expect_used, reason = "depends on nothing; every test runs it")]
    specification.encoding().expect("a sound specification")
}

/// The bytes that `text` names by two digits each.
fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    static ENCODING: LazyLock<Encoding> =
        LazyLock::new(|| lenient(&HEXLOWER, ("ABCDEF", "abcdef")));
    ENCODING.decode(text).map_err(|error| match error {
        DecodeError { kind: DecodeKind::Symbol, position } => {
            format!("no hexadecimal digit at byte {}", position + 1)
        }
        _ => "an odd number of digits".to_owned(),
    })
}

/// RFC 4648, section 4; the padding may be left out.
fn from_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    static ENCODING: LazyLock<Encoding> = LazyLock::new(|| lenient(&BASE64, ("", "")));
    let end = text.iter().rposition(|&byte| byte != b'=' && !IGNORED.as_bytes().contains(&byte));
    let (symbols, rest) = text.split_at(end.map_or(0, |last| last + 1));
    let padding = memchr::memchr_iter(b'=', rest).count();
    let data = ENCODING.decode(symbols).map_err(|error| match error.kind {
        DecodeKind::Symbol => format!("no character of base64 at byte {}", error.position + 1),
        _ => format!("cut short at byte {}", error.position + 1),
    })?;
    let expected = (3 - data.len() % 3) % 3;
    if padding != 0 && padding != expected {
        return Err(format!("{padding} padding characters where {expected} belong"));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::{from_base64, from_hex};

    #[test]
    fn hexadecimal_digits_are_read_in_any_case_with_spaces() {
        assert_eq!(from_hex(b""), Ok(vec![]));
        assert_eq!(from_hex(b"00ffDeAd"), Ok(vec![0, 255, 0xde, 0xad]));
        assert_eq!(from_hex(b" de ad\r\nbe\tef "), Ok(vec![0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(from_hex(b"d e"), Ok(vec![0xde]));
    }

    #[test]
    fn what_is_no_hexadecimal_text_is_named() {
        assert_eq!(from_hex(b"0g"), Err("no hexadecimal digit at byte 2".into()));
        assert_eq!(from_hex(b"0x00"), Err("no hexadecimal digit at byte 2".into()));
        assert_eq!(from_hex(b"00 0-"), Err("no hexadecimal digit at byte 5".into()));
        assert_eq!(from_hex(b"abc"), Err("an odd number of digits".into()));
        assert_eq!(from_hex(b"a b c"), Err("an odd number of digits".into()));
    }

    /// RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, data) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v\r\nYmFy\r\n", "foobar"),
            ("Zg=\n=\n", "f"),
        ] {
            assert_eq!(from_base64(text.as_bytes()), Ok(data.into()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_base64_is_named() {
        for (text, problem) in [
            ("Z", "cut short at byte 1"),
            ("Zm9vZ", "cut short at byte 5"),
            // Bits that belong to no byte.
            ("Zh==", "cut short at byte 2"),
            ("Zm-v", "no character of base64 at byte 3"),
            ("Zg==Zg==", "no character of base64 at byte 3"),
            ("Zg=", "1 padding characters where 2 belong"),
            ("Zm9v=", "1 padding characters where 0 belong"),
            ("==", "2 padding characters where 0 belong"),
        ] {
            assert_eq!(from_base64(text.as_bytes()), Err(problem.into()), "{text:?}");
        }
    }
}
