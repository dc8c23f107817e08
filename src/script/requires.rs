//! Finds the names that a Lua text asks for in string literals, as modules and as assets. It knows
//! just enough of Luau's lexical grammar to tell code from comments and strings; it judges neither
//! syntax nor names.

use super::resolve::Ask;

/// The names in `require("name")`, `require "name"` and `require [[name]]`, and those of `asset`
/// likewise, in order.
///
/// A literal with an escape in it, or one that is only part of an expression, is not counted.
pub(super) fn named(source: &[u8]) -> Vec<(Ask, String)> {
    let tokens: Vec<Token> = Lexer::new(source).collect();
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_field = at > 0 && matches!(tokens[at - 1], Token::Mark(b'.' | b':'));
        let ask = match token {
            Token::Word(b"require") if !is_field => Ask::Require,
            Token::Word(b"asset") if !is_field => Ask::Asset,
            _ => continue,
        };
        let ([Token::Text(literal), ..]
        | [Token::Mark(b'('), Token::Text(literal), Token::Mark(b')'), ..]) = &tokens[at + 1..]
        else {
            continue;
        };
        if let Some(name) = literal.and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            names.push((ask, name.to_owned()));
        }
    }
    names
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a [u8]),
    /// A string; `None` where its bytes are not simply those between the quotes.
    Text(Option<&'a [u8]>),
    /// One byte of punctuation; `..` and `...` are `Dots`, so that `.` always means a field.
    Mark(u8),
    Dots,
}

struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
    /// Open braces; `true` for one that is a hole in an interpolated string.
    braces: Vec<bool>,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a [u8]) -> Self {
        Self { source, at: 0, braces: Vec::new() }
    }

    fn rest(&self) -> &'a [u8] {
        &self.source[self.at..]
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The level of a long bracket that opens here: `[[` is 0, `[=[` is 1.
    fn long_bracket(&self) -> Option<usize> {
        let inner = self.rest().strip_prefix(b"[")?;
        let level = inner.iter().take_while(|&&byte| byte == b'=').count();
        (inner.get(level) == Some(&b'[')).then_some(level)
    }

    fn long_text(&mut self, level: usize) -> &'a [u8] {
        self.at += level + 2;
        let body = self.rest();
        let mut close = vec![b'='; level + 2];
        close[0] = b']';
        close[level + 1] = b']';
        let length = memchr::memmem::find(body, &close).unwrap_or(body.len());
        self.at = (self.at + length + close.len()).min(self.source.len());
        // A newline right behind the opening bracket is not part of the string.
        let body = &body[..length];
        body.strip_prefix(b"\r\n").or_else(|| body.strip_prefix(b"\n")).unwrap_or(body)
    }

    fn comment(&mut self) {
        self.at += 2;
        match self.long_bracket() {
            Some(level) => {
                self.long_text(level);
            }
            None => {
                self.skip_while(|byte| byte != b'\n');
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Option<&'a [u8]> {
        self.at += 1;
        let start = self.at;
        let mut plain = true;
        while let Some(&byte) = self.source.get(self.at) {
            match byte {
                b'\\' => {
                    plain = false;
                    self.escape();
                }
                // An unfinished string ends with its line: the compiler reports it.
                b'\n' => break,
                _ if byte == quote => {
                    self.at += 1;
                    return plain.then_some(&self.source[start..self.at - 1]);
                }
                _ => self.at += 1,
            }
        }
        None
    }

    /// Passes an escape; only `\z` and a line's end take more than the byte behind the backslash.
    fn escape(&mut self) {
        self.at += 1;
        match self.rest() {
            [b'z', ..] => {
                self.at += 1;
                self.skip_while(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
            }
            [b'\r', b'\n', ..] => self.at += 2,
            [_, ..] => self.at += 1,
            [] => {}
        }
    }

    /// A stretch of an interpolated string, up to its end or to the next `{`.
    fn interpolated(&mut self) -> Option<&'a [u8]> {
        let whole = self.source[self.at] == b'`';
        self.at += 1;
        let start = self.at;
        let mut plain = whole;
        while let Some(&byte) = self.source.get(self.at) {
            match byte {
                b'\\' => {
                    plain = false;
                    self.escape();
                }
                b'`' => {
                    self.at += 1;
                    return plain.then_some(&self.source[start..self.at - 1]);
                }
                b'{' => {
                    self.at += 1;
                    self.braces.push(true);
                    return None;
                }
                b'\n' => break,
                _ => self.at += 1,
            }
        }
        None
    }

    fn mark(&mut self, byte: u8) -> Token<'a> {
        if self.rest().starts_with(b"..") {
            self.skip_while(|byte| byte == b'.');
            return Token::Dots;
        }
        match byte {
            b'{' => self.braces.push(false),
            b'}' if self.braces.pop() == Some(true) => return Token::Text(self.interpolated()),
            _ => {}
        }
        self.at += 1;
        Token::Mark(byte)
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.skip_while(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
            let byte = *self.rest().first()?;
            return Some(match byte {
                b'-' if self.rest().starts_with(b"--") => {
                    self.comment();
                    continue;
                }
                b'"' | b'\'' => Token::Text(self.quoted(byte)),
                b'`' => Token::Text(self.interpolated()),
                b'[' if let Some(level) = self.long_bracket() => {
                    Token::Text(Some(self.long_text(level)))
                }
                _ if is_word(byte) => Token::Word(self.skip_while(is_word)),
                _ => self.mark(byte),
            });
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::{Ask, named};

    fn names(source: &str) -> Vec<String> {
        required(source.as_bytes())
    }

    fn required(source: &[u8]) -> Vec<String> {
        let named = named(source).into_iter();
        named.filter(|(ask, _)| *ask == Ask::Require).map(|(_, name)| name).collect()
    }

    #[test]
    fn assets_are_found_as_modules_are() {
        let source =
            b"local a = asset './a' -- asset './no'\nreturn {require('./b'), asset('./c')}";
        let expected = [(Ask::Asset, "./a"), (Ask::Require, "./b"), (Ask::Asset, "./c")];
        assert_eq!(named(source), expected.map(|(ask, name)| (ask, name.to_owned())));
        assert_eq!(named(b"my.asset('./x') assets('./x') asset('./' .. x)"), []);
    }

    #[test]
    fn every_way_to_write_a_literal() {
        for source in [
            r#"require("./x")"#,
            r#"require "./x""#,
            "require'./x'",
            "require ( './x' )",
            "require[[./x]]",
            "require([==[./x]==])",
            "require(`./x`)",
            "require --[[ here ]] ( -- there\n './x')",
            "local t = 'a'..require('./x')",
            "local s = `{require('./x')}`",
            "local s = `a { {b = `{1}`}.b } {require('./x')} c`",
            "f{require './x'}",
            "type T = typeof(require('./x'))",
        ] {
            assert_eq!(names(source), ["./x"], "{source}");
        }
    }

    #[test]
    fn what_is_no_require_of_a_literal() {
        for source in [
            "-- require('./x')",
            "--[[ \n require('./x') ]]",
            "--[==[ ]] require('./x') ]==]",
            r#"local s = "require('./x')""#,
            r#"local s = "\" require('./x')""#,
            "local s = 'a\\\n require(\"./x\")'",
            "local s = 'a\\z  \n  require(\"./x\")'",
            "local s = [[ require('./x') ]]",
            "local s = `require('./x')`",
            "local s = `{1} require('./x')`",
            "local s = `\\{ require('./x')`",
            "require('./x' .. name)",
            "require(name)",
            r#"require("./\x78")"#,
            "lib.require('./x')",
            "lib:require('./x')",
            "requires('./x')",
            "require",
            "require(",
            "require('./x",
            "[==",
        ] {
            assert_eq!(names(source), [""; 0], "{source}");
        }
    }

    #[test]
    fn code_behind_strings_and_comments_is_seen_again() {
        let source = "local a = 'it''s' --[[ x ]] local b = [[ \" ]] -- \"\n\
                      local c = `{ {} } ' ` return require './x', require \"./y\"";
        assert_eq!(names(source), ["./x", "./y"]);
    }

    #[test]
    fn an_unfinished_string_ends_with_its_line() {
        assert_eq!(names("local a = 'oops\nrequire('./x')"), ["./x"]);
    }

    #[test]
    fn any_bytes_can_be_scanned() {
        assert_eq!(required(b"\xff\xfe require('./\xff') require('./x') \\"), ["./x"]);
    }
}
