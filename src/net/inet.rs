//! TCP and UDP sockets: every address of a host, one socket a worker on each.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use super::bind::{Problem, Socket, reason};

/// How often another port is tried where one that the system chose for the first address is taken
/// on a further one. Each miss is rare; that many in a row are a machine without free ports.
const PORT_ATTEMPTS: usize = 16;

/// A UDP socket drops what finds its buffer full, and the default of about 200 KiB holds three
/// datagrams of the largest size: a busy handler would lose a small burst. The system may give less.
const DATAGRAM_BUFFER: usize = 1 << 20;

/// What to bind, but for the addresses.
pub(super) struct Plan {
    pub kind: Kind,
    pub workers: NonZeroUsize,
    /// 0 lets the system choose; one port for all addresses.
    pub port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp { backlog: i32 },
    Udp,
}

impl Plan {
    /// An error of a bind, as a person should read it.
    pub(super) fn explain(&self, error: io::Error) -> Problem {
        match Problem::from(error) {
            Problem::Permission { .. } if (1..1024).contains(&self.port) => Problem::Permission {
                hint: "; a port below 1024 needs root or CAP_NET_BIND_SERVICE",
            },
            problem => problem,
        }
    }
}

/// Every address of a host, each once, in the resolver's order.
pub(super) fn resolve(host: &str) -> Result<Vec<SocketAddr>, Problem> {
    let unknown = |reason| Problem::UnknownHost { host: host.to_owned(), reason };
    let found = (host, 0).to_socket_addrs().map_err(|error| {
        let text = reason(&error);
        let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
        unknown(text.to_lowercase())
    })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(unknown("it has no address".to_owned()));
    }
    Ok(addresses)
}

/// Binds all addresses to one port, and says which.
pub(super) fn bind(plan: &Plan, addresses: &[SocketAddr]) -> Result<(u16, Vec<Socket>), Problem> {
    for _ in 1..PORT_ATTEMPTS {
        match bind_addresses(plan, addresses) {
            Err(Problem::InUse) if plan.port == 0 => {}
            result => return result,
        }
    }
    bind_addresses(plan, addresses)
}

fn bind_addresses(plan: &Plan, addresses: &[SocketAddr]) -> Result<(u16, Vec<Socket>), Problem> {
    let mut port = plan.port;
    let mut sockets = Vec::new();
    let mut missing = None;
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        match bind_workers(plan, address, &mut sockets) {
            Ok(bound) => port = bound,
            Err(error) => match plan.explain(error) {
                // A name often has an address of a family that is switched off here (localhost
                // without IPv6); the others serve it.
                Problem::NotAvailable => missing = Some(address.ip()),
                problem => return Err(problem),
            },
        }
    }
    if sockets.is_empty() {
        return Err(Problem::NotAvailable);
    }
    if let Some(ip) = missing {
        tracing::warn!("the host has the address {ip} too, which this machine does not; skipped");
    }
    Ok((port, sockets))
}

/// Binds one address once a worker, and says to which port.
///
/// Only after the first bind is the port opened for sharing: had the first socket the option
/// before, a second server with the option would be let in and take half of the clients.
fn bind_workers(plan: &Plan, address: SocketAddr, sockets: &mut Vec<Socket>) -> io::Result<u16> {
    let first = open(plan.kind, address)?;
    first.bind(&address.into())?;
    let bound = local_address(&first)?;
    if plan.workers.get() > 1 {
        first.set_reuse_port(true)?;
    }
    sockets.push(finish(plan.kind, first, bound, 0)?);
    for worker in 1..plan.workers.get() {
        let next = open(plan.kind, address)?;
        next.set_reuse_port(true)?;
        next.bind(&bound.into())?;
        sockets.push(finish(plan.kind, next, bound, worker)?);
    }
    Ok(bound.port())
}

fn open(kind: Kind, address: SocketAddr) -> io::Result<RawSocket> {
    let (form, protocol) = match kind {
        Kind::Tcp { .. } => (Type::STREAM, Protocol::TCP),
        Kind::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = RawSocket::new(Domain::for_address(address), form, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // Else `[::]` would take the port of `0.0.0.0` too, on some systems and not on others.
        socket.set_only_v6(true)?;
    }
    if let Kind::Tcp { .. } = kind {
        // A restart need not wait for old connections in TIME_WAIT; a live listener still refuses.
        socket.set_reuse_address(true)?;
        // An answer must not wait for the next one; what is accepted inherits it.
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}

fn local_address(socket: &RawSocket) -> io::Result<SocketAddr> {
    let no_ip = || io::Error::other("the socket has no IP address");
    socket.local_addr()?.as_socket().ok_or_else(no_ip)
}

fn finish(kind: Kind, socket: RawSocket, at: SocketAddr, worker: usize) -> io::Result<Socket> {
    match kind {
        Kind::Tcp { backlog } => {
            socket.listen(backlog)?;
            Ok(Socket::Tcp { worker, socket: socket.into() })
        }
        Kind::Udp => {
            enlarge_buffer(&socket);
            let wildcard = at.ip().is_unspecified();
            if wildcard {
                tell_destination(&socket, at)?;
            }
            Ok(Socket::Udp { worker, socket: socket.into(), wildcard })
        }
    }
}

pub(super) fn enlarge_buffer(socket: &RawSocket) {
    if socket.recv_buffer_size().is_ok_and(|size| size < DATAGRAM_BUFFER) {
        // Without it the socket works as well, it only loses more in a burst.
        let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER);
    }
}

/// Has each datagram bring the address that it was sent to, for the reply to leave from.
#[cfg(target_os = "linux")]
fn tell_destination(socket: &RawSocket, at: SocketAddr) -> io::Result<()> {
    use nix::sys::socket::setsockopt;
    use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
    match at {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// Elsewhere a reply leaves from the address that the route prefers.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps)]
fn tell_destination(_: &RawSocket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const TCP: Kind = Kind::Tcp { backlog: 16 };

    fn plan(kind: Kind, workers: usize) -> Plan {
        Plan { kind, workers: NonZeroUsize::new(workers).unwrap(), port: 0 }
    }

    fn both_loopbacks() -> [SocketAddr; 2] {
        [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]
    }

    fn places(sockets: &[Socket]) -> Vec<SocketAddr> {
        let place = |socket: &Socket| match socket {
            Socket::Tcp { socket, .. } => socket.local_addr().unwrap(),
            Socket::Udp { socket, .. } => socket.local_addr().unwrap(),
            _ => panic!("no IP socket"),
        };
        sockets.iter().map(place).collect()
    }

    #[test]
    fn all_addresses_of_a_host_share_one_port() {
        for kind in [TCP, Kind::Udp] {
            let (port, sockets) = bind(&plan(kind, 2), &both_loopbacks()).unwrap();
            let [v4, v6] = both_loopbacks().map(|at| SocketAddr::new(at.ip(), port));
            assert_eq!(places(&sockets), [v4, v4, v6, v6]);
        }
    }

    #[test]
    fn ports_are_tried_for_a_while_and_not_for_ever() {
        // One address twice: no port is free on both.
        let twice = [both_loopbacks()[0]; 2];
        assert!(matches!(bind(&plan(TCP, 1), &twice), Err(Problem::InUse)));
    }

    #[test]
    fn an_address_that_is_not_here_is_skipped_beside_one_that_is() {
        let elsewhere: SocketAddr = (Ipv4Addr::new(192, 0, 2, 1), 0).into();
        let (_, sockets) = bind(&plan(Kind::Udp, 1), &[elsewhere, both_loopbacks()[0]]).unwrap();
        assert_eq!(sockets.len(), 1);
        let alone = bind(&plan(Kind::Udp, 1), &[elsewhere]);
        assert!(matches!(alone, Err(Problem::NotAvailable)));
    }

    #[test]
    fn the_wildcards_of_both_families_fit_on_one_port() {
        for kind in [TCP, Kind::Udp] {
            let both = [(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()];
            let (_, sockets) = bind(&plan(kind, 2), &both).unwrap();
            assert_eq!(sockets.len(), 4);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn wildcard_datagrams_tell_where_they_came_to() {
        use nix::sys::socket::getsockopt;
        use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
        let wildcards = [(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()];
        for (addresses, expected) in [(wildcards, true), (both_loopbacks(), false)] {
            let (_, sockets) = bind(&plan(Kind::Udp, 2), &addresses).unwrap();
            for socket in &sockets {
                let Socket::Udp { socket, wildcard, .. } = socket else { panic!("no UDP socket") };
                let tells = if socket.local_addr().unwrap().is_ipv4() {
                    getsockopt(socket, Ipv4PacketInfo).unwrap()
                } else {
                    getsockopt(socket, Ipv6RecvPacketInfo).unwrap()
                };
                assert_eq!((tells, *wildcard), (expected, expected));
            }
        }
    }

    #[test]
    fn a_host_has_each_address_once() {
        assert_eq!(resolve("127.0.0.1").unwrap(), [both_loopbacks()[0]]);
        assert_eq!(resolve("::1").unwrap(), [both_loopbacks()[1]]);
        let local = resolve("localhost").unwrap();
        assert!(local.iter().all(|address| address.ip().is_loopback()), "{local:?}");
    }
}
