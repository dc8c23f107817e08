//! Receives batches of UDP datagrams: one system call for many where Linux offers it, one each
//! elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use super::super::datagram::LARGEST;

/// Datagrams of one system call; more hardly save time, and fewer keep others waiting less.
const BATCH: usize = 32;

/// After so many it is worth asking for more at once: they took a while to be answered.
#[cfg(target_os = "linux")]
const SEVERAL: usize = 2;

/// The buffers that one socket receives into. Their pages cost memory only once they were used.
pub(super) struct Receiver {
    buffers: Box<[u8]>,
    /// What is in the buffers, in their order, and how much of it was handed out.
    received: Vec<Received>,
    handed_out: usize,
    #[cfg(target_os = "linux")]
    headers: linux::Headers,
}

/// A datagram in its buffer; no peer where the system told none.
struct Received {
    length: usize,
    peer: Option<SocketAddr>,
    local: Option<IpAddr>,
}

impl Receiver {
    /// For a socket bound to `local`.
    pub(super) fn new(local: SocketAddr, wildcard: bool) -> Self {
        #[cfg(not(target_os = "linux"))]
        let _ = (local, wildcard);
        Self {
            buffers: vec![0; BATCH * LARGEST].into_boxed_slice(),
            received: Vec::with_capacity(BATCH),
            handed_out: 0,
            #[cfg(target_os = "linux")]
            headers: linux::Headers::new(local, wildcard),
        }
    }

    /// Whether everything received was handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.handed_out == self.received.len()
    }

    /// Hands out what was received, until `take` breaks off.
    pub(super) fn hand_out(
        &mut self,
        mut take: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]) -> ControlFlow<()>,
    ) {
        let buffers = self.buffers.chunks_exact(LARGEST);
        for (one, buffer) in self.received.iter().zip(buffers).skip(self.handed_out) {
            self.handed_out += 1;
            let Some(peer) = one.peer else { continue };
            if take(peer, one.local, &buffer[..one.length.min(LARGEST)]).is_break() {
                break;
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::array;
    use std::io::{self, IoSliceMut};
    use std::net::{IpAddr, SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;

    use nix::libc;
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg,
    };

    use super::super::super::datagram::LARGEST;
    use super::{BATCH, Received, Receiver, SEVERAL};

    /// The headers of one batch, used again and again: every datagram fills the same fields.
    pub(super) struct Headers {
        batch: MultiHeaders<SockaddrStorage>,
        /// On wildcard sockets, the family of what a control message carries: the local address.
        local: Option<Family>,
    }

    #[derive(Clone, Copy)]
    enum Family {
        V4,
        V6,
    }

    impl Headers {
        pub(super) fn new(local: SocketAddr, wildcard: bool) -> Self {
            let family = if local.is_ipv4() { Family::V4 } else { Family::V6 };
            Self::with_local(wildcard.then_some(family))
        }

        fn with_local(local: Option<Family>) -> Self {
            // Exactly what the control message takes: the system lessens the room to what it has
            // used, and so leaves it as it is.
            let room = local.map(|family| match family {
                Family::V4 => nix::cmsg_space!(libc::in_pktinfo),
                Family::V6 => nix::cmsg_space!(libc::in6_pktinfo),
            });
            Self { batch: MultiHeaders::preallocate(BATCH, room), local }
        }
    }

    impl Receiver {
        /// Receives one batch; says whether it is worth asking for more: one that is not full has
        /// emptied the socket, but while many were answered there came others.
        pub(in crate::net::udp) fn receive(&mut self, socket: &UdpSocket) -> io::Result<bool> {
            let Self { buffers, headers, received, handed_out } = self;
            received.clear();
            *handed_out = 0;
            let mut chunks = buffers.chunks_exact_mut(LARGEST);
            let mut slices: [_; BATCH] = array::from_fn(|_| {
                // There are as many.
                [IoSliceMut::new(chunks.next().unwrap_or_default())]
            });
            let fd = socket.as_raw_fd();
            let batch =
                recvmmsg(fd, &mut headers.batch, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
            received.extend(batch.map(|one| Received {
                length: one.bytes,
                peer: peer(&one),
                local: local(&one),
            }));
            if headers.local.is_some() && received.iter().any(|one| one.local.is_none()) {
                // A slot whose datagram came without has no room left for the next one's.
                *headers = Headers::with_local(headers.local);
            }
            Ok(received.len() >= SEVERAL)
        }
    }

    fn peer(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<SocketAddr> {
        let address = message.address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
    }

    fn local(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
        message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes()))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
            _ => None,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::net::UdpSocket;

    use super::super::super::datagram::LARGEST;
    use super::{Received, Receiver};

    impl Receiver {
        /// Receives one datagram; there may always be more.
        pub(in crate::net::udp) fn receive(&mut self, socket: &UdpSocket) -> io::Result<bool> {
            self.received.clear();
            self.handed_out = 0;
            let (length, peer) = socket.recv_from(&mut self.buffers[..LARGEST])?;
            self.received.push(Received { length, peer: Some(peer), local: None });
            Ok(true)
        }
    }
}
