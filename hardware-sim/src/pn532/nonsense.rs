//! What a chip that talks nonsense says: answers spoilt in one way each, and a line that is never silent. Without
//! chance, so that a scenario goes the same each time.

use super::frame::{self, ACK, ERROR};

/// How an answer is spoilt. The chip itself knows the right one, and gives it when asked again by NACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// The checksum is wrong.
    Checksum,
    /// The second half never comes.
    Half,
    /// A byte in the middle is lost.
    LostByte,
    /// Other bytes, as many.
    Garbage,
    /// It comes twice.
    Twice,
    /// The answer to a command that nobody gave.
    OtherAnswer,
    /// "I don't know this command".
    Error,
    /// Nothing at all.
    Silence,
}

impl Spoil {
    pub const ALL: [(&str, Spoil); 8] = [
        ("checksum", Spoil::Checksum),
        ("half", Spoil::Half),
        ("lost-byte", Spoil::LostByte),
        ("garbage", Spoil::Garbage),
        ("twice", Spoil::Twice),
        ("other", Spoil::OtherAnswer),
        ("error", Spoil::Error),
        ("silence", Spoil::Silence),
    ];

    /// What is said in place of `answer`, the frame of the answer to `command`.
    pub(super) fn apply(self, command: u8, mut answer: Vec<u8>) -> Vec<u8> {
        let middle = answer.len() / 2;
        match self {
            Spoil::Checksum => {
                // Before the postamble.
                if let Some(checksum) = answer.iter_mut().nth_back(1) {
                    *checksum ^= 0x5A;
                }
                answer
            }
            Spoil::Half => {
                answer.truncate(middle);
                answer
            }
            Spoil::LostByte => {
                answer.remove(middle);
                answer
            }
            Spoil::Garbage => Noise(u64::from(command)).take(answer.len()).collect(),
            Spoil::Twice => answer.repeat(2),
            Spoil::OtherAnswer => frame::answer(command.wrapping_add(2), &[0x00]),
            Spoil::Error => ERROR.to_vec(),
            Spoil::Silence => Vec::new(),
        }
    }
}

/// What a line says that is never silent.
#[derive(Debug, Clone)]
pub enum Babble {
    Noise(Noise),
    /// Acknowledgements that nobody asked for.
    Acks,
}

impl Babble {
    /// The next piece: as much as a line of 115,200 baud carries in a few milliseconds.
    pub(super) fn next_piece(&mut self) -> Vec<u8> {
        match self {
            Babble::Noise(noise) => noise.take(48).collect(),
            Babble::Acks => ACK.repeat(8),
        }
    }
}

/// Bytes without sense (xorshift), always the same for one seed.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Noise(seed)
    }
}

impl Iterator for Noise {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        // A seed of 0 would stay 0.
        let mut state = self.0 ^ 0x9E37_79B9_7F4A_7C15;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0 = state ^ 0x9E37_79B9_7F4A_7C15;
        Some((state >> 24) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_nonsense_is_another_and_none_is_the_answer() {
        let whole = frame::answer(0x4A, &[1, 1, 0, 4, 8, 4, 1, 2, 3, 4]);
        let mut said: Vec<Vec<u8>> =
            Spoil::ALL.iter().map(|(_, how)| how.apply(0x4A, whole.clone())).collect();
        said.push(whole);
        for (n, one) in said.iter().enumerate() {
            assert!(!said[..n].contains(one), "{one:02X?} comes twice");
        }
    }

    #[test]
    fn noise_goes_on_and_is_the_same_for_one_seed() {
        let some = |seed| Noise::new(seed).take(1000).collect::<Vec<u8>>();
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
        let mut kinds = some(0);
        kinds.sort_unstable();
        kinds.dedup();
        assert!(kinds.len() > 200, "only {} different bytes", kinds.len());
    }
}
