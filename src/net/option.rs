//! The options of a socket that a script may read and set, each read back from the kernel.

use std::cell::RefCell;
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
    pub(super) fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::NoDelay | Self::KeepAlive => matches!(kind, Kind::Tcp { .. }),
            Self::Ttl => matches!(kind, Kind::Tcp { .. } | Kind::Udp { .. }),
            Self::RecvBuffer | Self::SendBuffer => true,
            Self::Broadcast => matches!(kind, Kind::Udp { .. }),
            Self::Linger => matches!(kind, Kind::Tcp { .. } | Kind::Unix),
        }
    }

    pub(super) fn read(self, value: KnobValue) -> Result<Setting, OptionError> {
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
pub(super) enum Setting {
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

/// A socket that its session and its connection share.
impl<S: Options> Options for RefCell<S> {
    fn option(&self, knob: Knob) -> Result<KnobValue, OptionError> {
        self.borrow().option(knob)
    }

    fn set_option(&self, knob: Knob, value: KnobValue) -> Result<(), OptionError> {
        self.borrow().set_option(knob, value)
    }

    fn close_without_waiting(&self) {
        self.borrow().close_without_waiting();
    }
}

/// What decides which options there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

/// One that is no socket of the runtime's.
impl Options for std::net::UdpSocket {
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
mod tests;
