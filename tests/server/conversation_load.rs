//! Conversations in numbers: in series, and under many reloads.

use crate::conversation_reload::talking;
use crate::framed::session;
use crate::support::Server;
use crate::talk::{read_line, reload};

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn a_thousand_conversations_in_series_leave_memory_flat() {
    let server = start(&session(
        "framing = \"line\",",
        "spawn(function() sleep(0.001) end)
         local kept = {}
         while true do
           local msg = conn:read()
           if not msg then return end
           table.insert(kept, msg:rep(100))
           conn:send(\"ok\")
         end",
    ));
    let run = |count: usize| {
        for _ in 0..count {
            let mut client = server.tcp();
            client.send(b"one\n");
            assert_eq!(read_line(&mut client), "ok");
            client.half_close();
            client.expect_eof();
        }
    };
    run(300);
    let before = server.memory_kib();
    run(1000);
    let after = server.memory_kib();
    assert!(after < before + 8 * 1024, "{before} KiB grew to {after} KiB");
}

#[test]
fn fifty_reloads_under_busy_conversations_lose_nothing() {
    let server = start(&talking("one", ""));
    let mut clients: Vec<_> = (0..8).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.exchange(b"begin\n", b"one 1 begin\n");
    }
    let workers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                for number in 2..=2000 {
                    let answer = format!("one {number} m{number}\n");
                    client.exchange(format!("m{number}\n").as_bytes(), answer.as_bytes());
                }
                client.send(b"quit\n");
                assert_eq!(client.read_to_end(), b"one returns\n");
            })
        })
        .collect();
    for number in 2..=51 {
        reload(&server, &talking(&format!("version {number}"), ""), number);
    }
    for worker in workers {
        worker.join().unwrap();
    }
    server.wait_log_count("gone: closed;", 8);
    server.tcp().exchange(b"x\n", b"version 51 1 x\n");
}

#[test]
fn old_generations_are_let_go_when_their_conversations_have_returned() {
    const BULK: &str = "local BULK = {} for i = 1, 20000 do BULK[i] = {i} end\n";
    let server = start(&format!("{BULK}{}", talking("version 1", "")));
    let mut before = 0;
    for number in 2..=120 {
        let mut old = server.tcp();
        let answer = format!("version {} 1 x\n", number - 1);
        old.exchange(b"x\n", answer.as_bytes());
        reload(&server, &format!("{BULK}{}", talking(&format!("version {number}"), "")), number);
        old.send(b"quit\n");
        assert_eq!(old.read_to_end(), format!("version {} returns\n", number - 1).as_bytes());
        if number == 40 {
            before = server.memory_kib();
        }
    }
    let after = server.memory_kib();
    assert!(after < before + 24 * 1024, "{before} KiB grew to {after} KiB");
}
