//! What a disk holds, what of it would outlast a power cut, and what may be left after one. Pure.
//!
//! A disk acknowledges a write when it has it in its own memory; only a flush makes it last. Between two flushes it may
//! keep any of the writes, in any order, and of one that was under way any of its sectors.

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR: usize = 512;

/// What is left of the writes since the last flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// None of them.
    Nothing,
    /// The first ones, up to some moment.
    Prefix,
    /// Any of them.
    Subset,
    /// Any of their sectors.
    Torn,
}

impl Cut {
    pub const ALL: [Cut; 4] = [Cut::Nothing, Cut::Prefix, Cut::Subset, Cut::Torn];
}

#[derive(Debug, Clone)]
struct Write {
    at: usize,
    bytes: Vec<u8>,
}

/// What would outlast a cut at one moment, and what might.
#[derive(Debug, Clone)]
pub struct Moment {
    durable: Vec<u8>,
    pending: Vec<Write>,
}

impl Moment {
    /// How many writes no flush has followed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What is on the disk when power is back. `below(n)` gives a random number below n.
    pub fn after(mut self, cut: Cut, mut below: impl FnMut(usize) -> usize) -> Vec<u8> {
        let kept = match cut {
            Cut::Nothing => 0,
            Cut::Prefix => below(self.pending.len() + 1),
            Cut::Subset | Cut::Torn => self.pending.len(),
        };
        for Write { at, bytes } in self.pending.iter().take(kept) {
            let piece = if cut == Cut::Torn { SECTOR } else { bytes.len().max(1) };
            for (n, part) in bytes.chunks(piece).enumerate() {
                if matches!(cut, Cut::Subset | Cut::Torn) && below(2) == 0 {
                    continue;
                }
                let start = at + n * piece;
                if let Some(room) = self.durable.get_mut(start..start + part.len()) {
                    room.copy_from_slice(part);
                }
            }
        }
        self.durable
    }
}

/// A running disk.
#[derive(Debug)]
pub struct Image {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
    flushes: u64,
    /// So many writes from now a moment is caught.
    catch_in: Option<usize>,
    caught: Option<Moment>,
}

impl Image {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            durable: bytes.clone(),
            now: bytes,
            pending: Vec::new(),
            flushes: 0,
            catch_in: None,
            caught: None,
        }
    }

    pub fn size(&self) -> usize {
        self.now.len()
    }

    /// How often what was written was made to last.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    /// What is there, as far as the disk goes.
    pub fn read(&self, at: usize, count: usize) -> &[u8] {
        let end = at.saturating_add(count).min(self.now.len());
        self.now.get(at..end).unwrap_or_default()
    }

    /// Whether it is within the disk, and was taken.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let Some(room) = at.checked_add(bytes.len()).and_then(|end| self.now.get_mut(at..end)) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.pending.push(Write { at, bytes: bytes.to_vec() });
        self.catch_in = match self.catch_in {
            Some(0) => {
                self.caught = Some(self.moment());
                None
            }
            left => left.map(|left| left - 1),
        };
        true
    }

    /// A moment is to be caught right behind a write, when so many have come before it.
    pub fn catch_after(&mut self, writes: usize) {
        (self.catch_in, self.caught) = (Some(writes), None);
    }

    /// The moment that was caught.
    pub fn take_caught(&mut self) -> Option<Moment> {
        self.caught.take()
    }

    pub fn flush(&mut self) {
        self.flushes += 1;
        for Write { at, bytes } in self.pending.drain(..) {
            if let Some(room) = self.durable.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(&bytes);
            }
        }
    }

    pub fn moment(&self) -> Moment {
        Moment { durable: self.durable.clone(), pending: self.pending.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Image {
        let mut image = Image::new(vec![0; 4 * SECTOR]);
        assert!(image.write(0, &[1; 2 * SECTOR]));
        image.flush();
        assert!(image.write(SECTOR, &[2; 2 * SECTOR]));
        assert!(image.write(3 * SECTOR, &[3; SECTOR]));
        image
    }

    fn sectors(image: &[u8]) -> Vec<u8> {
        image.chunks(SECTOR).map(|sector| sector[0]).collect()
    }

    #[test]
    fn what_was_flushed_outlasts_every_cut() {
        for cut in Cut::ALL {
            let left = written().moment().after(cut, |_| 0);
            assert_eq!(sectors(&left), [1, 1, 0, 0], "{cut:?}");
        }
    }

    #[test]
    fn what_was_not_flushed_is_there_until_the_cut_and_may_be_left_in_part() {
        let image = written();
        assert_eq!(sectors(image.read(0, usize::MAX)), [1, 2, 2, 3]);
        assert_eq!((image.moment().pending(), image.flushes()), (2, 1));
        let left = |cut, numbers: &[usize]| {
            let mut numbers = numbers.iter().copied();
            sectors(&image.moment().after(cut, |_| numbers.next().unwrap()))
        };
        assert_eq!(left(Cut::Prefix, &[1]), [1, 2, 2, 0]);
        assert_eq!(left(Cut::Prefix, &[2]), [1, 2, 2, 3]);
        assert_eq!(left(Cut::Subset, &[0, 1]), [1, 1, 0, 3]);
        assert_eq!(left(Cut::Torn, &[0, 1, 0]), [1, 1, 2, 0]);
    }

    #[test]
    fn a_moment_is_caught_behind_the_write_that_was_asked_for() {
        let mut image = written();
        image.catch_after(1);
        for n in 4..8 {
            assert!(image.take_caught().is_none() || n == 6);
            assert!(image.write(0, &[n]));
        }
        image.catch_after(0);
        assert!(image.write(0, &[8]));
        image.flush();
        let caught = image.take_caught().unwrap();
        assert_eq!((caught.pending(), caught.after(Cut::Nothing, |_| 0)[0]), (7, 1));
        assert!(image.take_caught().is_none());
    }

    #[test]
    fn nothing_is_written_beyond_the_disk() {
        let mut image = written();
        assert!(!image.write(4 * SECTOR - 1, &[9; 2]));
        assert!(!image.write(usize::MAX, &[9; 2]));
        assert_eq!(image.read(4 * SECTOR, 10), <[u8; 0]>::default());
        assert_eq!((image.size(), image.read(4 * SECTOR - 1, 10)), (4 * SECTOR, &[3][..]));
    }
}
