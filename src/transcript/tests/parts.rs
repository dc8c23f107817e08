//! A dialogue as one side plays it.

use super::super::{Dialogue, Unplayable};
use super::parse;
use crate::net::Transport;

fn steps(part: Result<Dialogue, Unplayable>) -> Vec<String> {
    let part = part.unwrap_or_else(|why| panic!("{why}"));
    part.steps.iter().map(|placed| format!("{}: {}", placed.line, placed.step)).collect()
}

#[test]
fn clients_send_in_one_piece_what_they_send_in_a_row() {
    let text =
        "@eol crlf\n> a\n>x 00\nbob> b\n> c\n= 1s\n> d\n<~ (?<x>y)\n>$ ${x}\n>> \"e\"\n!> eof\n";
    let expected = [
        "2: >> \"a\\r\\n\\0\"",
        "4: bob> b",
        "5: > c",
        "6: = 1s",
        "7: > d",
        "8: <~ (?<x>y)",
        "9: >>$ \"${x}\\r\\ne\"",
        "11: !> eof",
    ];
    assert_eq!(steps(parse(text).part_of_clients(Transport::Tcp)), expected);
}

#[test]
fn a_datagram_stays_one() {
    let text = "@transport udp\n> a\n> b\n";
    assert_eq!(steps(parse(text).part_of_clients(Transport::Udp)), ["2: > a", "3: > b"]);
}

#[test]
fn the_server_sends_what_clients_expect() {
    let text = "!> connect\n> a\n>> \"b\"\n>x 00\n< A\n<< \"B\"\n<x ff\n= 5ms\n!< silence 2ms\n!> eof\n\
                !< eof\nbob> c\nbob!> close\n!> reset\nbob!< reset\n";
    let expected = [
        "1: !> connect",
        "2: < a",
        "3: << \"b\"",
        "4: <x 00",
        "5: >> \"A\\nB\\xff\"",
        "8: = 5ms",
        "9: = 2ms",
        "10: !< eof",
        "11: !> eof",
        "12: bob< c",
        "13: bob!< eof",
        "14: !< reset",
        "15: bob!> reset",
    ];
    assert_eq!(steps(parse(text).part_of_server(Transport::Tcp)), expected);
}

#[test]
fn what_cannot_be_played_is_refused_with_its_place() {
    let server = |text: &str| parse(text).part_of_server(Transport::Tcp).unwrap_err().to_string();
    let clients = |text: &str| parse(text).part_of_clients(Transport::Tcp).unwrap_err().to_string();
    for (got, expected) in [
        (
            server("> a\n<~ x"),
            "t.dialogue:2: '<~ x' cannot be played here: a pattern cannot be sent",
        ),
        (server("<<~ x"), "t.dialogue:1: '<<~ x' cannot be played here: a pattern cannot be sent"),
        (
            server("<x 00 ??"),
            "t.dialogue:1: '<x 00 ??' cannot be played here: ?? is any byte, which cannot be sent",
        ),
        (
            clients("!> reload x"),
            "t.dialogue:1: '!> reload x' cannot be played here: there is no handler to reload",
        ),
        (
            clients("!< fault x"),
            "t.dialogue:1: '!< fault x' cannot be played here: what a handler logs, rejects or \
             fails at is not seen over a network",
        ),
        (
            clients("@upstream up tcp://h:1\n> a\nup< a"),
            "t.dialogue:3: 'up< a' cannot be played here: up is an upstream, and there is no handler",
        ),
        (clients("# nothing"), "t.dialogue: there is no step; expected one, such as: > hello"),
        (clients("@transport udp\n> a"), "t.dialogue: this is for @transport udp, not for tcp"),
    ] {
        assert_eq!(got, expected);
    }
}
