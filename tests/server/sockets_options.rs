//! `conn:option`: each option is set and read back from the kernel, and what a transport does not
//! have is not supported.

use crate::support::{Listener, Server};
use crate::talk::ask;

const OPTIONS: &str = r#"
local function shown(value, text)
  return if text then `{value}|{text}` else `{value}`
end

return function(msg, conn)
  local answers = {}
  for _, step in {STEPS} do
    table.insert(answers, shown(step(conn)))
  end
  return table.concat(answers, " ") .. "\n"
end
"#;

fn options(steps: &[&str]) -> Server {
    let steps: Vec<_> =
        steps.iter().map(|step| format!("function(conn) return {step} end")).collect();
    Server::builder()
        .script(&OPTIONS.replace("STEPS", &steps.join(", ")))
        .listen("tcp://127.0.0.1:0")
        .listen("udp://127.0.0.1:0")
        .listen("unix://stream.sock")
        .listen("unixgram://datagram.sock")
        .start()
}

/// What the calls give, one after the other, on a TCP connection.
fn over_tcp(steps: &[&str]) -> String {
    let server = options(steps);
    let answer = ask(&mut server.tcp(), "x");
    server.assert_no_log("handler fault");
    answer
}

fn over_udp(server: &Server) -> String {
    let peer = server.udp();
    peer.send(b"x");
    String::from_utf8(peer.receive()).unwrap().trim_end().to_owned()
}

#[test]
fn nodelay_is_read_back() {
    assert_eq!(
        over_tcp(&[
            "conn:option(\"nodelay\", false)",
            "conn:option(\"nodelay\")",
            "conn:option(\"nodelay\", true)",
            "conn:option(\"nodelay\")",
        ]),
        "true false true true"
    );
}

#[test]
fn keepalive_is_read_back() {
    assert_eq!(
        over_tcp(&[
            "conn:option(\"keepalive\", true)",
            "conn:option(\"keepalive\")",
            "conn:option(\"keepalive\", false)",
            "conn:option(\"keepalive\")",
        ]),
        "true true true false"
    );
}

#[test]
fn ttl_is_read_back() {
    let steps = ["conn:option(\"ttl\", 42)", "conn:option(\"ttl\")"];
    assert_eq!(over_tcp(&steps), "true 42");
    assert_eq!(over_udp(&options(&steps)), "true 42");
}

#[test]
fn buffer_sizes_are_read_back_from_the_kernel() {
    for name in ["recv_buffer", "send_buffer"] {
        let steps = [
            format!("conn:option(\"{name}\", 32768)"),
            // Linux doubles what was asked for.
            format!("conn:option(\"{name}\") >= 32768 and conn:option(\"{name}\") < 32768 * 4"),
            format!("conn:option(\"{name}\") % 1"),
        ];
        let steps = [&*steps[0], &*steps[1], &*steps[2]];
        assert_eq!(over_tcp(&steps), "true true 0", "{name}");
        assert_eq!(over_udp(&options(&steps)), "true true 0", "{name} of UDP");
    }
}

#[test]
fn linger_is_seconds_or_false() {
    assert_eq!(
        over_tcp(&[
            "conn:option(\"linger\")",
            "conn:option(\"linger\", 5)",
            "conn:option(\"linger\")",
            "conn:option(\"linger\", false)",
            "conn:option(\"linger\")",
        ]),
        "false true 5 true false"
    );
}

#[test]
fn broadcast_of_a_datagram_socket_is_read_back() {
    let server = options(&[
        "conn:option(\"broadcast\", true)",
        "conn:option(\"broadcast\")",
        "conn:option(\"broadcast\", false)",
        "conn:option(\"broadcast\")",
    ]);
    assert_eq!(over_udp(&server), "true true true false");
}

#[test]
fn what_a_transport_does_not_have_is_not_supported() {
    let server = options(&["conn:option(\"nodelay\")", "conn:option(\"nodelay\", true)"]);
    let expected = "nil|not supported nil|not supported";
    assert_eq!(over_udp(&server), expected);
    assert_eq!(ask(&mut server.unix(), "x"), expected);
    server.unixgram().exchange(b"x", format!("{expected}\n").as_bytes());
    let server = options(&["conn:option(\"ttl\")", "conn:option(\"ttl\", 9)"]);
    assert_eq!(ask(&mut server.unix(), "x"), expected);
    server.unixgram().exchange(b"x", format!("{expected}\n").as_bytes());
    server.assert_no_log("handler fault");
}

#[test]
fn an_unknown_option_names_the_nearest() {
    let answer = over_tcp(&[r#"select(2, pcall(conn.option, conn, "nodelya"))"#]);
    assert!(answer.contains("nodelya") && answer.contains("nodelay"), "{answer:?}");
}

#[test]
fn an_outgoing_connection_has_the_options_too() {
    let listener = Listener::tcp();
    let server = Server::builder()
        .script(&format!(
            r#"return function()
              local up = assert(connect("{}"))
              up:option("nodelay", true)
              up:option("ttl", 33)
              return `{{up:option("nodelay")}} {{up:option("ttl")}}\n`
            end"#,
            listener.url()
        ))
        .start();
    assert_eq!(ask(&mut server.tcp(), "x"), "true 33");
}
