//! `scriptsock record` as a user runs it: clients on one side, a server on the other, and what the
//! file says of them. Times are left out of what is compared.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use scriptsock::transcript::{Action, Dialogue, Payload, Variables, Wanted};

use crate::support::{
    CLIENT_LIMIT, Client, DatagramClient, Listener, SIGCONT, SIGSTOP, SIGTERM, Server, wait_until,
};

/// A proxy to `server`, whose recording is `session.dialogue` in its folder.
#[track_caller]
pub fn proxy(listen: &str, server: &str) -> Server {
    let args = ["record", "--listen", listen, "--to", server, "-o", "session.dialogue"];
    Server::builder().ready_lines(1).args(args).start()
}

/// The recording of a program that runs in `dir`, without times.
#[track_caller]
pub fn recorded(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("session.dialogue")).unwrap();
    parse(&text);
    without_times(&text)
}

/// Every line but `=`.
pub fn without_times(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('=')).flat_map(|line| [line, "\n"]).collect()
}

#[track_caller]
pub fn parse(text: &str) -> Dialogue {
    assert!(text.is_empty() || text.ends_with('\n'), "not whole lines: {text:?}");
    Dialogue::parse("session.dialogue", text.as_bytes()).unwrap_or_else(|why| panic!("{why}"))
}

/// Stops a program in order.
#[track_caller]
pub fn stop(server: &mut Server) {
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0, "{}", server.log_text());
}

/// What is said to one client or by it, by its name, as bytes.
pub fn said(text: &str, name: &str, by_server: bool) -> Vec<u8> {
    let dialogue = parse(text);
    let eol = dialogue.directives.eol();
    let none = Variables::default();
    let mut said = Vec::new();
    for step in dialogue.steps.iter().map(|placed| &placed.step) {
        let who = step.who.as_ref().map_or("", |name| name.as_str());
        if who != name || matches!(step.action, Action::Expect(_)) != by_server {
            continue;
        }
        match &step.action {
            Action::Send(Payload::Text(text)) | Action::Expect(Wanted::Text(text)) => {
                said.extend_from_slice(&text.with_end(&eol).fill(&none));
            }
            Action::Send(Payload::Bytes(bytes)) | Action::Expect(Wanted::Bytes(bytes)) => {
                said.extend_from_slice(&bytes.fill(&none));
            }
            Action::Send(Payload::Hex(bytes)) => said.extend_from_slice(bytes),
            Action::Expect(Wanted::Hex(bytes)) => said.extend(bytes.iter().flatten()),
            _ => {}
        }
    }
    said
}

const COUNTER: &str = "local n = 0 return { framing = 'line', on_connect = function(conn) \
                       if server.state.greets then return 'hi' end end, \
                       on_message = function(msg) n += 1 return n .. ' ' .. msg end }";

#[test]
fn lines_are_written_as_they_are_said() {
    let server = Server::builder().script(COUNTER).start();
    let mut proxy = proxy("tcp://127.0.0.1:0", &format!("tcp://{}", server.tcp_addr()));
    let mut client = proxy.tcp();
    client.exchange(b"hello\n", b"1 hello\n");
    client.exchange(b"two at once\nyes\n", b"2 two at once\n3 yes\n");
    client.half_close();
    client.expect_eof();
    drop(client);
    // It is in the file while the proxy runs.
    wait_until("all is written", || recorded(proxy.dir()).ends_with("!< eof\n").then_some(()));
    stop(&mut proxy);
    let expected =
        "> hello\n< 1 hello\n> two at once\n> yes\n< 2 two at once\n< 3 yes\n!> eof\n!< eof\n";
    assert_eq!(recorded(proxy.dir()), expected);
    let told = proxy.wait_log("stopped in order");
    for part in
        ["8 steps of 1 clients are in session.dialogue", "22 bytes sent", "28 bytes answered"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn clients_are_told_apart_and_a_server_may_speak_first() {
    let listener = Listener::tcp();
    let mut proxy = proxy("tcp://127.0.0.1:0", &listener.url());
    let mut first = proxy.tcp();
    let mut server_of_first = listener.accept();
    server_of_first.send(b"220 ready\r\n");
    first.expect(b"220 ready\r\n");
    let mut second = proxy.tcp();
    let mut server_of_second = listener.accept();
    second.send(b"\x00\x01\x02");
    server_of_second.answer(b"\x00\x01\x02", b"\xff");
    second.expect(b"\xff");
    first.send(b"QUIT\r\n");
    server_of_first.answer(b"QUIT\r\n", b"221 bye\r\n");
    first.expect(b"221 bye\r\n");
    drop(server_of_first);
    first.expect_eof();
    drop(first);
    second.send(b"\x03");
    server_of_second.expect(b"\x03");
    stop(&mut proxy);
    let expected = "@eol crlf\n!> connect\n< 220 ready\nc2>x 00 01 02\nc2<x ff\n> QUIT\n< 221 bye\n\
                    !< eof\n!> eof\nc2>x 03\nc2!> eof\n";
    assert_eq!(recorded(proxy.dir()), expected);
}

#[test]
fn pauses_are_written() {
    let listener = Listener::tcp();
    let mut proxy = proxy("tcp://127.0.0.1:0", &listener.url());
    let mut client = proxy.tcp();
    let mut server = listener.accept();
    client.send(b"a\n");
    server.expect(b"a\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.send(b"b\n");
    client.expect(b"b\n");
    stop(&mut proxy);
    let text = fs::read_to_string(proxy.dir().join("session.dialogue")).unwrap();
    let pause = text.lines().nth(1).unwrap().strip_prefix("= ").unwrap();
    let pause = humantime_millis(pause);
    assert!((300..3000).contains(&pause), "{text}");
    assert_eq!(without_times(&text), "> a\n< b\n!> eof\n");
}

/// Milliseconds of `1s 20ms`.
fn humantime_millis(text: &str) -> u64 {
    text.split(' ').fold(0, |sum, part| match part.strip_suffix("ms") {
        Some(millis) => sum + millis.parse::<u64>().unwrap(),
        None => sum + 1000 * part.strip_suffix('s').unwrap().parse::<u64>().unwrap(),
    })
}

/// Bytes that no text has, and none like another.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn much_goes_both_ways_at_a_time_and_no_byte_is_lost() {
    let server = Server::builder().script("return function(msg) return msg end").start();
    let mut proxy = proxy("tcp://127.0.0.1:0", &format!("tcp://{}", server.tcp_addr()));
    let data = noise(3_000_000);
    let mut client = proxy.tcp();
    let mut writing = client.second_handle();
    let sent = data.clone();
    let writer = std::thread::spawn(move || {
        writing.send(&sent);
        writing.half_close();
    });
    assert!(client.read_to_end() == data, "not what was sent");
    writer.join().unwrap();
    stop(&mut proxy);
    let text = fs::read_to_string(proxy.dir().join("session.dialogue")).unwrap();
    assert!(said(&text, "", false) == data, "not all that was sent is recorded");
    assert!(said(&text, "", true) == data, "not all that was answered is recorded");
}

#[test]
fn one_who_reads_nothing_holds_nobody_up() {
    let server = Server::builder().script("return function(msg) return msg end").start();
    let proxy = proxy("tcp://127.0.0.1:0", &format!("tcp://{}", server.tcp_addr()));
    let mut stuck = proxy.tcp();
    stuck.set_write_limit(std::time::Duration::from_millis(300));
    let flood = noise(1 << 20);
    while stuck.try_send(&flood).is_ok() {}
    let mut other = proxy.tcp();
    other.exchange(b"hello", b"hello");
    assert!(proxy.memory_kib() < 60_000, "{} KiB", proxy.memory_kib());
}

#[test]
fn unix_and_tcp_are_carried_to_each_other() {
    let server = Server::builder().listen("unix://s.sock").start();
    let url = format!("unix://{}", server.unix_path().display());
    let mut to_unix = proxy("tcp://127.0.0.1:0", &url);
    to_unix.tcp().exchange(b"over tcp", b"OVER TCP");
    let mut to_tcp = proxy("unix://p.sock", &format!("tcp://{}", to_unix.tcp_addr()));
    let mut client = to_tcp.unix();
    client.exchange(b"over unix\n", b"OVER UNIX\n");
    client.half_close();
    client.expect_eof();
    stop(&mut to_tcp);
    assert!(!to_tcp.unix_path().exists(), "the socket's file is left");
    stop(&mut to_unix);
    let expected = "@transport unix\n> over unix\n< OVER UNIX\n!> eof\n!< eof\n";
    assert_eq!(recorded(to_tcp.dir()), expected);
    let text = recorded(to_unix.dir());
    assert!(text.starts_with(">> \"over tcp\"\n<< \"OVER TCP\"\n"), "{text}");
    assert!(text.contains("c2> over unix\n") || text.contains("c2>> \"over unix\\n\"\n"), "{text}");
}

/// Two peers, of which each gets its own answers.
#[track_caller]
fn exchange_datagrams(first: &DatagramClient, second: &DatagramClient) {
    first.exchange(b"one", b"ONE");
    second.exchange(b"two\n", b"TWO\n");
    first.exchange(b"", b"");
    first.exchange(b"\x00\xff\x01", b"\x00\xff\x01");
}

const DATAGRAMS: &str = "> one\n< ONE\nc2>> \"two\\n\"\nc2<< \"TWO\\n\"\n>> \"\"\n<< \"\"\n\
                         >x 00 ff 01\n<x 00 ff 01\n";

#[test]
fn datagrams_are_carried_one_by_one() {
    let server = Server::builder().start();
    let mut proxy = proxy("udp://127.0.0.1:0", &format!("udp://{}", server.udp_addr()));
    exchange_datagrams(&proxy.udp(), &proxy.udp());
    stop(&mut proxy);
    assert_eq!(recorded(proxy.dir()), format!("@transport udp\n@eol none\n{DATAGRAMS}"));
}

/// It has said that without having seen the answer, which was there before.
#[test]
fn what_a_client_has_said_is_recorded_before_an_answer_that_it_has_not_seen() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    let mut proxy = proxy("udp://127.0.0.1:0", &format!("udp://{}", server.local_addr().unwrap()));
    let client = proxy.udp();
    client.send(b"one");
    let mut buffer = [0; 8];
    let (_, from) = server.recv_from(&mut buffer).unwrap();
    proxy.signal(SIGSTOP);
    server.send_to(b"ONE", from).unwrap();
    client.send(b"two");
    proxy.signal(SIGCONT);
    client.expect(b"ONE");
    server.recv_from(&mut buffer).unwrap();
    server.send_to(b"TWO", from).unwrap();
    client.expect(b"TWO");
    stop(&mut proxy);
    let expected = "@transport udp\n@eol none\n> one\n> two\n< ONE\n< TWO\n";
    assert_eq!(recorded(proxy.dir()), expected);
}

#[test]
fn unix_datagrams_are_carried_too() {
    let server = Server::builder().listen("unixgram://s.sock").start();
    let url = format!("unixgram://{}", server.dir().join("s.sock").display());
    let mut proxy = proxy("unixgram://p.sock", &url);
    exchange_datagrams(&proxy.unixgram(), &proxy.unixgram());
    stop(&mut proxy);
    assert_eq!(recorded(proxy.dir()), format!("@transport unixgram\n@eol none\n{DATAGRAMS}"));
}

#[test]
fn many_clients_at_once_are_all_in_it() {
    let server = Server::builder().start();
    let mut proxy = proxy("tcp://127.0.0.1:0", &format!("tcp://{}", server.tcp_addr()));
    let address = proxy.tcp_addr();
    let clients: Vec<_> = (0..20)
        .map(|number| {
            std::thread::spawn(move || {
                let mut client = Client::tcp(address);
                for round in 0..20 {
                    let line = format!("client {number} round {round}\n");
                    client.exchange(line.as_bytes(), line.to_uppercase().as_bytes());
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    stop(&mut proxy);
    let text = fs::read_to_string(proxy.dir().join("session.dialogue")).unwrap();
    let mut seen: Vec<_> = (1..=20)
        .map(|number| if number == 1 { String::new() } else { format!("c{number}") })
        .map(|name| {
            let sent = String::from_utf8(said(&text, &name, false)).unwrap();
            assert_eq!(sent.lines().count(), 20, "{name}");
            assert_eq!(said(&text, &name, true), sent.to_uppercase().into_bytes());
            sent.lines().next().unwrap().to_owned()
        })
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}
