//! What `scriptsock connect` says where there is nothing to connect to, and to mistakes.

use std::os::unix::net::{UnixDatagram, UnixListener};

use crate::connect_piped::run;
use crate::support::{Ended, Piped, idle_address};

/// It gave up with one line, which holds all of `parts`.
#[track_caller]
fn assert_gave_up(ended: &Ended, status: i32, parts: &[&str]) {
    assert_eq!((ended.status, ended.stdout.as_slice()), (status, &b""[..]), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.starts_with("scriptsock"), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part:?} in {ended:?}");
    }
}

#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    assert_gave_up(&Piped::start(&[&["connect"], args].concat()).wait(), 1, parts);
}

#[track_caller]
fn misused(args: &[&str], parts: &[&str]) {
    assert_gave_up(&Piped::start(&[&["connect"], args].concat()).wait(), 2, parts);
}

#[test]
fn nobody_there_is_one_line_that_says_what_to_do() {
    let url = format!("tcp://{}", idle_address());
    refused(&[&url], &[&url, "connection refused; is the server running there?"]);
    refused(&["no-such-host.invalid:80"], &["host not found; is the name right?"]);
    for url in ["unix:///no/such/socket", "unixgram:///no/such/socket"] {
        refused(&[url], &[url, "file not found; the server makes the file when it starts"]);
    }
}

#[test]
fn a_socket_of_the_other_kind_gets_the_right_url() {
    let dir = tempfile::tempdir().unwrap();
    let _stream = UnixListener::bind(dir.path().join("s")).unwrap();
    let _datagrams = UnixDatagram::bind(dir.path().join("d")).unwrap();
    let url = |scheme: &str, name: &str| format!("{scheme}://{}/{name}", dir.path().display());
    refused(&[&url("unix", "d")], &["try unixgram://"]);
    refused(&[&url("unixgram", "s")], &["try unix://"]);
    refused(&[&url("unix", &"x".repeat(200))], &["name too long"]);
    refused(&[&url("unixgram", &"x".repeat(200))], &["too long"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_does_not_accept_is_given_up_in_time() {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _waiting = std::net::TcpStream::connect(address).unwrap();
    let url = format!("tcp://{address}");
    refused(&[&url, "--timeout", "50ms"], &["no connection within 50ms (--timeout)"]);
}

#[test]
fn mistakes_of_the_command_line_are_told() {
    misused(&[], &["<URL> is missing", "scriptsock connect --help"]);
    misused(&["tpc://x:1"], &["did you mean tcp://"]);
    misused(&["tcp://127.0.0.1:0"], &["no server has port 0"]);
    misused(&["80", "--eol", "cr"], &["'cr' for '--eol': expected lf, crlf, none"]);
    misused(&["80", "--timeout", "5"], &["give a unit, for example 30s"]);
    misused(&["80", "--qiut", "x"], &["did you mean '--quit'"]);
}

#[test]
fn help_shows_how() {
    let ended = Piped::start(&["connect", "--help"]).wait();
    let help = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status, 0);
    for part in ["--eol", "--quit", "--hex", "--timeout", "--no-history", "Examples:", "nc -N"] {
        assert!(help.contains(part), "no {part} in {help}");
    }
    let ended = run(&["--help"], b"");
    assert_eq!(ended.status, 0);
}
