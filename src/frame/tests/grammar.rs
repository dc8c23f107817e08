//! Both grammars: what they read, that they agree, and what they say about slips.

use super::super::{Field, RAW_MOST, Spec};

#[test]
fn the_text_of_a_framing_is_read_back() {
    let table = [
        ("raw", "raw"),
        (" line ", "line"),
        ("line,max=64KiB", "line,max=65536"),
        ("crlf , max = 10", "crlf,max=10"),
        ("all", "all"),
        ("netstring", "netstring"),
        ("fixed:12", "fixed:12"),
        ("fixed: 1KiB", "fixed:1024"),
        ("delimiter:0x00", r"delimiter:\0"),
        ("delimiter:0x0D0a", r"delimiter:\r\n"),
        (r"delimiter:\r\n.\r\n", r"delimiter:\r\n.\r\n"),
        (r"delimiter:\t\0\\\x7f", r"delimiter:\t\0\\\x7f"),
        ("delimiter:\r\n", r"delimiter:\r\n"),
        ("delimiter: ", "delimiter: "),
        ("delimiter:,", r"delimiter:\x2c"),
        ("delimiter:,,max=9", r"delimiter:\x2c,max=9"),
        ("delimiter:END,max=9", "delimiter:END,max=9"),
        ("delimiter:é", r"delimiter:\xc3\xa9"),
        (r"delimiter:\x30x41", r"delimiter:\x30x41"),
        ("length:u8", "length:u8"),
        ("length:varint,header=strip,adjust=-1", "length:varint,adjust=-1"),
        (
            "length:u16be,max=64KiB,header=keep,offset=4",
            "length:u16be,offset=4,header=keep,max=65536",
        ),
    ];
    for (text, shown) in table {
        let spec = Spec::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(spec.to_string(), shown, "{text}");
        assert_eq!(Spec::parse(shown), Ok(spec), "{text}");
    }
}

#[test]
fn every_delimiter_can_be_shown() {
    let mut delimiters: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    delimiters.extend([b"0x41".to_vec(), b" 0x".to_vec(), b"\t0xg".to_vec(), b"\\x41".to_vec()]);
    delimiters.push((0..=255).collect());
    for bytes in delimiters {
        let spec = Spec::from_fields(&[("delimiter".to_owned(), Field::Text(&bytes))]).unwrap();
        assert_eq!(Spec::parse(&spec.to_string()), Ok(spec.clone()), "{spec}");
        let framing = spec.standing(10).unwrap();
        assert_eq!(framing.affixes(0, false).unwrap().suffix, bytes);
    }
}

#[test]
fn slips_in_a_text_are_named() {
    let kinds = "expected raw, line, crlf, delimiter, length, fixed or netstring, got";
    let table = [
        ("lines", format!("{kinds} 'lines'; did you mean line?")),
        ("LINE", format!("{kinds} 'LINE'; did you mean line?")),
        ("netstrings:5", format!("{kinds} 'netstrings'; did you mean netstring?")),
        ("", format!("{kinds} ''")),
        ("websocket", format!("{kinds} 'websocket'")),
        ("line:5", "line takes no value; options go as in line,max=64KiB".to_owned()),
        ("line,5", "expected KEY=VALUE behind the comma, got '5'".to_owned()),
        ("line,", "expected KEY=VALUE behind the comma, got ''".to_owned()),
        ("line,mx=5", "there is no 'mx' in a framing; did you mean max?".to_owned()),
        ("line,max=5,max=6", "max is given twice".to_owned()),
        (
            "line,max=big",
            "max expects a size above zero, for example 65536 or 64KiB, got 'big'".to_owned(),
        ),
        (
            "line,max=0",
            "max expects a size above zero, for example 65536 or 64KiB, got '0'".to_owned(),
        ),
        (
            "line,max=2TiB",
            "max expects a size above zero, for example 65536 or 64KiB, got '2TiB'".to_owned(),
        ),
        ("line,offset=1", "offset is for length, not for line".to_owned()),
        ("line,header=strip", "header is for length, not for line".to_owned()),
        ("line,timeout=1", "timeout is for conn:read only".to_owned()),
        ("fixed", "fixed needs a value, for example fixed:12".to_owned()),
        ("fixed:-1", "fixed expects a number of bytes, for example 12, got '-1'".to_owned()),
        ("delimiter", "delimiter needs a value, for example delimiter:0x00".to_owned()),
        ("delimiter:", "delimiter expects 1 to 256 bytes, got 0".to_owned()),
        ("delimiter:0x", "delimiter expects 1 to 256 bytes, got 0".to_owned()),
        (
            "delimiter:0x123",
            "delimiter expects two hex digits a byte behind 0x, got '0x123'".to_owned(),
        ),
        (
            "delimiter:0xgg",
            "delimiter expects two hex digits a byte behind 0x, got '0xgg'".to_owned(),
        ),
        (
            r"delimiter:a\q",
            r"delimiter expects \r, \n, \t, \0, \\ or \xHH behind a backslash".to_owned(),
        ),
        (
            r"delimiter:a\x4",
            r"delimiter expects \r, \n, \t, \0, \\ or \xHH behind a backslash".to_owned(),
        ),
        (
            "delimiter:a,b",
            r"expected KEY=VALUE behind the comma, got 'b'; a comma in a delimiter is \x2c"
                .to_owned(),
        ),
        (
            "length:u16",
            "length expects u8, u16be, u16le, u24be, u32be, u32le or varint, got 'u16'".to_owned(),
        ),
        (
            "length:u23be",
            "length expects u8, u16be, u16le, u24be, u32be, u32le or varint, got 'u23be'; \
             did you mean u24be?"
                .to_owned(),
        ),
        ("length", "length needs a value, for example length:u16be".to_owned()),
        ("length:u8,offset=4", "an offset needs header=keep".to_owned()),
        ("length:u8,offset=4,header=strip", "an offset needs header=keep".to_owned()),
        ("length:u8,header=kep", "header expects keep or strip, got 'kep'".to_owned()),
        (
            "length:u8,offset=70000,header=keep",
            "offset expects a whole number from 0 to 65535, got '70000'".to_owned(),
        ),
        (
            "length:u8,adjust=x",
            "adjust expects a whole number of bytes, for example -4, got 'x'".to_owned(),
        ),
    ];
    for (text, why) in table {
        assert_eq!(Spec::parse(text), Err(why), "{text}");
    }
    let long = "delimiter:".to_owned() + &"x".repeat(257);
    assert_eq!(Spec::parse(&long), Err("delimiter expects 1 to 256 bytes, got 257".to_owned()));
    // Neither a long nor a strange word makes a long or a strange answer.
    assert!(Spec::parse(&"x".repeat(100_000)).unwrap_err().len() < 200);
    assert!(Spec::parse("a\x1b[31m").unwrap_err().contains(r"'a\x1b[31m'"));
}

type Fields<'a> = &'a [(&'a str, Field<'a>)];

fn table_of(fields: Fields<'_>) -> Vec<(String, Field<'_>)> {
    fields.iter().map(|(name, field)| ((*name).to_owned(), *field)).collect()
}

fn from_table(fields: Fields<'_>) -> Result<String, String> {
    // In any order.
    let mut table = table_of(fields);
    let forwards = Spec::from_fields(&table);
    table.reverse();
    let backwards = Spec::from_fields(&table);
    if forwards.is_ok() {
        assert_eq!(forwards, backwards);
    }
    Ok(forwards?.to_string())
}

const TRUE: Field<'_> = Field::Flag(true);
const KEEP: Field<'_> = Field::Text(b"keep");

#[test]
fn a_table_says_the_same() {
    let table: [(Fields<'_>, &str); 12] = [
        (&[("line", TRUE)], "line"),
        (&[("line", TRUE), ("crlf", Field::Flag(false))], "line"),
        (&[("raw", TRUE), ("max", Field::Number(10.0))], "raw,max=10"),
        (&[("netstring", TRUE), ("max", Field::Text(b"64KiB"))], "netstring,max=65536"),
        (&[("all", TRUE)], "all"),
        (&[("fixed", Field::Number(12.0))], "fixed:12"),
        (&[("delimiter", Field::Text(b"\0"))], r"delimiter:\0"),
        (&[("delimiter", Field::Text(b"0x00"))], r"delimiter:\x30x00"),
        (
            &[
                ("header", KEEP),
                ("adjust", Field::Number(-4.0)),
                ("length", Field::Text(b"u16be")),
                ("offset", Field::Number(4.0)),
            ],
            "length:u16be,offset=4,adjust=-4,header=keep",
        ),
        (&[("", Field::Text(b"line")), ("max", Field::Number(1024.0))], "line,max=1024"),
        (&[("", Field::Text(b"line,max=5")), ("max", Field::Number(6.0))], "line,max=6"),
        (
            &[("header", KEEP), ("", Field::Text(b"length:u16be,offset=4"))],
            "length:u16be,offset=4,header=keep",
        ),
    ];
    for (fields, text) in table {
        assert_eq!(from_table(fields).as_deref(), Ok(text));
    }
}

#[test]
fn slips_in_a_table_are_named() {
    let table: [(Fields<'_>, &str); 15] = [
        (&[], "expected a framing: raw, line, crlf, delimiter, length, fixed or netstring"),
        (
            &[("max", Field::Number(5.0))],
            "expected a framing: raw, line, crlf, delimiter, length, fixed or netstring",
        ),
        (&[("lin", TRUE)], "there is no 'lin' in a framing; did you mean line?"),
        (&[("2", TRUE)], "there is no '2' in a framing"),
        (&[("line", TRUE), ("crlf", TRUE)], "expected one kind of framing, got line and crlf"),
        (
            &[("", Field::Text(b"line")), ("fixed", Field::Number(5.0))],
            "expected one kind of framing, got line and fixed",
        ),
        (&[("line", Field::Number(1.0))], "line expects true, got 1"),
        (&[("line", Field::Other("table"))], "line expects true, got table"),
        (&[("", Field::Number(5.0))], "a framing expects a kind, for example \"line\", got 5"),
        (
            &[("fixed", Field::Number(1.5))],
            "fixed expects a number of bytes, for example 12, got 1.5",
        ),
        (
            &[("fixed", Field::Number(f64::NAN))],
            "fixed expects a number of bytes, for example 12, got NaN",
        ),
        (
            &[("line", TRUE), ("max", Field::Number(f64::INFINITY))],
            "max expects a size above zero, for example 65536 or 64KiB, got inf",
        ),
        (
            &[("line", TRUE), ("max", Field::Number(1e13))],
            "max expects a size above zero, for example 65536 or 64KiB, got 10000000000000",
        ),
        (&[("delimiter", TRUE)], "delimiter expects a string, got boolean"),
        (
            &[("length", Field::Text(b"\xff"))],
            "length expects u8, u16be, u16le, u24be, u32be, u32le or varint, got '\\xff'",
        ),
    ];
    for (fields, why) in table {
        assert_eq!(from_table(fields), Err(why.to_owned()));
    }
}

#[test]
fn a_function_takes_a_limit_only() {
    let function = ("", Field::Other("function"));
    let max = ("max", Field::Text(b"64KiB"));
    assert_eq!(Spec::custom_max(&table_of(&[function])), Ok(None));
    assert_eq!(Spec::custom_max(&table_of(&[function, max])), Ok(Some(65536)));
    let table = [
        (("line", TRUE), "expected one kind of framing, got a function and line"),
        (("header", KEEP), "a framing function takes max only, got header"),
        (("mux", KEEP), "there is no 'mux' in a framing; did you mean max?"),
    ];
    for (field, why) in table {
        assert_eq!(Spec::custom_max(&table_of(&[function, field])), Err(why.to_owned()));
    }
}

#[test]
fn some_framings_are_for_one_read_only() {
    let table = [
        ("all", "all is for conn:read only"),
        ("fixed:0", "fixed 0 is for conn:read only"),
        ("fixed:101", "fixed 101 is above the limit of 100 bytes; give a larger max"),
        ("fixed:12,max=11", "fixed 12 is above the limit of 11 bytes; give a larger max"),
        (
            "length:u16be,offset=99,header=keep",
            "a header of 101 bytes is above the limit of 100 bytes; give a larger max",
        ),
    ];
    for (text, why) in table {
        assert_eq!(Spec::parse(text).unwrap().standing(100).unwrap_err(), why, "{text}");
    }
    assert!(Spec::parse("fixed:101,max=101").unwrap().standing(100).is_ok());
}

#[test]
fn a_limit_is_that_of_the_framing_or_the_general_one() {
    let max = |text: &str| Spec::parse(text).unwrap().standing(100).unwrap().max();
    assert_eq!(max("line"), 100);
    assert_eq!(max("line,max=200"), 200);
    assert_eq!(max("raw"), RAW_MOST);
    assert_eq!(max("raw,max=1MiB"), RAW_MOST);
    assert_eq!(max("raw,max=10"), 10);
}

#[test]
fn what_becomes_of_a_header_needs_no_key() {
    for text in ["length:u16be,offset=4,keep", "length:u16be, offset=4, keep"] {
        assert_eq!(Spec::parse(text), Spec::parse("length:u16be,offset=4,header=keep"), "{text}");
    }
    assert!(Spec::parse("length:u8,keep,header=strip").is_err());
    assert!(Spec::parse("line,keep").is_err());
}
