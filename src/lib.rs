//! scriptsock: a live-programmable socket server.
