//! `scriptsock connect` on a terminal: what is typed, how it is edited, how answers are shown.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use crate::support::{CLIENT_LIMIT, COLUMNS, Client, Server, Terminal, idle_address, wait_until};

/// A peer under the test's control, and the terminal of who has connected to it.
pub fn connected(args: &[&str]) -> (Client, Terminal) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let terminal = Terminal::start(&[&["connect", &url], args].concat());
    let client = Client::of_tcp(listener.accept().unwrap().0);
    terminal.wait_rows(&[">"]);
    (client, terminal)
}

#[test]
fn a_line_is_typed_and_the_answer_shown() {
    let server = Server::builder().start();
    let url = format!("tcp://{}", server.tcp_addr());
    let mut terminal = Terminal::start(&["connect", &url]);
    terminal.wait_rows(&[">"]);
    let greeting = terminal.rows().remove(0);
    assert!(greeting.starts_with(&format!("# connected to {url} from 127.0.0.1:")), "{greeting}");
    assert!(greeting.ends_with("; q quits"), "{greeting}");
    terminal.press("hello\r");
    terminal.wait_rows(&["> hello", "HELLO", ">"]);
    terminal.press("again\r");
    terminal.wait_rows(&["> hello", "HELLO", "> again", "AGAIN", ">"]);
    terminal.press("q\r");
    assert_eq!(terminal.wait_exit(), 0);
    terminal.wait_rows(&["> again", "AGAIN", "> q"]);
}

#[test]
fn keys_edit_the_line() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("hxllo\x1b[D\x1b[D\x1b[D\x1b[D\x1b[3~e");
    terminal.wait_rows(&["> hello"]);
    terminal.wait_column(4);
    terminal.press("\x7f\x7fj\x05 wor\x17\x19ld");
    terminal.wait_rows(&["> jllo world"]);
    terminal.press("\x01J\x1b[C\x0b!\r");
    client.expect(b"Jj!\n");
    terminal.press("信x息\x7f\x7f息\r");
    client.expect("信息\n".as_bytes());
    terminal.wait_rows(&["> Jj!", "> 信息", ">"]);
}

#[test]
fn earlier_lines_come_back_and_the_draft_too() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("one\rtwo\rthr");
    client.expect(b"one\ntwo\n");
    terminal.press("\x1b[A");
    terminal.wait_rows(&["> two"]);
    terminal.press("\x1b[A\x1b[A");
    terminal.wait_rows(&["> one"]);
    terminal.press("\x1b[B\x1b[B");
    terminal.wait_rows(&["> thr"]);
    terminal.press("\x1bOA\x1bOA!\r");
    client.expect(b"one!\n");
}

#[test]
fn an_answer_leaves_what_is_half_typed_alone() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("half a li\x1b[D");
    terminal.wait_rows(&["> half a li"]);
    client.send(b"one\ntwo\n");
    terminal.wait_rows(&["one", "two", "> half a li"]);
    terminal.wait_column(10);
    client.send(b"three\n");
    terminal.wait_rows(&["two", "three", "> half a li"]);
    terminal.press("\x05ne\r");
    client.expect(b"half a line\n");
    terminal.wait_rows(&["two", "three", "> half a line", ">"]);
}

#[test]
fn an_answer_without_an_end_of_line_goes_on_where_it_stopped() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("dra");
    for (part, row) in [("lo", "lo"), ("gin", "login"), (": ", "login:")] {
        client.send(part.as_bytes());
        terminal.wait_rows(&[row, "> dra"]);
    }
    terminal.press("ft\r");
    client.expect(b"draft\n");
    terminal.wait_rows(&["login:", "> draft", ">"]);
    client.send(b"pass");
    terminal.wait_rows(&["> draft", "pass", ">"]);
    client.send(b"word: \nok\n");
    terminal.wait_rows(&["> draft", "password:", "ok", ">"]);
    // A row that is just full, and one that is more than that.
    let full = "x".repeat(usize::from(COLUMNS));
    client.send(full.as_bytes());
    terminal.wait_rows(&["ok", &full, ">"]);
    client.send(b"yz");
    terminal.wait_rows(&["ok", &full, "yz", ">"]);
    client.send(full.as_bytes());
    terminal.wait_rows(&[&full, &format!("yz{}", &full[2..]), "xx", ">"]);
}

#[test]
fn what_arrives_cannot_steer_the_terminal() {
    let (mut client, mut terminal) = connected(&[]);
    client.send(b"a\x1b[2J\x07\x08\r\x00\xff\x9b\tb\r\n");
    terminal.wait_rows(&["a\\x1b[2J\\x07\\x08\\r\\x00\\xff\\x9b  b", ">"]);
    client.send(&"é信\n".as_bytes()[..3]);
    // What does not go on is not waited for.
    terminal.wait_rows(&["é\\xe4", ">"]);
    client.send("\n信😀\n".as_bytes());
    terminal.wait_rows(&["é\\xe4", "信😀", ">"]);
    terminal.press("\x1b[200~x\x02\x1b[201~");
    terminal.wait_rows(&["> x\\x02"]);
}

#[test]
fn hex_shows_each_answer_as_a_dump() {
    let (mut client, mut terminal) = connected(&["--hex"]);
    let row = "00000000  68 69 0a                                          |hi.|";
    for count in 1..3 {
        client.send(b"hi\n");
        let rows = [vec![row; count], vec![">"]].concat();
        terminal.wait_rows(&rows);
    }
    terminal.press(">x 00 ff\r>> \"a\\r\\n\"\r");
    client.expect(b"\x00\xffa\r\n");
    terminal.press(">x 0g\r");
    terminal.wait_rows(&[
        "> >x 0g",
        "# not sent: character 4: expected two hex digits a byte, got '0g'",
        ">",
    ]);
}

#[test]
fn the_end_of_line_is_what_was_asked_for() {
    let (mut client, mut terminal) = connected(&["--eol", "crlf"]);
    terminal.press("a\r\r");
    client.expect(b"a\r\n\r\n");
    let (mut client, mut terminal) = connected(&["--eol", "none"]);
    terminal.press("\r");
    terminal.wait("why an empty line is not sent", |screen| {
        screen
            .screen()
            .contents()
            .contains("# nothing was sent: with --eol none an empty line has no bytes")
    });
    terminal.press("a\rb\r");
    client.expect(b"ab");
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("\r");
    client.expect(b"\n");
}

#[test]
fn an_empty_line_can_be_an_empty_datagram_and_an_answer_too() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let mut terminal = Terminal::start(&["connect", &url, "--eol", "none"]);
    terminal.wait_rows(&[">"]);
    assert!(terminal.rows()[0].starts_with(&format!("# sending to {url} from ")));
    terminal.press("\ra\r");
    let mut buffer = [0; 8];
    let (count, client) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(count, 0);
    assert_eq!(socket.recv(&mut buffer).unwrap(), 1);
    for answer in ["one", "", "two\n"] {
        socket.send_to(answer.as_bytes(), client).unwrap();
    }
    terminal.wait_rows(&[">", "> a", "one", "# an empty datagram", "two", ">"]);
}

#[test]
fn a_refused_peer_is_told_and_tried_again() {
    let address = idle_address();
    let mut terminal = Terminal::start(&["connect", &format!("udp://{address}")]);
    terminal.wait_rows(&[">"]);
    let told = format!("# connection refused: nobody listens at udp://{address}");
    for count in 1..3 {
        terminal.press("hello?\r");
        terminal.wait("a refusal more", |screen| {
            screen.screen().contents().matches(&told).count() == count
        });
    }
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    terminal.press("now\r");
    let mut buffer = [0; 8];
    let count = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"now\n");
}

#[test]
fn a_long_line_is_shown_in_one_row_and_sent_whole() {
    let (mut client, mut terminal) = connected(&[]);
    let line = "0123456789".repeat(20);
    terminal.press(&line);
    terminal.wait("the end of the line", |screen| {
        let rows = screen.screen().contents();
        rows.lines().count() == 2 && rows.trim_end().ends_with("3456789")
    });
    client.send(b"an answer\n");
    terminal.wait_rows(&["an answer", &format!("> {}", &line[line.len() - 77..])]);
    terminal.press("\x01");
    terminal.wait_rows(&["an answer", &format!("> {}", &line[..78])]);
    terminal.press("\r");
    client.expect(format!("{line}\n").as_bytes());
}

#[test]
fn much_at_once_comes_whole_and_the_line_stays() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("typed");
    let lines: Vec<_> = (0..20_000).map(|number| format!("line {number}\n")).collect();
    client.send(lines.concat().as_bytes());
    terminal.wait_rows(&["line 19997", "line 19998", "line 19999", "> typed"]);
}

#[test]
fn another_size_draws_the_line_anew() {
    let (_client, mut terminal) = connected(&[]);
    terminal.press(&"0123456789".repeat(5));
    terminal.wait_rows(&[&format!("> {}", "0123456789".repeat(5))]);
    terminal.resize(12, 40);
    terminal.wait("a shorter part", |screen| {
        screen.screen().contents().contains("> 3456789012345678901234567890123456789")
    });
    terminal.press("\x0c");
    terminal.wait("a cleared screen", |screen| screen.screen().cursor_position().0 == 0);
}

#[test]
fn answers_alone_go_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers");
    let server = Server::builder().script("return function(msg) return msg end").start();
    let url = format!("tcp://{}", server.tcp_addr());
    let file = fs::File::create(&path).unwrap();
    let mut terminal = Terminal::setup(&["connect", &url]).stdout(file).start();
    terminal.wait_rows(&[">"]);
    terminal.press(">x 00 1b ff 0a\rtext\r");
    let expected = b"\x00\x1b\xff\ntext\n";
    wait_until("the answers should be there", || {
        (fs::read(&path).unwrap() == expected).then_some(())
    });
    terminal.press("q\r");
    assert_eq!(terminal.wait_exit(), 0);
    terminal.wait_rows(&["> >x 00 1b ff 0a", "> text", "> q"]);
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn a_terminal_that_can_do_nothing_still_takes_lines() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let setup = Terminal::setup(&["connect", &url, "--eol", "crlf"]).env("TERM", "dumb");
    let mut terminal = setup.start();
    let mut client = Client::of_tcp(listener.accept().unwrap().0);
    terminal.wait("the greeting", |screen| screen.screen().contents().contains("; q quits"));
    terminal.press("hello\n");
    client.expect(b"hello\r\n");
    client.send(b"an\x1b answer\n");
    terminal.wait_rows(&["hello", "an\\x1b answer"]);
    terminal.press("\x04");
    client.expect_eof();
    drop(client);
    assert_eq!(terminal.wait_exit(), 0);
}

#[test]
fn earlier_lines_are_kept_in_the_state_folder_if_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::builder().start();
    let url = format!("tcp://{}", server.tcp_addr());
    let session = |args: &[&str], keys: &str| {
        let args = [&["connect", &url], args].concat();
        let mut terminal = Terminal::setup(&args).state(dir.path()).start();
        terminal.wait_rows(&[">"]);
        terminal.press(keys);
        terminal
    };
    assert_eq!(session(&[], "first\r secret\rq\r").wait_exit(), 0);
    let file = dir.path().join("scriptsock/connect_history");
    assert_eq!(fs::read_to_string(&file).unwrap(), "first\n");
    let mut terminal = session(&[], "\x1b[A");
    terminal.wait_rows(&["> first"]);
    // Ctrl-C leaves the line, and on an empty one it quits.
    terminal.press("!\r\x03");
    assert_eq!(terminal.wait_exit(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "first\nfirst!\n");
    let mut terminal = session(&["--no-history"], "third\r\x1b[A");
    terminal.wait_rows(&["> third", "THIRD", "> third"]);
    terminal.press("\x1b[A\x15q\r");
    assert_eq!(terminal.wait_exit(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "first\nfirst!\n");
}

#[test]
fn a_peer_that_does_not_read_holds_up_no_key() {
    let (mut client, mut terminal) = connected(&[]);
    // More than a paste ever is: what the system does not take waits, and then is refused.
    let line = format!("{}\r", "x".repeat(200_000));
    for _ in 0..40 {
        terminal.press(&line);
    }
    terminal.wait("a line that is not sent", |screen| {
        screen.screen().contents().contains("# not sent: the peer does not read, ")
    });
    client.send(b"still here\n");
    terminal.wait("an answer", |screen| screen.screen().contents().contains("still here"));
    let _reader = std::thread::spawn(move || while !client.read_once().is_empty() {});
    terminal.press("q\r");
    assert_eq!(terminal.wait_exit(), 0);
}
