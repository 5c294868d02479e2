//! What PC/SC's reader states mean: pure, because the interesting ones (a card swapped between two looks, one that
//! lay there when pcscd came back) are hard to make happen on purpose.

use std::time::Duration;

use crate::domain::Mono;

/// After a device came back, its driver may need this long to notice the card that lies on it (firmware that starts
/// its field first, pcscd polling every 200 to 400 ms). Whoever taps within it taps again.
pub const SETTLE: Duration = Duration::from_millis(1_000);

/// What to do after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Nothing,
    /// The field is empty now.
    Emptied,
    /// A card lies there that nobody held up since the link is up.
    Found,
    /// A card came into the field; `swapped` when another (or the same) left it since the last look.
    Arrived {
        swapped: bool,
    },
}

#[derive(Debug)]
pub struct Field {
    last: Option<Look>,
    settled_at: Mono,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    present: bool,
    /// Insertions and removals pcscd has counted, 16 bits.
    count: u32,
}

impl Field {
    /// Of a device that has been there all along: whatever comes is a tap.
    pub fn steady() -> Self {
        Field { last: None, settled_at: Mono::default() }
    }

    /// Of a device that came back just now.
    pub fn returned(now: Mono) -> Self {
        Field { last: None, settled_at: now.plus(SETTLE) }
    }

    /// pcscd says: is there a card, and how many insertions and removals it has counted.
    pub fn look(&mut self, now: Mono, present: bool, count: u32) -> Turn {
        let Some(last) = self.last.replace(Look { present, count }) else {
            return if present { Turn::Found } else { Turn::Nothing };
        };
        match (last.present, present) {
            (true, false) => Turn::Emptied,
            (true, true) if last.count == count => Turn::Nothing,
            (false, false) => Turn::Nothing,
            (_, true) if now < self.settled_at => Turn::Found,
            (swapped, true) => Turn::Arrived { swapped },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Turn::*, *};

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    fn looks(field: &mut Field, looks: &[(u64, bool, u32)]) -> Vec<Turn> {
        looks.iter().map(|&(ms, present, count)| field.look(at(ms), present, count)).collect()
    }

    #[test]
    fn a_card_comes_stays_and_goes() {
        let seen = looks(
            &mut Field::steady(),
            &[(0, false, 0), (10, true, 1), (20, true, 1), (30, false, 2), (40, false, 2), (50, true, 3)],
        );
        assert_eq!(
            seen,
            [Nothing, Arrived { swapped: false }, Nothing, Emptied, Nothing, Arrived { swapped: false }]
        );
    }

    #[test]
    fn a_card_there_at_the_first_look_is_found_not_arrived() {
        assert_eq!(looks(&mut Field::steady(), &[(0, true, 1), (10, true, 1)]), [Found, Nothing]);
    }

    #[test]
    fn a_swap_between_two_looks_is_told_by_the_count() {
        assert_eq!(
            looks(&mut Field::steady(), &[(0, true, 1), (10, true, 3)]),
            [Found, Arrived { swapped: true }]
        );
    }

    #[test]
    fn a_card_taken_and_brought_and_taken_between_two_looks_is_gone() {
        assert_eq!(looks(&mut Field::steady(), &[(0, false, 0), (10, false, 2)]), [Nothing, Nothing]);
    }

    #[test]
    fn what_a_returned_device_notices_while_it_settles_lay_there() {
        let mut field = Field::returned(at(5_000));
        assert_eq!(looks(&mut field, &[(5_000, false, 0), (5_400, true, 1)]), [Nothing, Found]);
        assert_eq!(
            looks(&mut field, &[(6_200, false, 2), (6_300, true, 3)]),
            [Emptied, Arrived { swapped: false }]
        );
    }
}
