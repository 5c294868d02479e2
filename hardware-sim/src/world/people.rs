//! Who comes and goes: they tap, open the door that was released for them and let it shut, or hold it open, or lean on
//! the button, or break in. And technicians, who give orders.

use std::time::Duration;

use latchd::{
    control::{Event, OperatorEvent, OperatorRequest, ReaderEvent},
    domain::{DoorAction, DoorOrder, Uid},
};

use super::{World, books, site};

/// Something that somebody is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// Tries the door, and opens it if it yields.
    Try(usize),
    /// Leaves by it: from inside it always opens.
    Leave(usize),
    Shut(usize),
    LetGo(usize),
}

#[derive(Debug)]
pub struct People {
    acts: Vec<(Duration, Act)>,
    /// Readers that answer.
    pub readers: [bool; 4],
}

impl People {
    #[must_use]
    pub fn new() -> Self {
        People { acts: Vec::new(), readers: [true; 4] }
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.acts.iter().map(|(due, _)| *due).min()
    }

    /// Everybody goes home.
    pub fn go_home(&mut self) {
        self.acts.clear();
    }
}

impl Default for People {
    fn default() -> Self {
        Self::new()
    }
}

const ORDERS: [(DoorAction, Option<u32>); 12] = [
    (DoorAction::Access, None),
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

impl World {
    fn plan(&mut self, after: Duration, act: Act) {
        self.people.acts.push((self.mono + after, act));
    }

    /// Whether somebody did something.
    pub(super) fn people_act(&mut self) -> bool {
        let due = self.people.acts.iter().position(|(due, _)| *due <= self.mono);
        let Some((_, act)) = due.map(|n| self.people.acts.swap_remove(n)) else { return false };
        match act {
            Act::Try(door) => {
                let (_, n, coil) = site::DOORS[door];
                if self.boards[n].is_driven(coil, self.mono) {
                    self.go_through(door);
                }
            }
            Act::Leave(door) => self.go_through(door),
            Act::Shut(door) => self.swing(door, true),
            Act::LetGo(door) => self.press(door, false),
        }
        true
    }

    fn go_through(&mut self, door: usize) {
        self.swing(door, false);
        let holds = self.lot.one_in(8);
        let after = if holds { self.lot.secs(20..120) } else { self.lot.ms(800..9_000) };
        if holds {
            self.counts.note("people: hold a door open");
        }
        self.plan(after, Act::Shut(door));
    }

    /// Somebody holds a card to a reader, and goes in if they may.
    pub(super) fn tap(&mut self, door: usize, uid: &str) {
        if !self.people.readers[door] {
            return;
        }
        // What is over by now is over before they come.
        self.happens(Event::Tick);
        let uid = Uid::parse(uid).unwrap();
        let reader = site::reader_id(door);
        self.happens(Event::Reader { reader, what: ReaderEvent::Tap(uid) });
        if self.lot.one_in(2) {
            let after = self.lot.ms(300..6_000);
            self.plan(after, Act::Try(door));
        }
    }

    /// Any card: mostly one that is somebody's.
    pub(super) fn any_card(&mut self) -> String {
        match self.lot.of(0..16) {
            0 => format!("08{:06X}", self.lot.of(0..0xFF_FFFF)),
            1 => "04FFFFFF".into(),
            _ => books::uid(self.lot.of(0..books::CARDS)),
        }
    }

    pub(super) fn press(&mut self, door: usize, on: bool) {
        let (n, _, button) = site::wires(door);
        self.set(n, button, on);
    }

    pub(super) fn swing(&mut self, door: usize, closed: bool) {
        let (n, contact, _) = site::wires(door);
        self.set(n, contact, closed);
    }

    /// Somebody wants out.
    pub(super) fn leave(&mut self, door: usize) {
        self.counts.note("people: press the button");
        self.press(door, true);
        let after = if self.lot.one_in(12) { self.lot.secs(61..120) } else { self.lot.ms(100..1_500) };
        self.plan(after, Act::LetGo(door));
        if !self.lot.one_in(4) {
            let after = self.lot.ms(100..3_000);
            self.plan(after, Act::Leave(door));
        }
    }

    /// Somebody breaks in.
    pub(super) fn force(&mut self, door: usize) {
        self.counts.note("people: force a door");
        self.go_through(door);
    }

    pub(super) fn order(&mut self, door: usize, (action, for_s): (DoorAction, Option<u32>)) {
        let order = DoorOrder::new(action, for_s).unwrap();
        self.ask(OperatorRequest::Door { door: site::door_id(door), order, reason: None });
    }

    pub(super) fn random_order(&mut self, door: usize) {
        let order = self.lot.pick(&ORDERS);
        self.order(door, order);
    }

    pub(super) fn ask(&mut self, request: OperatorRequest) {
        self.counts.note("operator: asks");
        self.seen.last_token += 1;
        let token = self.seen.last_token;
        self.seen.asked.insert(token);
        self.happens(Event::Operator(OperatorEvent { token, by: "anna (1000)".into(), request }));
    }
}
