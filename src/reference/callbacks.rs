//! What a script's table may hold: callbacks and settings.

use super::{Key, Type, Value};

/// A function of the script that the server calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// The key in the script's table.
    pub name: &'static str,
    /// What it gets.
    pub params: &'static [Value],
    /// When it is called.
    pub when: &'static str,
    /// Whether it may wait, in words.
    pub waits: &'static str,
    /// What it may return.
    pub returns: &'static str,
}

const CONN: Value = Value::new("conn", Type::CONN, "the connection");

/// All callbacks, in the order of a connection's life.
pub const CALLBACKS: [Callback; 10] = [
    Callback {
        name: "on_load",
        params: &[Value::new(
            "previous",
            Type::Maybe(&Type::INTEGER),
            "the number of the generation that it replaces; nil at the start",
        )],
        when: "This generation is about to go live. Once a worker.",
        waits: "yes, 10 seconds in all",
        returns: "Nothing. `nil, reason` or an error: the generation does not go live.",
    },
    Callback {
        name: "on_connect",
        params: &[CONN],
        when: "A stream connection opened, or the first datagram of a peer arrived.",
        waits: "yes",
        returns: "A reply. `nil, reason` or an error refuses the connection; the next datagram of a \
                  refused peer asks again.",
    },
    Callback {
        name: "on_message",
        params: &[Value::new("msg", Type::STRING, "the message, without its framing"), CONN],
        when: "A message arrived: one frame of a stream, or one datagram.",
        waits: "yes",
        returns: "A reply. `nil, reason` rejects the message.",
    },
    Callback {
        name: "on_session",
        params: &[CONN],
        when: "Instead of `on_message`: after `on_connect`, once a connection. It reads with \
               `conn:read()`. When it has returned and the tasks that it spawned have ended, what \
               was sent is flushed and the connection is closed.",
        waits: "yes",
        returns: "A last reply. An error, also one of the budget, closes the connection as `error`.",
    },
    Callback {
        name: "on_eof",
        params: &[CONN],
        when: "The peer closed its sending side. Not for datagram peers, and not in a \
               conversation: there `conn:read()` says `eof`.",
        waits: "yes",
        returns: "A reply. `true` keeps the connection for sending; otherwise the rest is sent and \
                  it closes.",
    },
    Callback {
        name: "on_idle",
        params: &[CONN],
        when: "A stream connection was silent for the idle timeout. In a conversation: while a \
               `read` waits.",
        waits: "yes",
        returns: "A reply. `true` keeps the connection; otherwise it closes.",
    },
    Callback {
        name: "on_reload",
        params: &[CONN],
        when: "This generation went live while `conn` was open. Before its next message. Not for a \
               conversation that an older generation began.",
        waits: "yes",
        returns: "A reply.",
    },
    Callback {
        name: "on_error",
        params: &[
            Value::new("err", Type::STRING, "the text of the error, with its place"),
            Value::new("conn", Type::Maybe(&Type::CONN), "the connection; nil where there is none"),
        ],
        when: "A callback, timer or task of this generation failed; not for a framing function. If \
               `on_error` fails itself, that is logged and nothing more happens.",
        waits: "yes",
        returns: "A reply.",
    },
    Callback {
        name: "on_close",
        params: &[
            CONN,
            Value::new("reason", Type::Name("CloseReason"), "why; see the close reasons"),
        ],
        when: "The connection is gone. After any call of it that was running.",
        waits: "yes",
        returns: "Nothing that counts.",
    },
    Callback {
        name: "on_unload",
        params: &[],
        when: "This generation was replaced, or the server stops. Once a worker.",
        waits: "yes",
        returns: "Nothing that counts.",
    },
];

/// The keys of a script's table that are no callbacks.
pub const SETTINGS: [Key; 4] = [
    Key {
        value: Value::new(
            "framing",
            Type::Name("Framing"),
            "How received bytes become messages. `--framing` goes before it.",
        ),
        default: "`\"raw\"`",
    },
    Key {
        value: Value::new("reply_framing", Type::Name("Framing"), "How replies become bytes."),
        default: "that of `framing`",
    },
    Key {
        value: Value::new(
            "idle_timeout",
            Type::NUMBER,
            "Seconds until a silent stream connection is closed; 0 is never. `--idle-timeout` goes \
             before it.",
        ),
        default: "never",
    },
    Key {
        value: Value::new(
            "peer_timeout",
            Type::NUMBER,
            "Seconds until a silent datagram peer is forgotten.",
        ),
        default: "60",
    },
];
