//! Black-box tests: each starts the built program in a folder of its own and talks to it as a
//! plain blocking client would. One binary, so that it is linked once. The harness is `support`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

mod asset;
mod backpressure;
mod bad_input;
mod conversation;
mod conversation_datagram;
mod conversation_ends;
mod conversation_load;
mod conversation_reads;
mod conversation_reload;
mod crowd;
mod datagram;
mod datagram_crowd;
mod echo;
mod fault;
mod fault_hints;
mod faults_tasks;
mod faults_traces;
mod framed;
mod framing_datagram;
mod framing_ends;
mod framing_errors;
mod framing_function;
mod framing_function_calls;
mod framing_kinds;
mod framing_switch;
mod handler_api;
mod handler_callbacks;
mod handler_conn;
mod handler_conn_methods;
mod handler_datagram;
mod handler_require;
mod handler_returns;
mod handler_sleep;
mod hostile_frames;
mod hostile_sizes;
mod json;
mod lifecycle;
mod limits;
mod limits_of_memory;
mod many;
mod many_slow;
mod misuse;
mod misuse_table;
mod misuse_toolbox;
mod outgoing;
mod outgoing_life;
mod proxy;
mod read_forms;
mod read_in_message;
mod readme;
mod rebuild;
mod reference;
mod reference_recipes;
mod reload_load;
mod reload_refusals;
mod reload_saves;
mod reload_state;
mod runaway;
mod runaway_callbacks;
mod runaway_memory;
mod runaway_share;
mod sandbox;
mod scripts;
mod shared;
mod shared_limits;
mod sockets;
mod sockets_options;
mod stuck;
mod support;
mod table;
mod talk;
mod tasks;
mod tasks_waiting;
mod timeouts;
mod timers;
mod timers_many;
mod timers_owned;
mod toolbox;
mod unix;
mod vm_traps;
