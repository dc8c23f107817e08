//! `scriptsock connect` in a pipe, over streams: what `nc -N` does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{Client, Ended, Piped, SIGINT, Server, wait_until};

/// A peer under the test's control, and its URL.
fn peer() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn accept(listener: &TcpListener) -> Client {
    Client::of_tcp(listener.accept().unwrap().0)
}

#[track_caller]
pub fn run(args: &[&str], input: &[u8]) -> Ended {
    let mut piped = Piped::start(&[&["connect"], args].concat());
    piped.send(input);
    piped.finish()
}

#[track_caller]
fn assert_fine(ended: &Ended, stdout: &[u8]) {
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert_eq!(ended.stdout.escape_ascii().to_string(), stdout.escape_ascii().to_string());
}

/// A client of `url` with pipes for its input and its answers.
fn command(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
    command.args(["connect", url]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn what_is_piped_in_is_answered_over_tcp_and_unix() {
    let builder = Server::builder();
    let unix = format!("unix://{}", builder.dir().join("s.sock").display());
    let server = builder.listen("tcp://127.0.0.1:0").listen("tcp://[::1]:0").listen(unix).start();
    for url in server.ready() {
        assert_fine(&run(&[url], b"hello\nworld\n"), b"HELLO\nWORLD\n");
    }
    let port = server.tcp_addr().port().to_string();
    assert_fine(&run(&[&port], b"no end"), b"NO END");
    assert_fine(&run(&[&format!("localhost:{port}")], b"a name\n"), b"A NAME\n");
}

#[test]
fn every_byte_goes_as_it_is_both_ways() {
    let (listener, url) = peer();
    let all: Vec<u8> = (0..=255).collect();
    let mut piped = Piped::start(&["connect", &url]);
    let mut client = accept(&listener);
    piped.send(&all);
    client.expect(&all);
    client.send(&all);
    piped.wait_stdout(&all);
    piped.send(b"q\n");
    client.expect(b"q\n");
    drop(client);
    assert_fine(&piped.finish(), &all);
}

#[test]
fn the_end_of_input_half_closes_and_the_answers_still_come() {
    let (listener, url) = peer();
    let mut piped = Piped::start(&["connect", &url]);
    let mut client = accept(&listener);
    piped.send(b"question");
    piped.end_input();
    client.expect(b"question");
    client.expect_eof();
    for part in [&b"an "[..], b"answer"] {
        client.send(part);
    }
    piped.wait_stdout(b"an answer");
    assert!(piped.is_running());
    drop(client);
    assert_fine(&piped.finish(), b"an answer");
}

#[test]
fn a_peer_that_ends_first_still_gets_the_rest() {
    let (listener, url) = peer();
    let mut piped = Piped::start(&["connect", &url]);
    let mut client = accept(&listener);
    client.send(b"bye");
    client.half_close();
    piped.wait_stdout(b"bye");
    piped.send(b"more");
    client.expect(b"more");
    piped.end_input();
    client.expect_eof();
    assert_fine(&piped.finish(), b"bye");
}

#[test]
fn much_goes_both_ways_at_once() {
    const SIZE: usize = 64 << 20;
    let echo = "return function(msg) return msg end";
    let server = Server::builder().script(echo).start();
    let url = format!("tcp://{}", server.tcp_addr());
    let mut child = command(&url).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let piece = |number: usize| vec![u8::try_from(number % 251).unwrap(); 1 << 16];
    let writer = thread::spawn(move || {
        for number in 0..SIZE >> 16 {
            input.write_all(&piece(number)).unwrap();
        }
        input
    });
    let mut buffer = vec![0; 1 << 16];
    for number in 0..SIZE >> 16 {
        output.read_exact(&mut buffer).unwrap();
        assert!(buffer == piece(number), "piece {number} has changed");
    }
    // Held open until its memory has been read: with the end of input it ends.
    let input = writer.join().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak < 64 << 10, "it held {peak} KiB");
    drop(input);
    assert_eq!(output.read(&mut buffer).unwrap(), 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_peer_that_does_not_read_stops_the_input_not_the_answers() {
    let (listener, url) = peer();
    let mut child = command(&url).spawn().unwrap();
    let mut stream = listener.accept().unwrap().0;
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || input.write_all(&vec![b'x'; 32 << 20]));
    stream.write_all(b"still here").unwrap();
    let mut answer = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still here");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 32 << 20);
    writer.join().unwrap().unwrap();
    drop(stream);
    assert!(child.wait().unwrap().success());
}

#[test]
fn nobody_who_reads_the_answers_is_a_quiet_end() {
    let (listener, url) = peer();
    let mut child = command(&url).stderr(Stdio::piped()).spawn().unwrap();
    let mut client = accept(&listener);
    drop(child.stdout.take());
    client.send(b"for nobody");
    let status = wait_until("it should end", || child.try_wait().unwrap());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn a_reset_is_told_and_a_failure() {
    let (listener, url) = peer();
    let mut piped = Piped::start(&["connect", &url]);
    let mut client = accept(&listener);
    client.send(b"half an ans");
    piped.wait_stdout(b"half an ans");
    client.reset();
    piped.send(b"x");
    let ended = piped.wait();
    assert_eq!(ended.status, 1, "{ended:?}");
    assert_eq!(ended.stderr, format!("scriptsock connect: {url}: connection reset by peer\n"));
    assert_eq!(ended.stdout, b"half an ans");
}

#[test]
fn ends_of_lines_change_only_where_it_is_asked() {
    let server = Server::builder().script("return function(msg) return msg end").start();
    let url = format!("tcp://{}", server.tcp_addr());
    let text = b"a\nb\r\n\nc";
    assert_fine(&run(&[&url], text), text);
    assert_fine(&run(&[&url, "--eol", "crlf"], text), b"a\r\nb\r\n\r\nc");
    assert_fine(&run(&[&url, "--eol", "lf"], text), b"a\nb\n\nc");
    assert_fine(&run(&[&url, "--eol", "none"], b"a\nb\r\n\nc\r"), b"abc\r");
}

#[test]
fn hex_is_one_dump_of_all_that_came() {
    let (listener, url) = peer();
    let piped = Piped::start(&["connect", "--hex", &url]);
    let mut client = accept(&listener);
    client.send(b"0123456789");
    client.send(b"abcdefgh\x00");
    drop(client);
    let rows = [
        "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n",
        "00000010  67 68 00                                          |gh.|\n",
    ];
    piped.wait_stdout(rows.concat().as_bytes());
    assert_fine(&piped.finish(), rows.concat().as_bytes());
}

#[test]
fn with_a_timeout_silence_ends_it_but_only_behind_the_input() {
    let (listener, url) = peer();
    let mut piped = Piped::start(&["connect", &url, "--timeout", "300ms"]);
    let mut client = accept(&listener);
    client.expect_silence(Duration::from_millis(600));
    assert!(piped.is_running(), "silence counts before the input has ended");
    piped.end_input();
    client.expect_eof();
    client.send(b"late");
    let ended = piped.wait();
    assert_fine(&ended, b"late");
    client.expect_gone();
}

#[test]
fn the_input_may_be_no_input_at_all() {
    let listener = UnixListener::bind(tempfile::tempdir().unwrap().keep().join("s")).unwrap();
    let address = listener.local_addr().unwrap();
    let path = address.as_pathname().unwrap();
    let mut child =
        command(&format!("unix://{}", path.display())).stdin(Stdio::null()).spawn().unwrap();
    let mut stream = listener.accept().unwrap().0;
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    stream.write_all(b"hi").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!((all.as_slice(), child.wait().unwrap().code()), (&b"hi"[..], Some(0)));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn a_signal_ends_it() {
    let (listener, url) = peer();
    let piped = Piped::start(&["connect", &url]);
    let (stream, _): (TcpStream, _) = listener.accept().unwrap();
    piped.signal(SIGINT);
    assert_eq!(piped.wait().status, 1);
    Client::of_tcp(stream).expect_gone();
}
