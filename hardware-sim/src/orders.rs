//! Orders to a simulated device, one a line: over a Unix socket (`socat - UNIX:…`, or three lines of any language)
//! or from standard input. Each line is answered by one or more lines; the last begins with `ok` or `error:`.

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Longer than any order; whoever sends more without a line end is cut off.
const LINE_MAX: u64 = 1024;
/// A person, a demo and a few tests at once.
const CLIENTS_MAX: usize = 8;

/// Carries out one line and says what came of it.
pub type Handler = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    #[error("{0} is in use by another simulator; end that one, or choose another path")]
    InUse(PathBuf),
    #[error("{0} exists and is no socket; choose another path")]
    NotASocket(PathBuf),
    #[error("cannot listen for orders on {path}; its directory must exist and be writable")]
    Bind { path: PathBuf, source: io::Error },
    #[error("cannot start the thread that takes orders")]
    Thread(#[source] io::Error),
}

/// A socket that takes orders until dropped; the file goes with it.
pub struct OrderSocket {
    path: PathBuf,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for OrderSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderSocket").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OrderSocket {
    /// `handler` should hold the device weakly, so that a client that stays connected does not keep it alive.
    pub fn open(path: &Path, handler: Handler) -> Result<Self, OrdersError> {
        remove_stale(path)?;
        let listener =
            UnixListener::bind(path).map_err(|source| OrdersError::Bind { path: path.into(), source })?;
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let thread = Builder::new()
            .name("sim-orders".into())
            .spawn(move || accept(&listener, &told, &handler))
            .map_err(OrdersError::Thread)?;
        Ok(Self { path: path.into(), ending, thread: Some(thread) })
    }
}

impl Drop for OrderSocket {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; if nobody can connect any more, it is not joined.
        if UnixStream::connect(&self.path).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes orders from standard input, in a thread that ends with it or with the process.
pub fn from_stdin(handler: Handler) -> Result<(), OrdersError> {
    let take = move || {
        let _ = converse(io::stdin().lock(), io::stdout(), &handler);
    };
    Builder::new().name("sim-stdin".into()).spawn(take).map_err(OrdersError::Thread)?;
    Ok(())
}

fn remove_stale(path: &Path) -> Result<(), OrdersError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(OrdersError::NotASocket(path.into()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(OrdersError::InUse(path.into()));
    }
    fs::remove_file(path).map_err(|source| OrdersError::Bind { path: path.into(), source })
}

fn accept(listener: &UnixListener, ending: &AtomicBool, handler: &Handler) {
    let present = Arc::new(());
    while let Ok((stream, _)) = listener.accept() {
        if ending.load(Ordering::SeqCst) {
            return;
        }
        if Arc::strong_count(&present) > CLIENTS_MAX {
            let _ = (&stream).write_all(b"error: too many clients on this socket; close one\n");
            continue;
        }
        let (handler, here) = (Arc::clone(handler), Arc::clone(&present));
        let take = move || {
            let _here = here;
            // A client that never reads its answers must not hold its thread for ever.
            let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
            let _ = converse(BufReader::new(&stream), &stream, &handler);
        };
        // Without a thread the client is simply closed.
        let _ = Builder::new().name("sim-orders-client".into()).spawn(take);
    }
}

fn converse(mut from: impl BufRead, mut to: impl Write, handler: &Handler) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.by_ref().take(LINE_MAX).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Ok(());
        }
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match handler(line) {
            Ok(said) if said.is_empty() => writeln!(to, "ok")?,
            Ok(said) => writeln!(to, "{said}\nok")?,
            Err(why) => writeln!(to, "error: {why}")?,
        }
    }
}

/// An error and its causes as one line, for an answer.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> Handler {
        Arc::new(|line| if line == "bad" { Err("no".into()) } else { Ok(line.to_uppercase()) })
    }

    #[test]
    fn each_line_is_answered_and_the_socket_is_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders");
        let socket = OrderSocket::open(&path, echo()).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"walk 0\n\nbad\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert_eq!(answers, "WALK 0\nok\nerror: no\n");
        assert!(matches!(OrderSocket::open(&path, echo()), Err(OrdersError::InUse(_))));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders");
        drop(UnixListener::bind(&path).unwrap());
        drop(OrderSocket::open(&path, echo()).unwrap());
        fs::write(&path, "mine").unwrap();
        assert!(matches!(OrderSocket::open(&path, echo()), Err(OrdersError::NotASocket(_))));
    }
}
