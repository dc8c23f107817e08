//! Every function and method with wrong types, NaN, huge, negative and missing arguments, and on
//! connections that are gone: an error that `pcall` catches, at the caller's line, that names the
//! function; never a panic, and the server answers afterwards.

use crate::misuse_table::{FUNCTIONS, METHODS, ODD, OPTION_VALUES};
use crate::support::Server;
use crate::talk::ask;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Runs the case that a message numbers, on that connection; `CASES` is one function a line.
const SCRIPT: &str = r#"
local handle
local CASES = {
LIST
}

local function shown(ok, ...)
  local parts = {tostring(ok)}
  for n = 1, select('#', ...) do
    local value = select(n, ...)
    table.insert(parts, if type(value) == "string" then value else type(value))
  end
  return table.concat(parts, " ")
end

return {
  on_message = function(msg, conn)
    if msg == "keep" then
      server.state.gone = conn
      return "kept\n"
    end
    handle = handle or after(3600, print)
    return shown(pcall(CASES[tonumber(msg)], conn, server.state.gone)) .. "\n"
  end,
  on_close = function(conn)
    if conn == server.state.gone then log.info("is gone") end
  end,
}
"#;

/// The line of the first case.
const FIRST_LINE: usize = 4;

/// How long a case may take: none waits for anything.
const LIMIT: Duration = Duration::from_secs(5);

struct Case {
    call: String,
    /// What the error says, whatever else. None: there need not be one.
    says: Option<Vec<String>>,
    /// Only a stream has to raise it; others may answer that they do not have it.
    is_of_streams: bool,
}

fn error(call: String, name: &str) -> Case {
    // `server.shared.get` may be called `shared.get`, no less.
    let name = name.strip_prefix("server.shared").map_or(name, |_| &name["server.".len()..]);
    Case { call, says: Some(vec![name.to_owned()]), is_of_streams: false }
}

/// The type of a literal, as an error names it.
fn type_of(literal: &str) -> Option<&'static str> {
    match literal {
        "nil" => Some("nil"),
        "true" => Some("boolean"),
        "7" => Some("number"),
        "{}" => Some("table"),
        "print" => Some("function"),
        "\"x\"" | "\"soon\"" => Some("string"),
        _ => None,
    }
}

/// Each function with each wrong value in each place, the other places being right.
fn wrong_arguments() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, arguments) in FUNCTIONS {
        for (place, argument) in arguments.iter().enumerate() {
            for wrong in argument.wrong() {
                let mut values: Vec<_> = arguments.iter().map(|other| other.good()).collect();
                values[place] = wrong;
                let mut case = error(format!("{name}({})", values.join(", ")), name);
                if argument.says_expects()
                    && let (Some(says), Some(kind)) = (&mut case.says, type_of(wrong))
                {
                    says.extend(["expects ".to_owned(), format!("got {kind}")]);
                }
                cases.push(case);
            }
        }
        if arguments[0].wrong().contains(&"nil") {
            cases.push(error(format!("{name}()"), name));
        }
    }
    for (option, values) in OPTION_VALUES {
        for value in *values {
            let case = error(format!("conn:option(\"{option}\", {value})"), "conn:option");
            cases.push(Case { is_of_streams: true, ..case });
        }
    }
    cases
}

/// Methods that are called on something else than a connection or a handle.
fn wrong_selves() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in METHODS {
        let name = format!("conn:{method}");
        for arguments in ["", "nil", "7", "\"x\"", "{}", "print", "handle, \"x\""] {
            cases.push(error(format!("conn.{method}({arguments})"), &name));
        }
    }
    for arguments in ["", "7", "{}", "conn"] {
        cases.push(error(format!("handle.cancel({arguments})"), "cancel"));
    }
    cases.push(error("conn.sate".to_owned(), "sate"));
    cases.push(error("(function() conn.id = 7 end)()".to_owned(), "conn.id"));
    cases
}

fn server_with(cases: &[Case], arguments: &[&str]) -> Server {
    let lines: Vec<_> = cases
        .iter()
        .map(|case| format!("  function(conn, gone) return {} end,", case.call))
        .collect();
    let script = SCRIPT.replace("LIST", &lines.join("\n"));
    let arguments = arguments.iter().copied().chain(["--budget", "10s"]);
    Server::builder().script(&script).args(arguments).start()
}

fn ask_tcp(server: SocketAddr, message: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(message.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0; 1];
    while stream.read(&mut byte)? == 1 && byte != *b"\n" {
        answer.extend(byte);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn ask_udp(server: SocketAddr, message: &str) -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(server)?;
    socket.send(message.as_bytes())?;
    let mut buffer = vec![0; 65536];
    let count = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned())
}

/// What is wrong with the answer to a case, if anything.
fn complaint(case: &Case, line: usize, answer: io::Result<String>, is_tcp: bool) -> Option<String> {
    let call = &case.call;
    let answer = match answer {
        Ok(answer) => answer,
        Err(problem) => return Some(format!("{call}: no answer, {problem}")),
    };
    let is_strict = is_tcp || !case.is_of_streams;
    match (answer.split_once(' '), &case.says) {
        (Some(("false", text)), Some(says)) => {
            let place = format!("handler.lua:{line}: ");
            let missing = says.iter().chain([&place]).find(|part| !text.contains(*part))?;
            Some(format!("{call}: no {missing:?} in {text:?}"))
        }
        (_, Some(_)) if is_strict => Some(format!("{call}: no error, but {answer:?}")),
        _ if answer.starts_with("true") || answer.starts_with("false ") => None,
        _ => Some(format!("{call}: neither a value nor an error, but {answer:?}")),
    }
}

/// Runs every case over TCP and UDP; fails with all complaints at once.
fn run(cases: &[Case]) {
    let server = server_with(cases, &[]);
    let (tcp, udp) = (server.tcp_addr(), server.udp_addr());
    let mut complaints = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let (message, line) = ((index + 1).to_string(), FIRST_LINE + index);
        complaints.extend(complaint(case, line, ask_tcp(tcp, &message), true));
        let over_udp = complaint(case, line, ask_udp(udp, &message), false);
        complaints.extend(over_udp.map(|text| format!("over UDP: {text}")));
        if !server.is_running() {
            complaints.push(format!("{}: the server has ended", case.call));
            break;
        }
    }
    let (all, count) = (complaints.join("\n"), complaints.len());
    assert!(complaints.is_empty(), "{count} complaints about {} calls:\n{all}", cases.len());
    server.tcp().exchange(b"keep", b"kept\n");
    server.assert_no_log("panicked");
}

#[test]
fn every_wrong_argument_is_an_error_at_the_callers_line_that_names_the_function() {
    let cases = wrong_arguments();
    assert!(cases.len() > 250, "the table has only {} cases", cases.len());
    run(&cases);
}

#[test]
fn a_method_of_something_else_is_an_error_at_the_callers_line_that_names_the_method() {
    let cases = wrong_selves();
    assert!(cases.len() > 80, "the table has only {} cases", cases.len());
    run(&cases);
}

#[test]
fn odd_and_huge_arguments_harm_no_one() {
    let case = |call: &&str| Case { call: (*call).to_owned(), says: None, is_of_streams: false };
    run(&ODD.iter().map(case).collect::<Vec<_>>());
}

#[test]
fn a_connection_that_is_gone_says_closed_and_never_throws() {
    let calls = [
        ("gone:send(\"x\")", "true nil closed"),
        ("gone:send(\"\")", "true nil closed"),
        ("gone:send_raw(\"x\")", "true nil closed"),
        ("gone:flush()", "true nil closed"),
        ("gone:read()", "true nil closed"),
        ("gone:read(\"line\")", "true nil closed"),
        ("gone:read({fixed = 3, timeout = 1})", "true nil closed"),
        ("gone:set_framing(\"line\")", "true nil closed"),
        ("gone:set_framing(nil)", "true nil closed"),
        ("gone:set_idle_timeout(1)", "true nil closed"),
        ("gone:set_idle_timeout(nil)", "true nil closed"),
        ("gone:option(\"keepalive\")", "true nil closed"),
        ("gone:option(\"keepalive\", true)", "true nil closed"),
        ("gone:subscribe(\"t\")", "true nil closed"),
        ("gone:unsubscribe(\"t\")", "true nil closed"),
        ("gone:close()", "true"),
        ("gone:reset()", "true"),
        ("gone:shutdown()", "true"),
        ("server.publish(\"t\", \"x\", gone)", "true boolean"),
        ("server.broadcast(\"\", gone)", "true boolean"),
        ("tostring(gone) ~= nil", "true boolean"),
        ("gone.state", "true table"),
        ("gone.peer_ip", "true 127.0.0.1"),
    ];
    let cases: Vec<_> = calls
        .iter()
        .map(|(call, _)| Case { call: (*call).to_owned(), says: None, is_of_streams: false })
        .collect();
    for is_tcp in [true, false] {
        let arguments: &[&str] = if is_tcp { &[] } else { &["--max-peers", "1"] };
        let server = server_with(&cases, arguments);
        if is_tcp {
            server.tcp().exchange(b"keep", b"kept\n");
        } else {
            server.udp().exchange(b"keep", b"kept\n");
            // Another peer pushes the oldest out.
            let _ = ask_udp(server.udp_addr(), "18");
        }
        server.wait_log("is gone");
        for (index, (call, expected)) in calls.iter().enumerate() {
            let answer = ask_tcp(server.tcp_addr(), &(index + 1).to_string());
            assert_eq!(answer.ok().as_deref(), Some(*expected), "{call}");
        }
        server.assert_no_log("panicked");
        server.assert_no_log("handler fault");
    }
}

#[test]
fn an_error_of_misuse_that_no_one_catches_is_a_fault_at_the_callers_line() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               if msg == \"fine\" then return \"fine\\n\" end
               conn:send(nil)
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("handler.lua:3: conn:send expects a string, got nil"), "{fault}");
    assert_eq!(ask(&mut client, "fine"), "fine");
}
