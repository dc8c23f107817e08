//! The globals that reach the server: connections, time, topics, shared values, the log, files.

use super::{Function, Gives, Kind, Module, Type, Value};

const HANDLE: Gives = Gives::OrWord(Type::HANDLE, &["limit"]);

const MESSAGE: &[Value] = &[
    Value::new("message", Type::ANY, "the text; other values as `tostring` shows them"),
    Value::new("fields", Type::Maybe(&Type::TABLE), "names and values beside it"),
];

/// Global functions that wait, or run later.
pub const FUNCTIONS: Module = Module {
    name: "globals",
    kind: Kind::Global,
    text: "Time, tasks and outgoing connections.",
    fields: &[],
    functions: &[
        Function::new(
            "sleep",
            &[Value::new("seconds", Type::NUMBER, "0 or more")],
            Gives::Nothing,
            "Waits. `sleep(0)` gives others a turn and starts a new budget.",
        )
        .waiting("time to pass"),
        Function::new(
            "after",
            &[
                Value::new("seconds", Type::NUMBER, "0 or more"),
                Value::new("fn", Type::FUNCTION, "the function"),
            ],
            HANDLE,
            "Calls the function once, so many seconds from now.",
        ),
        Function::new(
            "every",
            &[
                Value::new("seconds", Type::NUMBER, "0.001 or more"),
                Value::new("fn", Type::FUNCTION, "the function"),
            ],
            HANDLE,
            "Calls the function again and again. A run that is still busy skips a beat.",
        ),
        Function::new(
            "spawn",
            &[
                Value::new("fn", Type::FUNCTION, "the function"),
                Value::new("...", Type::ANY, "its arguments"),
            ],
            HANDLE,
            "Runs the function as a task of its own. It starts when the running callback waits or \
             returns. What it returns does not count.",
        ),
        Function::new(
            "connect",
            &[
                Value::new(
                    "url",
                    Type::STRING,
                    "`tcp://HOST:PORT`, `udp://HOST:PORT` or `unix://PATH`",
                ),
                Value::new(
                    "options",
                    Type::Maybe(&Type::Name("ConnectOptions")),
                    "`timeout` in seconds (10), `framing` (the script's)",
                ),
            ],
            Gives::OrSystem(Type::CONN),
            "Opens a connection to another server. It has all methods of `conn`; no callbacks run \
             for it.",
        )
        .waiting("the connection"),
    ],
};

/// Keys of the table that `connect` takes.
pub const CONNECT_KEYS: [Value; 2] = [
    Value::new("timeout", Type::Maybe(&Type::NUMBER), "seconds; 10 if left out"),
    Value::new("framing", Type::Maybe(&Type::Name("Framing")), "the script's if left out"),
];

/// The server.
pub const SERVER: Module = Module {
    name: "server",
    kind: Kind::Table,
    text: "The server, as this worker and this generation see it.",
    fields: &[
        Value::new("generation", Type::INTEGER, "The number of this generation, from 1."),
        Value::new("worker", Type::INTEGER, "The number of this worker, from 1."),
        Value::new(
            "state",
            Type::TABLE,
            "A table of this worker that survives reloads. With several workers each has its own, \
             and the first use is a warning in the log.",
        ),
    ],
    functions: &[
        Function::new(
            "now",
            &[],
            Gives::Always(Type::NUMBER),
            "The wall clock: seconds since 1970, with fraction.",
        ),
        Function::new("stop", &[], Gives::Nothing, "Stops the server in order."),
        Function::new(
            "connections",
            &[],
            Gives::Always(Type::List(&Type::CONN)),
            "The open connections and datagram peers of this worker, as an array. Those that \
             `connect` made are not in it.",
        ),
        Function::new(
            "publish",
            &[
                Value::new("topic", Type::STRING, "1 to 1024 bytes"),
                Value::new("data", Type::STRING, "the message"),
                Value::new("except", Type::Maybe(&Type::CONN), "who does not get it"),
            ],
            Gives::OrWord(Type::TRUE, &["full"]),
            "Sends a message to every subscriber of the topic, on every worker. Never waits.",
        ),
        Function::new(
            "broadcast",
            &[
                Value::new("data", Type::STRING, "the message"),
                Value::new("except", Type::Maybe(&Type::CONN), "who does not get it"),
            ],
            Gives::OrWord(Type::TRUE, &["full"]),
            "Sends a message to every stream connection, on every worker. Never waits.",
        ),
    ],
};

const KEY: Value = Value::new("key", Type::STRING, "1024 bytes at most");
const STORED: Type = Type::Name("Shared");
const TTL: Value = Value::new("ttl", Type::Maybe(&Type::NUMBER), "seconds it lives; for ever");

/// Values that all workers share.
pub const SHARED: Module = Module {
    name: "server.shared",
    kind: Kind::Table,
    text: "Values that all workers share: strings, numbers and booleans. Each call is atomic.",
    fields: &[],
    functions: &[
        Function::new(
            "get",
            &[KEY],
            Gives::OrNil(Type::ANY),
            "The value, nil where there is none.",
        ),
        Function::new(
            "set",
            &[KEY, Value::new("value", STORED, "not nil: `delete` removes"), TTL],
            Gives::OrWord(Type::TRUE, &["limit"]),
            "Stores a value in place of the old one.",
        ),
        Function::new(
            "add",
            &[KEY, Value::new("value", STORED, "not nil"), TTL],
            Gives::OrWord(Type::TRUE, &["exists", "limit"]),
            "Stores a value, only where there is none.",
        ),
        Function::new(
            "incr",
            &[KEY, Value::new("by", Type::Maybe(&Type::NUMBER), "1 if left out"), TTL],
            Gives::OrWord(Type::NUMBER, &["not a number", "limit"]),
            "Adds to a number, from 0 where there is none; returns the new value. `ttl` counts only \
             where the key is new.",
        ),
        Function::new(
            "delete",
            &[KEY],
            Gives::Always(Type::BOOLEAN),
            "Removes a value; returns whether it was there.",
        ),
        Function::new("keys", &[], Gives::Always(Type::List(&Type::STRING)), "All keys, sorted."),
    ],
};

/// The log.
pub const LOG: Module = Module {
    name: "log",
    kind: Kind::Table,
    text: "Writes to the log of the server.",
    fields: &[],
    functions: &[
        Function::new("debug", MESSAGE, Gives::Nothing, "At level debug: shown with `-v`."),
        Function::new("info", MESSAGE, Gives::Nothing, "At level info."),
        Function::new("warn", MESSAGE, Gives::Nothing, "At level warn."),
        Function::new("error", MESSAGE, Gives::Nothing, "At level error: shown with `-q` too."),
    ],
};

/// Functions that Lua has too, in the way they work here, and `asset`.
pub const FILES: Module = Module {
    name: "files",
    kind: Kind::Global,
    text: "Files of the script's folder, and `print`.",
    fields: &[],
    functions: &[
        Function::new(
            "require",
            &[Value::new("path", Type::STRING, "a literal that begins with `./` or `../`")],
            Gives::Always(Type::ANY),
            "What another file returns: `./lib/proto` is `lib/proto.lua`, else \
             `lib/proto/init.lua`; `./data.json` is decoded. It runs once a generation.",
        ),
        Function::new(
            "asset",
            &[Value::new("path", Type::STRING, "a literal that begins with `./` or `../`")],
            Gives::Always(Type::STRING),
            "The bytes of a file.",
        ),
        Function::new(
            "print",
            &[Value::new("...", Type::ANY, "the values")],
            Gives::Nothing,
            "Writes its values to the log at level info, with tabs between.",
        ),
    ],
};

/// Fields of the environment beside what the modules name.
pub const OTHER: [&str; 1] = ["_G"];

/// Global names that Luau itself brings.
pub const LUAU: [&str; 32] = [
    "_VERSION",
    "assert",
    "bit32",
    "buffer",
    "coroutine",
    "debug",
    "error",
    "gcinfo",
    "getmetatable",
    "integer",
    "ipairs",
    "math",
    "next",
    "os",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "typeof",
    "unpack",
    "utf8",
    "vector",
    "xpcall",
];
