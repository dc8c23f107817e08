//! Many to many: `server.connections`, `broadcast`, topics with `subscribe` and `publish`, within
//! a worker and across four. Peers and workers that are slow are in `many_slow`.

use crate::support::{Client, Server, raise_descriptor_limit, wait_until};
use crate::talk::{ask, reload};

/// Commands of one word and its rest, each answered with one line; news end with a line feed too.
pub const SCRIPT: &str = r#"
local CHUNK = ("x"):rep(65536)
local commands = {}

function commands.sub(conn, topic) return conn:subscribe(topic) end
function commands.unsub(conn, topic) return conn:unsubscribe(topic) end
function commands.pub(conn, rest)
  local topic, text = string.match(rest, "^(%S+) (.*)$")
  return server.publish(topic, text .. "\n")
end
function commands.pub_to_others(conn, rest)
  local topic, text = string.match(rest, "^(%S+) (.*)$")
  return server.publish(topic, text .. "\n", conn)
end
function commands.all(conn, text) return server.broadcast(text .. "\n") end
function commands.others(conn, text) return server.broadcast(text .. "\n", conn) end
function commands.chunk(conn, topic) return server.publish(topic, CHUNK) end
function commands.chunk_all(conn) return server.broadcast(CHUNK, conn) end
function commands.worker() return server.worker end
function commands.who(conn)
  local peers, has_me = {}, false
  for _, other in server.connections() do
    table.insert(peers, `{other.transport}:{other.peer_port}`)
    has_me = has_me or other == conn
  end
  table.sort(peers)
  return `{table.concat(peers, " ")} {has_me}`
end

return {
  on_message = function(msg, conn)
    local command, rest = string.match(msg, "^(%S+) ?(.*)$")
    local first, second = commands[command](conn, rest)
    return if second then `{first} {second}\n` else `{first}\n`
  end,
  on_close = function(conn, reason) log.info(`gone {conn.peer} {reason}`) end,
}
"#;

pub fn start(workers: &str) -> Server {
    Server::builder().script(SCRIPT).args(["-w", workers]).start()
}

/// Connections until each of `workers` workers has one; the first of each.
pub fn one_on_each(server: &Server, workers: usize) -> Vec<Client> {
    let mut found: Vec<Option<Client>> = (0..workers).map(|_| None).collect();
    for _ in 0..1000 {
        let mut client = server.tcp();
        let worker: usize = ask(&mut client, "worker").parse().unwrap();
        found[worker - 1].get_or_insert(client);
        if found.iter().all(Option::is_some) {
            return found.into_iter().flatten().collect();
        }
    }
    panic!("a thousand connections, and none on a worker of {workers}");
}

/// Nothing has come to these: what they are sent next is the answer to their question.
fn got_nothing<'a>(clients: impl IntoIterator<Item = &'a mut Client>) {
    for client in clients {
        client.exchange(b"unsub nothing", b"true\n");
    }
}

#[test]
fn connections_are_all_of_the_worker_streams_and_datagram_peers() {
    let server = start("1");
    let (mut first, second, peer) = (server.tcp(), server.tcp(), server.udp());
    peer.exchange(b"worker", b"1\n");
    let mut names = vec![
        format!("tcp:{}", first.local_addr().port()),
        format!("tcp:{}", second.local_addr().port()),
        format!("udp:{}", peer.local_addr().port()),
    ];
    names.sort();
    wait_until("all should be known", || {
        (ask(&mut first, "who") == format!("{} true", names.join(" "))).then_some(())
    });
    let gone = second.local_addr();
    drop(second);
    server.wait_log(&format!("gone {gone}"));
    names.retain(|name| *name != format!("tcp:{}", gone.port()));
    wait_until("the one that has gone should be forgotten", || {
        (ask(&mut first, "who") == format!("{} true", names.join(" "))).then_some(())
    });
}

#[test]
fn every_connection_is_known_to_one_worker() {
    let server = start("4");
    let mut clients = one_on_each(&server, 4);
    let own: Vec<_> =
        clients.iter().map(|client| format!("tcp:{}", client.local_addr().port())).collect();
    let lists: Vec<_> = clients.iter_mut().map(|client| ask(client, "who")).collect();
    for (worker, list) in lists.iter().enumerate() {
        for (number, name) in own.iter().enumerate() {
            let is_there = list.split(' ').any(|word| word == name);
            assert_eq!(is_there, number == worker, "{name} on worker {}: {list}", worker + 1);
        }
    }
}

#[test]
fn a_broadcast_reaches_every_stream_of_every_worker_and_no_datagram_peer() {
    let server = start("4");
    let mut clients = one_on_each(&server, 4);
    let peer = server.udp();
    peer.send(b"worker");
    peer.receive();
    clients[0].send(b"all hear this");
    // The order of news and answer is open for who sends it.
    let mut own = String::new();
    while own.len() < "hear this\ntrue\n".len() {
        own += std::str::from_utf8(&clients[0].read_once()).unwrap();
    }
    assert!(own == "hear this\ntrue\n" || own == "true\nhear this\n", "{own:?}");
    for client in &mut clients[1..] {
        client.expect(b"hear this\n");
    }
    peer.exchange(b"unsub nothing", b"true\n");
    got_nothing(&mut clients);
}

#[test]
fn a_broadcast_leaves_out_whom_it_is_told_to() {
    let server = start("4");
    let mut clients = one_on_each(&server, 4);
    for speaker in 0..4 {
        clients[speaker].exchange(b"others speaks", b"true\n");
        for (number, client) in clients.iter_mut().enumerate() {
            if number != speaker {
                client.expect(b"speaks\n");
            }
        }
    }
    got_nothing(&mut clients);
}

#[test]
fn a_topic_reaches_its_subscribers_on_every_worker_and_no_one_else() {
    let server = start("4");
    let (mut inside, mut outside) = (one_on_each(&server, 4), one_on_each(&server, 4));
    for client in &mut inside {
        client.exchange(b"sub news", b"true\n");
    }
    outside[3].exchange(b"sub weather", b"true\n");
    outside[0].exchange(b"pub news it rains", b"true\n");
    for client in &mut inside {
        client.expect(b"it rains\n");
    }
    inside[1].exchange(b"pub_to_others news and stops", b"true\n");
    for number in [0, 2, 3] {
        inside[number].expect(b"and stops\n");
    }
    got_nothing(inside.iter_mut().chain(&mut outside));
}

#[test]
fn a_topic_without_subscribers_is_no_mistake() {
    let server = start("2");
    server.tcp().exchange(b"pub nothing at all", b"true\n");
    server.assert_no_log("handler fault");
}

#[test]
fn subscribing_twice_gives_one_copy_and_one_unsubscribe_ends_it() {
    let server = start("1");
    let (mut client, mut other) = (server.tcp(), server.tcp());
    client.exchange(b"sub news", b"true\n");
    client.exchange(b"sub news", b"true\n");
    other.exchange(b"pub news once", b"true\n");
    client.expect(b"once\n");
    got_nothing([&mut client]);
    client.exchange(b"unsub news", b"true\n");
    client.exchange(b"unsub news", b"true\n");
    other.exchange(b"pub news twice", b"true\n");
    got_nothing([&mut client]);
}

#[test]
fn news_of_one_speaker_arrive_in_their_order() {
    let server = start("4");
    let mut clients = one_on_each(&server, 4);
    for client in &mut clients[1..] {
        client.exchange(b"sub news", b"true\n");
    }
    for number in 0..200 {
        clients[0].exchange(format!("pub news {number}").as_bytes(), b"true\n");
    }
    let expected = (0..200).map(|number| number.to_string() + "\n").collect::<String>();
    for client in &mut clients[1..] {
        client.expect(expected.as_bytes());
    }
}

#[test]
fn a_subscription_survives_reloads() {
    let server = start("4");
    let mut clients = one_on_each(&server, 4);
    for client in &mut clients {
        client.exchange(b"sub news", b"true\n");
    }
    for generation in 2..5 {
        reload(&server, &format!("-- {generation}\n{SCRIPT}"), generation);
        let mut speaker = server.tcp();
        speaker.exchange(format!("pub news {generation}").as_bytes(), b"true\n");
        for client in &mut clients {
            client.expect(format!("{generation}\n").as_bytes());
        }
    }
}

#[test]
fn a_subscriber_that_has_gone_hurts_no_one() {
    let server = start("4");
    let mut clients = one_on_each(&server, 4);
    for client in &mut clients {
        client.exchange(b"sub news", b"true\n");
    }
    let gone = clients.remove(2);
    let name = format!("gone {}", gone.local_addr());
    drop(gone);
    server.wait_log(&name);
    clients[0].exchange(b"pub_to_others news still here", b"true\n");
    for client in &mut clients[1..] {
        client.expect(b"still here\n");
    }
}

#[test]
fn a_datagram_peer_may_subscribe() {
    let server = start("2");
    let (peer, other) = (server.udp(), server.udp());
    peer.exchange(b"sub news", b"true\n");
    let mut speaker = server.tcp();
    speaker.exchange(b"pub news one", b"true\n");
    peer.expect(b"one\n");
    speaker.exchange(b"pub news two", b"true\n");
    peer.expect(b"two\n");
    other.exchange(b"unsub nothing", b"true\n");
}

#[test]
fn a_timer_of_on_load_may_publish() {
    let server = Server::builder()
        .script(
            r#"return {
              on_load = function() every(0.01, function() server.publish("tick", "t") end) end,
              on_message = function(msg, conn) conn:subscribe("tick") end,
            }"#,
        )
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    client.expect(b"ttttt");
}

#[test]
fn news_take_the_reply_framing_of_each_subscriber() {
    let server = Server::builder()
        .script(
            r#"return {
              framing = "line",
              on_message = function(msg, conn)
                if msg == "news" then server.publish("t", "some") return "done" end
                conn:subscribe("t")
                if msg ~= "line" then conn:set_framing(msg) end
                return "subscribed"
              end,
            }"#,
        )
        .start();
    let (mut line, mut counted) = (server.tcp(), server.tcp());
    line.exchange(b"line\n", b"subscribed\n");
    counted.send(b"netstring\n");
    assert!(counted.read_once().starts_with(b"subscribed"));
    server.tcp().exchange(b"news\n", b"done\n");
    line.expect(b"some\n");
    counted.expect(b"4:some,");
}

#[test]
fn a_thousand_subscribers_all_hear_it() {
    raise_descriptor_limit(5000);
    let server = start("4");
    let mut clients: Vec<_> = (0..1000).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.exchange(b"sub news", b"true\n");
    }
    let mut speaker = server.tcp();
    for number in 0..5 {
        speaker.exchange(format!("pub news {number}").as_bytes(), b"true\n");
    }
    for client in &mut clients {
        client.expect(b"0\n1\n2\n3\n4\n");
    }
}
