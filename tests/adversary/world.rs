//! The controller in its world: time that is told, a disk that is a model, and the checks that hold after every step.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use latchd::{
    control::{
        Action, BoardCommand, BoardEvent, CacheCommand, CacheEvent, Controller, Event, JournalCommand,
        JournalEvent, ReaderEvent, Recorded, UplinkCommand, UplinkEvent,
        clock::{ClockSettings, Reading},
        leaf::LeafRules,
        settings::{BoardSettings, DoorSettings, ReaderSettings, RelockOn, Settings},
    },
    domain::{At, BoardId, ControllerId, Direction, DoorId, Entry, Mono, ReaderId, Uid, ZoneId},
    wire::{UidHasher, control::GrantQuery, outgoing::Sync},
};

use super::{
    central::{CONTROLLER, Central, uid},
    disk::Disk,
    link::Link,
};
use crate::seeds::Lot;

const START: &str = "2026-11-23T09:00:00Z";
/// What one event may ask for.
const MOST_ACTIONS: usize = 64;
/// What the controller has said and central has not heard; the oldest are forgotten.
const MOST_HEARD_LATE: usize = 64;

pub struct World {
    pub lot: Lot,
    pub mono: Duration,
    pub controller: Controller,
    pub disk: Disk,
    pub central: Central,
    pub link: Link,
    /// What the cache has not done yet, and for which message.
    pub at_cache: Option<(u64, CacheCommand)>,
    /// What is on disk, and the controller has not been told.
    pub done: Option<CacheEvent>,
    /// Entries that are not on disk yet.
    pub written: VecDeque<Entry>,
    pub syncs: VecDeque<Sync>,
    pub events: VecDeque<Vec<Entry>>,
    pub crashes: u64,
    /// How far the feed was when looked at last.
    seen: (u64, u64),
}

impl World {
    pub fn new(seed: u64) -> Self {
        let hasher = UidHasher::new(&[7; 32]);
        let (mut disk, mono) = (Disk::default(), Duration::from_secs(1000));
        let (controller, actions) = start(&mut disk, mono);
        let mut world = World {
            lot: Lot::new(seed),
            mono,
            controller,
            disk,
            central: Central::new(hasher),
            link: Link::default(),
            at_cache: None,
            done: None,
            written: VecDeque::new(),
            syncs: VecDeque::new(),
            events: VecDeque::new(),
            crashes: 0,
            seen: (0, 0),
        };
        world.carry_out(actions);
        world
    }

    pub fn happens(&mut self, event: Event) {
        let actions = self.controller.handle(reading(self.mono), event);
        assert!(actions.len() <= MOST_ACTIONS, "{} actions at once", actions.len());
        self.carry_out(actions);
    }

    pub fn says(&mut self, what: UplinkEvent) {
        self.happens(Event::Uplink(what));
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Action::Journal(command) = action {
                self.keep(command);
            } else if let Action::Cache(command) = action {
                self.hand_to_cache(command);
            } else if let Action::Uplink(command) = action {
                self.say(command);
            } else if let Action::Board { board, command } = action {
                self.drive(&board, &command);
            }
        }
        if std::mem::take(&mut self.link.is_undone) {
            self.disconnect();
        }
    }

    fn keep(&mut self, command: JournalCommand) {
        match command {
            JournalCommand::Append(entry) => {
                let next = (self.disk.journal.len() + self.written.len()) as u64 + 1;
                assert_eq!(entry.seq, next, "a number left out, or used twice");
                self.written.push_back(entry);
            }
            JournalCommand::Acknowledged { through } => {
                assert!(through <= self.central.ledger.len() as u64, "central has not stored that");
                self.disk.acknowledged = through;
            }
            JournalCommand::MarkLate { .. } | JournalCommand::Keep { .. } | JournalCommand::Sign => {}
        }
    }

    fn hand_to_cache(&mut self, command: CacheCommand) {
        if matches!(command, CacheCommand::Note(_)) {
            return;
        }
        assert!(self.at_cache.is_none() && self.done.is_none(), "two messages at the cache");
        let token = self.link.offered.expect("the message is not acknowledged yet");
        self.at_cache = Some((token, command));
    }

    fn say(&mut self, command: UplinkCommand) {
        if self.link.is_undone {
            return;
        }
        assert!(self.link.is_up, "said without a connection: {command:?}");
        if let UplinkCommand::Done { token } = command {
            let under_way = self.at_cache.as_ref().is_some_and(|(at_cache, _)| *at_cache == token);
            assert!(!under_way, "acknowledged, and not on disk");
            self.link.done(token);
        } else if matches!(command, UplinkCommand::Undone) {
            self.link.is_undone = true;
        } else if let UplinkCommand::Sync(sync) = command {
            self.check_sync(&sync);
            self.syncs.push_back(sync);
            if self.syncs.len() > MOST_HEARD_LATE {
                self.syncs.pop_front();
            }
        } else if let UplinkCommand::SendEvents { from, through } = command {
            self.send_events(from, through);
        }
    }

    /// As the link does: what one message has room for, and how far that went.
    fn send_events(&mut self, from: u64, through: u64) {
        assert!(through <= self.disk.journal.len() as u64, "sent before it was on disk");
        assert!(through - from < 500, "more than a message may hold");
        let room = if self.lot.one_in(4) { self.lot.of(1..20) } else { 500 };
        let last = through.min(from + room - 1);
        self.events.push_back(self.disk.journal[from as usize - 1..last as usize].to_vec());
        if self.events.len() > MOST_HEARD_LATE {
            self.events.pop_front();
        }
        self.says(UplinkEvent::Sent { through: last });
    }

    /// A board that does as it is told.
    fn drive(&mut self, board: &BoardId, command: &BoardCommand) {
        let BoardCommand::Pulse { ticket, .. } = command else { return };
        for what in
            [BoardEvent::Pulsed { ticket: *ticket }, BoardEvent::Ended { ticket: *ticket, by_board: true }]
        {
            self.happens(Event::Board { board: board.clone(), what });
        }
    }

    pub fn later(&mut self, time: Duration) {
        self.mono += time;
        self.happens(Event::Tick);
    }

    pub fn tap(&mut self) {
        let what = ReaderEvent::Tap(Uid::parse(&uid(self.lot.of(0..8))).expect("a UID"));
        self.happens(Event::Reader { reader: ReaderId::new("entrance-in").expect("an id"), what });
    }

    /// Some of what was appended is on disk now.
    pub fn flush_journal(&mut self, count: usize) {
        let count = count.min(self.written.len());
        self.disk.journal.extend(self.written.drain(..count));
        if count > 0 {
            let seq = self.disk.journal.len() as u64;
            self.happens(Event::Journal(JournalEvent::Recorded(Recorded::attest(seq))));
        }
    }

    /// The cache does what it was told; the controller is not told yet.
    pub fn store(&mut self) {
        if let Some((_, command)) = self.at_cache.take() {
            self.done = self.disk.carry_out(command, &settings().places());
        }
    }

    pub fn tell_stored(&mut self) {
        if let Some(event) = self.done.take() {
            self.happens(Event::Cache(event));
        }
    }

    /// The disk is full, say.
    pub fn fail_to_store(&mut self) {
        if self.at_cache.take().is_some() {
            self.happens(Event::Cache(CacheEvent::Failed { detail: "no space".into() }));
        }
    }

    pub fn connect(&mut self, is_resumed: bool) {
        if !std::mem::replace(&mut self.link.is_up, true) {
            self.says(UplinkEvent::Connected { detail: "broker:1883".into(), is_resumed });
        }
    }

    pub fn disconnect(&mut self) {
        if std::mem::replace(&mut self.link.is_up, false) {
            self.link.offered = None;
            self.says(UplinkEvent::Disconnected { detail: "gone".into() });
        }
    }

    /// What is not on disk is gone, and it starts again.
    pub fn crash(&mut self) {
        self.crashes += 1;
        (self.at_cache, self.done) = (None, None);
        self.written.clear();
        (self.link.is_up, self.link.offered) = (false, None);
        // That events were acknowledged is written down when there is time.
        self.disk.acknowledged -= self.lot.of(0..self.disk.acknowledged + 1).min(5);
        let (controller, actions) = start(&mut self.disk, self.mono);
        self.controller = controller;
        self.carry_out(actions);
    }

    /// What must be so whatever has happened.
    pub fn check(&mut self) {
        let report = self.controller.sync_report();
        let position = (report.epoch, report.applied);
        assert!(position >= self.seen, "it went back from {:?} to {position:?}", self.seen);
        self.seen = position;
        let on_disk = (self.disk.position.epoch, self.disk.position.applied);
        assert!(position <= on_disk, "{position:?} is in force, and {on_disk:?} on disk");
        let fold = self.central.fold(position.0, position.1).expect("central was never there");
        assert_eq!(self.shown(), fold.lines, "what is in force at {position:?}");
        assert_eq!(report.digest, fold.digest, "the digest at {position:?}");
    }

    fn check_sync(&self, sync: &Sync) {
        let fold = self.central.fold(sync.epoch, sync.applied).expect("central was never there");
        assert_eq!(sync.digest.to_string(), fold.digest, "what `sync` claims at {}", sync.applied);
        let on_disk = (self.disk.position.epoch, self.disk.position.applied);
        assert!((sync.epoch, sync.applied) <= on_disk, "it claims what is not on disk");
    }

    /// What the controller decides from, in the lines of a [`super::central::Fold`].
    fn shown(&self) -> BTreeSet<String> {
        let (credentials, _) = self.controller.credentials(None, 0);
        let (grants, _) = self.controller.grants(&GrantQuery::default(), reading(self.mono), 0);
        let status = |c: &latchd::wire::control::CredentialReport| {
            serde_json::to_value(c.status).expect("a status").as_str().expect("a text").to_owned()
        };
        let cards = credentials.iter().map(|c| {
            format!("{} {} {} {} ", c.id, c.holder, status(c), c.label.as_deref().unwrap_or_default())
        });
        let booking =
            |b: &Option<latchd::domain::BookingId>| b.as_ref().map_or("", |b| b.as_str()).to_owned();
        let grants = grants.iter().map(|g| format!("{} {}   {}", g.id, g.holder, booking(&g.booking)));
        cards.chain(grants).collect()
    }
}

pub fn reading(mono: Duration) -> Reading {
    let wall = At::parse(START).expect("an instant").plus_s(mono.as_secs() as i64);
    let wall = At::from_parts(wall.secs(), mono.subsec_nanos()).expect("an instant");
    Reading { mono: Mono(mono), wall, synchronised: true }
}

fn start(disk: &mut Disk, mono: Duration) -> (Controller, Vec<Action>) {
    let settings = settings();
    let restored = disk.restored(&settings.places());
    Controller::new(settings, UidHasher::new(&[7; 32]), restored, reading(mono))
}

fn settings() -> Settings {
    let (door, board) = (DoorId::new("entrance").expect("an id"), BoardId::new("b-1").expect("an id"));
    let entrance = DoorSettings {
        id: door.clone(),
        name: "Entrance".into(),
        zones: vec![ZoneId::new("perimeter").expect("an id")],
        board: board.clone(),
        coil: 0,
        strike: Duration::from_secs(5),
        extended: Duration::from_secs(15),
        leaf: LeafRules {
            seen_within: Duration::from_millis(200),
            held_open: Duration::from_secs(30),
            held_open_extended: Duration::from_secs(90),
            pre_alarm: Duration::from_secs(10),
        },
        relock_on: RelockOn::Open,
        unlock_schedule: None,
        first_person_in: false,
        contact: None,
        rex: None,
        building_hours_only: false,
        release_on_fire: false,
        max_stale: None,
    };
    let reader = ReaderId::new("entrance-in").expect("an id");
    Settings {
        controller: ControllerId::new(CONTROLLER).expect("an id"),
        version: "0.0.0",
        zone: "Europe/Oslo".parse().expect("a zone"),
        doors: vec![entrance],
        readers: vec![ReaderSettings {
            id: reader,
            door,
            direction: Direction::In,
            driver: "pn532",
            is_insecure: false,
        }],
        boards: vec![BoardSettings { id: board, url: "modbus+tcp://x".into(), times_pulses: true }],
        fire: None,
        clock: ClockSettings { require_sync: true, holdover: Duration::from_secs(7 * 86_400) },
        release_wait: Duration::from_millis(20),
        stale_after: Duration::from_secs(86_400),
        broker: "mqtt://broker".into(),
    }
}
