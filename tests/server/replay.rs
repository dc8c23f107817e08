//! `scriptsock replay` as a user runs it: what was recorded is played against a server, or for a
//! client, and what is recorded of that is the same.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::record::{noise, proxy, recorded, stop};
use crate::support::{Client, DatagramClient, Server, wait_until};

/// A replay under way.
pub struct Replay {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

/// How one went.
#[derive(Debug)]
pub struct Played {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Replay {
    pub fn start(file: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scriptsock"));
        command.arg("replay").arg(file).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The URL of its ready line.
    #[track_caller]
    pub fn ready(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Waits for its end; what it prints fits a pipe.
    #[track_caller]
    pub fn finish(mut self) -> Played {
        let ended = wait_until("the replay should end", || self.child.try_wait().unwrap());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.out.read_to_string(&mut stdout).unwrap();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut stderr).unwrap();
        Played { status: ended.code().expect("an exit status"), stdout, stderr }
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        // Fails only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the clients of a file to the end.
#[track_caller]
pub fn replay(file: &Path, to: &str) {
    let played = Replay::start(file, &["--to", to]).finish();
    assert_eq!(played.status, 0, "{}\n{}", played.stderr, fs::read_to_string(file).unwrap());
    assert!(played.stdout.contains(" steps went as written, in "), "{played:?}");
}

/// Records `session` with a server of `script`, plays it against another one, and records that;
/// then plays both sides of it, and records that. All three are the same; gives the first.
#[track_caller]
fn round_trip(script: &str, scheme: &str, session: impl FnOnce(&Server)) -> String {
    let any = format!("{scheme}://127.0.0.1:0");
    let server = || Server::builder().script(script).listen(&any).start();
    let first_server = server();
    let mut first = proxy(&any, &first_server.ready()[0]);
    session(&first);
    stop(&mut first);
    let text = recorded(first.dir());

    let second_server = server();
    let mut second = proxy(&any, &second_server.ready()[0]);
    let file = first.dir().join("session.dialogue");
    replay(&file, &second.ready()[0]);
    stop(&mut second);
    assert_eq!(recorded(second.dir()), text);

    let mut played = Replay::start(&file, &["--listen", &any]);
    let mut third = proxy(&any, &played.ready());
    replay(&second.dir().join("session.dialogue"), &third.ready()[0]);
    let played = played.finish();
    assert_eq!(played.status, 0, "{played:?}");
    stop(&mut third);
    assert_eq!(recorded(third.dir()), text);
    text
}

const ECHO: &str = "return function(msg) return msg end";

#[test]
fn binary_traffic_and_half_closes_survive_the_round_trip() {
    let text = round_trip(ECHO, "tcp", |proxy| {
        let mut client = proxy.tcp();
        for length in [1, 17, 5000] {
            let data = noise(length);
            client.exchange(&data, &data);
        }
        std::thread::sleep(Duration::from_millis(120));
        client.exchange(b"text\nand more", b"text\nand more");
        client.send(b"the end\r\n");
        client.half_close();
        client.expect(b"the end\r\n");
        client.expect_eof();
    });
    assert!(text.contains("\n>x ") && text.contains("\n> text\n"), "{text}");
    assert!(text.contains("\n!> eof\n") && text.ends_with("!< eof\n"), "{text}");
}

#[test]
fn much_data_survives_it() {
    // Both sides in turn: who is scheduled when is not to matter here.
    let script = "return { framing = 'length:u32be', on_message = function(msg) return msg end }";
    round_trip(script, "tcp", |proxy| {
        let data = [&300_000_u32.to_be_bytes()[..], &noise(300_000)].concat();
        let mut client = proxy.tcp();
        client.exchange(&data, &data);
        client.exchange(&data, &data);
    });
}

const CHAT: &str = "return { framing = 'crlf', \
    on_connect = function() return '220 hello' end, \
    on_message = function(msg, conn) \
      if msg == 'quit' then conn:send('221 bye') return conn:close() end \
      if msg == 'slow' then sleep(0.1) return 'at last' end \
      return '250 ok' end }";

#[test]
fn several_clients_and_a_server_that_speaks_first_survive_it() {
    let text = round_trip(CHAT, "tcp", |proxy| {
        let mut clients: Vec<Client> = (0..3)
            .map(|_| {
                let mut client = proxy.tcp();
                client.expect(b"220 hello\r\n");
                client
            })
            .collect();
        clients[2].exchange(b"slow\r\n", b"at last\r\n");
        clients[1].exchange(b"hi\r\n", b"250 ok\r\n");
        clients[0].exchange(b"quit\r\n", b"221 bye\r\n");
        clients[0].expect_eof();
        drop(clients.remove(0));
        wait_until("its end is seen", || recorded(proxy.dir()).contains("!> eof").then_some(()));
        clients[0].exchange(b"still here\r\n", b"250 ok\r\n");
        // One after the other, so that their order is no matter of chance.
        for mut client in clients {
            client.half_close();
            client.expect_eof();
        }
    });
    assert!(text.starts_with("@eol crlf\n!> connect\n< 220 hello\nc2!> connect\n"), "{text}");
}

#[test]
fn datagrams_survive_it() {
    let text = round_trip("return function(msg) return msg:upper() end", "udp", |proxy| {
        let (first, second) = (proxy.udp(), DatagramClient::udp(proxy.udp_addr()));
        first.exchange(b"one", b"ONE");
        second.exchange(b"\x00\xff", b"\x00\xff");
        first.exchange(b"", b"");
        let large: Vec<u8> = noise(9000).iter().map(|byte| byte | 0x80).collect();
        second.exchange(&large, &large);
    });
    assert!(text.starts_with("@transport udp\n@eol none\n> one\n< ONE\nc2>x 00 ff\n"), "{text}");
}

#[test]
fn time_passes_as_it_did_unless_it_is_to_pass_faster() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.dialogue");
    fs::write(&file, "> a\n= 600ms\n> b\n< ab\n").unwrap();
    let script = "return { framing = 'fixed:4', on_message = function(msg) \
                  return msg:gsub('\\n', '') end }";
    let server = Server::builder().script(script).start();
    let url = format!("tcp://{}", server.tcp_addr());
    fs::write(&file, "@eol lf\n> a\n= 600ms\n> b\n<< \"ab\"\n").unwrap();
    let time = |args: &[&str]| {
        let begin = Instant::now();
        let played = Replay::start(&file, &[&["--to", &url], args].concat()).finish();
        assert_eq!(played.status, 0, "{played:?}");
        begin.elapsed()
    };
    assert!(time(&[]) >= Duration::from_millis(600));
    let begin = Instant::now();
    let fast = time(&["--speed", "max"]).min(time(&["--speed", "max"]));
    assert!(fast < Duration::from_millis(600), "{fast:?} of {:?}", begin.elapsed());
    assert!(time(&["--speed", "0.5"]) >= Duration::from_millis(1200));
}

#[test]
fn a_recording_of_the_server_itself_can_be_played() {
    let record = ["--record", "session.dialogue"];
    let mut server = Server::builder().script(CHAT).args(record).start();
    let mut client = server.tcp();
    client.expect(b"220 hello\r\n");
    client.exchange(b"quit\r\n", b"221 bye\r\n");
    client.expect_eof();
    drop(client);
    stop(&mut server);
    let again = Server::builder().script(CHAT).start();
    let url = format!("tcp://{}", again.tcp_addr());
    replay(&server.dir().join("session.dialogue"), &url);
}
