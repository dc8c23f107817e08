//! Waiting in timers and tasks: through `pcall`, in a coroutine of the script's own, by a second
//! reader; and that nothing interleaves but where something waits.

use crate::support::Client;
use crate::talk::ask;
use crate::tasks::{answer_of, cases};

#[test]
fn waiting_works_through_pcall_in_tasks_and_timers() {
    for call in ["spawn(work)", "after(0.001, work)"] {
        let server = cases(&format!(
            r#"case = function(conn)
              local function work()
                local first = pcall(sleep, 0.01)
                local second, why = pcall(function()
                  sleep(0.01)
                  xpcall(function() pcall(sleep, 0.01) error("inner") end, function() end)
                  error("outer", 0)
                end)
                conn:send(`{{first}} {{second}} {{why}}`)
              end
              {call}
            end,"#
        ));
        server.tcp().exchange(b"case", b"true false outer");
    }
}

#[test]
fn waiting_in_a_coroutine_of_the_scripts_own_says_use_spawn() {
    for wait in [
        "sleep(0.01)",
        "conn:read()",
        "conn:read({fixed = 3, timeout = 1})",
        "connect(\"tcp://127.0.0.1:9\")",
    ] {
        let (server, answer) = answer_of(&format!(
            r"local co = coroutine.create(function() {wait} end)
              local ok, why = coroutine.resume(co)
              return `{{ok}} {{why}}`"
        ));
        assert!(answer.starts_with("false "), "{wait}: {answer:?}");
        assert!(answer.contains("use spawn"), "{wait}: {answer:?}");
        assert!(answer.contains("handler.lua:"), "{wait}: {answer:?}");
        server.tcp().exchange(b"others", b"others");
    }
}

#[test]
fn a_coroutine_of_the_scripts_own_may_spawn() {
    let server = cases(
        r#"case = function(conn)
          coroutine.wrap(function() spawn(function() sleep(0.01) conn:send("spawned") end) end)()
        end,"#,
    );
    server.tcp().exchange(b"case", b"spawned");
}

#[test]
fn a_second_reader_is_told_that_it_is_the_second() {
    let server = cases(
        r#"case = function(conn)
          spawn(function()
            local ok, why = pcall(conn.read, conn)
            conn:send(`{ok} {why}`)
          end)
          return "got " .. conn:read()
        end,"#,
    );
    let mut client = server.tcp();
    let answer = ask_for_some(&mut client, b"case");
    assert!(answer.starts_with("false "), "{answer:?}");
    assert!(answer.contains("already being read"), "{answer:?}");
    client.exchange(b"next", b"got next");
}

fn ask_for_some(client: &mut Client, message: &[u8]) -> String {
    client.send(message);
    String::from_utf8(client.read_once()).unwrap()
}

#[test]
fn a_callback_is_atomic_between_its_waits() {
    let server = cases(
        r#"case = function(conn)
          local inside, broken = false, 0
          for _ = 1, 20 do spawn(function()
            for _ = 1, 50 do
              if inside then broken += 1 end
              inside = true
              conn:send("")
              spawn(function() end)
              inside = false
              sleep(0)
            end
          end) end
          sleep(0.3)
          return `{broken}\n`
        end,"#,
    );
    assert_eq!(ask(&mut server.tcp(), "case"), "0");
}
