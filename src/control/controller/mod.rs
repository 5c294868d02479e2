//! The controller: takes what happened, and says what is to be done.
//!
//! This file holds what it knows and the one place that dispatches; each kind of event has a file of its own.

mod cards;
mod commands;
mod doors;
mod ends;
mod explain;
mod fire;
mod guests;
mod leaves;
mod load;
mod measured;
mod orders;
mod presence;
mod pulses;
mod queries;
mod reloads;
mod remote;
mod schedules;
mod staleness;
mod stores;
mod syncing;
mod taps;
#[cfg(test)]
mod tests;
mod wiring;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub use load::Load;
pub use queries::{ExplainError, Subject};
use reloads::Configuration;
use remote::Unanswered;
use stores::CacheState;
pub use stores::Known;
use syncing::Delivery;
pub use wiring::TestRefused;

use super::{
    clock::{ClockWatch, Reading},
    commands_taken::CommandsTaken,
    counters::Counters,
    desk::Desk,
    door::Door,
    event::{
        Action, CacheCommand, CertificateEnd, Event, Inputs, JournalCommand, JournalEvent, Note, Recorded,
        UplinkCommand, Warrant,
    },
    fire::Fire,
    index::{DoorNo, Index},
    let_in::LetIn,
    outbox::Outbox,
    refusals::Refusals,
    restarts::Restarts,
    settings::Settings,
    sync::SyncSession,
    turned_away::TurnedAway,
};
use crate::{
    domain::{
        At, ClockTrust, CommandId, CredentialId, DoorId, Entry, EntryKind, Mono, Now, ReaderId,
        entry::{ClockNote, SyncNote},
    },
    wire::{
        UidHasher,
        checkpoint::Checkpoint,
        command::Command,
        desk::StoredCard,
        outgoing::DoorState,
        stored::{Heard, Position, StoredModes},
    },
};

/// What the controller starts from: what the stores held.
#[derive(Debug)]
pub struct Restored {
    pub index: Index,
    pub position: Position,
    pub let_in: LetIn,
    pub heard: Heard,
    pub journal: JournalEnd,
    /// What doors' modes were.
    pub modes: BTreeMap<DoorId, StoredModes>,
    pub commands: CommandsTaken,
    pub known: Known,
    /// Cards as the desk had set them.
    pub cards: BTreeMap<CredentialId, StoredCard>,
    /// Things the journal should say about the start, such as a store that had to be set aside.
    pub remarks: Vec<EntryKind>,
}

/// Where the journal stands.
#[derive(Debug, Clone, Default)]
pub struct JournalEnd {
    pub id: String,
    /// The last `seq`; 0 when there is none.
    pub seq: u64,
    pub acknowledged: u64,
    /// The latest trusted instant in it.
    pub at: Option<At>,
    /// The newest signature under it.
    pub checkpoint: Option<Checkpoint>,
    /// That all of it is on disk: what modes that keep a door open go on with.
    pub on_disk: Option<Recorded>,
}

/// A door that is to be released when its entry is on disk.
#[derive(Debug)]
struct Waiting {
    door: DoorNo,
    wanted: Wanted,
    asker: Option<Asker>,
    deadline: Mono,
}

/// For what a door waits.
#[derive(Debug)]
enum Wanted {
    Passage {
        hold: Duration,
        reader: Option<ReaderId>,
    },
    /// To be kept open by its mode.
    Mode,
}

/// Who waits for an answer, and the entry that records what they asked.
#[derive(Debug, Clone)]
struct Asker {
    who: Who,
    seq: u64,
}

#[derive(Debug, Clone)]
enum Who {
    /// A technician, by the number of what they asked.
    Technician(u64),
    Central(CommandId),
}

/// A link as people ask about it.
#[derive(Debug, Clone, Default)]
struct Link {
    connected: bool,
    since: Option<At>,
    detail: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct ReaderState {
    link: Link,
    restarts: Restarts,
    last_tap: Option<At>,
    last_reason: Option<String>,
    is_tampered: bool,
    power_fails: bool,
}

#[derive(Debug)]
pub struct Controller {
    settings: Settings,
    hasher: UidHasher,
    clock: ClockWatch,
    clock_said: (ClockTrust, &'static str),
    index: Index,
    let_in: LetIn,
    heard: Heard,
    /// When central was heard in this run, by the clock nobody sets.
    heard_at: Option<Mono>,
    stale: bool,
    sync: SyncSession,
    outbox: Outbox,
    uplink: Link,
    /// When the certificates of the link end, the first first.
    certificates: Vec<CertificateEnd>,
    /// The message whose changes are at the cache.
    at_cache: Option<u64>,
    /// A message that waits for it.
    held: Option<Delivery>,
    refusals: Refusals,
    turned_away: TurnedAway,
    desk: Desk,
    counters: Counters,
    commands: CommandsTaken,
    /// Commands that wait until it is on disk that they were taken, and the link's numbers for them.
    orders: BTreeMap<CommandId, (u64, Command)>,
    /// Who is told that something is done once the journal is on disk through this entry.
    unrecorded: VecDeque<(u64, Asker)>,
    /// Commands whose doors have yet to confirm.
    unanswered: BTreeMap<CommandId, Unanswered>,
    journal_id: String,
    journal_fault: Option<String>,
    cache: CacheState,
    /// The newest there is of the journal.
    checkpoint: Option<Checkpoint>,
    /// Up to here damaged events of the journal have been said.
    unreadable_through: u64,
    next_seq: u64,
    doors: Vec<Door>,
    published: Vec<Option<DoorState>>,
    status_due: Option<Mono>,
    status_sent: Option<Mono>,
    heard_noted: Option<At>,
    readers: BTreeMap<ReaderId, ReaderState>,
    boards: BTreeMap<crate::domain::BoardId, Link>,
    inputs: BTreeMap<crate::domain::BoardId, Inputs>,
    waiting: BTreeMap<u64, Waiting>,
    pulses: BTreeMap<u64, pulses::Pulse>,
    /// Under what strikes were switched off before the daemon stops.
    closing_by: Option<u64>,
    fire: Fire,
    /// Since when it is raised.
    fire_since: Option<At>,
    schedules_due: Option<Mono>,
    started_at: At,
    configuration: Configuration,
    /// Parts of the daemon that had to be begun anew.
    parts: BTreeMap<&'static str, Restarts>,
    actions: Vec<Action>,
}

/// A checkpoint of the journal is noted every so many entries, so that a start has little to read again.
const CHECKPOINT_EVERY: u64 = 1000;

impl Controller {
    /// A controller at its start. The actions are the first entries of this run.
    pub fn new(
        settings: Settings,
        hasher: UidHasher,
        restored: Restored,
        reading: Reading,
    ) -> (Self, Vec<Action>) {
        let Known { floor, latest, closed, synchronised } = restored.known;
        let latest = restored.journal.at.max(latest);
        let mut clock = ClockWatch::new(settings.clock, latest).going_on_from(synchronised);
        let (now, why) = clock.judge(reading);
        let mut controller = Controller {
            clock_said: (ClockTrust::Trusted, ""),
            stale: false,
            sync: SyncSession::new(restored.position, floor),
            outbox: Outbox::new(restored.journal.seq, restored.journal.acknowledged),
            uplink: Link { detail: Some("not connected yet".into()), ..Link::default() },
            certificates: Vec::new(),
            at_cache: None,
            held: None,
            refusals: Refusals::default(),
            turned_away: TurnedAway::default(),
            desk: Desk::new(restored.cards),
            counters: Counters::default(),
            commands: restored.commands,
            orders: BTreeMap::new(),
            unrecorded: VecDeque::new(),
            unanswered: BTreeMap::new(),
            journal_id: restored.journal.id,
            journal_fault: None,
            cache: CacheState::at_start(now, closed),
            checkpoint: restored.journal.checkpoint,
            unreadable_through: 0,
            next_seq: restored.journal.seq + 1,
            doors: (0..settings.doors.len()).map(|n| Door::new(n as u16)).collect(),
            parts: BTreeMap::new(),
            configuration: Configuration::new(now, settings.doors.len()),
            published: vec![None; settings.doors.len()],
            status_due: None,
            status_sent: None,
            heard_noted: restored.heard.central_at,
            readers: settings.readers.iter().map(|r| (r.id.clone(), ReaderState::default())).collect(),
            boards: settings.boards.iter().map(|b| (b.id.clone(), Link::default())).collect(),
            inputs: BTreeMap::new(),
            waiting: BTreeMap::new(),
            pulses: BTreeMap::new(),
            closing_by: None,
            fire: Fire::default(),
            fire_since: None,
            schedules_due: None,
            started_at: now.wall,
            actions: Vec::new(),
            index: restored.index,
            let_in: restored.let_in,
            heard: restored.heard,
            heard_at: None,
            clock,
            hasher,
            settings,
        };
        controller.set_cards_again();
        controller.expect_strange_pulses(now);
        controller.begin(now, why, restored.remarks);
        controller.restore_modes(now, &restored.modes, restored.journal.on_disk);
        let actions = std::mem::take(&mut controller.actions);
        (controller, actions)
    }

    fn begin(&mut self, now: Now, why: &'static str, remarks: Vec<EntryKind>) {
        let detail = format!(
            "{} credentials, {} grants, feed at {} of epoch {}",
            self.index.credentials(),
            self.index.grants(),
            self.sync.position().applied,
            self.sync.position().epoch
        );
        self.record(now, EntryKind::ControllerStarted { version: self.settings.version.into(), detail });
        for remark in remarks {
            self.record(now, remark);
        }
        self.note_clock(now, why);
        self.stale = now.trust.is_trusted() && self.is_stale(now, self.settings.stale_after);
        self.forget_old_guests(now);
    }

    /// Something happened: what is to be done?
    pub fn handle(&mut self, reading: Reading, event: Event) -> Vec<Action> {
        let (now, why) = self.clock.judge(reading);
        self.note_clock(now, why);
        self.settle_commands(now);
        // Before all else: nothing may be done for a mode or an alarm that is over.
        self.keep_schedules(now);
        self.end_modes(now);
        self.end_fire(now);
        match event {
            Event::Reader { reader, what } => self.reader_says(now, reader, what),
            Event::Board { board, what } => self.board_says(now, board, what),
            Event::Journal(what) => self.journal_says(now, what),
            Event::Cache(what) => self.cache_says(now, what),
            Event::Uplink(what) => self.uplink_says(now, what),
            Event::Operator(what) => self.operator_says(now, what),
            Event::Reload(reload) => self.reload(now, reload),
            Event::Failed { part, detail } => self.part_failed(now, part, detail),
            Event::Tick => {}
            Event::Closing => self.closing(now),
            Event::Stopping => self.stopping(now),
        }
        self.do_what_is_due(now);
        std::mem::take(&mut self.actions)
    }

    /// When `handle` wants to be called with `Tick`, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Mono> {
        let releases = self.waiting.values().map(|w| w.deadline);
        let status = self.status_due.filter(|_| self.uplink.connected);
        let links = self.sync.deadline().into_iter().chain(self.outbox.deadline()).chain(status);
        let leaves =
            self.doors.iter().zip(&self.settings.doors).filter_map(|(d, s)| d.leaf.deadline(&s.leaf));
        let doors = self.doors.iter().filter_map(Door::deadline).chain(leaves).chain(self.fire.deadline());
        let sums = self.refusals.deadline().into_iter().chain(self.turned_away.deadline());
        releases.chain(doors).chain(links).chain(sums).chain(self.desk.deadline()).min()
    }

    fn do_what_is_due(&mut self, now: Now) {
        self.release_late(now);
        self.leaves_due(now);
        self.drive_doors(now);
        self.note_staleness(now);
        self.tell_refusals(now);
        self.tell_turned_away(now);
        self.end_waits(now);
        if let Some(want) = self.sync.take_due(now.mono) {
            self.send_sync(want);
        }
        if let Some(batch) = self.outbox.take(now.mono) {
            self.uplink(UplinkCommand::SendEvents { from: batch.from, through: batch.through });
        }
        self.publish_doors(now);
        if self.uplink.connected && self.status_due.is_some_and(|due| due <= now.mono) {
            self.publish_status(now);
        }
    }

    fn journal_says(&mut self, now: Now, what: JournalEvent) {
        match what {
            JournalEvent::Recorded(recorded) => {
                self.journal_fault = None;
                self.outbox.recorded(recorded.seq());
                self.activate_recorded(recorded.seq());
                self.release_recorded(now, recorded);
                self.answer_recorded(recorded);
                self.want_status(now);
            }
            JournalEvent::Checkpoint(checkpoint) => {
                self.checkpoint = Some(checkpoint);
                self.want_status(now);
            }
            JournalEvent::Lost { count, detail } => {
                tracing::error!(count, detail, "events are lost");
                self.record(now, EntryKind::JournalOverwritten { count, detail });
            }
            JournalEvent::Failed { detail } => {
                self.counters.journal_failed();
                self.answer_unrecorded(&detail);
                self.journal_fault = Some(detail);
            }
        }
    }

    /// Everything that waited for the disk up to here.
    fn release_recorded(&mut self, now: Now, recorded: Recorded) {
        let later = self.waiting.split_off(&(recorded.seq() + 1));
        for (seq, waiting) in std::mem::replace(&mut self.waiting, later) {
            self.release(now, seq, waiting, Warrant::Recorded(recorded));
        }
    }

    /// Doors that can't wait for the disk any longer.
    fn release_late(&mut self, now: Now) {
        let due: Vec<u64> =
            self.waiting.iter().filter(|(_, w)| w.deadline <= now.mono).map(|(seq, _)| *seq).collect();
        for seq in due {
            if let Some(waiting) = self.waiting.remove(&seq) {
                self.journal(JournalCommand::MarkLate { seq });
                self.counters.released_late();
                self.release(now, seq, waiting, Warrant::Late { seq });
            }
        }
    }

    /// Writes an entry, and returns its number.
    fn record(&mut self, now: Now, kind: EntryKind) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.clock.note_recorded(&now);
        let entry = Entry { seq, at: now.wall.floor_ms(), clock: ClockNote::of(now.trust), kind };
        self.journal(JournalCommand::Append(entry));
        if seq.is_multiple_of(CHECKPOINT_EVERY) {
            // The note of this very entry is made behind it.
            self.note(Note::Checkpoint { seq: self.noted_through(seq - 1) });
            self.forget_old_guests(now);
        }
        seq
    }

    /// Up to which entry all notes have been made: that of a mode or an activation which waits for the disk has not.
    fn noted_through(&self, seq: u64) -> u64 {
        let modes =
            self.waiting.iter().filter(|(_, w)| matches!(w.wanted, Wanted::Mode)).map(|(&seq, _)| seq);
        let first = modes.chain(self.desk.pending.keys().copied()).min();
        first.map_or(seq, |first| seq.min(first - 1))
    }

    fn note_clock(&mut self, now: Now, why: &'static str) {
        let (before, _) = std::mem::replace(&mut self.clock_said, (now.trust, why));
        match (before.is_trusted(), now.trust.is_trusted()) {
            (true, false) => {
                self.record(now, EntryKind::ClockUntrusted { detail: why.into() });
                self.want_status(now);
            }
            (false, true) => {
                self.record(now, EntryKind::ClockTrusted { detail: why.into() });
                self.want_status(now);
            }
            _ => {}
        }
    }

    fn sync_note(&self, detail: impl Into<String>) -> SyncNote {
        let position = self.sync.position();
        SyncNote { epoch: position.epoch, applied: position.applied, detail: detail.into() }
    }

    fn door(&mut self, door: DoorNo) -> Option<&mut Door> {
        self.doors.get_mut(usize::from(door.0))
    }

    fn door_id(&self, door: DoorNo) -> Option<DoorId> {
        self.settings.doors.get(usize::from(door.0)).map(|d| d.id.clone())
    }

    fn journal(&mut self, command: JournalCommand) {
        self.actions.push(Action::Journal(command));
    }

    fn note(&mut self, note: Note) {
        self.actions.push(Action::Cache(CacheCommand::Note(note)));
    }

    fn uplink(&mut self, command: UplinkCommand) {
        if self.uplink.connected {
            self.actions.push(Action::Uplink(command));
        }
    }
}
