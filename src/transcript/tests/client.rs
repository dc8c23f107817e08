//! What a plain client plays.

use super::super::{TurnKind, Variables};
use super::parse;
use crate::net::Transport;

fn refused(text: &str, transport: Transport) -> String {
    parse(text).client(transport).unwrap_err().to_string()
}

#[test]
fn the_turns_of_one_client_are_resolved() {
    let text = "@eol crlf\n@timeout 2s\n# hi\n!> connect\n> a\n>>$ \"b\"\n>x 63\n<~ x\n= 1s\n\
                !< silence 3s\n!> eof\n!< eof\n!> close\n!> reset\n";
    let client = parse(text).client(Transport::Tcp).unwrap();
    assert_eq!(client.timeout.map(|time| time.as_secs()), Some(2));
    let variables = Variables::default();
    let shown: Vec<_> = client
        .turns
        .iter()
        .map(|turn| match &turn.kind {
            TurnKind::Send(bytes) => String::from_utf8(bytes.fill(&variables).into()).unwrap(),
            TurnKind::Expect(_) => "expect".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "Connect",
        "a\r\n",
        "b",
        "c",
        "expect",
        "Pass(1s)",
        "Silence(3s)",
        "Eof",
        "SeeEof",
        "Close",
        "Reset",
    ];
    assert_eq!(shown, expected);
    let first = &client.turns[0];
    assert_eq!((first.line, &first.text[..]), (4, "!> connect"));
}

#[test]
fn a_client_may_have_a_name() {
    for (text, count) in [("bob> a\nbob< b\n", 2), ("= 1s\nbob> a\n= 1s\nbob< b\n", 4)] {
        assert_eq!(parse(text).client(Transport::Unix).unwrap().turns.len(), count, "{text}");
    }
}

#[test]
fn what_needs_more_than_one_client_is_refused() {
    for (text, expected) in [
        (
            "> a\nbob> b",
            "t.dialogue:2: 'bob> b' cannot be played here: there is one client, and this is another",
        ),
        (
            "@upstream up tcp://h:1\n> a\nup< a",
            "t.dialogue:3: 'up< a' cannot be played here: up is an upstream, and there is no handler",
        ),
        (
            "!> reload x",
            "t.dialogue:1: '!> reload x' cannot be played here: a client cannot reload the handler",
        ),
        (
            "!< log x",
            "t.dialogue:1: '!< log x' cannot be played here: a client does not see the handler's log",
        ),
        (
            "!< reject x",
            "t.dialogue:1: '!< reject x' cannot be played here: a client does not see what becomes of a message",
        ),
        (
            "!< fault",
            "t.dialogue:1: '!< fault' cannot be played here: a client does not see what becomes of a message",
        ),
        ("# nothing", "t.dialogue: there is no step; expected one, such as: > hello"),
        ("@transport udp\n> a", "t.dialogue: this is for @transport udp, not for tcp"),
    ] {
        assert_eq!(refused(text, Transport::Tcp), expected);
    }
}

#[test]
fn what_the_transport_does_not_have_is_refused() {
    let expected = "t.dialogue:2: '!> eof' cannot be played here: udp has none";
    assert_eq!(refused("> a\n!> eof", Transport::Udp), expected);
    assert!(refused("!> reset", Transport::Unixgram).ends_with("unixgram has none"));
    assert!(refused("!< eof", Transport::Udp).ends_with("udp has none"));
    assert!(parse("@transport unix\n!> eof").client(Transport::Tcp).is_ok());
    assert!(parse("@transport unixgram\n> a").client(Transport::Udp).is_ok());
}
