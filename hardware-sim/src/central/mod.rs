//! A small, honest central: books through a feed, answers what a controller asks for, stores and acknowledges events.
//!
//! It speaks `wire.md`: signed with a key ([`Builder::signer`]), plain JSON without one. It keeps its feed and the events
//! in files ([`Builder::feed_file`], [`Builder::events_file`]) and goes on with them after a restart; in memory only, each
//! start is a new epoch, as after a restored backup. The layers, each knowing only those below:
//!
//! ```text
//!   verb                 `latch-sim central`: files, orders, several locations in one process
//!   members              the rules members are sold by, and what they make of the feeds: pure
//!   Central (this file)  a handle for tests, the demo and the verb: put, delete, command, wait, look
//!   link · tls           one MQTT connection, for ever; what carries it to a broker that wants TLS
//!   keep · lines         what outlasts a restart; nothing leaves that is not on disk
//!   session              what is said to what, signed as it leaves: pure
//!   feed · ledger        numbered changes and records · stored events and their chain: pure
//!   command              something to do now: pure
//!   digest               the two hashes of the wire
//! ```

mod address;
pub mod bookings;
mod builder;
pub mod command;
pub mod digest;
pub mod feed;
mod keep;
pub mod ledger;
mod lines;
mod link;
#[cfg(test)]
mod live_tests;
pub mod members;
pub mod session;
#[cfg(test)]
mod session_tests;
mod tls;
#[cfg(test)]
mod tls_tests;
pub mod verb;

pub use builder::Builder;
pub use command::Command;
pub use feed::{FeedError, Position};
pub use keep::KeepError;
pub use ledger::Violation;
pub use session::SyncSeen;
pub use tls::{TlsError, TlsFiles};

use crate::jws::Signer;
use keep::Keeper;
use serde_json::Value;
use session::Session;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

/// What central could not do.
#[derive(Debug, thiserror::Error)]
pub enum CentralError {
    /// The URL is not one of a broker.
    #[error("broker URL {url}: {why}; expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file it keeps things in.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The files for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nothing can be said now, and later it would be too late.
    #[error(
        "the command to {controller} is not sent: central is not connected; wait for the link, and order again"
    )]
    NotSent {
        /// The controller.
        controller: String,
    },
    /// No thread, runtime or random number to be had.
    #[error("central could not start")]
    Start(#[source] io::Error),
    /// The link to the broker did not come up in time.
    #[error("central is not connected to {url} after {after:?} ({why}); is a broker listening there?")]
    NotConnected {
        /// The broker.
        url: String,
        /// How long was waited.
        after: Duration,
        /// What the last attempt ended with.
        why: String,
    },
    /// The controller did not say in time that it holds what central holds.
    #[error(
        "controller {controller} is not in step after {after:?}: central is at {ours:?}, last heard {heard:?}"
    )]
    NotSynced {
        /// The controller.
        controller: String,
        /// How long was waited.
        after: Duration,
        /// Central's position.
        ours: Position,
        /// The last `sync`, if any; boxed because it is large beside the others.
        heard: Option<Box<SyncSeen>>,
    },
}

/// What the handle, the link's tasks and waiting threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    keeper: Mutex<Keeper>,
    /// Why the last attempt to connect failed.
    why_not: Mutex<Option<String>>,
    /// Something was received, or the link changed.
    changed: Condvar,
    /// Something waits in the outbox.
    outgoing: Notify,
    stopping: AtomicBool,
    stop: Notify,
}

impl Shared {
    /// Acts on the session, puts on disk what came of it, then wakes who waits for news and who sends.
    fn with<T>(&self, act: impl FnOnce(&mut Session) -> T) -> T {
        let mut keeper = lock(&self.keeper);
        let result = act(&mut keeper.session);
        keeper.settle();
        drop(keeper);
        self.changed.notify_all();
        self.outgoing.notify_one();
        result
    }

    fn look<T>(&self, look: impl FnOnce(&Session) -> T) -> T {
        look(&lock(&self.keeper).session)
    }

    /// Looks at the session after every change until there is an answer or the limit is reached.
    fn wait<T>(&self, limit: Duration, mut look: impl FnMut(&Session) -> Option<T>) -> Option<T> {
        let mut found = None;
        let not_yet = |keeper: &mut Keeper| {
            found = look(&keeper.session);
            found.is_none()
        };
        let waited = self.changed.wait_timeout_while(lock(&self.keeper), limit, not_yet);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        found
    }

    fn not_connected(&self, why: String) {
        *lock(&self.why_not) = Some(why);
    }

    fn is_connected(&self) {
        *lock(&self.why_not) = None;
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    async fn stopped(&self) {
        let notified = self.stop.notified();
        if !self.is_stopping() {
            notified.await;
        }
    }
}

/// A poisoned lock only says that another thread panicked; the session is whole between its calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running central for one controller; dropping it ends it. It reconnects for ever.
#[derive(Debug)]
pub struct Central {
    url: String,
    controller: String,
    /// Who gives its commands.
    by: String,
    found: Vec<String>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Central {
    /// Starts in memory, unsigned, with an empty feed in a new epoch (the wall clock's seconds, which rise from start to
    /// start). It does not wait for the broker.
    ///
    /// # Errors
    /// A URL that is none of a broker, or no thread to be had.
    pub fn start(broker_url: &str, controller: &str) -> Result<Central, CentralError> {
        Central::builder(broker_url, controller).start()
    }

    /// As [`Central::start`], with an epoch of the caller's choice.
    ///
    /// # Errors
    /// As there.
    pub fn start_at_epoch(broker_url: &str, controller: &str, epoch: u64) -> Result<Central, CentralError> {
        Central::builder(broker_url, controller).epoch(epoch).start()
    }

    /// One that may sign, keep its feed and events in files, or choose its epoch.
    pub fn builder(broker_url: &str, controller: &str) -> Builder {
        Builder::new(broker_url, controller)
    }

    /// Whose it is.
    #[must_use]
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// What was found in its files at the start, as sentences.
    #[must_use]
    pub fn found(&self) -> &[String] {
        &self.found
    }

    /// Signs everything that leaves from now on with another key; without one it is plain JSON.
    pub fn set_signer(&self, signer: Option<Signer>) {
        self.shared.with(|session| session.set_signer(signer));
    }

    /// Why nothing is sent or acknowledged any more: the disk did not take what had to be kept.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        lock(&self.shared.keeper).trouble.clone()
    }

    /// Adds or replaces a record and sends the change; gives its number.
    ///
    /// # Errors
    /// A record without `type` or `id`.
    pub fn put(&self, record: Value) -> Result<u64, FeedError> {
        self.put_many([record])
    }

    /// Adds or replaces records, in as few messages as the limits allow; gives the last one's number. Those before a
    /// record that can't be taken stay.
    ///
    /// # Errors
    /// A record without `type` or `id`, or a disk that does not take the changes.
    pub fn put_many(&self, records: impl IntoIterator<Item = Value>) -> Result<u64, FeedError> {
        let put = self.shared.with(|session| {
            let put = records.into_iter().try_for_each(|record| session.feed.put(record).map(drop));
            session.flush();
            put.map(|()| session.feed.position().applied)
        });
        match self.trouble() {
            Some(why) => Err(FeedError::NotKept { why }),
            None => put,
        }
    }

    /// Deletes and puts, in as few messages as the limits allow; gives the last change's number.
    ///
    /// # Errors
    /// As for [`Central::put_many`].
    pub fn change(&self, delete: &[(String, String)], put: Vec<Value>) -> Result<u64, FeedError> {
        self.shared.with(|session| {
            for (record_type, id) in delete {
                session.feed.delete(record_type, id);
            }
        });
        self.put_many(put)
    }

    /// Deletes a record and sends the change; gives its number.
    pub fn delete(&self, record_type: &str, id: &str) -> u64 {
        self.shared.with(|session| {
            let number = session.feed.delete(record_type, id);
            session.flush();
            number
        })
    }

    /// Sends everything as a snapshot, unasked.
    pub fn snapshot(&self) {
        self.shared.with(Session::send_snapshot);
    }

    /// Begins a new list with the records in force, and sends it as a snapshot.
    pub fn new_epoch(&self) -> Position {
        self.shared.with(Session::new_epoch)
    }

    /// Publishes bytes as they are below the controller's topics (`feed`, `command`, …). False: not connected, or too
    /// much is waiting already; nothing was sent.
    #[must_use]
    pub fn publish_raw(&self, topic_suffix: &str, payload: impl Into<Vec<u8>>) -> bool {
        self.shared.with(|session| session.queue_raw(topic_suffix, payload.into()))
    }

    /// Says something on one of central's topics as its own word: signed, if it signs. False as for
    /// [`Central::publish_raw`].
    #[must_use]
    pub fn publish(&self, topic_suffix: &str, message: &Value) -> bool {
        self.shared.with(|session| session.queue_own(topic_suffix, message))
    }

    /// Orders something to be done now, at a door, at all (`*`), or at none (`resync`); gives the command's id. What comes
    /// of it is in [`Central::results`].
    ///
    /// # Errors
    /// The link is down: a command that waits for it would come too late.
    pub fn command(&self, action: &str, door: &str, for_s: Option<u64>) -> Result<String, CentralError> {
        let command = Command::new(action, door, for_s, crate::wait::wall_now());
        let chance = getrandom::u64().map_err(|error| CentralError::Start(io::Error::other(error)))?;
        let id = format!("cmd-{chance:016x}");
        let body = Command { id: id.clone(), by: self.by.clone(), ..command }.body(&self.controller);
        let not_sent = || CentralError::NotSent { controller: self.controller.clone() };
        self.publish("command", &body).then_some(id).ok_or_else(not_sent)
    }

    /// Waits for what became of a command.
    pub fn wait_for_result(&self, id: &str, limit: Duration) -> Option<Value> {
        let of_it = |result: &&Value| result.get("id").and_then(Value::as_str) == Some(id);
        self.shared.wait(limit, |session| session.results.iter().find(of_it).cloned())
    }

    /// Whether events are acknowledged (they are, at first). They are stored in any case.
    pub fn set_acking(&self, acking: bool) {
        self.shared.with(|session| session.set_acking(acking));
    }

    /// Where the feed stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.shared.look(|session| session.feed.position())
    }

    /// What the controller's digest should be.
    #[must_use]
    pub fn digest(&self) -> String {
        self.shared.look(|session| session.feed.digest())
    }

    /// The record in force of that type and id.
    #[must_use]
    pub fn record(&self, record_type: &str, id: &str) -> Option<Value> {
        self.shared.look(|session| session.feed.record(record_type, id).cloned())
    }

    /// All records in force.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.shared.look(|session| session.feed.records().cloned().collect())
    }

    /// Every event stored, once each, in the order of arrival.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.shared.look(|session| session.ledger.events().to_vec())
    }

    /// The same from a [`Central::mark`] on, each with the journal it is of.
    #[must_use]
    pub fn entries_from(&self, mark: usize) -> Vec<(String, Value)> {
        let owned = |(journal, event): (&str, &Value)| (journal.to_owned(), event.clone());
        self.shared.look(|session| session.ledger.entries_from(mark).map(owned).collect())
    }

    /// How many events are stored: a mark for [`Central::wait_for_event_after`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.shared.look(|session| session.ledger.events().len())
    }

    /// Events that came again after they were stored.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.shared.look(|session| session.ledger.repeats())
    }

    /// The controller's `status`, as last heard.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        self.shared.look(|session| session.status.clone())
    }

    /// A door's state, as last heard.
    #[must_use]
    pub fn door(&self, door: &str) -> Option<Value> {
        self.shared.look(|session| session.doors.get(door).cloned())
    }

    /// All doors' states, as last heard.
    #[must_use]
    pub fn doors(&self) -> Vec<Value> {
        self.shared.look(|session| session.doors.values().cloned().collect())
    }

    /// Every `result` heard.
    #[must_use]
    pub fn results(&self) -> Vec<Value> {
        self.shared.look(|session| session.results.clone())
    }

    /// The controller's last `sync`.
    #[must_use]
    pub fn last_sync(&self) -> Option<SyncSeen> {
        self.shared.look(|session| session.last_sync.clone())
    }

    /// What the controller did against the contract, so far.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.look(|session| session.violations.clone())
    }

    /// Whether the link to the broker stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.look(|session| session.is_connected())
    }

    /// Why it does not stand: what the last attempt ended with.
    #[must_use]
    pub fn why_not_connected(&self) -> Option<String> {
        lock(&self.shared.why_not).clone()
    }

    /// The first event stored, ever, that satisfies the condition; waits for it up to the limit.
    pub fn wait_for_event(&self, wanted: impl Fn(&Value) -> bool, limit: Duration) -> Option<Value> {
        self.wait_for_event_after(0, wanted, limit)
    }

    /// The same among those stored after a [`Central::mark`].
    pub fn wait_for_event_after(
        &self,
        mark: usize,
        wanted: impl Fn(&Value) -> bool,
        limit: Duration,
    ) -> Option<Value> {
        let mut seen = mark;
        self.shared.wait(limit, |session| {
            let news = session.ledger.events().get(seen..).unwrap_or_default();
            seen += news.len();
            news.iter().find(|event| wanted(event)).cloned()
        })
    }

    /// Waits for the link to the broker.
    ///
    /// # Errors
    /// It did not come up within the limit.
    pub fn wait_connected(&self, limit: Duration) -> Result<(), CentralError> {
        let stands = self.shared.wait(limit, |session| session.is_connected().then_some(()));
        stands.ok_or_else(|| CentralError::NotConnected {
            url: self.url.clone(),
            after: limit,
            why: self.why_not_connected().unwrap_or_else(|| "no answer yet".to_owned()),
        })
    }

    /// Waits until the controller says, by position and digest, that it holds what central holds now. Where it has
    /// refused records the digest can't agree, and the position alone counts.
    ///
    /// # Errors
    /// It did not say so within the limit.
    pub fn wait_synced(&self, limit: Duration) -> Result<SyncSeen, CentralError> {
        let in_step = |session: &Session| session.last_sync.clone().filter(|seen| session.is_in_step(seen));
        self.shared.wait(limit, in_step).ok_or_else(|| CentralError::NotSynced {
            controller: self.controller.clone(),
            after: limit,
            ours: self.position(),
            heard: self.last_sync().map(Box::new),
        })
    }
}

impl Drop for Central {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.stop.notify_waiters();
        if let Some(thread) = self.thread.take() {
            // A link that panicked has said so on standard error; there is nothing left to end.
            let _ = thread.join();
        }
    }
}
