//! The data of the reference against the program: what it names is there, and what is there is
//! named.

use crate::support::{Failed, Server};
use scriptsock::reference::callbacks::{CALLBACKS, SETTINGS};
use scriptsock::reference::framing::{KEYS, KINDS, LENGTHS};
use scriptsock::reference::objects::{CONN, HANDLE, OPTIONS};
use scriptsock::reference::words::TRANSPORTS;
use scriptsock::reference::{Kind, MODULES, globals};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Answers a message with what the expression gives, after these statements.
fn answering(statements: &str, expression: &str) -> String {
    format!("return function(msg, conn)\n{statements}\nreturn {expression}\nend")
}

/// What a handler answers to a first message over TCP.
#[track_caller]
fn answer(script: &str) -> String {
    let server = Server::builder().script(script).start();
    let mut client = server.tcp();
    client.send(b"x");
    client.half_close();
    String::from_utf8(client.read_to_end()).unwrap()
}

/// How a program ends that cannot start with this script.
#[track_caller]
fn refused(script: &str) -> Failed {
    let failed = Server::builder().script(script).start_expecting_failure();
    assert_eq!(failed.status, 1, "{failed:?}");
    failed
}

/// The documented globals and members of tables, as a script writes them, and whether each is a
/// function.
fn documented() -> Vec<(String, bool)> {
    let mut names = Vec::new();
    for module in MODULES {
        let prefix = match module.kind {
            Kind::Object(_) => continue,
            Kind::Global => String::new(),
            Kind::Table => {
                names.push((module.name.to_owned(), false));
                format!("{}.", module.name)
            }
        };
        names.extend(module.fields.iter().map(|field| (format!("{prefix}{}", field.name), false)));
        let functions = module.functions.iter();
        names.extend(functions.map(|function| (format!("{prefix}{}", function.name), true)));
    }
    names
}

#[test]
fn an_unknown_callback_is_refused_with_the_documented_ones() {
    let failed = refused("return { on_nothing_like_it = function() end }");
    let list = failed.stderr.split_once("there are ").expect("a list of callbacks").1;
    let list = list.lines().next().unwrap();
    let listed: BTreeSet<&str> = list.split(", ").map(str::trim).collect();
    let expected: BTreeSet<&str> = CALLBACKS.iter().map(|callback| callback.name).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_documented_callback_loads_and_must_be_a_function() {
    for other in ["on_message", "on_session"] {
        let taken = CALLBACKS.iter().map(|callback| callback.name).filter(|name| *name != other);
        let table: String =
            taken.fold(String::new(), |text, name| text + &format!("{name} = function() end, "));
        Server::builder().script(&format!("return {{ {table} }}")).start();
    }
    for callback in CALLBACKS {
        let name = callback.name;
        let failed = refused(&format!("return {{ {name} = 5 }}"));
        assert!(failed.stderr.contains(&format!("{name} is a number")), "{failed:?}");
    }
}

#[test]
fn every_documented_setting_is_known() {
    for setting in SETTINGS {
        let name = setting.value.name;
        let failed = refused(&format!("return {{ {name} = false }}"));
        assert!(failed.stderr.contains(name), "{failed:?}");
        let failed = refused(&format!("return {{ {name}x = 1 }}"));
        assert!(failed.stderr.contains(&format!("did you mean {name}?")), "{failed:?}");
    }
}

#[test]
fn every_documented_name_is_there() {
    let mut statements = "local wrong = {}\n".to_owned();
    let names = documented();
    assert!(names.len() > 40, "not the data: {names:?}");
    for (name, is_function) in names {
        let is_right = if is_function { "==" } else { "~=" };
        let _ = writeln!(
            statements,
            "do local ok, kind = pcall(function() return type({name}) end)\n\
             if not (ok and kind ~= \"nil\" and kind {is_right} \"function\") then \
             table.insert(wrong, \"{name}\") end end"
        );
    }
    assert_eq!(
        answer(&answering(&statements, "\"wrong: \" .. table.concat(wrong, \" \")")),
        "wrong: "
    );
}

#[test]
fn every_name_that_is_there_is_documented() {
    let own = MODULES.iter().filter(|module| module.kind == Kind::Table);
    let statements = own.fold("local found = {}\n".to_owned(), |text, module| {
        let name = module.name;
        text + &format!("for key in {name} do table.insert(found, \"{name}.\" .. key) end\n")
    });
    let globals = "for _, names in { _G, getmetatable(_G).__index } do \
                   for name in names do table.insert(found, name) end end";
    let found = answer(&answering(&(statements + globals), "table.concat(found, \" \")"));
    let found: BTreeSet<&str> = found.split(' ').collect();
    assert!(found.contains("json.encode") && found.contains("pcall"), "{found:?}");
    let documented = documented();
    let expected: BTreeSet<&str> = documented
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(globals::LUAU)
        .chain(globals::OTHER)
        .collect();
    let unknown: Vec<_> = found.difference(&expected).collect();
    assert!(unknown.is_empty(), "not in the reference: {unknown:?}");
    let missing: Vec<_> = globals::LUAU.iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "no globals: {missing:?}");
}

#[test]
fn every_documented_method_and_field_of_conn_is_there() {
    let mut statements = "local wrong = {}\n".to_owned();
    for method in CONN.functions {
        let name = method.name;
        let _ = writeln!(
            statements,
            "if type(conn.{name}) ~= \"function\" then table.insert(wrong, \"{name}\") end"
        );
    }
    for field in CONN.fields {
        let name = field.name;
        let _ =
            writeln!(statements, "if conn.{name} == nil then table.insert(wrong, \"{name}\") end");
    }
    let _ = writeln!(
        statements,
        "if pcall(function() return conn.nothing_like_it end) then table.insert(wrong, \"any\") end"
    );
    assert_eq!(
        answer(&answering(&statements, "\"wrong: \" .. table.concat(wrong, \" \")")),
        "wrong: "
    );
}

/// Every word of the sources behind the API: a name that a script can use is among them.
fn words_of_the_sources() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vm")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let found = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.extend(found.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    words
}

/// Those of the words that `object` has as a field, by the program.
#[track_caller]
fn members(object: &str, words: &BTreeSet<String>) -> BTreeSet<String> {
    let list = words.iter().fold(String::new(), |list, word| list + word + " ");
    let statements = format!(
        "local found = {{}}\nlocal object = {object}\n\
         for name in string.gmatch(\"{list}\", \"%S+\") do\n\
         local ok, value = pcall(function() return object[name] end)\n\
         if ok and value ~= nil then table.insert(found, name) end\nend"
    );
    let found = answer(&answering(&statements, "table.concat(found, \" \")"));
    found.split(' ').map(str::to_owned).collect()
}

#[test]
fn every_member_of_conn_is_documented() {
    let found = members("conn", &words_of_the_sources());
    let methods = CONN.functions.iter().map(|method| method.name);
    let names = methods.chain(CONN.fields.iter().map(|field| field.name));
    assert_eq!(found, names.map(str::to_owned).collect());
}

#[test]
fn every_member_of_a_handle_is_documented() {
    let found = members("after(10, print)", &words_of_the_sources());
    assert_eq!(found, HANDLE.functions.iter().map(|method| method.name.to_owned()).collect());
}

#[test]
fn every_member_of_server_is_documented() {
    for module in MODULES.iter().filter(|module| module.name.starts_with("server")) {
        let inner = format!("{}.", module.name);
        let functions = module.functions.iter().map(|function| function.name);
        let fields = module.fields.iter().map(|field| field.name);
        let modules = MODULES.iter().filter_map(|other| other.name.strip_prefix(&inner));
        let names = functions.chain(fields).chain(modules).map(str::to_owned).collect();
        assert_eq!(members(module.name, &words_of_the_sources()), names, "{}", module.name);
    }
}

#[test]
fn every_documented_method_of_a_handle_is_there() {
    for function in HANDLE.functions {
        for make in ["after(10, print)", "every(10, print)", "spawn(sleep, 0)"] {
            let expression = format!("type({make}.{})", function.name);
            assert_eq!(answer(&answering("", &expression)), "function", "{make}");
        }
    }
}

#[test]
fn every_documented_option_is_known_and_no_other() {
    let options: Vec<String> =
        OPTIONS.iter().map(|option| format!("\"{}\"", option.name)).collect();
    let statements = format!(
        "local wrong = {{}}\nfor _, name in {{ {} }} do\n\
         local ok, problem = pcall(conn.option, conn, name)\n\
         if not ok then table.insert(wrong, problem) end\nend\n\
         if pcall(conn.option, conn, \"nothing_like_it\") then table.insert(wrong, \"any\") end",
        options.join(", ")
    );
    assert_eq!(
        answer(&answering(&statements, "\"wrong: \" .. table.concat(wrong, \" \")")),
        "wrong: "
    );
}

#[test]
fn every_documented_transport_is_one() {
    let script = "return function(msg, conn) return conn.transport end";
    let mut builder = Server::builder().script(script);
    for transport in TRANSPORTS {
        let name = transport.word;
        let address = if name.starts_with("unix") { name } else { "127.0.0.1:0" };
        builder = builder.listen(format!("{name}://{address}"));
    }
    let server = builder.start();
    server.tcp().exchange(b"x", b"tcp");
    server.udp().exchange(b"x", b"udp");
    server.unix().exchange(b"x", b"unix");
    server.unixgram().exchange(b"x", b"unixgram");
}

#[test]
fn every_documented_framing_is_taken() {
    let script = "return { on_message = function() end }";
    for kind in KINDS {
        for text in kind.strings {
            Server::builder().script(script).args(["--framing", text]).start();
        }
        let table = kind.table;
        let script = format!("return {{ framing = {table}, on_message = function() end }}");
        Server::builder().script(&script).start();
    }
    for length in LENGTHS {
        let text = format!("length:{length}");
        Server::builder().script(script).args(["--framing", &text]).start();
    }
}

#[test]
fn every_documented_key_of_a_framing_is_taken() {
    for key in KEYS {
        let value = match key.name {
            "max" => "\"64KiB\"",
            "header" => "\"keep\"",
            _ => "0",
        };
        let name = key.name;
        let script = format!("return {{ framing = {{ length = \"u8\", {name} = {value} }} }}");
        Server::builder().script(&script).start();
    }
    let failed = framing_refused("line,nothing_like_it=1");
    assert!(failed.contains("nothing_like_it"), "{failed}");
}

#[test]
fn every_framing_that_there_is_is_documented() {
    let kinds = listed(&framing_refused("nothing_like_it"), "expected ");
    assert_eq!(kinds, KINDS.iter().map(|kind| kind.kind.to_owned()).collect());
    let lengths = listed(&framing_refused("length:nothing_like_it"), "length expects ");
    assert_eq!(lengths, LENGTHS.iter().map(ToString::to_string).collect());
}

/// What the program says to a `--framing` that it cannot take.
#[track_caller]
fn framing_refused(text: &str) -> String {
    let failed = Server::builder()
        .script("return { on_message = function() end }")
        .args(["--framing", text])
        .start_expecting_failure();
    assert_eq!(failed.status, 2, "{failed:?}");
    failed.stderr
}

/// The words of a list such as `expected a, b or c, got 'd'`.
#[track_caller]
fn listed(message: &str, before: &str) -> BTreeSet<String> {
    let list = message.split_once(before).and_then(|(_, rest)| rest.split_once(", got "));
    let Some((list, _)) = list else { panic!("no list in {message}") };
    list.replace(" or ", ", ").split(", ").map(str::to_owned).collect()
}
