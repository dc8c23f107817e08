//! How connections and recordings end: resets, servers that are not there, disks that are full.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::record::{parse, proxy, recorded, stop, without_times};
use crate::support::{Client, Failed, Listener, SIGINT, Server, idle_address, wait_until};

/// A client and its connection to the server, through a proxy.
fn pair(proxy: &Server, listener: &Listener) -> (Client, Client) {
    let mut client = proxy.tcp();
    let mut server = listener.accept();
    client.send(b"a\n");
    server.answer(b"a\n", b"b\n");
    client.expect(b"b\n");
    (client, server)
}

#[test]
fn either_side_may_end_first_and_the_other_still_speaks() {
    let listener = Listener::tcp();
    let mut proxy = proxy("tcp://127.0.0.1:0", &listener.url());
    let (mut client, mut server) = pair(&proxy, &listener);
    client.half_close();
    server.expect_eof();
    server.send(b"last word\n");
    client.expect(b"last word\n");
    drop(server);
    client.expect_eof();
    let (mut client, mut server) = pair(&proxy, &listener);
    server.half_close();
    client.expect_eof();
    client.send(b"last word\n");
    server.expect(b"last word\n");
    drop(client);
    server.expect_eof();
    stop(&mut proxy);
    let expected = "> a\n< b\n!> eof\n< last word\n!< eof\nc2> a\nc2< b\nc2!< eof\nc2> last word\n\
                    c2!> eof\n";
    assert_eq!(recorded(proxy.dir()), expected);
}

#[test]
fn a_reset_is_one_on_the_other_side_too() {
    let listener = Listener::tcp();
    let mut proxy = proxy("tcp://127.0.0.1:0", &listener.url());
    let (client, mut server) = pair(&proxy, &listener);
    client.reset();
    server.expect_reset();
    let (mut client, server) = pair(&proxy, &listener);
    server.reset();
    client.expect_reset();
    stop(&mut proxy);
    assert_eq!(recorded(proxy.dir()), "> a\n< b\n!> reset\nc2> a\nc2< b\nc2!< reset\n");
}

#[test]
fn one_that_has_closed_and_is_spoken_to_has_closed() {
    let listener = Listener::tcp();
    let mut proxy = proxy("tcp://127.0.0.1:0", &listener.url());
    let (client, mut server) = pair(&proxy, &listener);
    drop(client);
    server.expect_eof();
    wait_until("the server should learn of it", || server.try_send(b"more\n").err());
    stop(&mut proxy);
    let text = recorded(proxy.dir());
    assert!(text.starts_with("> a\n< b\n!> eof\n< more\n"), "{text}");
    assert!(text.ends_with("!> close\n"), "{text}");
}

#[test]
fn where_no_server_is_clients_are_turned_away_until_one_is() {
    let address = idle_address();
    let url = format!("tcp://{address}");
    let mut proxy = proxy("tcp://127.0.0.1:0", &url);
    proxy.tcp().expect_eof();
    let told = proxy.wait_log("cannot be reached");
    assert!(told.contains(&url) && told.contains("connection refused"), "{told}");
    let server = std::net::TcpListener::bind(address).unwrap();
    let mut client = proxy.tcp();
    client.send(b"a\n");
    Client::of_tcp(server.accept().unwrap().0).expect(b"a\n");
    stop(&mut proxy);
    // Whoever was turned away has seen an end.
    let expected = "!> connect\n!< eof\nc2> a\nc2!< eof\nc2!> eof\n";
    assert_eq!(recorded(proxy.dir()), expected);
}

#[test]
fn a_server_that_resets_at_once_was_there() {
    let listener = Listener::tcp();
    let mut proxy = proxy("tcp://127.0.0.1:0", &listener.url());
    for _ in 0..30 {
        let mut client = proxy.tcp();
        let mut server = listener.accept();
        server.send(b"banner\n");
        server.reset();
        client.expect(b"banner\n");
        client.expect_reset();
    }
    stop(&mut proxy);
    let text = recorded(proxy.dir());
    assert_eq!(text.matches("< banner\n").count(), 30, "{text}");
    assert_eq!(text.matches("!< reset\n").count(), 30, "{text}");
}

#[test]
fn a_proxy_for_itself_is_refused() {
    let port = idle_address().port();
    let [own, all, named] =
        ["127.0.0.1", "0.0.0.0", "localhost"].map(|host| format!("tcp://{host}:{port}"));
    for (listen, to) in [(&own, &own), (&all, &own), (&own, &named), (&named, &own)] {
        let args = ["record", "--listen", listen, "--to", to, "-o", "session.dialogue"];
        let failed = Server::builder().ready_lines(1).args(args).start_expecting_failure();
        assert_gave_up(&failed, &[to, "the proxy would connect to itself"]);
    }
}

#[test]
fn a_datagram_that_nobody_takes_is_no_end() {
    let address = idle_address();
    let url = format!("udp://{address}");
    let mut proxy = proxy("udp://127.0.0.1:0", &url);
    let client = proxy.udp();
    client.send(b"lost");
    proxy.wait_log("does not take datagrams");
    let server = std::net::UdpSocket::bind(address).unwrap();
    client.send(b"found");
    let mut buffer = [0; 16];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"found");
    server.send_to(b"yes", from).unwrap();
    client.expect(b"yes");
    stop(&mut proxy);
    let expected = "@transport udp\n@eol none\n> lost\n> found\n< yes\n";
    assert_eq!(recorded(proxy.dir()), expected);
}

/// It ended with status 1 and one line on standard error.
#[track_caller]
fn assert_gave_up(failed: &Failed, parts: &[&str]) {
    assert_eq!((failed.status, failed.stderr.lines().count()), (1, 1), "{failed:?}");
    assert!(failed.stderr.starts_with("scriptsock record: "), "{failed:?}");
    for part in parts {
        assert!(failed.stderr.contains(part), "no {part:?} in {failed:?}");
    }
}

#[test]
fn what_is_there_is_not_overwritten_unless_that_is_asked_for() {
    let args = ["record", "--listen", "0", "--to", "1", "-o", "session.dialogue"];
    let builder = || Server::builder().ready_lines(1).args(args);
    let failed = builder().file("session.dialogue", "> precious\n").start_expecting_failure();
    assert_gave_up(&failed, &["session.dialogue exists already: ", "--force"]);
    // Nothing is in an empty one.
    let mut empty = builder().file("session.dialogue", "").start();
    stop(&mut empty);
    let mut forced = builder().file("session.dialogue", "> precious\n").args(["--force"]).start();
    stop(&mut forced);
    assert_eq!(recorded(forced.dir()), "");
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_once() {
    for (file, why) in [("no/such/folder", "No such file or directory"), (".", "Is a directory")] {
        let args = ["record", "--listen", "0", "--to", "1", "-o", file];
        let failed = Server::builder().ready_lines(1).args(args).start_expecting_failure();
        assert_gave_up(&failed, &[file, "cannot be written", why]);
    }
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    for (args, parts) in [
        (&["--to", "1", "-o", "x"][..], &["--listen", "is missing"][..]),
        (&["--listen", "0", "-o", "x"], &["--to", "is missing"]),
        (&["--listen", "0", "--to", "1"], &["--output", "is missing"]),
        (&["--listen", "0", "--to", "0", "-o", "x"], &["no server has port 0"]),
        (&["--listen", "0", "--to", "udp://h:1", "-o", "x"], &["datagrams", "streams"]),
        (&["--listen", "tpc://h:1", "--to", "1", "-o", "x"], &["tpc", "tcp"]),
    ] {
        let builder = Server::builder().ready_lines(1).args(["record"]).args(args.iter().copied());
        builder.start_expecting_failure().assert_one_line(2, parts);
    }
}

#[test]
fn a_full_disk_ends_it_and_says_so() {
    let server = Server::builder().start();
    let url = format!("tcp://{}", server.tcp_addr());
    let args = ["record", "--listen", "tcp://127.0.0.1:0", "--to", &url, "-o", "/dev/full"];
    let mut proxy = Server::builder().ready_lines(1).args(args).start();
    proxy.tcp().send(b"hello\n");
    assert_eq!(proxy.wait_exit(), 1);
    let log = proxy.log_text();
    let expected = "scriptsock record: /dev/full: the recording is not complete: \
                    /dev/full cannot be written: No space left on device";
    assert!(log.contains(expected), "{log}");
}

/// A file that may not grow beyond some blocks takes a part of a step and then no more, as a disk
/// does that becomes full.
#[test]
fn a_disk_that_becomes_full_keeps_whole_steps() {
    let server = Server::builder().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("session.dialogue");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg("ulimit -f 40; exec \"$0\" record --listen 0 --to \"$1\" -o \"$2\"")
        .arg(env!("CARGO_BIN_EXE_scriptsock"))
        .arg(format!("tcp://{}", server.tcp_addr()))
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut ready).unwrap();
    let address = ready.trim().strip_prefix("tcp://").unwrap().parse().unwrap();
    let mut client = Client::tcp(address);
    let mut sent = 0;
    let line = format!("{}\n", "x".repeat(99));
    while client.try_send(line.as_bytes()).is_ok() && sent < 100_000 {
        sent += 1;
        std::thread::sleep(Duration::from_micros(100));
    }
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the recording is not complete"), "{told}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.len() > 10_000, "{} bytes", text.len());
    assert!(parse(&text).steps.len() > 50, "{text}");
}

#[test]
fn who_is_killed_leaves_all_but_the_last_piece() {
    let server = Server::builder().start();
    let mut proxy = proxy("tcp://127.0.0.1:0", &format!("tcp://{}", server.tcp_addr()));
    let mut client = proxy.tcp();
    client.exchange(b"hello\n", b"HELLO\n");
    client.exchange(b"no end", b"NO END");
    wait_until("all is written", || recorded(proxy.dir()).contains("NO END").then_some(()));
    proxy.signal("KILL");
    assert_eq!(proxy.wait_exit(), -9);
    assert_eq!(recorded(proxy.dir()), "> hello\n< HELLO\n>> \"no end\"\n<< \"NO END\"\n");
}

#[test]
fn standard_output_may_have_it() {
    let server = Server::builder().start();
    let url = format!("tcp://{}", server.tcp_addr());
    let args = ["record", "--listen", "tcp://127.0.0.1:0", "--to", &url, "-o", "-"];
    let mut proxy = Server::builder().ready_lines(0).args(args).start();
    let ready = proxy.wait_log("tcp://127.0.0.1:");
    let mut client = Client::tcp(ready.strip_prefix("tcp://").unwrap().parse().unwrap());
    client.exchange(b"hello\n", b"HELLO\n");
    wait_until("it is written", || proxy.stdout_text().contains("HELLO").then_some(()));
    proxy.signal(SIGINT);
    assert_eq!(proxy.wait_exit(), 0);
    // Whoever is there is hung up.
    assert_eq!(without_times(&proxy.stdout_text()), "> hello\n< HELLO\n!> eof\n!< eof\n");
}

#[test]
fn short_of_descriptors_it_goes_on() {
    let server = Server::builder().start();
    let url = format!("tcp://{}", server.tcp_addr());
    let args = ["record", "--listen", "tcp://127.0.0.1:0", "--to", &url, "-o", "session.dialogue"];
    let proxy = Server::builder().ready_lines(1).rlimit_nofile(24).args(args).start();
    let clients: Vec<_> = (0..30).filter_map(|_| Client::try_tcp(proxy.tcp_addr()).ok()).collect();
    proxy.wait_log("cannot be");
    drop(clients);
    wait_until("clients are served again", || {
        let mut client = Client::try_tcp(proxy.tcp_addr()).ok()?;
        client.try_send(b"hello\n").ok()?;
        // One that is turned away with its words unread sees a reset.
        (client.try_read_once().ok()? == b"HELLO\n").then_some(())
    });
}
