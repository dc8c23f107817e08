//! The objects that a script holds: connections, and handles of timers and tasks.

use super::{Function, Gives, Kind, Module, Type, Value};

/// What a method answers on a connection that is gone.
const CLOSED: &[&str] = &["closed"];

const SENT: Gives = Gives::OrWord(Type::TRUE, &["closed", "full", "message too long"]);

const DATA: &[Value] = &[Value::new("data", Type::STRING, "the bytes")];

/// What ends a read without a message.
pub const READ_PROBLEMS: &[&str] =
    &["eof", "timeout", "closed", "reset", "oversize", "framing", "shutdown"];

const TOPIC: &[Value] = &[Value::new("topic", Type::STRING, "1 to 1024 bytes")];

/// A connection.
pub const CONN: Module = Module {
    name: "conn",
    kind: Kind::Object("Conn"),
    text: "A connection: a stream, a peer of a datagram socket, or one that `connect` made.",
    fields: &[
        Value::new("id", Type::INTEGER, "Unique in the process."),
        Value::new("transport", Type::Name("Transport"), "What it came over."),
        Value::new(
            "peer",
            Type::STRING,
            "The other end: `127.0.0.1:51234`, a path, or `unnamed`. Always printable.",
        ),
        Value::new(
            "peer_ip",
            Type::Maybe(&Type::STRING),
            "The address of the other end; nil on Unix sockets.",
        ),
        Value::new(
            "peer_port",
            Type::Maybe(&Type::INTEGER),
            "The port of the other end; nil on Unix sockets.",
        ),
        Value::new("local_addr", Type::STRING, "Our end. Always printable."),
        Value::new(
            "listener",
            Type::Maybe(&Type::STRING),
            "The name given with `--listen NAME=URL`, else the URL; nil on a connection that \
             `connect` made.",
        ),
        Value::new("state", Type::TABLE, "A table for the script. It survives reloads."),
    ],
    functions: &[
        Function::new(
            "send",
            DATA,
            SENT,
            "Sends one message: a frame of the reply framing in force, or one datagram.",
        )
        .waiting("room, while 1 MiB is queued, on one's own or an outgoing connection"),
        Function::new("send_raw", DATA, SENT, "Sends bytes as they are, without framing.")
            .waiting("room, as `send` does"),
        Function::new(
            "flush",
            &[],
            Gives::OrWord(Type::TRUE, CLOSED),
            "Waits until everything that was sent has left.",
        )
        .waiting("everything sent to have left"),
        Function::new(
            "read",
            &[Value::new(
                "spec",
                Type::Maybe(&Type::Name("ReadSpec")),
                "a framing for this once, or a table that also has `timeout`; left out: the framing \
                 in force",
            )],
            Gives::OrWord(Type::STRING, READ_PROBLEMS),
            "The next message. Inside `on_message` it takes what would have been the next one.",
        )
        .waiting("a message"),
        Function::new(
            "close",
            &[],
            Gives::Nothing,
            "Sends what is queued, then closes. Messages behind it are dropped.",
        ),
        Function::new(
            "reset",
            &[],
            Gives::Nothing,
            "Drops what is queued and closes with a reset (RST).",
        ),
        Function::new(
            "shutdown",
            &[],
            Gives::Nothing,
            "Ends the sending side once everything is sent. Messages still arrive.",
        ),
        Function::new(
            "set_framing",
            &[Value::new(
                "spec",
                Type::Maybe(&Type::Name("Framing")),
                "nil: back to the script's",
            )],
            Gives::OrWord(Type::TRUE, CLOSED),
            "Sets framing and reply framing of this connection, at once.",
        ),
        Function::new(
            "set_idle_timeout",
            &[Value::new(
                "seconds",
                Type::Maybe(&Type::NUMBER),
                "0: never; nil: back to the rule of the script or the command line",
            )],
            Gives::OrWord(Type::TRUE, CLOSED),
            "Sets the idle timeout of this connection.",
        ),
        Function::new(
            "option",
            &[
                Value::new("name", Type::Name("OptionName"), "see the options"),
                Value::new(
                    "value",
                    Type::Maybe(&Type::Either(&[Type::BOOLEAN, Type::NUMBER])),
                    "left out: reads it",
                ),
            ],
            Gives::OrText(Type::ANY),
            "Reads an option of the socket from the kernel, or sets it.",
        ),
        Function::new(
            "subscribe",
            TOPIC,
            Gives::OrWord(Type::TRUE, &["closed", "limit"]),
            "From now on the connection gets what is published on the topic. Twice is as once.",
        ),
        Function::new(
            "unsubscribe",
            TOPIC,
            Gives::OrWord(Type::TRUE, CLOSED),
            "Ends a subscription, if there is one.",
        ),
    ],
};

/// A timer or a task.
pub const HANDLE: Module = Module {
    name: "handle",
    kind: Kind::Object("Handle"),
    text: "What `after`, `every` and `spawn` return.",
    fields: &[],
    functions: &[Function::new(
        "cancel",
        &[],
        Gives::Nothing,
        "Ends the timer or task. On one that has ended it does nothing.",
    )],
};

/// An option of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOption {
    /// As `conn:option` takes it.
    pub name: &'static str,
    /// What a script gives and gets.
    pub values: &'static str,
    /// Where it applies.
    pub transports: &'static str,
    /// What it does.
    pub text: &'static str,
}

/// The names that `conn:option` takes.
pub const OPTIONS: [SocketOption; 7] = [
    SocketOption {
        name: "nodelay",
        values: "a boolean",
        transports: "tcp",
        text: "Small packets leave at once (`TCP_NODELAY`). It is on from the start.",
    },
    SocketOption {
        name: "keepalive",
        values: "a boolean",
        transports: "tcp",
        text: "The kernel probes a silent peer (`SO_KEEPALIVE`).",
    },
    SocketOption {
        name: "ttl",
        values: "a whole number",
        transports: "tcp, udp",
        text: "Hops that a packet may take (`IP_TTL`).",
    },
    SocketOption {
        name: "recv_buffer",
        values: "a whole number of bytes",
        transports: "all",
        text: "The kernel's buffer for what arrives (`SO_RCVBUF`). Linux gives twice of what is \
               asked, and says so when it is read back.",
    },
    SocketOption {
        name: "send_buffer",
        values: "a whole number of bytes",
        transports: "all",
        text: "The kernel's buffer for what is sent (`SO_SNDBUF`); as `recv_buffer`.",
    },
    SocketOption {
        name: "broadcast",
        values: "a boolean",
        transports: "udp",
        text: "Datagrams to broadcast addresses are allowed (`SO_BROADCAST`).",
    },
    SocketOption {
        name: "linger",
        values: "whole seconds, or `false`",
        transports: "tcp, unix",
        text: "How long the system waits in a close for what is still to be sent (`SO_LINGER`). The \
               server never waits in a close, so above 0 it is as `false`. `conn:reset()` is what resets.",
    },
];
