//! Black-box tests: each starts the built program in a folder of its own and talks to it as a
//! plain blocking client would. One binary, so that it is linked once. The harness is `support`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

mod backpressure;
mod bad_input;
mod crowd;
mod datagram;
mod datagram_crowd;
mod echo;
mod fault;
mod fault_hints;
mod handler_api;
mod handler_callbacks;
mod handler_conn;
mod handler_conn_methods;
mod handler_datagram;
mod handler_require;
mod handler_returns;
mod handler_sleep;
mod lifecycle;
mod limits;
mod limits_of_memory;
mod readme;
mod rebuild;
mod reload_load;
mod reload_refusals;
mod reload_saves;
mod reload_state;
mod runaway;
mod runaway_callbacks;
mod runaway_memory;
mod runaway_share;
mod scripts;
mod stuck;
mod support;
mod talk;
mod timeouts;
mod unix;
mod vm_traps;
