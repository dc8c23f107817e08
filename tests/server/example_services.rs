//! The small services of the examples, asked by nc and by Python's sockets.

use std::process::Stdio;

use crate::examples::{path, play};
use crate::support::{Lines, Server, Tool};

const SERVICES: [&str; 6] = ["echo", "discard", "chargen", "qotd", "daytime", "time"];

/// All services, over both transports.
fn start() -> Server {
    let mut builder = Server::builder();
    for service in SERVICES {
        builder = builder
            .listen(format!("{service}=tcp://127.0.0.1:0"))
            .listen(format!("{service}-udp=udp://127.0.0.1:0"));
    }
    builder.args(["--script", &path("services/handler.lua")]).start()
}

/// The port of a listener, by its name.
#[track_caller]
fn port(server: &Server, name: &str) -> String {
    let prefix = format!("{name}=");
    let line = server.ready().iter().find(|line| line.starts_with(&prefix)).expect(name);
    line.rsplit_once(':').unwrap().1.to_owned()
}

/// What nc prints that sends this to a service, and ends what it sends.
#[track_caller]
fn tcp(tool: &Tool, server: &Server, service: &str, input: &str) -> String {
    tool.run_with(["-N", "127.0.0.1", &port(server, service)], input).ok()
}

/// What nc prints that sends this as a datagram, and waits for one answer.
#[track_caller]
fn udp(tool: &Tool, server: &Server, service: &str, input: &str) -> String {
    let port = port(server, &format!("{service}-udp"));
    tool.run_with(["-u", "-w", "10", "-W", "1", "127.0.0.1", &port], input).out
}

#[test]
fn echo_and_discard() {
    let Some(nc) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start();
    let text = "hello\r\nand no end of line\0";
    assert_eq!(tcp(&nc, &server, "echo", text), text);
    let large = "0123456789".repeat(100_000);
    assert!(tcp(&nc, &server, "echo", &large) == large, "not the million bytes that were sent");
    assert_eq!(udp(&nc, &server, "echo", text), text);
    assert_eq!(tcp(&nc, &server, "discard", &large), "");
    let port = port(&server, "discard-udp");
    let said = nc.run_with(["-u", "-w", "1", "127.0.0.1", &port], "hello");
    assert_eq!(said.out, "", "{said:?}");
    server.assert_no_log("handler fault");
}

#[test]
fn chargen_generates_until_nobody_reads() {
    let Some(nc) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start();
    let mut command = nc.command();
    // Standard input stays open, as that of a person.
    command.args(["127.0.0.1", &port(&server, "chargen")]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = Lines::collect(child.stdout.take().unwrap());
    let lines = output.wait(|lines| lines.get(..100).map(<[String]>::to_vec));
    child.kill().unwrap();
    child.wait().unwrap();
    for (number, line) in lines.unwrap().iter().enumerate() {
        let first = b'!' + u8::try_from(number % 94).unwrap();
        assert_eq!((line.len(), line.as_bytes()[0]), (73, first), "{number}: {line}");
    }
    // As in the RFC, whose alphabet begins behind the space.
    assert!(output.text().starts_with("!\"#$%&'()*+,-./0123456789:;<=>?@ABC"));
}

#[test]
fn quotes_and_times_are_told_and_the_connection_ends() {
    let Some(nc) = Tool::find("nc", "netcat-openbsd") else { return };
    let server = start();
    let quote = tcp(&nc, &server, "qotd", "");
    assert!(quote.ends_with("\r\n") && (4..=512).contains(&quote.len()), "{quote:?}");
    assert_eq!(tcp(&nc, &server, "qotd", "whatever is typed\n"), quote);
    assert_eq!(udp(&nc, &server, "qotd", "x"), quote);
    let daytime = tcp(&nc, &server, "daytime", "");
    assert!(daytime.contains("day, ") && daytime.ends_with("-UTC\r\n"), "{daytime:?}");
    assert_eq!(udp(&nc, &server, "daytime", "x").len(), tcp(&nc, &server, "daytime", "").len());
}

/// Compares both times with the clock of this machine, and sends empty datagrams, which nc cannot.
const ASK: &str = r#"
import datetime, socket, struct, sys, time
ports = dict(pair.split("=") for pair in sys.argv[1:])

def tcp(name):
    with socket.create_connection(("127.0.0.1", int(ports[name])), timeout=10) as sock:
        data = b""
        while more := sock.recv(4096):
            data += more
        return data

def udp(name, data=b""):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", int(ports[name + "-udp"])))
        sock.send(data)
        return sock.recv(65536)

for ask in tcp, udp:
    seconds, = struct.unpack(">I", ask("time"))
    assert abs(seconds - 2208988800 - time.time()) < 30, seconds
    said = datetime.datetime.strptime(ask("daytime").decode(), "%A, %B %d, %Y %H:%M:%S-UTC\r\n")
    said = said.replace(tzinfo=datetime.timezone.utc).timestamp()
    assert abs(said - time.time()) < 30, said

assert udp("echo") == b""
sizes = {len(udp("chargen")) for _ in range(20)}
assert len(sizes) > 1 and max(sizes) <= 512, sizes
print("fine")
"#;

#[test]
fn python_finds_the_times_right_and_empty_datagrams_answered() {
    let Some(python) = Tool::find("python3", "python3") else { return };
    let server = start();
    let mut args = vec!["-c".to_owned(), ASK.to_owned()];
    for name in ["time", "time-udp", "daytime", "daytime-udp", "echo-udp", "chargen-udp"] {
        args.push(format!("{name}={}", port(&server, name)));
    }
    assert_eq!(python.run(args).ok(), "fine\n");
    server.assert_no_log("handler fault");
}

#[test]
fn a_listener_without_a_name_that_is_a_service_is_refused() {
    let builder = Server::builder().listen("tcp://127.0.0.1:0");
    let server = builder.args(["--script", &path("services/handler.lua")]).start();
    server.tcp().expect_eof();
    server.wait_log("no service has the name of the listener tcp://127.0.0.1:");
}

#[test]
fn their_dialogues_are_kept_by_each_file_and_by_all_together() {
    let all = start();
    for service in SERVICES {
        let mut builder = Server::builder();
        builder = builder.listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0");
        let alone = builder.args(["--script", &path(&format!("services/{service}.lua"))]).start();
        for (end, transport) in [("", "tcp"), ("-udp", "udp")] {
            // The one that answers nothing to a datagram has nothing that could be timed.
            if (service, transport) == ("discard", "udp") {
                continue;
            }
            let dialogue = format!("services/{service}{end}.dialogue");
            let of_all =
                format!("{transport}://127.0.0.1:{}", port(&all, &format!("{service}{end}")));
            play(&of_all, &dialogue);
            let own = alone.ready().iter().find(|line| line.starts_with(transport)).unwrap();
            play(own, &dialogue);
        }
        alone.assert_no_log("handler fault");
    }
    all.assert_no_log("handler fault");
}
