//! Boards with their drivers, as the controller sees them, and what is wired to them: coils whose pulses end by
//! themselves, links that break, commands that are slow, or fail with and without having done something.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use latchd::control::{BoardCommand, BoardEvent, Inputs};

use super::lot::Lot;

/// A board times in steps of this, and the driver looks a little later.
const STEP: Duration = Duration::from_millis(100);
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// After trouble the controller tries again within this: a second behind a failure, five behind a silence.
const TROUBLE_LASTS: Duration = Duration::from_millis(6_500);

/// A board that is well does as it is told within this.
const WELL_WITHIN: Duration = Duration::from_millis(400);

/// A coil that is driven.
#[derive(Debug, Clone, Copy)]
pub struct Driven {
    pub until: Duration,
    /// When it was asked for.
    asked: Duration,
}

#[derive(Debug, Default)]
pub struct Board {
    pub is_up: bool,
    /// Commands are refused, or what is read back is not what was asked.
    pub fails: bool,
    pub is_slow: bool,
    pub inputs: u64,
    coils: BTreeMap<u8, Driven>,
    /// What was asked, when, and when it is done.
    asked: VecDeque<(Duration, Duration, BoardCommand)>,
    /// The last pulse on each coil that the driver will say has ended, and when it looks.
    running: BTreeMap<u8, (u64, Duration)>,
    /// When it was last in trouble.
    trouble: Duration,
}

impl Board {
    #[must_use]
    pub fn driven(&self, coil: u8, now: Duration) -> Option<Driven> {
        self.coils.get(&coil).copied().filter(|driven| driven.until > now)
    }

    #[must_use]
    pub fn is_driven(&self, coil: u8, now: Duration) -> bool {
        self.driven(coil, now).is_some()
    }

    /// Whether the strike is driven by a pulse that was asked for before then.
    #[must_use]
    pub fn is_driven_from_before(&self, coil: u8, then: Duration, now: Duration) -> bool {
        self.driven(coil, now).is_some_and(|driven| driven.asked < then)
    }

    /// Whether a strike is driven by a pulse it has confirmed, the end of which it will tell.
    #[must_use]
    pub fn is_known_driven(&self, coil: u8, now: Duration) -> bool {
        self.is_driven(coil, now) && self.running.contains_key(&coil)
    }

    /// The driver will say nothing more of what it drives there.
    pub fn forget(&mut self, coil: u8) {
        self.running.remove(&coil);
    }

    /// Whether it has done as it was told for long enough that nothing waits to be tried again.
    #[must_use]
    pub fn is_well(&self, now: Duration) -> bool {
        self.is_up && !self.fails && !self.is_slow && now > self.trouble + TROUBLE_LASTS
    }

    /// Something goes wrong with it, or has until now.
    pub fn note_trouble(&mut self, now: Duration) {
        self.trouble = now;
    }

    /// What it answers at once, if anything.
    pub fn ask(&mut self, now: Duration, command: BoardCommand, lot: &mut Lot) -> Option<BoardEvent> {
        if !self.is_up {
            self.note_trouble(now);
            return Some(failed(&command, "not connected"));
        }
        let before = self.asked.back().map_or(now, |(_, due, _)| *due);
        let time = if self.is_slow { lot.ms(200..2_500) } else { lot.ms(1..30) };
        self.asked.push_back((now, before + time, command));
        None
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let looks = self.running.values().map(|(_, due)| *due).filter(|_| self.is_up);
        self.asked.front().map(|(_, due, _)| *due).into_iter().chain(looks).min()
    }

    /// What is due by now, one thing at a time.
    pub fn take_due(&mut self, now: Duration, lot: &mut Lot) -> Option<BoardEvent> {
        if self.asked.front().is_some_and(|(_, due, _)| *due <= now) {
            let (asked, _, command) = self.asked.pop_front()?;
            return Some(self.execute(asked, now, &command, lot));
        }
        let due = |(coil, (ticket, due)): (&u8, &(u64, Duration))| (*due <= now).then_some((*coil, *ticket));
        let (coil, ticket) = self.running.iter().find_map(due).filter(|_| self.is_up)?;
        self.running.remove(&coil);
        Some(BoardEvent::Ended { ticket, by_board: true })
    }

    fn execute(
        &mut self,
        asked: Duration,
        now: Duration,
        command: &BoardCommand,
        lot: &mut Lot,
    ) -> BoardEvent {
        if now > asked + WELL_WITHIN {
            self.note_trouble(now);
        }
        // One that fails may have been done all the same.
        if !self.fails || lot.one_in(2) {
            self.carry_out(asked, now, command);
        }
        match *command {
            _ if self.fails => {
                self.note_trouble(now);
                self.doubt(command);
                failed(command, "read back as it was not asked")
            }
            BoardCommand::Pulse { ticket, coil, .. } => {
                let until = self.coils.get(&coil).map_or(now, |driven| driven.until);
                self.running.insert(coil, (ticket, until + LOOK_AFTER));
                BoardEvent::Pulsed { ticket }
            }
            BoardCommand::Secure { ticket, coil } => {
                self.running.remove(&coil);
                BoardEvent::Secured { ticket }
            }
        }
    }

    /// The end of the pulse before it is said all the same, when what it may have done is over; of one that was to be
    /// switched off nothing more is.
    fn doubt(&mut self, command: &BoardCommand) {
        let coil = coil_of(command);
        if let BoardCommand::Secure { .. } = command {
            self.forget(coil);
        } else if let (Some((_, due)), Some(driven)) = (self.running.get_mut(&coil), self.coils.get(&coil)) {
            *due = driven.until + LOOK_AFTER;
        }
    }

    fn carry_out(&mut self, asked: Duration, now: Duration, command: &BoardCommand) {
        match command {
            BoardCommand::Pulse { coil, hold, .. } => {
                let steps = hold.as_millis().div_ceil(STEP.as_millis()) as u32;
                self.coils.insert(*coil, Driven { until: now + STEP * steps, asked });
            }
            BoardCommand::Secure { coil, .. } => _ = self.coils.remove(coil),
        }
    }

    /// The cable is out: what was asked fails, and then the loss is said.
    pub fn lose(&mut self, now: Duration, lot: &mut Lot) -> Vec<BoardEvent> {
        self.is_up = false;
        self.note_trouble(now);
        let asked = std::mem::take(&mut self.asked);
        let mut said: Vec<BoardEvent> = asked.iter().map(|(_, _, c)| failed(c, "the link broke")).collect();
        if let Some((at, _, under_way)) = asked.front().filter(|_| lot.one_in(2)) {
            self.carry_out(*at, now, under_way);
        }
        said.push(BoardEvent::Lost { detail: "no answer".into() });
        said
    }

    /// Its power was gone for a moment: what it drove has dropped.
    pub fn restart(&mut self, now: Duration, lot: &mut Lot) -> Vec<BoardEvent> {
        let said = if self.is_up { self.lose(now, lot) } else { Vec::new() };
        self.coils.clear();
        said
    }

    pub fn connect(&mut self, now: Duration) -> BoardEvent {
        self.is_up = true;
        self.note_trouble(now);
        BoardEvent::Connected { detail: "up".into(), inputs: Inputs(self.inputs) }
    }

    /// The daemon died: its driver is gone, and what is driven ends by itself.
    pub fn orphan(&mut self, now: Duration, lot: &mut Lot) {
        if self.is_up {
            self.lose(now, lot);
        }
        self.running.clear();
    }

    pub fn set(&mut self, input: u8, on: bool) -> bool {
        let before = self.inputs;
        self.inputs = before & !(1 << input) | u64::from(on) << input;
        self.inputs != before
    }
}

fn coil_of(command: &BoardCommand) -> u8 {
    match command {
        BoardCommand::Pulse { coil, .. } | BoardCommand::Secure { coil, .. } => *coil,
    }
}

fn failed(command: &BoardCommand, why: &str) -> BoardEvent {
    BoardEvent::Failed { ticket: command.ticket(), detail: why.into() }
}
