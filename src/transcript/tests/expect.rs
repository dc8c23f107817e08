//! What is compared, and how a difference is shown.

use super::super::{Action, Expectation, Name, Variables, Verdict};
use super::{one, steps};

/// What a step expects; lines end with CRLF.
fn expectation(text: &str) -> Expectation {
    let Action::Expect(wanted) = one(text).action else { panic!("{text}") };
    Expectation::new(&wanted, b"\r\n")
}

fn read(text: &str, received: &[u8]) -> Verdict {
    let mut variables = Variables::default();
    expectation(text).begin(&variables).read(received, &mut variables)
}

fn end(text: &str, received: &[u8]) -> Verdict {
    let mut variables = Variables::default();
    expectation(text).begin(&variables).end(received, &mut variables)
}

#[track_caller]
fn differs(verdict: Verdict, shown: &[&str]) {
    match verdict {
        Verdict::Differs(difference) => assert_eq!(difference.to_string(), shown.join("\n")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn exact_bytes_are_taken_and_no_more() {
    for (text, received, verdict) in [
        ("< OK", &b"OK\r\n"[..], Verdict::Matched(4)),
        ("< OK", b"OK\r\nmore", Verdict::Matched(4)),
        ("< OK", b"OK\r", Verdict::More),
        ("< OK", b"", Verdict::More),
        ("<", b"\r\n\r\n", Verdict::Matched(2)),
        (r#"<< "a\0""#, b"a\0\0", Verdict::Matched(2)),
        (r#"<< """#, b"a", Verdict::Matched(0)),
        ("<x 00 ?? 02", b"\0\xff\x02\x03", Verdict::Matched(3)),
        ("<x ??", b"", Verdict::More),
        ("<x", b"", Verdict::Matched(0)),
    ] {
        assert_eq!(read(text, received), verdict, "{text}");
    }
}

#[test]
fn a_pattern_for_a_line_is_searched_in_one_line() {
    assert_eq!(read("<~ ^OK$", b"OK\r\nOK\r\n"), Verdict::Matched(4));
    assert_eq!(read("<~ K", b"OKAY\r\n"), Verdict::Matched(6));
    assert_eq!(read("<~ ^OK$", b"OK\r"), Verdict::More);
    assert_eq!(read("<~ ^OK$", b"no\rOK"), Verdict::More);
    assert!(matches!(read("<~ ^OK$", b"a\nOK\r\n"), Verdict::Differs(_)));
    assert_eq!(read("<~ (?-u)^\\xff.$", b"\xff\xe9\r\n"), Verdict::Matched(4));
    assert_eq!(read("<~ ^.é$", "ùé\r\n".as_bytes()), Verdict::Matched(6));
}

#[test]
fn a_pattern_for_bytes_takes_as_few_as_it_can_from_the_first_on() {
    for (text, received, verdict) in [
        (r"<<~ id=\d+", &b"id=42"[..], Verdict::Matched(4)),
        (r"<<~ id=\d+;", b"id=42", Verdict::More),
        (r"<<~ id=\d+;", b"id=42;;", Verdict::Matched(6)),
        (r"<<~ .*?foo", b"\n\xff foo", Verdict::Matched(6)),
        (r"<<~ .*foo", b"foo foo", Verdict::Matched(3)),
        (r"<<~ ab|abc", b"abc", Verdict::Matched(2)),
        (r"<<~ \xff.", b"\xff\n", Verdict::Matched(2)),
        // These need the byte behind them.
        (r"<<~ a+\b", b"aa", Verdict::More),
        (r"<<~ a+\b", b"aa b", Verdict::Matched(2)),
        (r"<<~ a\B", b"ab", Verdict::Matched(1)),
        (r"<<~ a*$", b"aa", Verdict::More),
        (r"<<~ (?m)a+$", b"aa\n", Verdict::Matched(2)),
    ] {
        assert_eq!(read(text, received), verdict, "{text}");
    }
    assert_eq!(end("<<~ a*$", b"aa"), Verdict::Matched(2));
    assert_eq!(end("<<~ a*$", b""), Verdict::Matched(0));
    assert_eq!(end(r"<<~ a+\b", b"aa"), Verdict::Matched(2));
}

#[test]
fn groups_are_kept_for_later_steps() {
    let steps = steps("<~ (?<a>\\d+)(?<b>x)?\n<<~ (?<c>..)\\B\n<$ ${a}|${b}|${c}\n");
    let mut variables = Variables::default();
    let mut play = |number: usize, received: &[u8]| {
        let Action::Expect(wanted) = &steps[number].action else { panic!() };
        let expectation = Expectation::new(wanted, b"\n");
        expectation.begin(&variables.clone()).read(received, &mut variables)
    };
    assert_eq!(play(0, b"n 42x\n"), Verdict::Matched(6));
    assert_eq!(play(1, b"\n_c"), Verdict::Matched(2));
    assert_eq!(play(2, b"42|x|\n_\n"), Verdict::Matched(8));
    // A later match takes the place of an earlier one, an empty one too; a failed one does not.
    assert_eq!(play(0, b"7\n"), Verdict::Matched(2));
    assert!(matches!(play(0, b"x\n"), Verdict::Differs(_)));
    assert_eq!(play(2, b"7||\n_\n"), Verdict::Matched(6));
    assert_eq!(variables.value(&Name::new("a").unwrap()), b"7");
}

#[test]
fn a_datagram_is_taken_whole() {
    let taken = |text: &str, datagram: &[u8]| {
        let step = steps(&format!("@transport udp\n{text}")).remove(0);
        let Action::Expect(wanted) = step.action else { panic!("{text}") };
        Expectation::new(&wanted, b"\r\n").datagram(datagram, &mut Variables::default()).is_ok()
    };
    assert!(taken("< OK", b"OK\r\n"));
    assert!(taken(r#"<< """#, b""));
    assert!(taken("<x 00 ??", b"\0\x01"));
    assert!(taken("<~ ^OK$", b"OK\r\n") && taken("<~ ^OK$", b"OK"));
    assert!(taken("<<~ a|ab", b"ab") && taken("<<~ .*", b"") && taken(r"<<~ id=\d+", b"id=42"));
    assert!(!taken("<<~ a", b"ab") && !taken("<<~ a", b"") && !taken("<~ ^a$", b"b"));
    assert!(!taken("< OK", b"OK\r\n\r\n") && !taken("< OK", b"OK"));
    assert!(!taken("<x 00", b"\0\0") && !taken("<x 00 01", b"\0"));
}

#[test]
fn a_difference_has_a_mark_below_the_first_byte_that_differs() {
    differs(
        read("< +PONG", b"+PANG\r\n"),
        &[
            r#"expected  "+PONG\r\n""#,
            r#"got       "+PANG\r\n""#,
            r"             ^ differs behind 2 bytes",
        ],
    );
    differs(
        read("< é\"b", "é\"c\r\n".as_bytes()),
        &[
            r#"expected  "é\"b\r\n""#,
            r#"got       "é\"c\r\n""#,
            r"              ^ differs behind 3 bytes",
        ],
    );
    // The last byte of a character differs.
    differs(
        read("< é", "è\r\n".as_bytes()),
        &[r#"expected  "é\r\n""#, r#"got       "è\r\n""#, r"           ^ differs behind 1 byte"],
    );
    differs(
        read("< a", b"b"),
        &[r#"expected  "a\r\n""#, r#"got       "b""#, r"           ^ the first byte differs"],
    );
}

#[test]
fn an_end_shows_what_is_missing() {
    differs(
        end("< PONG", b"PONG"),
        &[
            r#"expected  "PONG\r\n""#,
            r#"got       "PONG""#,
            r"               ^ nothing came behind 4 bytes",
        ],
    );
    differs(end("< PONG", b""), &[r#"expected  "PONG\r\n""#, "got       nothing"]);
    differs(
        end("<~ ^OK$", b"O"),
        &[
            "expected  a line with ^OK$",
            r#"got       "O""#,
            "            ^ nothing came behind 1 byte",
        ],
    );
}

#[test]
fn bytes_are_shown_in_hex_where_text_says_nothing() {
    differs(
        read("<x 00 ?? 03", b"\x00\x07\x04\x05"),
        &[
            "expected  00 ?? 03",
            "got       00 07 04 05",
            "                ^ differs behind 2 bytes",
        ],
    );
    differs(
        read(r#"<< "\x00\x01\x02""#, b"\x00\x01a"),
        &["expected  00 01 02", "got       00 01 61", "                ^ differs behind 2 bytes"],
    );
}

#[test]
fn a_pattern_that_does_not_match_is_shown_with_what_came() {
    differs(
        read("<~ ^OK$", b"ERR\r\nnext"),
        &["expected  a line with ^OK$", r#"got       "ERR\r\n""#],
    );
    differs(
        read(r"<<~ id=\d+;", b"id=4x"),
        &[
            r"expected  bytes like id=\d+;",
            r#"got       "id=4x""#,
            "               ^ no match goes on so behind 4 bytes",
        ],
    );
    differs(
        read("<<~ a", b"b"),
        &["expected  bytes like a", r#"got       "b""#, "           ^ no match begins so"],
    );
}

#[test]
fn of_long_bytes_a_part_is_shown() {
    let long = |byte: &str| format!("{}{byte}{}", "é".repeat(500), "z".repeat(500));
    let Verdict::Differs(difference) = read(&format!("< {}", long("a")), long("b").as_bytes())
    else {
        panic!()
    };
    let shown = difference.to_string();
    let [expected, got, mark] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    let place = |line: &str, c| line.chars().position(|other| other == c);
    assert!(expected.starts_with("expected  … \"éé") && expected.ends_with("zz\" …"), "{expected}");
    assert!(got.chars().count() < 120 && got.contains("éb"), "{got}");
    assert_eq!(place(mark, '^'), place(got, 'b'));
    assert!(mark.ends_with("differs behind 1000 bytes"));
}
