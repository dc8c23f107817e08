//! The connection as a script sees it: fields, identity, `state`. What it does is in
//! `handler_conn_methods`.

use crate::support::Server;
use crate::talk::ask;

/// A server that answers each message with the expression as text.
pub fn answering_with(expression: &str) -> Server {
    Server::builder()
        .script(&format!(
            "return function(msg, conn) return tostring(({expression})) .. \"\\n\" end\n"
        ))
        .start()
}

pub fn answer(expression: &str) -> String {
    ask(&mut answering_with(expression).tcp(), "x")
}

#[test]
fn the_transport_is_named() {
    let server = Server::builder()
        .script("return function(msg, conn) return conn.transport end\n")
        .listen("tcp://127.0.0.1:0")
        .listen("udp://127.0.0.1:0")
        .listen("unix://stream.sock")
        .listen("unixgram://datagram.sock")
        .start();
    server.tcp().exchange(b"x", b"tcp");
    server.udp().exchange(b"x", b"udp");
    server.unix().exchange(b"x", b"unix");
    server.unixgram().exchange(b"x", b"unixgram");
}

#[test]
fn the_peer_is_its_address() {
    let server = answering_with("conn.peer .. \" \" .. conn.peer_ip .. \" \" .. conn.peer_port");
    let mut client = server.tcp();
    let port = client.local_addr().port();
    client.exchange(b"x", format!("127.0.0.1:{port} 127.0.0.1 {port}\n").as_bytes());
    let peer = server.udp();
    let port = peer.local_addr().port();
    peer.exchange(b"x", format!("127.0.0.1:{port} 127.0.0.1 {port}\n").as_bytes());
}

#[test]
fn the_port_of_the_peer_is_a_number() {
    assert_eq!(answer("type(conn.peer_port)"), "number");
}

#[test]
fn a_unix_peer_is_printable_and_has_no_port() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               return `{type(conn.peer)} {#conn.peer > 0} {conn.peer_ip} {conn.peer_port}\\n`
             end\n",
        )
        .listen("unix://stream.sock")
        .start();
    server.unix().exchange(b"x", b"string true nil nil\n");
}

#[test]
fn the_local_address_is_the_listeners() {
    let server = answering_with("conn.local_addr");
    let expected = format!("{}\n", server.tcp_addr());
    server.tcp().exchange(b"x", expected.as_bytes());
    let expected = format!("{}\n", server.udp_addr());
    server.udp().exchange(b"x", expected.as_bytes());
}

#[test]
fn the_listener_is_its_name() {
    let server = Server::builder()
        .script("return function(msg, conn) return conn.listener end\n")
        .listen("front=tcp://127.0.0.1:0")
        .listen("side=udp://127.0.0.1:0")
        .start();
    server.tcp().exchange(b"x", b"front");
    server.udp().exchange(b"x", b"side");
}

#[test]
fn the_listener_is_its_url_where_it_has_no_name() {
    let server = answering_with("conn.listener");
    let listener = ask(&mut server.tcp(), "x");
    assert!(listener.starts_with("tcp://127.0.0.1:"), "{listener:?}");
}

#[test]
fn the_id_is_unique() {
    let server = answering_with("conn.id");
    let mut clients: Vec<_> = (0..10).map(|_| server.tcp()).collect();
    let mut ids: Vec<u64> =
        clients.iter_mut().map(|client| ask(client, "x").parse().unwrap()).collect();
    let again: Vec<u64> =
        clients.iter_mut().map(|client| ask(client, "x").parse().unwrap()).collect();
    assert_eq!(ids, again);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

#[test]
fn the_id_is_unique_across_workers() {
    let server = Server::builder()
        .script("return function(msg, conn) return conn.id .. \"\\n\" end\n")
        .args(["-w", "2"])
        .start();
    let mut clients: Vec<_> = (0..30).map(|_| server.tcp()).collect();
    let mut ids: Vec<_> = clients.iter_mut().map(|client| ask(client, "x")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 30);
}

#[test]
fn tostring_names_the_connection() {
    let server = answering_with("tostring(conn) == `conn {conn.id} tcp {conn.peer}`");
    assert_eq!(ask(&mut server.tcp(), "x"), "true");
    let server = answering_with("conn");
    let mut client = server.tcp();
    let name = ask(&mut client, "x");
    assert!(name.starts_with("conn "), "{name:?}");
    assert!(name.ends_with(&format!(" tcp {}", client.local_addr())), "{name:?}");
}

#[test]
fn an_unknown_field_is_an_error_that_names_the_nearest() {
    let asked = answer("select(2, pcall(function() return conn.sate end))");
    assert_eq!(asked, "handler.lua:1: conn has no field 'sate'; did you mean conn.state?");
}

#[test]
fn one_connection_is_one_object() {
    let server = Server::builder()
        .script(
            "local names = {}
             return {
               on_connect = function(conn) names[conn] = \"known\" end,
               on_message = function(msg, conn)
                 local before = names[conn]
                 names[conn] = msg
                 return `{before} {server.state.last == conn}\\n`
               end,
               on_eof = function(conn) conn:send(names[conn]) end,
             }\n",
        )
        .start();
    let mut first = server.tcp();
    let mut second = server.tcp();
    first.exchange(b"ann", b"known false\n");
    second.exchange(b"bob", b"known false\n");
    first.exchange(b"cid", b"ann false\n");
    second.exchange(b"dan", b"bob false\n");
    first.half_close();
    assert_eq!(first.read_to_end(), b"cid");
}

#[test]
fn a_connection_equals_itself_later() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               server.state.kept = server.state.kept or conn
               return `{server.state.kept == conn}\\n`
             end\n",
        )
        .start();
    let mut first = server.tcp();
    first.exchange(b"x", b"true\n");
    first.exchange(b"x", b"true\n");
    server.tcp().exchange(b"x", b"false\n");
    first.exchange(b"x", b"true\n");
}

#[test]
fn the_state_is_a_table_of_each_connection() {
    let server = Server::builder()
        .script(
            "return function(msg, conn)
               conn.state.n = (conn.state.n or 0) + 1
               return `{conn.state.n}\\n`
             end\n",
        )
        .start();
    let mut first = server.tcp();
    let mut second = server.tcp();
    first.exchange(b"x", b"1\n");
    first.exchange(b"x", b"2\n");
    second.exchange(b"x", b"1\n");
    first.exchange(b"x", b"3\n");
}
