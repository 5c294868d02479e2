//! Deliberate bugs, to see that each is caught: between the controller and its world stands whoever was told to drop,
//! alter, invent or forget one kind of thing. The controller itself is the one that ships.

use latchd::{
    control::{
        Action, Applied, BoardCommand, BoardEvent, CacheCommand, CacheEvent, Event, JournalCommand,
        ReaderEvent, Recorded, Replaced, Staged, UplinkCommand, UplinkEvent, Warrant, clock::Reading,
        commands_taken::CommandsTaken, controller::Restored, index::Index, let_in::LetIn,
    },
    domain::{Entry, EntryKind, Record},
    wire::{
        command::Command,
        feed::{Body, Feed},
    },
};
use std::time::Duration;

use super::{World, site};

/// What is wrong with the controller, by the name of what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Planted {
    /// The broker is told that a change is done when it goes to the disk.
    AcknowledgesBeforeTheDisk,
    /// A strike is driven when its entry is written, on a proof nobody gave.
    ReleasesBeforeTheDisk,
    /// A door that could not wait is not marked.
    ForgetsToSayLate,
    /// Switching a lock off is asked of nobody, and counts as done.
    ForgetsToSecure,
    DrivesForTooLong,
    /// One confirmation in twenty is taken for that of a switching off.
    TakesDrivenForSecure,
    /// Another door's coil.
    OpensTheNextDoor,
    IgnoresTheButton,
    IgnoresTheFire,
    /// Every clock counts as synchronised.
    BelievesEveryClock,
    /// What the journal held when the daemon last ran counts for nothing.
    ForgetsWhatTimeItWas,
    /// A change that was applied is taken for the next one.
    AppliesReplays,
    /// A record that was taken away stays in the index.
    IgnoresRevocations,
    /// The first part of a snapshot takes the place of what was.
    AppliesHalfASnapshot,
    LosesARecordAtRestart,
    ForgetsGuestsAtRestart,
    ForgetsLockdownsAtRestart,
    ForgetsCommandsAtRestart,
    /// Carried out a second time under another name, and recorded under its own.
    ExecutesTwice,
    /// Its end is moved to where it is in time.
    ExecutesLateCommands,
    /// One entry in fifty is not written.
    LeavesAGapInTheJournal,
    /// A card that is refused is not recorded.
    HidesADenial,
    /// Each tap is decided for the door as if nobody had locked it.
    ForgetsWhoWasGranted,
    SendsBeforeTheDisk,
    NeverSends,
}

impl Planted {
    pub const ALL: [Planted; 25] = [
        Planted::AcknowledgesBeforeTheDisk,
        Planted::ReleasesBeforeTheDisk,
        Planted::ForgetsToSayLate,
        Planted::ForgetsToSecure,
        Planted::DrivesForTooLong,
        Planted::TakesDrivenForSecure,
        Planted::OpensTheNextDoor,
        Planted::IgnoresTheButton,
        Planted::IgnoresTheFire,
        Planted::BelievesEveryClock,
        Planted::ForgetsWhatTimeItWas,
        Planted::AppliesReplays,
        Planted::IgnoresRevocations,
        Planted::AppliesHalfASnapshot,
        Planted::LosesARecordAtRestart,
        Planted::ForgetsGuestsAtRestart,
        Planted::ForgetsLockdownsAtRestart,
        Planted::ForgetsCommandsAtRestart,
        Planted::ExecutesTwice,
        Planted::ExecutesLateCommands,
        Planted::LeavesAGapInTheJournal,
        Planted::HidesADenial,
        Planted::ForgetsWhoWasGranted,
        Planted::SendsBeforeTheDisk,
        Planted::NeverSends,
    ];
}

/// What a second execution is asked for under.
const AGAIN: &str = "again-";

impl World {
    fn is_planted(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    /// What the controller is told, instead of what happens. Nothing, where that is kept from it.
    pub(super) fn plant_event(&mut self, event: Event) -> Option<Event> {
        let Some(bug) = self.planted else { return Some(event) };
        match (bug, event) {
            (Planted::HidesADenial, Event::Reader { what: ReaderEvent::Tap(_), .. })
                if self.lot.one_in(20) =>
            {
                None
            }
            (Planted::TakesDrivenForSecure, Event::Board { board, what: BoardEvent::Pulsed { ticket } })
                if self.lot.one_in(20) =>
            {
                Some(Event::Board { board, what: BoardEvent::Secured { ticket } })
            }
            (
                Planted::AppliesReplays,
                Event::Uplink(UplinkEvent::Feed { token, again, message: Ok(feed) }),
            ) => {
                let message = Ok(self.renumbered(feed));
                Some(Event::Uplink(UplinkEvent::Feed { token, again, message }))
            }
            (Planted::IgnoresRevocations, Event::Cache(CacheEvent::Applied(applied))) => {
                let kept = |r: &Replaced| r.new.is_some() || matches!(r.old, Some(Record::Policy(_)));
                let replaced = applied.replaced.into_iter().filter(kept).collect();
                Some(Event::Cache(CacheEvent::Applied(Applied { replaced, ..applied })))
            }
            (
                Planted::AppliesHalfASnapshot,
                Event::Cache(CacheEvent::Staged(Staged::Part { id, conflicts, .. })),
            ) => {
                let position = self.cache.position();
                let (index, removal) = (Box::new(Index::new(site::settings().places())), Default::default());
                let half = Staged::InForce { id, position, index, conflicts, removal };
                Some(Event::Cache(CacheEvent::Staged(half)))
            }
            (
                Planted::ExecutesLateCommands,
                Event::Uplink(UplinkEvent::Command { token, message: Ok(command) }),
            ) => {
                let now = self.clock.wall(self.mono);
                let command = Command { issued_at: now, expires_at: now.plus_s(60), ..command };
                Some(Event::Uplink(UplinkEvent::Command { token, message: Ok(command) }))
            }
            (Planted::ExecutesTwice, Event::Uplink(UplinkEvent::Command { token, message: Ok(command) })) => {
                if !command.id.as_str().starts_with(AGAIN) {
                    let id = latchd::domain::CommandId::new(&format!("{AGAIN}{}", command.id)).unwrap();
                    let second = Command { id, ..command.clone() };
                    self.happening
                        .push_back(Event::Uplink(UplinkEvent::Command { token, message: Ok(second) }));
                }
                Some(Event::Uplink(UplinkEvent::Command { token, message: Ok(command) }))
            }
            (_, event) => Some(event),
        }
    }

    /// An old message as if it came next.
    fn renumbered(&self, feed: Feed) -> Feed {
        let applied = self.controller.sync_report().applied;
        match feed.body {
            Body::Changes { last, items, .. } if last <= applied && !items.is_empty() => {
                let last = applied + items.len() as u64;
                Feed { body: Body::Changes { first: applied + 1, last, items }, ..feed }
            }
            body => Feed { body, ..feed },
        }
    }

    pub(super) fn plant_reading(&self, reading: Reading) -> Reading {
        let synchronised = reading.synchronised || self.is_planted(Planted::BelievesEveryClock);
        Reading { synchronised, ..reading }
    }

    /// What becomes of what the controller asks for.
    pub(super) fn plant_actions(&mut self, actions: Vec<Action>) -> Vec<Action> {
        let Some(bug) = self.planted else { return actions };
        actions.into_iter().flat_map(|action| self.plant_action(bug, action)).collect()
    }

    fn plant_action(&mut self, bug: Planted, action: Action) -> Vec<Action> {
        match action {
            Action::Journal(JournalCommand::Append(entry)) => self.plant_entry(bug, entry),
            Action::Journal(JournalCommand::MarkLate { .. }) if bug == Planted::ForgetsToSayLate => {
                Vec::new()
            }
            Action::Board { board, command } => {
                let command = self.plant_command(bug, command);
                command.into_iter().map(|command| Action::Board { board: board.clone(), command }).collect()
            }
            Action::Cache(CacheCommand::Apply { .. }) if bug == Planted::AcknowledgesBeforeTheDisk => {
                let token = self.broker.offered().map_or(0, |(token, _)| token);
                vec![action, Action::Uplink(UplinkCommand::Done { token })]
            }
            Action::Uplink(UplinkCommand::SendEvents { from, .. }) if bug == Planted::SendsBeforeTheDisk => {
                let through = self.journal.last();
                vec![Action::Uplink(UplinkCommand::SendEvents { from, through })]
            }
            Action::Uplink(UplinkCommand::SendEvents { .. }) if bug == Planted::NeverSends => Vec::new(),
            action => vec![action],
        }
    }

    fn plant_entry(&mut self, bug: Planted, mut entry: Entry) -> Vec<Action> {
        if bug == Planted::LeavesAGapInTheJournal && self.lot.one_in(50) {
            return Vec::new();
        }
        if let EntryKind::CommandExecuted { id, .. } = &mut entry.kind
            && let Some(own) = id.as_str().strip_prefix(AGAIN)
        {
            *id = latchd::domain::CommandId::new(own).unwrap();
        }
        let released = match &entry.kind {
            EntryKind::AccessGranted(passage) if bug == Planted::ReleasesBeforeTheDisk => {
                site::door_no(&passage.door)
            }
            _ => None,
        };
        let forged = released.map(|door| {
            let (_, n, coil) = site::DOORS[door];
            let warrant = Warrant::Recorded(Recorded::attest(entry.seq));
            let ticket = (door as u64) << 48 | entry.seq;
            let command = BoardCommand::Pulse { ticket, coil, hold: site::STRIKE, warrant };
            Action::Board { board: site::board_id(n), command }
        });
        [Action::Journal(JournalCommand::Append(entry))].into_iter().chain(forged).collect()
    }

    fn plant_command(&mut self, bug: Planted, command: BoardCommand) -> Option<BoardCommand> {
        match (bug, command) {
            (Planted::IgnoresTheButton, BoardCommand::Pulse { warrant: Warrant::Rex, .. })
            | (Planted::IgnoresTheFire, BoardCommand::Pulse { warrant: Warrant::Fire, .. }) => None,
            (Planted::ForgetsToSecure, BoardCommand::Secure { ticket, coil }) => {
                let n = usize::from(ticket >> 48 >= 2);
                self.boards[n].forget(coil);
                self.board_says(n, BoardEvent::Secured { ticket });
                None
            }
            (Planted::DrivesForTooLong, BoardCommand::Pulse { ticket, coil, hold, warrant }) => {
                Some(BoardCommand::Pulse { ticket, coil, hold: hold + Duration::from_secs(20), warrant })
            }
            (Planted::OpensTheNextDoor, BoardCommand::Pulse { ticket, coil, hold, warrant }) => {
                Some(BoardCommand::Pulse { ticket, coil: 1 - coil, hold, warrant })
            }
            (Planted::ForgetsWhoWasGranted, BoardCommand::Pulse { warrant: Warrant::Recorded(_), .. })
                if self.lot.one_in(10) =>
            {
                None
            }
            (_, command) => Some(command),
        }
    }

    /// What a start finds, or fails to.
    pub(super) fn plant_restored(&mut self, restored: &mut Restored) {
        match self.planted {
            Some(Planted::ForgetsWhatTimeItWas) => restored.journal.at = None,
            Some(Planted::ForgetsGuestsAtRestart) => restored.let_in = LetIn::default(),
            Some(Planted::ForgetsLockdownsAtRestart) => restored.modes.clear(),
            Some(Planted::ForgetsCommandsAtRestart) => restored.commands = CommandsTaken::default(),
            Some(Planted::LosesARecordAtRestart) => {
                let mut state = self.cache.state.clone();
                state.records.pop_first();
                restored.index = state.index();
            }
            _ => {}
        }
    }
}
