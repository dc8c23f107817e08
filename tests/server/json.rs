//! `json`: what comes back, what is refused, and what it costs.

use crate::support::Server;
use crate::table::expect;
use crate::talk::ask;
use std::time::Instant;

#[test]
fn values_are_written_as_people_write_them() {
    expect(&[
        ("json.encode('a\"b\\n')", r#""a\"b\n""#),
        ("json.encode(true)", "true"),
        ("json.encode(3)", "3"),
        ("json.encode(-0.5)", "-0.5"),
        ("json.encode(2^53)", "9007199254740992"),
        ("json.encode(1e300)", "1e+300"),
        ("json.encode({})", "{}"),
        ("json.encode({1, 'two', {three = 3}})", r#"[1,"two",{"three":3}]"#),
        ("json.encode({b = 1, a = 2, ['c d'] = {}})", r#"{"a":2,"b":1,"c d":{}}"#),
        ("json.encode({a = json.null})", r#"{"a":null}"#),
        ("json.encode(json.null)", "null"),
        ("json.encode('信息')", "\"信息\""),
    ]);
}

#[test]
fn texts_are_read_as_they_were_written() {
    expect(&[
        ("json.decode('\"a\\\\u00e9\\\\n\"') == 'aé\\n'", "true"),
        ("json.decode('[1, 2.5, true, \"x\"]')[2]", "2.5"),
        ("json.decode('{\"a\": {\"b\": [7]}}').a.b[1]", "7"),
        ("json.decode('{\"a\": 1, \"a\": 2}').a", "2"),
        ("json.decode('null') == json.null", "true"),
        ("json.decode('false')", "false"),
        ("json.decode('[null]')[1] == json.null", "true"),
        ("tostring(json.null), type(json.null), json.null == nil", "null,userdata,false"),
    ]);
}

#[test]
fn empty_arrays_and_objects_come_back() {
    expect(&[
        ("json.encode(json.decode('[[], {}, [[]]]'))", "[[],{},[[]]]"),
        ("json.encode({list = json.decode('[]')})", "{\"list\":[]}"),
        ("json.encode(table.clone(json.decode('[]')))", "[]"),
        (
            "(function() local t = json.decode('[1]') table.remove(t) return json.encode(t) end)()",
            "[]",
        ),
        ("(function() local t = json.decode('[]') t[1] = 2 return json.encode(t) end)()", "[2]"),
    ]);
}

#[test]
fn a_bad_text_is_nil_and_a_reason() {
    expect(&[
        ("json.decode('')", "nil,EOF while parsing a value at line 1 column 0"),
        ("json.decode('{\"a\": }')", "nil,expected value at line 1 column 7"),
        ("json.decode('[1,\\n2,]')", "nil,trailing comma at line 2 column 3"),
        ("json.decode('{} x')", "nil,trailing characters at line 1 column 4"),
        ("json.decode('[\"\\xff\"]')", "nil,invalid unicode code point at line 1 column 3"),
        (
            "json.decode(string.rep('[', 129) .. string.rep(']', 129))",
            "nil,nested deeper than 128 at line 1 column 130",
        ),
        ("type(json.decode(string.rep('[', 128) .. string.rep(']', 128)))", "table"),
        ("json.decode(string.rep(' ', 2^24 + 1))", "nil,the text is larger than 16 MiB"),
    ]);
}

/// The default budget is 100 ms, and nothing can end the functions before they are done.
#[test]
fn a_large_text_takes_little_time() {
    let script = "
        local row = '{\"id\":12345,\"name\":\"hello world\",\"tags\":[\"a\",\"b\"],\"v\":1.5}'
        local text = '[' .. string.rep(row .. ',', 2^20 // (#row + 1)) .. row .. ']'
        return function()
          return tostring(json.encode(json.decode(text)) == text:gsub('', '')) .. `{#text}\\n`
        end\n";
    let server = Server::builder().script(script).args(["--budget", "2s"]).start();
    let mut client = server.tcp();
    let start = Instant::now();
    let answer = ask(&mut client, "x");
    assert!(answer.starts_with("true10"), "{answer}");
    eprintln!("both directions of 1 MiB: {:?}", start.elapsed());
}
