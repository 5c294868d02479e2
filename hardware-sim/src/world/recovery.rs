//! The end of a run: faults stop, links come back, central puts its bugs right. Then both sides must agree, the outbox
//! drain, and every door do what central's last word and its own mode ask.

use std::time::Duration;

use latchd::domain::{DoorMode, LockState};

use super::{Invariant, World, books, journal::Disk, site};
use crate::central::digest::event_hash;

/// A want is repeated at least every minute, an event every 30 s, and each may have to be asked for in turn.
const AGREED_WITHIN: Duration = Duration::from_secs(400);
/// Longer than any strike, any pulse of a mode and its renewal, and any timed mode.
const ALL_IS_OVER: Duration = Duration::from_secs(100);
/// So many entries have their hashes computed again.
const CHAINED: usize = 20;

impl World {
    /// Everything works again.
    pub fn recover(&mut self) {
        self.mend();
        self.set(1, site::FIRE, false);
        self.people.go_home();
        self.people.readers = [true; 4];
        for door in 0..site::DOORS.len() {
            self.press(door, false);
            self.swing(door, true);
        }
        self.set_clock_right();
        self.broker.retained = None;
        self.central.repair();
        self.carry_away();
        self.look_every = Duration::from_secs(1);
        self.later(ALL_IS_OVER);
        self.agree();
        self.check_answers();
        self.check_locks();
        self.check_ledger();
    }

    /// Disks, boards and the line work again.
    pub(super) fn mend(&mut self) {
        (self.journal.disk, self.cache.disk) = (Disk::Quick, Disk::Quick);
        for n in 0..self.boards.len() {
            self.boards[n].note_trouble(self.mono);
            (self.boards[n].fails, self.boards[n].is_slow) = (false, false);
            self.connect_board(n);
        }
        self.broker.line = true;
    }

    /// Right, and not before what the journal holds: a clock that ran ahead and was believed keeps doors shut until then.
    fn set_clock_right(&mut self) {
        let latest = self.seen.doubt.latest();
        self.clock.synchronised = true;
        self.clock.off_ms = 0;
        let truth = self.clock.truth(self.mono);
        if let Some(latest) = latest.filter(|latest| *latest > truth) {
            self.clock.off_ms = latest.since(truth).as_millis() as i64;
        }
        self.happens(latchd::control::Event::Tick);
    }

    fn agree(&mut self) {
        let end = self.mono + AGREED_WITHIN;
        while !self.agrees() && self.mono < end && !self.verdicts.is_broken() {
            self.later(Duration::from_secs(2));
        }
        let agrees = self.agrees();
        let report = self.controller.sync_report();
        let (epoch, number) = (self.central.epoch, self.central.number);
        self.verdicts.demand(Invariant::Converges, agrees, || {
            format!("central is at {number} of epoch {epoch}, {report:?}")
        });
    }

    /// Same place, nothing wanted and central told so, every event stored.
    fn agrees(&self) -> bool {
        let report = self.controller.sync_report();
        let same = (report.epoch, report.applied) == (self.central.epoch, self.central.number);
        same && report.want == "nothing"
            && self.central.is_in_step()
            && report.queue == 0
            && self.journal.is_idle()
    }

    /// Nobody waits for an answer: no technician, and no command that came while there was a link.
    fn check_answers(&mut self) {
        let unanswered = self.seen.asked.len();
        self.verdicts
            .demand(Invariant::Answered, unanswered == 0, || format!("{unanswered} requests have no answer"));
        let load = self.controller.load();
        let open = load.waiting + load.unrecorded + load.unanswered + load.orders;
        self.verdicts.demand(Invariant::Answered, open == 0, || format!("somebody waits: {load:?}"));
    }

    /// Every door is what its mode says, and what is shown of it, here and at central, is true.
    fn check_locks(&mut self) {
        for (door, report) in self.controller.door_reports().into_iter().enumerate() {
            let (name, n, coil) = site::DOORS[door];
            let is_driven = self.boards[n].is_driven(coil, self.mono);
            let mode = report.mode;
            self.verdicts.demand(Invariant::DoorsFollow, is_driven == mode.is_open(), || {
                format!("{name} is {}, and its strike is driven: {is_driven}", mode.as_str())
            });
            let lock = if is_driven { LockState::Released } else { LockState::Secure };
            // What the board did not confirm is not known until it confirms again, and shown as a fault meanwhile.
            let is_doubted = report.lock == LockState::Unknown && report.fault.is_some();
            self.verdicts.demand(Invariant::DoorsFollow, report.lock == lock || is_doubted, || {
                format!("{name} is {}, and shown as {:?}", mode.as_str(), report.lock)
            });
            let said = self.seen.doors_said.get(name).map(|said| (said.mode, said.lock, said.contact));
            let own = Some((report.mode, report.lock, report.contact));
            self.verdicts.demand(Invariant::DoorsFollow, said == own, || {
                format!("central was told {said:?} of {name}, which is {own:?}")
            });
        }
    }

    /// Central has what the journal has, chained as it was.
    fn check_ledger(&mut self) {
        let missing =
            self.journal.durable().iter().find(|entry| self.central.ledger.get(&entry.seq) != Some(entry));
        let missing = missing.map(|entry| entry.seq);
        self.verdicts.demand(Invariant::NothingLost, missing.is_none(), || {
            format!("event {missing:?} is in the journal, and not at central")
        });
        self.check_chain();
    }

    /// The last entries, each chained to the one before by hashes that are computed a second time.
    fn check_chain(&mut self) {
        let entries = self.journal.durable();
        let last = &entries[entries.len().saturating_sub(CHAINED)..];
        let mut prev = latchd::wire::Digest::default();
        for entry in last {
            let link = latchd::wire::journal::link(entry, self.journal.late.contains(&entry.seq), prev);
            let event: serde_json::Value = serde_json::from_str(&link.line).unwrap_or_default();
            let holds = event["prev"] == prev.to_string()
                && event["hash"] == event_hash(&event)
                && event["seq"] == entry.seq;
            self.verdicts.demand(Invariant::RightChain, holds, || format!("event {}", entry.seq));
            prev = link.hash;
        }
    }

    /// Everybody with a card goes to every door: what happens is what central's records say now.
    pub fn visit(&mut self) {
        let records = self.central.records.clone();
        let held = self.cache.state.held.clone();
        let same =
            |a: &serde_json::Value, b: &serde_json::Value| a["type"] == b["type"] && a["id"] == b["id"];
        let truth = records.iter().all(|record| held.iter().any(|own| own == record))
            && held.iter().all(|own| records.iter().any(|record| same(own, record)));
        self.verdicts
            .demand(Invariant::DoorsFollow, truth, || "what is held is not what central holds".into());
        for door in 0..site::DOORS.len() {
            for card in 0..books::CARDS {
                self.tap(door, &books::uid(card));
                self.later(Duration::from_millis(400));
            }
        }
        self.people.go_home();
        self.later(Duration::from_secs(20));
        let locked = self.controller.door_reports().into_iter().filter(|door| door.mode == DoorMode::Locked);
        let driven = locked.filter(|door| {
            let n = site::door_no(&door.door).unwrap_or(0);
            let (_, board, coil) = site::DOORS[n];
            self.boards[board].is_driven(coil, self.mono)
        });
        let count = driven.count();
        self.verdicts.demand(Invariant::EndsInTime, count == 0, || format!("{count} strikes stay driven"));
    }
}
