//! The feed's side of the controller: what a message from central means here and now (wire, "feed" and "sync").
//!
//! ```text
//!  message ─► receive() ─► Nothing      it says nothing new: acknowledge it
//!                       ─► Repeat       it was applied before: the same, and count it
//!                       ─► Rejected     not ours to apply: record, acknowledge
//!                       ─► Gap          something is missing: ask, acknowledge
//!                       ─► Apply/Stage  to the cache; persisted() when it is on disk: only then acknowledge
//! ```
//!
//! One message is at the cache at a time: the link hands over the next when this one is done.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::event::Part;
use crate::{
    domain::Mono,
    wire::{
        feed::{Body, Feed, Item, Sealed},
        outgoing::Want,
        stored::Position,
    },
};

/// `sync` after applied messages goes out at most this often.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// An unanswered want is repeated after this, doubling.
const FIRST_REPEAT: Duration = Duration::from_secs(1);
/// … up to this.
const LAST_REPEAT: Duration = Duration::from_secs(60);
/// While a snapshot's parts come in, its want counts as answered for this long.
const PART_PATIENCE: Duration = Duration::from_secs(10);

/// What a message comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// Applied before, and why it does nothing now: sent again by the broker or by central, or replayed by a stranger.
    Repeat(String),
    Rejected(String),
    Gap(String),
    Apply {
        applied: u64,
        rejected: u64,
        items: Vec<Sealed>,
        refused: Option<String>,
    },
    Stage {
        part: Part,
        refused: Option<String>,
    },
}

/// A snapshot whose parts are coming in. All of what names it must be the same in every part: whoever carries parts
/// must not be able to make one of two.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snapshot {
    id: String,
    epoch: u64,
    last: u64,
    parts: u32,
    stored: u32,
    /// When the last part came.
    last_at: Mono,
}

impl Snapshot {
    fn has(&self, part: &Part) -> bool {
        (&self.id, self.epoch, self.last, self.parts) == (&part.id, part.epoch, part.last, part.parts)
    }
}

#[derive(Debug)]
pub struct SyncSession {
    position: Position,
    want: Want,
    snapshot: Option<Snapshot>,
    /// The snapshot that came into force last, by its name and what it was as of: repeats of its parts mean nothing.
    done: Option<(String, u64)>,
    /// How far this controller has ever been, by its epoch: an older list is not taken again, whatever was lost.
    floor: (u64, u64),
    /// What is on disk is older than what is in force, so that no change applies to it.
    base_is_lost: bool,
    /// The highest number seen, by its epoch: what is missing when it is above `applied`.
    seen: (u64, u64),
    /// A gap has been said.
    in_gap: bool,
    /// What the last `sync` asked for.
    asked: Want,
    /// The broker has lost what it held for us: the next `sync` asks for what may have been in it.
    ask_again: bool,
    /// Commands refused since the last snapshot because nobody knows their action.
    actions_refused: u64,
    connected: bool,
    due: Option<Mono>,
    last_sent: Option<Mono>,
    repeat_at: Option<Mono>,
    repeat_after: Duration,
}

impl SyncSession {
    /// `floor`: the highest epoch there ever was here, and how far it was applied.
    pub fn new(position: Position, floor: (u64, u64)) -> Self {
        let floor = floor.max((position.epoch, position.applied));
        let want = match position.epoch {
            epoch if epoch == 0 || epoch < floor.0 => Want::Snapshot,
            _ if position.applied < floor.1 => Want::Changes,
            _ => Want::Nothing,
        };
        SyncSession {
            position,
            want,
            floor,
            base_is_lost: false,
            snapshot: None,
            done: None,
            seen: floor,
            in_gap: false,
            asked: Want::Nothing,
            ask_again: false,
            actions_refused: 0,
            connected: false,
            due: None,
            last_sent: None,
            repeat_at: None,
            repeat_after: FIRST_REPEAT,
        }
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    pub fn want(&self) -> Want {
        self.want
    }

    /// Parts stored and parts in all of a snapshot under way.
    pub fn snapshot_progress(&self) -> Option<(u32, u32)> {
        self.snapshot.as_ref().map(|s| (s.stored, s.parts))
    }

    /// A connection stands. `is_resumed`: the broker has kept what central sent meanwhile.
    pub fn connected(&mut self, now: Mono, is_resumed: bool) {
        self.connected = true;
        self.ask_again = !is_resumed;
        self.due = Some(now);
        self.repeat_after = FIRST_REPEAT;
    }

    pub fn disconnected(&mut self) {
        self.connected = false;
    }

    /// A command had an action that is not known.
    pub fn action_refused(&mut self) {
        self.actions_refused += 1;
    }

    /// Records, and actions of commands, refused since the last snapshot.
    pub fn refused(&self) -> u64 {
        self.position.rejected.saturating_add(self.actions_refused)
    }

    /// A technician asks for a snapshot.
    pub fn resync(&mut self, now: Mono) {
        self.set_want(now, Want::Snapshot);
    }

    pub fn receive(&mut self, now: Mono, feed: Feed) -> Step {
        let Feed { epoch, body } = feed;
        if epoch < self.floor.0 {
            return Step::Rejected(format!("epoch {epoch} is older than {}", self.floor.0));
        }
        match body {
            Body::Changes { first, last, items } => self.changes(now, epoch, first, last, items),
            Body::Snapshot { id, part, parts, last, items } => {
                let (items, rejected, refused) = sort(items);
                let part = Part { id, part, parts, epoch, last, items, rejected };
                self.part(now, part, refused)
            }
        }
    }

    fn changes(&mut self, now: Mono, epoch: u64, first: u64, last: u64, items: Vec<Item>) -> Step {
        self.seen = self.seen.max((epoch, last));
        if epoch > self.position.epoch {
            if self.snapshot.as_ref().is_some_and(|s| s.epoch == epoch) {
                // It comes after the snapshot that is on its way; asked for again when that is in.
                return Step::Nothing;
            }
            let said_before = std::mem::replace(&mut self.in_gap, true);
            self.set_want(now, Want::Snapshot);
            let said = format!("changes of epoch {epoch}, whose snapshot has not come");
            return if said_before { Step::Nothing } else { Step::Gap(said) };
        }
        let applied = self.position.applied;
        if items.is_empty() && last == applied {
            // Central says that there is nothing newer; it is to hear that nothing is wanted any more.
            if self.want == Want::Changes || self.asked == Want::Changes {
                self.settle(now);
            }
            return Step::Nothing;
        }
        if last <= applied {
            return Step::Repeat(format!("changes {first} to {last} came again, where {applied} is applied"));
        }
        // It is in the snapshot that was asked for.
        if self.base_is_lost || self.waits_for_snapshot(now) {
            return Step::Nothing;
        }
        if first > applied + 1 {
            let said_before = std::mem::replace(&mut self.in_gap, true);
            if self.want == Want::Nothing {
                self.set_want(now, Want::Changes);
            }
            let said = format!("changes {} to {} are missing", applied + 1, first - 1);
            return if said_before { Step::Nothing } else { Step::Gap(said) };
        }
        let known = (applied + 1 - first) as usize;
        let (items, rejected, refused) = sort(items.into_iter().skip(known).collect());
        Step::Apply { applied: last, rejected, items, refused }
    }

    /// While a snapshot of this epoch comes in, changes behind it wait: applied now, they would make it an old one
    /// before it is whole. They are asked for again when it is in force, or when no more of it comes.
    fn waits_for_snapshot(&mut self, now: Mono) -> bool {
        let coming = self.snapshot.as_ref().filter(|s| s.epoch == self.position.epoch);
        let Some(until) = coming.map(|s| s.last_at.plus(PART_PATIENCE)) else { return false };
        if until <= now {
            self.snapshot = None;
            return false;
        }
        if self.want == Want::Nothing {
            self.want = Want::Changes;
            self.repeat_at = Some(until);
        }
        true
    }

    fn part(&mut self, now: Mono, part: Part, refused: Option<String>) -> Step {
        // A central that counts from the first again after its restart gives a later one the same name.
        let is_done = self.done.as_ref().is_some_and(|(id, last)| *id == part.id && part.last <= *last);
        if is_done && part.epoch == self.position.epoch && self.want != Want::Snapshot {
            return Step::Repeat(format!("part {} of a snapshot came again, which is in force", part.part));
        }
        if (part.epoch, part.last) < self.floor {
            let applied = self.floor.1;
            return Step::Rejected(format!("a snapshot as of {}, where {applied} is applied", part.last));
        }
        let expected = match &self.snapshot {
            Some(s) if s.has(&part) => s.stored + 1,
            _ => 1,
        };
        if part.part > 1 && part.part < expected {
            return Step::Repeat(format!("part {} of a snapshot came again", part.part));
        }
        if part.part != 1 && part.part != expected {
            let said_before = std::mem::replace(&mut self.in_gap, true);
            self.snapshot = None;
            self.set_want(now, Want::Snapshot);
            let said = format!("part {} of a snapshot came where part {expected} should", part.part);
            return if said_before { Step::Nothing } else { Step::Gap(said) };
        }
        self.in_gap &= part.part != 1;
        let (id, epoch, last, parts) = (part.id.clone(), part.epoch, part.last, part.parts);
        self.snapshot = Some(Snapshot { id, epoch, last, parts, stored: part.part - 1, last_at: now });
        self.repeat_at = Some(now.plus(PART_PATIENCE));
        Step::Stage { part, refused }
    }

    /// A message's changes are on disk.
    pub fn applied(&mut self, now: Mono, position: Position) {
        self.position = position;
        self.floor = self.floor.max((position.epoch, position.applied));
        self.settle(now);
    }

    /// A part is on disk.
    pub fn staged(&mut self, now: Mono, part: u32) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.stored = part;
        }
        self.repeat_at = Some(now.plus(PART_PATIENCE));
    }

    /// A snapshot is on disk and in force.
    pub fn in_force(&mut self, now: Mono, id: String, position: Position) {
        self.base_is_lost = false;
        self.done = Some((id, position.applied));
        self.actions_refused = 0;
        self.snapshot = None;
        self.want = Want::Nothing;
        self.applied(now, position);
        // A later list was begun meanwhile. Asked for once: where central knows it no more, this one holds.
        if self.seen.0 > position.epoch {
            self.seen = (position.epoch, position.applied);
            self.set_want(now, Want::Snapshot);
        }
    }

    /// What was sent to the cache is not there: the snapshot, if it was one, starts over.
    pub fn failed(&mut self, now: Mono) {
        let want = if self.snapshot.take().is_some() { Want::Snapshot } else { Want::Changes };
        if self.want != Want::Snapshot {
            self.set_want(now, want);
        }
    }

    /// The cache is open again. `is_lost`: with something older than what is in force.
    pub fn reopened(&mut self, now: Mono, position: Option<Position>, is_lost: bool) {
        self.base_is_lost = is_lost;
        match position {
            Some(position) => self.applied(now, position),
            None => self.settle(now),
        }
        if is_lost {
            self.snapshot = None;
            self.set_want(now, Want::Snapshot);
        }
    }

    fn settle(&mut self, now: Mono) {
        let missing = self.seen.0 == self.position.epoch && self.seen.1 > self.position.applied;
        if missing && self.want == Want::Nothing {
            self.set_want(now, Want::Changes);
        } else if !missing && self.want == Want::Changes {
            self.want = Want::Nothing;
        }
        self.in_gap &= missing;
        let next = self.last_sent.map_or(now, |t| t.plus(SYNC_EVERY));
        self.due = Some(self.due.map_or(next.max(now), |due| due.min(next.max(now))));
    }

    fn set_want(&mut self, now: Mono, want: Want) {
        if self.want != want {
            self.repeat_after = FIRST_REPEAT;
        }
        self.want = want;
        let soonest = self.last_sent.filter(|_| self.repeat_after > FIRST_REPEAT);
        self.due = Some(soonest.map_or(now, |t| t.plus(self.repeat_after).max(now)));
    }

    /// When `sync` is to be sent next.
    pub fn deadline(&self) -> Option<Mono> {
        let repeat = self.repeat_at.filter(|_| self.want != Want::Nothing);
        let next = match (self.due, repeat) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        next.filter(|_| self.connected)
    }

    /// Whether `sync` is to be sent now, and what it asks for; counts it as sent.
    pub fn take_due(&mut self, now: Mono) -> Option<Want> {
        if self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        // Asked once: no answer means that there was nothing.
        let asks_once = std::mem::take(&mut self.ask_again) && self.want == Want::Nothing;
        self.due = None;
        self.last_sent = Some(now);
        if self.want == Want::Nothing {
            (self.repeat_at, self.repeat_after) = (None, FIRST_REPEAT);
        } else {
            self.repeat_at = Some(now.plus(self.repeat_after));
            self.repeat_after = (self.repeat_after * 2).min(LAST_REPEAT);
        }
        self.asked = if asks_once { Want::Changes } else { self.want };
        Some(self.asked)
    }
}

/// The records that can be applied, how many were refused, and a sentence about those.
fn sort(items: Vec<Item>) -> (Vec<Sealed>, u64, Option<String>) {
    let (mut good, mut refused, mut first) = (Vec::with_capacity(items.len()), 0, None);
    for item in items {
        match item {
            Ok(sealed) => good.push(sealed),
            Err(error) => {
                refused += 1;
                first.get_or_insert(error);
            }
        }
    }
    let said = first.map(|error| match refused {
        1 => format!("1 record refused: {error}"),
        n => format!("{n} records refused, the first because {error}"),
    });
    (good, refused, said)
}
