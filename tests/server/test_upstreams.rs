//! Servers that a handler connects to, as dialogues play them for `scriptsock test`.

use crate::test_command::{Folder, fails, passes, passes_cut};

/// Asks the server behind it for each line, over a new connection, and passes its answer on.
fn asking(url: &str) -> String {
    format!(
        "return {{ framing = 'line', on_message = function(msg)\n\
         local up, why = connect('{url}', {{ timeout = 2 }})\n\
         if not up then return 'ERR ' .. why end\n\
         up:send('GET ' .. msg)\n\
         local answer, problem = up:read({{ timeout = 3 }})\n\
         up:close()\n\
         return answer or 'ERR ' .. problem end }}"
    )
}

/// One connection to the server behind it for each client; lines go both ways.
const PROXY: &str = "return { framing = 'line', on_session = function(conn)\n\
    local up = assert(connect('tcp://127.0.0.1:9000'))\n\
    spawn(function() for line in function() return up:read() end do conn:send('< ' .. line) end\n\
      conn:close() end)\n\
    for line in function() return conn:read() end do up:send('> ' .. line) end\n\
    up:shutdown() end }";

#[test]
fn an_upstream_hears_and_answers() {
    for url in
        ["tcp://127.0.0.1:9000", "tcp://db.example:9000", "tcp://[::1]:9000", "unix:///run/db.sock"]
    {
        let dialogue = format!("@upstream db {url}\n> k\ndb< GET k\ndb> v\n< v\n");
        passes_cut(&asking(url), &dialogue);
    }
    let url = "udp://127.0.0.1:9000";
    passes(&asking(url), &format!("@upstream db {url}\n> k\ndb< GET k\ndb> v\n< v\n"));
    passes(
        &asking(url),
        &format!("@upstream db {url}\n@eol lf\n> k\ndb<< \"GET k\\n\"\ndb>> \"v\"\n< v\n"),
    );
}

#[test]
fn what_an_upstream_should_have_heard_is_checked() {
    let url = "tcp://127.0.0.1:9000";
    let db = format!("@upstream db {url}\n");
    fails(&asking(url), &format!("{db}> k\ndb< GET j\n"), &["t.dialogue:3: db< GET j", "GET k"]);
    fails(&asking(url), &format!("{db}> k\ndb< GET k\ndb> v\n"), &["no step expects it: \"v\\n\""]);
    let greedy = "return { framing = 'line', on_message = function(msg)\n\
        local up = connect('tcp://127.0.0.1:9000'); up:send('one'); up:send('two'); return 'ok' end }";
    fails(
        greedy,
        &format!("{db}> k\n< ok\ndb< one\n"),
        &["at the end", "db got, and no step expects it: \"two\\n\""],
    );
}

#[test]
fn what_an_upstream_heard_that_no_step_mentions_fails_at_the_end() {
    let greedy = "return { framing = 'line', on_message = function(msg)\n\
        local up = connect('tcp://127.0.0.1:9000'); up:send('one'); return 'ok' end }";
    let part = "db got, and no step expects it: \"one\\n\"";
    fails(greedy, "@upstream db tcp://127.0.0.1:9000\n> k\n< ok\n", &["at the end", part]);
    // Nor over a second connection that no step takes.
    fails(
        greedy,
        "@upstream db tcp://127.0.0.1:9000\n> k\n< ok\ndb< one\n> k\n< ok\n",
        &["at the end", part],
    );
    // That it is there is not told.
    let quiet = "return { framing = 'line', on_message = function()\n\
        connect('tcp://127.0.0.1:9000'); return 'ok' end }";
    passes(quiet, "@upstream db tcp://127.0.0.1:9000\n> k\n< ok\n");
}

#[test]
fn nobody_is_dialled() {
    let url = "tcp://127.0.0.1:9";
    passes(&asking(url), "> k\n< ERR connection refused\n");
    passes(&asking("unix:///nowhere"), "> k\n< ERR connection refused\n");
    passes(&asking(url), "@upstream db tcp://127.0.0.1:10\n> k\n< ERR connection refused\n");
    fails(
        &asking(url),
        "> k\n< v\n",
        &["connect to tcp://127.0.0.1:9: no @upstream answers there"],
    );
}

#[test]
fn an_upstream_that_the_handler_does_not_connect_to_is_waited_for_in_vain() {
    fails(
        "return { framing = 'line', on_message = function(msg) return msg end }",
        "@upstream db tcp://127.0.0.1:9000\n> k\n< k\ndb< GET k\n",
        &["t.dialogue:4: db< GET k", "there was no connection within 5s"],
    );
}

#[test]
fn an_upstream_may_never_answer() {
    let url = "tcp://127.0.0.1:9000";
    passes(
        &asking(url),
        "@upstream db tcp://127.0.0.1:9000\n> k\ndb< GET k\n= 3s\n< ERR timeout\ndb!< eof\n",
    );
    passes(&asking(url), "@upstream db tcp://127.0.0.1:9000\n> k\ndb< GET k\n< ERR timeout\n");
}

#[test]
fn an_upstream_whose_connection_is_over_goes_on_with_the_next() {
    let url = "tcp://127.0.0.1:9000";
    let first = "@upstream db tcp://127.0.0.1:9000\n> k\ndb< GET k\ndb> v\n< v\n";
    passes_cut(&asking(url), &format!("{first}> j\ndb< GET j\ndb> w\n< w\ndb!< eof\n"));
    passes(&asking(url), &format!("{first}db!< eof\n> j\ndb< GET j\ndb!> close\n< ERR eof\n"));
    fails(&asking(url), &format!("{first}> j\ndb< GET i\n"), &["t.dialogue:7: db< GET i", "GET j"]);
    // It does not where something is left, or where there is no other.
    let last = "return { framing = 'line', on_message = function(msg)\n\
        local up = connect('tcp://127.0.0.1:9000'); up:send(msg); up:send('rest'); up:close() end }";
    fails(
        last,
        "@upstream db tcp://127.0.0.1:9000\n> a\ndb< a\n> b\ndb< b\n",
        &["t.dialogue:5: db< b", "rest"],
    );
    fails(&asking(url), &format!("{first}db< GET j\n"), &["db< GET j", "the other side has ended"]);
    // A half-closed one is still the same.
    let half = "return { framing = 'line', on_message = function(msg)\n\
        local up = connect('tcp://127.0.0.1:9000'); up:send(msg); up:shutdown(); return up:read() end }";
    passes(half, "@upstream db tcp://127.0.0.1:9000\n> a\ndb< a\ndb!< eof\ndb> b\n< b\n");
}

/// Asks twice over a connection each, and ends its side of the first at once.
const HALF: &str = "return { framing = 'line', on_message = function()\n\
    local a = connect('tcp://127.0.0.1:1'); a:send('q1'); a:shutdown()\n\
    local b = connect('tcp://127.0.0.1:1'); b:send('q2')\n\
    return (a:read({ timeout = 3 }) or 'nil') .. ' ' .. (b:read({ timeout = 3 }) or 'nil') end }";

#[test]
fn an_upstream_answers_a_connection_that_is_half_closed() {
    let first = "@upstream up tcp://127.0.0.1:1\n> x\nup< q1\n";
    for end in ["close", "eof", "reset"] {
        let answered = format!("{first}up> r1\nup!> {end}\nup< q2\nup> r2\n< r1 r2\n");
        passes(HALF, &answered);
    }
    passes_cut(HALF, &format!("{first}up> r1\nup!> close\nup< q2\nup> r2\n< r1 r2\n"));
    passes(HALF, &format!("{first}up>> \"r\"\nup> 1\nup!< eof\nup< q2\nup> r2\n< r1 r2\n"));
    // It can also be left as it is: nothing more comes over it.
    passes(HALF, &format!("{first}up> r1\nup< q2\nup> r2\n< r1 r2\n"));
    passes(HALF, &format!("{first}up< q2\nup> r2\n< nil r2\n"));
    passes(HALF, &format!("{first}up!> close\nup> r2\nup< q2\n< nil r2\n"));
    passes(HALF, &format!("{first}up!> eof\nup> r2\nup< q2\n< nil r2\n"));
}

#[test]
fn an_upstream_without_a_connection_is_told_what_it_lacks() {
    let once = "return { framing = 'line', on_message = function()\n\
        local up = connect('tcp://127.0.0.1:1'); up:send('q'); return up:read() end }";
    let end = "@upstream up tcp://127.0.0.1:1\n> x\nup< q\nup!> close\nup> r\n";
    let why = "its connection is closed; the handler has made no other";
    fails(once, end, &["t.dialogue:5: up> r", why]);
    fails(once, "> x\n!> close\n> y\n", &["its connection is closed; !> connect makes a new one"]);
}

#[test]
fn an_upstream_ends_as_it_likes() {
    let url = "tcp://127.0.0.1:9000";
    let db = "@upstream db tcp://127.0.0.1:9000\n> k\ndb< GET k\n";
    passes(&asking(url), &format!("{db}db!> close\n< ERR eof\n"));
    passes(&asking(url), &format!("{db}db!> eof\n< ERR eof\ndb!< eof\n"));
    passes(&asking(url), &format!("{db}db!> reset\n< ERR reset\n"));
    let resets = "return { framing = 'line', on_message = function()\n\
        local up = connect('tcp://127.0.0.1:9000'); up:send('x'); up:flush(); up:reset(); return 'ok' end }";
    passes(resets, "@upstream db tcp://127.0.0.1:9000\n> k\n< ok\ndb!< reset\n");
}

#[test]
fn a_proxy_passes_on_what_both_say_and_how_they_end() {
    passes_cut(
        PROXY,
        "@upstream db tcp://127.0.0.1:9000\n> a\ndb< > a\ndb> b\n< < b\n> c\n> d\ndb< > c\ndb< > d\n\
         !> eof\ndb!< eof\n",
    );
    passes(PROXY, "@upstream db tcp://127.0.0.1:9000\n> a\ndb< > a\ndb!> close\n!< eof\n");
    // Each client has its own.
    passes(
        PROXY,
        "@upstream a tcp://127.0.0.1:9000\n@upstream b tcp://127.0.0.1:9000\nann> a\na< > a\n\
         bob> b\na> one\nann< < one\nb< > b\nb> two\nbob< < two\nann!< silence 1s\n",
    );
}

#[test]
fn of_several_at_one_url_the_first_without_a_connection_answers() {
    let two = "@upstream a tcp://127.0.0.1:9000\n@upstream b tcp://127.0.0.1:9000\n";
    passes(
        PROXY,
        &format!("{two}ann> 1\nbob> 2\na< > 1\nb< > 2\na> x\nann< < x\nb> y\nbob< < y\n"),
    );
    // The third one comes to the last, once it has no other any more.
    passes(
        PROXY,
        &format!(
            "{two}ann> 1\nbob> 2\ncy> 3\na< > 1\nb< > 2\nb!> close\nbob!< eof\nb< > 3\nb> z\ncy< < z\n"
        ),
    );
}

#[test]
fn several_at_several_urls_are_told_apart() {
    let handler = "return { framing = 'line', on_message = function(msg)\n\
        local up = connect(if msg == 'u' then 'udp://127.0.0.1:1' else 'tcp://127.0.0.1:1')\n\
        up:send(msg); return up:read() end }";
    passes(
        handler,
        "@upstream stream tcp://127.0.0.1:1\n@upstream grams udp://127.0.0.1:1\n\
         > u\ngrams> from grams\n< from grams\ngrams< u\n> t\nstream< t\nstream> from stream\n< from stream\n",
    );
}

#[test]
fn an_outgoing_connection_shows_its_addresses() {
    let handler = "return { framing = 'line', on_message = function()\n\
        local up = connect('tcp://192.0.2.1:9000'); return `{up.transport} {up.peer} {up.local_addr}` end }";
    passes(
        handler,
        "@upstream db tcp://192.0.2.1:9000\n> x\n<~ ^tcp 192.0.2.1:9000 127.0.0.1:5000\\d$\n",
    );
}

/// Logs in to the server behind it while it is loaded, and tells clients what that has said.
const LOGIN: &str = "return { framing = 'line', on_load = function()\n\
    local db = connect('tcp://127.0.0.1:5432'); db:send('LOGIN')\n\
    server.state.greeting = db:read() end,\n\
    on_message = function() return server.state.greeting end }";

const DB: &str = "@upstream db tcp://127.0.0.1:5432\n";

#[test]
fn an_upstream_answers_what_is_read_while_the_handler_loads() {
    passes_cut(LOGIN, &format!("{DB}db< LOGIN\ndb> WELCOME\n> x\n< WELCOME\n"));
    passes_cut(
        LOGIN,
        &format!("{DB}db<< \"LOG\"\ndb< IN\ndb>> \"WEL\"\ndb> COME\n> x\n< WELCOME\n"),
    );
    // Time may pass, and what the handler did can be seen, as long as the upstream goes on.
    let slow = LOGIN.replace("db:send('LOGIN')", "sleep(4); print('late'); db:send('LOGIN')");
    passes(&slow, &format!("{DB}db< LOGIN\n= 5s\ndb> WELCOME\n> x\n< WELCOME\n"));
    passes(&slow, &format!("{DB}= 1s\n!< log late\ndb< LOGIN\ndb> hi\n> x\n< hi\n"));
    // Clients wait, however little time they have.
    let rests = LOGIN.replace("db:read() end", "db:read(); sleep(3) end");
    let impatient = format!("@timeout 1ms\n{DB}db< LOGIN\ndb> hi\n> x\n< hi\n");
    passes(&rests, &impatient);
    passes(&rests, &impatient.replace("> x", "= 1ms\n> x"));
    passes(LOGIN, &format!("{DB}db< LOGIN\ndb>> \"bye\"\ndb!> close\n> x\n< bye\n"));
    let two = "return { framing = 'line', on_load = function()\n\
        local a, b = connect('tcp://127.0.0.1:1'), connect('udp://127.0.0.1:1')\n\
        b:send('?'); server.state.all = a:read() .. b:read() end,\n\
        on_message = function() return server.state.all end }";
    passes(
        two,
        "@upstream a tcp://127.0.0.1:1\n@upstream b udp://127.0.0.1:1\nb< ?\nb> 2\na> 1\n> x\n< 12\n",
    );
}

#[test]
fn what_fails_while_the_handler_loads_is_told_with_its_cause() {
    fails(LOGIN, &format!("{DB}db< HELO\ndb> hi\n"), &["t.dialogue:2: db< HELO", "LOGIN"]);
    fails(LOGIN, &format!("{DB}db< LOGIN\ndb> hi\n> x\n"), &["no step expects it: \"hi"]);
    let before = ["t.dialogue: before the first step", "on_load failed"];
    let picky = LOGIN.replace("db:read() end", "db:read(); error('refused') end");
    for steps in ["db> hi\n", "db> hi\ndb< MORE\n", "db> hi\n> x\n", "db> hi\n= 1s\n"] {
        let dialogue = format!("{DB}db< LOGIN\n{steps}");
        fails(&picky, &dialogue, &[before[0], before[1], "refused"]);
    }
    let ended = "it had not ended after 10 seconds";
    fails(LOGIN, &format!("{DB}db< LOGIN\n> x\ndb> hi\n< hi\n"), &[before[0], before[1], ended]);
    fails(LOGIN, &format!("{DB}db< LOGIN\n"), &[before[0], before[1], ended]);
    let nobody = LOGIN.replace("local db = ", "error('no database'); local db = ");
    fails(&nobody, &format!("{DB}db< LOGIN\n"), &[before[0], before[1], "no database"]);
}

#[test]
fn an_upstream_answers_what_is_read_while_a_handler_is_replaced() {
    let steps = "> a\n< old\n!> reload login.lua\ndb< LOGIN\ndb> WELCOME\n> b\n< WELCOME\n";
    let old = "return { framing = 'line', on_message = function() return 'old' end }";
    let folder = Folder::new().file("handler.lua", old).file("login.lua", LOGIN);
    let folder = folder.file("t.dialogue", format!("{DB}{steps}"));
    folder.test("t.dialogue --script handler.lua --splits").goes_well(&["ok    t.dialogue"]);
    // The old one answers nobody meanwhile, and stays where the new one fails.
    for (steps, parts) in [
        (
            "!> reload login.lua\n> b\ndb< LOGIN\ndb> hi\n",
            ["t.dialogue:2: !> reload", "10 seconds"],
        ),
        ("!> reload login.lua\n", ["t.dialogue:2: !> reload", "10 seconds"]),
        (
            "!> reload login.lua\ndb< LOGIN\n!> reload handler.lua\n",
            ["t.dialogue:2: ", "10 seconds"],
        ),
        ("!> reload login.lua\ndb< HELO\n", ["t.dialogue:3: db< HELO", "LOGIN"]),
        ("!> reload no.lua\ndb< LOGIN\n", ["t.dialogue:2: !> reload", "no.lua"]),
    ] {
        let folder = Folder::new().file("handler.lua", old).file("login.lua", LOGIN);
        let folder = folder.file("t.dialogue", format!("{DB}{steps}"));
        folder.test("t.dialogue --script handler.lua").goes_wrong(&parts);
    }
}
