//! What passes from one generation to the next, and in what order: state, connections, running
//! calls, `on_load`, `on_unload`, `on_reload`. Long series of reloads are in `reload_load`.

use crate::support::Server;
use crate::talk::{answering, ask, read_line, reload};

const COUNTING: &str = "\
return function(msg, conn)
  server.state.n = (server.state.n or 0) + 1
  conn.state.n = (conn.state.n or 0) + 1
  return `{server.generation} {server.state.n} {conn.state.n}\\n`
end
";

#[test]
fn counts_in_both_states_survive_a_reload() {
    let server = Server::builder().script(COUNTING).start();
    let mut first = server.tcp();
    first.exchange(b"x", b"1 1 1\n");
    first.exchange(b"x", b"1 2 2\n");
    let mut second = server.tcp();
    second.exchange(b"x", b"1 3 1\n");
    reload(&server, &format!("-- changed\n{COUNTING}"), 2);
    first.exchange(b"x", b"2 4 3\n");
    second.exchange(b"x", b"2 5 2\n");
}

#[test]
fn a_kept_connection_is_the_same_object_after_a_reload() {
    let keep = "\
return function(msg, conn)
  server.state.names = server.state.names or {}
  server.state.names[conn] = msg
  return \"kept\\n\"
end
";
    let server = Server::builder().script(keep).start();
    let mut first = server.tcp();
    let mut second = server.tcp();
    first.exchange(b"first", b"kept\n");
    second.exchange(b"second", b"kept\n");
    let look = "return function(msg, conn) return server.state.names[conn] .. \"\\n\" end\n";
    reload(&server, look, 2);
    first.exchange(b"x", b"first\n");
    second.exchange(b"x", b"second\n");
}

#[test]
fn an_on_load_migrates_the_state() {
    let server = Server::builder()
        .script(
            "return function(msg)
               server.state.total = (server.state.total or 0) + 1
               return server.state.total .. \"\\n\"
             end\n",
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"1\n");
    client.exchange(b"x", b"2\n");
    let migrating = "\
return {
  on_load = function()
    if type(server.state.total) == \"number\" then
      server.state.total = {messages = server.state.total, bytes = 0}
    end
  end,
  on_message = function(msg)
    local total = server.state.total
    total.messages += 1
    total.bytes += #msg
    return `{total.messages} {total.bytes}\\n`
  end,
}
";
    reload(&server, migrating, 2);
    client.exchange(b"abc", b"3 3\n");
    reload(&server, &format!("-- saved again\n{migrating}"), 3);
    client.exchange(b"abc", b"4 6\n");
}

#[test]
fn on_load_is_told_which_generation_it_replaces() {
    let script = "\
local replaced
return {
  on_load = function(previous) replaced = tostring(previous) end,
  on_message = function() return `{replaced} {server.generation}\\n` end,
}
";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"nil 1\n");
    reload(&server, &format!("-- second\n{script}"), 2);
    client.exchange(b"x", b"1 2\n");
    reload(&server, &format!("-- third\n{script}"), 3);
    client.exchange(b"x", b"2 3\n");
}

#[test]
fn on_load_runs_once_a_worker_and_before_the_swap() {
    let script = "\
return {
  on_load = function() log.info(`loads on {server.worker}`) end,
  on_message = function() return \"x\\n\" end,
}
";
    let server = Server::builder().script(script).args(["-w", "2"]).start();
    reload(&server, &format!("-- second\n{script}"), 2);
    for worker in 1..=2 {
        assert_eq!(server.log_count(&format!("loads on {worker}")), 2, "{}", server.log_text());
    }
    let log = server.log_text();
    let live = log.find("generation 2 is live").unwrap();
    assert_eq!(log[..live].matches("loads on").count(), 4, "{log}");
}

#[test]
fn on_unload_of_the_old_runs_after_the_swap() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function() return \"one\\n\" end,
               on_unload = function()
                 log.info(\"one unloads\")
                 server.state.unloaded = (server.state.unloaded or 0) + 1
               end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    server.assert_no_log("one unloads");
    let two = "\
return {
  on_load = function() log.info(`two loads, unloaded {server.state.unloaded}`) end,
  on_message = function() return `two {server.state.unloaded}\\n` end,
}
";
    reload(&server, two, 2);
    server.wait_log("one unloads");
    server.wait_log("two loads, unloaded nil");
    let log = server.log_text();
    assert!(log.find("two loads") < log.find("one unloads"), "{log}");
    client.exchange(b"x", b"two 1\n");
    reload(&server, &answering("three"), 3);
    assert_eq!(server.log_count("one unloads"), 1);
}

#[test]
fn on_unload_does_not_run_for_a_refused_reload() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function() return \"one\\n\" end,
               on_unload = function() log.info(\"one unloads\") end,
             }\n",
        )
        .start();
    server.save("handler.lua", "error(\"no\")\n");
    server.wait_log("reload failed, generation 1 stays live");
    server.tcp().exchange(b"x", b"one\n");
    server.assert_no_log("one unloads");
}

#[test]
fn an_on_unload_that_fails_is_reported_and_changes_nothing_else() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function() return \"one\\n\" end,
               on_unload = function() error(\"cannot let go\") end,
             }\n",
        )
        .start();
    let mut client = server.tcp();
    reload(&server, &answering("two"), 2);
    let line = server.wait_log("cannot let go");
    assert!(line.contains("on_unload"), "{line}");
    client.exchange(b"x", b"two\n");
}

#[test]
fn on_reload_runs_for_every_open_connection() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function(msg, conn) conn.state.name = msg; return \"one\\n\" end,
             }\n",
        )
        .start();
    let mut clients: Vec<_> = (0..5).map(|_| server.tcp()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.exchange(format!("client {number}").as_bytes(), b"one\n");
    }
    let greeting = "\
return {
  on_reload = function(conn)
    conn:send(`{conn.state.name} meets generation {server.generation}\\n`)
  end,
}
";
    reload(&server, greeting, 2);
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("client {number} meets generation 2\n").as_bytes());
    }
}

#[test]
fn a_string_that_on_reload_returns_is_sent() {
    let server = Server::builder().script(&answering("one")).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    let script = "return {on_reload = function() return \"new here\\n\" end}\n";
    reload(&server, script, 2);
    client.expect(b"new here\n");
}

#[test]
fn on_reload_runs_for_a_datagram_peer() {
    let server = Server::builder().script(&answering("one")).start();
    let peer = server.udp();
    peer.exchange(b"x", b"one\n");
    reload(&server, "return {on_reload = function(conn) conn:send(conn.transport) end}\n", 2);
    peer.expect(b"udp");
}

#[test]
fn on_connect_does_not_run_again() {
    let script = "\
return {
  on_connect = function(conn) conn.state.connects = (conn.state.connects or 0) + 1 end,
  on_message = function(msg, conn) return conn.state.connects .. \"\\n\" end,
}
";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    let peer = server.udp();
    client.exchange(b"x", b"1\n");
    peer.exchange(b"x", b"1\n");
    reload(&server, &format!("-- changed\n{script}"), 2);
    client.exchange(b"x", b"1\n");
    peer.exchange(b"x", b"1\n");
}

const WAITING: &str = "\
return function(msg)
  if msg == \"wait\" then
    log.info(\"waiting\")
    repeat sleep(0.01) until server.state.go
  end
  return `old {msg} {server.generation}\\n`
end
";

const GOING: &str = "\
return function(msg)
  if msg == \"go\" then server.state.go = true end
  return `new {msg} {server.generation}\\n`
end
";

#[test]
fn a_running_call_finishes_on_the_old_code() {
    let server = Server::builder().script(WAITING).start();
    let mut waiting = server.tcp();
    let mut other = server.tcp();
    waiting.send(b"wait");
    server.wait_log("waiting");
    reload(&server, GOING, 2);
    other.exchange(b"x", b"new x 2\n");
    other.exchange(b"go", b"new go 2\n");
    let answer = read_line(&mut waiting);
    assert!(answer.starts_with("old wait"), "{answer:?}");
    waiting.exchange(b"x", b"new x 2\n");
}

#[test]
fn a_message_behind_a_running_call_runs_the_new_code() {
    let server = Server::builder().script(WAITING).start();
    let mut waiting = server.tcp();
    waiting.send(b"wait");
    server.wait_log("waiting");
    waiting.send(b"next");
    reload(&server, GOING, 2);
    server.tcp().exchange(b"go", b"new go 2\n");
    let first = read_line(&mut waiting);
    // Both answers may come in one read.
    let both = if first.contains('\n') { first } else { first + "\n" + &read_line(&mut waiting) };
    assert!(both.starts_with("old wait"), "{both:?}");
    assert!(both.ends_with("new next 2"), "{both:?}");
}

#[test]
fn on_close_of_the_live_generation_runs_for_an_older_connection() {
    let server = Server::builder().script(&answering("one")).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    let script = "return {on_close = function(conn, reason) log.info(`gone: {reason}`) end}\n";
    reload(&server, script, 2);
    drop(client);
    server.wait_log("gone: eof");
}

#[test]
fn a_reload_while_no_one_is_connected_counts_too() {
    let server = Server::builder().script(&answering("one")).start();
    reload(&server, &answering("two"), 2);
    reload(&server, &answering("three"), 3);
    assert_eq!(ask(&mut server.tcp(), "x"), "three");
}

#[test]
fn the_log_of_a_message_names_the_generation() {
    let script = "return function(msg) return nil, \"not wanted\" end\n";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    client.send(b"x");
    let first = server.wait_log("message rejected");
    assert!(first.contains("generation=1") && first.contains("hash="), "{first}");
    reload(&server, &format!("-- changed\n{script}"), 2);
    client.send(b"x");
    let second = server.wait_log_count("message rejected", 2).remove(1);
    assert!(second.contains("generation=2") && second.contains("hash="), "{second}");
}
