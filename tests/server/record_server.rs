//! `--record` on the server itself: what its connections say, as they say it.

use std::fs;

use crate::record::{parse, recorded, said, stop};
use crate::support::{Client, Server, wait_until};

const RECORD: [&str; 2] = ["--record", "session.dialogue"];

#[test]
fn what_streams_say_is_recorded_to_each_end() {
    let script = "return { framing = 'line', \
        on_connect = function(conn) return 'hi' end, \
        on_message = function(msg, conn) \
          if msg == 'quit' then conn:send('bye') return conn:close() end \
          if msg == 'reset' then return conn:reset() end \
          if msg == 'half' then conn:shutdown() return end \
          return msg:upper() end }";
    let mut server = Server::builder().script(script).args(RECORD).start();
    let mut first = server.tcp();
    first.expect(b"hi\n");
    first.exchange(b"a\nb\n", b"A\nB\n");
    first.exchange(b"quit\n", b"bye\n");
    first.expect_eof();
    let mut second = server.tcp();
    second.expect(b"hi\n");
    second.send(b"reset\n");
    second.expect_reset();
    let mut third = server.tcp();
    third.expect(b"hi\n");
    third.half_close();
    third.expect_eof();
    let mut fourth = server.tcp();
    fourth.expect(b"hi\n");
    fourth.send(b"half\n");
    fourth.expect_eof();
    fourth.reset();
    wait_until("all is written", || recorded(server.dir()).ends_with("reset\n").then_some(()));
    stop(&mut server);
    let expected = "!> connect\n< hi\n> a\n> b\n< A\n< B\n> quit\n< bye\n!< eof\n\
                    c2!> connect\nc2< hi\nc2> reset\nc2!< reset\n\
                    c3!> connect\nc3< hi\nc3!> eof\nc3!< eof\n\
                    c4!> connect\nc4< hi\nc4> half\nc4!< eof\nc4!> reset\n";
    assert_eq!(recorded(server.dir()), expected);
}

#[test]
fn the_last_words_to_a_datagram_peer_are_recorded() {
    let script = "return function(msg, conn) conn:send(msg:upper()) \
                  if msg == 'quit' then conn:close() end end";
    let mut server = Server::builder().script(script).args(RECORD).start();
    let (first, second) = (server.udp(), server.udp());
    first.exchange(b"one", b"ONE");
    second.exchange(b"two", b"TWO");
    first.exchange(b"quit", b"QUIT");
    first.exchange(b"again", b"AGAIN");
    // A dialogue has one transport.
    server.tcp().exchange(b"left out", b"LEFT OUT");
    server.wait_log("streams are not recorded: a dialogue has one transport");
    stop(&mut server);
    let expected = "@transport udp\n@eol none\n> one\n< ONE\nc2> two\nc2< TWO\n> quit\n< QUIT\n\
                    c3> again\nc3< AGAIN\n";
    assert_eq!(recorded(server.dir()), expected);
}

#[test]
fn all_workers_write_one_file() {
    let args = ["--workers", "2", "--record", "session.dialogue"];
    let mut server = Server::builder().listen("tcp://127.0.0.1:0").args(args).start();
    let address = server.tcp_addr();
    let clients: Vec<_> = (0..16)
        .map(|number| {
            std::thread::spawn(move || {
                let mut client = Client::tcp(address);
                for round in 0..50 {
                    let line = format!("client {number} round {round}\n");
                    client.exchange(line.as_bytes(), line.to_uppercase().as_bytes());
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    stop(&mut server);
    let text = fs::read_to_string(server.dir().join("session.dialogue")).unwrap();
    for number in 1..=16 {
        let name = if number == 1 { String::new() } else { format!("c{number}") };
        let sent = String::from_utf8(said(&text, &name, false)).unwrap();
        assert_eq!(sent.lines().count(), 50, "{name}");
        assert_eq!(said(&text, &name, true), sent.to_uppercase().into_bytes());
    }
}

#[test]
fn replies_that_leave_together_are_recorded_too() {
    let server = Server::builder().args(RECORD);
    let mut server = server.listen("tcp://127.0.0.1:0").start();
    let mut clients: Vec<_> = (0..8).map(|_| server.tcp()).collect();
    // All are there before the server looks.
    server.signal(crate::support::SIGSTOP);
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("hello {number}\n").as_bytes());
    }
    server.signal(crate::support::SIGCONT);
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("HELLO {number}\n").as_bytes());
    }
    stop(&mut server);
    let text = fs::read_to_string(server.dir().join("session.dialogue")).unwrap();
    for number in 0..8 {
        assert!(text.contains(&format!("< HELLO {number}\n")), "{text}");
    }
}

#[test]
fn what_a_script_connects_to_is_not_in_it() {
    let script = "return { framing = 'line', on_message = function(msg, conn) \
        if msg ~= 'ask' then return 'answer' end \
        local up = connect('tcp://' .. conn.local_addr) up:send('other') \
        local got = up:read() up:close() return got end }";
    let mut server = Server::builder().script(script).args(RECORD).start();
    server.tcp().exchange(b"ask\n", b"answer\n");
    stop(&mut server);
    let text = recorded(server.dir());
    // The server's side of it is.
    assert_eq!(text.matches("other").count(), 1, "{text}");
    assert!(text.starts_with("> ask\nc2> other\n"), "{text}");
    assert!(text.contains("c2< answer\n"), "{text}");
}

#[test]
fn a_full_disk_is_the_end_of_the_recording_and_not_of_the_server() {
    let mut server = Server::builder().args(["--record", "/dev/full"]).start();
    server.expect_errors();
    let mut client = server.tcp();
    client.exchange(b"hello\n", b"HELLO\n");
    server.wait_log("the recording ended: /dev/full cannot be written: No space left on device");
    client.exchange(b"still there\n", b"STILL THERE\n");
    server.signal(crate::support::SIGTERM);
    assert_eq!(server.wait_exit(), 1);
    assert_eq!(server.log_count("the recording ended"), 1);
    assert!(server.log_text().contains("not all was recorded"), "{}", server.log_text());
}

#[test]
fn a_file_that_is_too_slow_is_the_end_of_the_recording_alone() {
    let builder = Server::builder().script("return function(msg) return msg end");
    let pipe = builder.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    // Opened, and never read from.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut server = builder.args(["--record", "pipe"]).start();
    server.expect_errors();
    let mut client = server.tcp();
    let block = vec![b'x'; 1 << 16];
    for _ in 0..200 {
        client.exchange(&block, &block);
    }
    server.wait_log("the recording ended: the file is too slow");
    assert!(server.memory_kib() < 120_000, "{} KiB", server.memory_kib());
    client.exchange(b"hello", b"hello");
    drop(reader);
    server.signal(crate::support::SIGTERM);
    assert_eq!(server.wait_exit(), 1);
}

#[test]
fn a_file_that_holds_something_is_refused() {
    let builder = Server::builder().file("session.dialogue", "> precious\n").args(RECORD);
    let failed = builder.start_expecting_failure();
    failed.assert_one_line(1, &["--record: session.dialogue exists already"]);
    let failed = Server::builder().args(["--record", "-"]).start_expecting_failure();
    failed.assert_one_line(2, &["standard output has the ready lines"]);
    let failed = Server::builder().args(["--record", "no/x"]).start_expecting_failure();
    failed.assert_one_line(1, &["--record: no/x cannot be written: No such file"]);
}

#[test]
fn an_empty_recording_is_a_dialogue_without_steps() {
    let mut server = Server::builder().args(RECORD).start();
    stop(&mut server);
    let text = fs::read_to_string(server.dir().join("session.dialogue")).unwrap();
    assert!(parse(&text).steps.is_empty());
}
