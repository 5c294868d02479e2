//! Stored forms as earlier layouts had them, and how each is read as today's.

use serde::{Deserialize, Serialize};

use super::{StoredEnd, StoredError, StoredModes, decode};
use crate::domain::DoorMode;

/// A door's mode before doors had schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModesWithoutSchedule {
    pub seq: u64,
    pub base: DoorMode,
    pub unlocked_until: Option<StoredEnd>,
    pub held: Option<(DoorMode, Option<StoredEnd>)>,
}

/// A door's mode of layout 1, in either of the shapes it had. Neither can be read as the other: a value must take all of
/// its bytes, and the later shape has two fields more.
pub fn modes(bytes: &[u8]) -> Result<StoredModes, StoredError> {
    decode(bytes).or_else(|_| {
        let ModesWithoutSchedule { seq, base, unlocked_until, held } = decode(bytes)?;
        Ok(StoredModes { seq, base, unlocked_until, held, ..StoredModes::default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::At, wire::stored::encode};

    #[test]
    fn a_mode_is_read_in_either_of_the_shapes_that_layout_1_had() {
        let at = At::parse("2026-11-23T09:00:00.5Z").ok();
        let ends = [None, Some(StoredEnd { at: None, for_s: 30 }), Some(StoredEnd { at, for_s: 7200 })];
        for (until, held_until) in ends.into_iter().flat_map(|a| ends.map(|b| (a, b))) {
            for held in
                [None, Some((DoorMode::LockedDown, held_until)), Some((DoorMode::LockedOpen, held_until))]
            {
                for base in [DoorMode::Locked, DoorMode::Unlocked, DoorMode::Blocked] {
                    let old = ModesWithoutSchedule { seq: 7, base, unlocked_until: until, held };
                    let now =
                        StoredModes { seq: 7, base, unlocked_until: until, held, ..StoredModes::default() };
                    assert_eq!(modes(&encode(&old).unwrap()), Ok(now));
                    let later = StoredModes { scheduled_until: until, schedule_done: at, ..now };
                    assert_eq!(modes(&encode(&later).unwrap()), Ok(later));
                }
            }
        }
    }

    #[test]
    fn a_value_is_all_of_its_bytes() {
        let bytes = [encode(&StoredModes::default()).unwrap(), vec![0]].concat();
        assert_eq!(decode::<StoredModes>(&bytes), Err(StoredError::Longer(1)));
    }
}
