//! The control socket's place in the file system: whose it is before it is ours.

use std::{
    io::{self, ErrorKind},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::SocketError;

/// Refuses a place that is somebody's. Asked for before anything else is begun: a second daemon with a state of its own
/// would take boards and broker from the first before it came to the socket.
pub fn free(path: &Path) -> Result<(), SocketError> {
    let (in_use, other) =
        (SocketError::InUse { path: path.to_owned() }, SocketError::Other { path: path.to_owned() });
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(other),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::Bind { path: path.to_owned(), error }),
    }
    match call(path) {
        // Nobody has listened there since whoever made it ended, or it went just now.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // One whose callers queue up is there, too.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(in_use),
        Err(error) => Err(SocketError::Bind { path: path.to_owned(), error }),
        Ok(()) => Err(in_use),
    }
}

/// Connects without waiting: one that stands still would hold up the start for ever.
fn call(path: &Path) -> io::Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let caller = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(connect(&caller, &SocketAddrUnix::new(path)?)?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::*;

    fn said(path: &Path) -> String {
        free(path).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_place_is_free_where_nothing_is_and_where_nobody_answers_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latchd.sock");
        assert_eq!(said(&path), "");
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(said(&path), "");
        assert!(path.exists(), "looking takes nothing away");
    }

    #[test]
    fn a_socket_that_is_answered_is_somebodys_even_if_its_callers_queue_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latchd.sock");
        let stands_still = UnixListener::bind(&path).unwrap();
        assert!(said(&path).starts_with("another program answers at the control socket "));
        // Its queue is full when one more would have to wait.
        let callers = (0..1 << 14).take_while(|_| call(&path).is_ok()).count();
        assert!(callers > 0);
        assert!(said(&path).starts_with("another program answers at "), "after {callers}");
        drop(stands_still);
        assert!(UnixStream::connect(&path).is_err());
    }

    #[test]
    fn what_is_no_socket_is_left_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latchd.toml");
        fs::write(&path, "dear").unwrap();
        assert!(
            said(&path).ends_with("latchd.toml is something else; give it a controller.socket of its own")
        );
        assert!(said(folder.path()).contains(" is something else"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
        assert!(said(&path.join("x")).starts_with("can't make the control socket "));
    }
}
