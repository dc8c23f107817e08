//! Addresses and sockets: reading URLs, binding listeners, opening outgoing connections, socket
//! options, sockets of a client that opens many, or one. What is done with them is for others.

pub mod address;
pub mod bind;
pub mod client;
pub mod datagram;
pub mod descriptors;
pub mod dial;
mod endpoint;
mod inet;
pub mod link;
pub mod memory;
pub mod option;
pub mod peer;
pub mod server;
mod stream;
mod transport;
mod udp;
mod unix;

pub use bind::Listener;
pub use endpoint::Endpoint;
pub use stream::Stream;
pub use transport::Transport;
