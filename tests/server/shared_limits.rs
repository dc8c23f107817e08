//! The limit of `server.shared`: all keys and values together, told as `limit`, and free again
//! with what is deleted, replaced or expired.

use crate::shared::CASES;
use crate::support::{Server, wait_until};
use crate::talk::ask;
use std::time::Duration;

#[test]
fn all_values_together_have_a_limit() {
    let server = Server::builder()
        .script(&CASES.replace(
            "LIST",
            r#"fill = function()
                 local large = ("x"):rep(1024 * 1024)
                 for n = 1, 200 do
                   local ok, why = shared.set(`k{n}`, large)
                   if not ok then
                     local added, problem = shared.add("other", large)
                     return n, why, added, problem, #shared.keys()
                   end
                 end
                 return "no limit"
               end,
               again = function()
                 local large = ("y"):rep(1024 * 1024)
                 shared.delete("k1") shared.delete("k2")
                 for n = 1, 100 do
                   local ok, why = shared.set("k1", large)
                   if not ok then return n, why end
                 end
                 return "room"
               end,"#,
        ))
        .args(["--memory", "32MiB", "--budget", "30s"])
        .start();
    let mut client = server.tcp();
    let answer = ask(&mut client, "fill");
    let words: Vec<_> = answer.split(' ').collect();
    let [number, "limit", "nil", "limit", keys] = words[..] else { panic!("{answer:?}") };
    let (number, keys): (usize, usize) = (number.parse().unwrap(), keys.parse().unwrap());
    assert_eq!(keys, number - 1, "what was refused is there");
    assert!((16..=33).contains(&number), "{number} MiB under a limit of 32 MiB");
    assert_eq!(ask(&mut client, "again"), "room");
    let memory = server.memory_kib();
    assert!(memory < 200 * 1024, "{memory} KiB resident");
}

#[test]
fn expired_values_make_room() {
    let server = Server::builder()
        .script(&CASES.replace(
            "LIST",
            r#"fill = function()
                 local large, n = ("x"):rep(1024 * 1024), 0
                 while shared.set(`k{n}`, large, 0.3) do n += 1 end
                 return n > 10
               end,
               again = function() return shared.set("new", ("y"):rep(1024 * 1024)) end,"#,
        ))
        .args(["--memory", "32MiB", "--budget", "30s"])
        .start();
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "fill"), "true");
    wait_until("there should be room again", || {
        (ask(&mut client, "again") == "true").then_some(())
    });
}

#[test]
fn small_keys_count_too() {
    let server = Server::builder()
        .script(&CASES.replace(
            "LIST",
            r#"fill = function()
                 for n = 1, 3000000 do
                   local ok, why = shared.incr(`counter {n}`)
                   if not ok then return why end
                 end
                 return "no limit"
               end,"#,
        ))
        .args(["--memory", "16MiB", "--budget", "60s"])
        .start();
    let mut client = server.tcp();
    client.set_read_limit(Duration::from_secs(60));
    assert_eq!(ask(&mut client, "fill"), "limit");
    let memory = server.memory_kib();
    assert!(memory < 400 * 1024, "{memory} KiB resident");
}
