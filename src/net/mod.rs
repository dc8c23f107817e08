//! Addresses and sockets: reading listener URLs, binding them. What is done with the sockets is for
//! the workers.

pub mod address;
pub mod bind;
pub mod datagram;
pub mod descriptors;
mod endpoint;
mod inet;
mod stream;
mod udp;
mod unix;

pub use bind::Listener;
pub use endpoint::Endpoint;
pub use stream::Stream;
