//! What is refused, where, and what is said.

use super::super::{Dialogue, Mistakes};

fn mistakes(bytes: &[u8]) -> Mistakes {
    match Dialogue::parse("t.dialogue", bytes) {
        Ok(dialogue) => panic!("{:?} parses: {dialogue}", bytes.escape_ascii().to_string()),
        Err(mistakes) => mistakes,
    }
}

/// The first mistake as `line:column: problem`.
fn first(text: &str) -> String {
    let mistakes = mistakes(text.as_bytes());
    let first = &mistakes.list[0];
    format!("{}:{}: {}", first.line, first.column, first.problem)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let said = first(text);
    assert!(said.starts_with(expected), "{text:?}\n  said      {said}\n  expected  {expected}");
}

#[test]
fn a_mistake_shows_its_place_and_its_line() {
    let shown = mistakes("> a\n@handler x\n  > b\r\n>x 00 é0\tg0".as_bytes()).to_string();
    let expected = [
        "t.dialogue:2:1: expected a step; directives stand above the first step",
        "  2 | @handler x",
        "    | ^",
        "t.dialogue:3:1: expected a sign in the first column; only payload has spaces before it",
        "  3 |   > b",
        "    | ^",
        "t.dialogue:4:7: expected two hex digits a byte, got 'é0'",
        "  4 | >x 00 é0\\tg0",
        "    |       ^",
    ];
    assert_eq!(shown, expected.join("\n"));
}

#[test]
fn a_line_without_a_sign_is_told_how_to_write_it() {
    refused(
        "hello world",
        "1:6: expected a sign (> < >> << >x <x <~ <<~ = !> !<); to send this line write '> hello world'",
    );
    refused("\n? x", "2:1: expected a sign");
    refused("é> x", "1:1: expected a sign");
    refused("bob > x", "1:4: expected the sign right behind the name, without a space");
    refused("bob", "1:4: expected a sign");
    refused("bob@handler x", "1:4: expected a sign");
    refused("!eof", "1:1: expected a sign");
    refused("\u{feff}? x", "1:1: expected a sign");
    refused("\n\u{feff}> x", "2:1: expected a sign");
    refused(" # no comment", "1:1: expected a sign in the first column");
    let long = format!("hello {}", "x".repeat(1_000));
    assert!(first(&long).ends_with(&format!("write '> hello {}…'", "x".repeat(18))));
}

#[test]
fn a_space_stands_behind_the_sign() {
    refused(">PING", "1:2: expected a space behind >; a text is written '> PING'");
    refused("<PONG", "1:2: expected a space behind <; a text is written '< PONG'");
    refused("bob>hi", "1:5: expected a space behind >; a text is written '> hi'");
    refused(">xylophone", "1:3: expected a space behind >x; a text is written '> xylophone'");
    refused(">\ta", "1:2: expected a space behind >; a text is written '> \\ta'");
    refused(">>\"a\"", "1:3: expected a space behind >>");
    refused("<<x 00", "1:3: expected a space behind <<");
    refused("<~$ a", "1:3: expected a space behind <~");
    refused("=5s", "1:2: expected a space behind =");
    refused("!>eof", "1:3: expected a space behind !>");
}

#[test]
fn bytes_in_quotes_are_whole() {
    refused(">> PING", r#"1:4: expected bytes in quotes, as in "OK\r\n""#);
    refused(">>", "1:3: expected bytes in quotes");
    refused(r#">> "a"#, "1:6: expected a closing quote");
    refused(r#">> "é\""#, "1:8: expected a closing quote");
    refused(r#">> "a" b"#, "1:7: expected the end of the line behind the quotes; a quote among");
    refused(r#">> "a\q""#, r#"1:6: expected \r, \n, \t, \0, \\, \" or \xHH"#);
    refused(r#">> "a\"#, r"1:6: expected \r, \n");
    refused(r#">> "a\x0g""#, r"1:6: expected two hex digits behind \x");
    refused(r#">> "a\x0"#, r"1:6: expected \r, \n");
    refused(r#">> "a\xé""#, r"1:6: expected two hex digits behind \x");
}

#[test]
fn hex_is_told_from_what_is_none() {
    refused(">x 0", "1:4: expected two hex digits a byte, got '0'");
    refused(">x 00 0x01", "1:7: expected two hex digits a byte, got '0x01'");
    refused(
        ">x 00 ??",
        "1:7: expected two hex digits a byte; ?? is any byte, which cannot be sent",
    );
    refused("<x ?0", "1:4: expected two hex digits a byte, got '?0'");
    refused("<x 00,01", "1:6: expected two hex digits a byte, got ',01'");
}

#[test]
fn a_variable_has_to_be_set_above() {
    refused(">$ ${a}", "1:4: expected a variable that a group (?<NAME>...) above sets, got 'a'");
    refused(
        "<~ (?<token>.)\n>$ a ${tokn}",
        "2:6: expected a variable that a group (?<NAME>...) above sets, got 'tokn'; did you mean ${token}",
    );
    refused(">$ ${a}\n<~ (?<a>.)", "1:4: expected a variable");
    refused("<~ (?<a>.)\n>>$ \"\\n${b}\"", "2:8: expected a variable");
    refused(">$ 5$", "1:5: expected ${NAME}, or $$ for a dollar sign");
    refused(">$ ${a", "1:4: expected ${NAME}, or $$");
    refused("<~ (?<a>.)\n>$ ${ a }", "2:4: expected a variable");
    refused("<~ (?<a.b>.)", "1:4: expected a group's name of letters, digits and _, got a.b");
}

#[test]
fn patterns_have_to_be_regular_expressions() {
    refused("<~ a(b", "1:5: expected a regular expression: unclosed group");
    refused("<<~ é[b-a]", "1:7: expected a regular expression: invalid character class range");
    refused("<~ a{99999999}{99999999}", "1:4: expected a smaller regular expression");
    refused("<<~ (?u:\\b)é", "1:5: this cannot be found in bytes");
    refused("<<~ .*", "1:5: expected a pattern that needs a byte");
    refused("@eol none\n<~ a", "2:1: expected <<~: there is no end of line by @eol or @framing");
    refused("@framing netstring\nbob<~ a", "2:4: expected <<~");
    // Where the boundary of a datagram ends them, they are right.
    let datagrams = b"@transport udp\n@eol none\n<~ a\n<<~ .*\n";
    assert!(Dialogue::parse("", datagrams).is_ok());
    assert!(Dialogue::parse("", b"<<~ .*$").is_ok());
    let upstream = b"@upstream up udp://h:1\nup<<~ .*\n";
    assert!(Dialogue::parse("", upstream).is_ok());
}

#[test]
fn words_are_known_and_stand_alone() {
    refused(
        "!> cloze",
        "1:4: expected connect, eof, close, reset, reload, got 'cloze'; did you mean close",
    );
    refused("!>", "1:3: expected connect, eof, close, reset, reload, got ''");
    refused("!> eof now", "1:8: expected nothing behind eof, got 'now'");
    refused("!> reload", "1:10: expected a file's name");
    refused("!< silent 1s", "1:4: expected eof, reset, silence, log, reject, fault, got 'silent'");
    refused("!< silence", "1:11: expected a duration");
    refused("!< silence 5", "1:12: give a unit, for example 30s, got '5'");
    refused("= soon", "1:3: expected a duration, for example 500ms or 30s, got 'soon'");
    refused("= 0s", "1:3: expected a duration above zero");
    refused("!<  eof", "1:4: expected eof, reset, silence");
}

#[test]
fn who_can_do_what() {
    refused("bob= 1s", "1:4: expected = without a name before it; time passes for all");
    refused(
        "bob!> reload x",
        "1:7: expected no name before the sign: reload is the server's, not that of 'bob'",
    );
    refused("bob!< log x", "1:7: expected no name before the sign: log is the server's");
    refused(
        "@upstream up tcp://h:1\nup!> connect",
        "2:6: expected no connect by an upstream; the handler connects",
    );
    refused("@transport udp\n!> eof", "2:4: expected no eof: udp has none");
    refused("@transport unixgram\nbob!> reset", "2:7: expected no reset: unixgram has none");
    refused("@upstream up udp://h:1\nup!< eof", "2:6: expected no eof: udp has none");
}

#[test]
fn directives_are_known_and_stand_once_above_the_steps() {
    refused(
        "@handlr x",
        "1:2: expected one of @handler @listener @transport @framing @eol @timeout @seed @peer @upstream, got 'handlr'; did you mean @handler",
    );
    refused("@ handler x", "1:2: expected one of");
    refused("@handler", "1:9: expected FILE behind @handler");
    refused("@eol lf\n@eol lf", "2:2: @eol is given twice; expected it once");
    refused("@peer b 1.2.3.4:5\n@peer b 1.2.3.4:5", "2:2: @peer is given twice; expected it once");
    refused("> a\n@eol lf", "2:1: expected a step; directives stand above the first step");
    refused("@eol cr", "1:6: expected lf, crlf or none, got 'cr'");
    refused("@transport sctp", "1:12: expected tcp, udp, unix or unixgram, got 'sctp'");
    refused(
        "@framing lien",
        "1:10: expected raw, line, crlf, delimiter, length, fixed or netstring, got 'lien'; did you mean line",
    );
    refused("@framing all", "1:10: all is for conn:read only");
    refused("@timeout 5", "1:10: give a unit");
    refused("@seed -1", "1:7: expected a whole number, got '-1'");
    refused("@peer bob", "1:10: expected NAME IP:PORT");
    refused("@peer b-b 1.2.3.4:5", "1:7: expected a name of letters, digits and _, got 'b-b'");
    refused("@peer bob here", "1:11: expected IP:PORT, got 'here'");
    refused("@upstream up tpc://h:1", "1:14: unknown scheme tpc://");
    refused("@handler a\rb", "1:11: expected no control character in a directive");
    refused(
        "@peer a 1.2.3.4:5\n@upstream a tcp://h:1",
        "2:11: expected another name: a is both a client and an upstream",
    );
}

#[test]
fn what_is_not_utf8_has_a_place() {
    let said = |bytes: &[u8]| {
        let mistakes = mistakes(bytes);
        let first = &mistakes.list[0];
        format!("{}:{}: {}", first.line, first.column, first.problem)
    };
    assert_eq!(
        said(b"> a\n> \xc3\xa9\xffb\n"),
        "2:4: expected UTF-8 text, got the byte 0xff; other bytes are written >> \"\\xff\" or >x ff"
    );
    assert!(said(b"# \xe4 a comment too").starts_with("1:3: expected UTF-8 text"));
    assert!(said(b"> \xc3").starts_with("1:3: expected UTF-8 text, got the byte 0xc3"));
    assert!(said(b"\xff\xfe>\0 \0").ends_with("0xff; this looks like UTF-16"));
    assert!(mistakes(b"> a\xffb").to_string().ends_with("| > a\\xffb\n    |    ^"));
}

#[test]
fn of_a_long_line_a_part_is_shown() {
    let text = format!(">x {}g{}", "00".repeat(500), "é".repeat(500));
    let mistakes = mistakes(text.as_bytes());
    let shown = mistakes.to_string();
    let [_, excerpt, mark] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    assert_eq!(mistakes.list[0].column, 1_004);
    assert!(excerpt.starts_with("  1 | …00") && excerpt.ends_with("éé…"), "{excerpt}");
    assert_eq!(excerpt.chars().position(|c| c == 'g'), mark.chars().position(|c| c == '^'));
    assert!(excerpt.chars().count() < 120);
}

#[test]
fn many_mistakes_are_not_all_told() {
    let all = mistakes("? a\n".repeat(20).as_bytes());
    assert_eq!((all.list.len(), all.list[19].line), (20, 20));
    let shown = mistakes(">a\n".repeat(100_000).as_bytes()).to_string();
    assert_eq!(shown.lines().count(), 61);
    assert!(shown.ends_with("\nthe rest of the file was not looked at"));
}
