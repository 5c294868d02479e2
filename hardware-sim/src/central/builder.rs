//! How a central is put together before it starts: who it is for, how it signs, what it keeps.

use super::address::Address;
use super::keep::Keeper;
use super::session::Session;
use super::tls::{TlsError, TlsFiles};
use super::{Central, CentralError, Shared, link};
use crate::jws::Signer;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::Notify;

/// A central to be.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    url: String,
    controller: String,
    epoch: Option<u64>,
    signer: Option<Signer>,
    feed_file: Option<PathBuf>,
    events_file: Option<PathBuf>,
    by: String,
    tls: Option<TlsFiles>,
    credentials: Option<(String, String)>,
}

impl Builder {
    pub(super) fn new(url: &str, controller: &str) -> Builder {
        Builder {
            url: url.to_owned(),
            controller: controller.to_owned(),
            epoch: None,
            signer: None,
            feed_file: None,
            events_file: None,
            by: "latch-sim@central".to_owned(),
            tls: None,
            credentials: None,
        }
    }

    /// The epoch of a list that begins with this start (default: the wall clock's seconds, which rise from start to
    /// start).
    pub fn epoch(self, epoch: u64) -> Builder {
        Builder { epoch: Some(epoch), ..self }
    }

    /// Signs `feed`, `ack` and `command` (default: plain JSON).
    pub fn signer(self, signer: Signer) -> Builder {
        Builder { signer: Some(signer), ..self }
    }

    /// Keeps the feed in this file, and goes on with the one in it.
    pub fn feed_file(self, path: impl Into<PathBuf>) -> Builder {
        Builder { feed_file: Some(path.into()), ..self }
    }

    /// Keeps the events in this file.
    pub fn events_file(self, path: impl Into<PathBuf>) -> Builder {
        Builder { events_file: Some(path.into()), ..self }
    }

    /// Who gives its commands.
    pub fn by(self, by: &str) -> Builder {
        Builder { by: by.to_owned(), ..self }
    }

    /// Speaks TLS to an `mqtts://` broker.
    pub fn tls(self, files: TlsFiles) -> Builder {
        Builder { tls: Some(files), ..self }
    }

    /// Says this user and password to the broker.
    pub fn credentials(self, user: &str, password: &str) -> Builder {
        Builder { credentials: Some((user.to_owned(), password.to_owned())), ..self }
    }

    /// Starts it. It does not wait for the broker.
    ///
    /// # Errors
    /// A URL that is none of a broker, a file that can't be kept or is another's, or no thread to be had.
    pub fn start(self) -> Result<Central, CentralError> {
        let address = Address::of(&self.url)?;
        if address.tls != self.tls.is_some() {
            return Err(TlsError::Half.into());
        }
        // They are read again for each connection; what is wrong with them now is better said now.
        self.tls.as_ref().map(TlsFiles::config).transpose()?;
        let chance = getrandom::u32().map_err(|error| CentralError::Start(io::Error::other(error)))?;
        let client_id = format!("latch-central-{}-{chance:08x}", self.controller);
        let target = link::Target {
            address,
            tls: self.tls,
            credentials: self.credentials,
            controller: self.controller.clone(),
            client_id,
        };
        let clock = u64::try_from(crate::wait::wall_now().timestamp()).unwrap_or(1);
        let mut session = Session::new(&self.controller, self.epoch.unwrap_or(clock));
        session.feed.set_run(chance);
        session.set_signer(self.signer);
        let (keeper, found) = Keeper::open(session, self.feed_file.as_deref(), self.events_file.as_deref())?;
        let shared = Arc::new(Shared {
            keeper: Mutex::new(keeper),
            why_not: Mutex::new(None),
            changed: Condvar::new(),
            outgoing: Notify::new(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CentralError::Start)?;
        let for_link = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sim-central".to_owned())
            .spawn(move || runtime.block_on(link::run(target, for_link)))
            .map_err(CentralError::Start)?;
        let Builder { url, controller, by, .. } = self;
        Ok(Central { url, controller, by, found, shared, thread: Some(thread) })
    }
}
