//! What many grants share, kept once: sets of doors and zones, and schedules. Counted, so that a site that books for
//! years does not fill up with sets nobody has any more.

use std::collections::BTreeMap;

/// A table of values, each with a number and the count of those that use it.
#[derive(Clone, Debug)]
pub struct Interned<T> {
    values: Vec<Option<(T, u32)>>,
    numbers: BTreeMap<T, u32>,
    free: Vec<u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Interned { values: Vec::new(), numbers: BTreeMap::new(), free: Vec::new() }
    }
}

impl<T: Ord + Clone> Interned<T> {
    /// The value's number, and whether it is new.
    pub fn take(&mut self, value: &T) -> (u32, bool) {
        if let Some(&n) = self.numbers.get(value) {
            if let Some(Some((_, uses))) = self.values.get_mut(n as usize) {
                *uses += 1;
            }
            return (n, false);
        }
        let entry = Some((value.clone(), 1));
        let n = match self.free.pop() {
            Some(n) => {
                if let Some(room) = self.values.get_mut(n as usize) {
                    *room = entry;
                }
                n
            }
            None => {
                self.values.push(entry);
                (self.values.len() - 1) as u32
            }
        };
        self.numbers.insert(value.clone(), n);
        (n, true)
    }

    /// One user less.
    pub fn give_back(&mut self, n: u32) {
        let Some(room) = self.values.get_mut(n as usize) else { return };
        let Some((value, uses)) = room else { return };
        *uses -= 1;
        if *uses == 0 {
            self.numbers.remove(value);
            self.free.push(n);
            *room = None;
        }
    }

    pub fn get(&self, n: u32) -> Option<&T> {
        self.values.get(n as usize)?.as_ref().map(|(value, _)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.values.iter().enumerate().filter_map(|(n, v)| v.as_ref().map(|(value, _)| (n as u32, value)))
    }
}
