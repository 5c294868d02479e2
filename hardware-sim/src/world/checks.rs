//! What is looked at after every step: entries as they are appended, what is said to central, the index, answers, and
//! how long strikes stay driven.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchd::{
    control::{CacheCommand, Note},
    domain::{
        At, ClockTrust, DoorMode, Entry, EntryKind, LockState,
        entry::{ClockNote, OperatorCommand},
    },
    wire::{
        command::{CommandResult, Outcome},
        control::GrantQuery,
        outgoing::{DoorState, Sync},
    },
};
use serde_json::Value;

use super::{Invariant, World, clock::Doubt, site};

/// A door that is granted waits no longer than this for its strike: for the disk, and for the loop to look.
const LET_IN_WITHIN: Duration = Duration::from_millis(20);
/// What a strike may be driven beyond its time, with a command's way to a board that is well.
const ENDS_WITHIN: Duration = Duration::from_millis(500);

/// What has been seen of the controller, as far as a check must remember it.
#[derive(Debug, Default)]
pub struct Seen {
    pub doubt: Doubt,
    pub trust: Believed,
    /// Each button as the controller has last read it, and when somebody asked to leave.
    pub buttons: [Option<bool>; 4],
    pub exits: [Option<Duration>; 4],
    /// When each entry had its strike driven first.
    pub driven: BTreeMap<(u64, usize), Duration>,
    /// Numbers said to be late.
    pub marked: BTreeSet<u64>,
    /// Boards as the controller was told of them.
    pub boards_up: [bool; 2],
    /// When central was heard in this run, and by the wall clock before it.
    pub heard: Option<Duration>,
    pub heard_before: Option<At>,
    /// When entries were appended, the last ones.
    pub appended: BTreeMap<u64, Duration>,
    /// Doors that were granted, and when their strikes must have been driven.
    pub owed: BTreeMap<u64, (usize, Duration)>,
    /// For how long a granted door may be driven.
    pub holds: BTreeMap<u64, Duration>,
    pub fire: bool,
    /// When a door was last kept open by its mode or a fire, and since when it no longer is; and by which entry its
    /// mode is what it is.
    pub kept_open: [Option<Duration>; 4],
    pub shut_since: [Option<Duration>; 4],
    pub mode_seq: [u64; 4],
    /// By which entry it was last ordered to lock, in this run.
    pub lock_seq: [u64; 4],
    /// Every change of a mode there ever was has a stamp; those whose entries are there still, by their numbers.
    pub last_stamp: u64,
    pub changes: BTreeMap<u64, (u64, usize, DoorMode)>,
    /// Commands that were carried out, with their doors.
    pub executed: BTreeSet<(String, Option<String>)>,
    pub position: (u64, u64),
    /// Guests let in, and bookings that were let go of.
    pub let_in: BTreeSet<(String, String)>,
    pub forgotten: BTreeSet<String>,
    /// Requests of technicians that are not answered yet.
    pub asked: BTreeSet<u64>,
    pub last_token: u64,
    pub doors_said: BTreeMap<String, DoorState>,
    pub strikes: u64,
    pub most: Most,
}

/// How far the rules say the clock is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Believed(pub ClockTrust);

impl Default for Believed {
    fn default() -> Self {
        Believed(ClockTrust::Untrusted)
    }
}

/// The most there was of what must not pile up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    pub at_cache: usize,
    pub at_broker: usize,
    pub in_controller: usize,
    pub commands: usize,
    pub let_in: usize,
}

impl Most {
    #[must_use]
    pub fn max(self, other: Most) -> Most {
        Most {
            at_cache: self.at_cache.max(other.at_cache),
            at_broker: self.at_broker.max(other.at_broker),
            in_controller: self.in_controller.max(other.in_controller),
            commands: self.commands.max(other.commands),
            let_in: self.let_in.max(other.let_in),
        }
    }
}

impl World {
    pub(super) fn is_trusted(&self) -> bool {
        self.seen.trust.0.is_trusted()
    }

    pub(super) fn check_entry(&mut self, entry: &Entry) {
        let next = self.journal.last() + 1;
        self.verdicts.demand(Invariant::NoGap, entry.seq == next, || {
            format!("entry {} where {next} should be: {:?}", entry.seq, entry.kind)
        });
        let trust = self.seen.trust.0;
        self.verdicts.demand(Invariant::TrustsNoWrongClock, entry.clock == ClockNote::of(trust), || {
            format!("the rules say {trust:?}, the entry {:?}: {:?}", entry.clock, entry.kind)
        });
        if trust.is_trusted() {
            self.seen.doubt.recorded(entry.at);
        }
        self.seen.appended.insert(entry.seq, self.mono);
        if self.seen.appended.len() > 2_000 {
            self.seen.appended.pop_first();
        }
        self.counts.note(&format!("entry: {}", kind(entry)));
        self.follow_entry(entry);
    }

    /// What an entry means for what is to come.
    fn follow_entry(&mut self, entry: &Entry) {
        match &entry.kind {
            EntryKind::AccessGranted(passage) => {
                let hold = self.hold_for(passage);
                self.seen.holds.insert(entry.seq, hold);
                if let Some(door) = site::door_no(&passage.door) {
                    self.seen.owed.insert(entry.seq, (door, self.mono + LET_IN_WITHIN));
                }
            }
            EntryKind::GuestArrived { booking, holder, .. } => {
                self.seen.let_in.insert((booking.to_string(), holder.to_string()));
            }
            EntryKind::ModeChanged { door, to, .. } => {
                let Some(n) = site::door_no(door) else { return };
                self.seen.mode_seq[n] = entry.seq;
                self.seen.last_stamp += 1;
                self.seen.changes.insert(entry.seq, (self.seen.last_stamp, n, *to));
                self.counts.note(&format!("mode: {}", to.as_str()));
                if matches!(to.as_str(), "locked_down" | "blocked") {
                    // Who was let in a moment before comes too late.
                    self.seen.owed.retain(|_, (owed, _)| *owed != n);
                }
            }
            EntryKind::OperatorCommand(OperatorCommand {
                action, outcome: "done", door: Some(door), ..
            }) if action == "lock" => {
                self.note_lock(entry.seq, door.as_str());
            }
            EntryKind::FireRaised { .. } => self.seen.fire = true,
            EntryKind::FireCleared { .. } => self.seen.fire = false,
            EntryKind::CommandExecuted { id, door, action, .. } => {
                self.seen.heard = Some(self.mono);
                self.check_executed(id.as_str(), door.clone());
                if let Some(door) = door.as_ref().filter(|_| action == "lock") {
                    self.note_lock(entry.seq, door);
                }
            }
            EntryKind::CommandRejected { reason, door, .. } => {
                // Refused by its doors, or because there is none of that name: it was central's, and in time.
                if door.is_some() || *reason == "unknown_door" {
                    self.seen.heard = Some(self.mono);
                }
                self.counts.note(&format!("refused: {reason}"));
            }
            _ => {}
        }
    }

    fn note_lock(&mut self, seq: u64, door: &str) {
        if let Some(n) = site::DOORS.iter().position(|(id, ..)| *id == door) {
            self.seen.lock_seq[n] = seq;
        }
    }

    fn check_executed(&mut self, id: &str, door: Option<String>) {
        let fresh = self.seen.executed.insert((id.to_owned(), door.clone()));
        self.verdicts.demand(Invariant::CommandOnce, fresh, || format!("{id} once more, at {door:?}"));
        let is_remembered = latchd::domain::CommandId::new(id).is_ok_and(|own| self.cache.has_taken(&own));
        self.verdicts.demand(Invariant::CommandOnce, is_remembered, || {
            format!("{id} is carried out, and it is not on disk that it was taken")
        });
        let wall = self.clock.wall(self.mono).utc();
        let issued = self.central.commands.get(id);
        let is_now = issued.is_some_and(|issued| {
            let ahead = chrono::Duration::seconds(60);
            issued.issued_at <= wall + ahead && wall < issued.expires_at
        });
        let is_short = issued.is_some_and(|i| i.expires_at - i.issued_at <= chrono::Duration::seconds(300));
        let holds = is_now && is_short && self.is_trusted();
        self.verdicts.demand(Invariant::CommandInTime, holds, || format!("{id} at {wall}: {issued:?}"));
    }

    /// What the cache is asked to note; and bookings that are let go of.
    pub(super) fn check_note(&mut self, command: &CacheCommand) {
        if let CacheCommand::Note(Note::Forget { booking }) = command {
            self.seen.let_in.retain(|(own, _)| own != booking.as_str());
            self.seen.forgotten.insert(booking.to_string());
        }
        if let CacheCommand::Note(Note::Checkpoint { seq }) = command {
            let last = self.journal.last();
            self.verdicts
                .demand(Invariant::WithinLimits, *seq <= last, || format!("a checkpoint at {seq} of {last}"));
        }
    }

    /// When the change was made that a note of modes is as of.
    pub(super) fn stamp(&self, command: &CacheCommand) -> Option<Value> {
        let CacheCommand::Note(Note::Modes { modes, .. }) = command else { return None };
        self.seen.changes.get(&modes.seq).map(|(stamp, ..)| (*stamp).into())
    }

    pub(super) fn check_sync(&mut self, sync: &Sync) {
        let (epoch, applied) = (sync.epoch, sync.applied);
        let on_disk = self.cache.position();
        let holds = (epoch, applied) <= (on_disk.epoch, on_disk.applied);
        self.verdicts.demand(Invariant::OnDiskFirst, holds, || {
            format!(
                "sync says {applied} of epoch {epoch}; on disk is {} of {}",
                on_disk.applied, on_disk.epoch
            )
        });
        let digest = sync.digest.to_string();
        let known = self.central.may_claim(epoch, applied, &digest);
        self.verdicts.demand(Invariant::IndexIsTheFold, known, || {
            format!("central's records never added up to what sync says at {applied} of epoch {epoch}")
        });
        self.counts.note(&format!("sync: wants {}", sync.want.as_str()));
    }

    /// What the controller decides from is the fold of what central sent, at the position it names.
    pub(super) fn check_index(&mut self) {
        if self.verdicts.is_broken() {
            return;
        }
        let report = self.controller.sync_report();
        let position = (report.epoch, report.applied);
        let before = std::mem::replace(&mut self.seen.position, position);
        self.verdicts.demand(Invariant::NeverGoesBack, position >= before, || {
            format!("from {before:?} to {position:?}")
        });
        let was_there = self.central.was_at(position.0, position.1);
        self.verdicts
            .demand(Invariant::NeverGoesBack, was_there, || format!("central was never at {position:?}"));
        let own = self.cache.position();
        self.verdicts.demand(Invariant::OnDiskFirst, position <= (own.epoch, own.applied), || {
            format!("{position:?} is in force, and {} of {} on disk", own.applied, own.epoch)
        });
        let (shown, held) = (self.shown(), held_lines(&self.cache.state.held));
        self.verdicts.demand(Invariant::IndexIsTheFold, shown == held, || {
            let differ: Vec<_> = shown.symmetric_difference(&held).collect();
            format!("at {position:?} these are on one side only: {differ:?}")
        });
    }

    /// What the controller decides from, a line a record.
    fn shown(&self) -> BTreeSet<String> {
        let (credentials, _) = self.controller.credentials(None, 0);
        let reading = self.clock.reading(self.mono);
        let (grants, _) = self.controller.grants(&GrantQuery::default(), reading, 0);
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let cards = credentials.iter().map(|c| {
            let (status, label) = (text(serde_json::json!(c.status)), c.label.as_deref().unwrap_or_default());
            format!("{} {} {status} {label} {} {:?}", c.id, c.holder, c.extended_time, c.uid_tag)
        });
        let grants = grants.iter().map(|g| {
            let places: Vec<&str> =
                g.doors.iter().map(|d| d.as_str()).chain(g.zones.iter().map(|z| z.as_str())).collect();
            let booking = g.booking.as_ref().map_or("", |b| b.as_str());
            let (kind, places) = (text(serde_json::json!(g.kind)), places.join(","));
            format!(
                "{} {} {kind} {places} {booking} {:?} {} {}",
                g.id, g.holder, g.capacity, g.scheduled, g.override_lockdown
            )
        });
        cards.chain(grants).collect()
    }

    pub(super) fn answered(&mut self, token: u64, done: bool) {
        let was_asked = self.seen.asked.remove(&token);
        self.verdicts.demand(Invariant::Answered, was_asked, || format!("request {token} is answered twice"));
        self.counts.note(if done { "operator: done" } else { "operator: not done" });
    }

    /// Central hears what became of a command: of one it gave; and done only if it was.
    pub(super) fn check_result(&mut self, result: CommandResult) {
        self.counts.note(&format!("result: {:?} {}", result.outcome, result.reason.unwrap_or("-")));
        let id = result.id.to_string();
        let was_done = self.seen.executed.iter().any(|(own, _)| *own == id);
        let holds = result.outcome == Outcome::Refused || was_done;
        self.verdicts.demand(Invariant::Answered, holds, || format!("{id} is said to be done, and was not"));
        if let Some(issued) = self.central.commands.get_mut(&id) {
            issued.results.push(result);
        }
    }

    /// After everything that happened.
    pub(super) fn look(&mut self) {
        let now = self.mono;
        let overdue = self.seen.owed.iter().find(|(_, (_, due))| *due < now).map(|(seq, _)| *seq);
        self.verdicts.demand(Invariant::Answered, overdue.is_none(), || {
            format!("entry {overdue:?} grants, and its door is not released")
        });
        self.look_at_strikes();
        let most = &mut self.seen.most;
        most.at_cache = most.at_cache.max(self.cache.queued());
        most.at_broker = most.at_broker.max(self.broker.queued());
        let long_ago = now.saturating_sub(Duration::from_secs(600));
        if self.seen.holds.len() > 200 {
            self.seen.holds.pop_first();
        }
        self.seen.driven.retain(|_, at| *at > long_ago);
        let load = self.controller.load();
        let held = load.waiting + load.pulses + load.unrecorded + load.unanswered + load.orders;
        let limit = 4 * 8 + 40;
        let most = &mut self.seen.most;
        most.in_controller = most.in_controller.max(held);
        most.commands = most.commands.max(load.commands);
        most.let_in = most.let_in.max(load.let_in);
        self.verdicts.demand(Invariant::WithinLimits, held <= limit, || format!("it holds on to {load:?}"));
    }

    /// A mode or a fire that is over lets go of its door.
    fn look_at_strikes(&mut self) {
        let now = self.mono;
        let reports = self.controller.door_reports();
        for (door, report) in reports.iter().enumerate() {
            let (_, n, coil) = site::DOORS[door];
            let is_driven = self.boards[n].is_well(now) && self.boards[n].is_known_driven(coil, now);
            self.verdicts.demand(
                Invariant::LockIsAsSaid,
                !(is_driven && report.lock == LockState::Secure),
                || format!("{} is said to be secure, and its strike is driven", report.door),
            );
            if report.mode.is_open() || self.seen.fire && door != site::NOT_ON_FIRE {
                (self.seen.kept_open[door], self.seen.shut_since[door]) = (Some(now), None);
                continue;
            }
            if self.seen.kept_open[door].is_none() {
                continue;
            }
            let until = *self.seen.shut_since[door].get_or_insert(now);
            let leaves = self.seen.exits[door].is_some_and(|at| now < at + site::STRIKE + ENDS_WITHIN);
            let is_well = self.boards[n].is_well(now) && !leaves && now > until + ENDS_WITHIN;
            let goes_on = self.boards[n].is_driven_from_before(coil, until, now);
            self.verdicts.demand(Invariant::EndsInTime, !(is_well && goes_on), || {
                format!("{} was to be shut {:?} ago, and its strike is driven", report.door, now - until)
            });
        }
    }
}

/// The naive records, in the lines of [`World::shown`].
fn held_lines(held: &[Value]) -> BTreeSet<String> {
    let hasher = site::hasher();
    let line = |r: &Value| {
        let text = |field: &str| r[field].as_str().unwrap_or_default().to_owned();
        let yes = |field: &str| r[field].as_bool().unwrap_or(false);
        if r["type"] == "credential" {
            let uid = r["uid"].as_str().and_then(|uid| latchd::domain::Uid::parse(uid).ok());
            let tag = uid.map(|uid| hasher.hash(&uid).tag());
            let (id, holder, status, label) = (text("id"), text("holder"), text("status"), text("label"));
            return format!("{id} {holder} {status} {label} {} {tag:?}", yes("extended_time"));
        }
        let list = |field: &str| r[field].as_array().cloned().unwrap_or_default();
        let places = [list("doors"), list("zones")].concat();
        let places: Vec<&str> = places.iter().filter_map(Value::as_str).collect();
        let capacity = r["capacity"].as_u64().map(|c| c as u32);
        let scheduled = r["schedule"].is_array();
        format!(
            "{} {} {} {} {} {capacity:?} {scheduled} {}",
            text("id"),
            text("holder"),
            text("kind"),
            places.join(","),
            text("booking"),
            yes("override_lockdown")
        )
    };
    held.iter().filter(|r| r["type"] != "policy").map(line).collect()
}

/// The wire's name of it.
pub fn kind(entry: &Entry) -> String {
    let value = serde_json::to_value(&entry.kind).unwrap_or_default();
    value["type"].as_str().unwrap_or_default().to_owned()
}
