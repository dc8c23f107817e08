//! What is written of what happens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::record::{BYTES_PER_STEP, Happening, LONGEST_LINE, PAUSE, Recording};
use super::super::{Action, Deed, Dialogue, Payload, Sight, Step, Variables, Wanted};
use super::parse;
use crate::frame::tests::Dice;
use crate::frame::tests::fuzz::fuzz;
use crate::net::Transport;
use Happening::{Answered, Closed, Connected, Eof, Reset, Sent, ServerEof, ServerReset};

type Told<'a> = (u64, u64, Happening<'a>);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is written of this: milliseconds, client and what happened.
fn recorded(transport: Transport, told: &[Told<'_>]) -> String {
    let mut recording = Recording::new(transport);
    let mut text = String::new();
    for (at, client, what) in told {
        recording.note(*client, ms(*at), *what);
        text += &recording.take().0;
    }
    recording.finish();
    text + &recording.take().0
}

fn tcp(told: &[Told<'_>]) -> String {
    recorded(Transport::Tcp, told)
}

#[test]
fn lines_are_lines_and_pauses_are_told() {
    let text = tcp(&[
        (0, 7, Connected),
        (5, 7, Sent(b"a\nb")),
        (6, 7, Sent(b"b\n")),
        (126, 7, Answered(b"A\nBB\n")),
        (127, 7, Eof),
        (128, 7, ServerEof),
        (900, 7, Closed),
    ]);
    assert_eq!(text, "> a\n> bb\n= 120ms\n< A\n< BB\n!> eof\n!< eof\n");
}

#[test]
fn the_first_line_decides_the_end_of_line() {
    let text =
        tcp(&[(0, 1, Connected), (0, 1, Answered(b"220 hi\r\n")), (1, 1, Sent(b"x\ny\r\n"))]);
    assert_eq!(text, "@eol crlf\n!> connect\n< 220 hi\n>> \"x\\n\"\n> y\n");
    let text = tcp(&[(0, 1, Connected), (0, 1, Sent(b"x\n")), (1, 1, Sent(b"y\r\n"))]);
    assert_eq!(text, "> x\n>> \"y\\r\\n\"\n");
}

#[test]
fn what_a_person_would_not_see_is_quoted() {
    for (line, shown) in [
        ("ends with a space ", "\"ends with a space \\n\""),
        ("\u{1b}[31mred", "\"\\x1b[31mred\\n\""),
        ("no\u{200b}thing", "\"no\\xe2\\x80\\x8bthing\\n\""),
        ("\r", "\"\\r\\r\\n\""),
    ] {
        let bytes = format!("{line}\n");
        let text = tcp(&[(0, 1, Connected), (0, 1, Sent(b"a\n")), (0, 1, Sent(bytes.as_bytes()))]);
        assert!(text.starts_with("> a\n>> "), "{text}");
        assert!(text.contains(shown) || line == "\r", "{text}");
        assert_eq!(said(&parse(&text))[&(1, false)], [b"a\n", bytes.as_bytes()].concat());
    }
    let text = tcp(&[(0, 1, Connected), (0, 1, Sent(" #\t\"it's\" \\ ${x} é\n\n".as_bytes()))]);
    assert_eq!(text, ">  #\t\"it's\" \\ ${x} é\n>\n");
}

#[test]
fn what_is_no_text_is_bytes_to_the_end_of_its_run() {
    let bytes = b"head\n\x00\x01\x02\xff\ntext\n";
    let text =
        tcp(&[(0, 1, Connected), (0, 1, Sent(bytes)), (1, 1, Answered(b"\x02ok, it is text"))]);
    assert_eq!(text, "> head\n>x 00 01 02 ff 0a 74 65 78 74 0a\n<< \"\\x02ok, it is text\"\n");
}

#[test]
fn long_runs_are_cut_where_the_bytes_say_so() {
    let bytes = vec![0; 2 * BYTES_PER_STEP + 1];
    let line = vec![b'a'; LONGEST_LINE];
    let told = [(0, 1, Connected), (0, 1, Sent(&bytes)), (1, 1, Answered(&line))];
    let steps = parse(&tcp(&told)).steps;
    let lengths: Vec<_> = steps.iter().map(|placed| bytes_of(&placed.step.action).len()).collect();
    assert_eq!(lengths[..3], [BYTES_PER_STEP, BYTES_PER_STEP, 1]);
    assert_eq!(lengths[3..], [BYTES_PER_STEP; LONGEST_LINE / BYTES_PER_STEP]);
    // One byte less leaves room for the end.
    let line = [&line[1..], b"\n"].concat();
    let text = tcp(&[(0, 1, Connected), (0, 1, Answered(&line))]);
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn clients_are_named_as_they_connect_and_what_they_get_at_a_time_is_sorted() {
    let text = tcp(&[
        (0, 30, Connected),
        (0, 20, Connected),
        (0, 30, Sent(b"a\n")),
        (0, 10, Connected),
        (0, 10, Sent(b"b\n")),
        (3, 20, Answered(b"x\n")),
        (4, 30, Answered(b"x")),
        (5, 20, Answered(b"y\n")),
        (6, 30, Answered(b"\n")),
        (40, 20, Answered(b"z\n")),
        (41, 30, Reset),
        (42, 20, ServerReset),
        (43, 20, Answered(b"ghost")),
        (44, 10, Closed),
    ]);
    let expected = "!> connect\nc2!> connect\n> a\nc3> b\n< x\nc2< x\nc2< y\n= 37ms\nc2< z\n\
                    !> reset\nc2!< reset\nc3!> close\n";
    assert_eq!(text, expected);
}

#[test]
fn pauses_too_short_to_be_told_add_up_within_one_side() {
    let mut told = vec![(0, 1, Connected), (1, 1, Sent(b"go\n"))];
    told.extend((1..=5).map(|n| (n * 9, 1, Answered(b"x\n"))));
    assert_eq!(tcp(&told), "> go\n< x\n< x\n< x\n= 27ms\n< x\n< x\n");
    // Between the sides they are the other's time.
    told.truncate(2);
    for n in 1..=5 {
        told.extend([(n * 18, 1, Answered(b"x\n")), (n * 18 + 9, 1, Sent(b"y\n"))]);
    }
    assert!(!tcp(&told).contains('='), "{}", tcp(&told));
}

#[test]
fn a_datagram_is_a_step() {
    let told = [
        (0, 1, Connected),
        (0, 1, Sent(b"ping")),
        (1, 1, Answered(b"pong")),
        (2, 1, Sent(b"two\nlines\n")),
        (3, 2, Connected),
        (3, 2, Sent(b"")),
        (3, 2, Answered(b"\x00\x01")),
    ];
    let expected = "@transport udp\n@eol none\n> ping\n< pong\n>> \"two\\nlines\\n\"\n\
                    c2>> \"\"\nc2<x 00 01\n";
    assert_eq!(recorded(Transport::Udp, &told), expected);
    let line = [(0, 1, Connected), (0, 1, Sent(b"ping\n")), (1, 1, Answered(b"pong"))];
    let expected = "@transport unixgram\n> ping\n<< \"pong\"\n";
    assert_eq!(recorded(Transport::Unixgram, &line), expected);
}

#[test]
fn whole_steps_are_there_at_once_and_the_rest_after_a_pause() {
    let mut recording = Recording::new(Transport::Tcp);
    recording.note(1, ms(0), Connected);
    recording.note(1, ms(0), Sent(b"a\nb"));
    assert_eq!(recording.take(), ("> a\n".to_owned(), 1));
    assert_eq!(recording.due(), Some(PAUSE));
    recording.pass(ms(19));
    assert_eq!(recording.take().0, "");
    recording.pass(PAUSE);
    assert_eq!(recording.take(), (">> \"b\"\n".to_owned(), 2));
    recording.note(1, ms(50), Answered(b"c\n"));
    assert_eq!(recording.take().0, "= 50ms\n< c\n");
}

#[test]
fn memory_is_bounded() {
    let mut recording = Recording::new(Transport::Tcp);
    recording.note(1, ms(0), Connected);
    recording.note(2, ms(0), Connected);
    let piece = vec![b'a'; 4096];
    for n in 0..1000 {
        recording.note(n % 2 + 1, ms(0), Answered(&piece));
        recording.note(n % 2 + 1, ms(0), Answered(b"\x01"));
    }
    let text = recording.take().0;
    assert!(text.len() > 3_900_000, "{}", text.len());
    // Clients that say nothing do not wait for ever.
    let mut recording = Recording::new(Transport::Tcp);
    (0..2000).for_each(|client| recording.note(client, ms(0), Connected));
    assert!(recording.take().0.lines().count() > 1000);
}

/// The bytes of a step that has some.
fn bytes_of(action: &Action) -> Vec<u8> {
    let none = Variables::default();
    match action {
        Action::Send(Payload::Bytes(bytes)) | Action::Expect(Wanted::Bytes(bytes)) => {
            bytes.fill(&none).into_owned()
        }
        Action::Send(Payload::Hex(bytes)) => bytes.clone(),
        Action::Expect(Wanted::Hex(bytes)) => bytes.iter().map(|byte| byte.unwrap()).collect(),
        Action::Send(Payload::Text(text)) | Action::Expect(Wanted::Text(text)) => {
            text.template().fill(&none).into_owned()
        }
        _ => Vec::new(),
    }
}

/// The bytes of a step with the end of line, if it has any.
fn whole_bytes(dialogue: &Dialogue, action: &Action) -> Vec<u8> {
    let mut bytes = bytes_of(action);
    if matches!(action, Action::Send(Payload::Text(_)) | Action::Expect(Wanted::Text(_))) {
        bytes.extend(dialogue.directives.eol());
    }
    bytes
}

fn number(step: &Step) -> u64 {
    step.who.as_ref().map_or(1, |name| name.as_str()[1..].parse().unwrap())
}

/// What each side has said to each client, the server's being `true`.
fn said(dialogue: &Dialogue) -> BTreeMap<(u64, bool), Vec<u8>> {
    let mut said: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for placed in &dialogue.steps {
        let is_server = matches!(placed.step.action, Action::Expect(_));
        let bytes = whole_bytes(dialogue, &placed.step.action);
        if !bytes.is_empty() {
            said.entry((number(&placed.step), is_server)).or_default().extend(bytes);
        }
    }
    said
}

/// Something that happens, with bytes of its own.
type Scene = Vec<(u64, u64, Kind, Vec<u8>)>;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Connected,
    Sent,
    Answered,
    Eof,
    ServerEof,
}

const PIECES: [&[u8]; 12] = [
    b"a\n",
    b"line\r\n",
    b"\n",
    b"no end",
    b"\x00\x01\x02\x03",
    b"\xff\n",
    b"sp \n",
    b"\x1b[1m\n",
    b"\xe2\x82",
    b"\xac\n",
    b"tab\t\n",
    b"\r",
];

fn scene(dice: &Dice) -> Scene {
    let mut scene: Scene = (1..=3).map(|client| (0, client, Kind::Connected, Vec::new())).collect();
    let mut at = 0;
    let mut ended = [false; 8];
    for _ in 0..dice.below(30) {
        at += if dice.below(4) == 0 { 20 + dice.below(100) as u64 } else { dice.below(3) as u64 };
        let client = dice.below(3) as u64 + 1;
        let kind = *dice.pick(&[
            Kind::Sent,
            Kind::Answered,
            Kind::Sent,
            Kind::Answered,
            Kind::Eof,
            Kind::ServerEof,
        ]);
        let side = usize::try_from(client).unwrap() * 2
            + usize::from(matches!(kind, Kind::Answered | Kind::ServerEof));
        if ended[side] {
            continue;
        }
        ended[side] = matches!(kind, Kind::Eof | Kind::ServerEof) && dice.below(4) == 0;
        let bytes: Vec<u8> = match kind {
            Kind::Eof | Kind::ServerEof if ended[side] => Vec::new(),
            Kind::Eof | Kind::ServerEof => continue,
            _ if dice.below(8) == 0 => dice.bytes(dice.below(3000) + 1),
            _ => (0..=dice.below(6)).flat_map(|_| dice.pick(&PIECES).to_vec()).collect(),
        };
        scene.push((at, client, kind, bytes));
    }
    scene
}

fn happening(kind: Kind, bytes: &[u8]) -> Happening<'_> {
    match kind {
        Kind::Connected => Connected,
        Kind::Sent => Sent(bytes),
        Kind::Answered => Answered(bytes),
        Kind::Eof => Eof,
        Kind::ServerEof => ServerEof,
    }
}

fn whole(scene: &Scene) -> String {
    let told: Vec<_> = scene
        .iter()
        .map(|(at, client, kind, bytes)| (*at, *client, happening(*kind, bytes)))
        .collect();
    tcp(&told)
}

/// The same with the bytes of each piece cut anywhere.
fn cut(scene: &Scene, dice: &Dice) -> String {
    let mut told = Vec::new();
    for (at, client, kind, bytes) in scene {
        let mut rest = &bytes[..];
        while rest.len() > 1 {
            let (piece, behind) = rest.split_at(dice.below(rest.len().min(700)) + 1);
            told.push((*at, *client, happening(*kind, piece)));
            rest = behind;
        }
        if !rest.is_empty() || bytes.is_empty() {
            told.push((*at, *client, happening(*kind, rest)));
        }
    }
    tcp(&told)
}

fn without_times(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('=')).flat_map(|line| [line, "\n"]).collect()
}

/// What happens if a dialogue is played, by somebody who is fast.
fn played(dialogue: &Dialogue) -> Scene {
    let mut scene = Scene::new();
    let mut at = 0;
    let mut known = Vec::new();
    for Step { who, action } in dialogue.steps.iter().map(|placed| &placed.step) {
        let client = number(&Step { who: who.clone(), action: action.clone() });
        if !known.contains(&client) && !matches!(action, Action::Pass(_)) {
            known.push(client);
            scene.push((at, client, Kind::Connected, Vec::new()));
        }
        let kind = match action {
            Action::Pass(time) => {
                at += u64::try_from(time.as_millis()).unwrap();
                continue;
            }
            Action::Do(Deed::Connect) => continue,
            Action::Do(Deed::Eof) => Kind::Eof,
            Action::See(Sight::Eof) => Kind::ServerEof,
            Action::Send(_) => Kind::Sent,
            _ => Kind::Answered,
        };
        scene.push((at, client, kind, whole_bytes(dialogue, action)));
    }
    scene
}

#[test]
fn a_recording_says_all_and_does_not_depend_on_how_it_was_cut() {
    fuzz("recordings", |dice| {
        let scene = scene(dice);
        let text = whole(&scene);
        let dialogue = parse(&text);
        let mut all: BTreeMap<_, Vec<u8>> = BTreeMap::new();
        for (_, client, kind, bytes) in &scene {
            if !bytes.is_empty() {
                all.entry((*client, *kind == Kind::Answered)).or_default().extend(bytes);
            }
        }
        assert_eq!(said(&dialogue), all, "{text}");
        assert_eq!(without_times(&cut(&scene, dice)), without_times(&text));
    });
}

#[test]
fn a_recording_of_a_recording_that_is_played_is_the_same_but_for_times() {
    let mut steps = 0;
    fuzz("replays", |dice| {
        let text = whole(&scene(dice));
        let dialogue = parse(&text);
        steps += dialogue.steps.len();
        let again = whole(&played(&dialogue));
        assert_eq!(without_times(&again), without_times(&text));
    });
    assert!(steps > 3_000, "{steps}");
}

#[test]
fn templates_are_not_read_into_what_is_recorded() {
    let text = tcp(&[(0, 1, Connected), (0, 1, Sent(b"$ ${a} $$\n"))]);
    let step = &parse(&text).steps[0].step;
    assert_eq!(
        *step,
        Step { who: None, action: Action::Send(Payload::Text(super::text("$ ${a} $$"))) }
    );
}
