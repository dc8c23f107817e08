//! From the ready line to the exit status: announcing, reloading by signal, draining.

use crate::support::{Client, SIGHUP, SIGINT, SIGTERM, Server, wait_until};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

/// `slow` waits before it answers; every end of a connection and of the script is logged.
const DRAINED: &str = r#"return {
  on_message = function(msg)
    if msg == "slow" then
      log.info("slow call begins")
      sleep(SECONDS)
      return "done"
    end
    return msg:upper()
  end,
  on_close = function(conn, reason)
    log.info("gone " .. conn.peer .. " by " .. reason)
  end,
  on_unload = function()
    log.info("unloading")
  end,
}"#;

fn drained(seconds: f64) -> String {
    DRAINED.replace("SECONDS", &seconds.to_string())
}

/// A client whose `slow` call runs.
fn busy(server: &Server) -> Client {
    let mut client = server.tcp();
    client.send(b"slow");
    server.wait_log("slow call begins");
    client
}

#[test]
fn ready_lines_are_the_urls_with_real_ports() {
    let mut server = Server::builder()
        .listen("tcp://127.0.0.1:0")
        .listen("web=tcp://127.0.0.1:0")
        .listen("udp://127.0.0.1:0")
        .listen("log=unix://s.sock")
        .start();
    let port = |line: &str, start: &str| -> u16 {
        let digits = line.strip_prefix(start).unwrap_or_else(|| panic!("{line} after {start}"));
        digits.parse().unwrap()
    };
    let ready = server.ready().to_vec();
    let first = port(&ready[0], "tcp://127.0.0.1:");
    let second = port(&ready[1], "web=tcp://127.0.0.1:");
    assert!(first > 0 && second > 0 && first != second, "{ready:?}");
    assert!(port(&ready[2], "udp://127.0.0.1:") > 0);
    assert_eq!(ready[3], "log=unix://s.sock");
    for port in [first, second] {
        Client::tcp(([127, 0, 0, 1], port).into()).exchange(b"x", b"X");
    }

    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert_eq!(server.stdout_text(), ready.join("\n") + "\n", "nothing but ready lines");
}

#[test]
fn a_connection_knows_its_listener() {
    let server = Server::builder()
        .script("return function(_, conn) return conn.listener end")
        .listen("tcp://127.0.0.1:0")
        .listen("raw=udp://127.0.0.1:0")
        .start();
    server.tcp().exchange(b"?", server.ready()[0].as_bytes());
    server.udp().exchange(b"?", b"raw");
}

#[test]
fn a_bare_port_is_tcp_and_udp_on_loopback() {
    let server = Server::builder().listen("0").ready_lines(2).start();
    assert!(server.tcp_addr().ip().is_loopback());
    assert!(server.udp_addr().ip().is_loopback());
    server.tcp().exchange(b"tcp", b"TCP");
    server.udp().exchange(b"udp", b"UDP");
}

#[test]
fn every_address_of_a_host_name_is_served() {
    let server = Server::builder().listen("tcp://localhost:0").start();
    let port = server.ready()[0].strip_prefix("tcp://localhost:").expect("its URL");
    let port: u16 = port.parse().unwrap();
    let addresses: Vec<SocketAddr> = ("localhost", port).to_socket_addrs().unwrap().collect();
    // A machine without IPv6 may still list it for the name.
    let usable = |address: &&SocketAddr| TcpListener::bind((address.ip(), 0)).is_ok();
    assert_ne!(addresses.iter().filter(usable).count(), 0, "{addresses:?}");
    for address in addresses.iter().filter(usable) {
        Client::tcp(*address).exchange(b"x", b"X");
    }
}

#[test]
fn listeners_can_come_from_the_environment() {
    let server =
        Server::builder().env("SCRIPTSOCK_LISTEN", "udp://127.0.0.1:0").ready_lines(1).start();
    server.udp().exchange(b"x", b"X");
    assert_eq!(server.stdout_text().lines().count(), 1);
}

#[test]
fn sighup_reloads_where_nothing_watches() {
    let server = Server::builder()
        .script("return function(msg) return 'one ' .. msg end")
        .args(["--watch", "off"])
        .start();
    let mut client = server.tcp();
    client.exchange(b"a", b"one a");

    server.signal(SIGHUP);
    server.wait_log("script unchanged, generation 1 stays live");

    server.save("handler.lua", "return function(msg) return 'two ' .. msg end");
    client.expect_silence(Duration::from_millis(300));
    client.exchange(b"b", b"one b");
    server.assert_no_log("generation 2");
    server.signal(SIGHUP);
    server.wait_log("generation 2 is live");
    client.exchange(b"c", b"two c");

    server.save("handler.lua", "return function(msg");
    server.signal(SIGHUP);
    server.wait_log("reload failed, generation 2 stays live");
    client.exchange(b"d", b"two d");
}

#[test]
fn sigterm_drains() {
    drain(SIGTERM);
}

#[test]
fn sigint_drains() {
    drain(SIGINT);
}

fn drain(signal: &str) {
    let mut server = Server::builder().script(&drained(1.5)).start();
    let address = server.tcp_addr();
    let mut idle = server.tcp();
    idle.exchange(b"hello", b"HELLO");
    let mut busy = busy(&server);

    server.signal(signal);
    server.wait_log("draining");
    wait_until("new connections should be refused", || Client::try_tcp(address).err());
    idle.expect_eof();
    server.assert_no_log("stopped in order");
    busy.expect(b"done");
    busy.expect_eof();

    assert_eq!(server.wait_exit(), 0);
    let log = server.log_text();
    for client in [&idle, &busy] {
        let gone = format!("gone {} by shutdown", client.local_addr());
        assert!(log.contains(&gone), "no {gone:?}");
    }
    let at = |text: &str| log.rfind(text).unwrap_or_else(|| panic!("no {text:?}"));
    assert!(at("unloading") > at("by shutdown"), "on_unload came before on_close");
    assert!(at("stopped in order") > at("unloading"));
    assert_eq!(server.log_count("unloading"), 1);
    server.assert_no_log("drain ended by its deadline");
}

/// Size and resident part of the program's own code, in KiB.
#[cfg(target_os = "linux")]
fn code_kib(server: &Server) -> [u64; 2] {
    let mappings = std::fs::read_to_string(format!("/proc/{}/smaps", server.pid())).unwrap();
    let (_, code) = mappings.split_once(" r-xp ").expect("code comes first of what runs");
    assert!(code.lines().next().unwrap().ends_with("/scriptsock"), "{code}");
    ["Size:", "Rss:"].map(|name| {
        let line = code.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

#[cfg(target_os = "linux")]
#[test]
fn code_that_only_the_start_needs_is_let_go_of() {
    let server = Server::builder().start();
    let [size, resident] = code_kib(&server);
    assert!(resident < size / 3 * 2, "{resident} of {size} KiB");
    server.tcp().exchange(b"hello", b"HELLO");
}

#[test]
fn an_idle_server_stops_at_once() {
    let mut server = Server::builder().start();
    let mut idle = server.tcp();
    idle.exchange(b"hello", b"HELLO");
    server.udp().exchange(b"hello", b"HELLO");
    let asked = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
    assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
    idle.expect_eof();
}

#[test]
fn a_drain_flushes_what_a_slow_reader_has_not_taken() {
    const SIZE: usize = 32 << 20;
    let script = format!(
        "local big = ('0123456789abcdef'):rep({})
        return function(msg) log.info('big reply') return big end",
        SIZE / 16
    );
    let mut server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    client.send(b"give");
    server.wait_log("big reply");
    assert!(!client.read_once().is_empty());
    let taken = {
        server.signal(SIGTERM);
        server.wait_log("draining");
        client.read_to_end()
    };
    // The first read took 64 KiB at most, the rest must be there to its last byte.
    assert!(taken.len() >= SIZE - (64 << 10) && taken.len() < SIZE, "{} bytes", taken.len());
    assert!(taken.ends_with(b"0123456789abcdef"));
    assert_eq!(server.wait_exit(), 0);
    server.wait_log("stopped in order");
}

#[test]
fn a_second_signal_stops_at_once() {
    for second in [SIGTERM, SIGINT] {
        let mut server = Server::builder().script(&drained(30.0)).start();
        let _busy = busy(&server);
        server.signal(SIGTERM);
        server.wait_log("draining");
        let asked = Instant::now();
        server.signal(second);
        server.wait_exit();
        assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
        server.assert_no_log("stopped in order");
    }
}

#[test]
fn a_drain_ends_by_its_deadline() {
    let mut server = Server::builder().script(&drained(60.0)).start();
    let _busy = busy(&server);
    let asked = Instant::now();
    server.signal(SIGTERM);
    server.wait_exit();
    server.wait_log("drain ended by its deadline");
    let took = asked.elapsed();
    assert!((8..16).contains(&took.as_secs()), "took {took:?}, not about 10 s");
}

#[test]
fn a_script_can_stop_the_server() {
    let script = r#"return {
      on_message = function(msg)
        if msg == "stop" then server.stop() end
        return msg:upper()
      end,
      on_unload = function() log.info("unloading") end,
    }"#;
    let mut server = Server::builder().script(script).start();
    let mut other = server.tcp();
    other.exchange(b"hello", b"HELLO");
    let mut client = server.tcp();
    client.exchange(b"stop", b"STOP");
    client.expect_eof();
    other.expect_eof();
    assert_eq!(server.wait_exit(), 0);
    server.wait_log("unloading");
    server.wait_log("stopped in order");
}

#[test]
fn a_signal_stops_every_worker() {
    let mut server = Server::builder().script(&drained(0.5)).args(["-w", "2"]).start();
    let mut clients: Vec<Client> = (0..30).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.send(b"slow");
    }
    server.wait_log_count("slow call begins", clients.len());
    server.signal(SIGTERM);
    for client in &mut clients {
        client.expect(b"done");
        client.expect_eof();
    }
    assert_eq!(server.wait_exit(), 0);
    assert_eq!(server.log_count("by shutdown"), clients.len());
    assert_eq!(server.log_count("unloading"), 2, "once a worker");
    assert_eq!(server.log_count("stopped in order"), 1);
}

#[test]
fn once_stops_after_the_first_connection() {
    let mut server = Server::builder().args(["--once"]).start();
    let mut client = server.tcp();
    client.exchange(b"one", b"ONE");
    client.exchange(b"two", b"TWO");
    client.half_close();
    client.expect_eof();
    assert_eq!(server.wait_exit(), 0);
    server.wait_log("stopped in order");
}

#[test]
fn logs_say_as_much_as_asked_for() {
    let quiet = Server::builder().args(["-q"]).start();
    quiet.tcp().exchange(b"x", b"X");
    assert_eq!(quiet.log_text(), "");

    let usual = Server::builder().start();
    let line = usual.wait_log("generation 1 is live");
    assert!(line.contains(" INFO ") && line.contains("hash="), "{line}");
    usual.tcp().exchange(b"x", b"X");
    usual.assert_no_log("connection opened");

    let talkative = Server::builder().args(["-v"]).start();
    let mut client = talkative.tcp();
    client.exchange(b"x", b"X");
    talkative.wait_log("connection opened");
    client.half_close();
    client.expect_eof();
    let line = talkative.wait_log("connection closed");
    assert!(line.contains("eof"), "no reason in {line}");

    let json = Server::builder().args(["--log-format", "json"]).start();
    let line = json.wait_log("generation 1 is live");
    assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
}
