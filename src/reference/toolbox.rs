//! The modules that compute: they reach nothing outside the script.

use super::{Function, Gives, Kind, Module, Type, Value};

const DATA: &[Value] = &[Value::new("data", Type::STRING, "the bytes")];
const TEXT: &[Value] = &[Value::new("text", Type::STRING, "the text")];

/// JSON.
pub const JSON: Module = Module {
    name: "json",
    kind: Kind::Table,
    text: "JSON.",
    fields: &[Value::new(
        "null",
        Type::ANY,
        "Stands for `null` in both directions, where nil would remove the key.",
    )],
    functions: &[
        Function::new(
            "encode",
            &[Value::new("value", Type::ANY, "strings, numbers, booleans, tables, `json.null`")],
            Gives::Always(Type::STRING),
            "The value as JSON, keys sorted. What JSON cannot say is an error.",
        ),
        Function::new("decode", TEXT, Gives::OrText(Type::ANY), "The value of a JSON text."),
    ],
};

/// Hexadecimal digits.
pub const HEX: Module = Module {
    name: "hex",
    kind: Kind::Table,
    text: "Hexadecimal digits.",
    fields: &[],
    functions: &[
        Function::new("encode", DATA, Gives::Always(Type::STRING), "Two digits a byte."),
        Function::new(
            "decode",
            TEXT,
            Gives::OrText(Type::STRING),
            "The bytes of such digits, in both cases; white space is skipped.",
        ),
        Function::new(
            "dump",
            DATA,
            Gives::Always(Type::STRING),
            "For people: offset, sixteen bytes a line, and the printable ones as text; of 65,520 bytes \
             at most.",
        ),
    ],
};

/// Base64.
pub const BASE64: Module = Module {
    name: "base64",
    kind: Kind::Table,
    text: "Base64, standard alphabet.",
    fields: &[],
    functions: &[
        Function::new("encode", DATA, Gives::Always(Type::STRING), "With padding."),
        Function::new(
            "decode",
            TEXT,
            Gives::OrText(Type::STRING),
            "The bytes; padding may be left out, and white space is skipped.",
        ),
    ],
};

const HMAC: &[&str] = &["sha256", "sha1", "md5"];
const CRC16: &[&str] = &["modbus", "ccitt", "xmodem", "arc"];

/// Hashes and checksums.
pub const HASH: Module = Module {
    name: "hash",
    kind: Kind::Table,
    text: "Hashes, as raw bytes, and checksums, as numbers.",
    fields: &[],
    functions: &[
        Function::new("sha256", DATA, Gives::Always(Type::STRING), "SHA-256, 32 bytes."),
        Function::new("sha1", DATA, Gives::Always(Type::STRING), "SHA-1, 20 bytes."),
        Function::new("md5", DATA, Gives::Always(Type::STRING), "MD5, 16 bytes."),
        Function::new(
            "hmac",
            &[
                Value::new("algorithm", Type::Words(HMAC), "`\"sha256\"`, `\"sha1\"` or `\"md5\"`"),
                Value::new("key", Type::STRING, "the key"),
                Value::new("data", Type::STRING, "the bytes"),
            ],
            Gives::Always(Type::STRING),
            "A keyed hash: `algorithm` is `\"sha256\"`, `\"sha1\"` or `\"md5\"`.",
        ),
        Function::new("crc32", DATA, Gives::Always(Type::INTEGER), "CRC-32, as in zip and PNG."),
        Function::new(
            "crc16",
            &[
                Value::new("data", Type::STRING, "the bytes"),
                Value::new("variant", Type::Maybe(&Type::Words(CRC16)), "`\"modbus\"` if left out"),
            ],
            Gives::Always(Type::INTEGER),
            "CRC-16: `variant` is `\"modbus\"` (if left out), `\"ccitt\"`, `\"xmodem\"` or `\"arc\"`.",
        ),
    ],
};

/// Randomness.
pub const RANDOM: Module = Module {
    name: "random",
    kind: Kind::Table,
    text: "Random bytes of the system, fit for secrets.",
    fields: &[],
    functions: &[Function::new(
        "bytes",
        &[Value::new("count", Type::INTEGER, "0 to 1,048,576")],
        Gives::Always(Type::STRING),
        "So many random bytes.",
    )],
};
