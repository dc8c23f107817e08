//! `connect`: TCP, UDP and Unix connections to servers of the test's own, what is read and sent
//! on them, and failures as values. How long they live is in `outgoing_life`.

use crate::support::{Client, Listener, Server, idle_address};
use crate::talk::{ask, read_line};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A handler that runs `body` at each message, with `URL` in it.
pub fn calling(url: &str, body: &str) -> Server {
    let script = format!("local URL = \"{url}\"\nreturn function(msg, conn)\n{body}\nend\n");
    Server::builder().script(&script).start()
}

/// What one message to such a handler is answered with, while the listener does `theirs` with
/// what it accepts.
fn answer_with(listener: &Listener, body: &str, theirs: impl FnOnce(Client)) -> String {
    let server = calling(&listener.url(), body);
    let mut client = server.tcp();
    client.send(b"x");
    theirs(listener.accept());
    let answer = read_line(&mut client);
    server.assert_no_log("handler fault");
    answer
}

const ASK: &str = r#"
  local up = assert(connect(URL))
  assert(up:send("question\n"))
  return up:read("line") .. "\n"
"#;

#[test]
fn a_tcp_server_is_asked() {
    let answer = answer_with(&Listener::tcp(), ASK, |mut up| {
        up.answer(b"question\n", b"answer\n");
    });
    assert_eq!(answer, "answer");
}

#[test]
fn a_unix_server_is_asked() {
    let answer = answer_with(&Listener::unix(), ASK, |mut up| {
        up.answer(b"question\n", b"answer\n");
    });
    assert_eq!(answer, "answer");
}

#[test]
fn a_host_name_is_resolved() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("tcp://localhost:{}", listener.local_addr().unwrap().port());
    let server = calling(&url, r#"local up = assert(connect(URL)) return up.peer_ip .. "\n""#);
    assert_eq!(ask(&mut server.tcp(), "x"), "127.0.0.1");
}

#[test]
fn a_udp_server_is_asked() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let server = calling(
        &url,
        r#"
          local up = assert(connect(URL))
          up:send("first")
          local first = up:read()
          up:send("second")
          return `{up.transport} {first} {up:read()}\n`"#,
    );
    let mut client = server.tcp();
    client.send(b"x");
    let mut buffer = [0; 100];
    for (question, answer) in [(&b"first"[..], &b"one\n1"[..]), (b"second", b"two")] {
        let (count, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], question);
        socket.send_to(answer, from).unwrap();
    }
    client.expect(b"udp one\n1 two\n");
}

#[test]
fn the_fields_of_an_outgoing_connection() {
    let listener = Listener::tcp();
    let server = calling(
        &listener.url(),
        r#"
          local up = connect(URL)
          up.state.mine = "mine"
          up:send(`{up.transport} {up.peer} {up.peer_ip} {up.peer_port} {up.local_addr}\n`)
          up:send(`{up.listener} {up.state.mine} {up.id == conn.id} {type(up.id)}\n`)
          up:send(`{tostring(up) == `conn {up.id} tcp {up.peer}`}\n`)
          up:close()"#,
    );
    server.tcp().send(b"x");
    let mut up = listener.accept();
    let (here, there) = (listener.address(), up.peer_addr());
    let expected =
        format!("tcp {here} 127.0.0.1 {} {there}\nnil mine false number\ntrue\n", here.port());
    assert_eq!(String::from_utf8(up.read_to_end()).unwrap(), expected);
}

#[test]
fn the_scripts_framing_is_in_force_unless_told() {
    let listener = Listener::tcp();
    let script = format!(
        r#"return {{
          framing = "line",
          on_message = function(msg, conn)
            local up = connect("{}")
            up:send("to the line")
            return up:read() .. "," .. up:read()
          end,
        }}"#,
        listener.url()
    );
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.send(b"x\n");
    let mut up = listener.accept();
    up.answer(b"to the line\n", b"one\r\ntwo\n");
    client.expect(b"one,two\n");
}

#[test]
fn the_framing_of_an_outgoing_connection_is_an_option() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        ("\"line\"", b"sent\n", b"one\ntwo\n"),
        ("{fixed = 3}", b"sent", b"onetwo"),
        ("\"length:u16be\"", b"\0\x04sent", b"\0\x03one\0\x03two"),
        ("{delimiter = \"\\0\"}", b"sent\0", b"one\0two\0"),
    ];
    for (framing, sent, answer) in cases {
        let body = format!(
            r#"
              local up = assert(connect(URL, {{framing = {framing}, timeout = 5}}))
              up:send("sent")
              return `{{up:read()}},{{up:read()}}\n`"#
        );
        let got = answer_with(&Listener::tcp(), &body, |mut up| up.answer(sent, answer));
        assert_eq!(got, "one,two", "{framing}");
    }
}

#[test]
fn set_framing_changes_an_outgoing_connection() {
    let body = r#"
      local up = connect(URL)
      up:set_framing("line")
      up:send("HELO")
      local first = up:read()
      up:set_framing({fixed = 4})
      return `{first} {up:read()}\n`"#;
    let got = answer_with(&Listener::tcp(), body, |mut up| {
        up.answer(b"HELO\n", b"250 ok\nabcd");
    });
    assert_eq!(got, "250 ok abcd");
}

#[test]
fn after_a_timeout_what_arrived_stays() {
    let body = r#"
      local up = connect(URL)
      up:send("go\n")
      local first, why = up:read({fixed = 4, timeout = 0.1})
      up:send("more\n")
      return `{first} {why} {up:read({fixed = 4, timeout = 5})}\n`"#;
    let got = answer_with(&Listener::tcp(), body, |mut up| {
        up.answer(b"go\n", b"ab");
        up.answer(b"more\n", b"cd");
    });
    assert_eq!(got, "nil timeout abcd");
}

#[test]
fn reading_says_how_the_other_side_ended() {
    let body = r#"
      local up = connect(URL)
      up:send("ready")
      local data, why = up:read("line")
      return `{data} {why}\n`"#;
    let eof = answer_with(&Listener::tcp(), body, |mut up| up.expect(b"ready"));
    assert_eq!(eof, "nil eof");
    let reset = answer_with(&Listener::tcp(), body, |mut up| {
        up.expect(b"ready");
        up.reset();
    });
    assert_eq!(reset, "nil reset");
}

#[test]
fn all_is_read_until_the_other_side_ends() {
    let body = r#"
      local up = connect(URL)
      up:send("GET /\n")
      up:shutdown()
      local page = up:read("all")
      return `{#page} {string.sub(page, -3)} {select(2, up:read())}\n`"#;
    let got = answer_with(&Listener::tcp(), body, |mut up| {
        assert_eq!(up.read_to_end(), b"GET /\n");
        up.send(&vec![b'x'; 200_000]);
        up.send(b"end");
    });
    assert_eq!(got, "200003 end eof");
}

/// `body` returns what `connect` gave, as one line.
fn failure(url: &str, options: &str) -> String {
    let body = format!(
        r"local up, text, code = connect(URL, {options}) return `{{up}}|{{text}}|{{code}}\n`"
    );
    let server = calling(url, &body);
    let answer = ask(&mut server.tcp(), "x");
    server.assert_no_log("handler fault");
    answer
}

#[test]
fn a_refused_connection_is_a_value() {
    let answer = failure(&format!("tcp://{}", idle_address()), "nil");
    assert_eq!(answer, "nil|connection refused|ECONNREFUSED");
}

#[test]
fn a_refused_unix_connection_is_a_value() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("left.sock");
    drop(UnixListener::bind(&path).unwrap());
    let answer = failure(&format!("unix://{}", path.display()), "nil");
    assert_eq!(answer, "nil|connection refused|ECONNREFUSED");
}

#[test]
fn a_missing_unix_socket_is_a_value() {
    let dir = TempDir::new().unwrap();
    let answer = failure(&format!("unix://{}/none.sock", dir.path().display()), "{}");
    assert_eq!(answer, "nil|file not found|ENOENT");
}

#[test]
fn a_host_that_does_not_exist_is_a_value() {
    let answer = failure("tcp://no-such-host.invalid:80", "nil");
    assert_eq!(answer, "nil|host not found|ENOTFOUND");
}

/// A listener whose backlog is full, so that the kernel answers no further connection; with what
/// fills it.
pub fn full_listener() -> (Socket, SocketAddr, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        fill.push(stream);
        assert!(fill.len() < 100, "the backlog is never full");
    }
    (listener, address, fill)
}

#[test]
fn a_connection_that_no_one_answers_ends_by_its_timeout_and_delays_no_one() {
    let (_listener, address, _fill) = full_listener();
    let server = calling(
        &format!("tcp://{address}"),
        r#"
          if msg ~= "connect" then return msg end
          local begin = server.now()
          local up, text, code = connect(URL, {timeout = 2})
          return `{up}|{text}|{code}|{server.now() - begin >= 1.99}\n`"#,
    );
    let mut client = server.tcp();
    let begin = Instant::now();
    client.send(b"connect");
    server.tcp().exchange(b"others", b"others");
    assert!(begin.elapsed() < Duration::from_millis(1500), "another waited {:?}", begin.elapsed());
    assert_eq!(read_line(&mut client), "nil|timeout|ETIMEDOUT|true");
}

#[test]
fn an_outgoing_connection_calls_no_callbacks() {
    let listener = Listener::tcp();
    let script = format!(
        r#"return {{
          on_connect = function(conn) log.info(`callback on_connect {{conn.listener}}`) end,
          on_message = function(msg, conn)
            local up = connect("{}")
            up:send("ready")
            sleep(0.1)
            up:close()
            return "done"
          end,
          on_eof = function(conn) log.info("callback on_eof") return true end,
          on_close = function(conn) log.info(`callback on_close {{conn.listener}}`) end,
        }}"#,
        listener.url()
    );
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.send(b"x");
    let mut up = listener.accept();
    up.answer(b"ready", b"ignored");
    up.half_close();
    client.expect(b"done");
    up.expect_eof();
    server.wait_log("callback");
    assert_eq!(server.log_count("callback"), 1, "{}", server.log_text());
}
