//! A world for the controller: the real one, whole, in virtual time and under one seed, among everything that can go
//! wrong around it.
//!
//! ```text
//!   people ──taps, buttons, leaves──►┐                                  ┌──► plant: boards, coils, inputs
//!   operators, a fire ──────────────►│                                  │     (lost, slow, lying, restarted)
//!   clock (jumps, 1970, suspend) ───►│ planted? ─► Controller ─► planted? ──► journal, cache (slow, failing, cut, damaged)
//!   broker ◄─► central ─────────────►│    │            ▲           │    └──► broker ─► central
//!   (down, replays, reorders)        └────┼────────────┼───────────┼─────────── what was asked comes back as events
//!                                         ▼            │           ▼
//!                                      expectations: what the rules, a second time, say    checks: invariants by name
//! ```
//!
//! | room | holds |
//! | --- | --- |
//! | `site` | the house: doors, boards, readers, as a configuration has them |
//! | `plant`, `people` | boards and what is wired to them; who comes, goes, leans on buttons and holds doors open |
//! | `books`, `central`, `broker`, `link` | what central sells, its list and its bugs; and who carries what it says |
//! | `journal`, `cache`, `restart` | two disks, and what a start finds on them |
//! | `clock` | what the machine shows, and whether it is to be believed |
//! | `mischief` | the dice: what happens next |
//! | `invariants`, `checks`, `strikes`, `decisions` | what must be so, and the looking |
//! | `recovery` | everything works again: what must have come of it |
//! | `planted`, `by_hand` | deliberate bugs, to see that each is caught; attacks that somebody thought of |
//! | `run`, `many`, `verb` | one seed from beginning to end; many; for a person who waits |
//!
//! This is the one place of the simulator that knows the daemon's own types (a test reads the imports): what is under
//! test here is the controller, not its codecs. Where a rule is judged a second time it is judged by code of the
//! simulator's own (`naive`, `clock::Doubt`, `central`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a world is a test: it fails by panicking where it stands, and passes over what a check is not about"
)]

mod books;
mod broker;
mod by_hand;
mod cache;
mod central;
mod checks;
mod clock;
mod counts;
mod decisions;
mod invariants;
mod journal;
mod link;
mod lot;
mod many;
mod mischief;
mod people;
mod plant;
mod planted;
mod recovery;
mod restart;
mod run;
mod site;
mod strikes;
pub mod verb;

use std::{collections::VecDeque, time::Duration};

use latchd::{
    control::{
        Action, BoardEvent, CacheCommand, CacheEvent, Controller, Event, Inputs, JournalCommand,
        JournalEvent, Recorded, Staged,
    },
    wire::inbox::Inbox,
};

pub use broker::Broker;
pub use central::{Central, Message, Topic};
pub use counts::Counts;
pub use invariants::{Broken, Invariant};
pub use lot::Lot;
pub use many::{Plan, Summary, run_many};
pub use planted::Planted;
pub use run::{Ended, run};

use cache::Cache;
use checks::{Believed, Seen};
use clock::MachineClock;
use invariants::Verdicts;
use journal::{Journal, Synced};
use people::People;
use plant::Board;

/// What one event may ask for: a pulse, an entry and a note a door, what is said of each, and some.
const MOST_ACTIONS: usize = 96;
/// Things that may happen within one step, beside some for every second: more is a loop that feeds itself.
const MOST_HAPPENINGS: usize = 20_000;
/// What is printed of one thing that happened.
const MOST_TOLD: usize = 400;

/// The controller and everything around it.
#[derive(Debug)]
pub struct World {
    pub lot: Lot,
    pub mono: Duration,
    pub clock: MachineClock,
    controller: Controller,
    boards: [Board; 2],
    people: People,
    journal: Journal,
    cache: Cache,
    pub broker: Broker,
    pub central: Central,
    inbox: Inbox,
    strict: Inbox,
    /// The token of the message that the cache is at work on.
    at_cache: Option<u64>,
    counts: Counts,
    verdicts: Verdicts,
    seen: Seen,
    planted: Option<Planted>,
    happening: VecDeque<Event>,
    is_handling: bool,
    /// How often the daemon's loop looks at the clock, and when it did last.
    look_every: Duration,
    looked: Duration,
    /// Central hears nothing.
    is_deaf: bool,
    /// Everything that happens is printed.
    tells: bool,
}

impl World {
    /// Something happens; and what comes of it, if nothing is under way already.
    fn happens(&mut self, event: Event) {
        self.happening.push_back(event);
        if std::mem::replace(&mut self.is_handling, true) {
            return;
        }
        while let Some(event) = self.happening.pop_front() {
            if !self.verdicts.is_broken() {
                self.handle(event);
            }
        }
        self.is_handling = false;
    }

    fn handle(&mut self, event: Event) {
        self.verdicts.now = self.mono;
        let reading = self.clock.reading(self.mono);
        self.looked = self.mono;
        self.seen.trust = Believed(self.seen.doubt.judge(&reading));
        let expected = self.expect(&event, &reading);
        let Some(event) = self.plant_event(event) else { return self.verify(&expected, &[]) };
        let given = self.plant_reading(reading);
        self.tell("", &event);
        let actions = self.controller.handle(given, event);
        actions.iter().for_each(|action| self.tell("    ", action));
        let actions = self.plant_actions(actions);
        self.verify(&expected, &actions);
        let count = actions.len();
        self.verdicts
            .demand(Invariant::WithinLimits, count <= MOST_ACTIONS, || format!("{count} actions at once"));
        self.carry_out(actions);
        self.look();
    }

    /// For who looks for what went wrong.
    fn tell(&self, indent: &str, what: &impl std::fmt::Debug) {
        if self.tells {
            let text: String = format!("{what:?}").chars().take(MOST_TOLD).collect();
            crate::until_told::say(format!("{:>12.3} {indent}{text}", self.mono.as_secs_f64()));
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Journal(command) => self.keep(command),
                Action::Cache(command) => self.hand_to_cache(command),
                Action::Uplink(command) => self.say(command),
                Action::Board { board, command } => {
                    let n = usize::from(board.as_str() == site::BOARDS[1]);
                    self.check_strike(n, &command);
                    if let Some(what) = self.boards[n].ask(self.mono, command, &mut self.lot) {
                        self.board_says(n, what);
                    }
                }
                Action::Answer { token, answer } => self.answered(token, answer.is_ok()),
                Action::Feedback { feedback, .. } => self.counts.note(&format!("shown: {feedback:?}")),
                Action::Discard(index) => drop(index),
            }
        }
        if std::mem::take(&mut self.broker.is_undone) {
            self.counts.note("link: dropped over what could not be stored");
            self.disconnect(false);
        }
    }

    fn keep(&mut self, command: JournalCommand) {
        match command {
            JournalCommand::Append(entry) => {
                self.check_entry(&entry);
                self.journal.append(self.mono, entry, &mut self.lot);
            }
            JournalCommand::Acknowledged { through } => {
                let stored = self.central.through;
                self.verdicts.demand(Invariant::NothingLost, through <= stored, || {
                    format!("central has stored {stored}, and {through} counts as acknowledged")
                });
                self.seen.heard = Some(self.mono);
                self.journal.acknowledged = self.journal.acknowledged.max(through);
            }
            JournalCommand::Keep { .. } | JournalCommand::Sign | JournalCommand::Forked { .. } => {}
            JournalCommand::MarkLate { seq } => {
                if !self.journal.is_durable(seq) {
                    self.journal.late.insert(seq);
                }
                self.seen.marked.insert(seq);
            }
        }
    }

    fn hand_to_cache(&mut self, command: CacheCommand) {
        let is_message = matches!(command, CacheCommand::Apply { .. } | CacheCommand::Stage { .. });
        self.check_note(&command);
        let message = if is_message { self.message_for_cache(&command) } else { self.stamp(&command) };
        self.cache.tell(self.mono, command, message, &mut self.lot);
    }

    /// The message that is on its way into the cache.
    fn message_for_cache(&mut self, command: &CacheCommand) -> Option<serde_json::Value> {
        let is_alone = self.at_cache.is_none();
        self.verdicts.demand(Invariant::WithinLimits, is_alone, || "two messages at the cache".into());
        let offered = self.broker.offered().map(|(token, message)| (token, message.body.clone()));
        let is_offered = offered.is_some();
        self.verdicts.demand(Invariant::OnDiskFirst, is_offered, || {
            "what goes to the cache is acknowledged to the broker already".into()
        });
        let (token, body) = offered?;
        self.at_cache = Some(token);
        if let CacheCommand::Apply { applied, .. } = command {
            self.seen.heard = Some(self.mono);
            let last = body["last"].as_u64();
            self.verdicts.demand(Invariant::IndexIsTheFold, last == Some(*applied), || {
                format!("a message through {last:?} is applied as through {applied}")
            });
        }
        Some(body)
    }

    fn board_says(&mut self, n: usize, what: BoardEvent) {
        self.happens(Event::Board { board: site::board_id(n), what });
    }

    /// Lets time pass, and what is due in it happen in order.
    pub fn later(&mut self, time: Duration) {
        let end = self.mono + time;
        let most = MOST_HAPPENINGS + 30 * time.as_secs() as usize;
        for _ in 0..most {
            if self.verdicts.is_broken() {
                return;
            }
            let Some(next) = self.next_due().filter(|next| *next <= end) else {
                self.mono = end;
                self.verdicts.demand(Invariant::ComesToRest, true, String::new);
                return;
            };
            self.mono = next.max(self.mono);
            self.one_thing();
        }
        let (deadline, mono) = (self.controller.next_deadline(), self.mono);
        self.verdicts.now = mono;
        self.verdicts
            .demand(Invariant::ComesToRest, false, || format!("its deadline is {deadline:?} at {mono:?}"));
    }

    fn next_due(&self) -> Option<Duration> {
        let boards = self.boards.iter().filter_map(Board::next_due);
        let disks = self.journal.next_due().into_iter().chain(self.cache.next_due());
        let own = self.controller.next_deadline().map(|at| at.0);
        let others = self.broker.next_due().into_iter().chain(self.people.next_due()).chain(own);
        boards.chain(disks).chain(others).chain([self.looked + self.look_every]).min()
    }

    fn one_thing(&mut self) {
        for n in 0..self.boards.len() {
            if let Some(what) = self.boards[n].take_due(self.mono, &mut self.lot) {
                return self.board_says(n, what);
            }
        }
        if let Some(synced) = self.journal.take_due(self.mono, &mut self.lot) {
            return self.journal_says(synced);
        }
        if let Some(said) = self.cache.take_due(self.mono, &mut self.lot) {
            return said.into_iter().for_each(|said| self.cache_says(said));
        }
        if let Some(news) = self.broker.take_due(self.mono) {
            return self.broker_brings(news);
        }
        if self.people_act() {
            return;
        }
        self.happens(Event::Tick);
    }

    fn journal_says(&mut self, synced: Synced) {
        match synced {
            Synced::Failed => {
                self.counts.note("journal: a write failed");
                self.happens(Event::Journal(JournalEvent::Failed {
                    detail: "no space left on device".into(),
                }));
            }
            Synced::Through(seq, lost) => {
                self.happens(Event::Journal(JournalEvent::Recorded(Recorded::attest(seq))));
                if lost > 0 {
                    self.counts.note("journal: events were lost, and said to be");
                    let detail = "the disk failed for too long".into();
                    self.happens(Event::Journal(JournalEvent::Lost { count: lost, detail }));
                }
            }
        }
    }

    fn cache_says(&mut self, said: CacheEvent) {
        let is_of_message = !matches!(said, CacheEvent::Remembered { .. } | CacheEvent::NotRemembered { .. });
        if is_of_message {
            self.at_cache = None;
        }
        if matches!(said, CacheEvent::Staged(Staged::InForce { .. })) {
            self.seen.heard = Some(self.mono);
        }
        if matches!(said, CacheEvent::Failed { .. } | CacheEvent::NotRemembered { .. }) {
            self.counts.note("cache: a write failed");
        }
        self.happens(Event::Cache(said));
        if is_of_message {
            self.check_index();
        }
    }

    /// An input goes on or off, and is seen if its board is there.
    fn set(&mut self, n: usize, input: u8, on: bool) {
        if self.boards[n].set(input, on) && self.boards[n].is_up {
            let inputs = Inputs(self.boards[n].inputs);
            self.board_says(n, BoardEvent::Inputs(inputs));
        }
    }

    fn connect_board(&mut self, n: usize) {
        if !self.boards[n].is_up {
            let what = self.boards[n].connect(self.mono);
            self.board_says(n, what);
        }
    }

    fn lose_board(&mut self, n: usize) {
        if self.boards[n].is_up {
            let said = self.boards[n].lose(self.mono, &mut self.lot);
            said.into_iter().for_each(|what| self.board_says(n, what));
        }
    }
}
