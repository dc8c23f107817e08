//! scriptsock: a live-programmable socket server.

pub mod net;
pub mod settings;
pub mod text;
