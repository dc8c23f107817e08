//! `conn:read` inside `on_message`, for protocols that mix lines and counted blocks: a store like
//! memcached, the body of an HTTP request, the text of a mail.

use crate::framed::{exchange_at_every_split, same_dialogue_everywhere};
use crate::support::Server;

fn start(script: &str) -> Server {
    Server::builder().script(script).start()
}

/// `set KEY SIZE` takes a block with its CRLF, `get KEY` gives it back.
const STORE: &str = r#"return {
  framing = "crlf",
  on_message = function(msg, conn)
    local command, key, size = msg:match("^(%a+) (%w+) ?(%d*)$")
    if command == "set" then
      local block, why = conn:read({fixed = tonumber(size) + 2})
      if not block then return "SERVER_ERROR " .. why end
      if block:sub(-2) ~= "\r\n" then return "CLIENT_ERROR bad data chunk" end
      conn.state[key] = block:sub(1, -3)
      return "STORED"
    elseif command == "get" then
      local value = conn.state[key]
      if not value then return "END" end
      return {`VALUE {key} 0 {#value}`, value, "END"}
    end
    return "ERROR"
  end,
}
"#;

#[test]
fn a_set_reads_its_block_at_every_split() {
    let server = start(STORE);
    exchange_at_every_split(
        &mut server.tcp(),
        b"set k 8\r\nab\r\ncd\r\n\r\nget k\r\nset e 0\r\n\r\nget e\r\n",
        b"STORED\r\nVALUE k 0 8\r\nab\r\ncd\r\n\r\nEND\r\nSTORED\r\nVALUE e 0 0\r\n\r\nEND\r\n",
    );
}

#[test]
fn commands_in_a_block_are_not_commands() {
    let server = start(STORE);
    server.tcp().exchange(
        b"set k 7\r\nget k\r\n\r\nget k\r\nset k 3\r\nabcdget k\r\nget k\r\n",
        b"STORED\r\nVALUE k 0 7\r\nget k\r\n\r\nEND\r\nCLIENT_ERROR bad data chunk\r\nERROR\r\n\
          VALUE k 0 7\r\nget k\r\n\r\nEND\r\n",
    );
}

#[test]
fn a_store_gives_the_same_answers_over_every_transport() {
    same_dialogue_everywhere(
        STORE,
        &[
            (b"get k\r\n", &[b"END\r\n"]),
            (b"set k 4\r\na\r\nb\r\n", &[b"STORED\r\n"]),
            (b"get k\r\n", &[b"VALUE k 0 4\r\n", b"a\r\nb\r\n", b"END\r\n"]),
            (b"set k 1\r\n", &[]),
            (b"x\r\n", &[b"STORED\r\n"]),
            (b"get k\r\n", &[b"VALUE k 0 1\r\n", b"x\r\n", b"END\r\n"]),
            (
                b"set k 2\r\nhi\r\nget k\r\nset k 0\r\n\r\n",
                &[b"STORED\r\n", b"VALUE k 0 2\r\n", b"hi\r\n", b"END\r\n", b"STORED\r\n"],
            ),
            (b"nonsense\r\n", &[b"ERROR\r\n"]),
        ],
    );
}

#[test]
fn a_set_that_waits_for_its_block_holds_nobody_up() {
    let server = start(STORE);
    let mut waiting = server.tcp();
    waiting.send(b"set k 5\r\nhel");
    let mut other = server.tcp();
    for _ in 0..10 {
        other.exchange(b"set k 2\r\nhi\r\n", b"STORED\r\n");
    }
    waiting.exchange(b"lo\r\nget k\r\n", b"STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
}

#[test]
fn a_block_that_the_peer_cuts_is_answered_and_the_connection_ends() {
    let server = start(STORE);
    let mut client = server.tcp();
    client.send(b"set k 5\r\nhel");
    client.half_close();
    assert_eq!(client.read_to_end(), b"SERVER_ERROR eof\r\n");
}

/// Headers are read as lines, the body as their `Content-Length` says.
const WEB: &str = r#"return {
  framing = "crlf",
  reply_framing = "raw",
  on_message = function(request, conn)
    local size = 0
    repeat
      local header = conn:read()
      if not header then return end
      local length = header:lower():match("^content%-length: *(%d+)$")
      if length then size = tonumber(length) end
    until header == ""
    local body = conn:read({fixed = size})
    if not body then return end
    local text = `{request}: {#body} bytes ending in {body:sub(-3)}\n`
    return `HTTP/1.1 200 OK\r\nContent-Length: {#text}\r\n\r\n{text}`
  end,
}
"#;

#[test]
fn a_request_reads_its_headers_and_its_body_at_every_split() {
    let server = start(WEB);
    exchange_at_every_split(
        &mut server.tcp(),
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n\r\nabc\nGET /b HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nPOST /a HTTP/1.1: 6 bytes ending in bc\n\n\
          HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\nGET /b HTTP/1.1: 0 bytes ending in \n",
    );
}

#[test]
fn a_large_body_arrives_whole_and_the_next_request_behind_it() {
    let server = start(WEB);
    let mut client = server.tcp();
    let head = b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n";
    let body = "0123456789".repeat(30_000);
    client.send(&[&head[..], body.as_bytes(), b"GET / HTTP/1.1\r\n\r\n"].concat());
    client.expect(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n");
    client.expect(b"POST / HTTP/1.1: 300000 bytes ending in 789\n");
}

/// `DATA` takes lines up to a single dot.
const MAIL: &str = r#"return {
  framing = "crlf",
  on_connect = function() return "220 ready" end,
  on_message = function(msg, conn)
    if msg == "QUIT" then conn:send("221 bye"); return conn:close() end
    if msg ~= "DATA" then return "250 ok" end
    conn:send("354 go ahead")
    local lines = {}
    while true do
      local line, why = conn:read()
      if not line then return nil, why end
      if line == "." then break end
      table.insert(lines, if line:sub(1, 1) == "." then line:sub(2) else line)
    end
    return `250 {#lines} lines: {table.concat(lines, "|")}`
  end,
}
"#;

#[test]
fn a_mail_is_taken_at_every_split() {
    let server = start(MAIL);
    let mut client = server.tcp();
    client.expect(b"220 ready\r\n");
    exchange_at_every_split(
        &mut client,
        b"DATA\r\nhello\r\n\r\n..dot\r\n.\r\nRSET\r\n",
        b"354 go ahead\r\n250 3 lines: hello||.dot\r\n250 ok\r\n",
    );
}

#[test]
fn a_mail_is_the_same_dialogue_over_every_transport() {
    same_dialogue_everywhere(
        MAIL,
        &[
            (b"HELO x\r\n", &[b"220 ready\r\n", b"250 ok\r\n"]),
            (b"DATA\r\n", &[b"354 go ahead\r\n"]),
            (b"one\r\n", &[]),
            (b"\r\n", &[]),
            (b"two\r\nDATA\r\n.\r\n", &[b"250 4 lines: one||two|DATA\r\n"]),
            (b"NOOP\r\n", &[b"250 ok\r\n"]),
            (
                b"DATA\r\nall in one\r\n.\r\n",
                &[b"354 go ahead\r\n", b"250 1 lines: all in one\r\n"],
            ),
            (b"QUIT\r\n", &[b"221 bye\r\n"]),
        ],
    );
}

#[test]
fn on_connect_may_read_a_login() {
    let script = r#"return {
      framing = "line",
      on_connect = function(conn)
        conn:send("name?")
        conn.state.name = conn:read()
        if conn.state.name == "eve" then return nil, "not eve", "no" end
        return "hello " .. conn.state.name
      end,
      on_message = function(msg, conn) return `{conn.state.name}: {msg}` end,
    }
    "#;
    same_dialogue_everywhere(
        script,
        &[(b"ann\n", &[b"name?\n", b"hello ann\n"]), (b"hi\nho\n", &[b"ann: hi\n", b"ann: ho\n"])],
    );
    let server = start(script);
    let mut eve = server.tcp();
    eve.send(b"eve\nhi\n");
    assert_eq!(eve.read_to_end(), b"name?\nno\n");
}

/// `next` answers with what `read` with that spec gives.
fn next(spec: &str) -> Server {
    start(&format!(
        "return {{
           framing = \"line\",
           on_message = function(msg, conn)
             if msg ~= \"next\" then return \"<\" .. msg .. \">\" end
             local msg, why = conn:read({spec})
             return `next {{msg}} {{why}}`
           end,
           on_close = function(conn, reason) log.info(`gone: {{reason}};`) end,
         }}\n"
    ))
}

#[test]
fn a_read_takes_what_would_have_been_the_next_message() {
    let server = next("");
    exchange_at_every_split(
        &mut server.tcp(),
        b"a\nnext\nb\nc\nnext\nnext\nd\n",
        b"<a>\nnext b nil\n<c>\nnext next nil\n<d>\n",
    );
}

#[test]
fn a_read_that_times_out_in_a_message_leaves_the_bytes_to_the_next_one() {
    let server = next("{fixed = 9, timeout = 0.05}");
    let mut client = server.tcp();
    client.exchange(b"next\nhalf", b"next nil timeout\n");
    client.exchange(b" way\n", b"<half way>\n");
}

#[test]
fn a_message_too_long_for_a_read_is_answered_and_ends_the_connection() {
    let server = next("\"line,max=4\"");
    let mut client = server.tcp();
    client.exchange(b"next\nfour\nlonger\n", b"next four nil\n<longer>\n");
    client.send(b"next\nlonger\nmore\n");
    assert_eq!(client.read_to_end(), b"next nil oversize\n");
    server.wait_log("message over the limit of 4 bytes");
    server.wait_log("gone: oversize;");
}

#[test]
fn a_message_that_a_read_finds_malformed_is_answered_and_ends_the_connection() {
    let server = next("\"netstring\"");
    let mut client = server.tcp();
    client.exchange(b"next\n2:ok,next\n", b"next ok nil\n");
    client.send(b"bad,\n");
    assert_eq!(client.read_to_end(), b"next nil framing\n");
    server.wait_log("malformed message: ");
    server.wait_log("gone: framing;");
}

#[test]
fn the_budget_begins_again_at_every_read_of_a_message() {
    let script = "return {
       framing = \"line\",
       on_message = function(msg, conn)
         for i = 1, 20 do
           local start = os.clock()
           while os.clock() - start < 0.03 do end
           conn:read()
         end
         return \"done\"
       end,
     }\n";
    let server = Server::builder().script(script).args(["--budget", "150ms"]).start();
    server.tcp().exchange("x\n".repeat(21).as_bytes(), b"done\n");
    server.assert_no_log("handler fault");
}
