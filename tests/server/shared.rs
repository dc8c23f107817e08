//! `server.shared`: values that all workers see, atomic `incr` and `add`, time to live. Their limit is in
//! `shared_limits`.

use crate::many::one_on_each;
use crate::support::{Client, Server, wait_until};
use crate::talk::{ask, read_line, reload};
use std::time::{Duration, Instant};

/// A handler whose messages are names of cases, answered with one line of their results.
pub const CASES: &str = r#"
-- A body may not touch it.
local shared

local function shown(...)
  local parts = {}
  for n = 1, select('#', ...) do
    local value = select(n, ...)
    parts[n] = if type(value) == "table" then `[{table.concat(value, ",")}]` else tostring(value)
  end
  return table.concat(parts, " ") .. "\n"
end

local CASES = {
  worker = function() return server.worker end,
  LIST
}

return function(msg)
  shared = server.shared
  return shown(CASES[msg]())
end
"#;

fn cases(workers: &str, list: &str) -> Server {
    let script = CASES.replace("LIST", list);
    Server::builder().script(&script).args(["-w", workers, "--budget", "30s"]).start()
}

/// What `body` returns, on a server of its own.
fn answer_of(body: &str) -> String {
    let server = cases("1", &format!("case = function() {body} end,"));
    let answer = ask(&mut server.tcp(), "case");
    server.assert_no_log("handler fault");
    answer
}

#[test]
fn a_value_is_what_was_set() {
    assert_eq!(
        answer_of(
            r#"local a, b, c = shared.set("s", "text"), shared.set("n", 1.5), shared.set("b", false)
               return a, b, c, shared.get("s"), shared.get("n"), shared.get("b"), shared.get("x")"#
        ),
        "true true true text 1.5 false nil"
    );
}

#[test]
fn keys_and_values_are_any_bytes() {
    assert_eq!(
        answer_of(
            r#"shared.set("k\0\255", "\0\r\n\254")
               return shared.get("k\0\255") == "\0\r\n\254", shared.get("k"), #shared.keys()[1]"#
        ),
        "true nil 3"
    );
}

#[test]
fn numbers_keep_their_value() {
    assert_eq!(
        answer_of(
            r#"local kept = {}
               for n, value in {0.1, -0, 2^53, -2^53 + 1, 1e308, 5e-324, math.huge} do
                 shared.set("n", value)
                 kept[n] = tostring(shared.get("n") == value)
               end
               return kept"#
        ),
        "[true,true,true,true,true,true,true]"
    );
}

#[test]
fn add_sets_only_what_is_absent() {
    assert_eq!(
        answer_of(
            r#"local first = shared.add("k", "one")
               local second, why = shared.add("k", "two")
               return first, second, why, shared.get("k")"#
        ),
        "true nil exists one"
    );
}

#[test]
fn incr_counts_from_nothing_by_any_number() {
    assert_eq!(
        answer_of(
            r#"return shared.incr("n"), shared.incr("n"), shared.incr("n", 5),
                 shared.incr("n", -10), shared.incr("n", 0.5), shared.get("n")"#
        ),
        "1 2 7 -3 -2.5 -2.5"
    );
}

#[test]
fn incr_of_what_is_no_number_says_so_and_changes_nothing() {
    assert_eq!(
        answer_of(
            r#"shared.set("s", "5") shared.set("b", true)
               local a, why = shared.incr("s")
               local b, problem = shared.incr("b")
               return a, why, b, problem, shared.get("s"), shared.get("b")"#
        ),
        "nil not a number nil not a number 5 true"
    );
}

#[test]
fn delete_says_whether_there_was_something() {
    assert_eq!(
        answer_of(
            r#"shared.set("k", false)
               local first, second = shared.delete("k"), shared.delete("k")
               return first, second, shared.get("k"), shared.add("k", 1)"#
        ),
        "true false nil true"
    );
}

#[test]
fn keys_are_sorted() {
    assert_eq!(
        answer_of(
            r#"for _, key in {"b", "a", "c", "B", "aa"} do shared.set(key, 1) end
               shared.delete("c")
               return shared.keys()"#
        ),
        "[B,a,aa,b]"
    );
    assert_eq!(answer_of("return shared.keys()"), "[]");
}

#[test]
fn what_one_worker_sets_all_see() {
    let server = cases(
        "4",
        r#"set = function() return shared.set("from", server.worker) end,
           get = function() return shared.get("from") end,"#,
    );
    let mut clients = one_on_each(&server, 4);
    for setter in 0..4 {
        assert_eq!(ask(&mut clients[setter], "set"), "true");
        for client in &mut clients {
            assert_eq!(ask(client, "get"), format!("{}", setter + 1));
        }
    }
}

/// Has all of them do the same at once; gives their answers.
fn all_at_once(clients: &mut [Client], message: &str) -> Vec<u64> {
    for client in &mut *clients {
        client.set_read_limit(Duration::from_secs(60));
        client.send(message.as_bytes());
    }
    clients.iter_mut().map(|client| read_line(client).parse().unwrap()).collect()
}

#[test]
fn four_workers_that_hammer_incr_lose_no_count() {
    let server = cases(
        "4",
        r#"hammer = function()
             for n = 1, 25000 do
               shared.incr("n")
               shared.incr("by", 2)
               if n % 500 == 0 then sleep(0) end
             end
             return 25000
           end,
           sums = function() return shared.get("n"), shared.get("by") end,"#,
    );
    let mut clients = one_on_each(&server, 4);
    clients.extend(one_on_each(&server, 4));
    assert_eq!(all_at_once(&mut clients, "hammer"), [25_000; 8]);
    assert_eq!(ask(&mut clients[0], "sums"), "200000 400000");
}

#[test]
fn every_count_is_given_to_one_worker_only() {
    let server = cases(
        "4",
        r#"take = function()
             for _ = 1, 2000 do
               local number = shared.incr("next")
               if not shared.add(`taken {number}`, true) then return 0 end
             end
             return 1
           end,"#,
    );
    let mut clients = one_on_each(&server, 4);
    assert_eq!(all_at_once(&mut clients, "take"), [1; 4], "a number was given out twice");
}

#[test]
fn of_four_workers_that_add_one_wins() {
    let server = cases(
        "4",
        r#"race = function()
             local won = 0
             for n = 1, 5000 do
               local ok, why = shared.add(`key {n}`, server.worker)
               if ok then won += 1 else assert(why == "exists") end
             end
             return won
           end,
           count = function() return #shared.keys() end,"#,
    );
    let mut clients = one_on_each(&server, 4);
    let won = all_at_once(&mut clients, "race");
    assert_eq!(won.iter().sum::<u64>(), 5000, "{won:?}");
    assert_eq!(ask(&mut clients[0], "count"), "5000");
}

#[test]
fn a_value_lives_as_long_as_it_was_given() {
    let server = cases(
        "2",
        r#"set = function()
             return shared.set("k", "v", 0.4), shared.add("a", "v", 0.4), shared.incr("n", 1, 0.4)
           end,
           get = function() return shared.get("k"), shared.get("a"), shared.get("n") end,
           after = function()
             return shared.keys(), shared.delete("k"), shared.add("a", 1), shared.incr("n")
           end,"#,
    );
    let mut clients = one_on_each(&server, 2);
    let begin = Instant::now();
    assert_eq!(ask(&mut clients[0], "set"), "true true 1");
    let first = ask(&mut clients[1], "get");
    if begin.elapsed() < Duration::from_millis(300) {
        assert_eq!(first, "v v 1");
    }
    wait_until("the values should expire", || {
        (ask(&mut clients[1], "get") == "nil nil nil").then_some(())
    });
    assert!(begin.elapsed() >= Duration::from_millis(390), "gone after {:?}", begin.elapsed());
    assert_eq!(ask(&mut clients[0], "after"), "[] false true 1");
}

#[test]
fn the_time_that_incr_is_given_counts_only_where_the_key_is_new() {
    let server = cases(
        "1",
        r#"first = function() return shared.incr("n", 1, 0.5) end,
           again = function() return shared.incr("n", 1, 3600) end,
           get = function() return shared.get("n") end,"#,
    );
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "first"), "1");
    assert_eq!(ask(&mut client, "again"), "2");
    wait_until("the counter should expire", || (ask(&mut client, "get") == "nil").then_some(()));
}

#[test]
fn shared_values_survive_reloads() {
    let script = CASES
        .replace("LIST", r#"count = function() return shared.incr("n"), server.generation end,"#);
    let server = Server::builder().script(&script).args(["-w", "2"]).start();
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "count"), "1 1");
    for generation in 2..5 {
        reload(&server, &format!("-- {generation}\n{script}"), generation);
        assert_eq!(ask(&mut client, "count"), format!("{generation} {generation}"));
    }
}
