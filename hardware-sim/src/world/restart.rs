//! The beginning of a run, and what a start finds after a kill, a power cut, or with a cache that can't be read.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use latchd::{
    control::{
        Action, Controller, Recorded,
        commands_taken::CommandsTaken,
        controller::{JournalEnd, Known, Restored},
        modes::Modes,
    },
    domain::{DoorMode, EntryKind},
    wire::UidHasher,
};

use super::{
    Board, Broker, Cache, Central, Counts, Invariant, Journal, Lot, MachineClock, People, Planted, Seen,
    Verdicts, World, books,
    checks::Believed,
    clock::{BOOTED, Doubt},
    decisions::instant,
    site,
};

/// The daemon's loop looks at the clock this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How the daemon came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to, and did.
    Told,
    Killed,
    PowerCut,
}

impl World {
    /// A house in which nothing has happened yet, whose central has some records.
    #[must_use]
    pub fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut lot = Lot::new(seed);
        let clock = MachineClock::new(&mut lot);
        let (journal, cache) = (Journal::new(), Cache::new());
        let mut seen = Seen { doubt: Doubt::at_start(None), ..Seen::default() };
        let reading = clock.reading(BOOTED);
        seen.trust = Believed(seen.doubt.judge(&reading));
        let restored = restored(&journal, &cache, None);
        let (controller, actions) = Controller::new(site::settings(), hasher(), restored, reading);
        let mut world = World {
            lot,
            mono: BOOTED,
            clock,
            controller,
            boards: [Board::default(), Board::default()],
            people: People::new(),
            journal,
            cache,
            broker: Broker::new(),
            central: Central::new(),
            inbox: site::inbox(),
            strict: site::strict_inbox(),
            at_cache: None,
            counts: Counts::default(),
            verdicts: Verdicts::default(),
            seen,
            planted,
            happening: VecDeque::new(),
            is_handling: false,
            look_every: LOOK_EVERY,
            looked: BOOTED,
            is_deaf: false,
            tells: false,
        };
        world.carry_out(actions);
        // Doors are shut.
        (0..site::DOORS.len()).for_each(|door| world.swing(door, true));
        (0..2).for_each(|n| world.connect_board(n));
        world
    }

    /// Central has what a house begins with, and the controller is told.
    pub fn furnish(&mut self) {
        let now = instant(self.clock.truth(self.mono));
        for record in books::first(&mut self.lot, now) {
            self.central.note_change(&serde_json::json!({ "put": record }));
        }
        self.later(Duration::from_secs(5));
    }

    /// The daemon ends, and starts again, after a while in which nobody is there.
    pub(super) fn restart(&mut self, end: End, damaged: bool) {
        if end == End::Told {
            self.stop();
        }
        self.counts.note(match end {
            End::Told => "restart: told to",
            End::Killed => "restart: killed",
            End::PowerCut => "restart: power cut",
        });
        self.journal.cut(&mut self.lot);
        self.cache.cut(end == End::PowerCut, &mut self.lot);
        let remark = damaged.then(|| self.cache.damage(&mut self.lot));
        if let Some(remark) = remark {
            self.counts.note(&format!("restart: the cache is damaged, {remark}"));
        }
        self.at_cache = None;
        self.broker.disconnect(self.mono, false, &mut self.lot);
        for n in 0..self.boards.len() {
            self.boards[n].orphan(self.mono, &mut self.lot);
            if end == End::PowerCut {
                self.boards[n].restart(self.mono, &mut self.lot);
            }
        }
        self.mono += self.lot.ms(300..4_000);
        self.start(damaged);
    }

    fn stop(&mut self) {
        self.happens(latchd::control::Event::Closing);
        self.happens(latchd::control::Event::Stopping);
        // What was recorded goes to disk, if that does not fail.
        self.later(Duration::from_secs(2));
    }

    fn start(&mut self, damaged: bool) {
        self.verdicts.now = self.mono;
        self.forget_what_died(damaged);
        let gone = self.cache.as_of(self.journal.on_disk());
        let mut restored = restored(&self.journal, &self.cache, damaged.then_some("cache: it can't be read"));
        let last = self.last_modes();
        self.catch_up(&restored);
        restored.modes.extend(gone);
        self.plant_restored(&mut restored);
        let reading = self.clock.reading(self.mono);
        self.looked = self.mono;
        self.seen.trust = Believed(self.seen.doubt.judge(&reading));
        let given = self.plant_reading(reading);
        let (controller, actions) = Controller::new(site::settings(), hasher(), restored, given);
        let drives = actions.iter().any(|action| matches!(action, Action::Board { .. }));
        self.verdicts.demand(Invariant::StartDrives, !drives, || "a strike".into());
        self.controller = controller;
        self.tell("", &"a start");
        actions.iter().for_each(|action| self.tell("    ", action));
        self.carry_out(actions);
        self.check_index();
        self.check_restrictions(&last);
        let (kept, right) = (self.controller.load().let_in, self.seen.let_in.len());
        self.verdicts.demand(Invariant::RestrictionOutlasts, kept == right, || {
            format!("{kept} guests count as let in after a restart, and {right} were")
        });
    }

    fn catch_up(&mut self, restored: &Restored) {
        let stamps: Vec<_> = self.seen.changes.values().copied().collect();
        self.cache.catch_up(restored.journal.seq, &restored.let_in, &restored.modes);
        if !self.cache.holds_checkpoint() {
            for (stamp, door, _) in stamps {
                let own = self.cache.state.stamps.entry(site::door_id(door)).or_default();
                *own = (*own).max(stamp);
            }
        }
    }

    /// What each door's mode was last, by what is left on both disks.
    fn last_modes(&self) -> [Option<DoorMode>; 4] {
        std::array::from_fn(|n| {
            // One that the journal had to drop is in the cache, if anywhere.
            let kept = self.seen.changes.iter().filter(|(seq, _)| !self.journal.was_dropped(**seq));
            let recorded = kept.map(|(_, change)| change).filter(|(_, door, _)| *door == n);
            let recorded = recorded.map(|(stamp, _, mode)| (*stamp, *mode)).max_by_key(|(stamp, _)| *stamp);
            let id = site::door_id(n);
            let state = &self.cache.state;
            let noted = state.stamps.get(&id).zip(state.modes.get(&id));
            let noted = noted.map(|(stamp, stored)| (*stamp, Modes::shown(stored)));
            recorded.into_iter().chain(noted).max_by_key(|(stamp, _)| *stamp).map(|(_, mode)| mode)
        })
    }

    /// What restricted a door still does.
    fn check_restrictions(&mut self, last: &[Option<DoorMode>; 4]) {
        for (report, last) in self.controller.door_reports().into_iter().zip(last) {
            let Some(was) = last.filter(|mode| !mode.is_open()) else { continue };
            let is = if report.mode == DoorMode::Accessed { DoorMode::Locked } else { report.mode };
            self.verdicts.demand(Invariant::RestrictionOutlasts, is == was, || {
                format!("{} was {}, and is {} after a restart", report.door, was.as_str(), is.as_str())
            });
        }
    }

    /// What checks remember of a daemon that is gone, or of entries that never came to the disk.
    fn forget_what_died(&mut self, damaged: bool) {
        let last = self.journal.last();
        let seen = &mut self.seen;
        seen.doubt = Doubt::at_start(self.journal.latest());
        (seen.buttons, seen.boards_up) = ([None; 4], [false; 2]);
        (seen.heard, seen.heard_before) = (None, self.cache.state.heard.central_at);
        seen.driven.retain(|(seq, _), _| *seq <= last);
        seen.appended.retain(|seq, _| *seq <= last);
        seen.holds.retain(|seq, _| *seq <= last);
        seen.marked.retain(|seq| *seq <= last);
        seen.changes.retain(|seq, _| *seq <= last);
        (seen.owed, seen.asked, seen.lock_seq) = Default::default();
        // Strikes that were held open end by themselves.
        (seen.kept_open, seen.shut_since, seen.fire) = ([None; 4], [None; 4], false);
        if damaged {
            seen.position = (0, 0);
            // An empty one is told by the journal from the first entry on.
            if self.cache.state.checkpoint == 0 {
                seen.forgotten.clear();
            }
        }
        let arrived = self.journal.durable().iter().filter_map(|entry| match &entry.kind {
            EntryKind::GuestArrived { booking, holder, .. } => {
                Some((booking.to_string(), holder.to_string()))
            }
            _ => None,
        });
        let forgotten = &seen.forgotten;
        let told = arrived.filter(|(booking, _)| !forgotten.contains(booking));
        let noted = self.cache.state.let_in.iter().map(|(b, h, _)| (b.to_string(), h.to_string()));
        seen.let_in = told.chain(noted).collect();
        for n in 0..site::DOORS.len() {
            let own = |kind: &EntryKind| matches!(kind, EntryKind::ModeChanged { door, .. } if *door == site::door_id(n));
            let last = self.journal.durable().iter().rev().find(|entry| own(&entry.kind));
            seen.mode_seq[n] = last.map_or(0, |entry| entry.seq);
        }
    }
}

fn hasher() -> UidHasher {
    site::hasher()
}

/// What a start finds on its disks.
fn restored(journal: &Journal, cache: &Cache, remark: Option<&str>) -> Restored {
    let state = &cache.state;
    let (mut let_in, mut modes) = (state.let_in.clone(), state.modes.clone());
    for entry in journal.pick(state.checkpoint + 1, u64::MAX) {
        if let EntryKind::GuestArrived { booking, holder, .. } = &entry.kind {
            let_in.add(booking.clone(), holder.clone(), entry.at);
        }
    }
    journal.replay_modes(state.checkpoint, &mut modes);
    let seq = journal.on_disk();
    let said = |detail: &str| EntryKind::StoreRecovered { count: 1, detail: detail.into() };
    Restored {
        index: state.index(),
        position: state.position,
        let_in,
        heard: state.heard,
        journal: JournalEnd {
            id: site::JOURNAL.into(),
            seq,
            acknowledged: journal.acknowledged,
            at: journal.latest(),
            checkpoint: None,
            on_disk: (seq > 0).then(|| Recorded::attest(seq)),
        },
        modes,
        commands: CommandsTaken::new(state.commands.clone(), state.commands_from),
        known: Known { floor: cache.floor(), ..Known::default() },
        // Nobody stands at this house's desk.
        cards: BTreeMap::new(),
        remarks: remark.map(said).into_iter().collect(),
    }
}
