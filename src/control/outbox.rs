//! The journal's way to central (wire, "events and ack"): one message under way, in order, from the first event
//! central has not acknowledged; sent again until it has.

use std::time::Duration;

use crate::{domain::Mono, wire::outgoing::MAX_EVENTS};

/// How long without progress until the events under way are sent again.
const RESEND: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    recorded: u64,
    acknowledged: u64,
    /// Events through this one can't be sent, because they are gone.
    gone: u64,
    /// Central says that it has more than was ever recorded here.
    is_behind: bool,
    connected: bool,
    /// The last event under way, and since when there was no progress.
    under_way: Option<(u64, Mono)>,
}

/// The events to send: from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub from: u64,
    pub through: u64,
}

impl Outbox {
    pub fn new(recorded: u64, acknowledged: u64) -> Self {
        Outbox { recorded, acknowledged, gone: 0, is_behind: false, connected: false, under_way: None }
    }

    pub fn recorded_through(&self) -> u64 {
        self.recorded
    }

    pub fn acknowledged_through(&self) -> u64 {
        self.acknowledged
    }

    pub fn connected(&mut self) {
        self.connected = true;
        self.under_way = None;
    }

    pub fn disconnected(&mut self) {
        self.connected = false;
        self.under_way = None;
    }

    /// Events are on disk through this one.
    pub fn recorded(&mut self, through: u64) {
        self.recorded = self.recorded.max(through);
    }

    /// The message went out with events through this one (a message has a size limit, so it may hold fewer).
    pub fn sent(&mut self, through: u64) {
        if let Some((under_way, _)) = &mut self.under_way {
            *under_way = (*under_way).min(through);
        }
    }

    /// Events through this one can't be sent, and what follows them can.
    pub fn skip(&mut self, through: u64) {
        self.gone = self.gone.max(through.min(self.recorded));
        self.under_way = None;
    }

    /// Central says it has stored events through this one. Returns whether that is news.
    pub fn acknowledged(&mut self, now: Mono, through: u64) -> bool {
        if through <= self.acknowledged || through > self.recorded {
            return false;
        }
        self.acknowledged = through;
        self.under_way = self.under_way.filter(|(last, _)| *last > through).map(|(last, _)| (last, now));
        true
    }

    /// Whether central says for the first time that it has events that are not here.
    pub fn falls_behind(&mut self, through: u64) -> bool {
        through > self.recorded && !std::mem::replace(&mut self.is_behind, true)
    }

    /// What to send now, if anything; counts it as under way.
    pub fn take(&mut self, now: Mono) -> Option<Batch> {
        if self.under_way.is_some_and(|(_, since)| now.since(since) >= RESEND) {
            self.under_way = None;
        }
        let behind = self.acknowledged.max(self.gone);
        if !self.connected || self.under_way.is_some() || self.recorded <= behind {
            return None;
        }
        let from = behind + 1;
        let through = self.recorded.min(behind + MAX_EVENTS as u64);
        self.under_way = Some((through, now));
        Some(Batch { from, through })
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.under_way.filter(|_| self.connected).map(|(_, since)| since.plus(RESEND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono(Duration::from_secs(s))
    }

    #[test]
    fn that_central_has_what_is_not_here_is_news_once_and_acknowledges_nothing() {
        let mut o = Outbox::new(10, 5);
        assert!(!o.falls_behind(10));
        assert!(!o.acknowledged(at(0), 11) && o.falls_behind(11) && !o.falls_behind(12));
        assert_eq!(o.acknowledged_through(), 5);
    }

    #[test]
    fn one_message_is_under_way_until_it_is_acknowledged() {
        let mut o = Outbox::new(1200, 0);
        assert_eq!(o.take(at(0)), None, "no connection");
        o.connected();
        assert_eq!(o.take(at(0)), Some(Batch { from: 1, through: 500 }));
        assert_eq!(o.take(at(1)), None);
        assert!(o.acknowledged(at(2), 300));
        assert_eq!(o.take(at(2)), None, "the rest of it is still under way");
        assert!(o.acknowledged(at(3), 500));
        assert_eq!(o.take(at(3)), Some(Batch { from: 501, through: 1000 }));
    }

    #[test]
    fn without_progress_it_is_sent_again_from_the_first_unacknowledged() {
        let mut o = Outbox::new(10, 0);
        o.connected();
        o.take(at(0));
        o.acknowledged(at(20), 4);
        assert_eq!(o.deadline(), Some(at(50)));
        assert_eq!(o.take(at(49)), None);
        assert_eq!(o.take(at(50)), Some(Batch { from: 5, through: 10 }));
        o.disconnected();
        o.connected();
        assert_eq!(o.take(at(51)), Some(Batch { from: 5, through: 10 }));
    }

    #[test]
    fn an_acknowledgement_that_is_late_twice_or_from_the_future_changes_nothing() {
        let mut o = Outbox::new(10, 5);
        assert!(!o.acknowledged(at(0), 5));
        assert!(!o.acknowledged(at(0), 3));
        assert!(!o.acknowledged(at(0), 11));
        assert_eq!(o.acknowledged_through(), 5);
    }

    #[test]
    fn what_is_gone_is_passed_over_and_what_follows_is_sent() {
        let mut o = Outbox::new(2000, 10);
        o.connected();
        assert_eq!(o.take(at(0)), Some(Batch { from: 11, through: 510 }));
        o.skip(1200);
        assert_eq!(o.take(at(0)), Some(Batch { from: 1201, through: 1700 }));
        assert!(o.acknowledged(at(1), 1700));
        o.skip(9999);
        assert_eq!((o.take(at(1)), o.acknowledged_through()), (None, 1700));
        o.recorded(2001);
        assert_eq!(o.take(at(1)), Some(Batch { from: 2001, through: 2001 }));
    }

    #[test]
    fn a_message_cut_short_by_its_size_goes_on_where_it_stopped() {
        let mut o = Outbox::new(400, 0);
        o.connected();
        o.take(at(0));
        o.sent(120);
        o.acknowledged(at(1), 120);
        assert_eq!(o.take(at(1)), Some(Batch { from: 121, through: 400 }));
    }

    #[test]
    fn without_a_connection_nothing_is_sent_and_nothing_is_due() {
        let mut o = Outbox::new(10, 0);
        o.connected();
        assert!(o.take(at(0)).is_some() && o.deadline().is_some());
        o.disconnected();
        assert_eq!((o.take(at(99)), o.deadline()), (None, None));
        o.connected();
        assert_eq!(o.take(at(100)), Some(Batch { from: 1, through: 10 }), "what was under way goes again");
    }
}
