//! What must come of an event, said before the controller is asked: of a tap by the naive rules, of a button and of a
//! fire alarm by themselves.

use chrono::{DateTime, Utc};
use latchd::{
    control::{
        Action, BoardCommand, BoardEvent, Event, Inputs, JournalCommand, ReaderEvent, Warrant, clock::Reading,
    },
    domain::{At, DoorMode, EntryKind, Uid},
};
use serde_json::{Value, json};

use super::{Invariant, World, site};
use crate::naive::{self, Site, Tap};

/// What must come of an event.
#[derive(Debug, Default)]
pub struct Expected {
    /// The decision, in the words of the contract's examples.
    decision: Option<Value>,
    /// Doors whose buttons were pressed.
    exits: Vec<usize>,
    /// Doors that a fire alarm must release.
    fire: Vec<usize>,
}

impl World {
    pub(super) fn expect(&mut self, event: &Event, reading: &Reading) -> Expected {
        let mut expected = Expected::default();
        match event {
            Event::Reader { reader, what: ReaderEvent::Tap(uid) } => {
                let door = (0..site::DOORS.len()).find(|n| site::reader_id(*n) == *reader);
                expected.decision = door.map(|door| self.decide(door, uid, reading));
            }
            Event::Board { board, what } => {
                let n = usize::from(board.as_str() == site::BOARDS[1]);
                if matches!(what, BoardEvent::Connected { .. } | BoardEvent::Lost { .. }) {
                    self.seen.boards_up[n] = matches!(what, BoardEvent::Connected { .. });
                }
                match what {
                    BoardEvent::Connected { inputs, .. } | BoardEvent::Inputs(inputs) => {
                        expected.exits = self.pressed(n, *inputs);
                        expected.fire = self.burning(n, *inputs);
                    }
                    BoardEvent::Lost { .. } => self.forget_buttons(n),
                    _ => {}
                }
            }
            _ => {}
        }
        expected
    }

    /// Doors whose buttons are pressed by what is read now, and were not before.
    fn pressed(&mut self, n: usize, inputs: Inputs) -> Vec<usize> {
        let mut pressed = Vec::new();
        for door in 0..site::DOORS.len() {
            let (board, _, button) = site::wires(door);
            if board == n {
                let on = inputs.get(button);
                if self.seen.buttons[door].replace(on) == Some(false) && on {
                    pressed.push(door);
                    self.seen.exits[door] = Some(self.mono);
                }
            }
        }
        pressed
    }

    fn burning(&self, n: usize, inputs: Inputs) -> Vec<usize> {
        let begins = n == 1 && inputs.get(site::FIRE) && !self.seen.fire;
        let is_reached = |door: &usize| {
            let (_, board, _) = site::DOORS[*door];
            *door != site::NOT_ON_FIRE && self.seen.boards_up[board]
        };
        if begins { (0..site::DOORS.len()).filter(is_reached).collect() } else { Vec::new() }
    }

    pub(super) fn forget_buttons(&mut self, n: usize) {
        for door in 0..site::DOORS.len() {
            if site::wires(door).0 == n {
                self.seen.buttons[door] = None;
            }
        }
    }

    /// By the rules, read a second time.
    fn decide(&self, door: usize, uid: &Uid, reading: &Reading) -> Value {
        let at = instant(reading.wall);
        let mode = match self.controller.door_reports()[door].mode {
            DoorMode::Accessed => DoorMode::Locked,
            mode => mode,
        };
        let tap = Tap {
            door: site::DOORS[door].0.into(),
            uid: uid.bytes().iter().map(|byte| format!("{byte:02X}")).collect(),
            at,
            mode: mode.as_str().into(),
            clock_trusted: self.is_trusted(),
            stale: door == site::STALE_DOOR && self.is_stale(reading),
            let_in: self.seen.let_in.iter().cloned().collect(),
        };
        naive::decide(&self.house(self.cache.state.held.clone()), &tap)
    }

    #[expect(clippy::unused_self, reason = "it is this world's house")]
    pub(super) fn house(&self, records: Vec<Value>) -> Site {
        Site { zone: site::ZONE.parse().unwrap(), doors: site::naive_doors(), records }
    }

    /// Whether central was last heard too long ago for the door that minds.
    fn is_stale(&self, reading: &Reading) -> bool {
        match (self.seen.heard, self.seen.heard_before) {
            (Some(heard), _) => self.mono - heard > site::MAX_STALE,
            (None, Some(at)) => at > reading.wall.plus_s(5) || reading.wall.since(at) > site::MAX_STALE,
            (None, None) => true,
        }
    }

    pub(super) fn verify(&mut self, expected: &Expected, actions: &[Action]) {
        self.verify_decision(expected.decision.as_ref(), actions);
        let pulses = |door: usize, warrant: Warrant| {
            let (_, board, own) = site::DOORS[door];
            actions.iter().any(|action| {
                matches!(action, Action::Board { board: b, command: BoardCommand::Pulse { coil, warrant: w, .. } }
                    if *b == site::board_id(board) && *coil == own && *w == warrant)
            })
        };
        for door in &expected.exits {
            let is_driven = pulses(*door, Warrant::Rex);
            self.verdicts.demand(Invariant::ExitsWait, is_driven, || format!("door {door} is not released"));
        }
        for door in &expected.fire {
            let is_driven = pulses(*door, Warrant::Fire);
            self.verdicts
                .demand(Invariant::FireReleases, is_driven, || format!("door {door} is not released"));
        }
    }

    fn verify_decision(&mut self, expected: Option<&Value>, actions: &[Action]) {
        let mut decisions = actions.iter().filter_map(|action| match action {
            Action::Journal(JournalCommand::Append(entry)) => match &entry.kind {
                EntryKind::AccessGranted(passage) => Some(("granted", passage)),
                EntryKind::AccessDenied(passage) => Some(("denied", passage)),
                _ => None,
            },
            _ => None,
        });
        let (first, more) = (decisions.next(), decisions.count());
        let right = usize::from(expected.is_some());
        let found = usize::from(first.is_some()) + more;
        self.verdicts.demand(Invariant::OneEntryADecision, found == right, || {
            format!("{found} entries where {right} should be; the rules say {expected:?}")
        });
        let (Some(expected), Some((verdict, passage))) = (expected, first) else { return };
        let mut own = json!(passage);
        own["decision"] = verdict.into();
        self.counts.note(&format!("reason: {}", own["reason"].as_str().unwrap_or_default()));
        let fields = ["decision", "reason", "credential", "holder", "grant", "opens_at", "closes_at"];
        let differ: Vec<&str> = fields.into_iter().filter(|f| own[*f] != expected[*f]).collect();
        self.verdicts.demand(Invariant::DecidedByTheRules, differ.is_empty(), || {
            format!("{differ:?}: decided was {own}, the rules say {expected}")
        });
    }
}

pub fn instant(at: At) -> DateTime<Utc> {
    at.utc()
}
