//! The sandbox: every name that a script sees, what is gone, what cannot be changed, and what one
//! generation cannot do to the next.

use crate::support::Server;
use crate::table::{evaluate, expect};
use crate::talk::{ask, reload};

/// Every global of a script, and the fields of those that are libraries. Luau's own are told from
/// ours by their place in the list.
const GLOBALS: &[(&str, &str)] = &[
    // Of Luau. `gcinfo` tells how many KiB the VM holds, and nothing else.
    ("_G", ""),
    ("_VERSION", ""),
    ("assert", ""),
    ("error", ""),
    ("gcinfo", ""),
    ("getmetatable", ""),
    ("ipairs", ""),
    ("next", ""),
    ("pairs", ""),
    ("pcall", ""),
    ("print", ""),
    ("rawequal", ""),
    ("rawget", ""),
    ("rawlen", ""),
    ("rawset", ""),
    ("require", ""),
    ("select", ""),
    ("setmetatable", ""),
    ("tonumber", ""),
    ("tostring", ""),
    ("type", ""),
    ("typeof", ""),
    ("unpack", ""),
    ("xpcall", ""),
    ("bit32", BIT32),
    ("buffer", BUFFER),
    ("coroutine", "close create isyieldable resume running status wrap yield"),
    // Texts and numbers only: `info` gives no function.
    ("debug", "info traceback"),
    ("integer", INTEGER),
    ("math", MATH),
    ("os", "clock date difftime time"),
    ("string", STRING),
    ("table", TABLE),
    ("utf8", "char charpattern codepoint codes len offset"),
    ("vector", VECTOR),
    // Of scriptsock.
    ("after", ""),
    ("asset", ""),
    ("base64", "decode encode"),
    ("connect", ""),
    ("every", ""),
    ("hash", "crc16 crc32 hmac md5 sha1 sha256"),
    ("hex", "decode dump encode"),
    ("json", "decode encode null"),
    ("log", "debug error info warn"),
    ("random", "bytes"),
    ("server", "*"),
    ("sleep", ""),
    ("spawn", ""),
];

const BIT32: &str = "arshift band bnot bor btest bxor byteswap countlz countrz extract lrotate lshift replace \
    rrotate rshift";
const BUFFER: &str = "copy create fill fromstring len readbits readf32 readf64 readi16 readi32 readi8 \
    readstring readu16 readu32 readu8 tostring writebits writef32 writef64 writei16 writei32 \
    writei8 writestring writeu16 writeu32 writeu8";
const INTEGER: &str = "add arshift band bnot bor bswap btest bxor clamp countlz countrz create div extract \
    fromstring ge gt idiv le lrotate lshift lt max maxsigned min minsigned mod mul neg rem \
    replace rrotate rshift sub tonumber udiv uge ugt ule ult urem";
const MATH: &str = "abs acos asin atan atan2 ceil clamp cos cosh deg e exp floor fmod frexp huge isfinite \
    isinf isnan ldexp lerp log log10 map max min modf nan noise phi pi pow rad random \
    randomseed round sign sin sinh sqrt sqrt2 tan tanh tau";
const STRING: &str = "byte char find format gmatch gsub len lower match pack packsize rep reverse \
    split sub unpack upper";
const TABLE: &str = "clear clone concat create find foreach foreachi freeze getn insert isfrozen maxn \
    move pack remove sort unpack";
const VECTOR: &str = "abs angle ceil clamp create cross dot floor lerp magnitude max min normalize one \
    sign zero";

/// What must not be there, whatever else is.
const GONE: &[&str] = &[
    "collectgarbage",
    "dofile",
    "getfenv",
    "io",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "package",
    "setfenv",
    "shared",
    "script",
    "game",
    "task",
    "host",
    "os.execute",
    "os.exit",
    "os.getenv",
    "os.remove",
    "os.rename",
    "os.tmpname",
    "os.setlocale",
    "debug.getinfo",
    "debug.gethook",
    "debug.sethook",
    "debug.getlocal",
    "debug.setlocal",
    "debug.getupvalue",
    "debug.setupvalue",
    "debug.getmetatable",
    "debug.setmetatable",
    "debug.getregistry",
    "debug.loadmodule",
    "string.dump",
    "json.toolbox",
];

#[test]
fn the_globals_are_these_and_no_others() {
    let script = "
        local seen = {}
        local function see(names)
          for name, value in names do
            local fields = {}
            if type(value) == 'table' and name ~= '_G' then
              for field in value do table.insert(fields, tostring(field)) end
            end
            table.sort(fields)
            if name == 'server' then fields = {'*'} end
            table.insert(seen, name .. '=' .. table.concat(fields, ' '))
          end
        end
        see(getmetatable(_G).__index)
        see(_G)
        table.sort(seen)
        return function() return table.concat(seen, ';') .. '\\n' end\n";
    let server = Server::builder().script(script).start();
    let answer = ask(&mut server.tcp(), "x");
    let mut expected: Vec<_> =
        GLOBALS.iter().map(|(name, fields)| format!("{name}={fields}")).collect();
    expected.sort();
    let seen: Vec<_> = answer.split(';').collect();
    for name in &expected {
        assert!(seen.contains(&name.as_str()), "not as listed: {name}\nseen: {seen:#?}");
    }
    for name in &seen {
        assert!(expected.iter().any(|known| known == name), "not listed: {name}");
    }
}

#[test]
fn what_reaches_too_far_is_gone() {
    let expressions: Vec<_> = GONE
        .iter()
        .map(|name| match name.split_once('.') {
            Some((library, field)) => format!("{library}[\"{field}\"]"),
            None => format!("_G[\"{name}\"] or {name}"),
        })
        .collect();
    for (name, got) in GONE.iter().zip(evaluate(&expressions)) {
        assert_eq!(got, "nil", "{name}");
    }
}

#[test]
fn every_table_of_the_base_is_read_only() {
    expect(&[
        ("table.isfrozen(getmetatable(_G).__index)", "true"),
        (
            "pcall(rawset, getmetatable(_G).__index, 'x', 1) ",
            "false,attempt to modify a readonly table",
        ),
        (
            "(function() for name, value in getmetatable(_G).__index do \
             if type(value) == 'table' and not table.isfrozen(value) then return name end end end)()",
            "",
        ),
        (
            "(function() for name, value in getmetatable(_G).__index do \
             local mt = type(value) == 'table' and getmetatable(value) \
             if mt and not (type(mt) ~= 'table' or table.isfrozen(mt)) then return name end end end)()",
            "",
        ),
        ("table.isfrozen(server)", "true"),
        ("table.isfrozen(getmetatable(server))", "true"),
        ("type(getmetatable('')) ~= 'table' or table.isfrozen(getmetatable(''))", "true"),
        (
            "type(getmetatable(vector.one)) ~= 'table' or table.isfrozen(getmetatable(vector.one))",
            "true",
        ),
        ("type(getmetatable(json.null))", "string"),
        ("table.isfrozen(getmetatable(json.decode('[]')))", "true"),
        (
            "pcall(setmetatable, json.null, {})",
            "false,invalid argument #1 to 'setmetatable' (table expected, got userdata)",
        ),
        (
            "getmetatable(1), getmetatable(true), getmetatable(print), getmetatable(nil), getmetatable(coroutine.create(print)), getmetatable(buffer.create(1))",
            "nil,nil,nil,nil,nil,nil",
        ),
    ]);
}

/// Runs each of `attempts` in generation 1, each in a `pcall`; generation 2 must answer `plain`.
fn cannot_poison(attempts: &[&str], expression: &str, plain: &str) {
    let answering = |head: &str| {
        format!("{head}\nreturn function() return tostring({expression}) .. \"\\n\" end\n")
    };
    let head = attempts
        .iter()
        .fold(String::new(), |text, attempt| text + &format!("pcall(function() {attempt} end)\n"));
    let server = Server::builder()
        .script(&answering(&head))
        .file("a.json", "{\"n\": 1, \"list\": []}")
        .file("lib.lua", "return {n = 1}\n")
        .start();
    let mut client = server.tcp();
    client.send(b"x");
    server.wait_log("generation 1 is live");
    reload(&server, &answering(""), 2);
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), plain);
}

#[test]
fn a_generation_cannot_poison_the_next_through_the_toolbox() {
    cannot_poison(
        &[
            "json.encode = function() return 'poison' end",
            "rawset(json, 'encode', function() return 'poison' end)",
            "json.null = 'poison'",
            "table.clear(hex)",
            "setmetatable(hash, {__index = error})",
            "hash = nil",
            "json = {encode = function() return 'poison' end}",
            "function asset() return 'poison' end",
            "_G.hex = nil",
            "getmetatable(_G).__index.hex = nil",
        ],
        "json.encode({json.null}) .. hex.encode('a') .. hex.encode(hash.md5('')):sub(1, 4) \
         .. type(random.bytes) .. type(asset)",
        "[null]61d41dfunctionfunction",
    );
}

#[test]
fn a_generation_cannot_poison_the_next_through_null_and_arrays() {
    cannot_poison(
        &[
            "getmetatable(json.null).__tostring = function() return 'poison' end",
            "getmetatable(json.null).__index = function() return 'poison' end",
            "setmetatable(json.null, {__eq = error})",
            "getmetatable(json.decode('[]')).__index = function() return 'poison' end",
            "rawset(getmetatable(json.decode('[]')), '__len', error)",
            "setmetatable(getmetatable(json.decode('[]')), {__index = error})",
            "getmetatable(vector.one).__add = error",
        ],
        "`{json.null} {json.decode('[]')[1]} {#json.decode('[]')} {vector.one + vector.one}`",
        "null nil 0 2, 2, 2",
    );
}

#[test]
fn a_generation_cannot_poison_the_next_through_what_it_required() {
    cannot_poison(
        &[
            "require('./a.json').n = 'poison'",
            "require('./a.json').list.x = 'poison'",
            "require('./lib').n = 'poison'",
            "setmetatable(require('./lib'), {__index = function() return 'poison' end})",
            "require = function() return 'poison' end",
        ],
        "`{require('./a.json').n} {require('./a.json').list.x} {require('./lib').n} {require('./lib').x}`",
        "1 nil 1 nil",
    );
}

/// What a file overrides is so for the files of its generation, and for nobody else.
#[test]
fn a_name_of_ours_may_be_overridden_for_ones_own_generation() {
    let script = "
        local lib = require('./lib')
        json = {encode = function() return 'mine' end}
        return function() return `{json.encode(1)} {lib()} {log.info('x')}\\n` end\n";
    let server = Server::builder()
        .script(script)
        .file("lib.lua", "return function() return json.encode(1) end\n")
        .start();
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, "x"), "mine mine nil");
    reload(&server, "return function() return json.encode(1) .. '\\n' end\n", 2);
    assert_eq!(ask(&mut client, "x"), "1");
}

/// A function of the host that lies on the stack would be called with arguments that only the
/// host may pass.
#[test]
fn no_function_of_the_host_is_reached_through_the_stack() {
    let script = "
        local function look(level)
          local ok, source, line, name = pcall(debug.info, level, 'sln')
          return if ok then `{source}:{line}:{name}` else source
        end
        return {
          on_connect = function() assert(not pcall(debug.info, 2, 'f')) end,
          on_message = function()
            for level = 0, 20 do
              look(level)
              assert(not pcall(debug.info, level, 'f'))
              assert(not pcall(debug.info, level, 'sf'))
            end
            return 'fine ' .. debug.info(1, 'l') .. ' ' .. debug.info(1, 's') .. '\\n'
          end,
        }\n";
    let server = Server::builder().script(script).start();
    assert_eq!(ask(&mut server.tcp(), "x"), "fine 14 handler.lua");
    server.assert_no_log("handler fault");
}

#[test]
fn debug_info_tells_what_it_tells_in_luau() {
    expect(&[
        ("debug.info(1, 'l')", "2"),
        ("debug.info(next, 's')", "[C]"),
        ("debug.info(function(a, b, ...) end, 'a')", "2,true"),
        (
            "(function() local function me() return debug.info(1, 'n') end local n = me() return n end)()",
            "me",
        ),
        ("select('#', debug.info(100, 's'))", "0"),
        (
            "(function() local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return debug.info(co, 1, 's') end)()",
            "handler.lua",
        ),
        ("type(debug.traceback())", "string"),
    ]);
}

/// The coroutine of a call is resumed by the host alone: who could resume or close it from another
/// call would have it run twice.
#[test]
fn the_coroutine_of_a_call_is_not_given_away() {
    expect(&[
        ("coroutine.running()", "nil"),
        ("pcall(coroutine.running)", "true,nil"),
        ("coroutine.wrap(function() return type(coroutine.running()) end)()", "thread"),
        (
            "(function() local co co = coroutine.create(function() return coroutine.running() == co end) \
             return coroutine.resume(co) end)()",
            "true,true",
        ),
        (
            "coroutine.wrap(function() return coroutine.status(coroutine.running()) end)()",
            "running",
        ),
        (
            "pcall(coroutine.close, coroutine.running())",
            "false,invalid argument #1 to 'close' (thread expected, got nil)",
        ),
    ]);
}

/// So it is for everything that the host calls, and so are the functions beneath it.
#[test]
fn whatever_the_host_calls_gives_nothing_away() {
    let script = "
        local seen = {}
        local function look(name)
          assert(coroutine.running() == nil, name)
          for level = 1, 20 do
            assert(not pcall(debug.info, level, 'f'), name)
          end
          seen[name] = true
        end
        look('body')
        return {
          framing = function(buffer)
            look('framing')
            local at = buffer:find('\\n', 1, true)
            if at then return at, buffer:sub(1, at - 1) end
          end,
          on_load = function()
            look('on_load')
            after(0.001, function() look('after') end)
            spawn(function() sleep(0.001) look('spawn') end)
          end,
          on_connect = function() look('on_connect') end,
          on_message = function(_, conn)
            look('on_message')
            while not (seen.after and seen.spawn) do sleep(0.001) end
            look('waited')
            local names = {}
            for name in seen do table.insert(names, name) end
            table.sort(names)
            return table.concat(names, ' ') .. '\\n'
          end,
        }\n";
    let server = Server::builder().script(script).start();
    let seen = "after body framing on_connect on_load on_message spawn waited";
    assert_eq!(ask(&mut server.tcp(), "x\n"), seen);
    server.assert_no_log("handler fault");
}

#[test]
fn bytecode_is_refused() {
    for first in [0u8, 3, 6, 9, 0x1b] {
        let builder = Server::builder()
            .file("handler.lua", "return require('./x')\n")
            .args(["--script", "handler.lua"])
            .listen("tcp://127.0.0.1:0");
        std::fs::write(builder.dir().join("x.lua"), [first, 3, 1, 0, 0, 0, 1, 0]).unwrap();
        let failed = builder.start_expecting_failure();
        assert_eq!(failed.status, 1, "{failed:?}");
        let says = "x.lua is not text; only text is loaded as a script, no bytecode";
        assert!(failed.stderr.contains(says), "{}", failed.stderr);
    }
}
