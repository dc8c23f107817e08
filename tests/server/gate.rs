//! `--gate`: a script goes live only if its dialogues pass.

use std::fs;

use crate::support::{Builder, SIGTERM, Server, wait_until};

const ONE: &str = "return { framing = \"line\", on_message = function() return \"one\" end }\n";
const TWO: &str = "return { framing = \"line\", on_message = function() return \"two\" end }\n";
const WANTS_ONE: &str = "@handler nowhere.lua\n> x\n< one\n";
const WANTS_TWO: &str = "> x\n< two\n";

fn gated(script: &str, dialogue: &str) -> Builder {
    let builder = Server::builder().script(script).file("gate/a.dialogue", dialogue);
    let gate = builder.dir().join("gate").display().to_string();
    builder.args(["--gate", &gate])
}

#[test]
fn a_script_whose_dialogue_fails_does_not_go_live() {
    let server = gated(ONE, WANTS_ONE).start();
    let mut client = server.tcp();
    client.exchange(b"x\n", b"one\n");
    server.save("handler.lua", TWO);
    server.wait_log("the gate is closed, generation 1 stays live: 1 of 1 dialogues failed");
    server.wait_log("a.dialogue:3: < one");
    server.wait_log("got       \"two\\n\"");
    client.exchange(b"x\n", b"one\n");
    server.save("handler.lua", &format!("-- the same, anew\n{ONE}"));
    server.wait_log_count(" is live", 2);
    client.exchange(b"x\n", b"one\n");
}

#[test]
fn a_changed_dialogue_opens_the_gate() {
    let server = gated(ONE, WANTS_ONE).start();
    let mut client = server.tcp();
    server.save("handler.lua", TWO);
    server.wait_log("the gate is closed");
    server.save("gate/a.dialogue", WANTS_TWO);
    server.wait_log("generation 2 is live");
    client.exchange(b"x\n", b"two\n");
}

#[test]
fn a_dialogue_that_the_live_script_fails_is_told() {
    let server = gated(ONE, WANTS_ONE).start();
    server.save("gate/a.dialogue", WANTS_TWO);
    server.wait_log("generation 1 would not pass the gate now: 1 of 1 dialogues failed");
    server.wait_log("a.dialogue:2: < two");
    server.save("handler.lua", TWO);
    server.wait_log("generation 2 is live");
}

#[test]
fn a_dialogue_in_a_new_folder_counts() {
    let server = gated(ONE, WANTS_ONE).start();
    server.save("gate/deep/b.dialogue", WANTS_TWO);
    server.save("handler.lua", &format!("-- anew\n{ONE}"));
    server.wait_log("1 of 2 dialogues failed");
    server.wait_log("b.dialogue:2: < two");
}

#[test]
fn a_gate_that_is_closed_stops_the_start() {
    let failed = gated(TWO, WANTS_ONE).listen("tcp://127.0.0.1:0").start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert_eq!(failed.stdout, "");
    for text in ["the gate is closed: 1 of 1 dialogues failed", "a.dialogue:3: < one"] {
        assert!(failed.stderr.contains(text), "no {text:?} in:\n{}", failed.stderr);
    }
}

#[test]
fn a_gate_without_dialogues_stops_the_start() {
    let builder = Server::builder().script(ONE).file("gate/readme", "");
    let gate = builder.dir().join("gate").display().to_string();
    let failed =
        builder.args(["--gate", &gate]).listen("tcp://127.0.0.1:0").start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.stderr.contains("there is no *.dialogue file below it"), "{}", failed.stderr);
}

#[test]
fn a_mistake_in_a_dialogue_closes_the_gate() {
    let server = gated(ONE, WANTS_ONE).start();
    server.save("gate/a.dialogue", "x\n");
    server.save("handler.lua", &format!("-- anew\n{ONE}"));
    server.wait_log("the gate is closed, generation 1 stays live");
    server.wait_log("a.dialogue:1:2: expected a sign");
}

#[test]
fn nothing_of_the_rehearsal_touches_the_server() {
    let script = "return { framing = \"line\", on_message = function(m)\n\
                    server.state.n = (server.state.n or 0) + 1\n\
                    server.shared.incr(\"n\")\n\
                    log.info(\"counted\")\n\
                    return server.state.n .. \" \" .. server.shared.get(\"n\")\n\
                  end }\n";
    let server = gated(script, "> x\n< 1 1\n> x\n< 2 2\n").start();
    let mut client = server.tcp();
    client.exchange(b"x\n", b"1 1\n");
    server.save("handler.lua", &format!("-- anew\n{script}"));
    server.wait_log("generation 2 is live");
    client.exchange(b"x\n", b"2 2\n");
    server.wait_log_count("counted", 2);
    assert_eq!(server.log_count("counted"), 2, "{}", server.log_text());
}

#[test]
fn a_handler_that_waits_for_a_server_while_it_loads_passes() {
    let script = "return { framing = \"line\", on_load = function()\n\
                    local db = connect(\"tcp://127.0.0.1:1\")\n\
                    if not db then return end\n\
                    db:send(\"LOGIN\"); server.state.greeting = db:read()\n\
                  end, on_message = function() return server.state.greeting or \"none\" end }\n";
    let dialogue = "@upstream db tcp://127.0.0.1:1\ndb< LOGIN\ndb> WELCOME\n> x\n< WELCOME\n";
    let server = gated(script, dialogue).start();
    server.tcp().exchange(b"x\n", b"none\n");
    server.save("handler.lua", &format!("-- anew\n{script}"));
    server.wait_log("generation 2 is live");
}

/// A handler that never comes to rest, and dialogues that it would take minutes to fail.
fn endless() -> Builder {
    let mut builder = Server::builder().script(ONE);
    for number in 0..20 {
        builder = builder.file(&format!("gate/{number}.dialogue"), WANTS_ONE);
    }
    let gate = builder.dir().join("gate").display().to_string();
    builder.args(["--gate", &gate])
}

/// Waits until dialogues are played: their threads bear the name.
fn await_dialogues(server: &Server) {
    wait_until("dialogues are played", || {
        let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).ok()?;
        let mut names =
            threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
        names.any(|name| name.trim() == "dialogues").then_some(())
    });
}

const SPINNING: &str = "return { framing = \"line\", on_message = function()\n\
                          while true do sleep(0) end\n\
                        end }\n";

#[test]
fn a_save_overtakes_the_dialogues_of_the_one_before() {
    let server = endless().start();
    server.save("handler.lua", SPINNING);
    await_dialogues(&server);
    server.save("handler.lua", &format!("-- anew\n{ONE}"));
    server.wait_log("generation 2 is live");
    server.tcp().exchange(b"x\n", b"one\n");
}

#[test]
fn a_server_that_stops_does_not_wait_for_dialogues() {
    let mut server = endless().start();
    server.save("handler.lua", SPINNING);
    await_dialogues(&server);
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit(), 0);
}

#[test]
fn once_is_the_servers_and_not_that_of_the_dialogues() {
    let dialogue = "a> x\na< one\na!> close\nb> x\nb< one\n";
    let server = gated(ONE, dialogue).args(["--once"]).start();
    server.tcp().exchange(b"x\n", b"one\n");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let builder = gated(ONE, WANTS_ONE);
    let file = builder.dir().join("gate/a.dialogue");
    let server = builder.start();
    fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    server.save("handler.lua", TWO);
    server.wait_log("the gate is closed");
}
