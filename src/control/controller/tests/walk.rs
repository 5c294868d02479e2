//! Random sequences of everything that can happen: no strike without its warrant, no gap, nothing piling up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// One thing that happens. Numbers pick among what is possible then.
#[derive(Debug, Clone)]
enum Step {
    Wait {
        ms: u64,
    },
    Tap {
        reader: usize,
        card: usize,
    },
    /// The journal gets so many entries further.
    Record(u64),
    Confirm(usize),
    Fail(usize),
    End(usize),
    Inputs {
        board: usize,
        levels: u64,
    },
    BoardUp(usize),
    BoardLost(usize),
    Central(Central),
    Order {
        door: usize,
        order: usize,
    },
    Clock {
        synchronised: bool,
        off_s: i64,
    },
}

/// What comes over the link, and from the cache that it goes to.
#[derive(Debug, Clone)]
enum Central {
    Connect,
    Disconnect,
    Change { first: u64, count: u64 },
    Stored,
    NotStored,
    Ack(u64),
}

fn central() -> impl Strategy<Value = Central> {
    prop_oneof![
        1 => Just(Central::Connect),
        1 => Just(Central::Disconnect),
        2 => (0..4u64, 1..3u64).prop_map(|(first, count)| Central::Change { first, count }),
        2 => Just(Central::Stored),
        1 => Just(Central::NotStored),
        1 => (0..4u64).prop_map(Central::Ack),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..8usize;
    prop_oneof![
        4 => prop_oneof![Just(0u64), Just(1), Just(19), Just(20), Just(21), Just(1000), 0..100_000u64].prop_map(|ms| Step::Wait { ms }),
        4 => (0..3usize, 0..5usize).prop_map(|(reader, card)| Step::Tap { reader, card }),
        4 => (1..4u64).prop_map(Step::Record),
        2 => few.clone().prop_map(Step::Confirm),
        1 => few.clone().prop_map(Step::Fail),
        2 => few.clone().prop_map(Step::End),
        2 => (0..2usize, 0..4u64, any::<bool>())
            .prop_map(|(board, levels, fire)| Step::Inputs { board, levels: levels | u64::from(fire) << 7 }),
        1 => (0..2usize).prop_map(Step::BoardUp),
        1 => (0..2usize).prop_map(Step::BoardLost),
        8 => central().prop_map(Step::Central),
        3 => (0..3usize, 0..ORDERS.len()).prop_map(|(door, order)| Step::Order { door, order }),
        1 => (any::<bool>(), prop_oneof![Just(0i64), Just(-7200), Just(7200)])
            .prop_map(|(synchronised, off_s)| Step::Clock { synchronised, off_s }),
    ]
}

/// What stands outside of the controller, and what has been seen of it.
struct Outside {
    rig: Rig,
    /// Entries by number, with when they were appended.
    appended: BTreeMap<u64, (String, Duration)>,
    on_disk: u64,
    /// Tickets the boards have not answered, and those that run.
    asked: Vec<(String, BoardCommand)>,
    running: Vec<(String, u64)>,
    driven: BTreeSet<u64>,
    /// Those driven before their entry was on disk, which has been said.
    late: BTreeSet<u64>,
    at_cache: Option<u64>,
    applied: u64,
    token: u64,
}

const ORDERS: [&str; 11] = [
    "access",
    "lock",
    "unlock",
    "unlock 30",
    "block",
    "unblock",
    "lock_down",
    "lock_down_release",
    "lock_open",
    "lock_open 30",
    "lock_open_release",
];
const READERS: [&str; 3] = ["entrance-in", "side-in", "vault-in"];
const CARDS: [&str; 5] = [HOST, GUEST, OTHER_GUEST, SLOW, STRANGER];
const BOARDS: [&str; 2] = ["b-1", "b-2"];

impl Outside {
    fn new() -> Self {
        let mut rig = Rig::new();
        let started = std::mem::take(&mut rig.started);
        let mut outside = Outside {
            rig,
            appended: BTreeMap::new(),
            on_disk: 0,
            asked: Vec::new(),
            running: Vec::new(),
            driven: BTreeSet::new(),
            late: BTreeSet::new(),
            at_cache: None,
            applied: 10,
            token: 0,
        };
        outside.check(&started);
        outside
    }

    fn happens(&mut self, event: Event) {
        let actions = self.rig.handle(event);
        self.check(&actions);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Wait { ms } => {
                self.rig.later_ms(ms);
                self.happens(Event::Tick);
            }
            Step::Tap { reader, card } => {
                let what = ReaderEvent::Tap(Uid::parse(CARDS[card]).unwrap());
                self.happens(Event::Reader { reader: ReaderId::new(READERS[reader]).unwrap(), what });
            }
            Step::Record(count) => {
                let newest = self.appended.keys().next_back().copied().unwrap_or(0);
                self.on_disk = (self.on_disk + count).min(newest);
                self.happens(Event::Journal(JournalEvent::Recorded(Recorded::attest(self.on_disk))));
            }
            Step::Confirm(n) => self.answer(n, true),
            Step::Fail(n) => self.answer(n, false),
            Step::End(n) if n < self.running.len() => {
                let (board, ticket) = self.running.remove(n);
                self.board(&board, BoardEvent::Ended { ticket, by_board: n % 2 == 0 });
            }
            Step::Inputs { board, levels } => self.board(BOARDS[board], BoardEvent::Inputs(Inputs(levels))),
            Step::BoardUp(n) => {
                let up = BoardEvent::Connected { detail: "up".into(), inputs: Inputs(n as u64) };
                self.board(BOARDS[n], up);
            }
            Step::BoardLost(n) => self.board(BOARDS[n], BoardEvent::Lost { detail: "gone".into() }),
            Step::Order { door, order } => {
                let door = DoorId::new(["entrance", "side", "vault"][door]).unwrap();
                let (action, for_s) =
                    ORDERS[order].split_once(' ').map_or((ORDERS[order], None), |(a, s)| (a, s.parse().ok()));
                let order = DoorOrder::new(DoorAction::parse(action).unwrap(), for_s).unwrap();
                let request = OperatorRequest::Door { door, order, reason: None };
                self.happens(Event::Operator(OperatorEvent { token: 1, by: "anna".into(), request }));
            }
            Step::Clock { synchronised, off_s } => {
                (self.rig.synchronised, self.rig.wall_off_s) = (synchronised, off_s);
                self.happens(Event::Tick);
            }
            Step::End(_) => {}
            Step::Central(ref central) => self.central(central),
        }
    }

    fn central(&mut self, what: &Central) {
        match *what {
            Central::Connect => {
                self.happens(Event::Uplink(UplinkEvent::Connected { detail: "up".into(), is_resumed: true }))
            }
            Central::Disconnect => {
                self.happens(Event::Uplink(UplinkEvent::Disconnected { detail: "?".into() }))
            }
            Central::Change { first, count } => {
                self.token += 1;
                let first = self.applied + first;
                let change = json!({"delete": {"type": "grant", "id": "g-none"}});
                let changes: Vec<Value> = (0..count).map(|_| change.clone()).collect();
                let message = json!({"controller": "oslo-1", "epoch": 3, "first": first, "last": first + count - 1, "changes": changes});
                let own = ControllerId::new("oslo-1").unwrap();
                let message = feed(message.to_string().as_bytes(), &own, &self.rig.hasher);
                self.happens(Event::Uplink(UplinkEvent::Feed { token: self.token, again: false, message }));
            }
            Central::Stored => {
                if let Some(applied) = self.at_cache.take() {
                    self.applied = applied;
                    let position = Position { epoch: 3, applied, ..Position::default() };
                    let done = Applied { position, replaced: Vec::new(), conflicts: Vec::new() };
                    self.happens(Event::Cache(CacheEvent::Applied(done)));
                }
            }
            Central::NotStored => {
                if self.at_cache.take().is_some() {
                    self.happens(Event::Cache(CacheEvent::Failed { detail: "full".into() }));
                }
            }
            Central::Ack(behind) => {
                let message =
                    Ok(Ack { journal: JOURNAL.into(), through: self.on_disk.saturating_sub(behind) });
                self.happens(Event::Uplink(UplinkEvent::Ack { message }));
            }
        }
    }

    fn board(&mut self, board: &str, what: BoardEvent) {
        self.happens(Event::Board { board: BoardId::new(board).unwrap(), what });
    }

    /// The board answers what it was asked: as it should, or that it failed.
    fn answer(&mut self, n: usize, well: bool) {
        if n >= self.asked.len() {
            return;
        }
        let (board, command) = self.asked.remove(n);
        let ticket = command.ticket();
        let what = match command {
            _ if !well => BoardEvent::Failed { ticket, detail: "?".into() },
            BoardCommand::Secure { .. } => BoardEvent::Secured { ticket },
            BoardCommand::Pulse { .. } => {
                self.running.push((board.clone(), ticket));
                BoardEvent::Pulsed { ticket }
            }
        };
        self.board(&board, what);
    }

    fn check(&mut self, actions: &[Action]) {
        for (n, action) in actions.iter().enumerate() {
            if let Action::Journal(JournalCommand::Append(entry)) = action {
                let next = self.appended.keys().next_back().map_or(1, |last| last + 1);
                assert_eq!(entry.seq, next, "a gap, or a number used twice");
                self.appended.insert(entry.seq, (kind(entry), self.rig.mono));
            }
            if let Action::Journal(JournalCommand::MarkLate { seq }) = action {
                self.late.insert(*seq);
            }
            if let Action::Board { board, command } = action {
                self.check_pulse(board, command, actions.get(n + 1));
                self.asked.push((board.to_string(), command.clone()));
            }
            if let Action::Cache(CacheCommand::Apply { applied, .. }) = action {
                assert_eq!(self.at_cache.replace(*applied), None, "two messages at the cache");
            }
            if let Action::Uplink(UplinkCommand::SendEvents { through, .. }) = action {
                assert!(*through <= self.on_disk, "sent before it was on disk");
            }
        }
        let controller = &self.rig.controller;
        let overdue = controller.waiting.values().find(|w| w.deadline <= Mono(self.rig.mono));
        assert!(overdue.is_none(), "a door waits longer than it may");
        assert!(controller.pulses.len() <= self.asked.len() + self.running.len(), "pulses pile up");
    }

    fn check_pulse(&mut self, board: &BoardId, command: &BoardCommand, after: Option<&Action>) {
        let BoardCommand::Pulse { ticket, coil, warrant, hold } = command else { return };
        let at = |d: &DoorSettings| d.board == *board && d.coil == *coil;
        let door = self.rig.controller.settings.doors.iter().position(at).unwrap();
        let held_by_fire = self.rig.controller.doors[door].is_held_by_fire();
        if *warrant == Warrant::Fire {
            let marked = self.rig.controller.settings.doors[door].release_on_fire;
            assert!(marked && held_by_fire, "released by an alarm that is none of it, or over");
            return;
        }
        let ticket = &entry_of(*ticket);
        if self.appended.get(ticket).is_some_and(|(kind, _)| kind == "door.mode_changed") {
            // Renewed on the one entry, for as long as the mode keeps the door open, and not for longer at a time.
            assert!(self.rig.controller.doors[door].mode().is_open(), "held open by a mode that is over");
            assert_eq!(*hold, crate::control::door::HELD_PULSE);
            self.driven.remove(ticket);
        }
        assert!(self.driven.insert(*ticket), "driven twice on entry {ticket}");
        match warrant {
            Warrant::Recorded(recorded) => {
                assert!(recorded.seq() >= *ticket && self.on_disk >= *ticket, "not on disk: {ticket}");
                self.check_entry(*ticket);
            }
            Warrant::Late { seq } => {
                assert_eq!(seq, ticket);
                assert!(self.late.contains(ticket), "not marked: {ticket}");
                let (_, appended) = &self.appended[ticket];
                assert!(self.rig.mono - *appended >= RELEASE_WAIT, "too soon: {ticket}");
                self.check_entry(*ticket);
            }
            Warrant::Fire => unreachable!("looked at above"),
            Warrant::Rex => {
                assert_eq!(after.map(line), Some(format!("append {ticket} rex.pressed")));
            }
        }
    }

    /// The entry that stands for this strike is one that may open a door.
    fn check_entry(&self, ticket: u64) {
        let (kind, _) = &self.appended[&ticket];
        assert!(
            ["access.granted", "operator.command", "door.mode_changed"].contains(&kind.as_str()),
            "{kind} opened a door"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_strike_is_driven_without_its_warrant_whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        let mut outside = Outside::new();
        for step in &steps {
            outside.take(step);
        }
        // Time alone releases what still waits.
        outside.take(&Step::Wait { ms: 21 });
        prop_assert!(outside.rig.controller.waiting.is_empty());
    }
}
