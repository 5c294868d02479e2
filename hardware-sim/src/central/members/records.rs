//! What a location's controller must hold, as the books have it: its policy, its grants, and the cards of who holds them.
//!
//! The answer to "one location's booking never opens another's": a location's records are made of its own bookings and
//! zones only, and go into its own feed.

use super::KEPT_IN_FEED;
use super::books::{Booking, Books, Card, CardStatus, Guest, Kind, Member};
use super::site::Location;
use crate::central::bookings::instant_text;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Whether a record of the feed is the books' to change and delete; others were put there by hand.
#[must_use]
pub fn is_of_the_books(record_type: &str, id: &str) -> bool {
    match record_type {
        "credential" => id.starts_with("c."),
        "grant" => id.starts_with("g.b-"),
        "policy" => id == "site",
        _ => false,
    }
}

impl Books {
    /// All records of the books that a location's feed must have now.
    #[must_use]
    pub fn records(&self, location: &Location, now: DateTime<Utc>) -> Vec<Value> {
        let mut holders: BTreeSet<&str> = BTreeSet::new();
        let at_home = self.members.values().filter(|member| member.home == location.id);
        holders.extend(at_home.map(|member| member.id.as_str()));
        let mut records = vec![policy(location)];
        for booking in self.bookings.values().filter(|booking| booking.location == location.id) {
            let Some(grants) = self.grants(location, booking, now) else { continue };
            holders.insert(&booking.member);
            holders.extend(booking.guests.iter().map(|guest| guest.holder.as_str()));
            records.extend(grants);
        }
        let of_them = self.cards.values().filter(|card| holders.contains(card.holder.as_str()));
        records.extend(of_them.filter_map(|card| self.credential(card, now)));
        records
    }

    /// The host's and the guests' grants; nothing if the booking opens nothing (any more).
    fn grants(&self, location: &Location, booking: &Booking, now: DateTime<Utc>) -> Option<Vec<Value>> {
        let suspended = self.members.get(&booking.member).is_none_or(|member| member.suspended);
        if !booking.stands() || suspended || booking.ends_at + KEPT_IN_FEED <= now {
            return None;
        }
        let (zone, capacity) = place(location, booking)?;
        let mut zones = location.perimeter.clone();
        if !zones.contains(&zone) {
            zones.push(zone);
        }
        let of_the_booking = |id: String, kind: &str, holder: &str| {
            let mut fields = Map::new();
            fields.insert("type".into(), json!("grant"));
            fields.insert("id".into(), json!(id));
            fields.insert("kind".into(), json!(kind));
            fields.insert("holder".into(), json!(holder));
            fields.insert("booking".into(), json!(booking.id.to_string()));
            fields.insert("zones".into(), json!(zones));
            fields.insert("starts_at".into(), json!(instant_text(booking.starts_at)));
            fields.insert("ends_at".into(), json!(instant_text(booking.ends_at)));
            fields.insert("booked_at".into(), json!(instant_text(booking.booked_at)));
            fields
        };
        let mut host =
            of_the_booking(format!("g.{}", booking.id), &booking.kind.to_string(), &booking.member);
        if let Some(capacity) = capacity {
            host.insert("capacity".into(), json!(capacity));
        }
        let suspended = |guest: &&Guest| !self.members.get(&guest.who).is_some_and(|member| member.suspended);
        let guests = booking.guests.iter().filter(suspended).map(|guest| {
            of_the_booking(format!("g.{}.{}", booking.id, guest.number), "guest", &guest.holder)
        });
        Some(std::iter::once(host).chain(guests).map(Value::Object).collect())
    }

    /// A card; nothing once it is of no more use to anybody.
    fn credential(&self, card: &Card, now: DateTime<Utc>) -> Option<Value> {
        let member = self.members.get(&card.holder);
        let until = self.good_until(card);
        let over = until.is_some_and(|until| until <= now);
        // Two credentials with one number would be a conflict at the controller.
        let is_of_another = || self.cards.values().any(|other| other.id != card.id && other.uid == card.uid);
        if over && (card.visit.is_some() || is_of_another()) {
            return None;
        }
        let mut fields = Map::new();
        fields.insert("type".into(), json!("credential"));
        fields.insert("id".into(), json!(card.id));
        fields.insert("uid".into(), json!(card.uid.to_string()));
        fields.insert("holder".into(), json!(card.holder));
        fields.insert("status".into(), json!(status(card, member)));
        if let Some((from, _)) = card.visit {
            fields.insert("valid_from".into(), json!(instant_text(from)));
        }
        if let Some(until) = until {
            fields.insert("valid_until".into(), json!(instant_text(until)));
        }
        Some(Value::Object(fields))
    }
}

fn status(card: &Card, member: Option<&Member>) -> CardStatus {
    let rests = member.is_some_and(|member| member.suspended) && card.status != CardStatus::Lost;
    if rests { CardStatus::Suspended } else { card.status }
}

/// Its zone, and a room's capacity; nothing if the site has it no more.
fn place(location: &Location, booking: &Booking) -> Option<(String, Option<u32>)> {
    match booking.kind {
        Kind::Room => {
            let room = location.rooms.iter().find(|room| room.id == booking.place)?;
            Some((room.zone.clone(), Some(room.capacity)))
        }
        Kind::Desk => {
            let desk = location.desks.iter().find(|desk| desk.id == booking.place)?;
            Some((desk.zone.clone(), None))
        }
    }
}

fn policy(location: &Location) -> Value {
    let mut fields = Map::new();
    fields.insert("type".into(), json!("policy"));
    fields.insert("id".into(), json!("site"));
    if !location.open_24h {
        fields.insert("opening_hours".into(), json!(location.opening_hours));
    }
    fields.insert("staffed_hours".into(), json!(location.staffed_hours));
    if !location.exceptions.is_empty() {
        fields.insert("exceptions".into(), json!(location.exceptions));
    }
    Value::Object(fields)
}
