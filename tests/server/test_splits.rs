//! `scriptsock test --splits`: the answers must not depend on how streams were cut.

use crate::test_command::{Finished, Folder, UPPER, fails, play_with};

/// Takes what one read returned for a message.
const RAW: &str = "return function(msg) return msg:upper() .. '.' end";

#[track_caller]
fn depends(handler: &str, dialogue: &str, parts: &[&str]) -> Finished {
    play_with(handler, dialogue, "").goes_well(&[]);
    play_with(handler, dialogue, "--splits").goes_wrong(parts)
}

#[test]
fn a_right_handler_passes_in_all_ways() {
    let finished = play_with(UPPER, "> one\n< ONE\n> two\n< TWO\n", "--splits");
    finished.goes_well(&["ok    t.dialogue (4 steps, cut in 7 ways)\n"]);
    play_with(UPPER, "> one\n< ONE\n", "").goes_well(&["ok    t.dialogue (2 steps)\n"]);
}

#[test]
fn a_handler_that_depends_on_cuts_is_found() {
    depends(
        RAW,
        ">> \"hello\"\n<< \"HELLO.\"\n",
        &["t.dialogue:2: << \"HELLO.\"", "streams were cut byte by byte; as written it passes"],
    );
}

#[test]
fn one_that_depends_on_waiting_for_answers_is_found() {
    // It forgets what came with the first line.
    let handler = "return { framing = function(buffer)\n\
        local at = buffer:find('\\n'); if at then return #buffer, buffer:sub(1, at - 1) end end,\n\
        on_message = function(msg) return msg .. '\\n' end }";
    depends(
        handler,
        "> a\n< a\n> b\n< b\n",
        &[
            "t.dialogue:4: < b",
            "streams were sent without waiting for answers; as written it passes",
        ],
    );
}

#[test]
fn one_that_depends_on_long_pieces_is_found_at_random_cuts() {
    // It takes a byte, or more than thirty, or all of it, but nothing in between.
    let handler = "return { framing = 'raw', on_message = function(msg, conn)\n\
        local all = (conn.state.all or '') .. msg\n\
        if #msg > 1 and #msg < 30 then return 'confused' end\n\
        conn.state.all = if #all == 60 then '' else all\n\
        if #all == 60 then return 'ok' end end }";
    let text = "x".repeat(60);
    depends(
        handler,
        &format!(">> \"{text}\"\n<< \"ok\"\n"),
        &["streams were cut at random, seed 1; as written it passes"],
    );
}

#[test]
fn what_a_client_hears_must_be_the_same() {
    // The pattern takes both answers.
    depends(
        RAW,
        ">> \"hello\"\n<<~ [A-Z.]*O\\.\n",
        &[
            "t.dialogue: heard something else",
            "H.E.L.L.O.",
            "HELLO.",
            "streams were cut byte by byte; as written it passes",
        ],
    );
    let finished = depends(
        RAW,
        "bob>> \"ab\"\nbob<<~ [A-Z.]*B\\.\n",
        &["t.dialogue: bob heard something else"],
    );
    assert!(finished.stdout.contains("\n1 of 1 dialogue failed"), "{}", finished.stdout);
}

#[test]
fn what_an_upstream_hears_must_be_the_same() {
    let handler = "return function(msg, conn)\n\
        local up = conn.state.up or connect('tcp://127.0.0.1:9000'); conn.state.up = up\n\
        up:send(msg .. '.') end";
    depends(
        handler,
        "@upstream db tcp://127.0.0.1:9000\n>> \"ab\"\ndb<<~ [a-z.]*b\\.\n",
        &["t.dialogue: db heard something else"],
    );
    // What it sends is cut, too.
    let relay = "return { framing = 'line', on_message = function()\n\
        local up = connect('tcp://127.0.0.1:9000', { framing = 'raw' }); return up:read() end }";
    depends(
        relay,
        "@upstream db tcp://127.0.0.1:9000\n> x\ndb>> \"ab\"\n< ab\n",
        &["t.dialogue:4: < ab", "cut byte by byte"],
    );
}

#[test]
fn faults_that_only_cuts_bring_are_found() {
    let handler = "return { framing = 'raw', on_message = function(msg)\n\
        print('one read: ' .. msg)\n\
        if #msg < 3 then error('too short') end return msg end }";
    depends(
        handler,
        ">> \"hello\"\n<< \"hello\"\n",
        &["streams were cut byte by byte", "the handler's log:", "info one read: h", "too short"],
    );
}

#[test]
fn datagrams_are_not_cut() {
    let handler = "return function(msg) return msg .. '.' end";
    let udp = "@transport udp\n>> \"hello\"\n<< \"hello.\"\n>> \"again\"\n<< \"again.\"\n";
    play_with(handler, udp, "--splits").goes_well(&["ok    t.dialogue (4 steps)\n"]);
    play_with(handler, &udp.replace("udp", "unixgram"), "--splits").goes_well(&[]);
    // Beside a stream that is.
    let mixed = "return { framing = 'line', on_message = function(msg)\n\
        local up = connect('udp://127.0.0.1:9000', { framing = 'raw' }); up:send(msg); return up:read() end }";
    let dialogue =
        "@upstream db udp://127.0.0.1:9000\n> hello\ndb<< \"hello\"\ndb>> \"answer\"\n< answer\n";
    play_with(mixed, dialogue, "--splits").goes_well(&["cut in 7 ways"]);
}

#[test]
fn steps_of_others_keep_their_turn() {
    let handler = "return { framing = 'line',\n\
        on_connect = function(conn) conn:subscribe('all') end,\n\
        on_message = function(msg) server.publish('all', msg) end }";
    play_with(
        handler,
        "a!> connect\nb!> connect\na> one\na< one\nb< one\na> two\na> three\nb< two\nb< three\nb> four\n\
         a< two\na< three\na< four\nb< four\n",
        "--splits",
    )
    .goes_well(&[]);
}

#[test]
fn variables_of_an_answer_are_waited_for() {
    let handler = "return { framing = 'line', on_message = function(msg, conn)\n\
        if msg == 'login' then conn.state.token = hex.encode(random.bytes(4)); return conn.state.token end\n\
        return if msg == 'use ' .. conn.state.token then 'yes' else 'no' end }";
    play_with(
        handler,
        "> login\n<~ ^(?<token>\\w+)$\n>$ use ${token}\n< yes\n> login\n<~ .\n",
        "--splits",
    )
    .goes_well(&[]);
}

#[test]
fn a_connection_that_is_closed_in_the_middle_of_a_step_is_no_difference() {
    let handler = "return { framing = 'line,max=100', on_message = function(msg) return msg end }";
    let long = "x".repeat(2000);
    play_with(handler, &format!("> ok\n< ok\n> {long}\n!< eof\n"), "--splits").goes_well(&[]);
    let resets = "return { framing = 'fixed:3', on_message = function(_, conn) conn:reset() end }";
    play_with(resets, ">> \"abcdefghi\"\n!< reset\n", "--splits").goes_well(&[]);
}

#[test]
fn a_long_dialogue_is_cut_everywhere() {
    let dialogue = (0..50).map(|n| format!("> message number {n}\n< MESSAGE NUMBER {n}\n"));
    play_with(UPPER, &dialogue.collect::<String>(), "--splits")
        .goes_well(&["100 steps, cut in 7 ways"]);
    let folder = Folder::new().file("t.dialogue", "> a\n< wrong\n");
    // What fails as it is written is not blamed on cuts.
    let finished = folder.test("--splits").goes_wrong(&["t.dialogue:2: < wrong"]);
    assert!(!finished.stdout.contains("streams were"), "{}", finished.stdout);
    fails(UPPER, "> a\n< wrong\n", &["t.dialogue:2: < wrong"]);
}
