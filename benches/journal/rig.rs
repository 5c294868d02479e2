//! The controller and the journal's thread, without readers and boards: taps go in, pulses come out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use latchd::{
    control::{
        Action, BoardCommand, BoardEvent, Controller, Event, JournalCommand, JournalEvent, ReaderEvent,
        Warrant,
        clock::{ClockSettings, Reading},
        commands_taken::CommandsTaken,
        controller::{JournalEnd, Known, Restored},
        index::Index,
        leaf::LeafRules,
        let_in::LetIn,
        settings::{BoardSettings, DoorSettings, ReaderSettings, RelockOn, Settings},
    },
    domain::{BoardId, ControllerId, Direction, DoorId, EntryKind, ReaderId, Uid, ZoneId},
    drivers::{
        clock,
        store::{
            journal::{self, Journal, Opened},
            mark::MarkFile,
        },
    },
    wire::{
        UidHasher,
        stored::{CommandsFrom, Heard, Position},
    },
};
use tokio::sync::mpsc::{Receiver, channel};

use super::large::{CONTROLLER, KNOWN_UID, known, now};

/// `journal.release_wait_ms`, by default.
const RELEASE_WAIT: Duration = Duration::from_millis(20);

/// What came of it.
pub struct Done {
    /// Nanoseconds from each tap to the command to its board.
    pub waits: Vec<u64>,
    pub took: Duration,
    pub syncs: usize,
    pub late: usize,
    /// Late ones whose entries do not say so.
    pub unsaid: usize,
}

pub struct Rig {
    controller: Controller,
    journal: Journal,
    events: Receiver<Event>,
    entries: VecDeque<JournalCommand>,
    state: PathBuf,
    doors: usize,
    uid: Uid,
    /// When each tap came that waits to be let in, by the number of its entry.
    tapped: BTreeMap<u64, Instant>,
    /// When the tap came that is being handled.
    came: Instant,
    /// Doors let in since this was looked at.
    let_in: Vec<usize>,
    late: BTreeSet<u64>,
    /// Tickets the board has yet to confirm.
    driven: Vec<u64>,
    runtime: tokio::runtime::Runtime,
    done: Done,
}

impl Rig {
    pub fn new(state: &Path, doors: usize) -> Self {
        let hasher = UidHasher::new(&[7; 32]);
        let settings = settings(doors);
        let (mark, _) = MarkFile::open(state, &settings.controller).unwrap();
        let config = journal::Config {
            state_dir: state.to_owned(),
            controller: settings.controller.clone(),
            keep: Duration::from_secs(90 * 86_400),
            max_events: 5_000_000,
        };
        let opened = Opened::open(config, &mark.get()).unwrap();
        let mut index = Index::new(settings.places());
        known(&hasher).iter().for_each(|record| index.apply(None, Some(record)));
        let restored = Restored {
            index,
            position: Position::default(),
            let_in: LetIn::default(),
            heard: Heard::default(),
            journal: JournalEnd { id: opened.id.clone(), ..JournalEnd::default() },
            modes: BTreeMap::new(),
            commands: CommandsTaken::new(Vec::new(), CommandsFrom::Ever),
            known: Known::default(),
            cards: BTreeMap::new(),
            remarks: Vec::new(),
        };
        let (told, events) = channel(1024);
        let journal = journal::spawn(opened, Arc::new(mark), [7; 32], told).unwrap();
        let (controller, first) = Controller::new(settings, hasher, restored, reading());
        let mut rig = Rig {
            controller,
            journal,
            events,
            entries: VecDeque::new(),
            state: state.to_owned(),
            doors,
            uid: Uid::parse(KNOWN_UID).unwrap(),
            tapped: BTreeMap::new(),
            came: now(),
            let_in: Vec::new(),
            late: BTreeSet::new(),
            driven: Vec::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
            done: Done { waits: Vec::new(), took: Duration::ZERO, syncs: 0, late: 0, unsaid: 0 },
        };
        rig.carry_out(first);
        let what = BoardEvent::Connected { detail: "bench".into(), inputs: Default::default() };
        rig.handle(Event::Board { board: board(), what });
        rig.wait(Duration::from_millis(200));
        rig.done.syncs = 0;
        rig
    }

    /// So many taps a second, at times by lot, each at the next door.
    pub fn tap_at(&mut self, rate: f64, duration: Duration) {
        let (begin, mut due, mut lot, mut door) = (now(), Duration::ZERO, 1_u64, 0);
        while due < duration {
            self.serve_until(begin + due);
            self.tap(door % self.doors);
            door += 1;
            lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = ((lot >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
            due += Duration::from_secs_f64(-random.ln() / rate);
        }
        self.finish(begin);
    }

    /// Each door as soon as its last tap was let in.
    pub fn tap_at_once(&mut self, duration: Duration) {
        let begin = now();
        (0..self.doors).for_each(|door| self.tap(door));
        while begin.elapsed() < duration {
            self.wait(Duration::from_millis(5));
            for door in std::mem::take(&mut self.let_in) {
                self.tap(door);
            }
        }
        self.finish(begin);
    }

    /// Lets what waits come to its end.
    fn finish(&mut self, begin: Instant) {
        while !self.tapped.is_empty() {
            self.wait(Duration::from_millis(5));
        }
        self.done.took = begin.elapsed();
    }

    pub fn stop(self) -> Done {
        let Rig { journal, mut events, mut done, late, state, .. } = self;
        // The journal's thread hands over what it has recorded, to the end.
        events.close();
        drop(journal);
        done.late = late.len();
        let lines = lines(&state);
        let said = lines.iter().filter(|line| line.contains("\"late\":true")).count();
        done.unsaid = late.len().saturating_sub(said);
        let granted = lines.iter().filter(|line| line.contains("\"access.granted\"")).count();
        assert_eq!(granted, done.waits.len(), "every tap is in the journal, once");
        done
    }

    fn tap(&mut self, door: usize) {
        self.came = now();
        let what = ReaderEvent::Tap(self.uid);
        self.handle(Event::Reader { reader: reader_id(door), what });
    }

    fn serve_until(&mut self, until: Instant) {
        while let Some(left) = until.checked_duration_since(now()).filter(|left| !left.is_zero()) {
            self.wait(left);
        }
    }

    /// Waits for the journal, at most so long, and no longer than the controller's own deadline.
    fn wait(&mut self, most: Duration) {
        let due = self.controller.next_deadline().map(|at| at.since(clock::mono()));
        let most = due.map_or(most, |due| due.min(most));
        let Rig { runtime, events, .. } = self;
        match runtime.block_on(async { tokio::time::timeout(most, events.recv()).await }) {
            Ok(Some(event)) => self.handle(event),
            Ok(None) => unreachable!("the journal's thread has ended"),
            Err(_) => self.handle(Event::Tick),
        }
    }

    fn handle(&mut self, event: Event) {
        if matches!(event, Event::Journal(JournalEvent::Recorded(_))) {
            self.done.syncs += 1;
        }
        let actions = self.controller.handle(reading(), event);
        self.carry_out(actions);
        for ticket in std::mem::take(&mut self.driven) {
            let event = Event::Board { board: board(), what: BoardEvent::Pulsed { ticket } };
            let actions = self.controller.handle(reading(), event);
            self.carry_out(actions);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Journal(command) => {
                    if let JournalCommand::Append(entry) = &command
                        && matches!(entry.kind, EntryKind::AccessGranted(_))
                    {
                        self.tapped.insert(entry.seq, self.came);
                    }
                    self.entries.push_back(command);
                }
                Action::Board { command: BoardCommand::Pulse { coil, warrant, ticket, .. }, .. } => {
                    self.pulse(usize::from(coil), warrant, ticket);
                }
                // Nobody is there for the rest.
                Action::Board { .. }
                | Action::Feedback { .. }
                | Action::Cache(_)
                | Action::Uplink(_)
                | Action::Answer { .. }
                | Action::Discard(_) => {}
            }
        }
        self.journal.send(&mut self.entries);
    }

    fn pulse(&mut self, door: usize, warrant: Warrant, ticket: u64) {
        if let Warrant::Late { seq } = warrant {
            self.late.insert(seq);
        }
        let at = now();
        self.driven.push(ticket);
        // A board is asked under the number of the entry, with the door's in front of it.
        let seq = ticket & ((1 << 48) - 1);
        if let Some(tapped) = self.tapped.remove(&seq) {
            self.done.waits.push((at - tapped).as_nanos() as u64);
            self.let_in.push(door);
        }
    }
}

fn reading() -> Reading {
    Reading { mono: clock::mono(), wall: clock::wall(), synchronised: true }
}

fn lines(state: &Path) -> Vec<String> {
    let files = std::fs::read_dir(state.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let segments = files.filter(|file| file.extension().is_some_and(|e| e == "jsonl"));
    let text = segments.map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>();
    text.lines().map(str::to_owned).collect()
}

fn board() -> BoardId {
    BoardId::new("board-1").unwrap()
}

fn door_id(door: usize) -> DoorId {
    DoorId::new(&format!("door-{door}")).unwrap()
}

fn settings(doors: usize) -> Settings {
    let door = |n: usize| DoorSettings {
        id: door_id(n),
        name: format!("Door {n}"),
        zones: vec![ZoneId::new("perimeter").unwrap()],
        board: board(),
        coil: n as u8,
        strike: Duration::from_secs(5),
        extended: Duration::from_secs(15),
        leaf: LeafRules {
            seen_within: Duration::from_millis(200),
            held_open: Duration::from_secs(30),
            held_open_extended: Duration::from_secs(90),
            pre_alarm: Duration::from_secs(10),
        },
        relock_on: RelockOn::Timer,
        contact: None,
        rex: None,
        building_hours_only: false,
        release_on_fire: false,
        unlock_schedule: None,
        first_person_in: false,
        max_stale: None,
    };
    let reader = |n| ReaderSettings {
        id: reader_id(n),
        door: door_id(n),
        direction: Direction::In,
        driver: "pn532",
        is_insecure: false,
    };
    Settings {
        controller: ControllerId::new(CONTROLLER).unwrap(),
        version: "0.0.0",
        zone: "Europe/Oslo".parse().unwrap(),
        doors: (0..doors).map(door).collect(),
        readers: (0..doors).map(reader).collect(),
        boards: vec![BoardSettings { id: board(), url: "modbus+tcp://bench".into(), times_pulses: true }],
        fire: None,
        clock: ClockSettings { require_sync: false, holdover: Duration::from_secs(86_400) },
        release_wait: RELEASE_WAIT,
        stale_after: Duration::from_secs(86_400),
        broker: "mqtt://bench".into(),
    }
}

fn reader_id(door: usize) -> ReaderId {
    ReaderId::new(&format!("reader-{door}")).unwrap()
}
