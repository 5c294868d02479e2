//! What would have to be different for a door to open, and who can make it so.

use latchd::domain::{At, Reason, Status};

use super::{looked_at::Story, reasons, times};

impl Story<'_> {
    /// What would have to be different, and who can make it so.
    pub fn remedy(&self) -> Option<String> {
        let looked = self.looked_at();
        let reason = reasons::named(&self.whole.answer.reason)?;
        let id = looked.credential.as_ref().map_or("C", |card| card.id.as_str());
        let door = &self.whole.answer.door;
        Some(match reason {
            Reason::InWindow | Reason::Standing => return None,
            Reason::RandomUid => "a card with a number of its own has to be used".into(),
            Reason::UnknownCredential => {
                "central has to know this card as somebody's: it is registered there, and comes with the feed"
                    .into()
            }
            Reason::CredentialNotActivated => format!(
                "activate the card at the desk: latchctl credential activate {id}{}",
                self.desk_hours()
            ),
            Reason::CredentialSuspended if self.is_desks_suspension() => {
                format!(
                    "the desk suspended it, and can give it back: latchctl credential activate {id}{}",
                    self.desk_hours()
                )
            }
            Reason::CredentialSuspended => "central has to lift the suspension".into(),
            Reason::CredentialLost | Reason::CredentialRevoked => {
                "another card has to be handed out; only central changes this one".into()
            }
            Reason::CredentialNotYetValid => {
                "wait until the card counts, or have central let it count earlier".into()
            }
            Reason::CredentialExpired => "central has to extend the card".into(),
            Reason::DoorLockedDown => format!("end the lockdown: latchctl door lock-down-release {door}"),
            Reason::DoorBlocked => format!("end the block: latchctl door unblock {door}"),
            Reason::NoGrant => format!("book something here that takes in {}", self.door()),
            Reason::WrongDoor => {
                format!("book something that takes in {}: what is booked does not", self.door())
            }
            Reason::ClockUntrusted => {
                "the clock has to be set and synchronised: latchctl status says what is wrong with it".into()
            }
            Reason::CacheStale => {
                "central has to be heard again: latchctl sync says what is in the way".into()
            }
            Reason::TooEarly => match &looked.next {
                Some(next) => format!(
                    "wait until it opens {} (in {}), or have the booking begin earlier",
                    self.at(next.opens_at),
                    times::span(next.opens_at.since(self.whole.answer.at))
                ),
                None => "wait until it opens, or have the booking begin earlier".into(),
            },
            Reason::TooLate => format!("book {} again, or for longer", self.door()),
            Reason::HostBookingMissing => {
                "the host's booking has to be there again, and the guest invited to it".into()
            }
            Reason::CapacityReached => {
                "the host's room has to hold more; who has been let in once may come and go".into()
            }
            Reason::OutsideBuildingHours => {
                let next = looked.building.as_ref().and_then(|hours| hours.next);
                let when =
                    next.map_or_else(String::new, |(from, to)| format!(", next {}", self.hours(from, to)));
                format!("wait until the building is open{when}; only standing grants pass outside its hours")
            }
        })
    }

    fn is_desks_suspension(&self) -> bool {
        let desk = self.looked_at().credential.as_ref().and_then(|card| card.desk.as_ref());
        desk.is_some_and(|desk| desk.central != Some(Status::Suspended))
    }

    fn desk_hours(&self) -> String {
        match &self.looked_at().staffed {
            Some(hours) if hours.within => " (the desk is staffed)".into(),
            Some(hours) => hours.next.map_or_else(
                || " (the desk is never staffed; an administrator adds --override)".into(),
                |(from, to)| {
                    format!(
                        " (the desk is staffed next {}; before that an administrator adds --override)",
                        self.hours(from, to)
                    )
                },
            ),
            None => String::new(),
        }
    }

    fn hours(&self, from: At, to: At) -> String {
        format!("{} to {}", self.site.zone.show(from), self.site.zone.show_time(to))
    }
}
