//! Guests that are let in: remembered, told to the host, and let go of when their bookings are long over.

use super::Controller;
use crate::{
    control::{event::Note, index::DoorNo},
    domain::{At, BookingId, EntryKind, GrantId, HolderId, Kind, Now},
};

impl Controller {
    /// A guest let in is remembered, and the first time the host is told.
    pub(super) fn note_guest(&mut self, now: Now, door: DoorNo, holder: &HolderId, grant: &GrantId) {
        let Some((booking, host)) = self.guest_of(holder, grant) else { return };
        if self.let_in.contains(booking.as_str(), holder.as_str()) {
            return;
        }
        let Some(door) = self.door_id(door) else { return };
        let arrived =
            EntryKind::GuestArrived { door, holder: holder.clone(), booking: booking.clone(), host };
        let seq = self.record(now, arrived);
        self.let_guest_in(now.wall, seq, booking, holder.clone());
    }

    /// The booking of a guest's grant, and its host: of several, the one with the smallest grant id.
    fn guest_of(&self, holder: &HolderId, grant: &GrantId) -> Option<(BookingId, HolderId)> {
        let own = self.index.by_holder(holder.as_str())?.grants().find(|g| g.id.is(grant.as_str()))?;
        let booking = own.booking.filter(|_| own.kind == Kind::Guest)?;
        let booking = booking.as_id(BookingId::new)?;
        let (host, _) = self.index.hosts(booking.as_str()).min_by(|a, b| a.1.id.cmp(&b.1.id))?;
        let host = host.id().as_id(HolderId::new)?;
        Some((booking, host))
    }

    /// Lets go of guests let in on bookings that are gone, a month after the last of them came, by a clock that is
    /// trusted: at the start, and every so many entries, so that they don't pile up in a daemon that runs for years.
    pub(super) fn forget_old_guests(&mut self, now: Now) {
        if !now.trust.is_trusted() {
            return;
        }
        let index = &self.index;
        let gone = self.let_in.forget(now.wall.plus_s(-30 * 86_400), |b| index.hosts(b).next().is_none());
        for booking in gone {
            self.note(Note::Forget { booking });
        }
    }

    fn let_guest_in(&mut self, at: At, seq: u64, booking: BookingId, holder: HolderId) {
        self.let_in.add(booking.clone(), holder.clone(), at);
        let seq = self.noted_through(seq);
        self.note(Note::LetIn { booking, holder, at, seq });
    }
}
