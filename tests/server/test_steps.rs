//! The steps and directives of dialogues, as `scriptsock test` plays them.

use crate::test_command::{Folder, UPPER, fails, passes, passes_cut};

/// Answers with what it got, as it is.
const ECHO: &str = "return function(msg) return msg end";

#[test]
fn every_sign_sends_or_expects() {
    passes(UPPER, "> text\n< TEXT\n");
    passes(UPPER, "> \n< \n>\n<\n>  two spaces  \n<  TWO SPACES  \n");
    passes(ECHO, ">> \"\\x00\\x01\\r\\n\\t\\0\\\\\\\"\"\n<< \"\\x00\\x01\\r\\n\\t\\0\\\\\\\"\"\n");
    passes(ECHO, ">x 00 ff 10\n<x 00 ?? 10\n>x 00ff\n<x 00ff\n");
    passes(UPPER, "> one 42\n<~ ^ONE \\d+$\n> two\n<~ W\n");
    passes(ECHO, ">> \"id=42;rest\"\n<<~ id=\\d+;\n<< \"rest\"\n");
    passes(UPPER, "> a ${b} $$ \\n\n< A ${B} $$ \\N\n");
}

#[test]
fn every_sign_that_expects_notices_what_differs() {
    fails(UPPER, "> text\n< Text\n", &["t.dialogue:2: < Text", "Text", "TEXT"]);
    fails(ECHO, ">> \"ab\"\n<< \"ac\"\n", &["t.dialogue:2: << \"ac\""]);
    fails(ECHO, ">x 00 ff 11\n<x 00 ?? 10\n", &["t.dialogue:2: <x 00 ?? 10", "11"]);
    fails(UPPER, "> one\n<~ ^TWO$\n", &["t.dialogue:2: <~ ^TWO$", "ONE"]);
    fails(ECHO, ">> \"id=x;\"\n<<~ id=\\d+;\n", &["t.dialogue:2: <<~ id=\\d+;"]);
    fails(UPPER, "> ab\n< A\n", &["t.dialogue:2: < A"]);
    fails(UPPER, "> a\n< AB\n", &["t.dialogue:2: < AB"]);
    fails(ECHO, ">> \"abc\"\n<< \"abcd\"\n", &["nothing more came within 5s"]);
}

#[test]
fn output_that_no_step_expects_fails_at_the_end() {
    fails(UPPER, "> a\n> b\n< A\n", &["t.dialogue:3: at the end", "no step expects it: \"B\\n\""]);
    fails(UPPER, "> a\n", &["no step expects it: \"A\\n\""]);
    fails(ECHO, ">> \"abc\"\n<< \"ab\"\n", &["no step expects it: \"c\""]);
    fails(
        UPPER,
        "> x\nbob> a\n< X\n",
        &["at the end", "bob got, and no step expects it: \"A\\n\""],
    );
    fails(UPPER, "@transport udp\n> a\n> b\n< A\n", &["no step expects it: \"B"]);
    // An empty datagram is something, too.
    fails(ECHO, "@transport udp\n>> \"\"\n", &["no step expects it: \"\""]);
    // Not before it is closed or connects anew.
    fails(UPPER, "> a\n!> close\n", &["no step expects it: \"A\\n\""]);
    fails(UPPER, "> a\n!> connect\n< A\n", &["t.dialogue:2: !> connect", "no step expects it"]);
    fails(UPPER, "> a\n!> reset\n", &["no step expects it: \"A\\n\""]);
    fails(
        UPPER,
        "> a\n!> eof\n!< eof\n",
        &["t.dialogue:3: !< eof", "no step expects it: \"A\\n\""],
    );
    fails(UPPER, "> a\n!< silence 1s\n", &["t.dialogue:2: !< silence 1s", "no step expects it"]);
}

#[test]
fn what_came_before_a_close_can_be_expected_after_it() {
    passes(UPPER, "> a\n!> close\n< A\n");
    passes(UPPER, "> a\n!> reset\n< A\n");
}

#[test]
fn rejects_and_faults_that_no_step_names_fail_at_the_end() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        if msg == 'no' then return nil, 'a bad word' end\n\
        if msg == 'crash' then error('it broke') end\n\
        return msg end }";
    fails(
        handler,
        "> no\n> a\n< a\n",
        &["at the end", "rejected, and no step names it: a bad word"],
    );
    fails(
        handler,
        "> crash\n> a\n< a\n",
        &["at the end", "a fault, and no step names it", "it broke"],
    );
    passes(handler, "> no\n!< reject bad\n> crash\n!< fault broke\n");
    passes(handler, "> no\n!< reject\n> crash\n!< fault\n");
    fails(handler, "> no\n!< reject good\n", &["t.dialogue:2: !< reject good", "a bad word"]);
    fails(handler, "> crash\n!< fault fixed\n", &["t.dialogue:2: !< fault fixed", "it broke"]);
    fails(handler, "> no\n!< fault\n", &["it was not seen within 5s"]);
    fails(handler, "> crash\n!< reject\n", &["it was not seen within 5s"]);
    // Each is named once.
    fails(handler, "> no\n> no\n!< reject\n", &["no step names it: a bad word"]);
    fails(handler, "> crash\n!< fault\n!< fault\n", &["t.dialogue:3: !< fault"]);
}

#[test]
fn the_log_is_seen_and_may_stay_unnamed() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        print('got', msg); log.warn('careful', { n = 7 }) end }";
    passes(handler, "> a\n");
    passes(handler, "> a\n!< log got\\ta\n!< log careful\n");
    passes(handler, "> a\n!< log n=7\n!< log\n");
    fails(
        handler,
        "> a\n!< log nothing\n",
        &["it was not seen within 5s", "info got\\ta", "warn careful"],
    );
    fails(handler, "> a\n!< log got\n!< log got\n", &["t.dialogue:3: !< log got"]);
}

#[test]
fn named_groups_are_variables() {
    let handler = "return { framing = 'line', on_message = function(msg, conn)\n\
        local verb, rest = msg:match('^(%S+) ?(.*)$')\n\
        if verb == 'login' then conn.state.token = hex.encode(random.bytes(4))\n\
          return 'token ' .. conn.state.token end\n\
        return if rest == conn.state.token then 'welcome ' .. rest else 'who?' end }";
    passes(handler, "> login\n<~ ^token (?<token>\\w{8})$\n>$ use ${token}\n<$ welcome ${token}\n");
    passes(
        handler,
        "> login\n<<~ token (?<token>\\w+)\\n\n>>$ \"use ${token}\\n\"\n<<$ \"welcome ${token}\\n\"\n",
    );
    passes(UPPER, "> a5b\n<~ (?<n>\\d)\nbob>$ $$${n}\nbob<$ $$${n}\n");
    fails(
        handler,
        "> login\n<~ (?<token>\\w{7})$\n>$ use ${token}\n<$ welcome ${token}\n",
        &["t.dialogue:4: "],
    );
}

#[test]
fn several_clients_are_each_a_connection() {
    let handler = "local all = {}\nreturn { framing = 'line',\n\
        on_connect = function(conn) conn:subscribe('room') end,\n\
        on_message = function(msg, conn)\n\
          local name = msg:match('^name (.*)$')\n\
          if name then conn.state.name = name; return 'hello ' .. name end\n\
          server.publish('room', `{conn.state.name}: {msg}`, conn) end }";
    passes_cut(
        handler,
        "a> name Ann\na< hello Ann\nbob_2> name Bob\nbob_2< hello Bob\n> name Me\n< hello Me\n\
         a> hi\nbob_2< Ann: hi\n< Ann: hi\na!< silence 1s\n",
    );
    // A name is connected at its first mention, even where that expects.
    passes(
        "return { framing = 'line', on_connect = function() return 'hello' end }",
        "a< hello\n< hello\n",
    );
    fails(
        handler,
        "a> name Ann\na< hello Ann\nb> name B\nb< hello B\na> hi\na< Ann: hi\n",
        &["t.dialogue:6: a< Ann: hi"],
    );
}

#[test]
fn deeds_are_done_and_their_effect_is_seen() {
    let handler = "return { framing = 'line',\n\
        on_connect = function() print('opened') end,\n\
        on_message = function(msg, conn) return msg end,\n\
        on_close = function(_, reason) print('closed: ' .. reason) end }";
    passes(handler, "!> connect\n!< log opened\n");
    passes(handler, "> a\n< a\n!> eof\n!< eof\n!< log closed: eof\n");
    passes(handler, "> a\n< a\n!> close\n!< log closed: eof\n");
    passes(handler, "> a\n< a\n!> reset\n!< log closed: reset\n");
    passes(
        handler,
        "> a\n< a\n!> connect\n!< log closed: eof\n> b\n< b\n!< log opened\n!< log opened\n",
    );
    passes(handler, "bob!> connect\nbob!> close\nbob!> connect\nbob> a\nbob< a\n");
    // The rest of a line counts at the end of the stream.
    passes(handler, ">> \"half\"\n!> eof\n< half\n!< eof\n");
}

#[test]
fn a_closed_client_connects_anew_by_a_step_only() {
    let advice = "!> connect makes a new one";
    fails(UPPER, "> a\n< A\n!> close\n> b\n< B\n", &["t.dialogue:4: > b", advice]);
    fails(UPPER, "> a\n< A\n!> reset\n> b\n< B\n", &["t.dialogue:4: > b", advice]);
    passes(UPPER, "> a\n< A\n!> close\n!> connect\n> b\n< B\n");
    fails(UPPER, "> a\n< A\n!> eof\n> b\n< B\n", &["t.dialogue:4: > b"]);
    fails(UPPER, "> a\n< A\n!> close\n< B\n", &["t.dialogue:4: < B"]);
}

#[test]
fn a_half_closed_peer_is_still_answered() {
    let handler = "return { framing = 'line', on_message = function(msg) return msg end,\n\
        on_eof = function(conn)\n\
          after(60, function() conn:send('late'); conn:close() end); return true end }";
    passes(handler, "> a\n!> eof\n< a\n!< silence 59s\n= 1s\n< late\n!< eof\n");
    let half = "return { framing = 'line', on_message = function(msg, conn)\n\
        if msg == 'bye' then conn:shutdown() else print('heard ' .. msg) end end }";
    passes(half, "> bye\n!< eof\n> still here\n!< log heard still here\n");
}

#[test]
fn a_reset_is_not_an_end() {
    let handler = "return { framing = 'line', on_message = function(msg, conn)\n\
        if msg == 'reset' then conn:reset() else conn:close() end end }";
    passes(handler, "> reset\n!< reset\n");
    passes(handler, "> close\n!< eof\n");
    fails(handler, "> reset\n!< eof\n", &["t.dialogue:2: !< eof", "broken off"]);
    fails(handler, "> close\n!< reset\n", &["t.dialogue:2: !< reset", "without a reset"]);
    fails(handler, "> other\n< x\n", &["t.dialogue:2: < x", "the other side has ended"]);
    fails(handler, "> reset\n< x\n", &["t.dialogue:2: < x", "broken off"]);
    fails(
        handler,
        "> close\n!< silence 1s\n",
        &["t.dialogue:2: !< silence 1s", "the other side has ended"],
    );
    fails(UPPER, "> a\n< A\n!< eof\n", &["it did not end within 5s"]);
}

#[test]
fn a_reload_keeps_connections_and_their_state() {
    let two = "return { framing = 'line', on_load = function(previous) print('after', previous) end,\n\
        on_reload = function(conn) conn:send('new code') end,\n\
        on_message = function(msg, conn)\n\
        conn.state.n += 1; return `{server.generation}: {msg} {conn.state.n}` end }";
    let one = "return { framing = 'line', on_message = function(msg, conn)\n\
        conn.state.n = 1; return `{server.generation}: {msg}` end,\n\
        on_unload = function() print('unloaded') end }";
    let folder = Folder::new().file("one.lua", one).file("lib/two.lua", two);
    let dialogue = "@handler ../one.lua\n> a\n< 1: a\n!> reload ../lib/two.lua\n< new code\n\
        !< log after\\t1\n!< log unloaded\n> b\n< 2: b 2\n!> connect\n!> reload ../one.lua\n\
        > c\n< 3: c\n";
    let folder = folder.file("d/t.dialogue", dialogue);
    folder.test("").goes_well(&["ok    d/t.dialogue"]);
    // Whoever calls it from elsewhere: names begin at the dialogue.
    folder.test("d/t.dialogue --splits").goes_well(&[]);
}

#[test]
fn a_reload_of_a_wrong_file_fails() {
    let folder = Folder::new()
        .file("broken.lua", "return {\n  on_message = function(msg) return msg:upper( end,\n}\n")
        .file("load.lua", "return { on_load = function() error('no database') end }")
        .file("h.lua", UPPER)
        .file("1.dialogue", "@handler h.lua\n> a\n< A\n!> reload broken.lua\n")
        .file("2.dialogue", "@handler h.lua\n!> reload missing.lua\n")
        .file("3.dialogue", "@handler h.lua\n!> reload load.lua\n");
    let finished = folder.test("").goes_wrong(&[
        "1.dialogue:4: !> reload broken.lua",
        "broken.lua:2",
        "2.dialogue:2: !> reload missing.lua",
        "3.dialogue:2: !> reload load.lua",
        "no database",
        "3 of 3 dialogues failed",
    ]);
    assert_eq!(finished.told().len(), 3);
}

#[test]
fn clients_have_the_addresses_that_are_promised() {
    let handler = "return { framing = 'line', on_message = function(_, conn)\n\
        return `{conn.transport} {conn.peer} {conn.peer_ip} {conn.peer_port} {conn.local_addr} {conn.listener}` end }";
    passes(
        handler,
        "@peer bob 192.0.2.7:5000\n@peer six [2001:db8::1]:6000\n\
         > a\n< tcp 127.0.0.1:40001 127.0.0.1 40001 127.0.0.1:7890 tcp://127.0.0.1:7890\n\
         bob> a\nbob< tcp 192.0.2.7:5000 192.0.2.7 5000 127.0.0.1:7890 tcp://127.0.0.1:7890\n\
         six> a\nsix<~ ^tcp \\[2001:db8::1\\]:6000 2001:db8::1 6000\n\
         ann> a\nann<~ ^tcp 127.0.0.1:40004 \n",
    );
    passes(handler, "@listener admin\n> a\n<~ 127.0.0.1:7890 admin$\n");
    passes(
        handler,
        "@transport udp\n@peer bob 192.0.2.7:5000\n> a\n<~ ^udp 127.0.0.1:40001 .* udp://127.0.0.1:7890$\nbob> a\nbob<~ ^udp 192.0.2.7:5000 \n",
    );
    passes(
        handler,
        "@transport unix\n> a\n<~ ^unix .* nil nil .*scriptsock.sock unix://scriptsock.sock$\n",
    );
    passes(
        handler,
        "@transport unixgram\n> a\n<~ ^unixgram client-1.sock nil nil .* unixgram://scriptsock.sock$\n",
    );
}

#[test]
fn chance_begins_at_a_seed() {
    let handler = "return { framing = 'line', on_message = function()\n\
        return `{math.random(1000000)} {hex.encode(random.bytes(8))} {math.random(1000000)}` end }";
    let shown = |dialogue: &str| {
        let finished = fails(handler, dialogue, &["no step expects it"]);
        let line = finished.stdout.lines().find(|line| line.contains("no step expects it"));
        line.expect("what came").to_owned()
    };
    let (first, again) = (shown("> a\n"), shown("> a\n"));
    assert_eq!(first, again);
    assert_eq!(first, shown("@seed 1\n> a\n"));
    let (seven, again) = (shown("@seed 7\n> a\n"), shown("@seed 7\n> a\n"));
    assert_eq!(seven, again);
    assert_ne!(first, seven);
    assert_ne!(seven, shown("@seed 18446744073709551615\n> a\n"));
    // It goes on: a second draw is another one.
    fails(handler, "> a\n<~ (?<first>.*)\n> a\n<$ ${first}\n", &["t.dialogue:4: "]);
}

#[test]
fn the_end_of_a_line_is_that_of_the_handlers_framing() {
    let with = |framing: &str| {
        format!(
            "return {{ framing = {framing}, on_message = function(msg) return '<' .. msg .. '>' end }}"
        )
    };
    passes(&with("'line'"), "> a\n< <a>\n");
    passes(&with("'crlf'"), "> a\n<< \"<a>\\r\\n\"\n>> \"b\\r\\n\"\n< <b>\n");
    passes(&with("'delimiter:0x00'"), ">> \"a\\0\"\n< <a>\n> b\n<< \"<b>\\0\"\n");
    passes(&with("'fixed:3'"), "> abc\n< <abc>\n");
    passes(&with("'netstring'"), "> 1:a,\n< 3:<a>,\n");
    passes(&with("'raw'"), "> a\n<< \"<a\\n>\"\n");
    passes(
        &with(
            "function(buffer) local at = buffer:find(';') if at then return at, buffer:sub(1, at - 1) end end",
        ),
        ">> \"a;\"\n<< \"<a>\"\n",
    );
    // What a dialogue says goes before it.
    passes(&with("'line'"), "@eol crlf\n> a\n<< \"<a>\\n\"\n");
    passes(&with("'line'"), "@eol none\n>> \"a\\n\"\n< <a>\n<< \"\\n\"\n");
    passes(&with("'line'"), "@framing crlf\n> a\n<< \"<a>\\r\\n\"\n");
    passes(&with("'line'"), "@framing netstring\n> 1:a,\n< 3:<a>,\n");
    passes(&with("'line'"), "@framing length:u8\n@eol lf\n>x 01 61\n<x 03 3c 61 3e\n");
}

#[test]
fn what_is_sent_ends_as_the_handler_reads_and_what_is_expected_as_it_replies() {
    let with = |reply: &str| {
        format!(
            "return {{ framing = 'line', reply_framing = {reply}, on_message = function(msg) return msg:upper() end }}"
        )
    };
    passes(&with("'crlf'"), "> a\n<< \"A\\r\\n\"\n> b\n< B\n");
    passes(&with("'netstring'"), "> a\n<< \"1:A,\"\n> b\n< 1:B,\n");
    passes(&with("'raw'"), "> a\n<< \"A\"\n");
}

#[test]
fn a_line_of_a_handler_that_has_none_is_told() {
    let handler = "return { framing = 'length:u8', on_message = function(msg) return msg end }";
    fails(handler, ">x 01 61\n<~ a\n", &["t.dialogue:2: <~ a", "<<~"]);
}

#[test]
fn datagrams_are_messages_and_keep_their_boundaries() {
    for transport in ["udp", "unixgram"] {
        let with = |steps: &str| format!("@transport {transport}\n{steps}");
        let both = "return function(msg) return { msg, '[' .. msg .. ']' } end";
        passes(both, &with(">> \"ab\"\n<< \"ab\"\n<< \"[ab]\"\n"));
        fails(both, &with(">> \"ab\"\n<< \"a\"\n<< \"b\"\n"), &["t.dialogue:3: << \"a\""]);
        fails(both, &with(">> \"ab\"\n<< \"ab[ab]\"\n"), &["t.dialogue:3: << \"ab[ab]\""]);
        passes(ECHO, &with(">> \"\"\n<< \"\"\n"));
        passes(ECHO, &with("@eol none\n> no end\n< no end\n"));
        passes(UPPER, &with("> a\n< A\n> b\n<~ ^B$\n> c\n<<~ C\\n\n"));
        fails(UPPER, &with("> c\n<<~ C\n"), &["<<~ C"]);
        // A client is a peer; another one is another.
        let count = "return function(_, conn) conn.state.n = (conn.state.n or 0) + 1\n\
            return tostring(conn.state.n) end";
        passes(count, &with("@eol none\n> x\n< 1\n> x\n< 2\nbob> x\nbob< 1\n> x\n< 3\n"));
    }
}

#[test]
fn streams_over_unix_sockets_are_streams() {
    passes_cut(UPPER, "@transport unix\n> a\n< A\nbob> b\nbob< B\n!> eof\n!< eof\n");
}
