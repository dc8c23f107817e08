//! What `scriptsock replay` says of a server, or of clients, that do otherwise, and of dialogues that
//! cannot be played.

use std::fs;
use std::thread;

use crate::replay::{Played, Replay};
use crate::support::{Client, Listener, SIGINT, Server, idle_address};

/// Plays the clients of `text` against a server that does `serve` with the first of them.
#[track_caller]
fn against(text: &str, serve: impl FnOnce(Client) + Send + 'static) -> Played {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.dialogue");
    fs::write(&file, text).unwrap();
    let listener = Listener::tcp();
    let replay = Replay::start(&file, &["--to", &listener.url(), "--timeout", "500ms"]);
    let server = thread::spawn(move || serve(listener.accept()));
    let played = replay.finish();
    server.join().unwrap();
    played
}

#[track_caller]
fn assert_fails(played: &Played, parts: &[&str]) {
    assert_eq!(played.status, 1, "{played:?}");
    assert_eq!(played.stdout, "");
    for part in parts {
        assert!(played.stderr.contains(part), "no {part:?} in {}", played.stderr);
    }
}

#[test]
fn another_answer_is_shown_beside_the_one_expected() {
    let played = against("> hello\n< HELLO\n", |mut server| server.answer(b"hello\n", b"HELP\n"));
    let parts = [
        "t.dialogue:2: < HELLO",
        "expected  \"HELLO",
        "got       \"HELP",
        "differs behind 3 bytes",
    ];
    assert_fails(&played, &parts);
}

#[test]
fn a_server_that_closes_early_is_told() {
    let played = against("> hello\n< HELLO\n", |mut server| server.answer(b"hello\n", b"HEL"));
    assert_fails(&played, &["t.dialogue:2: < HELLO", "the other side has ended"]);
    let played = against("> hello\n< HELLO\n", |mut server| {
        server.expect(b"hello\n");
        server.reset();
    });
    assert_fails(&played, &["t.dialogue:2: < HELLO", "the connection was broken off"]);
}

#[test]
fn a_server_that_says_too_much_is_told() {
    let played = against("> hello\n< HELLO\n", |mut server| {
        server.answer(b"hello\n", b"HELLO\nand more");
        server.expect_gone();
    });
    assert_fails(&played, &["at the end", "no step expects it: \"and more\""]);
    let played = against("> hello\n< HELLO\n!< eof\n", |mut server| {
        server.answer(b"hello\n", b"HELLO\nand more");
    });
    assert_fails(&played, &["t.dialogue:3: !< eof", "no step expects it: \"and more\""]);
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_for_ever() {
    let played = against("> hello\n< HELLO\n", |mut server| {
        server.expect(b"hello\n");
        server.expect_eof();
    });
    assert_fails(&played, &["t.dialogue:2: < HELLO", "nothing more came within 500ms"]);
    let played = against("> hello\n!< eof\n", |mut server| {
        server.expect(b"hello\n");
        server.expect_gone();
    });
    assert_fails(&played, &["t.dialogue:2: !< eof", "it did not end within 500ms"]);
}

#[test]
fn a_server_that_takes_nothing_is_not_waited_for_for_ever() {
    let text = format!("{}< a\n", format!(">> \"{}\"\n", "x".repeat(10_000)).repeat(1000));
    let played = against(&text, |server| {
        thread::sleep(std::time::Duration::from_millis(1500));
        drop(server);
    });
    assert_fails(&played, &["t.dialogue:1: >> \"xxx", "it was not taken within 500ms"]);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.dialogue");
    fs::write(&file, "> a\n").unwrap();
    let address = idle_address();
    let url = format!("tcp://{address}");
    let played = Replay::start(&file, &["--to", &url]).finish();
    let told = format!("{url} cannot be reached: connection refused");
    assert_fails(&played, &["t.dialogue:1: > a", &told]);
    fs::write(&file, "@transport udp\n> a\n< b\n").unwrap();
    let played = Replay::start(&file, &["--to", &format!("udp://{address}")]).finish();
    assert_fails(&played, &["t.dialogue:3: < b"]);
}

/// Plays the server of `text` for a client that does `act`.
#[track_caller]
fn serving(text: &str, act: impl FnOnce(Client)) -> Played {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.dialogue");
    fs::write(&file, text).unwrap();
    let args = ["--listen", "tcp://127.0.0.1:0", "--timeout", "500ms"];
    let mut replay = Replay::start(&file, &args);
    let address = replay.ready().strip_prefix("tcp://").unwrap().parse().unwrap();
    act(Client::tcp(address));
    replay.finish()
}

#[test]
fn a_server_is_played_for_any_client() {
    let text = "@eol crlf\n!> connect\n< 220 hi\n> QUIT\n< 221 bye\n!< eof\n!> eof\n";
    let played = serving(text, |mut client| {
        client.expect(b"220 hi\r\n");
        client.exchange(b"QUIT\r\n", b"221 bye\r\n");
        client.expect_eof();
    });
    assert_eq!(played.status, 0, "{played:?}");
}

#[test]
fn a_client_that_says_otherwise_is_told_by_the_line_of_the_file() {
    let played = serving("> QUIT\n< bye\n", |mut client| {
        client.send(b"QUIZ\n");
        client.expect_gone();
    });
    assert_fails(&played, &["t.dialogue:1: > QUIT", "expected  \"QUIT", "got       \"QUIZ"]);
    let played = serving("> QUIT\nc2> hello\n", |mut client| {
        client.send(b"QUIT\n");
        client.expect_eof();
    });
    assert_fails(&played, &["t.dialogue:2: c2> hello", "there was no connection within 500ms"]);
}

#[test]
fn what_cannot_be_sent_is_refused_before_anybody_connects() {
    for (text, to, parts) in [
        ("> a\n<~ ^b\n", "--listen", &["t.dialogue:2", "<~ ^b", "a pattern cannot be sent"][..]),
        ("> a\n<x 00 ??\n", "--listen", &["t.dialogue:2", "?? is any byte, which cannot be sent"]),
        ("> a\n!< fault x\n", "--to", &["t.dialogue:2", "not seen over a network"]),
        ("@transport udp\n> a\n", "--to", &["this is for @transport udp, not for tcp"]),
        ("# nothing\n", "--to", &["there is no step"]),
        ("> a\n<< b\n", "--to", &["has mistakes", "t.dialogue:2:4: expected bytes in quotes"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.dialogue");
        fs::write(&file, text).unwrap();
        let played = Replay::start(&file, &[to, "tcp://127.0.0.1:9"]).finish();
        assert_eq!(played.status, 2, "{played:?}");
        assert_eq!(played.stdout, "");
        for part in parts {
            assert!(played.stderr.contains(part), "no {part:?} in {}", played.stderr);
        }
    }
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    for (args, parts) in [
        (&["no.dialogue", "--to", "1"][..], &["no.dialogue", "No such file"][..]),
        (&["x"], &["is missing"]),
        (&["x", "--to", "1", "--listen", "0"], &["cannot be used with"]),
        (&["--to", "1"], &["FILE", "is missing"]),
        (&["x", "--to", "1", "--speed", "fast"], &["expected a number such as 2 or 0.5, or max"]),
    ] {
        let builder = Server::builder().ready_lines(1).args(["replay"]).args(args.iter().copied());
        builder.start_expecting_failure().assert_one_line(2, parts);
    }
}

#[test]
fn it_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.dialogue");
    fs::write(&file, "> a\n").unwrap();
    let mut replay = Replay::start(&file, &["--listen", "tcp://127.0.0.1:0"]);
    replay.ready();
    replay.signal(SIGINT);
    assert_fails(&replay.finish(), &["scriptsock replay: stopped before its end"]);
}
