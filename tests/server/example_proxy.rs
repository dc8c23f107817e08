//! The proxy of the examples between nc and another server, which is real.

use crate::examples::text;
use crate::support::{Listener, Printed, Server, Tool};

const UPSTREAM: &str = "tcp://127.0.0.1:7890";

/// A mail server of a kind, with secrets in what it says.
const MAIL: &str = r#"
return {
  framing = "line",
  on_connect = function() return "welcome, your token=4711, please be kind" end,
  on_message = function(msg, conn)
    if msg == "QUIT" then
      conn:send("bye")
      return conn:close()
    end
    return { "got " .. msg, "password=xyzzy;token=0815" }
  end,
}
"#;

/// The proxy before a server.
fn before(url: &str) -> Server {
    let script = text("proxy/handler.lua");
    assert!(script.contains(UPSTREAM), "no {UPSTREAM} in the script");
    Server::builder().script(&script.replace(UPSTREAM, url)).listen("tcp://127.0.0.1:0").start()
}

/// What nc prints that types these lines into the proxy.
fn nc(tool: &Tool, proxy: &Server, input: &str) -> Printed {
    let address = proxy.tcp_addr();
    tool.run_with(["-N", &address.ip().to_string(), &address.port().to_string()], input)
}

#[test]
fn lines_are_changed_both_ways() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let upstream = Server::builder().script(MAIL).listen("tcp://127.0.0.1:0").start();
    let proxy = before(&upstream.ready()[0]);
    let said = nc(&tool, &proxy, "ls   inbox  new\n\nGet 2\nnoop\nq\n").ok();
    let expected = "\
welcome, your token=***, please be kind
got LIST inbox new
password=***;token=***
got FETCH 2
password=***;token=***
got NOOP
password=***;token=***
bye
";
    assert_eq!(said, expected);
    proxy.assert_no_log("handler fault");
}

#[test]
fn the_end_of_what_is_typed_is_passed_on_and_the_answers_still_come() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let upstream = Server::builder().script(MAIL).listen("tcp://127.0.0.1:0").start();
    let proxy = before(&upstream.ready()[0]);
    let many = "noop\n".repeat(20_000);
    let said = nc(&tool, &proxy, &many).ok();
    assert_eq!(said.matches("got NOOP\n").count(), 20_000);
    assert!(said.ends_with("got NOOP\npassword=***;token=***\n"));
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let Some(tool) = Tool::find("nc", "netcat-openbsd") else { return };
    let nobody = Listener::tcp();
    let url = nobody.url();
    drop(nobody);
    let proxy = before(&url);
    assert_eq!(nc(&tool, &proxy, "").out, "the other server cannot be reached\n");
    proxy.wait_log("connection refused");
}

#[test]
fn a_save_changes_both_ways_of_an_open_connection() {
    let listener = Listener::tcp();
    let proxy = before(&listener.url());
    let (mut client, mut up) = (proxy.tcp(), listener.accept());
    client.send(b"ls\n");
    up.expect(b"LIST\n");
    let script = text("proxy/handler.lua").replace(UPSTREAM, &listener.url());
    let script = script.replace("ls = \"LIST\"", "ls = \"DIR\"").replace("\"***\"", "\"!!!\"");
    proxy.save("handler.lua", &script);
    proxy.wait_log("generation 2 is live");
    up.send(b"token=1\n");
    client.expect(b"token=!!!\n");
    client.send(b"ls\n");
    up.expect(b"DIR\n");
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let listener = Listener::tcp();
    let proxy = before(&listener.url());
    let (mut client, up) = (proxy.tcp(), listener.accept());
    up.reset();
    client.expect_reset();
    let (client, mut up) = (proxy.tcp(), listener.accept());
    client.reset();
    up.expect_reset();
    proxy.assert_no_log("handler fault");
}
