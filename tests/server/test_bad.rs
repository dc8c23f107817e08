//! `scriptsock test` with what is wrong: dialogues with mistakes, handlers that hang, crash and
//! flood, files that are not there. Each ends, with a message and a status.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use crate::test_command::{Folder, HELLO, UPPER, fails, passes, play_with};

#[test]
fn mistakes_in_a_dialogue_are_told_with_their_place() {
    let broken = [
        ("hello\n", "t.dialogue:1:6: expected a sign"),
        (">hello\n", "t.dialogue:1:2: expected a space"),
        (" > hello\n", "t.dialogue:1:1: "),
        (">> hello\n", "t.dialogue:1:4: "),
        (">> \"a\\q\"\n", "t.dialogue:1:"),
        (">> \"open\n", "t.dialogue:1:"),
        (">x 0g\n", "t.dialogue:1:"),
        (">x 0\n", "t.dialogue:1:"),
        (">x ??\n", "t.dialogue:1:4: "),
        ("<~ (\n", "t.dialogue:1:"),
        ("<<~ x*\n", "t.dialogue:1:5: expected a pattern that needs a byte"),
        (">$ ${nobody}\n", "t.dialogue:1:"),
        ("= fast\n", "t.dialogue:1:3: "),
        ("bob= 1s\n", "t.dialogue:1:4: "),
        ("!> dance\n", "t.dialogue:1:4: "),
        ("!< lightning\n", "t.dialogue:1:4: "),
        ("!< silence\n", "t.dialogue:1:"),
        ("!> reload\n", "t.dialogue:1:"),
        ("bob!< log x\n", "t.dialogue:1:"),
        ("@transport udp\n!> eof\n", "t.dialogue:2:"),
        ("@handle x\n> a\n", "did you mean @handler"),
        ("@handler\n> a\n", "t.dialogue:1:9: expected FILE behind @handler"),
        ("@eol lf\n@eol lf\n> a\n", "t.dialogue:2:2: @eol is given twice"),
        ("@eol cr\n> a\n", "expected lf, crlf or none"),
        ("@timeout 5\n> a\n", "t.dialogue:1:10: "),
        ("@timeout 0s\n> a\n", "t.dialogue:1:10: "),
        ("@seed -1\n> a\n", "expected a whole number"),
        ("@peer bob nowhere\n> a\n", "expected IP:PORT"),
        ("@upstream db http://x\n> a\n", "t.dialogue:1:14: "),
        (
            "@peer db 127.0.0.1:1\n@upstream db tcp://127.0.0.1:1\n> a\n",
            "both a client and an upstream",
        ),
        ("@framing sideways\n> a\n", "t.dialogue:1:10: "),
        ("> a\n@eol lf\n", "t.dialogue:2:1: expected a step; directives stand above"),
    ];
    for (dialogue, part) in broken {
        fails(UPPER, dialogue, &[part]);
    }
    let bytes = Folder::new().file("t.dialogue", b"> caf\xe9\n");
    bytes.test("").goes_wrong(&["t.dialogue:1:6: "]);
}

#[test]
fn all_mistakes_of_a_dialogue_are_told_at_once() {
    fails(UPPER, "hello\n> fine\nworld\n", &["t.dialogue:1:6: ", "t.dialogue:3:6: "]);
}

#[test]
fn a_dialogue_without_a_step_tests_nothing() {
    fails(UPPER, "", &["t.dialogue: there is no step"]);
    fails(UPPER, "# only a comment\n@eol lf\n\n", &["t.dialogue: there is no step"]);
}

#[test]
fn a_mistake_in_one_dialogue_leaves_the_others_alone() {
    let folder = Folder::new()
        .file("1.dialogue", "hello\n")
        .file("2.dialogue", HELLO)
        .file("3.dialogue", "@handler nowhere.lua\n> a\n");
    let finished = folder.test("").goes_wrong(&["2 of 3 dialogues failed", "nowhere.lua"]);
    assert_eq!(finished.told(), ["FAIL 1.dialogue", "ok 2.dialogue", "FAIL 3.dialogue"]);
}

#[test]
fn what_is_not_there_is_told() {
    let folder = Folder::new().file("empty/notes.txt", "").file("t.dialogue", HELLO);
    folder.test("missing").could_not(&["missing: ", "o such file"]);
    folder.test("missing.dialogue").could_not(&["missing.dialogue: "]);
    folder.test("empty").could_not(&["empty: there is no *.dialogue file below it"]);
    folder.test("t.dialogue empty").could_not(&["empty: "]);
    let finished = folder.test("t.dialogue --script missing.lua");
    assert_eq!((finished.status, finished.stdout.as_str()), (1, ""), "{finished:?}");
    assert!(finished.stderr.contains("missing.lua"), "{finished:?}");
}

#[test]
fn a_missing_handler_is_told_with_the_places_that_were_looked_at() {
    let folder = Folder::new().file("d/t.dialogue", "@handler nowhere.lua\n> a\n< A\n");
    folder.test("").goes_wrong(&["d/t.dialogue: before the first step", "d/nowhere.lua"]);
}

#[test]
fn an_unreadable_file_is_told() {
    let folder = Folder::new()
        .file("1.dialogue", HELLO)
        .file("2.dialogue", HELLO)
        .file("folder.dialogue/3.dialogue", HELLO);
    let path = folder.path().join("1.dialogue");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        // Root reads everything: a link to nothing is as unreadable.
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
    }
    let finished = folder.test("").goes_wrong(&["1.dialogue: it cannot be read: "]);
    assert_eq!(
        finished.told(),
        ["FAIL 1.dialogue", "ok 2.dialogue", "ok folder.dialogue/3.dialogue"]
    );
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = Folder::new().file("1.dialogue", HELLO);
    let pipe = folder.path().join("2.dialogue");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(folder.test("").goes_well(&[]).told(), ["ok 1.dialogue"]);
    folder.test("/dev/zero").goes_wrong(&["/dev/zero: it is larger than 64 MiB"]);
}

#[test]
fn a_handler_that_does_not_load_is_told() {
    let handlers = [
        ("return {", "handler.lua:1"),
        ("return { on_massage = function() end }", "on_message"),
        ("return 5", "handler.lua"),
        ("error('no config')", "no config"),
        ("return { on_load = function() error('no database') end }", "no database"),
        ("while true do end", "budget"),
        ("return { on_load = function() while true do end end }", "budget"),
        ("local t = {} while true do t[#t + 1] = string.rep('x', 1000000) .. #t end", "memory"),
        ("sleep(1)", "not while loading"),
        ("require('./missing')", "missing"),
    ];
    for (handler, part) in handlers {
        let parts = ["t.dialogue: before the first step", part];
        play_with(handler, HELLO, "--memory 16MiB").goes_wrong(&parts);
    }
}

#[test]
fn an_on_load_that_waits_for_ever_is_ended() {
    let handler = "return { framing = 'line', on_load = function()\n\
        local up = connect('tcp://127.0.0.1:9000'); up:read() end,\n\
        on_message = function(msg) return msg end }";
    let finished = fails(
        handler,
        "@upstream db tcp://127.0.0.1:9000\n> a\n< a\n",
        &["t.dialogue: before the first step", "on_load failed: it had not ended after 10 seconds"],
    );
    assert!(finished.took.as_secs() < 8, "it took {:?}", finished.took);
    // One that takes its time does not.
    let slow = "return { framing = 'line', on_load = function() sleep(9) end,\n\
        on_message = function(msg) return msg end }";
    passes(slow, "> a\n< a\n");
    let folder = Folder::new()
        .file("slow.lua", slow)
        .file("hangs.lua", handler)
        .file("t.dialogue", "@handler slow.lua\n> a\n< a\n!> reload slow.lua\n> b\n< b\n")
        .file(
            "u.dialogue",
            "@handler slow.lua\n@upstream db tcp://127.0.0.1:9000\n!> reload hangs.lua\n",
        );
    folder.test("").goes_wrong(&[
        "ok    t.dialogue",
        "u.dialogue:3: !> reload hangs.lua",
        "on_load failed",
    ]);
}

#[test]
fn a_call_that_hangs_is_ended_by_the_budget() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        if msg == 'hang' then while true do pcall(function() end) end end\n\
        return msg end }";
    passes(handler, "> hang\n!< fault budget\n> a\n< a\n");
    fails(handler, "> hang\n> a\n< a\n", &["a fault, and no step names it", "budget"]);
}

#[test]
fn one_that_never_comes_to_rest_is_stopped() {
    let handlers = [
        "while true do sleep(0) end",
        "local function more() spawn(more) end; more()",
        "while true do spawn(function() end); sleep(0) end",
    ];
    let mut folder = Folder::new();
    for (number, body) in handlers.iter().enumerate() {
        let handler = format!("return {{ framing = 'line', on_message = function() {body} end }}");
        let dialogue = format!("@handler {number}.lua\n> a\n< b\n");
        folder = folder.file(&format!("{number}.lua"), handler);
        folder = folder.file(&format!("{number}.dialogue"), dialogue);
    }
    // One that takes its time is not.
    let slow = "return { framing = 'line', on_message = function(msg) sleep(1e6); return msg end }";
    let folder = folder
        .file("slow.lua", slow)
        .file("slow.dialogue", "@handler slow.lua\n@timeout 30d\n> a\n< a\n");
    let finished = folder.test("--jobs 3").goes_wrong(&[
        "0.dialogue:2: > a",
        "1.dialogue:2: > a",
        "2.dialogue:2: > a",
        "ok    slow.dialogue",
        "3 of 4 dialogues failed",
    ]);
    let why = "the server did not come to rest, and was stopped after 5 s of work";
    assert_eq!(finished.stdout.matches(why).count(), 3, "{}", finished.stdout);
}

/// KiB: less than what a flood of connections takes up, and enough for everything else.
const LITTLE_MEMORY: u32 = 1_200_000;

#[test]
fn a_handler_that_floods_its_upstreams_is_cut_off() {
    let floods = [
        "while true do connect('tcp://127.0.0.1:1') end",
        "while true do connect('tcp://127.0.0.1:1'):send('x') end",
        "while true do local up = connect('tcp://127.0.0.1:1'); up:send('x'); up:close() end",
        "while true do connect('tcp://127.0.0.1:1'):shutdown() end",
        "while true do connect('udp://127.0.0.1:1') end",
        "while true do local up = connect('udp://127.0.0.1:1')\n\
         for _ = 1, 20 do up:send(string.rep('x', 60000)) end end",
        "while true do connect('tcp://127.0.0.1:1'):send(string.rep('x', 1000000)) end",
        "local function more() while true do connect('unix:///u') end end; spawn(more); more()",
    ];
    let why =
        "the handler has 256 outgoing connections that are open or that no step has heard out";
    let upstreams = "@upstream t tcp://127.0.0.1:1\n@upstream u udp://127.0.0.1:1\n\
                     @upstream v unix:///u\n";
    for body in floods {
        let handler = format!("return {{ framing = 'line', on_message = function() {body} end }}");
        let folder = Folder::new()
            .file("handler.lua", handler)
            .file("t.dialogue", format!("{upstreams}> Ab\n< AB\n"));
        let finished = folder.test_within(LITTLE_MEMORY, "t.dialogue --script handler.lua");
        finished.goes_wrong(&["t.dialogue:4: > Ab", why]);
    }
    let load = "return { framing = 'line', on_load = function()\n\
        while true do connect('tcp://127.0.0.1:1') end end, on_message = function() end }";
    fails(load, &format!("{upstreams}> Ab\n"), &["t.dialogue: before the first step", why]);
}

#[test]
fn connections_that_are_closed_without_a_word_take_up_nothing() {
    let of = |call: &str| {
        format!(
            "return {{ framing = 'line', on_message = function(msg)\n\
             for _ = 1, tonumber(msg) do {call} end\n\
             local up = connect('tcp://127.0.0.1:1'); up:send('last'); return up:read() end }}"
        )
    };
    for call in ["connect('tcp://127.0.0.1:1'):close()", "connect('tcp://127.0.0.1:1'):reset()"] {
        let dialogue = "@upstream up tcp://127.0.0.1:1\n> 5000\n";
        let folder = Folder::new().file("handler.lua", of(call)).file("t.dialogue", dialogue);
        let finished = folder.test_within(LITTLE_MEMORY, "t.dialogue --script handler.lua");
        finished.goes_wrong(&["at the end", "up got, and no step expects it: \"last\\n\""]);
    }
    // Not even where the script keeps them. There is an end to it nevertheless.
    let why = "the handler has made 10000 outgoing connections, and makes another";
    for call in ["connect('tcp://127.0.0.1:1'):close()", "keep(connect('tcp://127.0.0.1:1'))"] {
        let handler = format!(
            "local kept = {{}}; local function keep(up) up:close(); kept[#kept + 1] = up end\n{}",
            of(call)
        );
        let folder = Folder::new()
            .file("handler.lua", handler)
            .file("t.dialogue", "@upstream up tcp://127.0.0.1:1\n> 1e15\n");
        let finished = folder.test_within(LITTLE_MEMORY, "t.dialogue --script handler.lua");
        finished.goes_wrong(&["t.dialogue:2: > 1e15", why]);
    }
}

#[test]
fn a_crash_in_any_callback_is_a_fault() {
    let of = |callback: &str| {
        format!(
            "return {{ framing = 'line', on_message = function(msg) return msg end,\n\
                 {callback} = function() error('broken {callback}') end }}"
        )
    };
    fails(&of("on_connect"), "!> connect\n", &["no step names it", "broken on_connect"]);
    passes(&of("on_connect"), "!> connect\n!< fault broken on_connect\n!< eof\n");
    fails(&of("on_close"), "> a\n< a\n!> close\n", &["no step names it", "broken on_close"]);
    fails(&of("on_eof"), "> a\n< a\n!> eof\n", &["no step names it", "broken on_eof"]);
    let timer = "return { framing = 'line', on_message = function() after(1, function() error('late') end) end }";
    passes(timer, "> a\n");
    fails(timer, "> a\n= 2s\n", &["no step names it", "late"]);
    let task = "return { framing = 'line', on_message = function() spawn(function() error('aside') end) end }";
    fails(task, "> a\n", &["no step names it", "aside"]);
    let framing =
        "return { framing = function() error('no frame') end, on_message = function() end }";
    fails(framing, "> a\n!< eof\n", &["no step names it", "no frame"]);
    let returns = "return { framing = 'line', on_message = function() return 5 end }";
    fails(returns, "> a\n", &["no step names it", "tostring"]);
    let session =
        "return { framing = 'line', on_session = function(conn) conn:read(); error('talk') end }";
    passes(session, "> a\n!< fault talk\n!< eof\n");
}

#[test]
fn a_handler_that_floods_is_cut_off() {
    let output = "return { framing = 'line', on_message = function(msg, conn)\n\
        while conn:send(string.rep('x', 100000)) do end end }";
    fails(output, "> a\n< b\n", &["t.dialogue:2: < b"]);
    fails(output, "> a\n<~ never\n", &["t.dialogue:2: <~ never"]);
    let log = "return { framing = 'line', on_message = function(msg)\n\
        for i = 1, 20000 do print('line', i) end\n\
        if msg == 'crash' then error('behind it') elseif msg == 'no' then return nil, 'behind it' end\n\
        return 'done' end }";
    let budget = "--budget 10s";
    play_with(log, "> a\n< done\n", budget).goes_well(&[]);
    play_with(log, "> a\n< done\n!< log line\\t20000\n", budget).goes_well(&[]);
    // What comes behind a flood is not lost.
    play_with(log, "> crash\n", budget).goes_wrong(&["a fault, and no step names it", "behind it"]);
    play_with(log, "> no\n", budget).goes_wrong(&["rejected, and no step names it: behind it"]);
    play_with(log, "> crash\n!< fault behind it\n", budget).goes_well(&[]);
    let rejects = "return { framing = 'line', on_message = function() return nil, 'no' end }";
    let many = "> a\n".repeat(20000);
    let finished = fails(rejects, &many, &["rejected, and no step names it: no"]);
    assert!(finished.stdout.lines().count() < 100, "{} lines", finished.stdout.lines().count());
}

#[test]
fn a_vm_that_is_full_is_built_anew() {
    let hoard = "kept = {}\nlocal count = 0\nreturn { framing = 'line', on_load = function() print('loaded') end,\n\
        on_message = function(msg)\n\
        count += 1\n\
        if msg == 'fill' then while true do kept[#kept + 1] = string.rep('x', 100000) .. #kept end end\n\
        return `{msg} {count}` end }";
    let dialogue =
        "> a\n< a 1\n> fill\n!< fault memory\n> b\n< b 1\n!< log loaded\n!< log loaded\n";
    play_with(hoard, dialogue, "--memory 16MiB").goes_well(&[]);
}

#[test]
fn a_handler_that_stops_the_server_ends_it_in_order() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        if msg == 'stop' then server.stop() end return msg end,\n\
        on_close = function(_, reason) print('closed: ' .. reason) end,\n\
        on_unload = function() print('unloaded') end }";
    passes(
        handler,
        "bob> a\nbob< a\n> stop\n< stop\n!< eof\nbob!< eof\n!< log closed: shutdown\n!< log unloaded\n",
    );
    fails(
        handler,
        "> stop\n< stop\n!> connect\n",
        &["t.dialogue:3: !> connect", "has stopped the server"],
    );
    fails(
        handler,
        "> stop\n< stop\nbob> a\nbob< a\n",
        &["t.dialogue:3: bob> a", "has stopped the server"],
    );
    passes(handler, "@transport udp\n> stop\n< stop\n!< log closed: shutdown\n");
}

#[test]
fn results_that_nobody_reads_are_a_failure() {
    let folder = Folder::new().file("t.dialogue", HELLO);
    let mut child = folder.command("").spawn().unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    assert_eq!(
        told,
        "scriptsock test: the results could not be written: Broken pipe (os error 32)\n"
    );
}

#[test]
fn a_framing_that_no_message_could_have_is_refused() {
    let folder = Folder::new().file("t.dialogue", HELLO);
    let finished = folder.test("--framing fixed:10 --max-message 5");
    assert_eq!(finished.status, 2, "{finished:?}");
    assert!(finished.stderr.contains("fixed 10 is above the limit of 5 bytes"), "{finished:?}");
}

#[test]
fn no_name_in_an_error_can_fool_a_terminal() {
    let folder = Folder::new().file("t.dialogue", HELLO);
    for args in ["x\u{1b}[31m", "--filter \u{1b}[31m", "--script x\u{1b}[31m"] {
        let finished = folder.test(args);
        assert_eq!(finished.status, 1, "{finished:?}");
        assert!(finished.stderr.contains("\\x1b[31m"), "{finished:?}");
        assert!(!finished.stderr.contains('\u{1b}'), "{finished:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let folder = Folder::new().file("t.dialogue", HELLO);
    let finished = folder.test("--junit nowhere/report.xml");
    assert_eq!(finished.status, 1, "{finished:?}");
    assert!(finished.stdout.contains("1 dialogue passed"), "{finished:?}");
    assert!(finished.stderr.contains("nowhere/report.xml: No such file"), "{finished:?}");
    let full = folder.test("--junit /dev/full");
    assert_eq!(full.status, 1, "{full:?}");
    assert!(full.stderr.contains("/dev/full: No space left"), "{full:?}");
}
