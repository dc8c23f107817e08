//! The clock of `scriptsock test`: time stands still while there is something to do, and passes at
//! once where there is not.

use std::time::Duration;

use crate::test_command::{fails, passes, play_with};

/// Far less than what passes by the clock of the dialogues.
const AT_ONCE: Duration = Duration::from_secs(15);

#[track_caller]
fn passes_at_once(handler: &str, dialogue: &str) {
    let finished = play_with(handler, dialogue, "").goes_well(&[]);
    assert!(finished.took < AT_ONCE, "it took {:?}", finished.took);
}

#[test]
fn an_hour_of_sleep_takes_no_time() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
                   local before = server.now(); sleep(tonumber(msg))\n\
                   return tostring(server.now() - before) end }";
    passes_at_once(handler, "@timeout 2h\n> 3600\n< 3600\n> 0.25\n< 0.25\n");
    passes_at_once(handler, "> 3600\n= 1h\n< 3600\n");
    passes_at_once(handler, "@timeout 400d\n> 31536000\n< 31536000\n");
}

#[test]
fn a_step_waits_for_the_timeout_and_no_longer() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
                   sleep(tonumber(msg)); return 'woken' end }";
    passes(handler, "> 4.99\n< woken\n");
    fails(handler, "> 5.01\n< woken\n", &["t.dialogue:2: < woken", "nothing more came within 5s"]);
    passes(handler, "@timeout 1m\n> 59\n< woken\n");
    fails(handler, "@timeout 1m\n> 61\n< woken\n", &["nothing more came within 1m"]);
    // The time of a step that got what it wants at once is not used up.
    passes(handler, "> 0\n< woken\n> 4.99\n< woken\n");
}

#[test]
fn what_comes_at_the_very_end_of_the_timeout_counts() {
    let sleeps = "return { framing = 'line', on_message = function(msg)\n\
                  sleep(5); print('awake'); return msg end }";
    passes(sleeps, "> a\n< a\n");
    passes(sleeps, "> a\n!< log awake\n< a\n");
    passes(sleeps, "@timeout 5001ms\n> a\n< a\n");
    fails(sleeps, "@timeout 4999ms\n> a\n< a\n", &["nothing more came within 4s 999ms"]);
    let ticks = "return { framing = 'line', on_connect = function(conn)\n\
                 every(60, function() conn:send('tick') end) end }";
    passes(ticks, "@timeout 1m\n!> connect\n< tick\n< tick\n!< silence 1m\n< tick\n");
    // However many others have to have their turn before it comes.
    let chain = "return { framing = 'line', on_message = function(msg, conn)\n\
        local function link(n) if n == 0 then conn:send(msg)\n\
        else spawn(function() sleep(0); link(n - 1) end) end end\n\
        sleep(5); link(100) end }";
    passes(chain, "> a\n< a\n");
    let ends = "return { framing = 'line', idle_timeout = 5, on_message = function() end }";
    passes(ends, "!> connect\n!< eof\n");
    let connects = "return { framing = 'line', on_message = function()\n\
        sleep(5); connect('tcp://127.0.0.1:1'):send('q') end }";
    passes(connects, "@upstream up tcp://127.0.0.1:1\n> x\nup< q\n");
    let fault = "return { framing = 'line', on_message = function()\n\
        sleep(5); error('late') end }";
    passes(fault, "> x\n!< fault late\n");
}

#[test]
fn all_clocks_begin_with_2020_and_go_on_together() {
    let handler = "return { framing = 'line', on_message = function()\n\
        return `{server.now()} {os.time()} {os.clock()} {os.date('!%Y-%m-%dT%H:%M:%S')}` end }";
    passes(
        handler,
        "> when\n< 1577836800 1577836800 0 2020-01-01T00:00:00\n\
         = 1d 1500ms\n> when\n< 1577923201.5 1577923201 86401.5 2020-01-02T00:00:01\n",
    );
}

#[test]
fn other_uses_of_the_clocks_are_as_ever() {
    let handler = "return { framing = 'line', on_message = function()\n\
        local at = os.time({ year = 1999, month = 12, day = 31, hour = 23 })\n\
        local now = os.date('!*t')\n\
        return `{os.date('!%Y %H', at)} {now.year} {now.yday} {os.difftime(at + 5, at)}` end }";
    passes(handler, "> x\n< 1999 23 2020 1 5\n");
}

#[test]
fn timers_go_off_when_they_are_due() {
    let handler = "return { framing = 'line', on_message = function(msg, conn)\n\
        if msg == 'after' then after(90, function() conn:send('after') end)\n\
        else every(60, function() conn:send('tick') end) end end }";
    passes(handler, "> after\n!< silence 89999ms\n= 2ms\n< after\n!< silence 1h\n");
    passes(
        handler,
        "> every\n!< silence 59s\n= 1s\n< tick\n= 2m\n< tick\n< tick\n!< silence 59s\n",
    );
    fails(handler, "> after\n!< silence 91s\n", &["got, and no step expects it: \"after"]);
    fails(handler, "> every\n= 1h\n< tick\n", &["at the end", "tick"]);
}

#[test]
fn an_idle_connection_is_closed_in_its_time() {
    let handler = "return { framing = 'line', idle_timeout = 30,\n\
        on_message = function(msg) return msg end,\n\
        on_close = function(_, reason) print('closed: ' .. reason) end }";
    passes(
        handler,
        "> a\n< a\n!< silence 29s\n> b\n< b\n!< silence 29s\n= 1s\n!< eof\n= 10s\n!< log closed: idle\n",
    );
}

#[test]
fn a_silent_peer_of_datagrams_is_forgotten_in_its_time() {
    let handler = "return { peer_timeout = 10, on_message = function(msg, conn)\n\
        conn.state.n = (conn.state.n or 0) + 1; return msg .. conn.state.n end,\n\
        on_close = function() print('gone') end }";
    passes(
        handler,
        "@transport udp\n@eol none\n> a\n< a1\n= 9s\n> a\n< a2\n= 11s\n!< log gone\n> a\n< a1\n",
    );
}

#[test]
fn shared_values_live_as_long_as_they_are_told() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        if msg == 'set' then server.shared.set('k', 'v', 60); return 'ok' end\n\
        return tostring(server.shared.get('k')) end }";
    passes(handler, "> set\n< ok\n= 59s\n> get\n< v\n= 2s\n> get\n< nil\n");
}

#[test]
fn a_read_of_a_conversation_ends_in_its_time() {
    let handler = "return { framing = 'line', on_session = function(conn)\n\
        local before = server.now()\n\
        local line, why = conn:read({ timeout = 45 })\n\
        conn:send(`{line} {why} {server.now() - before}`)\n\
        return conn:read() end }";
    passes(handler, "!> connect\n= 45s\n< nil timeout 45\n> late\n< late\n!< eof\n");
    passes(handler, "!> connect\n= 44s\n> early\n< early nil 44\n> x\n< x\n!< eof\n");
}

#[test]
fn time_passes_for_all_clients() {
    let handler = "return { framing = 'line', on_connect = function(conn)\n\
        every(10, function() conn:send(conn.state.name or '?') end) end,\n\
        on_message = function(msg, conn) conn.state.name = msg end }";
    passes(
        handler,
        "a> one\n= 5s\nb> two\n= 5s\na< one\nb!< silence 4s\n= 1s\nb< two\n= 5s\na< one\n",
    );
}

#[test]
fn steps_settle_without_time() {
    // A chain of a hundred tasks, each of which has the next one run.
    let handler = "return { framing = 'line', on_message = function(msg, conn)\n\
        local before = server.now()\n\
        local function link(n) if n == 0 then conn:send(`done {server.now() - before}`)\n\
        else spawn(function() sleep(0); link(n - 1) end) end end\n\
        link(100) end }";
    passes(handler, "> go\n!> close\n< done 0\n");
}
