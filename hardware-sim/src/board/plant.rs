//! What hangs on the board: coils, inputs, and doors that swing. A model without clocks or sockets: the time comes
//! in as a value, so its tests don't wait, and the board drives it in real time.
//!
//! ```text
//!             strike on, someone pulls ── or force
//!   closed ────────────────────────────────────────► open ──► closed again when its time is over,
//!   (contact on)                              (contact off)    or when someone closes it (propped)
//! ```

use std::time::{Duration, Instant};

use super::frame::Exception;
use crate::record::Record;

/// Function 05 to this + coil, value n: on for n × 100 ms, ended by the board (Waveshare).
pub const FLASH_ON_BASE: u16 = 0x0200;
/// The same the other way round: off for n × 100 ms, then on.
pub const FLASH_OFF_BASE: u16 = 0x0400;
/// The longest flash: 0x7FFF × 100 ms, 54 minutes.
pub const FLASH_MAX: u16 = 0x7FFF;

/// How one door is wired to the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wiring {
    pub strike: u16,
    /// On while the door is closed.
    pub contact: u16,
    /// On while the button is pressed.
    pub rex: u16,
}

/// Why a coil changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Written,
    FlashStarted,
    /// By the board itself, with or without a client.
    FlashEnded,
    /// Nobody spoke to the board for too long.
    Watchdog,
    PowerLost,
}

/// How a door came to be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Released,
    Forced,
}

/// What can be seen or heard at the board and its doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    CoilChanged {
        coil: u16,
        on: bool,
        cause: Cause,
    },
    InputChanged {
        input: u16,
        on: bool,
    },
    DoorOpened {
        door: usize,
        how: Opening,
    },
    DoorClosed {
        door: usize,
    },
    DoorStayedLocked {
        door: usize,
    },
    /// Released, and it would not move.
    DoorStuck {
        door: usize,
    },
    ClientConnected,
    ClientLeft,
}

/// A place the board or the house doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuch {
    #[error("no door {0} at this board; see how many doors it was started with")]
    Door(usize),
    #[error("no input {0} at this board")]
    Input(u16),
    #[error("no coil {0} at this board")]
    Coil(u16),
}

/// What came of pulling at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    Through,
    Locked,
}

#[derive(Debug, Clone, Copy, Default)]
struct Coil {
    on: bool,
    flash_ends: Option<Instant>,
    /// Its contacts are welded: once on it stays on.
    welded: bool,
}

#[derive(Debug, Clone, Copy)]
struct Door {
    wiring: Wiring,
    open: bool,
    closes: Option<Instant>,
    rex_ends: Option<Instant>,
    /// It does not move, whatever the strike does.
    stuck: bool,
    /// For how long its contact chatters when it falls shut.
    bounce: Duration,
    chatter: Option<Chatter>,
}

#[derive(Debug, Clone, Copy)]
struct Chatter {
    next: Instant,
    until: Instant,
}

/// Between two changes of a contact that chatters.
const CHATTER: Duration = Duration::from_millis(7);

/// Coils, inputs, doors, and the record of what they did.
#[derive(Debug)]
pub struct Plant {
    coils: Vec<Coil>,
    inputs: Vec<bool>,
    doors: Vec<Door>,
    pub(super) record: Record<Happening>,
    /// It times pulses.
    pub(super) flashes: bool,
    /// Relays fall when nobody spoke to it for so long.
    pub(super) watchdog: Option<Duration>,
    spoken_to: Option<Instant>,
}

impl Plant {
    /// All coils off, all doors closed.
    pub fn new(coils: u16, inputs: u16, doors: &[Wiring]) -> Result<Self, NoSuch> {
        let mut plant = Self {
            coils: vec![Coil::default(); usize::from(coils)],
            inputs: vec![false; usize::from(inputs)],
            doors: Vec::with_capacity(doors.len()),
            record: Record::default(),
            flashes: true,
            watchdog: None,
            spoken_to: None,
        };
        for &wiring in doors {
            plant.coil(wiring.strike).ok_or(NoSuch::Coil(wiring.strike))?;
            plant.input(wiring.rex).ok_or(NoSuch::Input(wiring.rex))?;
            *plant.inputs.get_mut(usize::from(wiring.contact)).ok_or(NoSuch::Input(wiring.contact))? = true;
            plant.doors.push(Door {
                wiring,
                open: false,
                closes: None,
                rex_ends: None,
                stuck: false,
                bounce: Duration::ZERO,
                chatter: None,
            });
        }
        Ok(plant)
    }

    #[must_use]
    pub fn coil(&self, coil: u16) -> Option<bool> {
        self.coils.get(usize::from(coil)).map(|coil| coil.on)
    }

    #[must_use]
    pub fn input(&self, input: u16) -> Option<bool> {
        self.inputs.get(usize::from(input)).copied()
    }

    #[must_use]
    pub fn coils(&self) -> Vec<bool> {
        self.coils.iter().map(|coil| coil.on).collect()
    }

    #[must_use]
    pub fn inputs(&self) -> Vec<bool> {
        self.inputs.clone()
    }

    /// Whether each door is open.
    #[must_use]
    pub fn open_doors(&self) -> Vec<bool> {
        self.doors.iter().map(|door| door.open).collect()
    }

    /// The coil that releases this door.
    pub fn strike(&self, door: usize) -> Result<u16, NoSuch> {
        self.doors.get(door).map(|door| door.wiring.strike).ok_or(NoSuch::Door(door))
    }

    /// Function 05: a plain coil, or a flash.
    pub fn write_coil(&mut self, now: Instant, address: u16, value: u16) -> Result<(), Exception> {
        let count = u16::try_from(self.coils.len()).unwrap_or(u16::MAX);
        let within = |base: u16| address.checked_sub(base).filter(|&coil| coil < count);
        if let Some(coil) = within(0) {
            let on = match value {
                0xFF00 => true,
                0x0000 => false,
                _ => return Err(Exception::ILLEGAL_VALUE),
            };
            self.set_coil(now, coil, on, None, Cause::Written);
            return Ok(());
        }
        if !self.flashes {
            return Err(Exception::ILLEGAL_ADDRESS);
        }
        let (coil, on) = within(FLASH_ON_BASE)
            .map(|coil| (coil, true))
            .or_else(|| within(FLASH_OFF_BASE).map(|coil| (coil, false)))
            .ok_or(Exception::ILLEGAL_ADDRESS)?;
        if !(1..=FLASH_MAX).contains(&value) {
            return Err(Exception::ILLEGAL_VALUE);
        }
        let ends = now + Duration::from_millis(u64::from(value) * 100);
        self.set_coil(now, coil, on, Some(ends), Cause::FlashStarted);
        Ok(())
    }

    /// Function 15.
    pub fn write_coils(&mut self, now: Instant, start: u16, values: &[bool]) -> Result<(), Exception> {
        if usize::from(start) + values.len() > self.coils.len() {
            return Err(Exception::ILLEGAL_ADDRESS);
        }
        for (coil, &on) in (start..).zip(values) {
            self.set_coil(now, coil, on, None, Cause::Written);
        }
        Ok(())
    }

    /// The board's power is gone: relays fall, flashes are forgotten.
    pub fn lose_power(&mut self, now: Instant) {
        for coil in (0..).take(self.coils.len()) {
            self.set_coil(now, coil, false, None, Cause::PowerLost);
        }
    }

    pub fn set_input(&mut self, now: Instant, input: u16, on: bool) -> Result<(), NoSuch> {
        let place = self.inputs.get_mut(usize::from(input)).ok_or(NoSuch::Input(input))?;
        if *place != on {
            *place = on;
            self.record.add(now, Happening::InputChanged { input, on });
        }
        Ok(())
    }

    /// Someone pulls the handle once. The door falls shut after `open_for`; `None`: it is propped open.
    pub fn pull(&mut self, now: Instant, door: usize, open_for: Option<Duration>) -> Result<Walk, NoSuch> {
        let found = *self.doors.get(door).ok_or(NoSuch::Door(door))?;
        if !found.open && self.coil(found.wiring.strike) != Some(true) {
            self.record.add(now, Happening::DoorStayedLocked { door });
            return Ok(Walk::Locked);
        }
        if !found.open && found.stuck {
            self.record.add(now, Happening::DoorStuck { door });
            return Ok(Walk::Locked);
        }
        self.open(now, door, open_for, Opening::Released)?;
        Ok(Walk::Through)
    }

    /// Jams it, or frees it again.
    pub fn stick(&mut self, door: usize, stuck: bool) -> Result<(), NoSuch> {
        self.doors.get_mut(door).ok_or(NoSuch::Door(door))?.stuck = stuck;
        Ok(())
    }

    /// From now on its contact chatters for so long when it falls shut.
    pub fn bounce(&mut self, door: usize, long: Duration) -> Result<(), NoSuch> {
        self.doors.get_mut(door).ok_or(NoSuch::Door(door))?.bounce = long;
        Ok(())
    }

    /// A relay whose contacts stick: once on it stays on, until it is freed.
    pub fn weld(&mut self, coil: u16, welded: bool) -> Result<(), NoSuch> {
        self.coils.get_mut(usize::from(coil)).ok_or(NoSuch::Coil(coil))?.welded = welded;
        Ok(())
    }

    /// A request for this board has come.
    pub fn spoken_to(&mut self, now: Instant) {
        self.spoken_to = Some(now);
    }

    fn watchdog_barks(&self) -> Option<Instant> {
        let driven = self.coils.iter().any(|coil| coil.on && !coil.welded);
        self.watchdog.filter(|_| driven).and_then(|watchdog| Some(self.spoken_to? + watchdog))
    }

    /// Opens whatever the strike says.
    pub fn force(&mut self, now: Instant, door: usize, open_for: Option<Duration>) -> Result<(), NoSuch> {
        self.open(now, door, open_for, Opening::Forced)
    }

    pub fn close(&mut self, now: Instant, door: usize) -> Result<(), NoSuch> {
        let found = self.doors.get_mut(door).ok_or(NoSuch::Door(door))?;
        found.closes = None;
        if std::mem::replace(&mut found.open, false) {
            let contact = found.wiring.contact;
            let chatters = !found.bounce.is_zero();
            found.chatter = chatters.then(|| Chatter { next: now + CHATTER, until: now + found.bounce });
            self.record.add(now, Happening::DoorClosed { door });
            self.set_input(now, contact, true)?;
        }
        Ok(())
    }

    pub fn press_rex(&mut self, now: Instant, door: usize, hold: Duration) -> Result<(), NoSuch> {
        let found = self.doors.get_mut(door).ok_or(NoSuch::Door(door))?;
        found.rex_ends = Some(now + hold);
        let rex = found.wiring.rex;
        self.set_input(now, rex, true)
    }

    /// When something will happen by itself.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let coils = self.coils.iter().filter_map(|coil| coil.flash_ends);
        let chatter = |door: &Door| door.chatter.map(|chatter| chatter.next);
        let doors = self.doors.iter().flat_map(|door| [door.closes, door.rex_ends, chatter(door)]).flatten();
        coils.chain(doors).chain(self.watchdog_barks()).min()
    }

    /// Lets what is due by `now` happen.
    pub fn advance(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        for coil in (0..).take(self.coils.len()) {
            let flashing = self.coils.get(usize::from(coil)).copied().filter(|coil| due(coil.flash_ends));
            if let Some(Coil { on, .. }) = flashing {
                self.set_coil(now, coil, !on, None, Cause::FlashEnded);
            }
        }
        if due(self.watchdog_barks()) {
            for coil in (0..).take(self.coils.len()) {
                self.set_coil(now, coil, false, None, Cause::Watchdog);
            }
        }
        for index in 0..self.doors.len() {
            self.chatter(now, index);
            let Some(&door) = self.doors.get(index) else { continue };
            if due(door.closes) {
                // Both indices come from this very list.
                let _ = self.close(now, index);
            }
            if due(door.rex_ends) {
                if let Some(door) = self.doors.get_mut(index) {
                    door.rex_ends = None;
                }
                let _ = self.set_input(now, door.wiring.rex, false);
            }
        }
    }

    /// A contact that chatters: open and shut by turns, shut in the end.
    fn chatter(&mut self, now: Instant, door: usize) {
        let Some(found) = self.doors.get_mut(door) else { return };
        let Some(Chatter { next, until }) = found.chatter.filter(|chatter| chatter.next <= now) else {
            return;
        };
        let contact = found.wiring.contact;
        let over = next >= until;
        found.chatter = (!over).then_some(Chatter { next: next + CHATTER, until });
        let shut = over || self.input(contact) == Some(false);
        // The contact is an input of this board: it was looked up when the door was made.
        let _ = self.set_input(now, contact, shut);
    }

    fn open(
        &mut self,
        now: Instant,
        door: usize,
        open_for: Option<Duration>,
        how: Opening,
    ) -> Result<(), NoSuch> {
        let found = self.doors.get_mut(door).ok_or(NoSuch::Door(door))?;
        found.closes = open_for.map(|open_for| now + open_for);
        found.chatter = None;
        let contact = found.wiring.contact;
        if !std::mem::replace(&mut found.open, true) {
            self.record.add(now, Happening::DoorOpened { door, how });
        }
        self.set_input(now, contact, false)
    }

    fn set_coil(&mut self, now: Instant, coil: u16, on: bool, flash_ends: Option<Instant>, cause: Cause) {
        let Some(place) = self.coils.get_mut(usize::from(coil)) else { return };
        let on = on || (place.welded && place.on);
        place.flash_ends = flash_ends;
        if std::mem::replace(&mut place.on, on) != on {
            self.record.add(now, Happening::CoilChanged { coil, on, cause });
        }
    }
}

#[cfg(test)]
mod tests;
