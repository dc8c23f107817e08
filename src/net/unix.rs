//! Unix sockets: a path of mode 0600, taken over from a dead server, never from a live one, and
//! removed again if it is still ours.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::Mode;
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};

use super::bind::Problem;

/// Bytes of a socket's path: `sun_path` less its final zero.
pub(super) const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The file of a bound Unix socket; dropping it removes the file.
///
/// Removed is only the file that was made: after a second server has taken the path over, or a
/// person has put something else there, it is left alone.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        // Absolute, in case that someone changes the working directory later.
        let path = std::path::absolute(path)?;
        Ok(SocketFile { path, device: found.dev(), inode: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("could not remove the socket '{}': {error}", self.path.display());
        }
    }
}

/// Binds a stream socket and listens.
pub(super) fn bind_stream(
    path: &Path,
    backlog: i32,
) -> Result<(UnixListener, SocketFile), Problem> {
    let (socket, file) = bind(path, Type::STREAM)?;
    socket.listen(backlog)?;
    Ok((socket.into(), file))
}

/// Binds a datagram socket.
pub(super) fn bind_datagram(path: &Path) -> Result<(UnixDatagram, SocketFile), Problem> {
    let (socket, file) = bind(path, Type::DGRAM)?;
    Ok((socket.into(), file))
}

fn bind(path: &Path, form: Type) -> Result<(RawSocket, SocketFile), Problem> {
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        return Err(Problem::TooLong { length, most: LONGEST_PATH });
    }
    let address = SockAddr::unix(path)?;
    if let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        return Err(Problem::NoDirectory(folder.display().to_string()));
    }
    let socket = RawSocket::new(Domain::UNIX, form, None)?;
    socket.set_nonblocking(true)?;
    match bind_private(&socket, &address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Two servers that meet a stale file in the same instant could both get past here; the
            // later one has the path then, and the earlier one does not remove it.
            remove_stale(path, form, &address)?;
            bind_private(&socket, &address)?;
        }
        result => result?,
    }
    Ok((socket, SocketFile::at(path)?))
}

/// Binds so that the file never is anything but 0600: Linux takes the mode from the socket.
#[cfg(target_os = "linux")]
fn bind_private(socket: &RawSocket, address: &SockAddr) -> io::Result<()> {
    nix::sys::stat::fchmod(socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(address)
}

/// Binds so that the file never is anything but 0600. The mask is the process's, which has no other
/// thread yet.
#[cfg(not(target_os = "linux"))]
fn bind_private(socket: &RawSocket, address: &SockAddr) -> io::Result<()> {
    use nix::sys::stat::umask;
    let before = umask(Mode::S_IXUSR | Mode::S_IRWXG | Mode::S_IRWXO);
    let result = socket.bind(address);
    umask(before);
    result
}

/// Removes the socket of a server that is gone; anything else stays and is an error.
fn remove_stale(path: &Path, form: Type, address: &SockAddr) -> Result<(), Problem> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(Problem::NotASocket);
    }
    // Non-blocking: a live server with a full backlog would hold us.
    let probe = RawSocket::new(Domain::UNIX, form, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::debug!("taking over the stale socket '{}'", path.display());
            Ok(fs::remove_file(path)?)
        }
        Err(error) if error.raw_os_error() == Some(Errno::EACCES as i32) => {
            Err(Problem::Permission { hint: "; the socket belongs to another user" })
        }
        // Connected, or full (EAGAIN), or of another type (EPROTOTYPE): someone is there.
        _ => Err(Problem::Live),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;

    use tempfile::TempDir;

    use super::*;

    /// What the tests do with both types of socket.
    const FORMS: [Type; 2] = [Type::STREAM, Type::DGRAM];

    fn place() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        (dir, path)
    }

    fn bind_listening(path: &Path, form: Type) -> Result<(RawSocket, SocketFile), String> {
        let (socket, file) = bind(path, form).map_err(|problem| problem.to_string())?;
        if form == Type::STREAM {
            socket.listen(4).unwrap();
        }
        Ok((socket, file))
    }

    /// Leaves the file of a server that has been killed.
    fn leave_stale(path: &Path, form: Type) {
        if form == Type::STREAM {
            drop(UnixListener::bind(path).unwrap());
        } else {
            drop(UnixDatagram::bind(path).unwrap());
        }
        assert!(path.exists());
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_removed_on_drop() {
        for form in FORMS {
            let (_dir, path) = place();
            let bound = bind_listening(&path, form).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert_eq!(bound.1.path(), path);
            drop(bound);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_stale_file_is_taken_over() {
        for left_by in FORMS {
            for form in FORMS {
                let (_dir, path) = place();
                leave_stale(&path, left_by);
                let _bound = bind_listening(&path, form).unwrap();
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_live_server_keeps_its_path() {
        for running in FORMS {
            for form in FORMS {
                let (_dir, path) = place();
                let _bound = bind_listening(&path, running).unwrap();
                let error = bind_listening(&path, form).expect_err("a server runs there");
                assert_eq!(error, "in use by a running server");
                assert!(path.exists());
            }
        }
    }

    #[test]
    fn a_server_with_a_full_backlog_is_live() {
        let (_dir, path) = place();
        let (socket, _file) = bind(&path, Type::STREAM).unwrap();
        socket.listen(0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        assert_eq!(
            bind_listening(&path, Type::STREAM).expect_err("a server runs there"),
            "in use by a running server"
        );
    }

    #[test]
    fn what_is_not_a_socket_is_left_alone() {
        let (dir, path) = place();
        fs::write(&path, "precious").unwrap();
        let refused = "the path exists and is not a socket; it was left alone";
        assert_eq!(bind_listening(&path, Type::STREAM).expect_err("a file"), refused);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

        let link = dir.path().join("link");
        symlink("nowhere", &link).unwrap();
        assert_eq!(bind_listening(&link, Type::DGRAM).expect_err("a link"), refused);
        assert!(link.is_symlink());
        assert_eq!(bind_listening(dir.path(), Type::DGRAM).expect_err("a directory"), refused);
    }

    #[test]
    fn the_file_of_a_successor_is_not_removed() {
        let (_dir, path) = place();
        let first = bind_listening(&path, Type::STREAM).unwrap();
        fs::remove_file(&path).unwrap();
        let second = bind_listening(&path, Type::STREAM).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let (dir, _) = place();
        let path = dir.path().join("no/x.sock");
        let folder = dir.path().join("no");
        assert_eq!(
            bind_listening(&path, Type::STREAM).expect_err("no directory"),
            format!("there is no directory '{}'", folder.display())
        );
    }

    #[test]
    fn a_path_that_is_too_long_says_how_long_it_may_be() {
        let path = PathBuf::from("x".repeat(LONGEST_PATH + 1));
        let error = bind_listening(&path, Type::STREAM).expect_err("too long");
        let expected = format!(
            "the path is too long for a socket: {} bytes, expected {LONGEST_PATH} at most",
            LONGEST_PATH + 1
        );
        assert_eq!(error, expected);
    }
}
