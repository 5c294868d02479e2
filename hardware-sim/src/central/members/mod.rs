//! The rules members are sold by, and what they make of the feeds. They live here, in central; a controller knows none.
//!
//! Pure: the instant and the time zones' rules come in as values. An order is either refused with a [`Refusal`], or becomes
//! facts; the facts are kept, in order, and the [`Books`] are what they add up to; what a location's controller must hold
//! follows from the books ([`Books::records`]). So a restart is the same facts again, and a feed that lost something is
//! mended by comparing.
//!
//! ```text
//!   Order ── rules ──► Fact ── books ──► Books ── records ──► one feed a location
//!              │                           └────── account ──► credits, bill
//!              └─────► Refusal
//! ```
//!
//! What is sold, and how:
//!
//! - **Desks** are booked by the day, or for hours of one day. Each member has one desk a day included, at any location;
//!   a further desk on the same day costs one credit.
//! - **Rooms** cost credits for each hour begun, at the room's rate (one unless the site says otherwise).
//! - **Credits**: the plan's (5) in each month, counted by the month a booking begins in at its location. What is left at
//!   the end of a month is gone. A booking that needs more than is left is sold all the same: the rest is billed.
//! - **Refund**: credits, and the day's included desk, come back when a booking is cancelled at least 24 hours before it
//!   begins. Later they are spent, also if it was never used; the place is free for others either way.
//! - **Hours**: a booking lies inside the location's opening hours, unless it is open around the clock.
//! - **First visit**: the earliest of a new member's bookings begins on a weekday (Monday to Friday) in staffed hours, so
//!   that the front desk can activate the card. It counts until the controller says that the card was activated.
//! - **Guests** come with a room, at most its capacity less the host. A guest who is no member gets a visitor's card, good
//!   for the booking's time.
//! - **A location** is a feed of its own: what is booked there opens doors there, and nowhere else.
//! - **The end** of a membership is the end of a month: cards stop then, and bookings beyond are cancelled and refunded.
//! - **Lost** cards stop for good, everywhere; **suspended** members' cards and bookings rest until they are resumed.

mod account;
mod books;
pub mod calendar;
#[cfg(test)]
mod properties;
pub(in crate::central) mod records;
mod refusal;
mod rules;
pub mod site;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use books::{Booking, BookingId, Books, Card, CardStatus, Fact, Guest, Kind, Member};
pub use refusal::{Refusal, refund_rule};
pub use rules::Order;
pub use site::Site;

use chrono::TimeDelta;

/// How long before its beginning a booking can be cancelled with its credits.
pub const REFUND_NOTICE: TimeDelta = TimeDelta::hours(24);
/// No shorter booking.
pub const SHORTEST: TimeDelta = TimeDelta::minutes(15);
/// No longer one.
pub const LONGEST: TimeDelta = TimeDelta::hours(24);
/// No booking further ahead.
pub const AHEAD_MAX: TimeDelta = TimeDelta::days(365);
/// Bookings are in the feed for so long after their end: past any margin a policy may have.
pub const KEPT_IN_FEED: TimeDelta = TimeDelta::days(1);
