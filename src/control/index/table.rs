//! A hash table from a hash to holders' numbers, open and linear, so that a look-up misses the cache once.
//!
//! A general table keeps its marks and its entries apart, which is two misses of the four a decision has. This one
//! holds nothing but eight-byte slots, eight to a cache line; whether a slot's holder is the one meant, the caller
//! sees in the holder's run.

/// A hash, and whose run to look in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub hash: u32,
    pub holder: u32,
}

/// No holder has this number: there would have to be 4,294,967,295 others.
const EMPTY: Slot = Slot { hash: 0, holder: u32::MAX };
const SMALLEST: usize = 8;

#[derive(Debug, Default)]
pub struct Table {
    /// Empty, or a power of two, of which at most seven eighths are taken.
    slots: Vec<Slot>,
    taken: usize,
}

impl Table {
    /// The holders put in with this hash, in no order that means anything.
    pub fn with(&self, hash: u32) -> impl Iterator<Item = u32> {
        self.cluster(hash).filter(move |(_, slot)| slot.hash == hash).map(|(_, slot)| slot.holder)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Puts a slot in; the same one may be in several times.
    pub fn insert(&mut self, slot: Slot) {
        if (self.taken + 1) * 8 > self.slots.len() * 7 {
            self.grow();
        }
        self.place(slot);
        self.taken += 1;
    }

    /// Takes a slot out, once.
    pub fn remove(&mut self, slot: Slot) {
        let Some((mut hole, _)) = self.cluster(slot.hash).find(|(_, s)| *s == slot) else { return };
        // What stands behind moves up, where that brings it no further ahead than its hash wants it.
        let behind: Vec<(usize, Slot)> = self.cluster_at(self.next(hole)).collect();
        for (at, moved) in behind {
            if self.distance(self.home(moved.hash), at) >= self.distance(hole, at) {
                self.set(hole, moved);
                hole = at;
            }
        }
        self.set(hole, EMPTY);
        self.taken -= 1;
    }

    fn grow(&mut self) {
        let room = vec![EMPTY; (self.slots.len() * 2).max(SMALLEST)];
        for slot in std::mem::replace(&mut self.slots, room) {
            if slot != EMPTY {
                self.place(slot);
            }
        }
    }

    fn place(&mut self, slot: Slot) {
        let home = self.home(slot.hash);
        let free = self.cluster_at(home).last().map_or(home, |(at, _)| self.next(at));
        self.set(free, slot);
    }

    /// The slots from a hash's home to the next empty one, with their places.
    fn cluster(&self, hash: u32) -> impl Iterator<Item = (usize, Slot)> {
        self.cluster_at(self.home(hash))
    }

    fn cluster_at(&self, from: usize) -> impl Iterator<Item = (usize, Slot)> {
        let (front, back) = self.slots.split_at_checked(from).unwrap_or_default();
        let places = (from..self.slots.len()).chain(0..from);
        places
            .zip(back.iter().chain(front))
            .map(|(at, slot)| (at, *slot))
            .take_while(|(_, slot)| *slot != EMPTY)
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().wrapping_sub(1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.slots.len().wrapping_sub(1)
    }

    fn set(&mut self, at: usize, slot: Slot) {
        if let Some(room) = self.slots.get_mut(at) {
            *room = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(holders: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut all: Vec<u32> = holders.collect();
        all.sort_unstable();
        all
    }

    /// Few hashes: clusters that run into each other.
    #[test]
    fn it_holds_what_a_list_would() {
        let (mut table, mut list, mut dice) = (Table::default(), Vec::new(), 1_u32);
        for round in 0..3000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // around zero: the clusters lie across the table's end
            let slot = Slot { hash: ((dice >> 20) % 24).wrapping_sub(12), holder: (dice >> 8) % 5 };
            if round % 300 < 150 {
                table.insert(slot);
                list.push(slot);
            } else {
                table.remove(slot);
                if let Some(at) = list.iter().position(|s| *s == slot) {
                    list.swap_remove(at);
                }
            }
            let expected = list.iter().filter(|s| s.hash == slot.hash).map(|s| s.holder);
            assert_eq!(sorted(table.with(slot.hash)), sorted(expected), "round {round}");
            assert_eq!(table.taken, list.len());
        }
        for slot in std::mem::take(&mut list) {
            table.remove(slot);
        }
        assert!(table.slots.iter().all(|s| *s == EMPTY));
    }

    #[test]
    fn an_empty_table_knows_nobody() {
        let mut table = Table::default();
        table.remove(Slot { hash: 7, holder: 1 });
        assert_eq!(table.with(7).count(), 0);
    }
}
