//! Between central and the controller: a link that offers one message at a time, and three brokers that use it. One
//! obeys its seed and nobody else, one is honest, and one is honest over a line that comes and goes (`flapping`).

use std::time::Duration;

use latchd::{control::UplinkEvent, wire::feed::MessageError};

use super::{central::Message, world::World};

/// The driver's side, as far as the controller can tell.
#[derive(Debug, Default)]
pub struct Link {
    pub is_up: bool,
    /// The message at the controller that is not done.
    pub offered: Option<u64>,
    token: u64,
    /// The connection is to be dropped; what is said behind that falls.
    pub is_undone: bool,
    /// What was done last.
    pub last_done: u64,
    /// Where the adversary is when it plays the honest broker.
    cursor: usize,
}

impl Link {
    pub fn done(&mut self, token: u64) {
        if self.offered == Some(token) {
            self.offered = None;
            self.last_done = token;
        }
    }

    pub fn has_room(&self) -> bool {
        self.is_up && self.offered.is_none()
    }
}

/// Both sides agree after this long, in virtual time: a want is repeated at least every minute, and an event every 30 s.
const CONVERGED_WITHIN: Duration = Duration::from_secs(300);

impl World {
    /// Hands over a message; the token it has.
    pub fn deliver(&mut self, message: Message, again: bool) -> u64 {
        match message {
            Message::Feed(feed) => self.offer(Ok(feed), again),
            Message::Ack(ack) => {
                self.says(UplinkEvent::Ack { message: Ok(ack) });
                self.link.token
            }
        }
    }

    fn offer(&mut self, message: Result<latchd::wire::feed::Feed, MessageError>, again: bool) -> u64 {
        assert!(self.link.has_room(), "one message at a time");
        self.link.token += 1;
        let token = self.link.token;
        self.link.offered = Some(token);
        self.says(UplinkEvent::Feed { token, again, message });
        token
    }

    /// One thing that a broker without scruples, a restarting central, a failing disk or a crash brings about.
    pub fn adversary_acts(&mut self) {
        match self.lot.of(0..100) {
            0..8 => self.central.change(&mut self.lot),
            8..10 => self.central.snapshot(&mut self.lot),
            10..11 if self.lot.one_in(2) => self.central.restart(&mut self.lot),
            11..44 => self.adversary_delivers(),
            44..48 => self.central_hears(),
            48..66 => self.store(),
            66..84 => self.tell_stored(),
            84..85 => self.fail_to_store(),
            85..87 => self.tap(),
            87..90 => {
                let count = self.lot.below(6);
                self.flush_journal(count);
            }
            90..91 => self.disconnect(),
            91..94 => {
                let is_resumed = self.lot.one_in(2);
                self.connect(is_resumed);
            }
            94..95 if self.lot.one_in(2) => self.crash(),
            95..97 => self.central_hears(),
            _ => {
                let most = [10, 1000, 9_999, 10_001, 61_000][self.lot.below(5)];
                let time = Duration::from_millis(self.lot.of(0..most));
                self.later(time);
            }
        }
    }

    /// Any message that central ever sent: the next one, one of the last, any; or none of central's.
    fn adversary_delivers(&mut self) {
        let count = self.central.sent.len();
        if !self.link.has_room() || count == 0 {
            return;
        }
        let n = match self.lot.of(0..10) {
            0 => {
                _ = self.offer(Err(MessageError::NotJson("line 1 column 1".into())), false);
                return;
            }
            1..8 => self.link.cursor.min(count - 1),
            8 => count - 1 - self.lot.below(count.min(8)),
            _ => self.lot.below(count),
        };
        self.link.cursor = n + 1;
        let again = self.lot.one_in(3);
        let message = self.central.sent[n].clone();
        self.deliver(message, again);
    }

    /// Central hears something the controller said a while ago, or nothing of it ever.
    fn central_hears(&mut self) {
        if self.lot.one_in(2) && !self.syncs.is_empty() {
            let n = self.lot.below(self.syncs.len());
            let sync = self.syncs[n].clone();
            let answered_from = self.central.sent.len();
            self.central.outgoing.clear();
            self.central.answer(&sync, &mut self.lot);
            if self.lot.one_in(2) {
                self.link.cursor = answered_from;
            }
        } else if !self.events.is_empty() {
            let n = self.lot.below(self.events.len());
            let events = self.events[n].clone();
            self.central.store(&events);
        }
        if self.lot.one_in(4) {
            (self.syncs, self.events) = Default::default();
        }
    }

    /// The adversary is gone: everything reaches everybody, in order. Both sides agree before long.
    pub fn converge(&mut self) {
        (self.syncs, self.events) = Default::default();
        self.central.outgoing.clear();
        self.central.last_sync = None;
        self.disconnect();
        self.connect(false);
        let end = self.mono + CONVERGED_WITHIN;
        while !self.agrees() {
            assert!(self.mono < end, "no agreement: {:#?}", self.controller.sync_report());
            self.honest_round();
            self.check();
            let next = self.controller.next_deadline().map_or(self.mono, |at| at.0);
            self.mono = next.clamp(self.mono + Duration::from_millis(10), self.mono + Duration::from_secs(1));
            self.happens(latchd::control::Event::Tick);
        }
        assert_eq!(self.central.ledger, self.disk.journal, "central has what the journal has");
    }

    fn honest_round(&mut self) {
        while let Some(sync) = self.syncs.pop_front() {
            self.central.answer(&sync, &mut self.lot);
        }
        while let Some(events) = self.events.pop_front() {
            self.central.store(&events);
        }
        self.store();
        self.tell_stored();
        self.flush_journal(usize::MAX);
        while self.link.has_room()
            && let Some(message) = self.central.outgoing.pop_front()
        {
            self.deliver(message, false);
            self.store();
            self.tell_stored();
        }
        // The failing disk has dropped it.
        self.connect(false);
    }

    /// Same place, nothing wanted and central told so, every event stored.
    fn agrees(&self) -> bool {
        let report = self.controller.sync_report();
        let same = (report.epoch, report.applied) == (self.central.epoch, self.central.number);
        same && report.want == "nothing"
            && self.central.is_in_step()
            && report.queue == 0
            && self.written.is_empty()
    }
}
