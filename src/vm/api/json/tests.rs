//! Both directions: what comes back, what is refused and how, depth, size and memory.

use mlua::{Error, Function, Lua, Table, Value};

use super::{DEEPEST, LARGEST_TEXT};

struct Json {
    lua: Lua,
    encode: Function,
    decode: Function,
}

impl Json {
    fn new() -> Self {
        let lua = Lua::new();
        let table = lua.create_table().unwrap();
        super::add(&lua, &table).unwrap();
        let function = |name| table.raw_get(name).unwrap();
        Self { encode: function("json_encode"), decode: function("json_decode"), lua }
    }

    fn decode(&self, text: impl AsRef<[u8]>) -> Result<Value, String> {
        let text = self.lua.create_string(text).unwrap();
        let (value, problem): (Value, Option<String>) = self.decode.call(text).unwrap();
        problem.map_or(Ok(value), Err)
    }

    fn encode(&self, value: &Value) -> Result<String, String> {
        let (text, problem): (Option<String>, Option<String>) = self.encode.call(value).unwrap();
        text.ok_or_else(|| problem.unwrap())
    }

    /// What the Lua expression is as JSON.
    fn encoded(&self, expression: &str) -> Result<String, String> {
        self.lua.globals().set("null", Value::NULL).unwrap();
        self.encode(&self.lua.load(format!("return {expression}")).eval().unwrap())
    }

    fn again(&self, text: &str) -> Result<String, String> {
        self.encode(&self.decode(text)?)
    }
}

#[test]
fn values_come_back_as_they_were() {
    let json = Json::new();
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1.5",
        "1e+300",
        "0.30000000000000004",
        "\"\"",
        r#""a\"b\\c\n\u0000\u001f é 😀""#,
        "[]",
        "{}",
        "[[],{},null,[1,2,[3]]]",
        r#"{"":0,"a":{"b":[{}]},"b":null}"#,
    ] {
        assert_eq!(json.again(text).as_deref(), Ok(text));
    }
    assert_eq!(json.again(r#" [ 1 , "\u00e9\ud83d\ude00\/" ] "#).unwrap(), "[1,\"é😀/\"]");
}

#[test]
fn numbers_print_as_people_write_them() {
    let json = Json::new();
    for (expression, text) in [
        ("1", "1"),
        ("-0", "0"),
        ("1e15", "1000000000000000"),
        ("2^53", "9007199254740992"),
        ("1e16", "1e+16"),
        ("0.1", "0.1"),
        ("1/3", "0.3333333333333333"),
        ("-2.5e-7", "-2.5e-7"),
        ("5e-324", "5e-324"),
    ] {
        assert_eq!(json.encoded(expression).as_deref(), Ok(text), "{expression}");
    }
    assert_eq!(json.again("12345678901234567890").unwrap(), "1.2345678901234567e+19");
    for (expression, problem) in [
        ("0/0", "nan cannot be said in JSON"),
        ("{1, {x = math.huge}}", "an infinite number cannot be said in JSON, at [2].x"),
    ] {
        assert_eq!(json.encoded(expression).unwrap_err(), problem);
    }
}

#[test]
fn fields_come_in_the_order_of_their_names() {
    let json = Json::new();
    assert_eq!(
        json.encoded("{b = {d = 1, c = 2}, a = 3}").unwrap(),
        "{\"a\":3,\"b\":{\"c\":2,\"d\":1}}"
    );
    assert_eq!(json.again(r#"{"a":1,"b":2,"a":3}"#).unwrap(), r#"{"a":3,"b":2}"#);
}

#[test]
fn a_decoded_array_stays_one() {
    let json = Json::new();
    assert_eq!(json.encoded("{{}, {null}}").unwrap(), "[{},[null]]");
    let array = json.decode("[1]").unwrap();
    array.as_table().unwrap().raw_remove(1).unwrap();
    assert_eq!(json.encode(&array).unwrap(), "[]");
    array.as_table().unwrap().raw_set("x", 1).unwrap();
    assert_eq!(json.encode(&array).unwrap(), "{\"x\":1}");
}

#[test]
fn what_json_cannot_say_is_named_with_its_place() {
    let json = Json::new();
    let keys = "a table must have either the keys 1 to n or strings as keys";
    for (expression, problem) in [
        ("print", "a function cannot be said in JSON"),
        ("{a = {1, {print}}}", "a function cannot be said in JSON, at a[2][1]"),
        ("coroutine.create(print)", "a thread cannot be said in JSON"),
        ("buffer.create(1)", "a buffer cannot be said in JSON"),
        ("vector.create(1, 2, 3)", "a vector cannot be said in JSON"),
        ("newproxy()", "a userdata cannot be said in JSON"),
        ("{1, x = 1}", keys),
        ("{[1.5] = 1}", keys),
        ("{[0] = 1}", keys),
        ("{1, nil, 3}", keys),
        ("{[true] = 1}", keys),
        ("{x = '\\xff'}", "the string \"\\xff\" is no valid UTF-8 at byte 1, at x"),
        ("{['a\\xff'] = 1}", "the string \"a\\xff\" is no valid UTF-8 at byte 2"),
        ("(function() local t = {} t.a = {t} return t end)()", "a table holds itself, at a[1]"),
    ] {
        assert_eq!(json.encoded(expression).unwrap_err(), problem, "{expression}");
    }
    let shared = "(function() local t = {} return {t, t} end)()";
    assert_eq!(json.encoded(shared).unwrap(), "[{},{}]");
}

#[test]
fn metamethods_are_not_asked() {
    let json = Json::new();
    let hostile = "setmetatable({1, 2}, {
        __index = error, __len = error, __iter = error, __pairs = error, __tostring = error,
        __metatable = 'hidden',
    })";
    assert_eq!(json.encoded(hostile).unwrap(), "[1,2]");
}

#[test]
fn what_is_no_json_is_named_with_its_place() {
    let json = Json::new();
    for (text, problem) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[1,", "EOF while parsing a value at line 1 column 3"),
        ("[1,]", "trailing comma at line 1 column 4"),
        ("{\"a\":1\n,}", "trailing comma at line 2 column 2"),
        ("1 2", "trailing characters at line 1 column 3"),
        ("nan", "expected ident at line 1 column 2"),
        ("'a'", "expected value at line 1 column 1"),
        ("{1:2}", "key must be a string at line 1 column 2"),
        ("1e999", "number out of range at line 1 column 5"),
        ("01", "invalid number at line 1 column 2"),
        ("\"\\ud800\"", "unexpected end of hex escape at line 1 column 8"),
        (
            "\"\t\"",
            "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 2",
        ),
    ] {
        assert_eq!(json.decode(text).unwrap_err(), problem, "{text}");
    }
    let problem = json.decode(b"[\"\xff\"]").unwrap_err();
    assert_eq!(problem, "invalid unicode code point at line 1 column 3");
    let problem = json.decode(vec![b' '; LARGEST_TEXT + 1]).unwrap_err();
    assert_eq!(problem, "the text is larger than 16 MiB");
}

#[test]
fn depth_is_bounded_in_both_directions() {
    let json = Json::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let core = if open == "[" { "" } else { "1" };
            open.repeat(depth) + core + &close.repeat(depth)
        };
        assert_eq!(json.again(&nested(DEEPEST)).unwrap(), nested(DEEPEST));
        let problem = json.decode(nested(DEEPEST + 1)).unwrap_err();
        assert!(problem.starts_with("nested deeper than 128 at line 1"), "{problem}");
        assert!(json.decode(open.repeat(1_000_000)).is_err());
    }
    let deep = "(function() local t = {} for _ = 1, 128 do t = {t} end return t end)()";
    let problem = json.encoded(deep).unwrap_err();
    assert!(problem.starts_with("nested deeper than 128, at [1][1]"), "{problem}");
}

#[test]
fn a_table_that_grows_as_text_is_refused() {
    let json = Json::new();
    let bomb = "(function() local t = {} for _ = 1, 100 do t = {t, t} end return t end)()";
    let problem = json.encoded(bomb).unwrap_err();
    assert!(problem.starts_with("the text would be larger than 16 MiB"), "{problem}");
    let text = "(function() local t = {} for i = 1, 20 do t[i] = string.rep('x', 2^20) end return t end)()";
    assert!(json.encoded(text).unwrap_err().contains("larger than 16 MiB"));
}

#[test]
fn no_memory_is_an_error_of_the_call() {
    let json = Json::new();
    let text = json.lua.create_string(format!("[{}[]]", "[],".repeat(100_000))).unwrap();
    for room in [0, 1 << 10, 1 << 16, 1 << 20] {
        json.lua.gc_collect().unwrap();
        json.lua.set_memory_limit(json.lua.used_memory() + room).unwrap();
        let failed = json.decode.call::<Value>(&text).unwrap_err();
        assert!(matches!(failed, Error::MemoryError(_)), "{failed}");
        json.lua.set_memory_limit(0).unwrap();
    }
    let value: Table = json.decode.call(&text).unwrap();
    assert_eq!(value.raw_len(), 100_001);
}

#[test]
fn null_is_a_value_of_its_own() {
    let json = Json::new();
    let null = json.decode("null").unwrap();
    assert_eq!(null, Value::NULL);
    json.lua.globals().set("null", null).unwrap();
    let text: String = json
        .lua
        .load("return `{null} {type(null)} {getmetatable(null)} {null == nil}`")
        .eval()
        .unwrap();
    assert_eq!(text, "null userdata null false");
}
