//! The kinds of framing and the keys beside them.

use super::{Type, Value};

/// A kind of framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Its name, in strings and as a key.
    pub kind: &'static str,
    /// Strings that ask for it, for `--framing` and scripts.
    pub strings: &'static [&'static str],
    /// The same as a table.
    pub table: &'static str,
    /// What it takes as the value of its key.
    pub value: Type,
    /// What becomes a message.
    pub reads: &'static str,
    /// What becomes of a reply.
    pub replies: &'static str,
    /// What it does to a datagram that arrived.
    pub datagram: &'static str,
    /// What becomes of a rest at the end of the stream.
    pub end: &'static str,
    /// What is malformed.
    pub malformed: &'static str,
}

const WHOLE: &str = "taken whole, replies unchanged";
const SPLIT: &str = "split at it; a rest counts";
const REST: &str = "a rest is a message";
const REST_LESS_CR: &str = "a rest is a message, without its CR";
const CUT: &str = "a rest is logged and dropped";
const NEVER: &str = "nothing is";

/// The widths of a length field.
pub const LENGTHS: [&str; 7] = ["u8", "u16be", "u16le", "u24be", "u32be", "u32le", "varint"];

/// The kinds that have a name.
pub const KINDS: [Framing; 7] = [
    Framing {
        kind: "raw",
        strings: &["raw", "raw,max=1KiB"],
        table: "{ raw = true }",
        value: Type::TRUE,
        reads: "whatever one read returned, 64 KiB at most",
        replies: "unchanged",
        datagram: WHOLE,
        end: REST,
        malformed: NEVER,
    },
    Framing {
        kind: "line",
        strings: &["line", "line,max=4KiB"],
        table: "{ line = true }",
        value: Type::TRUE,
        reads: "up to LF; a CR before it is dropped",
        replies: "LF added",
        datagram: SPLIT,
        end: REST_LESS_CR,
        malformed: NEVER,
    },
    Framing {
        kind: "crlf",
        strings: &["crlf"],
        table: "{ crlf = true }",
        value: Type::TRUE,
        reads: "up to CRLF, or a bare LF",
        replies: "CRLF added",
        datagram: SPLIT,
        end: REST_LESS_CR,
        malformed: NEVER,
    },
    Framing {
        kind: "delimiter",
        strings: &["delimiter:0x00", "delimiter:0x0d0a", "delimiter:;", "delimiter:\\r\\n"],
        table: "{ delimiter = \"\\0\" }",
        value: Type::STRING,
        reads: "up to the delimiter",
        replies: "delimiter added",
        datagram: SPLIT,
        end: REST,
        malformed: NEVER,
    },
    Framing {
        kind: "length",
        strings: &["length:u16be", "length:u32be,offset=1,adjust=-4,header=keep,max=64KiB"],
        table: "{ length = \"u16be\" }",
        value: Type::Words(&LENGTHS),
        reads: "as many bytes as a length field says, which may be inside a header",
        replies: "prefix added; with `header = \"keep\"` unchanged",
        datagram: WHOLE,
        end: CUT,
        malformed: "a length below 0 after `adjust`; a varint over 5 bytes or 32 bits",
    },
    Framing {
        kind: "fixed",
        strings: &["fixed:12"],
        table: "{ fixed = 12 }",
        value: Type::INTEGER,
        reads: "that many bytes",
        replies: "unchanged",
        datagram: WHOLE,
        end: CUT,
        malformed: NEVER,
    },
    Framing {
        kind: "netstring",
        strings: &["netstring"],
        table: "{ netstring = true }",
        value: Type::TRUE,
        reads: "`5:hello,` is `hello`",
        replies: "encoded",
        datagram: WHOLE,
        end: CUT,
        malformed: "no digits, a leading zero, more than 10 digits, no comma",
    },
];

/// A function of the script as framing, beside the kinds with a name.
pub const FUNCTION: Framing = Framing {
    kind: "function",
    strings: &[],
    table: "`function(buffer, eof)`, `{ split, max = 65536 }`",
    value: Type::FUNCTION,
    reads: "what it says",
    replies: "unchanged",
    datagram: "it runs on the datagram and must use all of it up",
    end: "asked with `eof` true while it consumes; a rest is logged and dropped",
    malformed: "what it says is malformed; a fault in it, or a return that makes no sense",
};

/// Keys that stand beside a kind.
pub const KEYS: [Value; 4] = [
    Value::new(
        "max",
        Type::Either(&[Type::NUMBER, Type::STRING]),
        "Any kind: the largest message, in bytes or as `\"64KiB\"`; `--max-message` if left out.",
    ),
    Value::new("offset", Type::INTEGER, "`length`: bytes before the length field; 0 if left out."),
    Value::new(
        "adjust",
        Type::INTEGER,
        "`length`: added to what the field says, to get the bytes behind it; 0 if left out.",
    ),
    Value::new(
        "header",
        Type::Words(&["strip", "keep"]),
        "`length`: `\"strip\"` (if left out): the message is what stands behind the field. \
         `\"keep\"`: it is the whole frame from its first byte on.",
    ),
];

/// Keys that only `conn:read` takes, beside the others.
pub const READ_KEYS: [Value; 2] = [
    Value::new("all", Type::TRUE, "Everything until the end of the stream. `\"all\"` as a string."),
    Value::new(
        "timeout",
        Type::NUMBER,
        "Seconds; 0 takes only what is there. What arrived stays buffered. Alone: the framing in \
         force.",
    ),
];
