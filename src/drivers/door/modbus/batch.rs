//! Commands that wait for the same board, carried out together: writes first, coils side by side in one of them where
//! the board takes that, then one reading back for all.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Config, Pulse,
    ask::Ask,
    exchange::{Exchange, Fault, Wire},
    inbox::Waiting,
    pulses::{self, HoldError},
    unit::Unit,
};
use crate::{
    control::{BoardCommand, BoardEvent},
    drivers::clock,
};

/// A command that waited longer is for a person who has gone.
const AGE_MAX: Duration = Duration::from_millis(1_000);
/// The same on a bus, which 12 boards share at 9600 baud: a mode that opens all their doors takes it 2.7 s.
const AGE_MAX_BUS: Duration = Duration::from_millis(3_000);
/// After a pulse's time, before its coil is looked at: the board's clock and ours differ, and so does the line.
const SLACK: Duration = Duration::from_millis(200);

/// Why a command did not do what it was for. What it says is what the journal gets.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("the board is not connected")]
    Down,
    #[error("it waited longer than {} ms behind other commands", .0.as_millis())]
    Stale(Duration),
    #[error("no coil {coil} is in use; there are {coils}")]
    NoSuchCoil { coil: u8, coils: u8 },
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error("the board echoed the pulse, but coil {0} does not read as driven")]
    NotDriven(u8),
    #[error("the board echoed the switching off, but coil {0} still reads as driven")]
    StillDriven(u8),
}

/// What became of a batch: to be said in this order, and what broke it off.
#[derive(Debug)]
pub struct Outcome {
    pub events: Vec<BoardEvent>,
    pub fault: Option<Fault>,
}

/// A coil that was told something, and is to be read back.
struct Told {
    ticket: u64,
    coil: u8,
    /// When the pulse is to be over; none where it was switched off.
    due: Option<Instant>,
}

pub async fn carry_out<T: Wire>(unit: &mut Unit, wire: &mut Exchange<T>, commands: Vec<Waiting>) -> Outcome {
    let age_max = if wire.is_rtu() { AGE_MAX_BUS } else { AGE_MAX };
    let mut batch = Batch { unit, age_max, told: Vec::new(), events: Vec::new() };
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for waiting in commands {
        match batch.refused(&waiting) {
            Some(why) => batch.failed(waiting.command.ticket(), &why),
            None => match waiting.command {
                BoardCommand::Secure { ticket, coil } => off.push((ticket, coil)),
                BoardCommand::Pulse { ticket, coil, hold, warrant: _ } => on.push((ticket, coil, hold)),
            },
        }
    }
    // What restricts goes first.
    let fault = batch.all(wire, &off, &on).await.err();
    if let Some(fault) = &fault {
        batch.break_off(&off, &on, fault);
    }
    Outcome { events: batch.events, fault }
}

struct Batch<'u> {
    unit: &'u mut Unit,
    age_max: Duration,
    told: Vec<Told>,
    events: Vec<BoardEvent>,
}

impl Batch<'_> {
    /// What can't be done, and is not tried.
    fn refused(&self, waiting: &Waiting) -> Option<CommandError> {
        let Config { coils, pulse, .. } = self.unit.config;
        let coil = match waiting.command {
            BoardCommand::Pulse { .. } if clock::instant() - waiting.asked_at > self.age_max => {
                return Some(CommandError::Stale(self.age_max));
            }
            BoardCommand::Pulse { coil, hold, .. } => {
                let timed = match pulse {
                    Pulse::Flash { .. } => pulses::units(hold).err(),
                    Pulse::Host => hold.is_zero().then_some(HoldError::Zero),
                };
                if let Some(error) = timed {
                    return Some(error.into());
                }
                coil
            }
            BoardCommand::Secure { coil, .. } => coil,
        };
        (coil >= coils).then_some(CommandError::NoSuchCoil { coil, coils })
    }

    async fn all<T: Wire>(
        &mut self,
        wire: &mut Exchange<T>,
        off: &[(u64, u8)],
        on: &[(u64, u8, Duration)],
    ) -> Result<(), Fault> {
        self.switch_off(wire, off).await?;
        match self.unit.config.pulse {
            Pulse::Flash { .. } => self.flash(wire, on).await?,
            Pulse::Host => self.drive(wire, on).await?,
        }
        self.read_back(wire).await
    }

    async fn switch_off<T: Wire>(&mut self, wire: &mut Exchange<T>, off: &[(u64, u8)]) -> Result<(), Fault> {
        let coils: Vec<u8> = off.iter().map(|(_, coil)| *coil).collect();
        for (first, last) in self.unit.runs(&coils) {
            let again = clock::instant() + self.unit.switch_off_retry();
            (first..=last).for_each(|coil| self.unit.pulses.cut_short(coil, again));
            let of_run = off.iter().filter(|(_, coil)| (first..=last).contains(coil));
            let told =
                of_run.map(|(ticket, coil)| Told { ticket: *ticket, coil: *coil, due: None }).collect();
            let written = self.unit.ask(wire, Ask::Write { first, last, on: false }).await;
            self.written(told, written)?;
        }
        Ok(())
    }

    /// Pulses that the board times: each is told by itself.
    async fn flash<T: Wire>(
        &mut self,
        wire: &mut Exchange<T>,
        on: &[(u64, u8, Duration)],
    ) -> Result<(), Fault> {
        for &(ticket, coil, hold) in on {
            // What can't be told was refused before.
            let Ok(units) = pulses::units(hold) else { continue };
            let written = self.unit.ask(wire, Ask::Pulse { coil, units }).await;
            // From here on it may be driven, whatever came back; and from no later than now.
            let due = clock::instant() + pulses::time(units) + SLACK;
            self.unit.pulses.doubted(coil, due);
            self.written(vec![Told { ticket, coil, due: Some(due) }], written)?;
        }
        Ok(())
    }

    /// Pulses that we time: coils side by side in one write. Their time counts from before it.
    async fn drive<T: Wire>(
        &mut self,
        wire: &mut Exchange<T>,
        on: &[(u64, u8, Duration)],
    ) -> Result<(), Fault> {
        let coils: Vec<u8> = on.iter().map(|(_, coil, _)| *coil).collect();
        for (first, last) in self.unit.runs(&coils) {
            let sent = clock::instant();
            let of_run = on.iter().filter(|(_, coil, _)| (first..=last).contains(coil));
            let told: Vec<Told> =
                of_run.map(|&(ticket, coil, hold)| Told { ticket, coil, due: Some(sent + hold) }).collect();
            for Told { coil, due, .. } in &told {
                due.iter().for_each(|due| self.unit.pulses.doubted(*coil, *due));
            }
            let written = self.unit.ask(wire, Ask::Write { first, last, on: true }).await;
            self.written(told, written)?;
        }
        Ok(())
    }

    fn written(&mut self, told: Vec<Told>, written: Result<u64, Fault>) -> Result<(), Fault> {
        match written {
            Ok(_) => self.told.extend(told),
            Err(fault) if fault.is_in_doubt() => return Err(fault),
            Err(refused) => told.iter().for_each(|told| self.failed(told.ticket, &refused)),
        }
        Ok(())
    }

    async fn read_back<T: Wire>(&mut self, wire: &mut Exchange<T>) -> Result<(), Fault> {
        let coils: Vec<u8> = self.told.iter().map(|told| told.coil).collect();
        let driven = match self.unit.still_driven(wire, &coils).await {
            Ok(driven) => driven,
            Err(fault) if fault.is_in_doubt() => return Err(fault),
            Err(refused) => {
                let told = std::mem::take(&mut self.told);
                told.iter().for_each(|told| self.failed(told.ticket, &refused));
                return Ok(());
            }
        };
        for Told { ticket, coil, due } in std::mem::take(&mut self.told) {
            match (due, driven.contains(&coil)) {
                (Some(due), true) => {
                    self.unit.pulses.started(coil, ticket, due);
                    self.events.push(BoardEvent::Pulsed { ticket });
                }
                (Some(_), false) => self.failed(ticket, &CommandError::NotDriven(coil)),
                (None, true) => self.failed(ticket, &CommandError::StillDriven(coil)),
                (None, false) => {
                    self.unit.pulses.ended(coil);
                    self.events.push(BoardEvent::Secured { ticket });
                }
            }
        }
        Ok(())
    }

    /// Of what was written before the fault, none was read back; the rest was not tried.
    fn break_off(&mut self, off: &[(u64, u8)], on: &[(u64, u8, Duration)], fault: &Fault) {
        let all = off.iter().map(|(ticket, _)| *ticket).chain(on.iter().map(|(ticket, ..)| *ticket));
        let answered: Vec<u64> = self.events.iter().filter_map(ticket_of).collect();
        for ticket in all.filter(|ticket| !answered.contains(ticket)) {
            self.failed(ticket, fault);
        }
    }

    fn failed(&mut self, ticket: u64, why: &(dyn std::error::Error + Sync)) {
        self.events.push(BoardEvent::Failed { ticket, detail: why.to_string() });
    }
}

fn ticket_of(event: &BoardEvent) -> Option<u64> {
    match event {
        BoardEvent::Pulsed { ticket }
        | BoardEvent::Failed { ticket, .. }
        | BoardEvent::Ended { ticket, .. }
        | BoardEvent::Secured { ticket } => Some(*ticket),
        BoardEvent::Connected { .. } | BoardEvent::Lost { .. } | BoardEvent::Inputs(_) => None,
    }
}
