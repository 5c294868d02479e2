//! Which guests have been let in on which booking. It outlasts a restart: the cache keeps it, and what the cache
//! missed the journal's `guest.arrived` entries tell again at start.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{At, BookingId, HolderId};

/// Guests let in, by booking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetIn {
    bookings: BTreeMap<BookingId, Party>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Party {
    guests: BTreeSet<HolderId>,
    last_at: At,
}

impl LetIn {
    /// Whether this guest may (still) come in on a booking whose room holds `capacity`, the host included.
    pub fn has_room(&self, booking: &str, guest: &str, capacity: u32) -> bool {
        match self.bookings.get(booking) {
            None => capacity > 1,
            Some(party) => {
                party.guests.contains(guest)
                    || (party.guests.len() as u64) < u64::from(capacity.saturating_sub(1))
            }
        }
    }

    pub fn contains(&self, booking: &str, guest: &str) -> bool {
        self.bookings.get(booking).is_some_and(|party| party.guests.contains(guest))
    }

    pub fn add(&mut self, booking: BookingId, guest: HolderId, at: At) {
        let party =
            self.bookings.entry(booking).or_insert_with(|| Party { guests: BTreeSet::new(), last_at: at });
        party.guests.insert(guest);
        party.last_at = party.last_at.max(at);
    }

    /// Forgets bookings that `is_over`, and whose last guest came before `before`.
    pub fn forget(&mut self, before: At, is_over: impl Fn(&str) -> bool) -> Vec<BookingId> {
        let gone: Vec<BookingId> = self
            .bookings
            .iter()
            .filter(|(booking, party)| party.last_at < before && is_over(booking.as_str()))
            .map(|(booking, _)| booking.clone())
            .collect();
        for booking in &gone {
            self.bookings.remove(booking);
        }
        gone
    }

    pub fn iter(&self) -> impl Iterator<Item = (&BookingId, &HolderId, At)> {
        self.bookings.iter().flat_map(|(b, party)| party.guests.iter().map(move |g| (b, g, party.last_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_booking_is_forgotten_that_is_over_and_whose_last_guest_came_before() {
        let at = |s| At::parse("2026-11-23T09:00:00Z").unwrap().plus_s(s);
        let (booking, guest) = (BookingId::new("b-1").unwrap(), |id| HolderId::new(id).unwrap());
        let mut let_in = LetIn::default();
        let_in.add(booking.clone(), guest("m-1"), at(10));
        let_in.add(booking.clone(), guest("m-2"), at(0));
        assert!(let_in.forget(at(10), |_| true).is_empty(), "the last came at that very moment");
        assert!(let_in.forget(at(11), |_| false).is_empty(), "it is not over");
        assert_eq!(let_in.forget(at(11), |_| true), [booking]);
        assert_eq!(let_in.iter().count(), 0);
    }
}
