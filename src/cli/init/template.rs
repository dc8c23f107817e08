//! What a handler can begin as: the files of `templates/`, embedded.

/// A handler to begin with.
#[derive(Debug)]
pub(super) struct Template {
    /// What `--template` takes.
    pub(super) name: &'static str,
    /// The handler.
    pub(super) handler: &'static str,
    /// A dialogue with it.
    pub(super) dialogue: &'static str,
    /// A command that talks to it, once the server runs.
    pub(super) attempt: &'static str,
}

/// The first is the one that is taken where none is named.
pub(super) const TEMPLATES: [Template; 5] = [
    Template {
        name: "line",
        handler: include_str!("templates/line/handler.lua"),
        dialogue: include_str!("templates/line/handler.dialogue"),
        attempt: "scriptsock connect 7890",
    },
    Template {
        name: "session",
        handler: include_str!("templates/session/handler.lua"),
        dialogue: include_str!("templates/session/handler.dialogue"),
        attempt: "scriptsock connect 7890",
    },
    Template {
        name: "binary",
        handler: include_str!("templates/binary/handler.lua"),
        dialogue: include_str!("templates/binary/handler.dialogue"),
        attempt: r"printf '\0\003\001hi' | scriptsock connect --hex 7890",
    },
    Template {
        name: "udp",
        handler: include_str!("templates/udp/handler.lua"),
        dialogue: include_str!("templates/udp/handler.dialogue"),
        attempt: "scriptsock connect udp://127.0.0.1:7890",
    },
    Template {
        name: "device",
        handler: include_str!("templates/device/handler.lua"),
        dialogue: include_str!("templates/device/handler.dialogue"),
        attempt: "scriptsock connect 7890",
    },
];
