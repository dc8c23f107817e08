//! A two-way proxy in one file, written both ways that a person would write it: it keeps its
//! clients through twenty saves, passes half-closes both ways, and changes no byte.

use crate::support::{Client, Listener, Server, idle_address, wait_until};
use crate::talk::reload;
use std::time::Duration;

/// As a conversation: one loop a direction.
const CONVERSATION: &str = r#"
local function pump(from, to)
  while true do
    local data, why = from:read()
    if why == "eof" then return to:shutdown() end
    if not data or not to:send(data) then
      from:close()
      return to:close()
    end
  end
end

return {
  on_session = function(client)
    local up, why = connect("URL")
    if not up then return nil, why end
    spawn(pump, up, client)
    pump(client, up)
  end,
  on_close = function(conn, reason) log.info(`gone {reason}`) end,
}
"#;

/// With callbacks: messages one way, a task the other.
const CALLBACKS: &str = r#"
return {
  on_connect = function(client)
    local up, why = connect("URL")
    if not up then return nil, why end
    client.state.up = up
    spawn(function()
      while true do
        local data, why = up:read()
        if not data then
          log.info(`upstream {why}`)
          client.state.is_done = true
          if client.state.is_half_closed or why ~= "eof" then client:close() end
          return client:shutdown()
        end
        client:send(data)
      end
    end)
  end,
  on_message = function(msg, client)
    client.state.up:send(msg)
  end,
  on_eof = function(client)
    client.state.up:shutdown()
    client.state.is_half_closed = true
    return not client.state.is_done or nil
  end,
  on_close = function(conn, reason) log.info(`gone {reason}`) end,
}
"#;

/// Runs a test with both.
fn each(test: impl Fn(&str, &Listener, &Server)) {
    for script in [CONVERSATION, CALLBACKS] {
        let listener = Listener::tcp();
        let script = script.replace("URL", &listener.url());
        let server = Server::builder().script(&script).start();
        test(&script, &listener, &server);
        server.assert_no_log("handler fault");
    }
}

/// A client and the connection that the proxy made for it.
fn pair(server: &Server, listener: &Listener) -> (Client, Client) {
    (server.tcp(), listener.accept())
}

#[test]
fn what_is_said_passes_both_ways() {
    each(|_, listener, server| {
        let (mut client, mut up) = pair(server, listener);
        up.send(b"220 ready\r\n");
        client.expect(b"220 ready\r\n");
        for number in 0..50 {
            let (question, answer) = (format!("question {number}"), format!("answer {number}\0"));
            client.send(question.as_bytes());
            up.answer(question.as_bytes(), answer.as_bytes());
            client.expect(answer.as_bytes());
        }
    });
}

#[test]
fn a_proxy_keeps_its_clients_through_twenty_saves() {
    each(|script, listener, server| {
        let mut pairs: Vec<_> = (0..5).map(|_| pair(server, listener)).collect();
        for save in 1..=20 {
            reload(server, &format!("-- save {save}\n{script}"), save + 1);
            for (number, (client, up)) in pairs.iter_mut().enumerate() {
                let question = format!("question {number} after save {save}\n");
                let answer = format!("answer {number} after save {save}\n");
                client.send(question.as_bytes());
                up.answer(question.as_bytes(), answer.as_bytes());
                client.expect(answer.as_bytes());
            }
        }
        listener.assert_no_more();
        server.assert_no_log("gone");
        let (mut client, mut up) = pair(server, listener);
        client.send(b"a new one");
        up.answer(b"a new one", b"is served too");
        client.expect(b"is served too");
    });
}

#[test]
fn a_half_close_of_the_client_is_passed_on_and_the_answer_still_comes() {
    each(|_, listener, server| {
        let (mut client, mut up) = pair(server, listener);
        client.send(b"all of the question");
        client.half_close();
        assert_eq!(up.read_to_end(), b"all of the question");
        up.send(b"the answer, ");
        client.expect(b"the answer, ");
        up.send(b"and its end");
        drop(up);
        assert_eq!(client.read_to_end(), b"and its end");
        server.wait_log("gone");
    });
}

#[test]
fn a_half_close_of_the_server_is_passed_on_and_the_client_may_say_more() {
    each(|_, listener, server| {
        let (mut client, mut up) = pair(server, listener);
        up.send(b"the time is noon");
        up.half_close();
        assert_eq!(client.read_to_end(), b"the time is noon");
        client.send(b"thank you, ");
        up.expect(b"thank you, ");
        client.send(b"bye");
        client.half_close();
        assert_eq!(up.read_to_end(), b"bye");
        drop(up);
        server.wait_log("gone");
    });
}

#[test]
fn an_end_of_the_server_ends_the_client() {
    each(|_, listener, server| {
        let (mut client, up) = pair(server, listener);
        up.reset();
        // In order or by a reset, but at once.
        client.expect_gone();
        server.wait_log("gone");
    });
}

#[test]
fn an_end_of_the_client_ends_the_connection_to_the_server() {
    each(|_, listener, server| {
        let (client, mut up) = pair(server, listener);
        client.reset();
        up.expect_gone();
        server.wait_log("gone");
    });
}

#[test]
fn a_server_that_is_not_there_refuses_the_client_and_says_why() {
    for script in [CONVERSATION, CALLBACKS] {
        let url = format!("tcp://{}", idle_address());
        let server = Server::builder().script(&script.replace("URL", &url)).start();
        server.tcp().expect_gone();
        server.wait_log("reason=\"connection refused\"");
        server.assert_no_log("handler fault");
    }
}

/// Bytes that differ from their neighbours.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()
    };
    (0..length / 4).flat_map(|_| next()).collect()
}

#[test]
fn megabytes_pass_unharmed_both_ways_while_the_script_is_saved() {
    const LENGTH: usize = 16 * 1024 * 1024;
    each(|script, listener, server| {
        let (client, up) = pair(server, listener);
        std::thread::scope(|scope| {
            for (near, far, seed) in [(&client, &up, 1), (&up, &client, 2)] {
                let (mut writer, mut reader) = (near.second_handle(), far.second_handle());
                scope.spawn(move || writer.send(&pattern(LENGTH, seed)));
                scope.spawn(move || reader.expect(&pattern(LENGTH, seed)));
            }
            for generation in 2..6 {
                reload(server, &format!("-- {generation}\n{script}"), generation);
            }
        });
        let memory = server.memory_kib();
        assert!(memory < 200 * 1024, "{memory} KiB resident");
    });
}

#[test]
fn a_server_that_takes_nothing_holds_its_client_back_and_no_other() {
    const MOST: usize = 100 * 1024 * 1024;
    each(|_, listener, server| {
        let (mut client, mut up) = pair(server, listener);
        client.set_write_limit(Duration::from_millis(500));
        let (piece, mut sent) = (vec![b'x'; 65536], 0);
        while client.try_send(&piece).is_ok() {
            sent += piece.len();
            assert!(sent < MOST, "{sent} bytes were taken for a server that reads nothing");
        }
        let (mut other, mut other_up) = pair(server, listener);
        other.send(b"hello");
        other_up.answer(b"hello", b"hello yourself");
        other.expect(b"hello yourself");
        let memory = server.memory_kib();
        assert!(memory < 200 * 1024, "{memory} KiB resident");
        client.half_close();
        let arrived = up.read_to_end().len();
        assert!((sent..sent + piece.len()).contains(&arrived), "{arrived} of {sent} bytes");
    });
}

#[test]
fn a_unix_listener_may_lead_to_a_unix_server() {
    let listener = Listener::unix();
    let server = Server::builder()
        .script(&CONVERSATION.replace("URL", &listener.url()))
        .listen("unix://front.sock")
        .start();
    let mut client = server.unix();
    let mut up = listener.accept();
    client.send(b"question");
    client.half_close();
    assert_eq!(up.read_to_end(), b"question");
    up.send(b"answer");
    drop(up);
    assert_eq!(client.read_to_end(), b"answer");
    wait_until("the conversation should end", || (server.log_count("gone") == 1).then_some(()));
}
