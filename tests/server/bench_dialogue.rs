//! `scriptsock bench --dialogue`: whole conversations as the load, each answer checked.

use serde_json::Value;

use crate::bench_command::{Finished, bench, json};
use crate::support::{Listener, Server};

/// A small mailbox: a login with a token, lists, and an end.
const MAILBOX: &str = r#"
return {
  framing = "crlf",
  on_message = function(msg, conn)
    local verb, rest = msg:match("^(%S+)%s?(.*)$")
    if verb == "LOGIN" then
      conn.state.token = hex.encode(random.bytes(4))
      return "+OK token " .. conn.state.token
    elseif verb == "USE" then
      return if rest == conn.state.token then "+OK" else "-ERR no such token"
    elseif verb == "LIST" then
      return { "+OK 2 messages", "1 120", "2 7", "." }
    elseif verb == "QUIT" then
      conn:send("+OK bye")
      return conn:close()
    end
    return "-ERR"
  end,
}
"#;

const LOGIN: &str = "\
# One session that goes on and on.
@eol crlf
> LOGIN me
<~ ^\\+OK token (?<token>[0-9a-f]{8})$
>$ USE ${token}
< +OK
> LIST
<~ ^\\+OK \\d+ messages$
<<~ (\\d+ \\d+\\r\\n)*\\.\\r\\n
";

/// "LOGIN me", "USE" with eight letters, "LIST", each with its end.
const LOGIN_BYTES: usize = 10 + 14 + 6;

/// A server with a script and a dialogue beside it.
fn server(script: &str, dialogue: &str) -> Server {
    let builder = Server::builder().script(script).file("t.dialogue", dialogue);
    builder.listen("tcp://127.0.0.1:0").start()
}

fn arguments(server: &Server, more: &str) -> String {
    format!("{} --dialogue {} {more}", server.ready()[0], server.dir().join("t.dialogue").display())
}

/// Plays a dialogue that goes well.
#[track_caller]
fn played(script: &str, dialogue: &str, more: &str) -> Value {
    let server = server(script, dialogue);
    let (status, result) = json(&arguments(&server, more));
    assert_eq!(status, 0, "{result}");
    assert_eq!((&result["ok"], &result["answers_wrong"]), (&true.into(), &0.into()), "{result}");
    assert_eq!(result["expect"], "dialogue", "{result}");
    result
}

/// Plays one that does not.
#[track_caller]
fn fails(script: &str, dialogue: &str, more: &str) -> Finished {
    let server = server(script, dialogue);
    let finished = bench(&arguments(&server, more));
    assert_eq!(finished.status, 1, "{finished:?}");
    finished
}

#[test]
fn a_conversation_is_held_again_and_again() {
    let result = played(MAILBOX, LOGIN, "-c 5 -n 1000");
    assert_eq!(result["messages_sent"], 1000, "{result}");
    assert_eq!(result["messages_answered"], 1000, "{result}");
    assert_eq!(result["connections_open_at_end"], 5, "{result}");
    assert_eq!(result["latency_microseconds"]["count"], 1000, "{result}");
    assert_eq!(result["bytes_sent"], 1000 * LOGIN_BYTES, "{result}");
    assert_eq!(result["message_bytes"], Value::Null, "{result}");
}

#[test]
fn a_table_says_what_was_played() {
    let server = server(MAILBOX, LOGIN);
    let finished = bench(&arguments(&server, "-c 1 -n 3"));
    assert_eq!(finished.status, 0, "{finished:?}");
    assert!(finished.stdout.contains("1 connection, once through /"), "{finished:?}");
    assert!(finished.stdout.contains("t.dialogue is a message"), "{finished:?}");
    assert!(finished.stdout.contains("held against the dialogue"), "{finished:?}");
}

#[test]
fn a_dialogue_that_ends_its_connection_has_a_new_one_each_time() {
    for end in ["> QUIT\n< +OK bye\n!< eof\n", "!> close\n", "!> eof\n!< eof\n"] {
        let result = played(MAILBOX, &format!("{LOGIN}{end}"), "-c 4 -n 200");
        assert_eq!(result["messages_answered"], 200, "{end} {result}");
        let quit = if end.starts_with('>') { 6 } else { 0 };
        assert_eq!(result["bytes_sent"], 200 * (LOGIN_BYTES + quit), "{end} {result}");
        assert_eq!(
            (&result["mode"], &result["connections_opened"]),
            (&"churn".into(), &200.into())
        );
    }
}

#[test]
fn churn_plays_any_dialogue_on_new_connections() {
    let result = played(MAILBOX, LOGIN, "--mode churn -c 4 -n 100");
    assert_eq!(result["connections_opened"], 100, "{result}");
    assert_eq!(result["bytes_sent"], 100 * LOGIN_BYTES, "{result}");
}

#[test]
fn a_rate_is_kept() {
    let result = played(MAILBOX, LOGIN, "-c 4 --rate 500 -n 100");
    assert_eq!(result["messages_answered"], 100, "{result}");
    assert_eq!(result["messages_due"], 100, "{result}");
}

#[test]
fn rounds_of_the_warm_up_do_not_count() {
    let result = played(MAILBOX, LOGIN, "-c 4 -n 100 --warmup 100ms");
    assert_eq!(result["messages_sent"], 100, "{result}");
    assert_eq!(result["messages_answered"], 100, "{result}");
}

#[test]
fn time_passes_and_silence_is_heard() {
    let dialogue = "@eol crlf\n> X\n< -ERR\n= 20ms\n!< silence 30ms\n";
    let result = played(MAILBOX, dialogue, "-c 3 -n 9 --timeout 10s");
    assert_eq!(result["messages_answered"], 9, "{result}");
    let fastest = result["latency_microseconds"]["p50"].as_f64().unwrap();
    assert!(fastest >= 50_000.0, "{result}");
    // A wait may be longer than an answer may take.
    let dialogue = "@eol crlf\n@timeout 300ms\n= 700ms\n> X\n< -ERR\n";
    played(MAILBOX, dialogue, "-c 1 -n 1");
}

#[test]
fn large_texts_come_and_go_in_pieces() {
    let text = "0123456789abcdef".repeat(200_000);
    let dialogue = format!("> {text}\n< {}\n", text.to_uppercase());
    let script = "return { framing = 'line,max=8MiB', on_message = string.upper }";
    let result = played(script, &dialogue, "-c 2 -n 6");
    assert_eq!(result["bytes_received"], 6 * (text.len() + 1), "{result}");
}

#[test]
fn datagrams_are_steps() {
    let script = "return function(msg) if msg == 'lost' then return end return { msg, '2' } end";
    let builder = Server::builder().script(script).file("t.dialogue", "");
    let server = builder.listen("udp://127.0.0.1:0").start();
    let play = |dialogue: &str, more: &str| {
        std::fs::write(server.dir().join("t.dialogue"), dialogue).unwrap();
        json(&arguments(&server, more))
    };
    let dialogue =
        "@transport udp\n@eol none\n> ab 1\n<<~ [a-z]+ (?<n>\\d)\n<$ 2\n>$ ${n}\n< 1\n< 2\n";
    let (status, result) = play(dialogue, "-c 3 -n 60");
    assert_eq!((status, &result["messages_answered"]), (0, &60.into()), "{result}");
    let (_, result) = play("@eol none\n> lost\n< lost\n", "-c 1 -n 2 --timeout 100ms");
    assert_eq!((&result["messages_lost"], &result["answers_wrong"]), (&2.into(), &0.into()));
    let (status, result) = play("@eol none\n> a\n< b\n", "-c 1 -n 1");
    assert_eq!((status, &result["answers_wrong"]), (1, &1.into()), "{result}");
}

#[test]
fn a_wrong_answer_is_shown_as_a_difference_with_its_line() {
    let finished = fails(MAILBOX, "@eol crlf\n> LIST\n< +OK 3 messages\n", "-c 1 -n 1");
    let expected = [
        "t.dialogue:3: < +OK 3 messages",
        "expected  \"+OK 3 messages\\r\\n\"",
        "got       \"+OK 2 messages\\r\\n",
        "               ^ differs behind 4 bytes",
    ];
    for part in expected {
        assert!(finished.stdout.contains(part), "{part} is not in\n{}", finished.stdout);
    }
    assert!(finished.stdout.contains("1 WRONG; held against the dialogue"), "{}", finished.stdout);
}

#[test]
fn a_departure_is_told_to_programs() {
    let wrong = LOGIN.replace("USE ${token}", "USE ${token}$$");
    let server = server(MAILBOX, &wrong);
    let (status, result) = json(&arguments(&server, "-c 2 -n 4"));
    assert_eq!((status, &result["answers_wrong"]), (1, &4.into()), "{result}");
    let departure = &result["first_departure"];
    assert!(departure["at"].as_str().unwrap().ends_with("t.dialogue:6"), "{result}");
    assert_eq!(departure["step"], "< +OK", "{result}");
    let difference = departure["difference"].as_str().unwrap();
    assert!(difference.contains("got       \"-ERR no such token\\r\\n\""), "{difference}");
}

#[test]
fn what_never_comes_is_told_with_its_line() {
    let dialogue = "@timeout 200ms\n> hi\n< HI\n< more\n";
    let script = "return { framing = 'line', on_message = string.upper }";
    let finished = fails(script, dialogue, "-c 1 -n 1");
    assert!(finished.stdout.contains("no answer within 200ms; "), "{}", finished.stdout);
    assert!(finished.stdout.contains("t.dialogue:4: '< more' got nothing"), "{}", finished.stdout);
}

#[test]
fn a_server_that_goes_is_told_with_the_line() {
    let dialogue = "@eol crlf\n> QUIT\n< +OK bye\n< more\n";
    let finished = fails(MAILBOX, dialogue, "-c 1 -n 1");
    assert!(finished.stdout.contains("closed by the server; "), "{}", finished.stdout);
    assert!(finished.stdout.contains("t.dialogue:4: '< more' got nothing"), "{}", finished.stdout);
}

#[test]
fn a_pattern_may_end_with_the_stream() {
    let dialogue = "@eol crlf\n> QUIT\n<<~ \\+OK.*$\n!< eof\n";
    assert_eq!(played(MAILBOX, dialogue, "-c 2 -n 20")["messages_answered"], 20);
}

#[test]
fn what_no_step_expects_fails() {
    let dialogue = "@eol crlf\n> LIST\n< +OK 2 messages\n!< silence 100ms\n";
    let finished = fails(MAILBOX, dialogue, "-c 1 -n 1");
    assert!(finished.stdout.contains("t.dialogue:4: !< silence 100ms"), "{}", finished.stdout);
    let finished = fails(MAILBOX, "@eol crlf\n> LIST\n< +OK 2 messages\n", "-c 1 -n 1");
    assert!(finished.stdout.contains("more than was asked for"), "{}", finished.stdout);
}

#[test]
fn mistakes_are_told_with_their_place_before_anybody_connects() {
    let listener = Listener::tcp();
    let folder = Server::builder();
    let path = folder.dir().join("t.dialogue");
    for (dialogue, expected) in [
        ("> a\n>x 0g\n", "t.dialogue:2:4: expected two hex digits a byte, got '0g'\n  2 | >x 0g\n"),
        ("> a\nbob< b\n", "t.dialogue:2: 'bob< b' cannot be played here: there is one client"),
        ("> a\n!< log b\n", "a client does not see the handler's log"),
        ("@transport udp\n> a\n", "this is for @transport udp, not for tcp"),
        ("> a\n", "no step expects an answer"),
        (
            "> a\n< b\n!> close\n> c\n",
            "t.dialogue:4: '> c' stands behind the end of the connection",
        ),
        ("< a\n!> eof\n> c\n", "t.dialogue:3: '> c' stands behind the end of what is sent"),
        ("!< eof\n< a\n", "t.dialogue:2: '< a' stands behind the end of what is received"),
        ("< a\n!> connect\n", "t.dialogue:2: '!> connect' can be played as the first step only"),
        ("< a\n!> reset\n", "t.dialogue:2: '!> reset' cannot be played here"),
        ("", "the file is empty"),
    ] {
        std::fs::write(&path, dialogue).unwrap();
        let finished = bench(&format!("{} --dialogue {}", listener.url(), path.display()));
        assert_eq!(finished.status, 2, "{finished:?}");
        assert!(finished.stderr.contains(expected), "{expected} is not in\n{}", finished.stderr);
    }
    for more in
        ["--message x", "--size 5", "--framing line", "--expect echo", "--depth 2", "--mode idle"]
    {
        std::fs::write(&path, "> a\n< b\n").unwrap();
        let finished = bench(&format!("{} --dialogue {} {more}", listener.url(), path.display()));
        assert_eq!(finished.status, 2, "{more}: {finished:?}");
    }
    assert_eq!(bench("1 --dialogue no/such/file").status, 2);
    listener.assert_no_more();
}

#[test]
fn the_dialogue_of_the_readme_is_held_with_the_default_handler() {
    let readme = include_str!("../../README.md");
    let begin = readme.find("  # hello.dialogue").expect("a dialogue in the README");
    let lines = readme[begin..].lines().take_while(|line| line.trim() != "```");
    let dialogue = lines.map(|line| &line[2..]).collect::<Vec<_>>().join("\n");
    let script = include_str!("../../scripts/upper.lua");
    assert_eq!(played(script, &dialogue, "-c 2 -n 50")["messages_answered"], 50);
}

#[test]
fn a_greeting_may_come_before_the_first_round() {
    // With a rate the connections are there, and greeted, before their rounds are due.
    let greeter = "return { framing = 'line', on_connect = function() return 'hello' end,\n\
                   on_message = function(msg) return msg end }";
    let result = played(greeter, "< hello\n> a\n< a\n", "-c 4 -n 4 --rate 4");
    assert_eq!(result["messages_answered"], 4, "{result}");
    assert_eq!(result["errors_total"], 0, "{result}");
}
