//! Sends batches of UDP datagrams: one system call for many where Linux offers it, one each
//! elsewhere.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// What one socket sends with.
pub(super) struct Sender {
    /// The socket is bound to every address: each datagram says which one it leaves from.
    #[cfg(target_os = "linux")]
    wildcard: bool,
    #[cfg(target_os = "linux")]
    headers: linux::Headers,
}

impl Sender {
    /// For a socket bound to `local`.
    pub(super) fn new(socket: &UdpSocket, local: SocketAddr, wildcard: bool) -> Self {
        #[cfg(not(target_os = "linux"))]
        let _ = (socket, local, wildcard);
        Self {
            #[cfg(target_os = "linux")]
            wildcard,
            #[cfg(target_os = "linux")]
            headers: linux::Headers::new(socket, local, wildcard),
        }
    }
}

/// Whether the system knows of trains: datagrams of one size for one peer, which pass through it as
/// one. A system that does not would send a train as one datagram.
#[cfg(target_os = "linux")]
pub(in crate::net) fn knows_trains(socket: &impl AsFd) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
    setsockopt(socket, UdpGsoSegment, &0).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(in crate::net) fn knows_trains(_: &impl AsFd) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSlice};
    use std::net::{IpAddr, SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::ptr;
    use std::slice;

    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

    use super::super::super::Endpoint;
    use super::super::super::datagram::Datagram;
    use super::{Sender, knows_trains};

    /// Datagrams of one system call.
    const BATCH: usize = 32;

    /// The largest train: what one datagram of IPv4 could hold.
    const LONGEST_TRAIN: usize = 65_507;

    /// What is sent with: headers that are used again and again.
    pub(super) struct Headers {
        /// Of a batch of datagrams, for anybody.
        batch: MultiHeaders<SockaddrStorage>,
        /// Of a train: datagrams of one size for one peer, which pass through the system as one.
        train: MultiHeaders<SockaddrStorage>,
        /// The size from which on the system or a network on the way has refused a train.
        too_long: usize,
        addresses: Vec<Option<SockaddrStorage>>,
        is_ipv4: bool,
    }

    impl Headers {
        pub(super) fn new(socket: &UdpSocket, local: SocketAddr, wildcard: bool) -> Self {
            let has_trains = knows_trains(socket);
            let is_ipv4 = local.is_ipv4();
            // Exactly what the control messages take: the system refuses room that is left over.
            let (batch, train) = match (wildcard, is_ipv4) {
                (false, _) => (None, nix::cmsg_space!(u16)),
                (true, true) => (
                    Some(nix::cmsg_space!(libc::in_pktinfo)),
                    nix::cmsg_space!(libc::in_pktinfo, u16),
                ),
                (true, false) => (
                    Some(nix::cmsg_space!(libc::in6_pktinfo)),
                    nix::cmsg_space!(libc::in6_pktinfo, u16),
                ),
            };
            Self {
                batch: MultiHeaders::preallocate(BATCH, batch),
                train: MultiHeaders::preallocate(1, Some(train)),
                too_long: if has_trains { usize::from(u16::MAX) } else { 0 },
                addresses: Vec::with_capacity(BATCH),
                is_ipv4,
            }
        }
    }

    impl Sender {
        /// Sends the first datagrams, in one system call; says how many.
        pub(in crate::net::udp) fn send<'a>(
            &mut self,
            socket: &UdpSocket,
            count: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> io::Result<usize> {
            let first = datagram(0);
            let count = count.min(BATCH);
            let train = self.train(0, count, datagram);
            if train > 1 {
                let refused = match self.send_train(socket, train, datagram) {
                    Ok(()) => return Ok(train),
                    Err(Errno::EAGAIN) => return Err(Errno::EAGAIN.into()),
                    Err(error) => matches!(error, Errno::EMSGSIZE | Errno::EINVAL | Errno::EIO),
                };
                // One by one they may pass, or the first tells its own error.
                let sent = self.send_each(socket, train, datagram)?;
                if refused {
                    self.headers.too_long = first.data.len();
                }
                return Ok(sent);
            }
            let is_train = |index: &usize| self.train(*index, count, datagram) > 1;
            let alone = (1..count).find(is_train).unwrap_or(count);
            self.send_each(socket, alone, datagram)
        }

        /// How many datagrams from `begin` on, before `end`, can go as one train: all but the last
        /// of them are of one size, and the last is not larger.
        fn train<'a>(
            &self,
            begin: usize,
            end: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> usize {
            let first = datagram(begin);
            let size = first.data.len();
            if size == 0 || size >= self.headers.too_long {
                return 1;
            }
            let end = end.min(begin + LONGEST_TRAIN / size);
            for index in begin + 1..end {
                let next = datagram(index);
                // The addresses of one peer are the same in memory.
                let is_same = ptr::eq(next.to, first.to) && ptr::eq(next.from, first.from);
                if !is_same || next.data.is_empty() || next.data.len() > size {
                    return index - begin;
                }
                if next.data.len() < size {
                    return index + 1 - begin;
                }
            }
            end - begin
        }

        fn send_train<'a>(
            &mut self,
            socket: &UdpSocket,
            count: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> nix::Result<()> {
            let first = datagram(0);
            let from = self.source(&first);
            let Headers { train, addresses, .. } = &mut self.headers;
            let mut parts = [IoSlice::new(&[]); BATCH];
            for (part, one) in parts.iter_mut().zip((0..count).map(datagram)) {
                *part = IoSlice::new(one.data);
            }
            addresses.clear();
            addresses.push(address(&first));
            // A datagram's length fits, as `train` has seen.
            let size = u16::try_from(first.data.len()).unwrap_or(u16::MAX);
            let size = ControlMessage::UdpGsoSegments(&size);
            let both = from.as_ref().map(|from| [from.control(), size]);
            let control = both.as_ref().map_or(slice::from_ref(&size), |both| &both[..]);
            let parts = [&parts[..count]];
            let flags = MsgFlags::MSG_DONTWAIT;
            sendmmsg(socket.as_raw_fd(), train, &parts, &addresses, control, flags).map(drop)
        }

        /// Sends the first datagrams that leave from the same address.
        fn send_each<'a>(
            &mut self,
            socket: &UdpSocket,
            count: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> io::Result<usize> {
            let first = datagram(0);
            // Where it need not be told which address it leaves from, one alone costs less so.
            if count == 1
                && !self.wildcard
                && let Endpoint::Inet(to) = first.to
            {
                return socket.send_to(first.data, to).map(|_| 1);
            }
            let from = self.source(&first);
            let is_other = |index: &usize| self.source(&datagram(*index)) != from;
            let end = (1..count).find(is_other).unwrap_or(count);
            let Headers { batch, addresses, .. } = &mut self.headers;
            let mut slices = [[IoSlice::new(&[])]; BATCH];
            addresses.clear();
            for (slice, one) in slices.iter_mut().zip((0..end).map(datagram)) {
                *slice = [IoSlice::new(one.data)];
                addresses.push(address(&one));
            }
            let control = from.as_ref().map(Source::control);
            let (flags, control) = (MsgFlags::MSG_DONTWAIT, control.as_slice());
            let sent = sendmmsg(socket.as_raw_fd(), batch, &slices, &addresses, control, flags)?;
            Ok(sent.count())
        }

        /// The address that a datagram must be told to leave from; there is room for one of the
        /// socket's own family alone.
        fn source(&self, datagram: &Datagram<'_>) -> Option<Source> {
            if !self.wildcard {
                return None;
            }
            let from = datagram.from.ip().filter(|from| from.is_ipv4() == self.headers.is_ipv4)?;
            Some(Source::from(from))
        }
    }

    fn address(datagram: &Datagram<'_>) -> Option<SockaddrStorage> {
        match datagram.to {
            Endpoint::Inet(address) => Some(SockaddrStorage::from(*address)),
            Endpoint::Unix(_) => None,
        }
    }

    /// The address that a datagram is to leave from, as the system takes it.
    #[derive(PartialEq)]
    enum Source {
        V4(libc::in_pktinfo),
        V6(libc::in6_pktinfo),
    }

    impl Source {
        fn control(&self) -> ControlMessage<'_> {
            match self {
                Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
                Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
            }
        }
    }

    impl From<IpAddr> for Source {
        fn from(from: IpAddr) -> Self {
            match from {
                IpAddr::V4(from) => {
                    let source = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                    let any = libc::in_addr { s_addr: 0 };
                    Self::V4(libc::in_pktinfo {
                        ipi_ifindex: 0,
                        ipi_spec_dst: source,
                        ipi_addr: any,
                    })
                }
                IpAddr::V6(from) => {
                    let source = libc::in6_addr { s6_addr: from.octets() };
                    Self::V6(libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 })
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::net::UdpSocket;

    use super::super::super::Endpoint;
    use super::super::super::datagram::Datagram;
    use super::Sender;

    impl Sender {
        /// Sends the first datagram.
        pub(in crate::net::udp) fn send<'a>(
            &mut self,
            socket: &UdpSocket,
            _count: usize,
            datagram: &impl Fn(usize) -> Datagram<'a>,
        ) -> io::Result<usize> {
            let Datagram { to: Endpoint::Inet(to), data, .. } = datagram(0) else {
                return Err(io::Error::other("not an IP address"));
            };
            socket.send_to(data, *to).map(|_| 1)
        }
    }
}
