//! The simulation against the server that it simulates: what passes or fails in `scriptsock test`
//! does so on real sockets, too.

use crate::bench_command::bench;
use crate::support::Server;
use crate::test_command::{UPPER, play_with};

/// Plays a dialogue with both; whether it passes, of which they have to think alike.
#[track_caller]
fn both(handler: &str, dialogue: &str, url: &str) -> bool {
    let simulated = play_with(handler, dialogue, "");
    let builder = Server::builder().script(handler).file("t.dialogue", dialogue);
    let url = url.replace("DIR", &builder.dir().display().to_string());
    let server = builder.listen(url).start();
    server.expect_errors();
    let file = server.dir().join("t.dialogue");
    let real = bench(&format!("{} --dialogue {} -c 1 -n 1", server.ready()[0], file.display()));
    assert_eq!(
        simulated.status, real.status,
        "{dialogue}\nsimulated: {}\nreal: {}{}",
        simulated.stdout, real.stdout, real.stderr
    );
    real.status == 0
}

/// With a short limit, for what waits in vain.
fn impatient(dialogue: &str) -> String {
    dialogue.replacen('\n', "\n@timeout 500ms\n", 1)
}

/// A conversation with most of what a handler can do without others.
const SHOP: &str = r#"
local function order(conn, text)
  local number, what = text:match("^(%d+) (%a+)$")
  if not number then
    return nil, "how many?", "ERR how many?"
  end
  conn.state.orders[#conn.state.orders + 1] = what
  return `OK {#conn.state.orders} {number} {what}`
end

return {
  framing = "crlf",
  on_connect = function(conn)
    conn.state.orders = {}
    return { "220 shop", "220 " .. conn.transport }
  end,
  on_message = function(msg, conn)
    local verb, rest = msg:match("^(%S*) ?(.*)$")
    if verb == "buy" then return order(conn, rest) end
    if verb == "list" then return table.concat(conn.state.orders, ",") end
    if verb == "later" then after(0.02, function() conn:send("later: " .. rest) end); return end
    if verb == "wait" then sleep(0.02); return "waited" end
    if verb == "block" then return conn:read({ fixed = 4 }) end
    if verb == "bytes" then conn:send_raw("\0\1\255"); return end
    if verb == "quit" then conn:send("bye"); return conn:close() end
    if verb == "reset" then return conn:reset() end
    if verb == "crash" then error("broken") end
    return ""
  end,
  on_eof = function(conn)
    conn:send("you said eof")
  end,
}
"#;

#[test]
fn streams_are_alike() {
    let greeting = |transport: &str| format!("< 220 shop\n< 220 {transport}\n");
    let right = [
        "> buy 3 apples\n< OK 1 3 apples\n> buy 1 pear\n< OK 2 1 pear\n> list\n< apples,pear\n",
        "> later x\n> list\n< \n< later: x\n",
        "> wait\n> list\n< waited\n<\n",
        "> block\n>> \"abcd\"\n< abcd\n> list\n<\n",
        "> bytes\n<x 00 01 ff\n",
        "> list\n<\n> quit\n< bye\n!< eof\n",
        ">> \"li\"\n>> \"st\\r\"\n>> \"\\nlist\\r\\n\"\n<\n<\n",
        "> buy 1 x\n!> eof\n< OK 1 1 x\n< you said eof\n!< eof\n",
        ">> \"list\"\n!> eof\n<\n< you said eof\n!< eof\n",
        "> later x\n= 40ms\n< later: x\n!< silence 20ms\n",
        "> bytes\n<<~ \\x00.\\xff\n",
    ];
    let wrong = [
        "> list\n< apples\n",
        "> list\n<\n<\n",
        "> list\n> list\n<\n!< eof\n",
        "> later x\n!< silence 1s\n",
        "> quit\n< bye\n< more\n",
        "> reset\n< x\n",
        "> crash\n< x\n",
    ];
    for (transport, url) in [("tcp", "tcp://127.0.0.1:0"), ("unix", "unix://DIR/s.sock")] {
        let with = |steps: &str| {
            format!("@transport {transport}\n@eol crlf\n{}{steps}", greeting(transport))
        };
        for steps in right {
            assert!(both(SHOP, &with(steps), url), "{transport}: {steps}");
        }
        for steps in wrong {
            assert!(!both(SHOP, &impatient(&with(steps)), url), "{transport}: {steps}");
        }
    }
}

#[test]
fn datagrams_are_alike() {
    let handler = "return { framing = 'line', on_connect = function() return 'hello' end,\n\
        on_message = function(msg, conn)\n\
        conn.state.n = (conn.state.n or 0) + 1\n\
        if msg == 'two' then return { 'one', 'two' } end\n\
        if msg == 'none' then return end\n\
        return conn.state.n .. ' ' .. msg end }";
    let right = [
        "> a\n< hello\n< 1 a\n> b\n< 2 b\n",
        "> two\n< hello\n< one\n< two\n",
        "> none\n< hello\n!< silence 50ms\n",
        ">> \"a\\nb\\nc\"\n< hello\n< 1 a\n< 2 b\n< 3 c\n",
        ">> \"\"\n< hello\n< 1 \n",
    ];
    let wrong = [
        "> a\n< hello\n< 2 a\n",
        "> two\n< hello\n< one\n!< silence 50ms\n",
        "> none\n< hello\n< x\n",
    ];
    for (transport, url) in [("udp", "udp://127.0.0.1:0"), ("unixgram", "unixgram://DIR/g.sock")] {
        let with = |steps: &str| format!("@transport {transport}\n@eol lf\n{steps}");
        for steps in right {
            assert!(both(handler, &with(steps), url), "{transport}: {steps}");
        }
        for steps in wrong {
            assert!(!both(handler, &impatient(&with(steps)), url), "{transport}: {steps}");
        }
    }
}

#[test]
fn limits_are_alike() {
    let line = "return { framing = 'line,max=10', on_message = function(msg) return msg end }";
    assert!(both(line, "> 0123456789\n< 0123456789\n> 01234567890\n!< eof\n", "tcp://127.0.0.1:0"));
    let netstring = "return { framing = 'netstring', on_message = function(msg) return msg end }";
    assert!(both(netstring, "@eol none\n> 1:a,\n< 1:a,\n> x\n!< eof\n", "tcp://127.0.0.1:0"));
    let refuses = "return { on_connect = function() return nil, 'no', 'go away\\n' end }";
    // Which a real client cannot name.
    let named = play_with(refuses, "< go away\n!< eof\n!< reject no\n", "");
    named.goes_well(&[]);
    let idle = "return { framing = 'line', idle_timeout = 0.1, on_message = function(msg) return msg end }";
    assert!(both(idle, "> a\n< a\n!< silence 50ms\n!< eof\n", "tcp://127.0.0.1:0"));
    assert!(both(UPPER, "> a\n< A\n", "tcp://127.0.0.1:0"));
}

#[test]
fn what_a_handler_sees_of_a_close_is_alike() {
    // The second connection asks how the first one ended.
    let handler = "local last = 'nobody'\nreturn { framing = 'line', on_message = function(msg)\n\
        if msg == 'who' then return last end return msg end,\n\
        on_close = function(_, reason) last = reason end }";
    for (deed, reason) in [("close", "eof"), ("reset", "reset"), ("eof", "eof")] {
        let first = format!("> a\n< a\n!> {deed}\n");
        let simulated = format!("{first}!> connect\n> who\n< {reason}\n");
        play_with(handler, &simulated, "").goes_well(&[]);
        let server = Server::builder().script(handler).listen("tcp://127.0.0.1:0").start();
        let mut client = server.tcp();
        client.exchange(b"a\n", b"a\n");
        match deed {
            "close" => drop(client),
            "reset" => client.reset(),
            _ => {
                client.half_close();
                client.expect_eof();
            }
        }
        let mut other = server.tcp();
        crate::support::wait_until("the first one should be gone", || {
            other.send(b"who\n");
            let answer = other.read_once();
            (answer != b"nobody\n").then(|| assert_eq!(answer, format!("{reason}\n").as_bytes()))
        });
    }
}
