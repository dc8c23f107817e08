//! Words that a script sees: close reasons, transports, problems, errors.

use super::Word;

const fn word(word: &'static str, text: &'static str) -> Word {
    Word { word, text }
}

/// Why a connection is gone, as `on_close` gets it.
pub const REASONS: [Word; 11] = [
    word("eof", "The peer closed."),
    word("closed", "The script closed it, or `on_session` returned before the peer had ended."),
    word("reset", "It was reset, by either side."),
    word("idle", "It was silent for the idle timeout; for datagram peers: for `peer_timeout`."),
    word(
        "error",
        "The handler failed: in `on_connect`, in `on_session`, or anywhere with `--on-error close`.",
    ),
    word(
        "slow",
        "The peer did not take what was sent within `--send-timeout`, or its queue was full when \
         something was published or broadcast.",
    ),
    word("shutdown", "The server stopped."),
    word("oversize", "A message was larger than it may be."),
    word("rejected", "`on_connect` refused it."),
    word("framing", "A message was malformed, or a framing function failed."),
    word("limit", "A newer datagram peer took its place (`--max-peers`)."),
];

/// What a connection came over.
pub const TRANSPORTS: [Word; 4] = [
    word("tcp", "A TCP connection."),
    word("udp", "A peer of a UDP socket."),
    word("unix", "A Unix stream connection."),
    word("unixgram", "A peer of a Unix datagram socket."),
];

/// Words that stand behind nil as the second value.
pub const PROBLEMS: [Word; 13] = [
    word(
        "closed",
        "The connection is closed or closing. A read: it was closed meanwhile. A send: also where it \
         waited for `--send-timeout`, which closes the connection as `slow`.",
    ),
    word(
        "full",
        "What was to be sent does not fit. `send`: the queue of a connection is full that is neither \
         one's own nor an outgoing one, or all queues of the worker are. `publish` and `broadcast`: \
         another worker is that far behind; its peers do not get it.",
    ),
    word(
        "message too long",
        "A datagram over 65,507 bytes, or a length that the field of the framing cannot say.",
    ),
    word("eof", "A read: the peer has ended its side, and nothing is left."),
    word("timeout", "A read: the time is over. `connect`: with `ETIMEDOUT`."),
    word("reset", "A read: the connection was reset."),
    word("oversize", "A read: the message is larger than it may be. The connection will close."),
    word("framing", "A read: the message is malformed. The connection will close."),
    word("shutdown", "A read: the server stops."),
    word(
        "limit",
        "There are as many as there may be: timers and tasks, subscriptions, or bytes in \
         `server.shared`.",
    ),
    word("exists", "`server.shared.add`: the key has a value."),
    word("not a number", "`server.shared.incr`: the value is none."),
    word("not supported", "`conn:option`: the transport has no such option."),
];

/// A failure of `connect`: its text and its symbolic name.
pub const CONNECT_PROBLEMS: [(Word, &str); 4] = [
    (word("connection refused", "Nobody listens there."), "ECONNREFUSED"),
    (word("timeout", "There was no answer in time."), "ETIMEDOUT"),
    (word("host not found", "The name has no address."), "ENOTFOUND"),
    (word("file not found", "There is no such Unix socket."), "ENOENT"),
];

/// Errors that the API raises, at the line of the caller.
pub const RAISED: [Word; 9] = [
    word("NAME expects WHAT, got TYPE", "An argument of the wrong type, or out of range."),
    word(
        "NAME: not while loading; use on_load",
        "The body of a script may not wait, send, spawn, connect, stop or touch `server.shared`.",
    ),
    word("NAME: not in a framing function", "Nor may a framing function."),
    word(
        "NAME cannot wait in a coroutine of the script's own; use spawn for a task of its own",
        "Waiting does not work inside `coroutine.create` and `coroutine.wrap`.",
    ),
    word(
        "NAME cannot wait inside a sort or gsub callback or a metamethod",
        "Nor where Luau calls a function of the script from C. An iterator that is a function may wait.",
    ),
    word(
        "conn:read: CONN is already being read",
        "A second `conn:read` while the first one waits.",
    ),
    word("call it with a colon: conn:NAME(...)", "A method was called with a dot."),
    word(
        "conn has no field 'NAME'; ...",
        "A name that `conn` does not have, with the nearest one.",
    ),
    word(
        "conn.NAME cannot be set; keep your own values in conn.state",
        "Only `conn.state` can be set.",
    ),
];
