//! What cannot work is refused in one line that names the value, says what was expected and, where
//! there is one, the nearest right spelling. Usage is exit status 2, the rest 1.

use crate::support::{Failed, Server};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

const USAGE: i32 = 2;
const FAILED: i32 = 1;

fn with_args(args: &[&str]) -> Failed {
    Server::builder().args(args.iter().copied()).start_expecting_failure()
}

/// With listeners that would work, so that only the wrong one can be at fault.
fn with_option(args: &[&str]) -> Failed {
    let builder = Server::builder().listen("tcp://127.0.0.1:0");
    builder.args(args.iter().copied()).start_expecting_failure()
}

#[test]
fn an_unknown_option() {
    with_option(&["--idle-timeot", "3s"])
        .assert_one_line(USAGE, &["--idle-timeot", "--idle-timeout"]);
    with_option(&["--lisen=none"]).assert_one_line(USAGE, &["--lisen", "--listen"]);
    with_option(&["-Z"]).assert_one_line(USAGE, &["-Z"]);
}

#[test]
fn an_unknown_command_or_a_stray_word() {
    with_option(&["upper.lua"]).assert_one_line(USAGE, &["upper.lua"]);
}

#[test]
fn an_option_without_its_value() {
    with_option(&["--script"]).assert_one_line(USAGE, &["--script"]);
}

#[test]
fn a_bad_choice() {
    with_option(&["--watch", "nativ"]).assert_one_line(USAGE, &["nativ", "native", "poll", "off"]);
    with_option(&["--on-error", "kep"]).assert_one_line(USAGE, &["kep", "keep", "close"]);
    with_option(&["--log-format", "jsn"]).assert_one_line(USAGE, &["jsn", "json", "text"]);
}

#[test]
fn a_bad_url() {
    for (url, parts) in [
        ("tpc://127.0.0.1:0", ["tcp://", "udp://"]),
        ("http://127.0.0.1:80", ["tcp://", "http"]),
        ("tcp://127.0.0.1", ["tcp://", "PORT"]),
        ("tcp://127.0.0.1:99999", ["99999", "65535"]),
        ("tcp://127.0.0.1:http", ["http", "port"]),
        ("udp://[::1:0", ["udp://", "HOST:PORT"]),
        ("tcp://::1:7890", ["[::1]", "bracket"]),
        ("127.0.0.1:7890", ["tcp://127.0.0.1:7890", "expected"]),
        ("unix://", ["unix://", "file"]),
    ] {
        let failed = with_args(&["--listen", url]);
        failed.assert_one_line(USAGE, &[&[url][..], &parts[..]].concat());
    }
}

#[test]
fn a_bad_duration() {
    for option in ["--idle-timeout", "--send-timeout", "--budget"] {
        for value in ["5x", "soon", "-1s", ""] {
            let argument = format!("{option}={value}");
            with_option(&[&argument]).assert_one_line(USAGE, &[option, value, "500ms"]);
        }
        with_option(&[option, "5"]).assert_one_line(USAGE, &[option, "5", "unit", "30s"]);
    }
}

#[test]
fn a_bad_size_or_count() {
    with_option(&["--memory", "lots"]).assert_one_line(USAGE, &["--memory", "lots"]);
    with_option(&["--max-message", "1XB"]).assert_one_line(USAGE, &["--max-message", "1XB"]);
    for option in ["--workers", "--max-conns", "--max-peers"] {
        with_option(&[option, "many"]).assert_one_line(USAGE, &[option, "many"]);
        with_option(&[option, "0"]).assert_one_line(USAGE, &[option, "0"]);
    }
}

#[test]
fn a_bad_value_in_the_environment() {
    let failed = Server::builder()
        .listen("tcp://127.0.0.1:0")
        .env("SCRIPTSOCK_BUDGET", "soon")
        .start_expecting_failure();
    failed.assert_one_line(USAGE, &["soon", "SCRIPTSOCK_BUDGET"]);
}

#[test]
fn an_unknown_host() {
    with_args(&["--listen", "tcp://no-such-host.invalid:1"])
        .assert_one_line(FAILED, &["no-such-host.invalid"]);
}

#[test]
fn an_address_of_another_machine() {
    with_args(&["--listen", "tcp://192.0.2.1:0"]).assert_one_line(FAILED, &["192.0.2.1"]);
}

#[test]
fn a_unix_socket_in_no_folder() {
    with_args(&["--listen", "unix://no/such/folder/s.sock"])
        .assert_one_line(FAILED, &["no/such/folder/s.sock"]);
}

#[test]
fn a_port_that_is_taken() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let urls = [
        format!("tcp://{}", tcp.local_addr().unwrap()),
        format!("udp://{}", udp.local_addr().unwrap()),
    ];
    for url in &urls {
        for workers in ["1", "2"] {
            with_args(&["--listen", url, "-w", workers])
                .assert_one_line(FAILED, &[url.as_str(), "in use"]);
        }
    }
}

#[test]
fn a_port_that_another_scriptsock_has() {
    for workers in ["1", "2"] {
        let server = Server::builder().args(["-w", workers]).start();
        for url in server.ready() {
            for others in ["1", "2"] {
                with_args(&["--listen", url, "-w", others])
                    .assert_one_line(FAILED, &[url.as_str(), "in use"]);
            }
        }
        server.tcp().exchange(b"x", b"X");
        server.udp().exchange(b"x", b"X");
    }
}

#[test]
fn the_same_port_twice() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("tcp://{free}");
    with_args(&["--listen", &url, "--listen", &url, "-w", "2"])
        .assert_one_line(USAGE, &[url.as_str(), "twice"]);
}

#[test]
fn no_such_script() {
    with_option(&["--script", "nowhere/none.lua"]).assert_one_line(FAILED, &["nowhere/none.lua"]);
}

#[test]
fn a_script_that_is_a_directory() {
    let failed = Server::builder()
        .file("folder/README", "")
        .args(["--script", "folder"])
        .start_expecting_failure();
    failed.assert_one_line(FAILED, &["folder", "directory"]);
}

#[test]
fn a_script_that_does_not_compile_is_shown_with_its_line() {
    let script = "local a = 1\nreturn function(msg)\n  return msg:\nend\n";
    let failed = Server::builder().script(script).start_expecting_failure();
    assert_eq!(failed.status, FAILED, "{failed:?}");
    assert_eq!(failed.stdout, "");
    assert!(failed.stderr.contains("handler.lua:"), "{failed:?}");
    assert!(failed.stderr.contains("return msg:"), "no source line: {failed:?}");
}

#[test]
fn a_script_that_fails_while_it_loads_ends_the_start() {
    for script in [
        "error('no way')",
        "return 42",
        "return { on_mesage = function() end }",
        "return { on_load = function() error('no way') end }",
        "while true do end",
        "sleep(1)",
    ] {
        let builder = Server::builder().script(script).listen("tcp://127.0.0.1:0");
        let failed = builder.start_expecting_failure();
        assert_eq!(failed.status, FAILED, "{script}: {failed:?}");
        assert_eq!(failed.stdout, "", "{script}: it said that it was ready");
        assert!(failed.stderr.contains("handler.lua"), "{script}: {failed:?}");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    for (option, text) in [("--help", "--listen"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = Command::new(env!("CARGO_BIN_EXE_scriptsock")).arg(option).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{option}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(text), "{option}: {output:?}");
    }
}
