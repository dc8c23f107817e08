//! Timers and tasks that belong to a generation: an `every` of `on_load` is replaced by a save,
//! once, and what is retired ends after its `on_unload`.

use crate::support::{Client, Server, wait_until};
use crate::talk::{ask, reload};

/// Counts the beats of each run of `on_load` in `server.state.beats`, and answers all counts.
const BEATING: &str = r#"
return {
  on_load = function()
    server.state.loads = (server.state.loads or 0) + 1
    server.state.beats = server.state.beats or {}
    local load = server.state.loads
    server.state.beats[load] = 0
    every(0.01, function() server.state.beats[load] += 1 end)
  end,
  on_message = function() return table.concat(server.state.beats, " ") .. "\n" end,
}
"#;

fn counts(client: &mut Client) -> Vec<u64> {
    ask(client, "x").split(' ').map(|count| count.parse().unwrap()).collect()
}

#[test]
fn an_every_of_on_load_runs_the_new_code_after_a_save_and_only_once() {
    let server = Server::builder().script(BEATING).start();
    let mut client = server.tcp();
    for saves in 1..=5 {
        wait_until("the newest timer should run", || {
            let counts = counts(&mut client);
            assert_eq!(counts.len(), saves, "on_load ran {} times", counts.len());
            (counts[saves - 1] >= 3).then_some(())
        });
        if saves < 5 {
            reload(&server, &format!("-- save {saves}\n{BEATING}"), saves + 1);
        }
    }
    let before = counts(&mut client);
    let after = wait_until("the newest timer should run on", || {
        let counts = counts(&mut client);
        (counts[4] >= before[4] + 20).then_some(counts)
    });
    assert_eq!(before[..4], after[..4], "a timer of an older generation still runs");
}

#[test]
fn an_every_of_on_load_runs_in_each_worker() {
    let server = Server::builder()
        .script(
            r"return {
              on_load = function()
                local timer
                timer = every(0.01, function()
                  timer:cancel()
                  log.info(`beat of worker {server.worker}`)
                end)
              end,
            }",
        )
        .args(["-w", "3"])
        .start();
    for worker in 1..=3 {
        server.wait_log(&format!("beat of worker {worker}"));
    }
    server.wait_log_count("beat of worker", 3);
    assert_eq!(server.log_count("beat of worker"), 3);
}

#[test]
fn what_a_timer_of_the_generation_makes_belongs_to_the_generation() {
    let one = r"
      return {
        on_load = function()
          after(0.01, function()
            spawn(function()
              while true do
                server.state.ones = (server.state.ones or 0) + 1
                sleep(0.01)
              end
            end)
          end)
        end,
        on_message = function() return `{server.state.ones or 0}\n` end,
      }";
    let server = Server::builder().script(one).start();
    let mut client = server.tcp();
    wait_until("the task should run", || {
        (ask(&mut client, "x").parse::<u64>().unwrap() >= 3).then_some(())
    });
    let two = r"return function(msg) sleep(0.2) return `{server.state.ones}\n` end";
    reload(&server, two, 2);
    let first = ask(&mut client, "x");
    assert_eq!(ask(&mut client, "x"), first, "the task of the old generation still runs");
}

#[test]
fn a_task_that_an_old_generation_left_waiting_never_goes_on() {
    let one = r#"return {
      on_load = function()
        spawn(function()
          log.info("waits")
          local ok = pcall(function() repeat sleep(0.01) until server.state.go end)
          log.info(`went on: {ok}`)
        end)
      end,
    }"#;
    let server = Server::builder().script(one).start();
    server.wait_log("waits");
    let two = r#"return function() server.state.go = true sleep(0.2) return "went" end"#;
    reload(&server, two, 2);
    server.tcp().exchange(b"x", b"went");
    server.assert_no_log("went on");
}

#[test]
fn what_the_old_generation_made_runs_until_its_on_unload_has_ended() {
    let one = r#"
      local beats = 0
      return {
        on_load = function()
          every(0.01, function()
            beats += 1
            server.state.beats = beats
          end)
        end,
        on_unload = function()
          local before = beats
          sleep(0.2)
          log.info(`unloaded after {if beats > before then "some" else "no"} beats`)
        end,
      }"#;
    let server = Server::builder().script(one).start();
    let two = r"return function() sleep(0.2) return `{server.state.beats}\n` end";
    reload(&server, two, 2);
    server.wait_log("unloaded after some beats");
    let mut client = server.tcp();
    let first = ask(&mut client, "x");
    assert_eq!(ask(&mut client, "x"), first, "a timer of the old generation still runs");
}

#[test]
fn a_timer_of_a_refused_generation_never_runs() {
    let server = Server::builder().script("return function(msg) return msg end\n").start();
    server.save(
        "handler.lua",
        r#"return {
          on_load = function()
            every(0.005, function() log.info("beat of the refused") end)
            sleep(0.001)
            error("not ready")
          end,
        }"#,
    );
    server.wait_log("reload failed, generation 1 stays live");
    let marked = server.log_count("INFO beat of the refused");
    let waiting = r"return function(msg) sleep(0.2) return msg end";
    server.save("handler.lua", waiting);
    server.wait_log_count(" is live", 2);
    server.tcp().exchange(b"x", b"x");
    assert_eq!(server.log_count("INFO beat of the refused"), marked);
}

#[test]
fn a_body_may_not_start_anything() {
    let calls = [
        "after(1, print)",
        "every(1, print)",
        "spawn(print)",
        "sleep(0)",
        "connect(\"tcp://127.0.0.1:9\")",
        "server.publish(\"t\", \"x\")",
        "server.broadcast(\"x\")",
        "server.shared.get(\"k\")",
        "server.shared.set(\"k\", 1)",
        "server.shared.add(\"k\", 1)",
        "server.shared.incr(\"k\")",
        "server.shared.delete(\"k\")",
        "server.shared.keys()",
    ];
    for call in calls {
        let failed = Server::builder()
            .script(&format!("local a = 1\n{call}\nreturn function() end\n"))
            .listen("tcp://127.0.0.1:0")
            .start_expecting_failure();
        assert_eq!(failed.status, 1, "{call}: {failed:?}");
        for text in ["not while loading; use on_load", "handler.lua:2"] {
            assert!(failed.stderr.contains(text), "no {text:?} for {call}: {failed:?}");
        }
    }
}

#[test]
fn what_an_on_close_makes_after_its_generation_has_ended_never_runs() {
    let script = |number: usize| {
        format!(
            "-- version {number}
             return {{
               on_message = function(msg) return msg end,
               on_close = function()
                 log.info(\"closes;\")
                 repeat sleep(0.01) until server.generation == 2 or server.state.go
                 every(0.01, function() log.info(\"ticks {number};\") end)
                 spawn(function() log.info(\"spawned {number};\") end)
                 after(0.2, function() log.info(\"after {number};\") end)
                 log.info(\"has made them;\")
               end,
               on_unload = function() server.state.go = true end,
             }}"
        )
    };
    let server = Server::builder().script(&script(1)).start();
    let mut client = server.tcp();
    client.exchange(b"a", b"a");
    drop(client);
    server.wait_log("closes;");
    server.save("handler.lua", &script(2));
    server.wait_log("generation 2 is live");
    server.wait_log("has made them;");
    // The same of the live generation does run, for longer than that of the other would take.
    drop(server.tcp());
    server.wait_log("after 2;");
    server.assert_no_log("ticks 1;");
    server.assert_no_log("spawned 1;");
    server.assert_no_log("after 1;");
}
