//! A listener of the test's own, for scripts that connect: what it accepts is a plain client.

use super::{Client, wait_until};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use tempfile::TempDir;

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, TempDir),
}

/// One listening socket; the kernel completes connections before they are accepted here.
pub struct Listener {
    socket: Socket,
}

impl Listener {
    /// On a free TCP port of 127.0.0.1.
    #[track_caller]
    pub fn tcp() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { socket: Socket::Tcp(listener) }
    }

    /// On a Unix socket in a folder of its own.
    #[track_caller]
    pub fn unix() -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("up.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { socket: Socket::Unix(listener, dir) }
    }

    /// Where a script connects to.
    pub fn url(&self) -> String {
        match &self.socket {
            Socket::Tcp(_) => format!("tcp://{}", self.address()),
            Socket::Unix(_, dir) => format!("unix://{}", dir.path().join("up.sock").display()),
        }
    }

    /// The address. TCP only.
    pub fn address(&self) -> SocketAddr {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().unwrap(),
            Socket::Unix(..) => panic!("a Unix socket has no such address"),
        }
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Client {
        wait_until("the script should connect", || self.try_accept())
    }

    /// No further connection has arrived.
    #[track_caller]
    pub fn assert_no_more(&self) {
        assert!(self.try_accept().is_none(), "one connection too many");
    }

    #[track_caller]
    fn try_accept(&self) -> Option<Client> {
        let accepted = match &self.socket {
            Socket::Tcp(listener) => listener.accept().map(|(stream, _)| Client::of_tcp(stream)),
            Socket::Unix(listener, _) => {
                listener.accept().map(|(stream, _)| Client::of_unix(stream))
            }
        };
        match accepted {
            Ok(client) => Some(client),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        }
    }
}
