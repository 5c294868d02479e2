//! The books: members, cards and bookings, as the facts add up to them.
//!
//! Facts are what was decided, not what was asked: when they are read again, no rule is asked again, so that a site file
//! that changed since takes nothing back that was sold.

use super::calendar::{Month, Span};
use super::site::{KnownMember, Site};
use crate::uid::CardUid;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A booking's number; `b-12` to people and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BookingId(pub u64);

impl fmt::Display for BookingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b-{}", self.0)
    }
}

impl FromStr for BookingId {
    type Err = ();

    fn from_str(text: &str) -> Result<BookingId, ()> {
        text.strip_prefix("b-").and_then(|number| number.parse().ok()).map(BookingId).ok_or(())
    }
}

/// What is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A meeting room.
    Room,
    /// A desk.
    Desk,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Room => "room",
            Kind::Desk => "desk",
        })
    }
}

/// Somebody who pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The holder's id.
    pub id: String,
    /// What people call them.
    pub name: String,
    /// Their location.
    pub home: String,
    /// Their plan.
    pub plan: Option<String>,
    /// Whether they have been at the front desk.
    pub visited: bool,
    /// Whether everything of theirs rests.
    pub suspended: bool,
    /// The end of their last month.
    pub ends_at: Option<DateTime<Utc>>,
}

/// What a card is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the contract's words for it, see rules.md, Cards")]
pub enum CardStatus {
    Issued,
    Active,
    Suspended,
    Lost,
}

/// A card in somebody's hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The credential's id; made of the holder's, never of the number.
    pub id: String,
    /// Its number.
    pub uid: CardUid,
    /// Whose it is.
    pub holder: String,
    /// What it is.
    pub status: CardStatus,
    /// A visitor's card is good for the visit only.
    pub visit: Option<Span>,
}

/// Somebody's guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Counts from 1 within the booking, and is never given twice.
    pub number: u64,
    /// A member's id, or a name for this booking.
    pub who: String,
    /// The id on the wire.
    pub holder: String,
}

/// A room or a desk, sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// Its number.
    pub id: BookingId,
    /// Where.
    pub location: String,
    /// What.
    pub kind: Kind,
    /// Which.
    pub place: String,
    /// By whom.
    pub member: String,
    /// From.
    pub starts_at: DateTime<Utc>,
    /// To.
    pub ends_at: DateTime<Utc>,
    /// When it was sold.
    pub booked_at: DateTime<Utc>,
    /// The local day it begins on: a desk's day, and the month its credits are of.
    pub day: NaiveDate,
    /// What it cost.
    pub credits: u32,
    /// Who else comes.
    pub guests: Vec<Guest>,
    /// Guests there have ever been.
    pub guests_numbered: u64,
    /// Taken back, and whether with its credits.
    pub cancelled: Option<Cancelled>,
}

/// A booking that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// When.
    pub at: DateTime<Utc>,
    /// Whether its credits came back.
    pub refunded: bool,
}

impl Booking {
    /// From and to.
    #[must_use]
    pub fn span(&self) -> Span {
        (self.starts_at, self.ends_at)
    }

    /// The month it is paid in.
    #[must_use]
    pub fn month(&self) -> Month {
        Month::of(self.day)
    }

    /// Whether it still holds its place.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.cancelled.is_none()
    }

    /// Whether what it cost is spent.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        !self.cancelled.is_some_and(|cancelled| cancelled.refunded)
    }
}

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what happened, and to whom")]
pub enum Fact {
    Joined(Member),
    CardGiven(Card),
    CardIs {
        card: String,
        status: CardStatus,
    },
    Visited {
        member: String,
    },
    Suspended {
        member: String,
        suspended: bool,
    },
    Ended {
        member: String,
        at: DateTime<Utc>,
    },
    Booked(Booking),
    GuestAdded {
        booking: BookingId,
        guest: Guest,
    },
    GuestRemoved {
        booking: BookingId,
        number: u64,
    },
    Cancelled {
        booking: BookingId,
        at: DateTime<Utc>,
        refunded: bool,
    },
    /// An event that had consequences: it has no more when it is heard again.
    Heard {
        location: String,
        journal: String,
        seq: u64,
    },
}

/// Everything that was sold.
#[derive(Debug, Clone, Default)]
pub struct Books {
    pub(super) site: Site,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) cards: BTreeMap<String, Card>,
    pub(super) bookings: BTreeMap<BookingId, Booking>,
    heard: BTreeMap<(String, String), u64>,
}

impl Books {
    /// The books of a new site: its members and nothing booked.
    #[must_use]
    pub fn new(site: Site) -> Books {
        let site = site.with_a_plan();
        let mut books = Books::default();
        for KnownMember { id, name, home, plan, cards, visited } in site.members.clone() {
            let status = if visited { CardStatus::Active } else { CardStatus::Issued };
            for (at, uid) in cards.into_iter().enumerate() {
                let card = format!("c.{id}.file-{}", at + 1);
                let holder = id.clone();
                books.apply(&Fact::CardGiven(Card { id: card, uid, holder, status, visit: None }));
            }
            let (suspended, ends_at) = (false, None);
            books.apply(&Fact::Joined(Member { id, name, home, plan, visited, suspended, ends_at }));
        }
        Books { site, ..books }
    }

    /// Adds a fact. One about something that is not there (any more) changes nothing.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Joined(member) => drop(self.members.insert(member.id.clone(), member.clone())),
            Fact::CardGiven(card) => drop(self.cards.insert(card.id.clone(), card.clone())),
            Fact::CardIs { card, status } => {
                self.cards.entry(card.clone()).and_modify(|card| card.status = *status);
            }
            Fact::Visited { member } => self.of_member(member, |member| member.visited = true),
            Fact::Suspended { member, suspended } => {
                self.of_member(member, |member| member.suspended = *suspended);
            }
            Fact::Ended { member, at } => self.of_member(member, |member| member.ends_at = Some(*at)),
            Fact::Booked(booking) => drop(self.bookings.insert(booking.id, booking.clone())),
            Fact::GuestAdded { booking, guest } => self.of_booking(*booking, |booking| {
                booking.guests_numbered = guest.number;
                booking.guests.push(guest.clone());
            }),
            Fact::GuestRemoved { booking, number } => {
                self.of_booking(*booking, |booking| booking.guests.retain(|guest| guest.number != *number));
            }
            Fact::Cancelled { booking, at, refunded } => self.of_booking(*booking, |booking| {
                booking.cancelled = Some(Cancelled { at: *at, refunded: *refunded });
            }),
            Fact::Heard { location, journal, seq } => {
                self.heard.insert((location.clone(), journal.clone()), *seq);
            }
        }
    }

    fn of_member(&mut self, id: &str, change: impl FnOnce(&mut Member)) {
        self.members.entry(id.to_owned()).and_modify(change);
    }

    fn of_booking(&mut self, id: BookingId, change: impl FnOnce(&mut Booking)) {
        self.bookings.entry(id).and_modify(change);
    }

    /// What there is to sell.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// All members.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// All cards of a holder.
    pub fn cards_of<'a>(&'a self, holder: &'a str) -> impl Iterator<Item = &'a Card> {
        self.cards.values().filter(move |card| card.holder == holder)
    }

    /// The end of a card's use: a visitor's is the visit's, a member's the membership's.
    #[must_use]
    pub fn good_until(&self, card: &Card) -> Option<DateTime<Utc>> {
        let member = self.members.get(&card.holder).and_then(|member| member.ends_at);
        card.visit.map(|(_, until)| until).or(member)
    }

    /// All bookings ever, by number.
    pub fn bookings(&self) -> impl Iterator<Item = &Booking> {
        self.bookings.values()
    }

    /// The last event of a journal that had consequences.
    pub(super) fn heard(&self, location: &str, journal: &str) -> u64 {
        self.heard.get(&(location.to_owned(), journal.to_owned())).copied().unwrap_or(0)
    }
}
