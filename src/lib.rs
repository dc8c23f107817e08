//! scriptsock: a live-programmable socket server. A Rust core owns the sockets and hands every
//! received message to a Lua handler that is reloaded when its file is saved.
//!
//! # The life of a message
//! 1. [`net`] binds the sockets; a [`worker`] (one thread, one VM) accepts from them.
//! 2. A stream connection gets a [`session`], a peer of a datagram socket an entry in
//!    [`datagram`], and what a script connects to comes from [`outgoing`]; all are a
//!    [`conn::Conn`] to everyone else, and open ones stand in the [`roster`].
//! 3. The framing in force, of [`frame`], finds one message in what was read.
//! 4. It goes as [`handler::Event::Message`] through the seam [`handler::Handler`].
//! 5. [`vm::Vm`] calls `on_message` of the live [`vm::Generation`] in a coroutine, under a CPU
//!    budget and a memory limit, and puts what it returns into the connection's outbox.
//! 6. A callback that waits comes back as [`handler::Step::Wait`]; the session goes on with it
//!    when the wait is over. Until then it reads only where the callback asks for a message,
//!    and what it has read already the callback gets at once.
//! 7. The session writes the outbox once all of that is done.
//!
//! Whoever wants to know of all bytes that come and go is a [`tap::Tap`].
//!
//! What crosses workers, `server.shared` and what is published, goes through the [`hub`].
//!
//! # The life of a script
//! [`watch`] notices that a file may have changed; [`script`] reads it, what it requires and its
//! assets into a [`script::Bundle`] with a digest; [`reload`] has it tried, then built by every
//! worker, then made live by all of them, or by none.
//!
//! # The life of a load
//! `scriptsock bench` serves nothing: [`cli::bench`] reads a [`load::Plan`], [`load::run`] drives
//! some server with it on one thread, and the [`load::Report`] is printed.
//!
//! # The life of a dialogue
//! `scriptsock test` serves nobody either: [`simulation::suite`] finds dialogues, each is held in a
//! [`simulation`], the real worker, sessions and VM over [`net::memory`] and under a clock of its
//! own, and [`play`] does what its clients do.
//!
//! # The life of a recording
//! Of what passes through a [`proxy`], or of what a [`tap::Tap`] is told on the server, the
//! [`recorder`] takes notes; its thread has [`transcript::record`] make a dialogue of them, and writes
//! that to a file step by step. [`replay`] plays one side of such a file over sockets.
//!
//! # The other commands
//! `scriptsock check` is the trial of [`vm::try_out`] without a server, [`cli::init`] writes files
//! that are embedded beside it, [`cli::completions`] describes the command line to a shell.
//!
//! # A conversation by hand
//! `scriptsock connect` serves nothing either: [`cli::connect`] has what is typed or piped in go
//! through a [`net::link::Link`], and shows what comes back.
//!
//! # Layers
//! Imports run downwards only, in this order, which `tests/layers.rs` checks: `main`, `cli`, `proxy`,
//! `replay`, `server`, `reload`, `gate`, `shadow`, `simulation`, `worker`, `accept`, `outgoing`, `vm`,
//! `datagram`, `session`, `service`, `departures`, `handler`, `roster`, `recorder`, `tap`, `conn`,
//! `hub`, `watch`, `script`, `load`, `play`, `transcript`, `settings`, `net`, `frame`, `hash`,
//! `reference`, `text`, `turn`, `world`.
//!
//! [`session`] knows no socket type and no Lua, [`frame`] neither tokio nor Lua, [`load`] neither of
//! them nor clap. A third-party library is named in one module: mlua in `vm`, notify in `watch`,
//! clap in `cli`; `serde_json` in `vm` and in `cli`, rustix in `net` and in `cli`. `unsafe` is in
//! `vm/raw.rs`, `vm/raw/`, `vm/budget.rs` and `cli/footprint.rs` alone.
//!
//! What a script can use is described in [`mod@reference`], as data and as a document. What a
//! client says to a server and what it expects stands in a file that [`mod@transcript`] reads.

mod accept;
pub mod cli;
mod conn;
mod datagram;
mod departures;
pub mod frame;
mod gate;
mod handler;
mod hash;
mod hub;
pub mod load;
pub mod net;
mod outgoing;
pub mod play;
pub mod proxy;
pub mod recorder;
pub mod reference;
mod reload;
pub mod replay;
mod roster;
pub mod script;
pub mod server;
mod service;
mod session;
pub mod settings;
mod shadow;
pub mod simulation;
mod tap;
pub mod text;
pub mod transcript;
mod turn;
mod vm;
mod watch;
mod worker;
mod world;
