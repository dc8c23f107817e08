//! The traps of the Lua environment: what a script overrides works and ends with its generation,
//! `require`, `print` and `_G` are ours, state is read anew, and what one generation does to the
//! libraries cannot reach the next.

use crate::support::Server;
use crate::talk::{ask, reload};

/// What a handler answers that returns the expression, in a server of its own.
fn answer_of(expression: &str) -> String {
    answer_with("", expression)
}

/// The same, after `head` at the top of the script.
fn answer_with(head: &str, expression: &str) -> String {
    let server = Server::builder().script(&script_with(head, expression)).start();
    let answer = ask(&mut server.tcp(), "x");
    server.assert_no_log("handler fault");
    answer
}

fn script_with(head: &str, expression: &str) -> String {
    format!(
        "{head}\nreturn function(msg, conn)\n  return tostring(({expression})) .. \"\\n\"\nend\n"
    )
}

/// `head` makes the expression answer `changed`; the next generation, without it, answers
/// `plain` on the same connection.
fn stays_in_its_generation(head: &str, expression: &str, changed: &str, plain: &str) {
    let server = Server::builder().script(&script_with(head, expression)).start();
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), changed);
    assert_eq!(ask(&mut client, "x"), changed);
    reload(&server, &script_with("", expression), 2);
    assert_eq!(ask(&mut client, "x"), plain);
    reload(&server, &script_with(head, expression), 3);
    assert_eq!(ask(&mut client, "x"), changed);
    server.assert_no_log("handler fault");
}

#[test]
fn a_function_named_print_overrides_ours() {
    let head = "local printed\nfunction print(x) printed = x; return \"mine\" end";
    stays_in_its_generation(head, "print(\"out\")", "mine", "nil");
}

#[test]
fn an_assigned_tostring_overrides_the_base() {
    let server = Server::builder()
        .script(
            "tostring = function() return \"mine\" end
             return function() return tostring(1) .. \"\\n\" end\n",
        )
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"mine\n");
    reload(&server, "return function() return tostring(1) .. \"\\n\" end\n", 2);
    client.exchange(b"x", b"1\n");
}

#[test]
fn a_function_named_type_overrides_the_base() {
    stays_in_its_generation("function type() return \"mine\" end", "type(1)", "mine", "number");
}

#[test]
fn an_assigned_library_overrides_the_base() {
    let head = "math = {floor = function() return \"mine\" end}";
    stays_in_its_generation(head, "math.floor(1.5)", "mine", "1");
}

#[test]
fn a_library_may_be_wrapped() {
    let head =
        "string = setmetatable({upper = function() return \"mine\" end}, {__index = string})";
    stays_in_its_generation(head, "string.upper(\"a\") .. string.lower(\"B\")", "mineb", "Ab");
}

#[test]
fn an_override_made_while_running_works_at_once() {
    let head = "function swap() tostring = function() return \"mine\" end end";
    let server = Server::builder()
        .script(&format!(
            "{head}
             return function()
               local before = tostring(1)
               swap()
               return before .. tostring(1) .. \"\\n\"
             end\n"
        ))
        .start();
    assert_eq!(ask(&mut server.tcp(), "x"), "1mine");
}

#[test]
fn an_override_through_underscore_g_works() {
    let head = "_G.tostring = function() return \"mine\" end";
    stays_in_its_generation(head, "1", "mine", "1");
}

#[test]
fn a_log_of_ones_own_overrides_ours() {
    let head = "log = {info = function() return \"mine\" end}";
    stays_in_its_generation(head, "log.info(\"logged\")", "mine", "nil");
}

#[test]
fn underscore_g_is_the_environment_of_the_script() {
    assert_eq!(answer_with("_G.greeting = \"hello\"", "greeting"), "hello");
    assert_eq!(answer_with("greeting = \"hello\"", "_G.greeting"), "hello");
    assert_eq!(answer_of("_G._G == _G and _G.server == server"), "true");
}

#[test]
fn a_global_ends_with_its_generation() {
    stays_in_its_generation("greeting = \"hello\"", "greeting", "hello", "nil");
    stays_in_its_generation("_G.greeting = \"hello\"", "_G.greeting", "hello", "nil");
}

#[test]
fn a_metatable_of_the_environment_ends_with_its_generation() {
    let head = "setmetatable(_G, {__index = function(_, name) return name .. \"?\" end})";
    stays_in_its_generation(head, "nothing", "nothing?", "nil");
}

#[test]
fn print_is_ours() {
    let server = Server::builder().script(&script_with("", "print(\"printed text\", 7)")).start();
    ask(&mut server.tcp(), "x");
    let line = server.wait_log("printed text");
    assert!(line.contains(" INFO ") && line.contains("generation=1"), "{line}");
    assert!(!server.stdout_text().contains("printed text"), "print wrote to standard output");
}

#[test]
fn require_is_ours_and_one_a_generation() {
    let script = "local words = require(\"./words\")
       return function() words.n += 1; return words.n .. \"\\n\" end\n";
    let server = Server::builder().script(script).file("words.lua", "return {n = 0}\n").start();
    let mut client = server.tcp();
    client.exchange(b"x", b"1\n");
    client.exchange(b"x", b"2\n");
    reload(&server, &format!("-- changed\n{script}"), 2);
    client.exchange(b"x", b"1\n");
}

#[test]
fn native_collectgarbage_is_gone() {
    assert_eq!(answer_of("collectgarbage"), "nil");
}

#[test]
fn native_loadstring_is_gone() {
    assert_eq!(answer_of("loadstring"), "nil");
}

#[test]
fn native_getfenv_and_setfenv_are_gone() {
    assert_eq!(answer_of("getfenv"), "nil");
    assert_eq!(answer_of("setfenv"), "nil");
}

#[test]
fn nothing_reaches_the_machine() {
    for name in ["os.execute", "os.remove", "os.getenv", "os.exit", "load", "dofile", "loadfile"] {
        assert_eq!(answer_of(name), "nil", "{name}");
    }
    assert_eq!(answer_of("pcall(function() return io.open(\"handler.lua\") end)"), "false");
}

#[test]
fn the_base_libraries_are_read_only() {
    for library in ["string", "table", "math", "bit32", "utf8", "os", "coroutine", "buffer", "log"]
    {
        let attempt = format!("pcall(function() {library}.poison = 1 end)");
        assert_eq!(answer_of(&attempt), "false", "{library}.poison");
        let attempt = format!("pcall(rawset, {library}, \"poison\", 1)");
        assert_eq!(answer_of(&attempt), "false", "rawset of {library}");
        let attempt = format!("pcall(setmetatable, {library}, {{}})");
        assert_eq!(answer_of(&attempt), "false", "setmetatable of {library}");
    }
}

#[test]
fn the_functions_of_a_library_cannot_be_replaced() {
    assert_eq!(answer_of("pcall(function() log.info = print end)"), "false");
    assert_eq!(answer_of("pcall(function() string.upper = print end)"), "false");
    assert_eq!(answer_of("pcall(table.clear, string)"), "false");
}

#[test]
fn the_state_is_not_read_once_and_frozen() {
    let script = "\
server.state.n = server.state.n or 10
local function read() return server.state.n end
return function()
  local before = read()
  server.state.n = before + 1
  local after = read()
  for _ = 1, 3 do server.state.n += 1 end
  return `{before} {after} {server.state.n} {read()}\\n`
end
";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    client.exchange(b"x", b"10 11 14 14\n");
    client.exchange(b"x", b"14 15 18 18\n");
    reload(&server, &format!("-- changed\n{script}"), 2);
    client.exchange(b"x", b"18 19 22 22\n");
}

#[test]
fn the_generation_number_is_not_frozen_in_a_module() {
    let server = Server::builder()
        .script("return require(\"./number\")\n")
        .file("number.lua", "return function() return server.generation .. \"\\n\" end\n")
        .start();
    let mut client = server.tcp();
    client.exchange(b"x", b"1\n");
    reload(&server, "-- changed\nreturn require(\"./number\")\n", 2);
    client.exchange(b"x", b"2\n");
}

#[test]
fn counting_through_the_state_goes_on_across_reloads() {
    let script = "\
return function()
  server.state.count = (server.state.count or 0) + 1
  return server.state.count .. \"\\n\"
end
";
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    for generation in 1..=5 {
        if generation > 1 {
            reload(&server, &format!("-- {generation}\n{script}"), generation);
        }
        for step in 1..=3 {
            let count = (generation - 1) * 3 + step;
            assert_eq!(ask(&mut client, "x"), count.to_string());
        }
    }
}

/// Runs each of `attempts` in generation 1, each in a `pcall`, then looks from generation 2.
fn cannot_poison(attempts: &[&str], expression: &str, plain: &str) {
    let head = attempts
        .iter()
        .fold(String::new(), |text, attempt| text + &format!("pcall(function() {attempt} end)\n"));
    let server = Server::builder().script(&script_with(&head, "\"poisoned\"")).start();
    let mut client = server.tcp();
    ask(&mut client, "x");
    reload(&server, &script_with("", expression), 2);
    assert_eq!(ask(&mut client, "x"), plain);
    server.assert_no_log("handler fault");
}

#[test]
fn a_generation_cannot_poison_the_next_through_the_string_metatable() {
    let attempts = [
        "getmetatable(\"\").__index = function() return function() return \"poison\" end end",
        "getmetatable(\"\").__index.upper = function() return \"poison\" end",
        "rawset(getmetatable(\"\"), \"__index\", {upper = function() return \"poison\" end})",
        "getmetatable(\"\").__concat = function() return \"poison\" end",
        "getmetatable(\"\").__metatable = nil",
        "setmetatable(getmetatable(\"\"), {__index = function() return \"poison\" end})",
    ];
    cannot_poison(&attempts, "(\"x\"):upper() .. (\"y\" .. \"z\")", "Xyz");
}

#[test]
fn a_generation_cannot_poison_the_next_through_library_tables() {
    let attempts = [
        "string.upper = function() return \"poison\" end",
        "rawset(string, \"upper\", function() return \"poison\" end)",
        "table.clear(string)",
        "setmetatable(string, {__index = function() return \"poison\" end})",
        "table.insert(string, \"poison\")",
        "math.floor = nil",
        "for name in pairs(table) do table[name] = nil end",
    ];
    let expression = "string.upper(\"x\") .. #string .. math.floor(1.5) .. table.concat({\"t\"})";
    cannot_poison(&attempts, expression, "X01t");
}

#[test]
fn a_generation_cannot_poison_the_next_through_the_global_table() {
    let attempts = [
        "_G.string = nil",
        "_G.pcall = function() return \"poison\" end",
        "getmetatable(_G).__index = function() return \"poison\" end",
        "getmetatable(_G).__index.tostring = function() return \"poison\" end",
        "setmetatable(_G, {__index = function() return \"poison\" end})",
        "_G.server = {generation = \"poison\"}",
        "_G._G = {}",
    ];
    cannot_poison(
        &attempts,
        "string.upper(\"x\") .. tostring(pcall(error)) .. tostring(absent) .. server.generation",
        "Xfalsenil2",
    );
}

#[test]
fn a_generation_cannot_poison_the_next_through_the_metatable_of_conn() {
    let attempts = "\
pcall(function() getmetatable(conn).__index = function() return \"poison\" end end)
pcall(function() conn.send = function() return \"poison\" end end)
pcall(function() conn.id = \"poison\" end)
pcall(function() getmetatable(conn).__tostring = function() return \"poison\" end end)
";
    let script = format!("return function(msg, conn)\n{attempts}return \"poisoned\\n\"\nend\n");
    let server = Server::builder().script(&script).start();
    let mut client = server.tcp();
    ask(&mut client, "x");
    let look = "(type(conn.id) == \"number\") and tostring(conn:send(\"\")) .. tostring(conn)";
    reload(&server, &script_with("", look), 2);
    let answer = ask(&mut client, "x");
    assert!(answer.starts_with("trueconn "), "{answer:?}");
}
