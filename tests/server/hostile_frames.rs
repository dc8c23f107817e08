//! Peers that send nonsense, on every framing: random, damaged, cut, interleaved. The server lives,
//! its memory stays bounded, and everyone else is answered. Too much is in `hostile_sizes`.

use crate::framed::{KINDS, bracketing, brackets, quoted};
use crate::support::{Client, LIMIT, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A small generator with a seed, so that a failure can be had again (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[7]).collect()
    }

    /// Good messages with some of their bytes changed, lost or doubled.
    fn damaged(&mut self, wire: &[u8], count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            for &byte in wire {
                match self.below(40) {
                    0 => {}
                    1 => all.extend([byte, byte]),
                    2 => all.extend(self.bytes(1)),
                    _ => all.push(byte),
                }
            }
        }
        all
    }
}

/// Writes `data` in pieces of random sizes while another thread reads and throws away the answers,
/// until both sides have ended. The server may end it at any time.
fn pour(address: SocketAddr, data: &[u8], random: &mut Random) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    let reader = stream.try_clone().unwrap();
    let draining = std::thread::spawn(move || drain(reader));
    let mut rest = data;
    while !rest.is_empty() {
        let size = (1 + random.below(3000)).min(rest.len());
        if let Err(error) = stream.write_all(&rest[..size]) {
            assert!(!is_timeout(error.kind()), "the server neither reads on nor closes");
            break;
        }
        rest = &rest[size..];
    }
    // Fails where the server was first.
    let _ = stream.shutdown(Shutdown::Write);
    draining.join().unwrap();
}

fn drain(mut stream: TcpStream) {
    let mut buffer = vec![0; 65_536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert!(!is_timeout(error.kind()), "the server left its peer hanging");
                return;
            }
        }
    }
}

/// Whether a limit has passed, and not an end of the connection.
pub fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Runs `count` peers at once while a witness is answered all the time.
pub fn beside_a_witness(
    server: &Server,
    (message, answer): (&[u8], &[u8]),
    count: u64,
    peer: impl Fn(u64) + Sync,
) {
    let mut witness = server.tcp();
    witness.exchange(message, answer);
    std::thread::scope(|scope| {
        let peers: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn({
                    let peer = &peer;
                    move || peer(number)
                })
            })
            .collect();
        while !peers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let begin = Instant::now();
            witness.exchange(message, answer);
            assert!(begin.elapsed() < Duration::from_secs(5), "answered in {:?}", begin.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    witness.exchange(message, answer);
    server.tcp().exchange(message, answer);
    assert!(server.is_running());
}

/// A function that frames as `length:u8` does, and is as strict as it can be.
const FUNCTION: &str = "function(buffer)
  local size = buffer:byte(1)
  if not size then return nil end
  if size > 200 then error(\"no such size\") end
  if #buffer < size + 1 then return nil, size + 1 end
  return size + 1, buffer:sub(2, size + 1)
end";

/// Every framing: its spec in the script, good messages and their answers.
fn framings() -> Vec<(String, &'static [u8], &'static [u8])> {
    let mut all: Vec<_> =
        KINDS.iter().map(|kind| (quoted(kind.text), kind.wire, kind.answers)).collect();
    all.push(("\"raw\"".to_owned(), b"one", b"<one>"));
    all.push((FUNCTION.to_owned(), b"\x03one\0", b"<one><>"));
    all
}

fn limited(framing: &str, limit: &str) -> Server {
    Server::builder().script(&bracketing(framing)).args(["--max-message", limit]).start()
}

#[test]
fn random_bytes_hurt_no_one() {
    for (number, (framing, wire, answers)) in framings().into_iter().enumerate() {
        eprintln!("{framing}");
        let server = limited(&framing, "64KiB");
        let before = server.memory_kib();
        beside_a_witness(&server, (wire, answers), 12, |peer| {
            let mut random = Random(0x5EED + 1000 * number as u64 + peer);
            for _ in 0..4 {
                let data = random.bytes(32_768);
                pour(server.tcp_addr(), &data, &mut random);
            }
        });
        is_bounded(&server, before, 32 * 1024);
    }
}

#[test]
fn damaged_messages_hurt_no_one() {
    for (number, (framing, wire, answers)) in framings().into_iter().enumerate() {
        eprintln!("{framing}");
        let server = limited(&framing, "64KiB");
        let before = server.memory_kib();
        beside_a_witness(&server, (wire, answers), 12, |peer| {
            let mut random = Random(0xDA_0000 + 1000 * number as u64 + peer);
            for _ in 0..6 {
                let data = random.damaged(wire, 8192);
                pour(server.tcp_addr(), &data, &mut random);
            }
        });
        is_bounded(&server, before, 32 * 1024);
    }
}

#[test]
fn random_datagrams_hurt_no_one() {
    for (number, (framing, ..)) in framings().into_iter().enumerate() {
        eprintln!("{framing}");
        let server = limited(&framing, "8KiB");
        let before = server.memory_kib();
        let mut random = Random(0xDA7A + number as u64);
        for _ in 0..4 {
            let peer = server.udp();
            for _ in 0..100 {
                let size = [0, 1, 5, 100, 2000, 20_000][random.below(6)];
                peer.send(&random.bytes(size));
            }
            // Were the answer to come from one of those, it would not be empty inside.
            let witness = server.udp();
            witness.send(b"");
            assert!(witness.receive().starts_with(b"<>"), "{framing}");
        }
        is_bounded(&server, before, 32 * 1024);
    }
}

/// The server takes less than `may_grow_kib` more than it did.
#[track_caller]
pub fn is_bounded(server: &Server, before: u64, may_grow_kib: u64) {
    let after = server.memory_kib();
    assert!(after < before + may_grow_kib, "{before} KiB grew to {after} KiB");
    server.assert_no_log("panicked");
}

#[test]
fn messages_cut_at_every_place_hurt_no_one() {
    for (framing, wire, answers) in framings() {
        eprintln!("{framing}");
        let server = brackets(&framing);
        let mut witness = server.tcp();
        let ends: [fn(Client); 3] = [
            |mut client| {
                client.half_close();
                client.read_to_end();
            },
            Client::reset,
            drop,
        ];
        for cut in 0..wire.len() {
            for end in ends {
                let mut client = server.tcp();
                client.send(&wire[..cut]);
                end(client);
            }
            witness.exchange(wire, answers);
        }
        // One that was reset before it was accepted may never have been opened.
        server.wait_log_count("gone: ", 2 * wire.len());
    }
}

#[test]
fn interleaved_clients_get_their_own_messages() {
    for (framing, wire, answers) in framings() {
        if framing.contains("raw") {
            continue;
        }
        eprintln!("{framing}");
        let server = brackets(&framing);
        let mut clients: Vec<_> = (0..10).map(|_| server.tcp()).collect();
        for _ in 0..3 {
            // Each is at another place of its message.
            for step in 0..wire.len() + clients.len() {
                for (number, client) in clients.iter_mut().enumerate() {
                    let place = step.checked_sub(number).filter(|&place| place < wire.len());
                    if let Some(place) = place {
                        client.send(&wire[place..=place]);
                    }
                }
            }
            for client in &mut clients {
                client.expect(answers);
            }
        }
        server.assert_no_log("gone");
    }
}
