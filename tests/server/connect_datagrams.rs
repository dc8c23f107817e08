//! `scriptsock connect` in a pipe, over datagrams: a line is one.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::connect_piped::run;
use crate::support::{CLIENT_LIMIT, Ended, Piped, SIGTERM, Server, idle_address, wait_until};

fn peer() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// A port where nobody listens.
fn nobody() -> String {
    format!("udp://{}", idle_address())
}

#[track_caller]
fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let count = socket.recv(&mut buffer).unwrap();
    buffer[..count].to_vec()
}

#[track_caller]
fn sent_for(args: &[&str], input: &[u8], count: usize) -> Vec<String> {
    let (socket, url) = peer();
    let ended = run(&[&[&*url, "--timeout", "10ms"], args].concat(), input);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let sent = (0..count).map(|_| received(&socket).escape_ascii().to_string()).collect();
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 8]).is_err(), "more than {count} datagrams");
    sent
}

#[test]
fn each_line_is_a_datagram_with_its_end_as_it_is_or_as_it_is_asked() {
    let text = b"a\n\nb\r\nlast";
    assert_eq!(sent_for(&[], text, 4), [r"a\n", r"\n", r"b\r\n", "last"]);
    assert_eq!(sent_for(&["--eol", "lf"], text, 4), [r"a\n", r"\n", r"b\n", r"last\n"]);
    assert_eq!(sent_for(&["--eol", "crlf"], text, 4), [r"a\r\n", r"\r\n", r"b\r\n", r"last\r\n"]);
    assert_eq!(sent_for(&["--eol", "none"], text, 4), ["a", "", "b", "last"]);
    assert!(sent_for(&[], b"", 0).is_empty());
}

#[test]
fn answers_come_over_udp_and_unix() {
    let builder = Server::builder();
    let unixgram = format!("unixgram://{}", builder.dir().join("g.sock").display());
    let server =
        builder.listen("udp://127.0.0.1:0").listen("udp://[::1]:0").listen(unixgram).start();
    for url in server.ready() {
        let ended = run(&[url, "--timeout", "500ms"], b"one\ntwo\n");
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{url} {ended:?}");
        assert_eq!(ended.stdout, b"ONE\nTWO\n", "{url}");
    }
}

#[test]
fn late_answers_are_waited_for_as_long_as_they_come() {
    let (socket, url) = peer();
    let mut piped = Piped::start(&["connect", &url, "--timeout", "600ms"]);
    piped.send(b"go\n");
    piped.end_input();
    let (_, client) = socket.recv_from(&mut [0; 8]).unwrap();
    // Together they take longer than the time that one of them has.
    let began = Instant::now();
    let mut expected = Vec::new();
    for number in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        let answer = format!("{number}\n");
        socket.send_to(answer.as_bytes(), client).unwrap();
        expected.extend_from_slice(answer.as_bytes());
        piped.wait_stdout(&expected);
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
    let ended = piped.wait();
    assert_eq!((ended.status, ended.stdout), (0, expected));
}

#[test]
fn without_an_answer_it_ends_by_itself() {
    let (_socket, url) = peer();
    let began = Instant::now();
    let ended = run(&[&url], b"anyone?\n");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((ended.status, ended.stdout.as_slice()), (0, &b""[..]), "{ended:?}");
}

#[test]
fn a_refused_peer_is_told_once_and_is_not_the_end() {
    let url = nobody();
    let mut piped = Piped::start(&["connect", &url, "--timeout", "300ms"]);
    piped.send(b"one\n");
    piped.wait_stderr("connection refused: nobody listens at udp://");
    piped.send(b"two\n");
    assert!(piped.is_running());
    let socket = UdpSocket::bind(url.strip_prefix("udp://").unwrap()).unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    piped.send(b"three\n");
    let mut buffer = [0; 8];
    let client = loop {
        let (count, client) = socket.recv_from(&mut buffer).unwrap();
        if &buffer[..count] == b"three\n" {
            break client;
        }
    };
    socket.send_to(b"there", client).unwrap();
    piped.wait_stdout(b"there");
    let ended = piped.finish();
    assert_eq!(ended.status, 0, "there was an answer: {ended:?}");
    assert_eq!(ended.stderr.matches("refused").count(), 1, "{ended:?}");
}

#[test]
fn nothing_but_refusals_is_a_failure() {
    let Ended { status, stderr, stdout } = run(&[&nobody(), "--timeout", "100ms"], b"a\nb\nc\n");
    assert_eq!((status, stdout.as_slice()), (1, &b""[..]));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn what_is_too_long_is_told_and_the_others_are_sent() {
    let (socket, url) = peer();
    let long = "x".repeat(70_000);
    let endless = "y".repeat(600_000);
    let input = format!("first\n{long}\n{endless}\nlast\n");
    let ended = run(&[&url, "--timeout", "10ms"], input.as_bytes());
    assert_eq!(ended.status, 1, "{ended:?}");
    let told: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("line 2 was not sent: message too long (70001 bytes)"), "{told:?}");
    assert!(told[1].contains("line 3 was not sent: it is longer than any datagram"), "{told:?}");
    assert_eq!((received(&socket), received(&socket)), (b"first\n".to_vec(), b"last\n".to_vec()));
}

#[test]
fn the_largest_datagram_goes_both_ways() {
    let server = Server::builder().script("return function(msg) return msg end").start();
    let url = format!("udp://{}", server.udp_addr());
    let line = [vec![b'x'; 65_506], b"\n".to_vec()].concat();
    let ended = run(&[&url], &line);
    assert!(ended.stdout == line, "{} bytes came back", ended.stdout.len());
}

#[test]
fn a_dump_shows_each_datagram() {
    let server = Server::builder().start();
    let url = format!("udp://{}", server.udp_addr());
    let ended = run(&[&url, "--hex", "--timeout", "300ms"], b"a\nb\n");
    let dump = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(dump.lines().count(), 2, "{dump}");
    assert!(dump.lines().all(|row| row.starts_with("00000000  4")), "{dump}");
}

#[test]
fn the_name_of_a_unix_client_is_gone_at_its_end_however_that_comes() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("s")).unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    let url = format!("unixgram://{}/s", dir.path().display());
    for by_signal in [false, true] {
        let mut piped = Piped::start(&["connect", &url, "--timeout", "100ms"]);
        piped.send(b"hi\n");
        let mut buffer = [0; 8];
        let (_, client) = socket.recv_from(&mut buffer).unwrap();
        let name = client.as_pathname().unwrap().to_owned();
        assert!(name.exists());
        socket.send_to(b"ho\n", &name).unwrap();
        piped.wait_stdout(b"ho\n");
        if by_signal {
            piped.signal(SIGTERM);
            assert_eq!(piped.wait().status, 1);
        } else {
            assert_eq!(piped.finish().status, 0);
        }
        wait_until("its name should be gone", || (!name.exists()).then_some(()));
        assert!(!name.parent().unwrap().exists());
    }
}

#[test]
fn a_unix_server_that_comes_back_is_heard_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let socket = UnixDatagram::bind(&path).unwrap();
    let url = format!("unixgram://{}", path.display());
    let mut piped = Piped::start(&["connect", &url, "--timeout", "10s"]);
    piped.send(b"one\n");
    socket.recv(&mut [0; 8]).unwrap();
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    piped.send(b"two\n");
    piped.wait_stderr("connection refused");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(CLIENT_LIMIT)).unwrap();
    piped.send(b"three\n");
    let mut buffer = [0; 8];
    let (count, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"three\n");
    socket.send_to(b"THREE\n", from.as_pathname().unwrap()).unwrap();
    piped.wait_stdout(b"THREE\n");
}

#[test]
fn a_unix_server_that_ends_is_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let socket = UnixDatagram::bind(&path).unwrap();
    let url = format!("unixgram://{}", path.display());
    let mut piped = Piped::start(&["connect", &url, "--timeout", "100ms"]);
    piped.send(b"one\n");
    socket.recv(&mut [0; 8]).unwrap();
    drop(socket);
    piped.send(b"two\n");
    piped.wait_stderr("connection refused");
    assert_eq!(piped.finish().status, 1);
}
