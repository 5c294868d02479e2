//! MQTT 5 over rumqttc: a fresh client for every connection, a cursor in the journal instead of a queue, for ever.
//!
//! rumqttc loses publishes that were accepted when a session ends; here nothing is accepted that is not also in the
//! journal (events), repeated until answered (`sync`), or said again after every connect (`status`, `door/…`).
//!
//! ```text
//!   mqtt      this file: connection after connection, and how long to wait between two
//!   session   one connection: what is said and heard on it
//!   poll      rumqttc's event loop, in a task of its own: a poll that is cancelled can leave a session half made
//!   picked    what of the journal goes into one message
//!   bridge · transport · tls · certificates · keeper   the stream under it
//! ```

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::{
    mpsc::{Receiver, Sender},
    watch,
};

use super::{
    certificates::Files,
    ended::{Ended, Kind, LinkError},
    keeper::{Account, Keeper},
    session::{Session, say},
    transport::Address,
};
use crate::{
    control::{Event, UplinkCommand, UplinkEvent},
    drivers::{backoff::Backoff, clock},
    wire::Inbox,
};

/// What the link is made with. It may change while the link runs: other keys are taken up at once, anything else with
/// a connection of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub inbox: Inbox,
    pub broker: Address,
    /// `None`: a plain connection.
    pub tls: Option<Files>,
    pub account: Option<Account>,
    /// How often the broker is pinged; one that is silent for half as long again is given up.
    pub keep_alive: Duration,
    /// How long the broker keeps what central sends while we are away, in seconds.
    pub session_expiry_s: u32,
}

/// Where events come from: those from the first number to the second, about so many bytes at most, each with its
/// number. The daemon puts the journal here.
pub type EventSource = Box<dyn FnMut(u64, u64, usize) -> Vec<(u64, String)> + Send>;

/// The journal that is sent.
pub struct Journal {
    pub id: String,
    pub source: EventSource,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.id)
    }
}

/// A connection that lasted this long was one: the next failure begins from the shortest wait.
const STEADY: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After another client took our id. Coming back takes it from them, who may do the same: never at full speed.
const FIRST_TRUCE: Duration = Duration::from_secs(30);
const LONGEST_TRUCE: Duration = Duration::from_secs(300);

/// So often it is no chance.
const THROWN_OUT: u32 = 3;

/// How long to wait before the next connection, and what to say meanwhile.
struct Waits {
    failures: Backoff,
    takeovers: Backoff,
    /// Connections in a row that the broker closed soon after they stood.
    thrown_out: u32,
}

impl Waits {
    fn new() -> Self {
        Waits {
            failures: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            takeovers: Backoff::new(FIRST_TRUCE, LONGEST_TRUCE),
            thrown_out: 0,
        }
    }

    /// What to say of this end. A broker need not tell why it closes a connection, and some never do.
    fn detail(&mut self, error: &LinkError, lasted: Option<Duration>) -> String {
        let is_soon = lasted.is_some_and(|lasted| lasted < STEADY);
        let is_closed = matches!(error, LinkError::Transport(how) if how.is_closed_by_broker());
        self.thrown_out = if is_soon && is_closed { self.thrown_out.saturating_add(1) } else { 0 };
        let hint = match self.thrown_out {
            0..THROWN_OUT => "",
            _ => ", again and again soon after it stands; is there another client with this controller's id?",
        };
        format!("{error}{hint}")
    }

    /// After a connection that was up for so long, if it was.
    fn after(&mut self, error: &LinkError, lasted: Option<Duration>) -> Duration {
        let lasted = lasted.unwrap_or_default();
        if lasted >= STEADY {
            self.failures.reset();
        }
        if lasted >= LONGEST_TRUCE {
            self.takeovers.reset();
        }
        match error.kind() {
            Kind::TakenOver => self.takeovers.wait(),
            Kind::Intended => Duration::ZERO,
            Kind::Trouble => self.failures.wait(),
        }
    }
}

/// Serves the link until `commands` is closed.
pub async fn run(
    mut config: watch::Receiver<Config>,
    mut journal: Journal,
    events: Sender<Event>,
    mut commands: Receiver<UplinkCommand>,
) {
    let mut tokens = 0;
    let mut waits = Waits::new();
    let mut said = String::new();
    let mut current = config.borrow_and_update().clone();
    let mut keeper = Keeper::new(current.tls.clone(), current.account.clone());
    loop {
        let mut session = Session::connect(&current, &events, &mut journal, &mut tokens, &mut keeper);
        // What a library panics at, or we, must not take the link with it for good.
        let served = AssertUnwindSafe(session.serve(&mut commands, &mut config)).catch_unwind().await;
        let error = match served.unwrap_or(Ended::Lost(LinkError::Panicked)) {
            Ended::Stopped => return,
            Ended::Lost(error) => error,
        };
        let lasted = session.up_since.map(|since| clock::instant() - since);
        drop(session);
        let detail = waits.detail(&error, lasted);
        if lasted.is_some() || said != detail {
            complain(&error, &detail);
            say(&events, UplinkEvent::Disconnected { detail: detail.clone() }).await;
            said = detail;
        }
        if rest(waits.after(&error, lasted), &mut commands, &mut config).await.is_none() {
            return;
        }
        let next = config.borrow_and_update().clone();
        if (&next.tls, &next.account) != (&current.tls, &current.account) {
            keeper = Keeper::new(next.tls.clone(), next.account.clone());
        }
        current = next;
    }
}

fn complain(error: &LinkError, detail: &str) {
    match error.kind() {
        // A person must find the other one.
        Kind::TakenOver => tracing::error!(detail, "no connection to the broker"),
        Kind::Intended => tracing::info!(detail, "connecting anew"),
        Kind::Trouble => tracing::warn!(detail, "no connection to the broker"),
    }
}

/// Waits, letting commands fall that have no connection to go to; a new configuration is not waited with. `None`: told
/// to stop.
async fn rest(
    time: Duration,
    commands: &mut Receiver<UplinkCommand>,
    config: &mut watch::Receiver<Config>,
) -> Option<()> {
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Some(()),
            Ok(()) = config.changed() => return Some(()),
            command = commands.recv() => { command?; }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{super::transport::TransportError, *};

    #[test]
    fn a_connection_that_ends_soon_makes_the_next_wait_longer_and_a_steady_one_does_not() {
        let mut waits = Waits::new();
        let mut after = |s: u64| waits.after(&LinkError::Unanswered, Some(Duration::from_secs(s)));
        let soon: Vec<Duration> = (0..20).map(|_| after(1)).collect();
        assert!(soon[0] <= FIRST_WAIT && soon[19] >= LONGEST_WAIT / 2, "{soon:?}");
        assert!(after(10) <= FIRST_WAIT);
    }

    #[test]
    fn another_client_with_our_id_is_left_alone_for_longer_each_time() {
        let mut waits = Waits::new();
        let mut after = |s: u64| waits.after(&LinkError::TakenOver, Some(Duration::from_secs(s)));
        let truces: Vec<Duration> = (0..10).map(|_| after(40)).collect();
        assert!(truces[0] >= FIRST_TRUCE / 2 && truces[9] >= LONGEST_TRUCE / 2, "{truces:?}");
        assert!(after(300) <= FIRST_TRUCE, "it was gone for long");
    }

    #[test]
    fn a_broker_that_closes_soon_and_often_may_know_another_client_under_our_id() {
        let mut waits = Waits::new();
        let closed = || LinkError::Transport(TransportError::Closed);
        let soon = Some(Duration::from_secs(1));
        let said: Vec<bool> =
            (0..4).map(|_| waits.detail(&closed(), soon).contains("another client")).collect();
        assert_eq!(said, [false, false, true, true]);
        let reset = LinkError::Transport(TransportError::Broken(io::ErrorKind::ConnectionReset.into()));
        assert!(waits.detail(&reset, soon).contains("another client"), "closed while we were talking");
        assert!(!waits.detail(&closed(), Some(STEADY)).contains("another client"));
        assert!(!waits.detail(&closed(), soon).contains("another client"), "counted anew");
    }

    #[test]
    fn what_we_did_ourselves_is_not_waited_for() {
        let mut waits = Waits::new();
        assert_eq!(waits.after(&LinkError::Reconfigured, Some(Duration::ZERO)), Duration::ZERO);
    }
}
