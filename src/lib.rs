//! scriptsock: a live-programmable socket server.

pub mod net;
pub mod script;
pub mod settings;
pub mod text;
pub mod watch;
