//! What a script may be and what its callbacks may return: replies, nothing, rejects, and the
//! values that are mistakes. Over datagrams where it matters that nothing was sent.

use crate::support::Server;

/// A handler that answers each message with the case of that name.
fn cases(list: &str) -> Server {
    Server::builder()
        .script(&format!(
            "\
local CASES = {{
  {list}
}}
return function(msg, conn)
  if CASES[msg] then return CASES[msg](msg, conn) end
  return msg
end
"
        ))
        .start()
}

/// `expression`, returned from `on_message`, sends exactly `replies` as datagrams.
fn returns(expression: &str, replies: &[&[u8]]) -> Server {
    let server = cases(&format!("case = function(msg, conn) return {expression} end,"));
    let peer = server.udp();
    peer.send(b"case");
    for reply in replies {
        peer.expect(reply);
    }
    peer.exchange(b"nothing between", b"nothing between");
    server.assert_no_log("handler fault");
    server
}

#[test]
fn a_script_may_be_a_function() {
    let server = Server::builder().script("return function(msg) return msg:upper() end\n").start();
    server.tcp().exchange(b"abc", b"ABC");
}

#[test]
fn a_script_may_be_a_table() {
    let server = Server::builder()
        .script("return {on_message = function(msg) return msg:upper() end}\n")
        .start();
    server.tcp().exchange(b"abc", b"ABC");
    server.udp().exchange(b"abc", b"ABC");
}

#[test]
fn a_script_without_on_message_ignores_input() {
    let server = Server::builder()
        .script("return {on_eof = function(conn) conn:send(\"only the end counts\") end}\n")
        .start();
    let mut client = server.tcp();
    client.send(b"abc");
    client.send(b"def");
    client.half_close();
    assert_eq!(client.read_to_end(), b"only the end counts");
    server.assert_no_log("handler fault");
}

#[test]
fn a_string_is_one_reply() {
    returns("\"one\"", &[b"one"]);
}

#[test]
fn a_string_of_any_bytes_is_not_reencoded() {
    returns("\"\\0\\255\\r\\n\\128\"", &[b"\0\xff\r\n\x80"]);
}

#[test]
fn an_empty_string_is_an_empty_datagram() {
    returns("\"\"", &[b""]);
}

#[test]
fn an_empty_string_is_nothing_on_a_stream() {
    let server = cases("case = function() return \"\" end,");
    let mut client = server.tcp();
    client.send(b"case");
    client.half_close();
    client.expect_eof();
    server.assert_no_log("handler fault");
}

#[test]
fn an_array_of_strings_is_that_many_replies() {
    returns("{\"a\", \"b\", \"c\"}", &[b"a", b"b", b"c"]);
}

#[test]
fn an_array_of_strings_keeps_its_order_on_a_stream() {
    let server = cases("case = function() return {\"a\\n\", \"\", \"b\\n\", \"c\\n\"} end,");
    server.tcp().exchange(b"case", b"a\nb\nc\n");
}

#[test]
fn an_empty_array_is_no_reply() {
    returns("{}", &[]);
}

#[test]
fn nothing_is_no_reply() {
    let server = cases("case = function() end,");
    let peer = server.udp();
    peer.send(b"case");
    peer.exchange(b"next", b"next");
    server.assert_no_log("message rejected");
}

#[test]
fn a_lone_nil_is_no_reply_and_no_reject() {
    let server = returns("nil", &[]);
    server.assert_no_log("message rejected");
}

#[test]
fn true_is_no_reply() {
    returns("true", &[]);
}

#[test]
fn what_send_returns_is_harmless() {
    returns("conn:send(\"sent\")", &[b"sent"]);
}

#[test]
fn nil_and_a_reason_reject_the_message() {
    let server = returns("nil, \"too long\"", &[]);
    let line = server.wait_log("message rejected");
    assert!(line.contains(" INFO "), "{line}");
    assert!(line.contains("reason=\"too long\""), "{line}");
    assert!(line.contains("udp 127.0.0.1:"), "{line}");
    assert!(line.contains("generation=1") && line.contains("hash="), "{line}");
}

#[test]
fn a_reject_may_have_a_reply_for_the_peer() {
    let server = returns("nil, \"too long\", \"ERR too long\"", &[b"ERR too long"]);
    assert!(server.wait_log("message rejected").contains("reason=\"too long\""));
}

#[test]
fn a_reject_does_not_close_the_connection() {
    let server = cases("case = function() return nil, \"no\", \"no\\n\" end,");
    let mut client = server.tcp();
    for _ in 0..3 {
        client.exchange(b"case", b"no\n");
    }
    client.exchange(b"next", b"next");
    assert_eq!(server.wait_log_count("message rejected", 3).len(), 3);
}

#[test]
fn on_a_connection_that_is_gone_nothing_is_a_reject() {
    let server = cases(
        "case = function(msg, conn)
           conn:reset()
           return conn:send(\"too late\")
         end,",
    );
    let mut client = server.tcp();
    client.send(b"case");
    client.expect_gone();
    server.tcp().exchange(b"next", b"next");
    server.assert_no_log("message rejected");
    server.assert_no_log("handler fault");
}

#[test]
fn values_after_a_string_are_ignored() {
    returns("(\"a-a-a\"):gsub(\"a\", \"b\")", &[b"b-b-b"]);
    returns("\"one\", \"two\", 3", &[b"one"]);
}

#[test]
fn values_after_an_array_are_ignored() {
    returns("{\"one\"}, \"two\"", &[b"one"]);
}

/// `expression`, returned from `on_message`, is a handler error that says each of `says`, and
/// the connection stays.
fn is_a_mistake(expression: &str, says: &[&str]) {
    let server = cases(&format!("case = function() return {expression} end,"));
    let mut client = server.tcp();
    client.send(b"case");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("on_message"), "{fault}");
    for text in says {
        server.wait_log(text);
    }
    client.exchange(b"next", b"next");
    server.assert_no_log("message rejected");
}

#[test]
fn a_number_is_a_mistake_with_a_hint() {
    is_a_mistake("7", &["number", "tostring"]);
}

#[test]
fn false_is_a_mistake() {
    is_a_mistake("false", &["false"]);
}

#[test]
fn a_function_is_a_mistake() {
    is_a_mistake("print", &["function"]);
}

#[test]
fn a_table_with_a_number_is_a_mistake_with_a_hint() {
    is_a_mistake("{\"a\", 7}", &["number", "tostring"]);
}

#[test]
fn a_table_with_keys_is_a_mistake() {
    is_a_mistake("{text = \"a\"}", &["array"]);
}

#[test]
fn a_mistaken_array_sends_none_of_its_strings() {
    let server = cases("case = function() return {\"a\", 7} end,");
    let peer = server.udp();
    peer.send(b"case");
    server.wait_log("handler fault");
    peer.exchange(b"next", b"next");
}

#[test]
fn a_yield_at_top_level_is_a_handler_error() {
    let server = cases("case = function() coroutine.yield(\"x\") return \"went on\" end,");
    let mut client = server.tcp();
    client.send(b"case");
    let fault = server.wait_log("handler fault");
    assert!(fault.contains("yield"), "{fault}");
    client.exchange(b"next", b"next");
}

#[test]
fn coroutines_of_the_scripts_own_work() {
    let server = cases(
        "case = function()
           local co = coroutine.wrap(function(a)
             local b = coroutine.yield(a .. \"1\")
             return b .. \"2\"
           end)
           return co(\"a\") .. co(\"b\")
         end,",
    );
    server.tcp().exchange(b"case", b"a1b2");
}

#[test]
fn an_error_keeps_the_connection() {
    let server = cases("case = function() error(\"boom\") end,");
    let mut client = server.tcp();
    client.send(b"case");
    assert!(server.wait_log("handler fault").contains("boom"));
    client.exchange(b"next", b"next");
}

#[test]
fn an_error_closes_the_connection_where_that_was_asked_for() {
    let server = Server::builder()
        .script(
            "return {
               on_message = function() error(\"boom\") end,
               on_close = function(conn, reason) log.info(`gone: {reason}`) end,
             }\n",
        )
        .args(["--on-error", "close"])
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    client.expect_gone();
    server.wait_log("gone: error");
}

#[test]
fn replies_keep_the_order_of_send_and_return() {
    let server = cases(
        "case = function(msg, conn)
           conn:send(\"first\")
           conn:send(\"second\")
           return {\"third\", \"fourth\"}
         end,",
    );
    let peer = server.udp();
    peer.send(b"case");
    for reply in ["first", "second", "third", "fourth"] {
        peer.expect(reply.as_bytes());
    }
    server.tcp().exchange(b"case", b"firstsecondthirdfourth");
}
