//! Unix stream and datagram sockets, and the life of their files.

use crate::support::{Client, SIGTERM, Server};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use tempfile::TempDir;

#[test]
fn a_stream_socket_answers() {
    let server = Server::builder().listen("unix://s.sock").start();
    assert_eq!(server.ready(), ["unix://s.sock"]);
    let (mut first, mut second) = (server.unix(), server.unix());
    for _ in 0..10 {
        first.exchange("show 信息".as_bytes(), "SHOW 信息".as_bytes());
        second.exchange(b"a\xff\x00b", b"A\xff\x00B");
    }
    first.half_close();
    first.expect_eof();
    second.exchange(b"still here", b"STILL HERE");
    drop(second);
    server.unix().exchange(b"next", b"NEXT");
}

#[test]
fn a_datagram_socket_answers() {
    let server = Server::builder().listen("unixgram://d.sock").start();
    assert_eq!(server.ready(), ["unixgram://d.sock"]);
    let (first, second) = (server.unixgram(), server.unixgram());
    for _ in 0..10 {
        first.exchange(b"hello", b"HELLO");
        second.exchange(b"a\xff\x00b", b"A\xff\x00B");
    }
    first.exchange(b"", b"");
    let large = vec![b'x'; 65_507];
    second.exchange(&large, &large.to_ascii_uppercase());
}

#[test]
fn a_datagram_that_cannot_be_answered_hurts_no_one() {
    let server = Server::builder().listen("unixgram://d.sock").start();
    let unnamed = UnixDatagram::unbound().unwrap();
    unnamed.connect(server.dir().join("d.sock")).unwrap();
    let witness = server.unixgram();
    for _ in 0..5 {
        unnamed.send(b"no way back").unwrap();
        witness.exchange(b"hello", b"HELLO");
    }
    {
        let vanished = server.unixgram();
        vanished.send(b"gone before the answer");
    }
    witness.exchange(b"after", b"AFTER");
}

#[test]
fn the_fields_of_a_unix_connection() {
    let script = r#"return function(msg, conn)
      local port = if conn.peer_port == nil then "nil" else "set"
      return conn.transport .. " " .. port .. " " .. (if #conn.peer > 0 then "named" else "empty")
    end"#;
    let server = Server::builder()
        .script(script)
        .listen("unix://s.sock")
        .listen("unixgram://d.sock")
        .start();
    server.unix().exchange(b"?", b"unix nil named");
    server.unixgram().exchange(b"?", b"unixgram nil named");
}

#[test]
fn socket_files_are_for_their_owner_alone_and_go_with_the_server() {
    let mut server = Server::builder().listen("unix://s.sock").listen("unixgram://d.sock").start();
    for name in ["s.sock", "d.sock"] {
        let meta = fs::metadata(server.dir().join(name)).unwrap();
        assert!(meta.file_type().is_socket(), "{name}");
        assert_eq!(meta.permissions().mode() & 0o7777, 0o600, "{name}");
    }
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    for name in ["s.sock", "d.sock"] {
        assert!(!server.dir().join(name).exists(), "{name} is left behind");
    }
}

#[test]
fn a_stale_socket_is_taken_over() {
    let dir = TempDir::new().unwrap();
    let (stream, datagram) = (dir.path().join("s.sock"), dir.path().join("d.sock"));
    drop(UnixListener::bind(&stream).unwrap());
    drop(UnixDatagram::bind(&datagram).unwrap());
    assert!(stream.exists() && datagram.exists());

    let server = Server::builder()
        .listen(format!("unix://{}", stream.display()))
        .listen(format!("unixgram://{}", datagram.display()))
        .start();
    server.unix().exchange(b"hello", b"HELLO");
    server.unixgram().exchange(b"hello", b"HELLO");
    assert_eq!(fs::metadata(&stream).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn the_socket_of_a_killed_server_is_taken_over() {
    let dir = TempDir::new().unwrap();
    let url = format!("unix://{}", dir.path().join("s.sock").display());
    drop(Server::builder().listen(&url).start());
    assert!(dir.path().join("s.sock").exists(), "a killed server cannot remove it");
    let server = Server::builder().listen(&url).start();
    server.unix().exchange(b"hello", b"HELLO");
}

#[test]
fn a_live_socket_is_not_taken_over() {
    for scheme in ["unix", "unixgram"] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("s.sock");
        let url = format!("{scheme}://{}", path.display());
        let server = Server::builder().listen(&url).start();
        let failed = Server::builder().listen(&url).start_expecting_failure();
        failed.assert_one_line(1, &[path.to_str().unwrap(), "in use"]);
        assert!(path.exists(), "the second server took the socket of the first away");
        match scheme {
            "unix" => server.unix().exchange(b"alive", b"ALIVE"),
            _ => server.unixgram().exchange(b"alive", b"ALIVE"),
        }
    }
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "precious").unwrap();
    let failed =
        Server::builder().listen(format!("unix://{}", path.display())).start_expecting_failure();
    failed.assert_one_line(1, &[path.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_socket_that_a_successor_put_in_place_is_not_removed() {
    let mut server = Server::builder().listen("unix://s.sock").start();
    let path = server.unix_path();
    fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert!(path.exists(), "the socket of someone else was removed");
}

#[test]
fn two_workers_share_one_socket() {
    let script = "return function() return tostring(server.worker) end";
    let server = Server::builder().script(script).args(["-w", "2"]).listen("unix://s.sock").start();
    let mut clients: Vec<Client> = (0..20).map(|_| server.unix()).collect();
    let mut workers: Vec<Vec<u8>> = clients
        .iter_mut()
        .map(|client| {
            client.send(b"who?");
            client.read_once()
        })
        .collect();
    workers.sort();
    workers.dedup();
    assert_eq!(workers.len(), 2, "{workers:?}");
}
