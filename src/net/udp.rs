//! Batches of UDP datagrams: one system call for many where Linux offers it, one each elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use tokio::net::UdpSocket;

use super::Endpoint;
use super::datagram::{Datagram, LARGEST};

/// Datagrams of one system call; more hardly save time, and fewer keep others waiting less.
const BATCH: usize = 16;

/// The buffers that one socket receives into. Their pages cost memory only once they were used.
pub struct Receiver {
    buffers: Box<[u8]>,
    /// What is in the buffers, in their order, and how much of it was handed out.
    received: Vec<Received>,
    handed_out: usize,
    #[cfg(target_os = "linux")]
    headers: linux::Headers,
}

/// What one socket sends with.
pub struct Sender {
    /// The socket is bound to every address: each datagram says which one it leaves from.
    wildcard: bool,
    #[cfg(target_os = "linux")]
    headers: linux::SendHeaders,
}

impl Sender {
    /// For a socket bound to `local`.
    #[must_use]
    pub fn new(local: SocketAddr, wildcard: bool) -> Self {
        #[cfg(not(target_os = "linux"))]
        let _ = local;
        Self {
            wildcard,
            #[cfg(target_os = "linux")]
            headers: linux::SendHeaders::new(local, wildcard),
        }
    }
}

/// A datagram in its buffer; no peer where the system told none.
struct Received {
    length: usize,
    peer: Option<SocketAddr>,
    local: Option<IpAddr>,
}

impl Receiver {
    /// For a socket bound to `local`.
    #[must_use]
    pub fn new(local: SocketAddr, wildcard: bool) -> Self {
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
    use std::io::{IoSlice, IoSliceMut};
    use std::os::fd::AsRawFd;

    use nix::libc;
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
        recvmmsg, sendmmsg,
    };
    use tokio::io::Interest;

    use super::{
        BATCH, Datagram, Endpoint, IpAddr, LARGEST, Received, Receiver, Sender, SocketAddr,
        UdpSocket, io,
    };

    /// The headers of one batch.
    pub(super) enum Headers {
        /// Used again and again: every datagram fills the same fields.
        Plain(MultiHeaders<SockaddrStorage>),
        /// Made for each batch, because the system shortens the room for control messages.
        WithLocal,
    }

    impl Headers {
        pub(super) fn new(_local: SocketAddr, wildcard: bool) -> Self {
            if wildcard {
                Self::WithLocal
            } else {
                Self::Plain(MultiHeaders::preallocate(BATCH, None))
            }
        }
    }

    /// Room for the control message that carries a local address.
    fn room() -> Vec<u8> {
        nix::cmsg_space!(libc::in6_pktinfo)
    }

    impl Receiver {
        /// Receives one batch.
        pub(in crate::net) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
            let fd = socket.as_raw_fd();
            let Self { buffers, headers, received, handed_out } = self;
            received.clear();
            *handed_out = 0;
            socket.try_io(Interest::READABLE, || {
                let mut chunks = buffers.chunks_exact_mut(LARGEST);
                let mut slices: [_; BATCH] = array::from_fn(|_| {
                    // There are as many.
                    [IoSliceMut::new(chunks.next().unwrap_or_default())]
                });
                let mut made;
                let headers = match headers {
                    Headers::Plain(headers) => headers,
                    Headers::WithLocal => {
                        made = MultiHeaders::preallocate(BATCH, Some(room()));
                        &mut made
                    }
                };
                let batch = recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
                received.extend(batch.map(|one| Received {
                    length: one.bytes,
                    peer: peer(&one),
                    local: local(&one),
                }));
                Ok(())
            })
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

    /// The headers of one batch on its way out, used again and again.
    pub(super) struct SendHeaders {
        headers: MultiHeaders<SockaddrStorage>,
        addresses: Vec<Option<SockaddrStorage>>,
        is_ipv4: bool,
    }

    impl SendHeaders {
        pub(super) fn new(local: SocketAddr, wildcard: bool) -> Self {
            let is_ipv4 = local.is_ipv4();
            // Exactly what the control message takes: the system refuses room that is left over.
            let room =
                wildcard.then(|| if is_ipv4 { nix::cmsg_space!(libc::in_pktinfo) } else { room() });
            let headers = MultiHeaders::preallocate(BATCH, room);
            Self { headers, addresses: Vec::with_capacity(BATCH), is_ipv4 }
        }
    }

    impl Sender {
        /// Sends the first datagrams that leave from the same address, in one system call.
        pub(in crate::net) fn send<'a>(
            &mut self,
            socket: &UdpSocket,
            count: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> io::Result<usize> {
            let Self { wildcard, headers } = self;
            let SendHeaders { headers, addresses, is_ipv4 } = headers;
            let from_of = |index| datagram(index).from.ip().filter(|_| *wildcard);
            let from = from_of(0);
            let count = count.min(BATCH);
            let run =
                (1..count).find(|&index| *wildcard && from_of(index) != from).unwrap_or(count);
            let mut slices = [[IoSlice::new(&[])]; BATCH];
            addresses.clear();
            for (slice, one) in slices.iter_mut().zip((0..run).map(datagram)) {
                *slice = [IoSlice::new(one.data)];
                addresses.push(match one.to {
                    Endpoint::Inet(address) => Some(SockaddrStorage::from(*address)),
                    Endpoint::Unix(_) => None,
                });
            }
            // There is room for one of the socket's own family alone.
            let from = from.filter(|from| from.is_ipv4() == *is_ipv4);
            let (v4, v6) = (from.and_then(info_v4), from.and_then(info_v6));
            let v4 = v4.as_ref().map(ControlMessage::Ipv4PacketInfo);
            let control = v4.or(v6.as_ref().map(ControlMessage::Ipv6PacketInfo));
            let fd = socket.as_raw_fd();
            socket.try_io(Interest::WRITABLE, || {
                let (flags, control) = (MsgFlags::MSG_DONTWAIT, control.as_slice());
                Ok(sendmmsg(fd, headers, &slices, &addresses, control, flags)?.count())
            })
        }
    }

    fn info_v4(from: IpAddr) -> Option<libc::in_pktinfo> {
        let IpAddr::V4(from) = from else { return None };
        let source = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
        let any = libc::in_addr { s_addr: 0 };
        Some(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: any })
    }

    fn info_v6(from: IpAddr) -> Option<libc::in6_pktinfo> {
        let IpAddr::V6(from) = from else { return None };
        let source = libc::in6_addr { s6_addr: from.octets() };
        Some(libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 })
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use super::{Datagram, Endpoint, LARGEST, Received, Receiver, Sender, UdpSocket, io};

    impl Receiver {
        /// Receives one datagram.
        pub(in crate::net) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
            self.received.clear();
            self.handed_out = 0;
            let (length, peer) = socket.try_recv_from(&mut self.buffers[..LARGEST])?;
            self.received.push(Received { length, peer: Some(peer), local: None });
            Ok(())
        }
    }

    impl Sender {
        /// Sends the first datagram.
        pub(in crate::net) fn send<'a>(
            &mut self,
            socket: &UdpSocket,
            _count: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> io::Result<usize> {
            let Datagram { to: Endpoint::Inet(to), data, .. } = datagram(0) else {
                return Err(io::Error::other("not an IP address"));
            };
            socket.try_send_to(data, *to).map(|_| 1)
        }
    }
}
