//! Sockets of a client that opens many: non-blocking, without a runtime. Whoever holds them waits
//! for them; what is said over them is for others too.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, DirBuilder};
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Endpoint;
use super::address::Address;
use super::bind::Problem;
use super::inet::{enlarge_buffer, resolve};
use super::udp::knows_trains;
use super::unix::LONGEST_PATH;

/// How many addresses of loopback share the connections: with 200, ports last for some million.
const SOURCES: usize = 200;

/// How many names are tried for the folder of our own sockets.
const FOLDER_ATTEMPTS: u32 = 100;

/// A server, its name resolved.
#[derive(Debug)]
pub struct Target {
    place: Place,
    /// Connections to loopback leave from changing addresses of it.
    spread: bool,
}

#[derive(Debug)]
enum Place {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
    Unixgram(PathBuf, Rc<Folder>),
}

/// A socket that is connected to its server, or is on the way there.
#[derive(Debug)]
pub struct ClientSocket {
    socket: Socket,
    /// Our own address.
    file: Option<OwnFile>,
}

/// A file that goes with the socket.
#[derive(Debug)]
pub(super) struct OwnFile {
    path: Box<Path>,
    /// Keeps the folder of it.
    _folder: Rc<Folder>,
}

impl Target {
    /// Finds the server. Of a host with several addresses it is the first of IPv4, if there is
    /// one. With `spread`, connections to a loopback address leave from many of its kind, because
    /// one address has ports for some ten thousand connections only.
    ///
    /// # Errors
    /// For an unknown host, a port of 0, and a path that no socket can have.
    pub fn resolve(address: &Address, spread: bool) -> Result<Self, Problem> {
        let place = match address {
            Address::Tcp { host, port } => Place::Tcp(resolve_one(host, *port)?),
            Address::Udp { host, port } => Place::Udp(resolve_one(host, *port)?),
            Address::Unix(path) => Place::Unix(short(path)?),
            Address::Unixgram(path) => Place::Unixgram(short(path)?, Rc::new(Folder::new()?)),
        };
        Ok(Self { place, spread })
    }

    /// Connections leave from other addresses than the server's.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        // The addresses they leave from begin behind it.
        let is_first = |server: &SocketAddr| server.ip() == Ipv4Addr::LOCALHOST;
        self.spread && matches!(&self.place, Place::Tcp(server) if is_first(server))
    }

    /// It takes datagrams.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        matches!(self.place, Place::Udp(_) | Place::Unixgram(..))
    }

    /// Opens a socket and connects it, which may take until [`ClientSocket::is_connected`] says so.
    /// `number` tells the sockets apart that are open at a time.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where the backlog of a Unix socket is full, then try again.
    pub fn open(&self, number: usize) -> io::Result<ClientSocket> {
        match &self.place {
            Place::Tcp(server) => self.open_tcp(*server, number),
            Place::Udp(server) => {
                let socket = new(Domain::for_address(*server), Type::DGRAM, Some(Protocol::UDP))?;
                enlarge_buffer(&socket);
                socket.connect(&(*server).into())?;
                Ok(ClientSocket { socket, file: None })
            }
            Place::Unix(path) => {
                let socket = new(Domain::UNIX, Type::STREAM, None)?;
                socket.connect(&SockAddr::unix(path)?)?;
                Ok(ClientSocket { socket, file: None })
            }
            Place::Unixgram(path, folder) => {
                let own = folder.path.join(number.to_string());
                let socket = new(Domain::UNIX, Type::DGRAM, None)?;
                socket.bind(&SockAddr::unix(&own)?)?;
                // From here on a failure removes the file too.
                let file = OwnFile { path: own.into_boxed_path(), _folder: Rc::clone(folder) };
                let client = ClientSocket { socket, file: Some(file) };
                client.socket.connect(&SockAddr::unix(path)?)?;
                Ok(client)
            }
        }
    }

    fn open_tcp(&self, server: SocketAddr, number: usize) -> io::Result<ClientSocket> {
        let socket = new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
        // A message must not wait for the answer to the one before.
        socket.set_tcp_nodelay(true)?;
        if self.spread
            && let SocketAddr::V4(v4) = server
            && v4.ip().is_loopback()
        {
            choose_port_late(&socket);
            // 200 at most.
            let last = u8::try_from(number % SOURCES).unwrap_or_default() + 2;
            socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
        }
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            result => result?,
        }
        Ok(ClientSocket { socket, file: None })
    }
}

/// The URL, with the address that was found.
impl Display for Target {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => write!(out, "tcp://{address}"),
            Place::Udp(address) => write!(out, "udp://{address}"),
            Place::Unix(path) => write!(out, "unix://{}", path.display()),
            Place::Unixgram(path, _) => write!(out, "unixgram://{}", path.display()),
        }
    }
}

impl ClientSocket {
    /// Whether the connection is there by now. Where the poll has told of room to send and of no
    /// error it is, and only [`ClientSocket::is_own_peer`] is left to ask.
    ///
    /// # Errors
    /// Why there is none.
    pub fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the socket is connected to itself: where nobody listens, a port of the range that
    /// the system takes our own from can turn out to be ours.
    ///
    /// # Errors
    /// Those of the system.
    pub fn is_own_peer(&self) -> io::Result<bool> {
        let local = self.socket.local_addr()?.as_socket();
        Ok(local.is_some() && local == self.socket.peer_addr()?.as_socket())
    }

    /// Our own end.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local(&self) -> io::Result<Endpoint> {
        let local = self.socket.local_addr()?;
        Ok(match local.as_socket() {
            Some(address) => Endpoint::Inet(address),
            None => Endpoint::Unix(local.as_pathname().map(Path::to_owned)),
        })
    }

    /// A second handle of a Unix datagram socket, for a runtime; this one keeps the file.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn second_handle(&self) -> io::Result<UnixDatagram> {
        Ok(self.socket.try_clone()?.into())
    }

    /// Sends what the system takes; of a datagram all.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where there is no room.
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        (&self.socket).write(data)
    }

    /// Whether the system knows of trains. One that does not would send a train as one datagram.
    #[must_use]
    pub fn takes_trains(&self) -> bool {
        knows_trains(&self.socket)
    }

    /// Sends a train over UDP: datagrams of `size` bytes each, which go through the system as one.
    /// For where [`ClientSocket::takes_trains`].
    ///
    /// # Errors
    /// Those of the system, which may refuse it for good; `WouldBlock` where there is no room.
    #[cfg(target_os = "linux")]
    pub fn send_train(&self, data: &[u8], size: u16) -> io::Result<usize> {
        let parts = [IoSlice::new(data)];
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let (descriptor, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
        Ok(sendmsg(descriptor, &parts, &control, flags, None::<&SockaddrStorage>)?)
    }

    /// Nobody else knows of them.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub fn send_train(&self, _: &[u8], _: u16) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Ends the sending side of a stream.
    ///
    /// # Errors
    /// Those of the system.
    pub fn end(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Receives what is there, or one datagram.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` where nothing is there.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }
}

impl ClientSocket {
    /// The socket, and what has to be kept with it.
    pub(super) fn into_parts(self) -> (Socket, Option<OwnFile>) {
        (self.socket, self.file)
    }
}

impl AsRawFd for ClientSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // What is left goes with the folder.
        let _ = fs::remove_file(&self.path);
    }
}

fn new(domain: Domain, form: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    #[cfg(target_os = "linux")]
    let socket = Socket::new(domain, form.nonblocking(), protocol)?;
    #[cfg(not(target_os = "linux"))]
    let socket = Socket::new(domain, form, protocol)?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A bound address takes its port when the socket connects: any that is free towards that server.
#[cfg(target_os = "linux")]
fn choose_port_late(socket: &Socket) {
    use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
    // Without it the ports of an address are used up sooner.
    let _ = setsockopt(socket, IpBindAddressNoPort, &true);
}

#[cfg(not(target_os = "linux"))]
fn choose_port_late(_: &Socket) {}

fn resolve_one(host: &str, port: u16) -> Result<SocketAddr, Problem> {
    if port == 0 {
        return Err(io::Error::other("port 0 is no port of a server").into());
    }
    let found = resolve(host)?;
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    let mut address = *chosen.ok_or(Problem::NotAvailable)?;
    address.set_port(port);
    Ok(address)
}

fn short(path: &Path) -> Result<PathBuf, Problem> {
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        return Err(Problem::TooLong { length, most: LONGEST_PATH });
    }
    Ok(path.to_owned())
}

/// Where our own ends of Unix datagram sockets are: a server answers to a path only. For the owner
/// alone, and removed when dropped.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> io::Result<Self> {
        let process = std::process::id();
        let mut attempt = 0;
        loop {
            let path = std::env::temp_dir().join(format!("scriptsock-{process}-{attempt}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists && attempt < FOLDER_ATTEMPTS =>
                {
                    attempt += 1;
                }
                result => return result.map(|()| Self { path }),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody could be told, and the system clears its temporary files.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests;
