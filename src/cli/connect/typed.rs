//! What a typed line has sent: text with an end of line, or exact bytes, written as a dialogue
//! writes them. Pure.

use crate::net::Transport;
use crate::transcript::{Dialogue, Eol, TurnKind, Variables};

/// What begins a line of exact bytes, in quotes and in hex.
const EXACT: [&str; 2] = [">> ", ">x "];

/// The bytes of a line.
///
/// # Errors
/// It begins like one of exact bytes and is none: what was expected.
pub(super) fn bytes_of(line: &str, eol: Eol, transport: Transport) -> Result<Vec<u8>, String> {
    // Without a payload it is text: nobody wishes to send nothing.
    if EXACT.iter().any(|sign| line.starts_with(sign)) {
        return exact(line, transport);
    }
    Ok([line.as_bytes(), eol.bytes()].concat())
}

fn exact(line: &str, transport: Transport) -> Result<Vec<u8>, String> {
    let dialogue = Dialogue::parse("", line.as_bytes()).map_err(|mistakes| {
        mistakes.list.first().map_or_else(String::new, |mistake| {
            format!("character {}: {}", mistake.column, mistake.problem)
        })
    })?;
    let client = dialogue.client(transport).map_err(|error| error.to_string())?;
    match client.turns.first().map(|turn| &turn.kind) {
        Some(TurnKind::Send(bytes)) => Ok(bytes.fill(&Variables::default()).into_owned()),
        _ => Err("this sends nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(line: &str) -> Result<Vec<u8>, String> {
        bytes_of(line, Eol::Crlf, Transport::Udp)
    }

    #[test]
    fn a_line_is_its_text_and_the_end_of_line() {
        for line in ["", "hello", ">", "> x", ">>", ">x", ">x00", ">>$ x", " >x 00", ">>\"a\""] {
            assert_eq!(bytes(line), Ok([line.as_bytes(), b"\r\n"].concat()), "{line}");
        }
        assert_eq!(bytes_of("a", Eol::None, Transport::Tcp), Ok(b"a".to_vec()));
    }

    #[test]
    fn exact_bytes_are_written_as_in_a_dialogue() {
        assert_eq!(bytes(r#">> "a\x00\r\n\"${x}""#), Ok(b"a\0\r\n\"${x}".to_vec()));
        assert_eq!(bytes(">x 00 03ff"), Ok(vec![0, 3, 255]));
        assert_eq!(bytes(">x "), Ok(Vec::new()));
        assert_eq!(bytes(r#">> """#), Ok(Vec::new()));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let error = bytes(">x 0g").unwrap_err();
        assert!(error.starts_with("character 4: expected two hex digits"), "{error}");
        let error = bytes(">> hello").unwrap_err();
        assert!(error.contains("expected bytes in quotes"), "{error}");
        assert!(bytes(">x ??").is_err());
    }
}
