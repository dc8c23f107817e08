//! scriptsock: a live-programmable socket server.

pub mod conn;
pub mod datagram;
pub mod handler;
pub mod net;
pub mod script;
pub mod service;
pub mod session;
pub mod settings;
pub mod text;
pub mod vm;
pub mod watch;
