//! The control socket: `latchctl`'s requests, one session a connection.
//!
//! Everybody on the box may connect; what they may ask follows from their groups (`caller`). So that nobody can keep
//! others out, each user has a share of the sessions, and who may ask nothing has one for as long as an answer takes.

mod backup;
mod caller;
mod cards;
mod commissioning;
mod explain;
mod journal;
mod log;
mod orders;
mod place;
mod right;
pub mod session;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use self::caller::Peer;
pub use self::{
    caller::{Groups, missing_groups},
    commissioning::state_of,
    place::free,
};
use super::site::Site;
use crate::wire::control::{Answer, Code, Refusal};

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "can't make the control socket {path}: {error}; is its directory there, and writable for this user?"
    )]
    Bind { path: PathBuf, error: io::Error },
    #[error(
        "another program answers at the control socket {path}; stop it (systemctl status latchd), or give this one a \
         controller.socket of its own"
    )]
    InUse { path: PathBuf },
    #[error(
        "the place of the control socket {path} is something else; give it a controller.socket of its own"
    )]
    Other { path: PathBuf },
}

/// Sessions at a time; one more waits in the kernel's queue.
const SESSIONS: usize = 64;
/// Of these, one user's at most: an open screen, a script or two.
const OF_ONE_USER: usize = 16;
/// Of these, kept for root and for the user we run as.
const KEPT: usize = 8;
/// Everybody may connect: the groups that may ask are three and can be changed, and a file has one.
const MODE: u32 = 0o666;

/// What sessions answer from.
#[derive(Debug, Clone)]
pub struct Serving {
    pub site: Site,
    pub groups: Groups,
}

/// Binds the socket. One left behind by a daemon that was killed is replaced: nobody answers there.
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |error| SocketError::Bind { path: path.to_owned(), error };
    free(path)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    Ok(listener)
}

/// Serves for ever.
pub async fn serve(listener: UnixListener, serving: Serving) {
    say_missing_groups(&serving.groups);
    let crowd = Crowd::default();
    let mut sessions = JoinSet::new();
    loop {
        while sessions.len() >= SESSIONS {
            sessions.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some((peer, place)) = admit(&crowd, &stream) {
                    let serving = serving.clone();
                    sessions.spawn_local(async move {
                        session::serve(stream, peer, serving).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

/// The user database may be slow: doors do not wait for it.
fn say_missing_groups(groups: &Groups) {
    let operators = groups.current();
    let say = move || missing_groups(&operators).into_iter().for_each(|said| tracing::warn!("{said}"));
    drop(tokio::task::spawn_blocking(say));
}

/// Who it is, and their place; whoever gets none is told so in passing.
fn admit(crowd: &Crowd, stream: &UnixStream) -> Option<(Peer, Place)> {
    let peer = Peer::of(stream).inspect_err(|error| tracing::warn!(%error, "a caller has no name")).ok()?;
    let place = crowd.enter(peer.uid, peer.is_master());
    if place.is_none() {
        let said = format!(
            "latchd answers {OF_ONE_USER} connections of a user at a time; close one of yours and try again"
        );
        let refusal = Answer::Error(Refusal::new(Code::Failed, said));
        // Nothing has been written to it yet: it takes a line without waiting, or has gone.
        let _told = stream.try_write((serde_json::to_string(&refusal).unwrap_or_default() + "\n").as_bytes());
    }
    place.map(|place| (peer, place))
}

/// How many sessions each user has.
#[derive(Debug, Clone, Default)]
struct Crowd(Rc<RefCell<BTreeMap<u32, usize>>>);

/// One session of a user's, until it is dropped.
#[derive(Debug)]
struct Place {
    crowd: Crowd,
    uid: u32,
}

impl Crowd {
    fn enter(&self, uid: u32, is_master: bool) -> Option<Place> {
        let mut counts = self.0.borrow_mut();
        let all: usize = counts.values().sum();
        let own = counts.get(&uid).copied().unwrap_or(0);
        if !is_master && (own >= OF_ONE_USER || all >= SESSIONS - KEPT) {
            return None;
        }
        counts.insert(uid, own + 1);
        drop(counts);
        Some(Place { crowd: self.clone(), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.borrow_mut();
        if let Some(own) = counts.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(crowd: &Crowd, uid: u32, count: usize) -> Vec<Place> {
        (0..count).filter_map(|_| crowd.enter(uid, uid == 0)).collect()
    }

    #[test]
    fn no_user_takes_the_places_of_others_and_root_always_finds_one() {
        let crowd = Crowd::default();
        let places: Vec<Vec<Place>> = (1001..1010).map(|uid| enter(&crowd, uid, 100)).collect();
        assert_eq!(places[0].len(), OF_ONE_USER);
        assert_eq!(places.iter().map(Vec::len).sum::<usize>(), SESSIONS - KEPT);
        assert_eq!(enter(&crowd, 0, 1).len(), 1);
        drop(places);
        assert_eq!(enter(&crowd, 1009, 1).len(), 1);
        assert!(crowd.0.borrow().is_empty(), "who has left is not remembered");
    }
}
