//! The controller in a house: time that is told, boards and a disk that fail, people, and the checks that hold after
//! every step.

use std::collections::BTreeMap;
use std::time::Duration;

use latchd::control::clock::{ClockSettings, Reading};
use latchd::control::commands_taken::CommandsTaken;
use latchd::control::controller::{JournalEnd, Known, Restored};
use latchd::control::door::HELD_PULSE;
use latchd::control::index::Index;
use latchd::control::leaf::LeafRules;
use latchd::control::let_in::LetIn;
use latchd::control::settings::{
    BoardSettings, DoorSettings, InputSettings, ReaderSettings, RelockOn, RexSettings, Settings,
};
use latchd::control::{
    Action, BoardCommand, BoardEvent, Controller, Event, Inputs, JournalCommand, JournalEvent, OperatorEvent,
    OperatorRequest, ReaderEvent, Recorded, Warrant,
};
use latchd::domain::entry::ClockNote;
use latchd::domain::{
    At, BoardId, ControllerId, Direction, DoorAction, DoorId, DoorMode, DoorOrder, Entry, EntryKind,
    LockState, Mono, ReaderId, Reason, Uid, ZoneId,
};
use latchd::wire::UidHasher;
use latchd::wire::control::DoorReport;
use latchd::wire::record::record;
use latchd::wire::stored::{Heard, Position};
use serde_json::{Value, json};

use super::journal::{Disk, Journal};
use super::plant::Board;
use crate::seeds::Lot;

const START: &str = "2026-11-23T09:00:00Z";
const RELEASE_WAIT: Duration = Duration::from_millis(20);
const STRIKE: Duration = Duration::from_secs(5);
const EXTENDED: Duration = Duration::from_secs(15);
/// What one event may ask for: a pulse, an entry and a note a door, and some.
const MOST_ACTIONS: usize = 64;
/// Things that may happen within one step: more is a loop that feeds itself.
const MOST_HAPPENINGS: usize = 20_000;
const BOARDS: [&str; 2] = ["b-1", "b-2"];
/// Each door's board and coil. Its contact and its button are on the other board for the last one.
const DOORS: [(&str, usize, u8); 4] = [("entrance", 0, 0), ("side", 0, 1), ("vault", 1, 0), ("attic", 1, 1)];
/// On the second board.
const FIRE: u8 = 7;
/// Who may always come, who has a room from nine to ten, who needs longer, and nobody.
const CARDS: [&str; 4] = ["04A1B2C3", "04A1B2C4", "04A1B2C5", "04FFFFFF"];
const ORDERS: [(DoorAction, Option<u32>); 11] = [
    (DoorAction::Access, None),
    (DoorAction::Lock, None),
    (DoorAction::Unlock, None),
    (DoorAction::Unlock, Some(30)),
    (DoorAction::Block, None),
    (DoorAction::Unblock, None),
    (DoorAction::LockDown, None),
    (DoorAction::LockDownRelease, None),
    (DoorAction::LockOpen, None),
    (DoorAction::LockOpen, Some(20)),
    (DoorAction::LockOpenRelease, None),
];

pub struct World {
    pub lot: Lot,
    pub mono: Duration,
    wall_off_s: i64,
    pub synchronised: bool,
    controller: Controller,
    pub boards: [Board; 2],
    pub journal: Journal,
    /// When somebody last asked to leave, by door.
    exits: [Option<Duration>; 4],
    /// When each entry had its strike driven first.
    driven: BTreeMap<(u64, usize), Duration>,
    token: u64,
    pub strikes: u64,
    pub cuts: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let (mono, journal) = (Duration::from_secs(1000), Journal::new());
        let reading = reading(mono, 0, true);
        let (controller, actions) = Controller::new(settings(), hasher(), restored(&journal), reading);
        let mut world = World {
            lot: Lot::new(seed),
            mono,
            wall_off_s: 0,
            synchronised: true,
            controller,
            boards: Default::default(),
            journal,
            exits: [None; 4],
            driven: BTreeMap::new(),
            token: 0,
            strikes: 0,
            cuts: 0,
        };
        world.carry_out(actions);
        (0..2).for_each(|n| world.connect(n));
        world
    }

    fn happens(&mut self, event: Event) {
        let reading = reading(self.mono, self.wall_off_s, self.synchronised);
        let actions = self.controller.handle(reading, event);
        assert!(actions.len() <= MOST_ACTIONS, "{} actions at once", actions.len());
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut refused = Vec::new();
        for action in actions {
            if let Action::Journal(JournalCommand::Append(entry)) = action {
                self.check_entry(&entry);
                self.journal.append(self.mono, entry, &mut self.lot);
            } else if let Action::Journal(JournalCommand::MarkLate { seq }) = action {
                self.journal.late.insert(seq);
            } else if let Action::Board { board, command } = action {
                let n = usize::from(board.as_str() == BOARDS[1]);
                self.check_command(n, &command);
                refused.extend(self.boards[n].ask(self.mono, command, &mut self.lot).map(|what| (n, what)));
            }
        }
        refused.into_iter().for_each(|(n, what)| self.board_says(n, what));
    }

    fn board_says(&mut self, n: usize, what: BoardEvent) {
        self.happens(Event::Board { board: BoardId::new(BOARDS[n]).unwrap(), what });
    }

    /// Lets time pass, and what is due in it happen in order.
    pub fn later(&mut self, time: Duration) {
        let end = self.mono + time;
        for _ in 0..MOST_HAPPENINGS {
            let boards = self.boards.iter().filter_map(Board::next_due);
            let own = self.controller.next_deadline().map(|at| at.0);
            let next = boards.chain(self.journal.next_due()).chain(own).min().filter(|next| *next <= end);
            let Some(next) = next else {
                self.mono = end;
                return;
            };
            self.mono = next.max(self.mono);
            self.one_thing();
        }
        panic!(
            "it does not come to rest: its deadline is {:?} at {:?}",
            self.controller.next_deadline(),
            self.mono
        );
    }

    fn one_thing(&mut self) {
        for n in 0..self.boards.len() {
            if let Some(what) = self.boards[n].take_due(self.mono, &mut self.lot) {
                return self.board_says(n, what);
            }
        }
        match self.journal.take_due(self.mono, &mut self.lot) {
            Some(Ok(seq)) => self.happens(Event::Journal(JournalEvent::Recorded(Recorded::attest(seq)))),
            Some(Err(())) => self.happens(Event::Journal(JournalEvent::Failed { detail: "no space".into() })),
            None => self.happens(Event::Tick),
        }
    }

    pub fn tap(&mut self, door: usize, card: usize) {
        let what = ReaderEvent::Tap(Uid::parse(CARDS[card]).unwrap());
        self.happens(Event::Reader { reader: ReaderId::new(DOORS[door].0).unwrap(), what });
    }

    pub fn order(&mut self, door: usize, (action, for_s): (DoorAction, Option<u32>)) {
        self.token += 1;
        let order = DoorOrder::new(action, for_s).unwrap();
        let request =
            OperatorRequest::Door { door: DoorId::new(DOORS[door].0).unwrap(), order, reason: None };
        self.happens(Event::Operator(OperatorEvent { token: self.token, by: "anna (1000)".into(), request }));
    }

    pub fn random_order(&mut self, door: usize) {
        let order = ORDERS[self.lot.below(ORDERS.len())];
        self.order(door, order);
    }

    /// An input goes on or off, and is seen if its board is there.
    pub fn set(&mut self, n: usize, input: u8, on: bool) {
        if self.boards[n].set(input, on) && self.boards[n].is_up {
            let inputs = Inputs(self.boards[n].inputs);
            self.board_says(n, BoardEvent::Inputs(inputs));
        }
    }

    pub fn press(&mut self, door: usize, on: bool) {
        let (n, _, button) = wires(door);
        if on && self.boards[n].is_up {
            self.exits[door] = Some(self.mono);
        }
        self.set(n, button, on);
    }

    pub fn swing(&mut self, door: usize, closed: bool) {
        let (n, contact, _) = wires(door);
        self.set(n, contact, closed);
    }

    pub fn burn(&mut self, on: bool) {
        self.set(1, FIRE, on);
    }

    pub fn is_burning(&self) -> bool {
        self.report().is_some_and(|fire| fire.raised)
    }

    fn report(&self) -> Option<latchd::wire::control::FireReport> {
        self.controller.status_report(reading(self.mono, self.wall_off_s, self.synchronised)).fire
    }

    pub fn lose(&mut self, n: usize) {
        if self.boards[n].is_up {
            let said = self.boards[n].lose(self.mono, &mut self.lot);
            said.into_iter().for_each(|what| self.board_says(n, what));
        }
    }

    pub fn connect(&mut self, n: usize) {
        if !self.boards[n].is_up {
            let what = self.boards[n].connect();
            self.board_says(n, what);
        }
    }

    pub fn set_clock(&mut self, synchronised: bool, off_s: i64) {
        (self.synchronised, self.wall_off_s) = (synchronised, off_s);
        self.happens(Event::Tick);
    }

    /// The power is gone, or the daemon was killed, and it starts again. Nothing is driven by that.
    pub fn cut(&mut self) {
        self.cuts += 1;
        self.journal.cut();
        let durable = self.journal.durable.len() as u64;
        self.driven.retain(|(seq, _), _| *seq <= durable);
        self.boards.iter_mut().for_each(|board| board.orphan(self.mono, &mut self.lot));
        let reading = reading(self.mono, self.wall_off_s, self.synchronised);
        let (controller, actions) = Controller::new(settings(), hasher(), restored(&self.journal), reading);
        assert!(!actions.iter().any(|action| matches!(action, Action::Board { .. })), "a start drives");
        self.controller = controller;
        self.carry_out(actions);
        for (id, stored) in self.journal.modes() {
            let shown = latchd::control::modes::Modes::shown(&stored);
            if !shown.is_open() {
                assert_eq!(self.door(&id).mode, shown, "{id}: what restricts outlasts a restart");
            }
        }
    }

    fn door(&self, id: &DoorId) -> DoorReport {
        self.controller.door_reports().into_iter().find(|door| door.door == *id).unwrap()
    }

    fn doors(&self) -> Vec<DoorReport> {
        self.controller.door_reports()
    }

    fn check_entry(&self, entry: &Entry) {
        let EntryKind::AccessGranted(passage) = &entry.kind else { return };
        let mode = self.door(&passage.door).mode;
        assert!(
            !matches!(mode, DoorMode::LockedDown | DoorMode::Blocked),
            "granted at a door that is {}",
            mode.as_str()
        );
        let untrusted = entry.clock == Some(ClockNote::Untrusted);
        assert!(!(untrusted && passage.reason == Reason::InWindow), "a booking by a clock nobody trusts");
    }

    /// No strike is driven but for a reason that stands in the journal, or waits for none.
    fn check_command(&mut self, n: usize, command: &BoardCommand) {
        let BoardCommand::Pulse { ticket, coil, hold, warrant } = command else { return };
        self.strikes += 1;
        assert!(*hold <= EXTENDED.max(HELD_PULSE), "driven for {hold:?}");
        let door = DOORS.iter().position(|(_, board, own)| (*board, own) == (n, coil)).unwrap();
        let seq = ticket & 0xFFFF_FFFF_FFFF;
        match warrant {
            Warrant::Fire => {
                assert!(door != 1, "side is not marked for fire");
                assert!(self.report().is_some_and(|fire| fire.raised), "released by no fire");
            }
            Warrant::Rex => assert_eq!(self.exits[door], Some(self.mono), "released by no button"),
            Warrant::Recorded(recorded) => {
                assert!(recorded.seq() >= seq && self.journal.is_durable(seq), "{seq} is not on disk");
                self.check_reason(seq, door);
            }
            Warrant::Late { seq: late } => {
                let appended = self.journal.entry(*late).and_then(|(_, appended)| appended);
                assert!(*late == seq && self.journal.late.contains(late), "{seq} is not marked");
                assert!(appended.is_none_or(|at| self.mono >= at + RELEASE_WAIT), "{seq} did not wait");
                self.check_reason(seq, door);
            }
        }
    }

    fn check_reason(&mut self, seq: u64, door: usize) {
        let (entry, _) = self.journal.entry(seq).expect("an entry of that number");
        let id = if let EntryKind::AccessGranted(passage) = &entry.kind {
            Some(&passage.door)
        } else if let EntryKind::OperatorCommand(command) = &entry.kind
            && command.action == "access"
        {
            command.door.as_ref()
        } else if let EntryKind::ModeChanged { door, to, .. } = &entry.kind
            && to.is_open()
        {
            Some(door)
        } else {
            panic!("{:?} opened a door", entry.kind)
        };
        assert_eq!(id.map(|id| id.as_str()), Some(DOORS[door].0), "another door's reason");
        if matches!(entry.kind, EntryKind::ModeChanged { .. }) {
            assert!(self.doors()[door].mode.is_open(), "held open by a mode that is over");
        } else if let Some(before) = self.driven.insert((seq, door), self.mono) {
            panic!("driven twice on entry {seq}, at {before:?} and {:?}", self.mono);
        }
    }

    /// Everything works again; after a while every door is what its mode says, and the board's coils agree.
    pub fn recover(&mut self) {
        self.journal.disk = Disk::Quick;
        self.boards.iter_mut().for_each(|board| board.fails = false);
        (0..2).for_each(|n| self.connect(n));
        self.burn(false);
        (0..DOORS.len()).for_each(|door| {
            self.press(door, false);
            self.swing(door, true);
        });
        self.set_clock(true, 0);
        // Longer than any strike, any pulse of a mode and its renewal, and any timed mode.
        self.later(Duration::from_secs(90));
        assert!(self.journal.waiting.is_empty(), "entries wait for a disk that works");
        for (report, (name, n, coil)) in self.doors().iter().zip(DOORS) {
            let is_driven = self.boards[n].is_driven(coil, self.mono);
            let mode = report.mode.as_str();
            assert_eq!(
                is_driven,
                report.mode.is_open(),
                "{name} is {mode}, and its coil is driven: {is_driven}"
            );
            let lock = if is_driven { LockState::Released } else { LockState::Secure };
            // What the board did not confirm is not known until it confirms again, and shown as a fault meanwhile.
            let is_doubted = report.lock == LockState::Unknown && report.fault.is_some();
            assert!(report.lock == lock || is_doubted, "{name} is {mode}, and shown as {:?}", report.lock);
        }
        assert!(!self.is_burning(), "an alarm nobody raises");
    }

    /// Locked down where everything works, a door is locked within moments, but for who leaves.
    pub fn lock_down_all(&mut self) {
        let works = self.boards.iter().all(|board| board.is_up && !board.fails) && !self.is_burning();
        (0..DOORS.len()).for_each(|door| self.order(door, (DoorAction::LockDown, None)));
        self.later(Duration::from_secs(2));
        if !works || self.is_burning() {
            return;
        }
        for (door, (report, (name, n, coil))) in self.doors().iter().zip(DOORS).enumerate() {
            let leaves = self.exits[door].is_some_and(|at| self.mono - at < STRIKE + Duration::from_secs(2));
            if report.mode == DoorMode::LockedDown && !leaves {
                assert!(!self.boards[n].is_driven(coil, self.mono), "{name} is locked down and driven");
            }
        }
    }
}

/// Board, contact and button of a door: on its own board, but on the other one for the last.
fn wires(door: usize) -> (usize, u8, u8) {
    let (_, board, coil) = DOORS[door];
    let board = if door == DOORS.len() - 1 { 1 - board } else { board };
    // The last one's are behind the others'.
    let first = if door == DOORS.len() - 1 { 4 } else { 2 * coil };
    (board, first, first + 1)
}

fn hasher() -> UidHasher {
    UidHasher::new(&[7; 32])
}

fn reading(mono: Duration, off_s: i64, synchronised: bool) -> Reading {
    let wall = At::parse(START).unwrap().plus_s(mono.as_secs() as i64 - 1000 + off_s);
    let wall = At::from_parts(wall.secs(), mono.subsec_nanos()).unwrap();
    Reading { mono: Mono(mono), wall, synchronised }
}

fn restored(journal: &Journal) -> Restored {
    let mut index = Index::new(settings().places());
    records().iter().for_each(|value| index.apply(None, Some(&record(value, &hasher()).unwrap())));
    let seq = journal.durable.len() as u64;
    let trusted = |entry: &&Entry| entry.clock != Some(ClockNote::Untrusted);
    let at = journal.durable.iter().rev().find(trusted).map(|entry| entry.at);
    let on_disk = (seq > 0).then(|| Recorded::attest(seq));
    Restored {
        index,
        position: Position::default(),
        let_in: LetIn::default(),
        heard: Heard { central_at: At::parse(START).ok() },
        journal: JournalEnd { id: "j".into(), seq, at, on_disk, ..JournalEnd::default() },
        modes: journal.modes(),
        commands: CommandsTaken::default(),
        known: Known::default(),
        cards: BTreeMap::new(),
        remarks: Vec::new(),
    }
}

fn records() -> Vec<Value> {
    let card = |id: &str, uid: &str, holder: &str| json!({ "type": "credential", "id": id, "uid": uid, "holder": holder, "status": "active" });
    let mut slow = card("c-3", CARDS[2], "m-3");
    slow["extended_time"] = true.into();
    let always = |id: &str, holder: &str| json!({ "type": "grant", "id": id, "kind": "standing", "holder": holder, "zones": ["all"] });
    vec![
        card("c-1", CARDS[0], "m-1"),
        card("c-2", CARDS[1], "m-2"),
        slow,
        always("g-1", "m-1"),
        json!({ "type": "grant", "id": "g-2", "kind": "room", "holder": "m-2", "booking": "b-1", "zones": ["all"],
                "starts_at": "2026-11-23T09:00:00Z", "ends_at": "2026-11-23T10:00:00Z" }),
        always("g-3", "m-3"),
    ]
}

fn settings() -> Settings {
    let input =
        |n: usize, input| InputSettings { board: BoardId::new(BOARDS[n]).unwrap(), input, invert: false };
    let relock = [RelockOn::Open, RelockOn::Timer, RelockOn::Close, RelockOn::Open];
    let door = |(n, (name, board, coil)): (usize, (&str, usize, u8))| {
        let (wired_to, contact, button) = wires(n);
        DoorSettings {
            id: DoorId::new(name).unwrap(),
            name: name.into(),
            zones: vec![ZoneId::new("all").unwrap()],
            board: BoardId::new(BOARDS[board]).unwrap(),
            coil,
            strike: STRIKE,
            extended: EXTENDED,
            leaf: LeafRules {
                seen_within: Duration::from_millis(200),
                held_open: Duration::from_secs(30),
                held_open_extended: Duration::from_secs(90),
                pre_alarm: Duration::from_secs(10),
            },
            relock_on: relock[n],
            contact: Some(input(wired_to, contact)),
            rex: Some(RexSettings { input: input(wired_to, button), unlocks: true }),
            building_hours_only: false,
            release_on_fire: n != 1,
            unlock_schedule: None,
            first_person_in: false,
            max_stale: None,
        }
    };
    let reader = |(name, ..): (&str, usize, u8)| ReaderSettings {
        id: ReaderId::new(name).unwrap(),
        door: DoorId::new(name).unwrap(),
        direction: Direction::In,
        driver: "pn532",
        is_insecure: false,
    };
    let board = |id: &str| BoardSettings {
        id: BoardId::new(id).unwrap(),
        url: "modbus+tcp://x".into(),
        times_pulses: true,
    };
    Settings {
        controller: ControllerId::new("oslo-1").unwrap(),
        version: "0.0.0",
        zone: "Europe/Oslo".parse().unwrap(),
        doors: DOORS.into_iter().enumerate().map(door).collect(),
        readers: DOORS.map(reader).to_vec(),
        boards: BOARDS.map(board).to_vec(),
        fire: Some(input(1, FIRE)),
        clock: ClockSettings { require_sync: true, holdover: Duration::from_secs(7 * 86_400) },
        release_wait: RELEASE_WAIT,
        stale_after: Duration::from_secs(86_400),
        broker: "mqtt://broker".into(),
    }
}
