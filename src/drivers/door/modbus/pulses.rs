//! The pulses that run, so that each is seen to end. Pure: it knows instants, and no board.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// The unit of a board's pulse timer.
const UNIT: Duration = Duration::from_millis(100);
/// The longest its register holds: 3276.7 s.
const UNITS_MAX: u128 = 0x7FFF;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    #[error("a pulse of no time would hold the strike for ever on some boards")]
    Zero,
    #[error("the board can hold for 3276.7 s at most, not {0:?}")]
    TooLong(Duration),
}

/// The time in units of 100 ms, rounded up: a door is never held for less than was said.
pub fn units(hold: Duration) -> Result<u16, HoldError> {
    match hold.as_nanos().div_ceil(UNIT.as_nanos()) {
        0 => Err(HoldError::Zero),
        units @ 1..=UNITS_MAX => u16::try_from(units).map_err(|_| HoldError::TooLong(hold)),
        _ => Err(HoldError::TooLong(hold)),
    }
}

pub fn time(units: u16) -> Duration {
    UNIT * u32::from(units)
}

#[derive(Debug, Clone, Copy)]
struct Pulse {
    /// Of whom to tell that it ended; none when it was reported as failed.
    ticket: Option<u64>,
    /// When the coil must have dropped, or is to be switched off.
    due: Instant,
    /// It should have dropped before.
    is_late: bool,
}

/// A pulse that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    pub ticket: u64,
    pub was_late: bool,
}

/// By coil: at most one each.
#[derive(Debug, Default)]
pub struct Pulses(BTreeMap<u8, Pulse>);

impl Pulses {
    /// It is driven. One that ran on this coil is superseded: only the new one will be said to have ended.
    pub fn started(&mut self, coil: u8, ticket: u64, due: Instant) {
        self.0.insert(coil, Pulse { ticket: Some(ticket), due, is_late: false });
    }

    /// It may be driven or not: look later all the same. One that ran before may have been prolonged by it.
    pub fn doubted(&mut self, coil: u8, due: Instant) {
        let pulse = self.0.entry(coil).or_insert(Pulse { ticket: None, due, is_late: false });
        pulse.due = pulse.due.max(due);
    }

    /// It is being switched off: nobody is told that it ended, and one that does not drop is looked at then.
    pub fn cut_short(&mut self, coil: u8, due: Instant) {
        self.0.insert(coil, Pulse { ticket: None, due, is_late: false });
    }

    /// When the next coil is to be looked at.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(|pulse| pulse.due).min()
    }

    /// The coils to look at now, the lowest first.
    pub fn due(&self, now: Instant) -> Vec<u8> {
        self.0.iter().filter(|(_, pulse)| pulse.due <= now).map(|(&coil, _)| coil).collect()
    }

    /// Whether it may be driven for us.
    pub fn accounts_for(&self, coil: u8) -> bool {
        self.0.contains_key(&coil)
    }

    /// It did not drop, and could not be switched off: to be tried again then.
    pub fn postpone(&mut self, coil: u8, due: Instant) {
        if let Some(pulse) = self.0.get_mut(&coil) {
            *pulse = Pulse { due, is_late: true, ..*pulse };
        }
    }

    /// The coil has dropped: whom to tell.
    pub fn ended(&mut self, coil: u8) -> Option<Over> {
        let pulse = self.0.remove(&coil)?;
        Some(Over { ticket: pulse.ticket?, was_late: pulse.is_late })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::clock;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_hold_is_rounded_up_to_the_boards_unit_and_kept_within_its_register() {
        for (hold, expected) in [
            (Duration::ZERO, Err(HoldError::Zero)),
            (Duration::from_nanos(1), Ok(1)),
            (ms(100), Ok(1)),
            (ms(101), Ok(2)),
            (ms(5_000), Ok(50)),
            (ms(3_276_700), Ok(0x7FFF)),
            (ms(3_276_701), Err(HoldError::TooLong(ms(3_276_701)))),
            (Duration::MAX, Err(HoldError::TooLong(Duration::MAX))),
        ] {
            assert_eq!(units(hold), expected, "{hold:?}");
        }
        assert_eq!(time(50), ms(5_000));
    }

    #[test]
    fn the_earliest_is_looked_at_first_and_a_second_on_a_coil_supersedes_the_first() {
        let now = clock::instant();
        let mut pulses = Pulses::default();
        pulses.started(3, 30, now + ms(300));
        pulses.started(1, 10, now + ms(200));
        assert_eq!(pulses.next(), Some(now + ms(200)));
        pulses.started(1, 11, now + ms(400));
        assert_eq!((pulses.next(), pulses.due(now + ms(299))), (Some(now + ms(300)), vec![]));
        assert_eq!((pulses.due(now + ms(300)), pulses.due(now + ms(400))), (vec![3], vec![1, 3]));
        assert_eq!(pulses.ended(3), Some(Over { ticket: 30, was_late: false }));
        pulses.postpone(1, now + ms(900));
        assert_eq!(pulses.next(), Some(now + ms(900)));
        assert_eq!(pulses.ended(1), Some(Over { ticket: 11, was_late: true }));
        assert_eq!(pulses.next(), None);
    }

    #[test]
    fn a_doubted_pulse_is_looked_at_but_nobody_is_told_and_it_never_shortens_another() {
        let now = clock::instant();
        let mut pulses = Pulses::default();
        pulses.doubted(1, now + ms(200));
        assert_eq!(pulses.next(), Some(now + ms(200)));
        assert_eq!(pulses.ended(1), None);
        pulses.started(2, 20, now + ms(500));
        pulses.doubted(2, now + ms(100));
        assert_eq!(pulses.next(), Some(now + ms(500)));
        pulses.doubted(2, now + ms(900));
        assert_eq!(pulses.next(), Some(now + ms(900)));
        assert_eq!(pulses.ended(2).map(|over| over.ticket), Some(20));
    }
}
