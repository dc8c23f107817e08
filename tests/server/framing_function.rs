//! A script's own function as framing: what it is offered, what its returns mean, and how the
//! connection ends where it fails. Datagrams are in `framing_datagram`.

use crate::framed::{bracketing, brackets, exchange_at_every_split, send_pieces};
use crate::support::Server;
use crate::talk::place_of;

/// Messages end in `;`, spaces before them are skipped, a rest is a message at end of stream.
const SEMICOLONS: &str = r#"function(buffer, eof)
  local spaces = buffer:match("^ +")
  if spaces then return #spaces end
  local at = buffer:find(";", 1, true)
  if at then return at, buffer:sub(1, at - 1) end
  if eof and #buffer > 0 then return #buffer, buffer end
  return nil
end"#;

/// A handler whose framing function has this body.
fn framed_by(body: &str) -> String {
    bracketing(&format!("function(buffer, eof)\n{body}\nend"))
}

/// The sizes of the buffers that a function has logged as `offered N;`.
fn offered(server: &Server) -> Vec<usize> {
    let log = server.log_text();
    let sizes = log.split("offered ").skip(1).filter_map(|rest| rest.split_once(';'));
    sizes.map(|(size, _)| size.parse().unwrap()).collect()
}

#[test]
fn a_function_gives_the_same_messages_at_every_split() {
    let server = brackets(SEMICOLONS);
    let mut client = server.tcp();
    exchange_at_every_split(&mut client, b"one;  two;;\0\n; x;", b"<one><two><><\0\n><x>");
}

#[test]
fn a_function_may_stand_in_a_table() {
    for spec in [format!("{{{SEMICOLONS}}}"), format!("{{{SEMICOLONS}, max = 65536}}")] {
        brackets(&spec).tcp().exchange(b"one;two;", b"<one><two>");
    }
}

#[test]
fn replies_go_verbatim() {
    let server = Server::builder()
        .script(&format!(
            "return {{
               framing = {SEMICOLONS},
               on_message = function(msg, conn)
                 conn:send(\"sent \")
                 return {{msg, \"\", \"!\"}}
               end,
             }}\n"
        ))
        .start();
    server.tcp().exchange(b"one;two;", b"sent one!sent two!");
}

#[test]
fn the_message_need_not_be_what_was_consumed() {
    let server = brackets(
        "function(buffer)
           if #buffer < 3 then return end
           return 3, buffer:sub(1, 3):reverse() .. \" and more\"
         end",
    );
    server.tcp().exchange(b"abcdef", b"<cba and more><fed and more>");
}

#[test]
fn a_function_may_keep_what_it_has_seen_in_the_script() {
    let server = Server::builder()
        .script(
            "local count = 0
             return {
               framing = function(buffer)
                 count += 1
                 return 1, buffer:sub(1, 1) .. count
               end,
               on_message = function(msg) return msg .. \" \" end,
             }\n",
        )
        .start();
    server.tcp().exchange(b"abc", b"a1 b2 c3 ");
    server.tcp().exchange(b"d", b"d4 ");
}

#[test]
fn a_function_that_names_a_need_is_not_asked_before() {
    let server = Server::builder()
        .script(&framed_by(
            "log.info(`offered {#buffer};`)
             if #buffer < 10 then return nil, 10 end
             return 10, buffer:sub(1, 10)",
        ))
        .start();
    let mut client = server.tcp();
    client.send(b"1");
    server.wait_log("offered 1;");
    send_pieces(&mut client, b"23456789".chunks(1));
    client.exchange(b"0", b"<1234567890>");
    server.wait_log("offered 10;");
    let sizes = offered(&server);
    assert!(sizes.iter().all(|&size| size == 1 || size >= 10), "{sizes:?}");
    client.exchange(b"abcdefghij", b"<abcdefghij>");
}

#[test]
fn the_buffer_offered_starts_small_and_doubles() {
    let server = Server::builder()
        .script(&format!(
            "local function split(buffer, eof)
               log.info(`offered {{#buffer}};`)
               return ({SEMICOLONS})(buffer, eof)
             end
             return {{
               framing = split,
               on_message = function(msg)
                 if msg == \"wait\" then
                   log.info(\"waiting\")
                   repeat sleep(0.01) until server.state.go
                 end
                 if msg == \"go\" then server.state.go = true end
                 return `{{#msg}} `
               end,
             }}\n"
        ))
        .start();
    let mut client = server.tcp();
    client.send(b"wait;");
    server.wait_log("waiting");
    let before = offered(&server).len();
    // All of it is there before the function is asked again.
    client.send(&[&vec![b'x'; 100_000][..], b";"].concat());
    server.tcp().exchange(b"go;", b"2 ");
    client.expect(b"4 100000 ");
    server.wait_log("offered 100001;");
    let mut sizes = offered(&server).split_off(before);
    sizes.retain(|&size| size != "go;".len());
    assert!(sizes.first().is_some_and(|&first| first <= 4096), "{sizes:?}");
    for pair in sizes.windows(2) {
        assert!(pair[1] > pair[0] && pair[1] <= 2 * pair[0], "{sizes:?}");
    }
    assert!(sizes.len() <= 20, "asked {} times", sizes.len());
}

#[test]
fn at_end_of_stream_a_function_is_asked_for_as_long_as_it_consumes() {
    let server = Server::builder()
        .script(&framed_by(
            "if not eof or #buffer < 2 then return nil end
             return 2, buffer:sub(1, 2)",
        ))
        .start();
    let mut client = server.tcp();
    client.send(b"abcdefg");
    client.half_close();
    assert_eq!(client.read_to_end(), b"<ab><cd><ef>");
    server.wait_log("cut message dropped: 1 byte");
    server.wait_log("gone: eof;");
}

#[test]
fn at_end_of_stream_what_a_function_takes_is_no_cut_message() {
    let server = brackets(SEMICOLONS);
    let mut client = server.tcp();
    client.send(b"one;  two");
    client.half_close();
    assert_eq!(client.read_to_end(), b"<one><two>");
    server.wait_log("gone: eof;");
    server.assert_no_log("cut message");
}

/// Returns that mean nothing, for a buffer that holds `go`.
const NONSENSE: [&str; 16] = [
    "\"x\"",
    "true",
    "false",
    "{}",
    "1.5",
    "0/0",
    "math.huge",
    "-1",
    "3",
    "0",
    "0, \"message\"",
    "1, 42",
    "1, {}",
    "nil, true",
    "nil, 2",
    "nil, 2.5",
];

#[test]
fn a_return_that_means_nothing_is_a_fault_and_ends_with_framing() {
    for nonsense in NONSENSE {
        eprintln!("{nonsense}");
        let body = format!("if buffer == \"go\" then return {nonsense} end\nreturn 1, buffer");
        let server =
            Server::builder().script(&framed_by(&body)).args(["--on-error", "keep"]).start();
        let mut witness = server.tcp();
        let mut client = server.tcp();
        client.exchange(b"x", b"<x>");
        client.send(b"go");
        client.expect_eof();
        let fault = server.wait_log("handler fault");
        assert!(fault.contains("framing failed"), "{nonsense}: {fault}");
        server.wait_log("gone: framing;");
        witness.exchange(b"x", b"<x>");
    }
}

#[test]
fn malformed_bytes_are_the_fault_of_the_peer_and_end_with_framing() {
    let server = brackets(
        "function(buffer)
           if buffer:byte() > 127 then return nil, \"a byte over 127\\n\" end
           return 1, buffer:sub(1, 1)
         end",
    );
    let (mut client, peer) = (server.tcp(), server.udp());
    client.exchange(b"ab\xffc", b"<a><b>");
    client.expect_eof();
    peer.exchange(b"a\xff", b"<a>");
    for line in server.wait_log_count("malformed message: ", 2) {
        assert!(line.contains(r"malformed message: a byte over 127\n"), "{line}");
        assert!(line.contains(" INFO "), "{line}");
    }
    server.wait_log_count("gone: framing;", 2);
    server.assert_no_log("handler fault");
}

#[test]
fn an_error_of_a_function_is_shown_and_ends_with_framing() {
    let script = framed_by(
        "if buffer == \"bad\" then
           error(\"no such frame\") -- HERE
         end
         return #buffer, buffer",
    );
    let server = Server::builder().script(&script).args(["--on-error", "keep"]).start();
    let mut witness = server.tcp();
    let mut client = server.tcp();
    client.exchange(b"good", b"<good>");
    client.send(b"bad");
    client.expect_eof();
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("framing failed") && fault.contains("no such frame"), "{fault}");
    assert!(fault.contains(&place_of(&script, "HERE")), "{fault}");
    server.wait_log("gone: framing;");
    witness.exchange(b"good", b"<good>");
}

#[test]
fn what_came_before_the_failure_of_a_function_is_answered() {
    let server = Server::builder()
        .script(&framed_by(
            "if buffer:sub(1, 1) == \"x\" then error(\"no\") end
             return 1, buffer:sub(1, 1)",
        ))
        .start();
    let mut client = server.tcp();
    client.send(b"abxcd");
    assert_eq!(client.read_to_end(), b"<a><b>");
    server.wait_log("gone: framing;");
}

#[test]
fn a_function_over_its_budget_is_ended_and_holds_nobody_up() {
    for body in ["while true do end", "while true do pcall(function() while true do end end) end"] {
        let body = format!("if buffer == \"loop\" then {body} end\nreturn #buffer, buffer");
        let server = Server::builder().script(&framed_by(&body)).args(["--budget", "50ms"]).start();
        let mut witness = server.tcp();
        witness.exchange(b"x", b"<x>");
        let mut client = server.tcp();
        client.send(b"loop");
        client.expect_eof();
        let fault = server.wait_log("handler fault");
        assert!(fault.contains("framing failed"), "{fault}");
        server.wait_log("gone: framing;");
        witness.exchange(b"x", b"<x>");
    }
}

#[test]
fn a_function_that_never_finds_a_message_ends_as_oversize() {
    let server = brackets("{function() return nil end, max = 65536}");
    let mut client = server.tcp();
    client.send(&vec![b'x'; 60_000]);
    client.expect_silence(std::time::Duration::from_millis(100));
    let _ = client.try_send(&vec![b'x'; 60_000]);
    client.expect_gone();
    server.wait_log("message over the limit of 65536 bytes");
    server.wait_log("gone: oversize;");
}

#[test]
fn a_need_above_the_limit_is_oversize_at_once() {
    let server = brackets("{function() return nil, 101 end, max = 100}");
    let mut client = server.tcp();
    client.send(b"x");
    client.expect_eof();
    server.wait_log("message over the limit of 100 bytes");
    server.wait_log("gone: oversize;");
}

#[test]
fn a_function_that_skips_for_ever_takes_no_memory() {
    let server = brackets("function(buffer) return #buffer end");
    let mut client = server.tcp();
    client.send(&vec![b'x'; 1 << 20]);
    let before = server.memory_kib();
    for _ in 0..64 {
        client.send(&vec![b'x'; 1 << 20]);
    }
    let after = server.memory_kib();
    assert!(after < before + 16 * 1024, "{before} KiB grew to {after} KiB");
    client.half_close();
    client.expect_eof();
}
