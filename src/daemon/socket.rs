//! The control socket: `latchctl`'s requests, one session a connection.

mod journal;
mod orders;
mod session;

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use tokio::{net::UnixListener, task::JoinSet};

use super::site::Site;
use crate::control::settings::Settings;

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "can't make the control socket {path}: {error}; is its directory there, and writable for this user?"
    )]
    Bind { path: PathBuf, error: io::Error },
}

/// Sessions at a time; one more waits in the kernel's queue.
const SESSIONS: usize = 64;
/// Owner and group: the technicians' group is set on the directory (`RuntimeDirectoryMode`).
const MODE: u32 = 0o660;

/// Binds the socket. One left behind by a daemon that was killed is replaced: the state lock says there is no other.
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |error| SocketError::Bind { path: path.to_owned(), error };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    Ok(listener)
}

/// Serves for ever.
pub async fn serve(listener: UnixListener, site: Site, settings: Rc<Settings>) {
    let mut sessions = JoinSet::new();
    loop {
        while sessions.len() >= SESSIONS {
            sessions.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                _ = sessions.spawn_local(session::serve(stream, site.clone(), settings.clone()))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}
