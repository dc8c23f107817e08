//! The options of a socket that a script may read and set, each read back from the kernel.

#![allow(dead_code)]

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::DuplexStream;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knob {
    /// TCP: small writes leave at once.
    NoDelay,
    /// TCP: a silent peer is probed by the kernel.
    KeepAlive,
    /// TCP and UDP: routers that a packet may pass; for IPv6 the unicast hop limit.
    Ttl,
    /// Bytes that the kernel holds before they are read. Linux doubles what was set.
    RecvBuffer,
    /// Bytes that the kernel holds before they are sent. Linux doubles what was set.
    SendBuffer,
    /// UDP: sending to broadcast addresses is allowed.
    Broadcast,
    /// Streams: whole seconds that a close takes to deliver what was sent; 0 is a reset.
    Linger,
}

impl Knob {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoDelay,
        Self::KeepAlive,
        Self::Ttl,
        Self::RecvBuffer,
        Self::SendBuffer,
        Self::Broadcast,
        Self::Linger,
    ];

    /// What scripts call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDelay => "nodelay",
            Self::KeepAlive => "keepalive",
            Self::Ttl => "ttl",
            Self::RecvBuffer => "recv_buffer",
            Self::SendBuffer => "send_buffer",
            Self::Broadcast => "broadcast",
            Self::Linger => "linger",
        }
    }

    /// The one that scripts call so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|knob| knob.name() == name)
    }

    /// The values that it takes, as they are told to a person.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::NoDelay | Self::KeepAlive | Self::Broadcast => "true or false",
            Self::Ttl => "a whole number from 1 to 255",
            Self::RecvBuffer | Self::SendBuffer => "a whole number from 1 to 2147483647",
            Self::Linger => "a whole number from 0 to 65535, or false",
        }
    }

    /// Whether sockets of a kind have it.
    fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::NoDelay | Self::KeepAlive => matches!(kind, Kind::Tcp { .. }),
            Self::Ttl => matches!(kind, Kind::Tcp { .. } | Kind::Udp { .. }),
            Self::RecvBuffer | Self::SendBuffer => true,
            Self::Broadcast => matches!(kind, Kind::Udp { .. }),
            Self::Linger => matches!(kind, Kind::Tcp { .. } | Kind::Unix),
        }
    }

    fn read(self, value: KnobValue) -> Result<Setting, OptionError> {
        let whole = |number: f64, least: u32, most: u32| match number {
            // Whole and between two numbers of 32 bits, so nothing is lost.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            n if n.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&n) => {
                Some(n as u32)
            }
            _ => None,
        };
        let setting = match (self, value) {
            (Self::NoDelay | Self::KeepAlive | Self::Broadcast, KnobValue::Flag(on)) => {
                Some(Setting::Flag(on))
            }
            (Self::Ttl, KnobValue::Number(number)) => whole(number, 1, 255).map(Setting::Number),
            (Self::RecvBuffer | Self::SendBuffer, KnobValue::Number(number)) => {
                whole(number, 1, i32::MAX.unsigned_abs()).map(Setting::Number)
            }
            (Self::Linger, KnobValue::Flag(false)) => Some(Setting::Flag(false)),
            (Self::Linger, KnobValue::Number(number)) => {
                whole(number, 0, u16::MAX.into()).map(Setting::Number)
            }
            _ => None,
        };
        setting.ok_or(OptionError::BadValue(self.expected()))
    }
}

/// The value of an option, as a script has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KnobValue {
    /// On or off.
    Flag(bool),
    /// A count, bytes or seconds.
    Number(f64),
}

/// A value that an option takes.
#[derive(Clone, Copy)]
enum Setting {
    Flag(bool),
    Number(u32),
}

/// Why an option could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// Sockets of this kind do not have it.
    #[error("not supported")]
    NotSupported,
    /// It takes other values: these.
    #[error("expected {0}")]
    BadValue(&'static str),
    /// The system refused.
    #[error("{}", super::bind::reason(.0))]
    System(#[from] io::Error),
}

/// A socket whose options a script may read and set.
pub trait Options {
    /// The value in force, from the kernel.
    ///
    /// # Errors
    /// The socket has no such option, or the system does not tell.
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError>;

    /// Sets an option; the kernel may round or bound a number.
    ///
    /// # Errors
    /// The value is none of the option's, the socket has no such option, or the system refuses.
    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError>;

    /// Sees to it that closing the socket does not wait. With a `linger` above 0 Linux has a close
    /// wait that long for a peer that does not read, though the socket is non-blocking: the whole
    /// worker would stand still. To be called before the socket is dropped; a `linger` of 0, which
    /// resets, stays.
    fn close_without_waiting(&self) {}
}

/// What decides which options there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp { v6: bool },
    Udp { v6: bool },
    Unix,
    Unixgram,
}

fn get(socket: &SockRef<'_>, kind: Kind, knob: Knob) -> Result<KnobValue, OptionError> {
    if !knob.applies_to(kind) {
        return Err(OptionError::NotSupported);
    }
    let flag = KnobValue::Flag;
    let number = |number: u32| KnobValue::Number(number.into());
    let bytes = |bytes: usize| number(u32::try_from(bytes).unwrap_or(u32::MAX));
    Ok(match knob {
        Knob::NoDelay => flag(socket.tcp_nodelay()?),
        Knob::KeepAlive => flag(socket.keepalive()?),
        Knob::Ttl if kind.is_v6() => number(socket.unicast_hops_v6()?),
        Knob::Ttl => number(socket.ttl_v4()?),
        Knob::RecvBuffer => bytes(socket.recv_buffer_size()?),
        Knob::SendBuffer => bytes(socket.send_buffer_size()?),
        Knob::Broadcast => flag(socket.broadcast()?),
        Knob::Linger => match socket.linger()? {
            Some(time) => KnobValue::Number(time.as_secs_f64()),
            None => flag(false),
        },
    })
}

fn set(socket: &SockRef<'_>, kind: Kind, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
    // A wrong value is the script's mistake on any socket, so it is found first.
    let setting = knob.read(value)?;
    if !knob.applies_to(kind) {
        return Err(OptionError::NotSupported);
    }
    match (knob, setting) {
        (Knob::NoDelay, Setting::Flag(on)) => socket.set_tcp_nodelay(on)?,
        (Knob::KeepAlive, Setting::Flag(on)) => socket.set_keepalive(on)?,
        (Knob::Broadcast, Setting::Flag(on)) => socket.set_broadcast(on)?,
        (Knob::Ttl, Setting::Number(hops)) if kind.is_v6() => socket.set_unicast_hops_v6(hops)?,
        (Knob::Ttl, Setting::Number(hops)) => socket.set_ttl_v4(hops)?,
        (Knob::RecvBuffer, Setting::Number(n)) => socket.set_recv_buffer_size(n as usize)?,
        (Knob::SendBuffer, Setting::Number(n)) => socket.set_send_buffer_size(n as usize)?,
        (Knob::Linger, Setting::Number(seconds)) => {
            socket.set_linger(Some(Duration::from_secs(seconds.into())))?;
        }
        (Knob::Linger, Setting::Flag(_)) => socket.set_linger(None)?,
        // `Knob::read` gives an option nothing but settings of its own type.
        _ => return Err(OptionError::BadValue(knob.expected())),
    }
    Ok(())
}

impl Kind {
    fn is_v6(self) -> bool {
        matches!(self, Self::Tcp { v6: true } | Self::Udp { v6: true })
    }
}

impl Options for TcpStream {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        let kind = Kind::Tcp { v6: self.local_addr()?.is_ipv6() };
        get(&SockRef::from(self), kind, knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        let kind = Kind::Tcp { v6: self.local_addr()?.is_ipv6() };
        set(&SockRef::from(self), kind, knob, value)
    }

    fn close_without_waiting(&self) {
        let socket = SockRef::from(self);
        if socket.linger().is_ok_and(|time| time.is_some_and(|time| !time.is_zero())) {
            // Where the socket refuses, there is nothing left to wait for.
            let _ = socket.set_linger(None);
        }
    }
}

impl Options for UdpSocket {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        let kind = Kind::Udp { v6: self.local_addr()?.is_ipv6() };
        get(&SockRef::from(self), kind, knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        let kind = Kind::Udp { v6: self.local_addr()?.is_ipv6() };
        set(&SockRef::from(self), kind, knob, value)
    }
}

impl Options for UnixStream {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        get(&SockRef::from(self), Kind::Unix, knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        set(&SockRef::from(self), Kind::Unix, knob, value)
    }
}

impl Options for UnixDatagram {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        get(&SockRef::from(self), Kind::Unixgram, knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        set(&SockRef::from(self), Kind::Unixgram, knob, value)
    }
}

/// For tests: a stream in memory has none.
impl Options for DuplexStream {
    fn option(&self, _: Knob) -> Result<KnobValue, OptionError> {
        Err(OptionError::NotSupported)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        knob.read(value)?;
        Err(OptionError::NotSupported)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;
    use Knob::{Broadcast, KeepAlive, Linger, NoDelay, RecvBuffer, SendBuffer, Ttl};
    use KnobValue::{Flag, Number};

    async fn tcp(host: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(format!("{host}:0")).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// Sets each value and has it back.
    fn keeps(socket: &dyn Options, knob: Knob, values: &[KnobValue]) {
        for value in values {
            socket.set_option(knob, *value).unwrap();
            assert_eq!(socket.option(knob).unwrap(), *value, "{}", knob.name());
        }
    }

    /// Its buffers are at least as large as was asked for; Linux doubles.
    fn has_buffers(socket: &dyn Options) {
        for knob in [RecvBuffer, SendBuffer] {
            socket.set_option(knob, Number(20_000.0)).unwrap();
            let Number(small) = socket.option(knob).unwrap() else { panic!("no number") };
            socket.set_option(knob, Number(40_000.0)).unwrap();
            let Number(large) = socket.option(knob).unwrap() else { panic!("no number") };
            assert!(small >= 20_000.0 && large >= small + 20_000.0, "{small} {large}");
        }
    }

    fn lacks(socket: &dyn Options, knobs: &[Knob]) {
        for knob in knobs {
            let value = if *knob == Ttl { Number(1.0) } else { Flag(false) };
            let set = socket.set_option(*knob, value);
            assert!(matches!(set, Err(OptionError::NotSupported)), "{}", knob.name());
            let got = socket.option(*knob);
            assert!(matches!(got, Err(OptionError::NotSupported)), "{}", knob.name());
        }
    }

    #[tokio::test]
    async fn tcp_has_all_but_broadcast() {
        for host in ["127.0.0.1", "[::1]"] {
            let (client, _server) = tcp(host).await;
            keeps(&client, NoDelay, &[Flag(true), Flag(false)]);
            keeps(&client, KeepAlive, &[Flag(true), Flag(false)]);
            keeps(&client, Ttl, &[Number(1.0), Number(255.0)]);
            keeps(&client, Linger, &[Number(0.0), Number(65535.0), Flag(false)]);
            has_buffers(&client);
            lacks(&client, &[Broadcast]);
        }
    }

    #[tokio::test]
    async fn a_hop_limit_is_that_of_the_family() {
        let (v4, _server) = tcp("127.0.0.1").await;
        v4.set_option(Ttl, Number(7.0)).unwrap();
        assert_eq!(SockRef::from(&v4).ttl_v4().unwrap(), 7);
        let (v6, _server) = tcp("[::1]").await;
        v6.set_option(Ttl, Number(7.0)).unwrap();
        assert_eq!(SockRef::from(&v6).unicast_hops_v6().unwrap(), 7);
    }

    #[tokio::test]
    async fn udp_has_broadcast_ttl_and_buffers() {
        for host in ["127.0.0.1", "[::1]"] {
            let socket = UdpSocket::bind(format!("{host}:0")).await.unwrap();
            keeps(&socket, Broadcast, &[Flag(true), Flag(false)]);
            keeps(&socket, Ttl, &[Number(1.0), Number(64.0)]);
            has_buffers(&socket);
            lacks(&socket, &[NoDelay, KeepAlive, Linger]);
        }
    }

    #[tokio::test]
    async fn unix_streams_have_linger_and_buffers() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        keeps(&socket, Linger, &[Number(3.0), Flag(false)]);
        has_buffers(&socket);
        lacks(&socket, &[NoDelay, KeepAlive, Ttl, Broadcast]);
    }

    #[tokio::test]
    async fn unix_datagrams_have_buffers() {
        let (socket, _peer) = UnixDatagram::pair().unwrap();
        has_buffers(&socket);
        lacks(&socket, &[NoDelay, KeepAlive, Ttl, Broadcast, Linger]);
    }

    #[tokio::test]
    async fn a_wrong_value_says_what_was_expected_on_any_socket() {
        let (tcp, _server) = tcp("127.0.0.1").await;
        let (unixgram, _peer) = UnixDatagram::pair().unwrap();
        let (duplex, _other) = tokio::io::duplex(8);
        let sockets: [&dyn Options; 3] = [&tcp, &unixgram, &duplex];
        let nonsense = [-1.0, 0.5, f64::NAN, f64::INFINITY, -f64::INFINITY, 1e300, 4_294_967_296.0];
        for socket in sockets {
            for knob in Knob::ALL {
                let refused = |value: KnobValue| match socket.set_option(knob, value) {
                    Err(OptionError::BadValue(expected)) => assert_eq!(expected, knob.expected()),
                    other => panic!("{} {value:?}: {other:?}", knob.name()),
                };
                let beyond: &[f64] = match knob {
                    NoDelay | KeepAlive | Broadcast => &[0.0, 1.0],
                    Ttl => &[0.0, 256.0],
                    RecvBuffer | SendBuffer => &[0.0, 2_147_483_648.0],
                    Linger => &[65536.0],
                };
                for number in nonsense.iter().chain(beyond) {
                    refused(Number(*number));
                }
                if !matches!(knob, NoDelay | KeepAlive | Broadcast) {
                    refused(Flag(true));
                }
            }
        }
    }

    #[test]
    fn every_option_has_a_name_of_its_own() {
        for knob in Knob::ALL {
            assert_eq!(Knob::from_name(knob.name()), Some(knob));
        }
        assert_eq!(Knob::from_name("no_delay"), None);
        assert_eq!(Knob::from_name(""), None);
    }

    #[tokio::test]
    async fn a_linger_does_not_hold_the_worker_up() {
        let (client, _server) = tcp("127.0.0.1").await;
        client.set_option(Linger, Number(60.0)).unwrap();
        // The peer does not read: as much as there is room for stays behind.
        client.writable().await.unwrap();
        while client.try_write(&[0; 4096]).is_ok() {}
        client.close_without_waiting();
        let began = Instant::now();
        drop(client);
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());

        let (client, _server) = tcp("127.0.0.1").await;
        client.set_option(Linger, Number(0.0)).unwrap();
        client.close_without_waiting();
        assert_eq!(client.option(Linger).unwrap(), Number(0.0), "that is a reset, and stays");
    }
}
