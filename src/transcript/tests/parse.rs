//! What each line means.

use std::time::Duration;

use super::super::{
    Action, Deed, Directives, Eol, FileName, Line, ListenerName, Name, Part, Payload, Sight,
    Template, Variables, Wanted,
};
use super::{one, parse, steps, text};
use crate::frame::Spec;
use crate::net::Transport;

fn line(text: &str) -> Line {
    Line::new(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn sends(text: &str) -> Payload {
    match one(text).action {
        Action::Send(payload) => payload,
        other => panic!("{text}: {other:?}"),
    }
}

fn wants(text: &str) -> Wanted {
    match one(text).action {
        Action::Expect(wanted) => wanted,
        other => panic!("{text}: {other:?}"),
    }
}

fn sends_bytes(text: &str) -> Vec<u8> {
    match sends(text) {
        Payload::Bytes(template) => template.fill(&Variables::default()).into_owned(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn text_is_everything_behind_one_space() {
    assert_eq!(sends("> PING"), Payload::Text(text("PING")));
    assert_eq!(wants("< PONG"), Wanted::Text(text("PONG")));
    assert_eq!(sends(">  a  "), Payload::Text(text(" a  ")));
    assert_eq!(sends(">"), Payload::Text(text("")));
    assert_eq!(sends("> "), Payload::Text(text("")));
    assert_eq!(sends("> > \\n # \"é\" ${x} $$"), Payload::Text(text("> \\n # \"é\" ${x} $$")));
    assert_eq!(sends("> a\rb\tc"), Payload::Text(text("a\rb\tc")));
}

#[test]
fn quoted_bytes_have_escapes() {
    let bytes = sends_bytes(r#">> "\r\n\t\0\\\"\xfF é # > ${x}""#);
    assert_eq!(bytes, [b"\r\n\t\0\\\"\xff", " é # > ${x}".as_bytes()].concat());
    assert_eq!(sends_bytes(r#">> """#), b"");
    assert_eq!(sends_bytes(">>  \"a\"\t"), b"a");
    assert_eq!(wants(r#"<< "\x02""#), Wanted::Bytes(Template::literal([2])));
}

#[test]
fn hex_is_pairs_of_digits() {
    assert_eq!(sends(">x 00 0a fF"), Payload::Hex(vec![0, 10, 255]));
    assert_eq!(sends(">x  000a\tfF "), Payload::Hex(vec![0, 10, 255]));
    assert_eq!(sends(">x"), Payload::Hex(vec![]));
    assert_eq!(wants("<x 00 ??02"), Wanted::Hex(vec![Some(0), None, Some(2)]));
    assert_eq!(sends("> x 00"), Payload::Text(text("x 00")));
}

#[test]
fn a_name_stands_before_the_sign() {
    for (text, who, action) in [
        ("bob> hi", "bob", ">"),
        ("x> hi", "x", ">"),
        ("_1<~ hi", "_1", "<~"),
        ("bob!> eof", "bob", "!>"),
        ("Bob!< eof", "Bob", "!<"),
    ] {
        let step = one(text);
        assert_eq!(step.who, Some(name(who)), "{text}");
        assert!(step.to_string().starts_with(&format!("{who}{action}")), "{step}");
    }
    assert_eq!(one("> hi").who, None);
}

#[test]
fn deeds_sights_and_time() {
    for (text, action) in [
        ("= 500ms", Action::Pass(Duration::from_millis(500))),
        ("=  1m 2s ", Action::Pass(Duration::from_secs(62))),
        ("!> connect", Action::Do(Deed::Connect)),
        ("!> eof ", Action::Do(Deed::Eof)),
        ("!> close", Action::Do(Deed::Close)),
        ("!> reset", Action::Do(Deed::Reset)),
        ("!> reload a b.lua ", Action::Do(Deed::Reload(FileName::new("a b.lua").unwrap()))),
        ("!< eof", Action::See(Sight::Eof)),
        ("!< reset", Action::See(Sight::Reset)),
        ("!< silence 200ms", Action::See(Sight::Silence(Duration::from_millis(200)))),
        ("!< log  x ", Action::See(Sight::Log(line(" x ")))),
        ("!< reject too long", Action::See(Sight::Reject(line("too long")))),
        ("!< fault", Action::See(Sight::Fault(line("")))),
    ] {
        assert_eq!(one(text).action, action, "{text}");
    }
}

#[test]
fn variables_stand_in_steps_with_a_dollar() {
    let steps = steps("<~ (?<a>.)(?P<b_2>.)\n>$ $$${a}${b_2} $$\n<<$ \"\\x01${a}\\n\"\n>$ no $$");
    let variable = |text| Part::Variable(name(text));
    let literal = |text: &str| Part::Literal(text.into());
    let parts = [literal("$"), variable("a"), variable("b_2"), literal(" $")];
    let Action::Send(Payload::Text(sent)) = &steps[1].action else { panic!("{steps:?}") };
    assert_eq!(sent.template().parts(), parts);
    let Action::Expect(Wanted::Bytes(wanted)) = &steps[2].action else { panic!("{steps:?}") };
    assert_eq!(wanted.parts(), [literal("\x01"), variable("a"), literal("\n")]);
    assert_eq!(steps[1].to_string(), ">$ $$${a}${b_2} $$");
    assert_eq!(steps[2].to_string(), r#"<<$ "\x01${a}\n""#);
    // Without a variable it is like any other.
    assert_eq!(steps[3].to_string(), "> no $");
}

#[test]
fn comments_and_empty_lines_are_skipped_and_counted() {
    let dialogue = parse("\n#> a\n \t\n> #b\n\n< c # d\n");
    let shown: Vec<_> =
        dialogue.steps.iter().map(|placed| (placed.line, placed.step.to_string())).collect();
    assert_eq!(shown, [(4, "> #b".to_owned()), (6, "< c # d".to_owned())]);
}

#[test]
fn every_end_of_line_is_one() {
    let expected = steps("> a\n>\n< b\n");
    for text in ["> a\r\n>\r\n< b\r\n", "> a\r\n> \n< b", "\u{feff}> a\n>\n< b\r"] {
        assert_eq!(steps(text), expected, "{text:?}");
    }
    // One CR belongs to the end, one before it to the text: which cannot be.
    assert_eq!(steps(""), []);
    assert_eq!(steps("\u{feff}"), []);
}

#[test]
fn directives_are_read() {
    let dialogue = parse(
        "@handler ../a b.lua\n@listener web-1\n@transport unix\n\
         @framing length:u16be,offset=4,keep\n@eol crlf \n\
         @timeout 1m\n@seed 18446744073709551615\n@peer bob [::1]:5\n@upstream up udp://h:1\n\
         @peer al 1.2.3.4:0\n",
    );
    let d = &dialogue.directives;
    assert_eq!(d.handler, FileName::new("../a b.lua"));
    assert_eq!(d.listener, ListenerName::new("web-1"));
    assert_eq!((d.transport, d.eol), (Some(Transport::Unix), Some(Eol::Crlf)));
    assert_eq!(d.framing, Spec::parse("length:u16be,offset=4,header=keep").ok());
    assert_eq!((d.timeout, d.seed), (Some(Duration::from_secs(60)), Some(u64::MAX)));
    assert_eq!(d.peers[&name("bob")], "[::1]:5".parse().unwrap());
    assert_eq!(d.upstreams[&name("up")], "udp://h:1".parse().unwrap());
    assert_eq!(
        dialogue.to_string(),
        "@handler ../a b.lua\n@listener web-1\n@transport unix\n@framing length:u16be,offset=4,header=keep\n\
         @eol crlf\n@timeout 1m\n@seed 18446744073709551615\n@peer al 1.2.3.4:0\n\
         @peer bob [::1]:5\n@upstream up udp://h:1\n"
    );
}

#[test]
fn without_directives_the_defaults_hold() {
    let d = Directives::default();
    assert_eq!((d.transport(), &d.eol()[..]), (Transport::Tcp, &b"\n"[..]));
}

#[test]
fn the_end_of_line_follows_the_framing() {
    for (directives, eol) in [
        ("@framing line", "\n"),
        ("@framing raw", "\n"),
        ("@framing crlf", "\r\n"),
        ("@framing delimiter:|;", "|;"),
        ("@framing delimiter: ", " "),
        ("@framing netstring", ""),
        ("@framing length:u8", ""),
        ("@framing fixed:3", ""),
        ("@framing crlf\n@eol lf", "\n"),
        ("@eol crlf\n@framing line", "\r\n"),
        ("@framing line\n@eol none", ""),
    ] {
        assert_eq!(parse(directives).directives.eol(), eol.as_bytes(), "{directives}");
    }
}
