//! What each reason means, in words a member could be told; and each row of the rules, in words a technician looks
//! up. The one place where both are written.

use latchd::domain::Reason;

/// What a sentence may mention. What is not known is said in general words.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The door's name.
    pub door: &'a str,
    /// What the grant is to its holder: `the room booking b-7`.
    pub right: &'a str,
    /// When it opens, or the card begins to count: `at 09:30 on Mon 23 Nov`.
    pub from: Option<&'a str>,
    /// When it closes or closed, or the card stops or stopped to count.
    pub until: Option<&'a str>,
}

/// Every reason there is.
pub const ALL: [Reason; 21] = [
    Reason::RandomUid,
    Reason::UnknownCredential,
    Reason::CredentialNotActivated,
    Reason::CredentialSuspended,
    Reason::CredentialLost,
    Reason::CredentialRevoked,
    Reason::CredentialNotYetValid,
    Reason::CredentialExpired,
    Reason::DoorLockedDown,
    Reason::DoorBlocked,
    Reason::NoGrant,
    Reason::WrongDoor,
    Reason::ClockUntrusted,
    Reason::CacheStale,
    Reason::TooEarly,
    Reason::TooLate,
    Reason::HostBookingMissing,
    Reason::CapacityReached,
    Reason::OutsideBuildingHours,
    Reason::InWindow,
    Reason::Standing,
];

/// The reason of this name on the wire; `None` for one that a newer daemon gives.
pub fn named(name: &str) -> Option<Reason> {
    ALL.into_iter().find(|reason| serde_json::to_value(reason).is_ok_and(|own| own == name))
}

pub fn sentence(reason: Reason, facts: &Facts<'_>) -> String {
    template(reason, facts.until.is_some())
        .replace("{from}", facts.from.unwrap_or("later"))
        .replace("{until}", facts.until.unwrap_or("earlier"))
        .replace("{door}", facts.door)
        .replace("{right}", facts.right)
}

fn template(reason: Reason, ends: bool) -> &'static str {
    match reason {
        Reason::RandomUid => {
            "No: this card makes up a new number for each tap, as phones and bank cards do, so it can't be known \
             again. Please use the card you were given."
        }
        Reason::UnknownCredential => {
            "No: this card is not known here. Please ask the front desk to register it."
        }
        Reason::CredentialNotActivated => {
            "Not yet: this card has not been activated. Please bring it to the front desk in staffed hours."
        }
        Reason::CredentialSuspended => "No: this card is suspended for now. Please ask the front desk why.",
        Reason::CredentialLost => {
            "No: this card was reported lost. If it has been found, please bring it to the front desk."
        }
        Reason::CredentialRevoked => {
            "No: this card has been withdrawn for good. Please ask the front desk for a new one."
        }
        Reason::CredentialNotYetValid => "Not yet: this card begins to count {from}.",
        Reason::CredentialExpired => {
            "No longer: this card stopped counting {until}. Please ask the front desk to extend it."
        }
        Reason::DoorLockedDown => {
            "No: {door} is locked down, and opens only for those who may pass a lockdown."
        }
        Reason::DoorBlocked => "No: {door} is blocked until the site unblocks it.",
        Reason::NoGrant => "No: this card's holder has no booking here, and bookings are what opens doors.",
        Reason::WrongDoor => "No: nothing that this card's holder has booked includes {door}.",
        Reason::ClockUntrusted => {
            "Not now: the controller of {door} is not sure what time it is, so it can't tell whether the booking has \
             begun. Please tell the site's technician."
        }
        Reason::CacheStale => {
            "Not now: the controller of {door} has not heard of new bookings for too long to trust those it knows. \
             Please tell the site's technician."
        }
        Reason::TooEarly => "Not yet: {right} opens {door} {from}.",
        Reason::TooLate if ends => "No longer: {right} stopped opening {door} {until}.",
        Reason::TooLate => "No: nothing that this card's holder has booked opens {door}, now or later.",
        Reason::HostBookingMissing => {
            "No: the booking this guest was invited to is no longer there. Please ask the host."
        }
        Reason::CapacityReached => {
            "No: as many guests as the room holds have already come on this booking. Please ask the host."
        }
        Reason::OutsideBuildingHours => "Not now: {door} opens for bookings only while the building is open.",
        Reason::InWindow if ends => "Yes: {right} opens {door}, and stops doing so {until}.",
        Reason::InWindow => "Yes: {right} opens {door}.",
        Reason::Standing if ends => "Yes: {right} opens {door}, and stops doing so {until}.",
        Reason::Standing => "Yes: {right} opens {door}, without an end.",
    }
}

/// The row of the table in the rules ("The decision") as a technician reads it.
pub fn row(row: u8) -> &'static str {
    match row {
        1 => "the UID is a random one",
        2 => "no credential has this UID",
        3 => "the credential's status is not active",
        4 => "outside the credential's valid_from and valid_until",
        5 => "the door's mode, and no covering grant that overrides it is open now",
        6 => "the holder has no grant, or none that covers this door",
        7 => "the clock is not trusted, and no covering grant is standing without any bound",
        8 => "central was last heard longer ago than the door's max_stale_s",
        9 => "no covering grant is open now",
        10 => "each covering grant that is open now fails a check",
        11 => "a covering grant is open now and passes every check",
        _ => "a row this latchctl does not know",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_name_and_a_sentence_of_its_own() {
        let facts = Facts { door: "Main entrance", right: "the booking", from: None, until: None };
        let names: BTreeSet<String> =
            ALL.iter().map(|r| serde_json::to_value(r).unwrap().as_str().unwrap().to_owned()).collect();
        let sentences: BTreeSet<String> = ALL.iter().map(|&r| sentence(r, &facts)).collect();
        assert_eq!((names.len(), sentences.len()), (21, 21));
        assert!(names.iter().all(|name| named(name).is_some()));
        assert_eq!(named("full_moon"), None);
    }

    #[test]
    fn a_sentence_begins_with_its_answer_and_ends() {
        let facts = Facts { door: "Room 4", right: "the booking", from: Some("at 9"), until: Some("at 10") };
        for reason in ALL {
            let sentence = sentence(reason, &facts);
            let granted = latchd::domain::Decision::of(reason).is_granted();
            assert_eq!(sentence.starts_with("Yes: "), granted, "{sentence}");
            assert!(sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
        }
        assert!((1..=11).all(|n| !row(n).contains("does not know")));
    }
}
