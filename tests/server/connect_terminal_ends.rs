//! How `scriptsock connect` ends on a terminal: by the user, by the peer, by the system.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use crate::connect_terminal::connected;
use crate::support::{CLIENT_LIMIT, Client, SIGTERM, Terminal, wait_until};

#[test]
fn the_word_that_quits_can_be_another_one_or_none() {
    let (mut client, mut terminal) = connected(&["--quit", "exit"]);
    assert!(terminal.rows()[0].ends_with("; exit quits"));
    terminal.press("q\r exit\r");
    client.expect(b"q\n exit\n");
    terminal.press("exit\r");
    assert_eq!(terminal.wait_exit(), 0);
    client.expect_eof();
    let (mut client, mut terminal) = connected(&["--quit", ""]);
    assert!(terminal.rows()[0].ends_with("; Ctrl-C quits"));
    terminal.press("q\r\r");
    client.expect(b"q\n\n");
    terminal.press("\x03");
    assert_eq!(terminal.wait_exit(), 0);
}

#[test]
fn ctrl_c_leaves_the_line_and_on_an_empty_one_quits() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("never sent\x03");
    terminal.wait_rows(&["> never sent^C", ">"]);
    terminal.press("sent\r");
    client.expect(b"sent\n");
    terminal.press("\x03");
    assert_eq!(terminal.wait_exit(), 0);
    terminal.wait_rows(&["> never sent^C", "> sent", "> ^C"]);
    client.expect_eof();
}

#[test]
fn ctrl_d_ends_the_input_and_the_answers_still_come() {
    let (mut client, mut terminal) = connected(&[]);
    // On a line with text it takes a character out, as in a shell.
    terminal.press("abc\x01\x04\r\x04");
    client.expect(b"bc\n");
    client.expect_eof();
    terminal.wait_rows(&["> bc", "# end of input; waiting for the peer to end too, Ctrl-C quits"]);
    client.send(b"the rest\n");
    terminal.wait_rows(&["the rest"]);
    client.send(b"no end");
    terminal.wait_rows(&["the rest", "no end"]);
    drop(client);
    assert_eq!(terminal.wait_exit(), 0);
    terminal.wait_rows(&["the rest", "no end", "# the peer closed the connection"]);
}

#[test]
fn behind_ctrl_d_a_silence_or_the_user_ends_it() {
    let (mut client, mut terminal) = connected(&["--timeout", "200ms"]);
    client.expect_silence(Duration::from_millis(400));
    terminal.press("\x04");
    assert_eq!(terminal.wait_exit(), 0);
    client.expect_eof();
    for key in ["\x03", "\x04"] {
        let (_client, mut terminal) = connected(&[]);
        terminal.press("\x04ignored\r");
        terminal.wait_rows(&["# end of input; waiting for the peer to end too, Ctrl-C quits"]);
        terminal.press(key);
        assert_eq!(terminal.wait_exit(), 0);
    }
}

#[test]
fn behind_ctrl_d_late_datagrams_still_come() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let mut terminal = Terminal::start(&["connect", &url, "--timeout", "500ms"]);
    terminal.wait_rows(&[">"]);
    terminal.press("a\r\x04");
    let (_, client) = socket.recv_from(&mut [0; 8]).unwrap();
    terminal.wait_rows(&["# end of input; waiting for late answers, Ctrl-C quits"]);
    socket.send_to(b"late", client).unwrap();
    terminal.wait_rows(&["late"]);
    assert_eq!(terminal.wait_exit(), 0);
}

#[test]
fn the_peer_ends_it_even_while_a_line_is_typed() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("half");
    terminal.wait_rows(&["> half"]);
    client.send(b"bye\n");
    drop(client);
    assert_eq!(terminal.wait_exit(), 0);
    terminal.wait_rows(&["bye", "# the peer closed the connection"]);
}

#[test]
fn a_broken_connection_is_told_and_a_failure() {
    let (client, mut terminal) = connected(&[]);
    client.reset();
    assert_eq!(terminal.wait_exit(), 1);
    terminal.wait_rows(&["# connection reset by peer"]);
}

#[test]
fn no_connection_leaves_the_terminal_alone() {
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("tcp://{}", listener.local_addr().unwrap())
    };
    let mut terminal = Terminal::start(&["connect", &url]);
    assert_eq!(terminal.wait_exit(), 1);
    let told = format!("{url}: connection refused; is the server running there?");
    terminal.wait(&told, |screen| screen.screen().contents().contains(&told));
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_it_was() {
    let (mut client, mut terminal) = connected(&[]);
    wait_until("the terminal should be raw", || terminal.is_raw().then_some(()));
    terminal.signal(SIGTERM);
    assert_eq!(terminal.wait_exit(), 0);
    client.expect_eof();
}

#[test]
fn ctrl_z_stops_it_and_the_line_is_still_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let script = r#""$0" "$@"; echo stopped; read x; fg > /dev/null"#;
    let mut terminal = Terminal::setup_in_shell(script, &["connect", &url]).start();
    let mut client = Client::of_tcp(listener.accept().unwrap().0);
    terminal.wait_rows(&[">"]);
    terminal.press("ab\x1a");
    terminal.wait_rows(&["stopped"]);
    assert!(!terminal.is_raw());
    terminal.press("\n");
    terminal.wait_rows(&["> ab"]);
    terminal.press("c\r");
    client.expect(b"abc\n");
    terminal.press("q\r");
    assert_eq!(terminal.wait_exit(), 0);
}

#[test]
fn what_is_pasted_is_lines() {
    let (mut client, mut terminal) = connected(&[]);
    terminal.press("\x1b[200~one\r\ntwo\nthree\x1b[201~");
    client.expect(b"one\ntwo\n");
    terminal.wait_rows(&["> one", "> two", "> three"]);
    terminal.press("\r");
    client.expect(b"three\n");
}

#[test]
fn a_server_that_comes_and_goes_shuts_the_line_down_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let mut terminal = Terminal::start(&["connect", &url]);
    let mut client = Client::of_tcp(listener.accept().unwrap().0);
    // It ends its side only: to a person that is the end.
    client.half_close();
    assert_eq!(terminal.wait_exit(), 0);
    client.expect_eof();
}
