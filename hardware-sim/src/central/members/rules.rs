//! What an order becomes: facts, or a refusal. Each rule is one function, asked in the order a person would be told them.

use super::books::{Booking, BookingId, Books, Card, CardStatus, Fact, Guest, Kind, Member};
use super::calendar::{Hours, Month, Span};
use super::refusal::Refusal;
use super::site::{Location, is_id};
use super::{AHEAD_MAX, LONGEST, REFUND_NOTICE, SHORTEST};
use crate::uid::CardUid;
use chrono::{DateTime, Utc};

/// What can be asked of the front office.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the command line, explained there")]
pub enum Order {
    Join {
        id: String,
        home: String,
        plan: Option<String>,
        name: String,
    },
    HandOut {
        member: String,
        uid: CardUid,
    },
    Activate {
        member: String,
    },
    Lost {
        member: String,
    },
    Suspend {
        member: String,
    },
    Resume {
        member: String,
    },
    End {
        member: String,
        month: Option<Month>,
    },
    /// A desk may be any that is free: `place` is none.
    Book {
        kind: Kind,
        location: String,
        place: Option<String>,
        member: String,
        span: Span,
    },
    Guest {
        booking: String,
        who: String,
        uid: Option<CardUid>,
    },
    Dismiss {
        booking: String,
        who: String,
    },
    Cancel {
        booking: String,
    },
}

impl Books {
    /// What comes of an order now.
    ///
    /// # Errors
    /// A rule stands against it; nothing has changed.
    pub fn decide(&self, order: &Order, now: DateTime<Utc>) -> Result<Vec<Fact>, Refusal> {
        match order {
            Order::Join { id, home, plan, name } => self.join(id, home, plan.as_deref(), name),
            Order::HandOut { member, uid } => self.hand_out(self.member(member)?, uid, now),
            Order::Activate { member } => {
                let member = self.member(member)?;
                let visited = Fact::Visited { member: member.id.clone() };
                let cards = self.cards_of(&member.id).filter(|card| card.status != CardStatus::Lost);
                Ok(cards.map(|card| is(card, CardStatus::Active)).chain([visited]).collect())
            }
            Order::Lost { member } => {
                let member = self.member(member)?;
                let cards = self.cards_of(&member.id).filter(|card| card.status != CardStatus::Lost);
                let facts: Vec<Fact> = cards.map(|card| is(card, CardStatus::Lost)).collect();
                let no_card = || Refusal::NoCard { member: member.id.clone() };
                if facts.is_empty() { Err(no_card()) } else { Ok(facts) }
            }
            Order::Suspend { member } => {
                let member = self.member(member)?.id.clone();
                Ok(vec![Fact::Suspended { member, suspended: true }])
            }
            Order::Resume { member } => {
                let Member { id, suspended, .. } = self.member(member)?.clone();
                if !suspended {
                    return Err(Refusal::NotSuspended { member: id });
                }
                Ok(vec![Fact::Suspended { member: id, suspended: false }])
            }
            Order::End { member, month } => self.end(self.member(member)?, *month, now),
            Order::Book { kind, location, place, member, span } => {
                self.book(*kind, self.location(location)?, place.as_deref(), self.member(member)?, *span, now)
            }
            Order::Guest { booking, who, uid } => self.add_guest(booking, who, uid.as_ref(), now),
            Order::Dismiss { booking, who } => {
                let booking = self.booking(booking, now)?;
                let guest = booking.guests.iter().find(|guest| guest.who == *who);
                let nobody = || Refusal::NoSuchGuest { who: who.clone(), booking: booking.id };
                let number = guest.ok_or_else(nobody)?.number;
                Ok(vec![Fact::GuestRemoved { booking: booking.id, number }])
            }
            Order::Cancel { booking } => self.cancel(self.booking(booking, now)?, now),
        }
    }

    /// What comes of something a controller tells: a card activated or suspended at the door counts here as well.
    #[must_use]
    pub fn hear(&self, location: &str, journal: &str, event: &serde_json::Value) -> Vec<Fact> {
        let text = |field: &str| event.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
        let seq = event.get("seq").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let status = match text("type") {
            "credential.activated" => CardStatus::Active,
            "credential.suspended" => CardStatus::Suspended,
            _ => return Vec::new(),
        };
        let Some(card) = self.cards.get(text("credential")) else { return Vec::new() };
        if seq <= self.heard(location, journal) || card.status == CardStatus::Lost {
            return Vec::new();
        }
        let heard = Fact::Heard { location: location.to_owned(), journal: journal.to_owned(), seq };
        let visited = Fact::Visited { member: card.holder.clone() };
        let visited = (status == CardStatus::Active).then_some(visited);
        [heard, is(card, status)].into_iter().chain(visited).collect()
    }

    /// The member with that id.
    ///
    /// # Errors
    /// There is none.
    pub fn member(&self, id: &str) -> Result<&Member, Refusal> {
        self.members.get(id).ok_or_else(|| Refusal::UnknownMember { id: id.to_owned() })
    }

    /// The location with that id.
    ///
    /// # Errors
    /// There is none.
    pub fn location(&self, id: &str) -> Result<&Location, Refusal> {
        let known = || list(self.site.locations.iter().map(|location| location.id.as_str()));
        self.site.location(id).ok_or_else(|| Refusal::UnknownLocation { id: id.to_owned(), known: known() })
    }

    /// A booking something can still be done with.
    fn booking(&self, id: &str, now: DateTime<Utc>) -> Result<&Booking, Refusal> {
        let known = id.parse().ok().and_then(|id: BookingId| self.bookings.get(&id));
        let booking = known.ok_or_else(|| Refusal::UnknownBooking { id: id.to_owned() })?;
        if !booking.stands() {
            return Err(Refusal::Cancelled { booking: booking.id });
        }
        if booking.ends_at <= now {
            return Err(Refusal::Over {
                booking: booking.id,
                end: self.local(&booking.location, booking.ends_at),
            });
        }
        Ok(booking)
    }

    fn local(&self, location: &str, at: DateTime<Utc>) -> String {
        self.site.location(location).map_or_else(|| at.to_string(), |location| location.local(at))
    }

    fn join(&self, id: &str, home: &str, plan: Option<&str>, name: &str) -> Result<Vec<Fact>, Refusal> {
        if !is_id(id) {
            return Err(Refusal::BadId { id: id.to_owned() });
        }
        if self.members.contains_key(id) {
            return Err(Refusal::MemberExists { id: id.to_owned() });
        }
        let home = self.location(home)?.id.clone();
        if self.site.plan(plan).is_none() {
            let known = list(self.site.plans.iter().map(|plan| plan.id.as_str()));
            return Err(Refusal::UnknownPlan { id: plan.unwrap_or_default().to_owned(), known });
        }
        Ok(vec![Fact::Joined(Member {
            id: id.to_owned(),
            name: name.to_owned(),
            home,
            plan: plan.map(str::to_owned),
            visited: false,
            suspended: false,
            ends_at: None,
        })])
    }

    /// A further card of somebody who has been here needs no activation; a first one does.
    fn hand_out(&self, member: &Member, uid: &CardUid, now: DateTime<Utc>) -> Result<Vec<Fact>, Refusal> {
        self.free_card(uid, now)?;
        let id = format!("c.{}.{}", member.id, self.cards_of(&member.id).count() + 1);
        let status = if member.visited { CardStatus::Active } else { CardStatus::Issued };
        Ok(vec![Fact::CardGiven(Card {
            id,
            uid: uid.clone(),
            holder: member.id.clone(),
            status,
            visit: None,
        })])
    }

    /// A card is free when whoever had it has no more use for it.
    fn free_card(&self, uid: &CardUid, now: DateTime<Utc>) -> Result<(), Refusal> {
        if uid.as_bytes().first() == Some(&0x08) && uid.as_bytes().len() == 4 {
            return Err(Refusal::RandomUid);
        }
        for card in self.cards.values().filter(|card| card.uid == *uid) {
            let over = self.good_until(card).is_some_and(|until| until <= now) || self.visit_is_off(card);
            let whose = match (card.status, card.visit) {
                (CardStatus::Lost, _) => "reported lost".to_owned(),
                (_, None) if !over => format!("the card of {}", card.holder),
                (_, Some(_)) if !over => "a visitor's until their booking is over".to_owned(),
                _ => continue,
            };
            return Err(Refusal::CardTaken { whose });
        }
        Ok(())
    }

    /// A visitor's card of a booking that was cancelled, or of a guest who is not coming any more.
    fn visit_is_off(&self, card: &Card) -> bool {
        let standing = self.bookings.values().filter(|booking| booking.stands());
        let mut guests = standing.flat_map(|booking| &booking.guests);
        card.visit.is_some() && !guests.any(|guest| guest.holder == card.holder)
    }

    fn end(&self, member: &Member, month: Option<Month>, now: DateTime<Utc>) -> Result<Vec<Fact>, Refusal> {
        let home = self.location(&member.home)?;
        let this_month = Month::of(home.date(now));
        let at = month.unwrap_or(this_month).max(this_month).end(home.time_zone);
        let beyond = self.bookings.values().filter(|booking| booking.member == member.id);
        let beyond = beyond.filter(|booking| booking.stands() && booking.ends_at > at.max(now));
        let cancelled =
            beyond.map(|booking| Fact::Cancelled { booking: booking.id, at: now, refunded: true });
        Ok(std::iter::once(Fact::Ended { member: member.id.clone(), at }).chain(cancelled).collect())
    }

    fn cancel(&self, booking: &Booking, now: DateTime<Utc>) -> Result<Vec<Fact>, Refusal> {
        if let Some(member) = self.members.get(&booking.member).filter(|member| !member.visited) {
            let first = self.first_visit(member, now).is_some_and(|first| first.id == booking.id);
            let rest = self.coming(member, now).filter(|other| other.id != booking.id);
            if let Some(next) = rest.min_by_key(|other| (other.starts_at, other.id))
                && first
                && !self.is_staffed(next)
            {
                let (booking, next) = (booking.id, next.id);
                return Err(Refusal::FirstVisitNeeded { member: member.id.clone(), booking, next });
            }
        }
        let refunded = now + REFUND_NOTICE <= booking.starts_at;
        Ok(vec![Fact::Cancelled { booking: booking.id, at: now, refunded }])
    }

    fn book(
        &self,
        kind: Kind,
        location: &Location,
        place: Option<&str>,
        member: &Member,
        span: Span,
        now: DateTime<Utc>,
    ) -> Result<Vec<Fact>, Refusal> {
        self.may_book(member, location, span)?;
        in_reason(location, span, now)?;
        open(location, span)?;
        let day = location.date(span.0);
        if kind == Kind::Desk && span.1 > location.day(day).1 {
            let (start, end) = (location.local(span.0), location.local(span.1));
            return Err(Refusal::NotOneDay { start, end });
        }
        self.first_visit_is_staffed(member, location, span.0, now)?;
        let place = self.free_place(kind, location, place, span)?;
        let credits = match kind {
            Kind::Room => room_credits(location, &place, span),
            Kind::Desk => {
                let desks = self.bookings.values().filter(|booking| booking.kind == Kind::Desk);
                let theirs = desks.filter(|booking| booking.member == member.id && booking.day == day);
                let counted = theirs.filter(|booking| booking.is_charged());
                u32::from(counted.count() > 0)
            }
        };
        let id = BookingId(self.bookings.keys().next_back().map_or(1, |last| last.0 + 1));
        Ok(vec![Fact::Booked(Booking {
            id,
            location: location.id.clone(),
            kind,
            place,
            member: member.id.clone(),
            starts_at: span.0,
            ends_at: span.1,
            booked_at: now,
            day,
            credits,
            guests: Vec::new(),
            guests_numbered: 0,
            cancelled: None,
        })])
    }

    fn may_book(&self, member: &Member, location: &Location, span: Span) -> Result<(), Refusal> {
        if member.suspended {
            return Err(Refusal::Suspended { member: member.id.clone() });
        }
        match member.ends_at.filter(|ends_at| span.1 > *ends_at) {
            Some(ends_at) => {
                let until = location.local(ends_at);
                Err(Refusal::MembershipEnded { member: member.id.clone(), until })
            }
            None => Ok(()),
        }
    }

    /// The bookings of a member that are not over.
    fn coming<'a>(&'a self, member: &'a Member, now: DateTime<Utc>) -> impl Iterator<Item = &'a Booking> {
        let theirs = self.bookings.values().filter(|booking| booking.member == member.id);
        theirs.filter(move |booking| booking.stands() && booking.ends_at > now)
    }

    fn first_visit<'a>(&'a self, member: &'a Member, now: DateTime<Utc>) -> Option<&'a Booking> {
        self.coming(member, now).min_by_key(|booking| (booking.starts_at, booking.id))
    }

    fn is_staffed(&self, booking: &Booking) -> bool {
        let location = self.site.location(&booking.location);
        location.is_some_and(|location| location.is_staffed_weekday(booking.starts_at))
    }

    fn first_visit_is_staffed(
        &self,
        member: &Member,
        location: &Location,
        start: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let earlier = self.first_visit(member, now).is_some_and(|first| first.starts_at <= start);
        if member.visited || earlier || location.is_staffed_weekday(start) {
            return Ok(());
        }
        Err(Refusal::FirstVisit {
            member: member.id.clone(),
            location: location.id.clone(),
            start: location.local(start),
            staffed: on_that_day(location, Hours::Staffed, start),
        })
    }

    fn free_place(
        &self,
        kind: Kind,
        location: &Location,
        place: Option<&str>,
        span: Span,
    ) -> Result<String, Refusal> {
        let ids: Vec<&str> = match kind {
            Kind::Room => location.rooms.iter().map(|room| room.id.as_str()).collect(),
            Kind::Desk => location.desks.iter().map(|desk| desk.id.as_str()).collect(),
        };
        let taken = |id: &str| {
            let there = self.bookings.values().filter(|booking| booking.location == location.id);
            let same =
                there.filter(|booking| booking.kind == kind && booking.place == id && booking.stands());
            same.into_iter().find(|booking| booking.starts_at < span.1 && span.0 < booking.ends_at)
        };
        let (start, end) = (location.local(span.0), location.local(span.1));
        match place {
            None => {
                let free = ids.into_iter().find(|id| taken(id).is_none());
                let none = || Refusal::NoDeskFree { location: location.id.clone(), start, end };
                free.map(str::to_owned).ok_or_else(none)
            }
            Some(place) if ids.contains(&place) => match taken(place) {
                Some(other) => Err(Refusal::Taken {
                    place: place.to_owned(),
                    location: location.id.clone(),
                    start: location.local(other.starts_at),
                    end: location.local(other.ends_at),
                }),
                None => Ok(place.to_owned()),
            },
            Some(place) => Err(Refusal::UnknownPlace {
                location: location.id.clone(),
                place: format!("{kind} {place}"),
                known: list(ids.into_iter()),
            }),
        }
    }

    fn add_guest(
        &self,
        booking: &str,
        who: &str,
        uid: Option<&CardUid>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Fact>, Refusal> {
        let booking = self.booking(booking, now)?;
        if booking.kind != Kind::Room {
            return Err(Refusal::NoRoom { booking: booking.id });
        }
        if !is_id(who) {
            return Err(Refusal::BadId { id: who.to_owned() });
        }
        if who == booking.member || booking.guests.iter().any(|guest| guest.who == who) {
            return Err(Refusal::ThereAlready { who: who.to_owned(), booking: booking.id });
        }
        let location = self.location(&booking.location)?;
        let room = location.rooms.iter().find(|room| room.id == booking.place);
        let capacity = room.map_or(0, |room| room.capacity);
        if booking.guests.len() + 2 > usize::try_from(capacity).unwrap_or(usize::MAX) {
            let place = booking.place.clone();
            return Err(Refusal::RoomFull { booking: booking.id, place, capacity });
        }
        let number = booking.guests_numbered + 1;
        let added = |holder: String| {
            let guest = Guest { number, who: who.to_owned(), holder };
            Fact::GuestAdded { booking: booking.id, guest }
        };
        match (self.members.contains_key(who), uid) {
            (true, None) => Ok(vec![added(who.to_owned())]),
            (true, Some(_)) => Err(Refusal::GuestHasCard { who: who.to_owned() }),
            (false, None) => Err(Refusal::GuestNeedsCard { who: who.to_owned() }),
            (false, Some(uid)) => {
                self.free_card(uid, now)?;
                let holder = format!("guest.{}.{number}", booking.id);
                let (id, status) = (format!("c.{holder}"), CardStatus::Active);
                let visit = Some(booking.span());
                let card = Card { id, uid: uid.clone(), holder: holder.clone(), status, visit };
                Ok(vec![Fact::CardGiven(card), added(holder)])
            }
        }
    }
}

fn is(card: &Card, status: CardStatus) -> Fact {
    Fact::CardIs { card: card.id.clone(), status }
}

/// From now on, within a year, and of a length people use.
fn in_reason(location: &Location, (start, end): Span, now: DateTime<Utc>) -> Result<(), Refusal> {
    if start < now {
        return Err(Refusal::InThePast { start: location.local(start) });
    }
    if !(SHORTEST..=LONGEST).contains(&(end - start)) {
        return Err(Refusal::BadLength);
    }
    if start > now + AHEAD_MAX {
        return Err(Refusal::TooFarAhead { start: location.local(start) });
    }
    Ok(())
}

fn open(location: &Location, span: Span) -> Result<(), Refusal> {
    if location.covers(Hours::Opening, span) {
        return Ok(());
    }
    Err(Refusal::OutsideHours {
        location: location.id.clone(),
        start: location.local(span.0),
        end: location.local(span.1),
        open: on_that_day(location, Hours::Opening, span.0),
    })
}

/// The hours of the day of an instant, for people.
fn on_that_day(location: &Location, hours: Hours, at: DateTime<Utc>) -> String {
    let date = location.date(at);
    let time = |at: DateTime<Utc>| at.with_timezone(&location.time_zone).format("%H:%M").to_string();
    let spans = location.spans(hours, date).into_iter();
    let spans: Vec<String> = spans.map(|(from, to)| format!("{}–{}", time(from), time(to))).collect();
    match spans.as_slice() {
        [] => format!("not at all on {}", date.format("%a %Y-%m-%d")),
        some => format!("{} on {}", some.join(" and "), date.format("%a %Y-%m-%d")),
    }
}

/// Each hour begun, at the room's rate.
fn room_credits(location: &Location, room: &str, (start, end): Span) -> u32 {
    let rate = location.rooms.iter().find(|known| known.id == room).map_or(1, |room| room.credits_per_hour);
    let minutes =
        (end - start).num_seconds().max(0).div_euclid(60) + i64::from((end - start).num_seconds() % 60 > 0);
    let hours = u32::try_from(minutes.div_euclid(60) + i64::from(minutes % 60 > 0)).unwrap_or(u32::MAX);
    hours.saturating_mul(rate)
}

fn list<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.collect::<Vec<_>>().join(", ")
}
