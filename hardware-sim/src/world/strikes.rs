//! Why a strike is driven: for a reason that stands in the journal on disk, or is marked as late, or waits for nothing.

use latchd::{
    control::{BoardCommand, Warrant, door::HELD_PULSE},
    domain::{EntryKind, Passage},
};
use std::time::Duration;

use super::{Invariant, World, site};

/// The loop looks at least once a second whether a mode is over.
const KEPT_UNTIL_SEEN: Duration = Duration::from_secs(2);

/// The entry in a ticket: what is above it is the door.
fn entry_of(ticket: u64) -> u64 {
    ticket & 0xFFFF_FFFF_FFFF
}

/// Which door an entry may open, and for how long.
struct Reason {
    door: String,
    hold: Duration,
    /// A mode's pulse is renewed on the one entry; others drive once.
    is_mode: bool,
    /// Somebody ordered it, with no card.
    is_order: bool,
}

impl World {
    /// No strike is driven but for a reason that stands in the journal, or waits for none.
    pub(super) fn check_strike(&mut self, n: usize, command: &BoardCommand) {
        let BoardCommand::Pulse { ticket, coil, hold, warrant } = command else { return };
        self.seen.strikes += 1;
        let door = site::DOORS.iter().position(|(_, board, own)| (*board, own) == (n, coil));
        self.verdicts.demand(Invariant::Warranted, door.is_some(), || format!("coil {coil} is no door's"));
        let Some(door) = door else { return };
        let seq = entry_of(*ticket);
        match warrant {
            Warrant::Fire => {
                self.counts.note("strike: fire");
                let burns = self.is_fire_raised() && door != site::NOT_ON_FIRE;
                self.verdicts.demand(Invariant::Warranted, burns, || format!("door {door}: by no fire"));
                self.check_hold(door, *hold, HELD_PULSE);
            }
            Warrant::Rex => {
                self.counts.note("strike: request to exit");
                let asked = self.seen.exits[door] == Some(self.mono);
                self.verdicts
                    .demand(Invariant::Warranted, asked, || format!("door {door}: nobody asks to leave"));
                self.check_hold(door, *hold, site::STRIKE);
            }
            Warrant::Recorded(recorded) => {
                self.counts.note("strike: recorded");
                let holds = recorded.seq() >= seq && self.journal.is_durable(seq);
                self.verdicts
                    .demand(Invariant::RecordedFirst, holds, || format!("entry {seq} is not on disk"));
                self.check_reason(seq, door, *hold);
            }
            Warrant::Late { seq: late } => {
                self.counts.note("strike: late");
                let appended = self.seen.appended.get(late);
                let waited = appended.is_none_or(|at| self.mono >= *at + site::RELEASE_WAIT);
                let holds = *late == seq && self.seen.marked.contains(late) && waited;
                self.verdicts.demand(Invariant::RecordedFirst, holds, || {
                    format!("entry {seq} is not marked as late, or did not wait")
                });
                self.check_reason(seq, door, *hold);
            }
        }
    }

    /// A pulse that comes while a mode or a fire keeps the door open may be as long as theirs: it must cut none short.
    fn check_hold(&mut self, door: usize, hold: Duration, most: Duration) {
        let lately = |at: Duration| self.seen.shut_since[door].is_none() || self.mono <= at + KEPT_UNTIL_SEEN;
        let is_kept = self.seen.kept_open[door].is_some_and(lately);
        let most = if is_kept { most.max(HELD_PULSE) } else { most };
        self.verdicts.demand(Invariant::EndsInTime, hold <= most, || {
            format!("door {door} is driven for {hold:?}, where {most:?} is its time")
        });
    }

    fn check_reason(&mut self, seq: u64, door: usize, hold: Duration) {
        let reason = self.reason(seq);
        let is_own = reason.as_ref().is_some_and(|reason| reason.door == site::DOORS[door].0);
        self.verdicts.demand(Invariant::Warranted, is_own, || {
            format!(
                "door {door} is driven on entry {seq}: {:?}",
                self.journal.entry(seq).map(|(entry, _)| &entry.kind)
            )
        });
        let Some(reason) = reason else { return };
        self.check_hold(door, hold, reason.hold);
        let reports = self.controller.door_reports();
        let mode = reports[door].mode;
        if reason.is_mode {
            self.verdicts.demand(Invariant::Warranted, mode.is_open(), || {
                format!("door {door} is held open by a mode that is over; it is {}", mode.as_str())
            });
            return;
        }
        self.seen.owed.remove(&seq);
        let before = self.seen.driven.insert((seq, door), self.mono);
        self.verdicts.demand(Invariant::Warranted, before.is_none(), || {
            format!("driven twice on entry {seq}, at {before:?} and now")
        });
        // A lockdown overtakes who was let in before it; who overrides one comes after it.
        let is_shut = matches!(mode.as_str(), "locked_down" | "blocked") && seq < self.seen.mode_seq[door];
        self.verdicts.demand(Invariant::Warranted, !is_shut, || {
            format!("entry {seq} opens door {door}, which is {} since", mode.as_str())
        });
        let locked = self.seen.lock_seq[door];
        self.verdicts.demand(Invariant::Warranted, !reason.is_order || seq > locked, || {
            format!("entry {seq} opens door {door}, which entry {locked} locked since")
        });
    }

    /// What an entry may open.
    fn reason(&self, seq: u64) -> Option<Reason> {
        let (entry, _) = self.journal.entry(seq)?;
        match &entry.kind {
            EntryKind::AccessGranted(passage) => {
                let hold = self.seen.holds.get(&seq).copied().unwrap_or(site::STRIKE);
                Some(Reason { door: passage.door.to_string(), hold, is_mode: false, is_order: false })
            }
            EntryKind::OperatorCommand(ordered)
                if ordered.action == "access" && ordered.outcome == "done" =>
            {
                let door = ordered.door.as_ref()?.to_string();
                Some(Reason { door, hold: site::STRIKE, is_mode: false, is_order: true })
            }
            EntryKind::CommandExecuted { door: Some(door), action, .. } if action == "access" => {
                Some(Reason { door: door.clone(), hold: site::STRIKE, is_mode: false, is_order: true })
            }
            EntryKind::ModeChanged { door, to, .. } if to.is_open() => {
                Some(Reason { door: door.to_string(), hold: HELD_PULSE, is_mode: true, is_order: false })
            }
            _ => None,
        }
    }

    /// How long the holder of this card may take.
    pub(super) fn hold_for(&self, passage: &Passage) -> Duration {
        let is_card = |r: &&serde_json::Value| {
            r["type"] == "credential" && passage.credential.as_ref().is_some_and(|id| r["id"] == id.as_str())
        };
        let card = self.cache.state.held.iter().find(is_card);
        if card.is_some_and(|card| card["extended_time"] == true) { site::EXTENDED } else { site::STRIKE }
    }

    pub(super) fn is_fire_raised(&self) -> bool {
        self.controller.status_report(self.clock.reading(self.mono)).fire.is_some_and(|fire| fire.raised)
    }
}
