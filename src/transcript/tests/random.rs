//! Dialogues by chance: any that a file can hold, odd texts and bytes first.

use std::time::Duration;

use super::super::{
    Action, BytesPattern, Deed, Dialogue, Directives, Eol, FileName, Line, LinePattern,
    ListenerName, Name, Part, Payload, Placed, Sight, Step, Template, Text, Wanted,
};
use crate::frame::Spec;
use crate::frame::tests::Dice;
use crate::net::Transport;

const PIECES: [&str; 24] = [
    "a", "Z", "0", " ", "  ", "\t", "\r", "#", "@", "\"", "\\", "\\n", "$", "$$", "${", "${a}",
    "}", ">", "é", "😀", "\u{feff}", "\u{2028}", "\0", "\x7f",
];

const LINE_PATTERNS: [&str; 8] =
    ["", "^a$", r"(?<a>\d+)", "(?P<b>x)|y", "é ", " #", r"\x00\$", "(?<long_name1>.)(?<a>.)"];

const BYTES_PATTERNS: [&str; 6] = ["a", ".*$", r"\x02(?<a>.{4})", "(?<c>a|b)c", r"\xff", " x "];

const FRAMINGS: [&str; 6] = [
    "line",
    "crlf",
    "raw,max=5",
    "delimiter: ",
    r"delimiter:\0,max=3",
    "length:varint,offset=2,header=keep",
];

/// Text that can stand at the end of a line.
fn text(dice: &Dice) -> String {
    let text: String = (0..dice.below(6)).map(|_| *dice.pick(&PIECES)).collect();
    text.trim_end_matches('\r').to_owned()
}

fn line(dice: &Dice) -> Line {
    Line::new(&text(dice)).unwrap()
}

fn name(dice: &Dice) -> Name {
    Name::new(dice.pick::<&str>(&["a", "bob", "x", "_", "7", "long_name1"])).unwrap()
}

fn file(dice: &Dice) -> FileName {
    let name = FileName::new(text(dice).trim());
    name.unwrap_or_else(|| FileName::new("a b/../é.lua").unwrap())
}

fn time(dice: &Dice) -> Duration {
    let time = Duration::from_nanos(dice.roll() >> dice.below(64));
    time.clamp(Duration::from_nanos(1), Duration::from_secs(300_000_000))
}

fn bytes(dice: &Dice) -> Vec<u8> {
    let length = dice.below(8);
    if dice.below(2) == 0 { dice.bytes(length) } else { text(dice).into_bytes() }
}

/// Literals, and variables of those that are set.
fn template(dice: &Dice, set: &[Name], literal: impl Fn() -> Vec<u8>) -> Template {
    Template::new((0..dice.below(4)).map(|_| match dice.below(2) {
        0 if !set.is_empty() => Part::Variable(dice.pick(set).clone()),
        _ => Part::Literal(literal()),
    }))
}

fn directives(dice: &Dice) -> Directives {
    let transports = [Transport::Tcp, Transport::Udp, Transport::Unix, Transport::Unixgram];
    let maybe = |odds| dice.below(odds) == 0;
    Directives {
        handler: maybe(3).then(|| file(dice)),
        listener: maybe(3).then(|| ListenerName::new(dice.pick::<&str>(&["a", "b-2_"])).unwrap()),
        transport: maybe(3).then(|| *dice.pick(&transports)),
        framing: maybe(3).then(|| Spec::parse(dice.pick::<&str>(&FRAMINGS)).unwrap()),
        eol: maybe(3).then(|| *dice.pick(&[Eol::Lf, Eol::Crlf, Eol::None])),
        timeout: maybe(3).then(|| time(dice)),
        seed: maybe(3).then(|| dice.roll()),
        peers: (0..dice.below(3))
            .map(|_| (name(dice), *dice.pick(&["1.2.3.4:5", "[::1%3]:0"])))
            .map(|(name, address)| (name, address.parse().unwrap()))
            .collect(),
        upstreams: (0..dice.below(3))
            .map(|n| (format!("up{n}"), *dice.pick(&["tcp://[::1]:7", "udp://h:1", "unix:///a b"])))
            .map(|(name, url)| (Name::new(&name).unwrap(), url.parse().unwrap()))
            .collect(),
    }
}

/// Any dialogue.
pub(super) fn dialogue(dice: &Dice) -> Dialogue {
    let directives = directives(dice);
    let mut set = Vec::new();
    let mut steps = Vec::new();
    while steps.len() < dice.below(12) {
        let upstreams: Vec<_> = directives.upstreams.keys().collect();
        let who = match dice.below(4) {
            0 => Some(name(dice)),
            1 if !upstreams.is_empty() => Some((*dice.pick(&upstreams)).clone()),
            _ => None,
        };
        let transport = who.as_ref().and_then(|name| directives.upstreams.get(name));
        let transport = transport.map_or(directives.transport(), Transport::of);
        let action = match dice.below(5) {
            0 | 1 => Action::Send(payload(dice, &set)),
            2 | 3 => Action::Expect(wanted(dice, &set)),
            _ => other(dice, who.as_ref(), &directives, transport),
        };
        match &action {
            // A line needs an end.
            Action::Expect(Wanted::Line(_))
                if directives.eol().is_empty() && !transport.is_datagram() =>
            {
                continue;
            }
            Action::Expect(Wanted::Line(pattern)) => set.extend(pattern.names().cloned()),
            Action::Expect(Wanted::Pattern(pattern)) => set.extend(pattern.names().cloned()),
            _ => {}
        }
        steps.push(Placed { line: 0, step: Step { who, action } });
    }
    Dialogue { file: String::new(), directives, steps }
}

fn payload(dice: &Dice, set: &[Name]) -> Payload {
    match dice.below(3) {
        0 => Payload::Text(line_template(dice, set)),
        1 => Payload::Bytes(template(dice, set, || bytes(dice))),
        _ => Payload::Hex(bytes(dice)),
    }
}

fn line_template(dice: &Dice, set: &[Name]) -> Text {
    loop {
        let any = || (0..dice.below(3)).map(|_| *dice.pick(&PIECES)).collect::<String>().into();
        if let Some(text) = Text::new(template(dice, set, any)) {
            return text;
        }
    }
}

fn wanted(dice: &Dice, set: &[Name]) -> Wanted {
    match dice.below(5) {
        0 => Wanted::Text(line_template(dice, set)),
        1 => Wanted::Bytes(template(dice, set, || bytes(dice))),
        2 => {
            let any = |byte: u8| (dice.below(3) > 0).then_some(byte);
            Wanted::Hex(bytes(dice).into_iter().map(any).collect())
        }
        3 => {
            let text = Line::new(dice.pick::<&str>(&LINE_PATTERNS)).unwrap();
            let pattern = LinePattern::new(text).unwrap();
            Wanted::Line(pattern)
        }
        _ => {
            let pattern =
                BytesPattern::new(Line::new(dice.pick::<&str>(&BYTES_PATTERNS)).unwrap()).unwrap();
            Wanted::Pattern(pattern)
        }
    }
}

fn other(dice: &Dice, who: Option<&Name>, directives: &Directives, transport: Transport) -> Action {
    let stream = !transport.is_datagram();
    let upstream = who.is_some_and(|name| directives.upstreams.contains_key(name));
    match dice.below(11) {
        0 if !upstream => Action::Do(Deed::Connect),
        1 if stream => Action::Do(Deed::Eof),
        2 if stream => Action::Do(Deed::Reset),
        3 if stream => Action::See(Sight::Eof),
        10 if stream => Action::See(Sight::Reset),
        4 => Action::See(Sight::Silence(time(dice))),
        5 if who.is_none() => Action::Do(Deed::Reload(file(dice))),
        6 if who.is_none() => Action::See(Sight::Log(line(dice))),
        7 if who.is_none() => Action::See(Sight::Reject(line(dice))),
        8 if who.is_none() => Action::See(Sight::Fault(line(dice))),
        9 if who.is_none() => Action::Pass(time(dice)),
        _ => Action::Do(Deed::Close),
    }
}
