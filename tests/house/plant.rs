//! Boards with their drivers, as the controller sees them, and what is wired to them: coils whose pulses end by
//! themselves, links that break, commands that fail with and without having done something.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use latchd::control::{BoardCommand, BoardEvent, Inputs};

use crate::seeds::Lot;

/// A board times in steps of this, and the driver looks a little later.
const STEP: Duration = Duration::from_millis(100);
const LOOK_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub struct Board {
    pub is_up: bool,
    /// Commands are refused, or their answers are wrong.
    pub fails: bool,
    pub inputs: u64,
    /// When each coil that is driven drops.
    coils: BTreeMap<u8, Duration>,
    /// What was asked, and when it is done.
    asked: VecDeque<(Duration, BoardCommand)>,
    /// The last pulse on each coil that the driver will say has ended, and when it looks.
    running: BTreeMap<u8, (u64, Duration)>,
}

impl Board {
    pub fn is_driven(&self, coil: u8, now: Duration) -> bool {
        self.coils.get(&coil).is_some_and(|until| *until > now)
    }

    /// What it answers at once, if anything.
    pub fn ask(&mut self, now: Duration, command: BoardCommand, lot: &mut Lot) -> Option<BoardEvent> {
        if !self.is_up {
            return Some(failed(&command, "not connected"));
        }
        let before = self.asked.back().map_or(now, |(due, _)| *due);
        self.asked.push_back((before + Duration::from_millis(lot.of(1..30)), command));
        None
    }

    pub fn next_due(&self) -> Option<Duration> {
        let looks = self.running.values().map(|(_, due)| *due).filter(|_| self.is_up);
        self.asked.front().map(|(due, _)| *due).into_iter().chain(looks).min()
    }

    /// What is due by now, one thing at a time.
    pub fn take_due(&mut self, now: Duration, lot: &mut Lot) -> Option<BoardEvent> {
        if let Some((_, command)) = self.asked.pop_front_if(|(due, _)| *due <= now) {
            return Some(self.execute(now, &command, lot));
        }
        let due = |(coil, (ticket, due)): (&u8, &(u64, Duration))| (*due <= now).then_some((*coil, *ticket));
        let (coil, ticket) = self.running.iter().find_map(due).filter(|_| self.is_up)?;
        self.running.remove(&coil);
        Some(BoardEvent::Ended { ticket, by_board: true })
    }

    fn execute(&mut self, now: Duration, command: &BoardCommand, lot: &mut Lot) -> BoardEvent {
        // One that fails may have been done all the same.
        if !self.fails || lot.one_in(2) {
            self.carry_out(now, command);
        }
        match *command {
            _ if self.fails => {
                self.running.remove(&coil_of(command));
                failed(command, "wrong echo")
            }
            BoardCommand::Pulse { ticket, coil, .. } => {
                let until = self.coils.get(&coil).copied().unwrap_or(now);
                self.running.insert(coil, (ticket, until + LOOK_AFTER));
                BoardEvent::Pulsed { ticket }
            }
            BoardCommand::Secure { ticket, coil } => {
                self.running.remove(&coil);
                BoardEvent::Secured { ticket }
            }
        }
    }

    fn carry_out(&mut self, now: Duration, command: &BoardCommand) {
        match command {
            BoardCommand::Pulse { coil, hold, .. } => {
                let steps = hold.as_millis().div_ceil(STEP.as_millis()) as u32;
                self.coils.insert(*coil, now + STEP * steps);
            }
            BoardCommand::Secure { coil, .. } => _ = self.coils.remove(coil),
        }
    }

    /// The cable is out: what was asked fails, and then the loss is said.
    pub fn lose(&mut self, now: Duration, lot: &mut Lot) -> Vec<BoardEvent> {
        self.is_up = false;
        let asked = std::mem::take(&mut self.asked);
        let mut said: Vec<BoardEvent> = asked.iter().map(|(_, c)| failed(c, "the link broke")).collect();
        if let Some((_, under_way)) = asked.front().filter(|_| lot.one_in(2)) {
            self.carry_out(now, under_way);
        }
        said.push(BoardEvent::Lost { detail: "no answer".into() });
        said
    }

    pub fn connect(&mut self) -> BoardEvent {
        self.is_up = true;
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
