//! Callbacks other than `on_message` that run for ever, and bodies: each ends at its budget, is
//! reported with its line, and runs no statement after that.

use crate::crowd::Crowd;
use crate::support::{Client, Server};
use crate::talk::{answering, place_of, reload, reload_refused};

/// A handler that echoes, arms itself on `arm`, and has `callback` loop for ever when armed.
fn armed(callback: &str) -> String {
    format!(
        "\
return {{
  on_message = function(msg)
    if msg == \"marker\" then return tostring(server.state.after) end
    if msg == \"arm\" then server.state.armed = true end
    if msg == \"disarm\" then server.state.armed = false end
    return msg
  end,
  {callback} = function()
    if server.state.armed then
      pcall(function() while true do end end) server.state.after = true -- HERE
      server.state.after = true
    end
  end,
}}
"
    )
}

/// The server and the connection that has armed it.
fn start_armed(script: &str) -> (Server, Client) {
    let server = Server::builder().script(script).args(["--budget", "50ms"]).start();
    let mut client = server.tcp();
    client.exchange(b"arm", b"arm");
    (server, client)
}

fn reported(server: &Server, callback: &str, script: &str) {
    let fault = server.wait_log("handler fault");
    assert!(fault.contains(callback) && fault.contains("budget"), "{fault}");
    server.wait_log(&place_of(script, "HERE"));
}

#[test]
fn an_on_connect_that_runs_away_refuses_only_its_own_connection() {
    let script = armed("on_connect");
    let server = Server::builder().script(&script).args(["--budget", "50ms"]).start();
    let crowd = Crowd::gather(&server);
    let mut first = server.tcp();
    first.exchange(b"arm", b"arm");
    server.tcp().expect_gone();
    reported(&server, "on_connect", &script);
    first.exchange(b"disarm", b"disarm");
    server.tcp().exchange(b"marker", b"nil");
    crowd.dismiss("on_connect");
}

#[test]
fn an_on_close_that_runs_away() {
    let script = armed("on_close");
    let server = Server::builder().script(&script).args(["--budget", "50ms"]).start();
    let crowd = Crowd::gather(&server);
    let mut victim = server.tcp();
    victim.exchange(b"arm", b"arm");
    drop(victim);
    reported(&server, "on_close", &script);
    server.tcp().exchange(b"marker", b"nil");
    crowd.dismiss("on_close");
}

#[test]
fn an_on_eof_that_runs_away() {
    let script = armed("on_eof");
    let (server, mut client) = start_armed(&script);
    client.exchange(b"x", b"x");
    client.half_close();
    reported(&server, "on_eof", &script);
    server.tcp().exchange(b"marker", b"nil");
}

#[test]
fn an_on_error_that_runs_away() {
    let script = armed("on_error").replace("return msg\n", "return msg == \"fail\" and 5 or msg\n");
    let (server, mut client) = start_armed(&script);
    client.send(b"fail");
    server.wait_log("budget");
    server.wait_log("on_error");
    client.exchange(b"marker", b"nil");
}

#[test]
fn an_on_unload_that_runs_away() {
    let script = armed("on_unload");
    let (server, mut client) = start_armed(&script);
    let crowd = Crowd::gather(&server);
    client.exchange(b"x", b"x");
    reload(&server, &armed("on_idle"), 2);
    reported(&server, "on_unload", &script);
    client.exchange(b"marker", b"nil");
    crowd.dismiss("on_unload");
}

#[test]
fn an_on_reload_that_runs_away() {
    let (server, mut client) = start_armed(&armed("on_idle"));
    client.exchange(b"x", b"x");
    let script = armed("on_reload");
    reload(&server, &script, 2);
    reported(&server, "on_reload", &script);
    client.exchange(b"marker", b"nil");
}

#[test]
fn an_on_load_that_runs_away() {
    let (server, mut client) = start_armed(&armed("on_idle"));
    let crowd = Crowd::gather(&server);
    let script = armed("on_load");
    reload_refused(&server, &script);
    server.wait_log("on_load");
    server.wait_log("budget");
    server.wait_log(&place_of(&script, "HERE"));
    client.exchange(b"marker", b"nil");
    crowd.dismiss("on_load");
    server.save("handler.lua", &answering("fixed"));
    server.wait_log_count(" is live", 2);
    client.exchange(b"x", b"fixed\n");
}

/// It goes on trial in a VM without the state, so it has to fail there first, then on a worker.
#[test]
fn a_body_that_runs_away() {
    for condition in ["true", "server.state.armed"] {
        let (server, mut client) = start_armed(&armed("on_idle"));
        let crowd = Crowd::gather(&server);
        let script = format!(
            "if {condition} then\n  pcall(function() while true do end end) server.state.after = true -- HERE\n  server.state.after = true\nend\nreturn function() end\n"
        );
        reload_refused(&server, &script);
        server.wait_log("budget");
        server.wait_log(&place_of(&script, "HERE"));
        client.exchange(b"marker", b"nil");
        crowd.dismiss("body");
    }
}
