//! The front office: the members' books on disk, and a central for each location that hears what they make of its feed.
//!
//! A fact is on disk before it counts. If central dies before the feeds have heard of it, they are compared with the books
//! at the next start, and every minute.

use crate::central::lines::{Lines, LinesError};
use crate::central::members::calendar::said;
use crate::central::members::records::is_of_the_books;
use crate::central::members::{BookingId, Books, Fact, Order, Refusal, refund_rule};
use crate::central::{Central, FeedError, lock};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Why the office does not do something.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// A rule stands against it.
    #[error("{0} [{code}]", code = .0.code())]
    Refused(#[from] Refusal),
    /// The disk.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// A feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The books can't be read to their end.
    #[error(
        "{path} is damaged in line {line}: whatever was sold after it would be sold again; put a copy in its place, or \
         begin new books by moving it away"
    )]
    Damaged {
        /// The books.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// Books, and who hears of them.
#[derive(Debug)]
pub struct Office {
    kept: Mutex<Kept>,
    centrals: BTreeMap<String, Arc<Central>>,
}

#[derive(Debug)]
struct Kept {
    books: Books,
    lines: Option<Lines>,
}

impl Office {
    /// The books as they were kept, with every feed brought up to them.
    ///
    /// # Errors
    /// Books that can't be read, or a feed that can't be kept.
    pub fn open(
        mut books: Books,
        file: Option<&Path>,
        centrals: BTreeMap<String, Arc<Central>>,
        now: DateTime<Utc>,
    ) -> Result<Office, OfficeError> {
        let mut kept_in = None;
        if let Some(path) = file {
            let (lines, found) = Lines::open(path)?;
            let damaged = |line| OfficeError::Damaged { path: path.to_owned(), line };
            for (at, line) in found.lines.into_iter().enumerate() {
                let fact = line.get("fact").cloned().and_then(|fact| serde_json::from_value(fact).ok());
                books.apply(&fact.ok_or_else(|| damaged(at + 1))?);
            }
            if let Some(line) = found.damaged_line {
                return Err(damaged(line));
            }
            kept_in = Some(lines);
        }
        let office = Office { kept: Mutex::new(Kept { books, lines: kept_in }), centrals };
        office.bring_up_to_date(now)?;
        Ok(office)
    }

    /// A location's central.
    #[must_use]
    pub fn central(&self, location: &str) -> Option<&Arc<Central>> {
        self.centrals.get(location)
    }

    /// All of them.
    pub fn centrals(&self) -> impl Iterator<Item = &Arc<Central>> {
        self.centrals.values()
    }

    /// Looks into the books.
    pub fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&lock(&self.kept).books)
    }

    /// Carries out an order: facts in the books, records in the feeds.
    ///
    /// # Errors
    /// A rule stands against it, or a disk.
    pub fn order(&self, order: &Order, now: DateTime<Utc>) -> Result<String, OfficeError> {
        let mut kept = lock(&self.kept);
        let facts = kept.books.decide(order, now)?;
        kept.add(&facts, now)?;
        let said: Vec<String> = facts.iter().filter_map(|fact| sentence(&kept.books, fact)).collect();
        self.compare(&kept.books, now)?;
        Ok(said.join("\n"))
    }

    /// Draws the consequences of an event; says whether there were any.
    ///
    /// # Errors
    /// A disk.
    pub fn hear(
        &self,
        location: &str,
        journal: &str,
        event: &Value,
        now: DateTime<Utc>,
    ) -> Result<bool, OfficeError> {
        let mut kept = lock(&self.kept);
        let facts = kept.books.hear(location, journal, event);
        if facts.is_empty() {
            return Ok(false);
        }
        kept.add(&facts, now)?;
        self.compare(&kept.books, now)?;
        Ok(true)
    }

    /// Brings every feed up to the books: what is over goes, what was missed comes.
    ///
    /// # Errors
    /// A feed that can't be kept.
    pub fn bring_up_to_date(&self, now: DateTime<Utc>) -> Result<(), OfficeError> {
        self.compare(&lock(&self.kept).books, now)
    }

    fn compare(&self, books: &Books, now: DateTime<Utc>) -> Result<(), OfficeError> {
        for location in &books.site().locations {
            let Some(central) = self.centrals.get(&location.id) else { continue };
            let keyed = |record: Value| Some((key(&record)?, record));
            let mut wanted: BTreeMap<(String, String), Value> =
                books.records(location, now).into_iter().filter_map(keyed).collect();
            let mut delete = Vec::new();
            for (key, record) in central.records().into_iter().filter_map(keyed) {
                if wanted.get(&key) == Some(&record) {
                    wanted.remove(&key);
                } else if !wanted.contains_key(&key) && is_of_the_books(&key.0, &key.1) {
                    delete.push(key);
                }
            }
            if !delete.is_empty() || !wanted.is_empty() {
                central.change(&delete, wanted.into_values().collect())?;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn add(&mut self, facts: &[Fact], now: DateTime<Utc>) -> Result<(), LinesError> {
        if let Some(lines) = &mut self.lines {
            lines.append(facts.iter().map(|fact| json!({ "at": now, "fact": fact })))?;
        }
        facts.iter().for_each(|fact| self.books.apply(fact));
        Ok(())
    }
}

fn key(record: &Value) -> Option<(String, String)> {
    let text = |field: &str| record.get(field).and_then(Value::as_str).map(str::to_owned);
    Some((text("type")?, text("id")?))
}

/// What a fact means to who ordered it; the books have it already. A card's number is never said.
fn sentence(books: &Books, fact: &Fact) -> Option<String> {
    match fact {
        Fact::Joined(member) => Some(format!("{} is a member, at home in {}", member.id, member.home)),
        Fact::CardGiven(card) => Some(format!("card {} is handed out to {}", card.id, card.holder)),
        Fact::CardIs { card, status } => Some(format!("card {card} is {}", json!(status).as_str()?)),
        Fact::Visited { member } => Some(format!("{member} has been at the front desk")),
        Fact::Suspended { member, suspended: true } => Some(format!("{member} is suspended")),
        Fact::Suspended { member, suspended: false } => Some(format!("{member} is resumed")),
        Fact::Ended { member, at } => Some(format!("the membership of {member} ends {at}")),
        Fact::Booked(booking) => booked(books, booking.id),
        Fact::GuestAdded { booking, guest } => Some(format!("{} is a guest of {booking}", guest.who)),
        Fact::GuestRemoved { booking, number } => Some(format!("guest {number} of {booking} is off")),
        Fact::Cancelled { booking, refunded: true, .. } => {
            Some(format!("{booking} is cancelled, and what it cost comes back"))
        }
        Fact::Cancelled { booking, refunded: false, .. } => {
            Some(format!("{booking} is cancelled; what it cost is spent: {}", refund_rule()))
        }
        Fact::Heard { .. } => None,
    }
}

fn booked(books: &Books, id: BookingId) -> Option<String> {
    let booking = books.bookings().find(|booking| booking.id == id)?;
    let location = books.site().location(&booking.location)?;
    let member = books.members().find(|member| member.id == booking.member)?;
    let account = books.account(member, booking.month());
    let beyond = account.billed().min(booking.credits);
    let cost = match (booking.credits, beyond) {
        (0, _) => "included".to_owned(),
        (all, 0) => format!("costs {all} of the month's credits"),
        (all, beyond) => format!("costs {all} credits, {beyond} of them billed"),
    };
    Some(format!(
        "{id}: {} {} at {} for {}, {} to {}; {cost}\n{account}",
        booking.kind,
        booking.place,
        booking.location,
        booking.member,
        location.local(booking.starts_at),
        location.local(booking.ends_at)
    ))
}

/// An instant as people at a location say it: as anywhere, or by its wall clock (`2026-11-23T09:00`).
pub(super) fn instant_at(
    zone: chrono_tz::Tz,
    text: &str,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, String> {
    let Ok(wall) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M") else {
        return crate::central::bookings::instant(text, now)
            .map_err(|error| format!("{error}, or by the location's clock 2026-11-23T09:00"));
    };
    said(zone, wall)
        .ok_or_else(|| format!("the clock at the location never shows {text}; choose another time"))
}
