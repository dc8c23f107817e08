//! `examples/http`, driven by curl and wrk.

use crate::support::{Server, Tool};
use std::fs;

const HANDLER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/http/handler.lua");
const MIB: usize = 1024 * 1024;

fn start() -> Server {
    Server::builder().args(["--script", HANDLER]).listen("tcp://127.0.0.1:0").start()
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.tcp_addr())
}

/// What curl prints for a path, with `-sS` and further arguments; standard input is `input`.
#[track_caller]
fn curl(server: &Server, path: &str, args: &[&str], input: &str) -> Option<String> {
    let curl = Tool::find("curl", "curl")?;
    let url = url(server, path);
    let args = ["-sS", "--max-time", "15", &url].into_iter().chain(args.iter().copied());
    let printed = curl.run_with(args, input).ok();
    server.assert_no_log("handler fault");
    Some(printed.replace("\r\n", "\n"))
}

/// The answer with its head, but for the date, which has to be there.
#[track_caller]
fn shown(server: &Server, path: &str, args: &[&str]) -> Option<String> {
    let args = [&["-i"], args].concat();
    let printed = curl(server, path, &args, "")?;
    let lines: Vec<_> = printed.split('\n').collect();
    let is_date = |line: &&str| line.starts_with("Date: ") && line.ends_with(" GMT");
    assert_eq!(lines.iter().filter(|line| is_date(line)).count(), 1, "{printed}");
    Some(lines.into_iter().filter(|line| !is_date(line)).collect::<Vec<_>>().join("\n"))
}

#[test]
fn curl_gets_what_routes_answer() {
    let server = start();
    let Some(printed) = shown(&server, "/hello/w%C3%B6rld", &[]) else { return };
    assert_eq!(
        printed,
        "HTTP/1.1 200 OK\nContent-Length: 19\nContent-Type: application/json\n\n\
         {\"hello\":\"wörld\"}\n"
    );
    let head = shown(&server, "/hello/x", &["--head"]).unwrap();
    assert_eq!(head, "HTTP/1.1 200 OK\nContent-Length: 14\nContent-Type: application/json\n\n");
    let old = shown(&server, "/slow?seconds=0", &["--http1.0"]).unwrap();
    assert!(old.contains("\nConnection: close\n") && old.ends_with("\n0 seconds later\n"), "{old}");
    let asked = curl(&server, "/headers", &["-H", "X-Word: a  b "], "").unwrap();
    assert!(asked.starts_with("GET /headers HTTP/1.1\nHost: 127.0.0.1:"), "{asked}");
    assert!(asked.ends_with("\nX-Word: a  b\n"), "{asked}");
}

#[test]
fn curl_sees_what_it_may_not_do() {
    let server = start();
    let Some(printed) = shown(&server, "/nothing", &[]) else { return };
    assert!(printed.starts_with("HTTP/1.1 404 Not Found\n"), "{printed}");
    let printed = shown(&server, "/notes/a", &["-X", "POST"]).unwrap();
    assert!(printed.starts_with("HTTP/1.1 405 Method Not Allowed\n"), "{printed}");
    assert!(printed.contains("\nAllow: DELETE, GET, HEAD, OPTIONS, PUT\n"), "{printed}");
    let printed = shown(&server, "/", &["-H", "Host:"]).unwrap();
    assert!(printed.starts_with("HTTP/1.1 400 Bad Request\n"), "{printed}");
    assert!(printed.contains("\nConnection: close\n"), "{printed}");
    let printed = shown(&server, "/", &["-X", "BREW"]).unwrap();
    assert!(printed.starts_with("HTTP/1.1 501 Not Implemented\n"), "{printed}");
}

#[test]
fn curl_sends_bodies_of_either_form() {
    let server = start();
    let body = "0123456789abcdef".repeat(MIB / 16);
    let upload = ["--data-binary", "@-", "-o", "-"];
    let Some(echoed) = curl(&server, "/echo", &upload, &body) else { return };
    assert!(echoed == body, "{} bytes came back", echoed.len());
    let chunked = [&upload[..], &["-H", "Transfer-Encoding: chunked"]].concat();
    let echoed = curl(&server, "/echo", &chunked, &body).unwrap();
    assert!(echoed == body, "{} bytes came back", echoed.len());
    let over = body + "!";
    for args in [upload.as_slice(), chunked.as_slice()] {
        let status = [args, &["-w", "%{http_code} %{num_connects}"]].concat();
        let refused = curl(&server, "/echo", &status, &over).unwrap();
        assert_eq!(refused, "a body may have 1048576 bytes\n413 1");
    }
}

#[test]
fn curl_is_told_to_go_on_before_it_sends_a_body() {
    let server = start();
    let Some(curl) = Tool::find("curl", "curl") else { return };
    let ask = |path: &str, body: &str| {
        let url = url(&server, path);
        // Without an answer curl would send the body after ten seconds, too.
        let wait = ["--expect100-timeout", "10", "--max-time", "8"];
        let args = ["-sSv", "-H", "Expect: 100-continue", "--data-binary", "@-", &url];
        let printed = curl.run_with(args.into_iter().chain(wait), body);
        (printed.err.replace("\r\n", "\n"), printed.out)
    };
    let (told, out) = ask("/echo", "hello");
    assert!(told.contains("< HTTP/1.1 100 Continue\n"), "{told}");
    assert_eq!(out, "hello");
    let (told, out) = ask("/echo", &"x".repeat(2 * MIB));
    assert!(!told.contains("100 Continue"), "{told}");
    assert!(told.contains("< HTTP/1.1 413 Content Too Large\n"), "{told}");
    assert_eq!(out, "a body may have 1048576 bytes\n");
    let (told, _) = ask("/nothing", "hello");
    assert!(told.contains("< HTTP/1.1 404 Not Found\n") && !told.contains("Continue"), "{told}");
}

#[test]
fn curl_keeps_its_connection_and_ends_it_where_it_is_told() {
    let server = start();
    let Some(curl) = Tool::find("curl", "curl") else { return };
    let (one, two) = (url(&server, "/notes/a"), url(&server, "/count?to=2"));
    let count = ["-sS", "-w", "%{num_connects}\n"];
    let args = [&count[..], &["-T", "-", &one, "--next"], &count, &[&two, &two]].concat();
    assert_eq!(curl.run_with(&args, "text").ok(), "1\n1\n2\n0\n1\n2\n0\n");
    let args = [&count[..], &["-H", "Connection: close", &one, &one]].concat();
    assert_eq!(curl.run(&args).ok(), "text1\ntext1\n");
    let printed = shown(&server, "/notes/a", &["-X", "DELETE"]).unwrap();
    assert_eq!(printed, "HTTP/1.1 204 No Content\n\n");
    server.assert_no_log("handler fault");
}

#[test]
fn curl_sees_that_a_route_has_failed() {
    let server = start();
    let Some(curl) = Tool::find("curl", "curl") else { return };
    let printed = curl.run(["-sS", "-w", "%{http_code}", &url(&server, "/fault")]).ok();
    assert_eq!(printed, "the handler failed\n500");
    server.wait_log("this route always fails");
}

/// Runs wrk for a second; every answer must be in order.
#[track_caller]
fn load(server: &Server, path: &str, script: Option<&str>) {
    let Some(wrk) = Tool::find("wrk", "wrk") else { return };
    let url = url(server, path);
    let mut args = vec!["-t1", "-c8", "-d1s", &url];
    let file = server.dir().join("load.lua");
    if let Some(script) = script {
        fs::write(&file, script).unwrap();
        args.extend(["-s", file.to_str().unwrap()]);
    }
    let printed = wrk.run(args).ok();
    let count = printed.lines().find_map(|line| line.trim().split_once(" requests in "));
    let count: u64 = count.unwrap_or_else(|| panic!("{printed}")).0.parse().unwrap();
    assert!(count > 100, "{printed}");
    assert!(!printed.contains("Socket errors") && !printed.contains("Non-2xx"), "{printed}");
    server.assert_no_log("handler fault");
}

#[test]
fn wrk_runs_to_its_end() {
    load(&start(), "/hello/world", None);
}

#[test]
fn wrk_runs_to_its_end_with_pipelining_and_bodies() {
    let script = "init = function()
  local one = wrk.format('POST', '/echo', nil, 'a body')
  local two = wrk.format('GET', '/hello/world')
  wrk.all = (one .. two):rep(8)
end
request = function() return wrk.all end
";
    load(&start(), "/", Some(script));
}
