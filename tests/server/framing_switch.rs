//! Framing that changes under an open connection: by `set_framing`, by a reload, for replies
//! alone. The bytes behind the change are read by the new one.

use crate::framed::exchange_at_every_split;
use crate::support::Server;
use crate::talk::reload;

/// `use SPEC` changes the framing, `use nil` takes it back.
const SWITCHING: &str = r#"return {
  FRAMING
  on_message = function(msg, conn)
    local spec = msg:match("^use (.*)$")
    if not spec then return "<" .. msg .. ">" end
    return tostring(conn:set_framing(if spec == "nil" then nil else spec))
  end,
}
"#;

fn switching(framing: &str) -> String {
    SWITCHING.replace("FRAMING", framing)
}

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

#[test]
fn the_bytes_behind_a_set_framing_are_read_by_the_new_framing() {
    let server = start(&switching("framing = \"line\","));
    exchange_at_every_split(
        &mut server.tcp(),
        b"a\nuse netstring\n1:b,7:use nil,c\n",
        b"<a>\ntrue\n3:<b>,4:true,<c>\n",
    );
}

#[test]
fn a_switch_to_a_counted_block_and_to_raw() {
    let server = start(&switching("framing = \"line\","));
    server.tcp().exchange(b"use fixed:4\nabcd\n\r\nx", b"true\n<abcd><\n\r\nx>");
    server.tcp().exchange(b"use raw\nall of\nthis", b"true\n<all of\nthis>");
    server.tcp().exchange(b"use delimiter:0x00\na\nb\0", b"true\n<a\nb>\0");
}

#[test]
fn a_switch_to_a_function() {
    let script = r#"
local function pairs_of(buffer)
  if #buffer < 2 then return nil, 2 end
  return 2, buffer:sub(1, 2)
end
return {
  framing = "line",
  on_message = function(msg, conn)
    if msg == "pairs" then conn:set_framing(pairs_of) end
    if msg == "!!" then conn:set_framing(nil) end
    return "<" .. msg .. ">"
  end,
}
"#;
    let server = start(script);
    exchange_at_every_split(
        &mut server.tcp(),
        b"one\npairs\nabcd!!two\n",
        b"<one>\n<pairs>\n<ab><cd><!!><two>\n",
    );
}

#[test]
fn what_is_sent_takes_the_new_framing_and_what_is_returned_the_old() {
    let server = start(
        "return {
           framing = \"line\",
           on_message = function(msg, conn)
             conn:send(\"before\")
             conn:set_framing(\"netstring\")
             conn:send(\"after\")
             conn:send_raw(\"raw \")
             return \"returned\"
           end,
         }\n",
    );
    let mut client = server.tcp();
    client.exchange(b"go\n", b"before\n5:after,raw returned\n");
    client.exchange(b"2:go,", b"6:before,5:after,raw 8:returned,");
}

#[test]
fn on_connect_may_set_the_framing() {
    let server = start(
        "return {
           framing = \"line\",
           on_connect = function(conn) conn:set_framing(\"netstring\"); conn:send(\"hello\") end,
           on_message = function(msg) return \"<\" .. msg .. \">\" end,
         }\n",
    );
    let mut client = server.tcp();
    client.expect(b"5:hello,");
    client.exchange(b"1:x,", b"3:<x>,");
}

/// `first` is remembered; anything said by another connection sets its framing.
const BY_ANOTHER: &str = r#"return {
  framing = "line",
  on_message = function(msg, conn)
    if msg == "wait" then
      server.state.first = conn
      log.info("waiting")
      repeat sleep(0.01) until server.state.go
      conn:send("sent")
      return "returned"
    end
    if conn ~= server.state.first then
      server.state.first:set_framing(msg)
      server.state.go = true
    end
    return "<" .. msg .. ">"
  end,
}
"#;

#[test]
fn a_returned_reply_takes_the_framing_in_force_when_its_message_arrived() {
    let server = start(BY_ANOTHER);
    let mut first = server.tcp();
    first.send(b"wait\n");
    server.wait_log("waiting");
    server.tcp().exchange(b"netstring\n", b"<netstring>\n");
    first.expect(b"4:sent,returned\n");
    first.exchange(b"1:x,", b"3:<x>,");
}

#[test]
fn another_connections_set_framing_counts_for_what_is_in_the_buffer() {
    let server = start(BY_ANOTHER);
    let mut first = server.tcp();
    let mut other = server.tcp();
    first.send(b"wait\nab");
    server.wait_log("waiting");
    other.exchange(b"fixed:2\n", b"<fixed:2>\n");
    first.expect(b"sentreturned\n");
    first.exchange(b"cd", b"<ab><cd>");
}

#[test]
fn on_a_closed_connection_set_framing_says_so() {
    let server = start(
        "return {
           framing = \"line\",
           on_message = function(msg, conn) server.state.kept = conn; return msg end,
           on_close = function(conn)
             local ok, why = server.state.kept:set_framing(\"raw\")
             log.info(`set_framing gave {ok} {why};`)
           end,
         }\n",
    );
    let mut client = server.tcp();
    client.exchange(b"x\n", b"x\n");
    client.half_close();
    client.expect_eof();
    server.wait_log("set_framing gave nil closed;");
}

#[test]
fn replies_may_have_a_framing_of_their_own() {
    for (keys, wire, answers) in [
        ("framing = \"line\", reply_framing = \"netstring\",", "a\nb\n", "3:<a>,3:<b>,"),
        ("framing = \"netstring\", reply_framing = \"crlf\",", "1:a,1:b,", "<a>\r\n<b>\r\n"),
        ("framing = \"line\", reply_framing = \"raw\",", "a\nb\n", "<a><b>"),
        ("reply_framing = {line = true},", "a", "<a>\n"),
        ("framing = \"fixed:1\", reply_framing = {delimiter = \"|\"},", "ab", "<a>|<b>|"),
        ("framing = \"line\", reply_framing = \"length:u8\",", "a\n", "\x03<a>"),
    ] {
        start(&switching(keys)).tcp().exchange(wire.as_bytes(), answers.as_bytes());
    }
}

#[test]
fn set_framing_sets_both_directions_and_nil_brings_both_back() {
    let server = start(&switching("framing = \"line\", reply_framing = \"crlf\","));
    server
        .tcp()
        .exchange(b"a\nuse netstring\n1:b,7:use nil,c\n", b"<a>\r\ntrue\r\n3:<b>,4:true,<c>\r\n");
}

#[test]
fn the_framing_of_the_command_line_leaves_an_explicit_reply_framing_alone() {
    let start = |keys: &str| {
        let script = switching(keys);
        Server::builder().script(&script).args(["--framing", "netstring"]).start()
    };
    let both = start("framing = \"line\", reply_framing = \"crlf\",");
    both.tcp().exchange(b"1:a,", b"<a>\r\n");
    let one = start("framing = \"line\",");
    one.tcp().exchange(b"1:a,8:use line,b\n7:use nil\n", b"3:<a>,4:true,<b>\n<7:use nil>\n");
    one.tcp().exchange(b"8:use line,use nil\n1:c,", b"4:true,true\n3:<c>,");
}

#[test]
fn a_reload_changes_the_framing_of_an_open_connection() {
    let server = start(&switching("framing = \"line\","));
    let mut client = server.tcp();
    client.exchange(b"one\n", b"<one>\n");
    reload(&server, &switching("framing = \"netstring\","), 2);
    client.exchange(b"3:two,", b"5:<two>,");
    reload(&server, &switching("framing = \"line\", reply_framing = \"crlf\","), 3);
    client.exchange(b"three\n", b"<three>\r\n");
    reload(&server, &switching(""), 4);
    client.exchange(b"four", b"<four>");
}

#[test]
fn a_reload_keeps_the_unframed_bytes() {
    let server = start(&switching("framing = \"line\","));
    let mut client = server.tcp();
    client.exchange(b"one\ntw", b"<one>\n");
    reload(&server, &format!("-- changed\n{}", switching("framing = \"line\",")), 2);
    client.exchange(b"o\nab", b"<two>\n");
    reload(&server, &switching("framing = \"fixed:2\","), 3);
    client.exchange(b"c\nd", b"<ab><c\n>");
    reload(&server, &switching("framing = \"line\","), 4);
    client.exchange(b"ef\n", b"<def>\n");
}

#[test]
fn a_message_that_a_new_framing_finds_in_the_buffer_is_handled_at_once() {
    let server = start(&switching("framing = \"line\","));
    let mut client = server.tcp();
    client.exchange(b"one\nabcde", b"<one>\n");
    reload(&server, &switching("framing = \"fixed:2\","), 2);
    client.expect(b"<ab><cd>");
    client.exchange(b"f", b"<ef>");
}

#[test]
fn a_framing_of_its_own_survives_a_reload_until_it_is_given_back() {
    let server = start(&switching("framing = \"line\","));
    let mut own = server.tcp();
    let mut other = server.tcp();
    own.exchange(b"use netstring\n1:", b"true\n");
    other.exchange(b"x\n", b"<x>\n");
    reload(&server, &switching("framing = \"crlf\","), 2);
    own.exchange(b"b,", b"3:<b>,");
    other.exchange(b"x\r\n", b"<x>\r\n");
    own.exchange(b"7:use nil,c\r\n", b"4:true,<c>\r\n");
}

#[test]
fn a_function_of_its_own_survives_a_reload() {
    let script = |word: &str| {
        format!(
            "local function split(buffer)
               if #buffer < 2 then return nil end
               return 2, buffer:sub(1, 2) .. \" {word}\"
             end
             return {{
               framing = \"line\",
               on_message = function(msg, conn)
                 if msg == \"own\" then conn:set_framing(split) end
                 return `{word} {{msg}}`
               end,
             }}\n"
        )
    };
    let server = start(&script("one"));
    let mut client = server.tcp();
    client.exchange(b"own\nabc", b"one own\none ab one");
    reload(&server, &script("two"), 2);
    client.exchange(b"d", b"two cd one");
}

#[test]
fn the_framing_of_the_command_line_stays_over_a_reload() {
    let script = switching("framing = \"line\",");
    let server = Server::builder().script(&script).args(["-f", "netstring"]).start();
    let mut client = server.tcp();
    client.exchange(b"1:a,", b"3:<a>,");
    reload(&server, &switching("framing = \"crlf\","), 2);
    client.exchange(b"1:b,", b"3:<b>,");
}

#[test]
fn the_reply_of_a_call_that_a_reload_overtook_keeps_its_framing() {
    let script = |framing: &str| {
        format!(
            "return {{
               framing = \"{framing}\",
               on_message = function(msg)
                 if msg == \"go\" then server.state.go = true end
                 if msg == \"wait\" then
                   log.info(\"waiting\")
                   repeat sleep(0.01) until server.state.go
                 end
                 return \"<\" .. msg .. \">\"
               end,
             }}\n"
        )
    };
    let server = start(&script("line"));
    let mut waiting = server.tcp();
    waiting.send(b"wait\n");
    server.wait_log("waiting");
    reload(&server, &script("netstring"), 2);
    server.tcp().exchange(b"2:go,", b"4:<go>,");
    waiting.expect(b"<wait>\n");
    waiting.exchange(b"1:x,", b"3:<x>,");
}
