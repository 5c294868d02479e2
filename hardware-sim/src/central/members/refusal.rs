//! Why an order is not carried out: each reason is a sentence for people and a code for machines.
//!
//! A sentence says what was asked, what stands against it, and what could be done instead.

use super::REFUND_NOTICE;
use super::books::BookingId;

/// A rule that stands against an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentence over each says it, and the fields are the words in it")]
pub enum Refusal {
    #[error("{id} can't be an id: use 1 to 32 of A-Z a-z 0-9 . _ -")]
    BadId { id: String },
    #[error("there is no member {id}; see members, or take them in with member")]
    UnknownMember { id: String },
    #[error("{id} is a member already; choose another id")]
    MemberExists { id: String },
    #[error("there is no location {id}; there are {known}")]
    UnknownLocation { id: String, known: String },
    #[error("there is no plan {id}; there are {known}")]
    UnknownPlan { id: String, known: String },
    #[error("{location} has no {place}; it has {known}")]
    UnknownPlace { location: String, place: String, known: String },
    #[error("there is no booking {id}; see bookings")]
    UnknownBooking { id: String },
    #[error("{member} has no card that could be lost; see members")]
    NoCard { member: String },
    #[error("that card is {whose}; hand out another")]
    CardTaken { whose: String },
    #[error("that card makes up a number for each tap, so that it is nobody's; hand out another")]
    RandomUid,
    #[error("{member} is suspended and can't book; resume the member first")]
    Suspended { member: String },
    #[error("{member} is not suspended; there is nothing to resume")]
    NotSuspended { member: String },
    #[error(
        "the membership of {member} ends {until}; book for a time before, or move the end with end {member} MONTH"
    )]
    MembershipEnded { member: String, until: String },
    #[error("the booking would begin {start}, which is over; book from now on")]
    InThePast { start: String },
    #[error("a booking takes 15 minutes to 24 hours and ends after it begins; choose another length")]
    BadLength,
    #[error("{start} is more than a year ahead; book nearer to the day")]
    TooFarAhead { start: String },
    #[error("a desk is booked for one day, and this runs from {start} to {end}; book each day by itself")]
    NotOneDay { start: String, end: String },
    #[error("{location} is not open all of {start} to {end}; it is open {open}; choose a time inside")]
    OutsideHours { location: String, start: String, end: String, open: String },
    #[error(
        "{start} would be the first visit of {member}, and nobody is at the front desk of {location} then to activate \
         the card; begin with a visit on a weekday in staffed hours, {staffed}"
    )]
    FirstVisit { member: String, location: String, start: String, staffed: String },
    #[error(
        "without {booking} the first visit of {member} would be {next}, outside staffed hours; cancel {next} first"
    )]
    FirstVisitNeeded { member: String, booking: BookingId, next: BookingId },
    #[error("{place} at {location} is taken from {start} to {end}; choose another time or another one")]
    Taken { place: String, location: String, start: String, end: String },
    #[error("{location} has no desk free from {start} to {end}; choose another time or location")]
    NoDeskFree { location: String, start: String, end: String },
    #[error("guests come with a room, and {booking} is a desk; book a room for the meeting")]
    NoRoom { booking: BookingId },
    #[error(
        "{place} is for {capacity} people, the host included, and {booking} has as many; book a larger room"
    )]
    RoomFull { booking: BookingId, place: String, capacity: u32 },
    #[error("{who} is on {booking} already; nothing is to be done")]
    ThereAlready { who: String, booking: BookingId },
    #[error("{who} is no member and needs a visitor's card: give its number after the name")]
    GuestNeedsCard { who: String },
    #[error("{who} is a member and comes with their own card; leave out the number")]
    GuestHasCard { who: String },
    #[error("{who} is no guest of {booking}; see bookings")]
    NoSuchGuest { who: String, booking: BookingId },
    #[error("{booking} was cancelled; there is nothing to do with it any more")]
    Cancelled { booking: BookingId },
    #[error("{booking} ended {end}; there is nothing to do with it any more")]
    Over { booking: BookingId, end: String },
}

impl Refusal {
    /// The reason for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::BadId { .. } => "bad_id",
            Refusal::UnknownMember { .. } => "unknown_member",
            Refusal::MemberExists { .. } => "member_exists",
            Refusal::UnknownLocation { .. } => "unknown_location",
            Refusal::UnknownPlan { .. } => "unknown_plan",
            Refusal::UnknownPlace { .. } => "unknown_place",
            Refusal::UnknownBooking { .. } => "unknown_booking",
            Refusal::NoCard { .. } => "no_card",
            Refusal::CardTaken { .. } => "card_taken",
            Refusal::RandomUid => "random_uid",
            Refusal::Suspended { .. } => "member_suspended",
            Refusal::NotSuspended { .. } => "not_suspended",
            Refusal::MembershipEnded { .. } => "membership_ended",
            Refusal::InThePast { .. } => "in_the_past",
            Refusal::BadLength => "bad_length",
            Refusal::TooFarAhead { .. } => "too_far_ahead",
            Refusal::NotOneDay { .. } => "not_one_day",
            Refusal::OutsideHours { .. } => "outside_opening_hours",
            Refusal::FirstVisit { .. } => "first_visit_unstaffed",
            Refusal::FirstVisitNeeded { .. } => "first_visit_needed",
            Refusal::Taken { .. } => "taken",
            Refusal::NoDeskFree { .. } => "no_desk_free",
            Refusal::NoRoom { .. } => "guest_without_room",
            Refusal::RoomFull { .. } => "room_full",
            Refusal::ThereAlready { .. } => "there_already",
            Refusal::GuestNeedsCard { .. } => "guest_needs_card",
            Refusal::GuestHasCard { .. } => "guest_has_card",
            Refusal::NoSuchGuest { .. } => "no_such_guest",
            Refusal::Cancelled { .. } => "booking_cancelled",
            Refusal::Over { .. } => "booking_over",
        }
    }
}

/// The refund rule, for people.
#[must_use]
pub fn refund_rule() -> String {
    format!("credits come back until {} hours before it begins", REFUND_NOTICE.num_hours())
}
