//! The words of the front office: a line, or a row of a file, as an order to it.

use super::office::{Office, OfficeError, instant_at};
use crate::central::bookings::length;
use crate::central::members::calendar::{Hours, Month, WallTime, at_wall_time};
use crate::central::members::{Booking, Books, Kind, Order, Refusal};
use chrono::{DateTime, Days, NaiveDate, Utc};
use std::path::Path;

/// The columns of a bookings file that is asked of the rules, and its first line.
pub const COLUMNS: &str = "kind,location,place,member,starts_at,ends_at,guests";

/// For `--help` and `help`.
pub const HELP: &str = "\
The front office (with --site): every order is asked of the members' rules.
  member ID HOME PLAN|- [NAME…]         take in a member
  card MEMBER UID                       hand out a card; the first is issued until activated
  activate MEMBER                       the member has been at the front desk
  lost MEMBER | suspend MEMBER | resume MEMBER
  end MEMBER [YYYY-MM]                  the membership ends with that month (default: this one)
  book room LOCATION ROOM MEMBER START LENGTH
                                        START is now, +45m, RFC 3339, or 2026-11-23T09:00 there; LENGTH is 90m, 2h
  book desk LOCATION DESK|any MEMBER DAY [FROM-TO]
                                        DAY is today, tomorrow or 2026-11-23; without FROM-TO all of its opening hours
  guest BOOKING WHO [UID]               a member, or anybody with a visitor's card
  dismiss BOOKING WHO | cancel BOOKING
  credits MEMBER [YYYY-MM] | bill MEMBER [YYYY-MM]
  members | locations | bookings [MEMBER|LOCATION]
  at LOCATION ORDER                     one of the orders below, to one location's central";

/// One line for the office; nothing if none of its words begins it.
///
/// # Errors
/// A sentence: not understood, or refused.
pub fn carry_out(office: &Office, line: &str, now: DateTime<Utc>) -> Option<Result<String, String>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let looked = office.look(|books| looked(books, &words, now));
    if looked.is_some() {
        return looked;
    }
    let order = office.look(|books| order(books, &words, now))?;
    let done = order.and_then(|order| office.order(&order, now).map_err(|error| error.to_string()));
    Some(done)
}

/// Asks a file of bookings of the rules, row by row; gives what came of each. A row that is refused holds up no other.
///
/// # Errors
/// The file can't be read, or does not begin with [`COLUMNS`].
pub fn book_file(office: &Office, path: &Path, now: DateTime<Utc>) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("bookings file {} can't be read: {error}", path.display()))?;
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    if lines.next().map(|(_, line)| line) != Some(COLUMNS) {
        return Err(format!(
            "bookings file {}, line 1: with --site its columns are {COLUMNS}",
            path.display()
        ));
    }
    let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let said = rows.map(|(number, line)| match row(office, line, now) {
        Ok(said) => format!("line {number}: {said}"),
        Err(why) => format!("line {number} is not booked: {why}"),
    });
    Ok(said.collect())
}

fn row(office: &Office, line: &str, now: DateTime<Utc>) -> Result<String, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [kind, location, place, member, starts_at, ends_at, guests] = fields.as_slice() else {
        return Err(format!("it has {} fields; expected 7: {COLUMNS}", fields.len()));
    };
    let kind = match *kind {
        "room" => Kind::Room,
        "desk" => Kind::Desk,
        other => return Err(format!("{other} can't be booked; expected room or desk")),
    };
    let zone = office.look(|books| books.location(location).map(|location| location.time_zone));
    let zone = zone.map_err(|refusal| refusal.to_string())?;
    let span = (instant_at(zone, starts_at, now)?, instant_at(zone, ends_at, now)?);
    let (location, member) = ((*location).to_owned(), (*member).to_owned());
    let wanted = Order::Book { kind, location, place: place_of(kind, place), member, span };
    let say = |error: OfficeError| error.to_string();
    let mut said = vec![office.order(&wanted, now).map_err(say)?];
    let booking = office.look(|books| books.bookings().last().map(|booking| booking.id.to_string()));
    for guest in guests.split_whitespace() {
        let (who, uid) = guest.split_once(':').map_or((guest, None), |(who, uid)| (who, Some(uid)));
        let uid =
            uid.map(|uid| uid.parse().map_err(|_| "a guest's card has no number".to_owned())).transpose()?;
        let booking = booking.clone().unwrap_or_default();
        let order = Order::Guest { booking, who: who.to_owned(), uid };
        said.push(office.order(&order, now).unwrap_or_else(|error| format!("not {who}: {error}")));
    }
    Ok(said.join("; "))
}

fn order(books: &Books, words: &[&str], now: DateTime<Utc>) -> Option<Result<Order, String>> {
    let owned = |text: &&str| (*text).to_owned();
    Some(match words {
        ["member", id, home, plan, name @ ..] => Ok(Order::Join {
            id: owned(id),
            home: owned(home),
            plan: (*plan != "-").then(|| owned(plan)),
            name: name.join(" "),
        }),
        ["card", member, uid] => {
            let uid = uid.parse().map_err(|error: crate::uid::UidError| error.to_string());
            uid.map(|uid| Order::HandOut { member: owned(member), uid })
        }
        ["activate", member] => Ok(Order::Activate { member: owned(member) }),
        ["lost", member] => Ok(Order::Lost { member: owned(member) }),
        ["suspend", member] => Ok(Order::Suspend { member: owned(member) }),
        ["resume", member] => Ok(Order::Resume { member: owned(member) }),
        ["end", member] => Ok(Order::End { member: owned(member), month: None }),
        ["end", member, month] => {
            month.parse().map(|month| Order::End { member: owned(member), month: Some(month) })
        }
        ["book", "room", location, room, member, start, lasts] => {
            room_order(books, location, room, member, (start, lasts), now)
        }
        ["book", "desk", location, desk, member, day] => {
            desk_order(books, location, desk, member, (day, None), now)
        }
        ["book", "desk", location, desk, member, day, hours] => {
            desk_order(books, location, desk, member, (day, Some(hours)), now)
        }
        ["guest", booking, who] => Ok(Order::Guest { booking: owned(booking), who: owned(who), uid: None }),
        ["guest", booking, who, uid] => {
            let uid = uid.parse().map_err(|error: crate::uid::UidError| error.to_string());
            uid.map(|uid| Order::Guest { booking: owned(booking), who: owned(who), uid: Some(uid) })
        }
        ["dismiss", booking, who] => Ok(Order::Dismiss { booking: owned(booking), who: owned(who) }),
        ["cancel", booking] => Ok(Order::Cancel { booking: owned(booking) }),
        _ => return None,
    })
}

fn place_of(kind: Kind, place: &str) -> Option<String> {
    (kind == Kind::Room || place != "any").then(|| place.to_owned())
}

fn room_order(
    books: &Books,
    location: &str,
    room: &str,
    member: &str,
    (start, lasts): (&str, &str),
    now: DateTime<Utc>,
) -> Result<Order, String> {
    let zone = books.location(location).map_err(|refusal| refusal.to_string())?.time_zone;
    let start = instant_at(zone, start, now)?;
    let span = (start, start + length(lasts).map_err(|error| error.to_string())?);
    let (location, member) = (location.to_owned(), member.to_owned());
    Ok(Order::Book { kind: Kind::Room, location, place: Some(room.to_owned()), member, span })
}

/// All of the day's opening hours, or what is left of them; or the hours that are named.
fn desk_order(
    books: &Books,
    location: &str,
    desk: &str,
    member: &str,
    (day, hours): (&str, Option<&str>),
    now: DateTime<Utc>,
) -> Result<Order, String> {
    let at = books.location(location).map_err(|refusal| refusal.to_string())?;
    let date = date(at.date(now), day)?;
    let span = match hours {
        Some(hours) => {
            let wrong = || format!("{hours} are no hours; expected 09:00-12:00");
            let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
            let time = |text: &str| text.parse::<WallTime>();
            (at_wall_time(at.time_zone, date, time(from)?), at_wall_time(at.time_zone, date, time(to)?))
        }
        None => {
            let spans = at.spans(Hours::Opening, date);
            let open =
                if at.open_24h { Some(at.day(date)) } else { spans.into_iter().find(|span| span.1 > now) };
            let (from, to) = open
                .ok_or_else(|| format!("{location} is not open (any more) on {date}; choose another day"))?;
            // A desk for today is one from now on.
            (from.max(now), to.min(at.day(date).1))
        }
    };
    let (location, member) = (location.to_owned(), member.to_owned());
    Ok(Order::Book { kind: Kind::Desk, location, place: place_of(Kind::Desk, desk), member, span })
}

fn date(today: NaiveDate, text: &str) -> Result<NaiveDate, String> {
    match text {
        "today" => Ok(today),
        "tomorrow" => Ok(today.checked_add_days(Days::new(1)).unwrap_or(today)),
        _ => text.parse().map_err(|_| format!("{text} is no day; expected today, tomorrow or 2026-11-23")),
    }
}

/// Questions: nothing changes.
fn looked(books: &Books, words: &[&str], now: DateTime<Utc>) -> Option<Result<String, String>> {
    let lines = |lines: Vec<String>| Ok(lines.join("\n"));
    Some(match words {
        ["members"] => lines(books.members().map(|member| member_line(books, &member.id)).collect()),
        ["locations"] => lines(books.site().locations.iter().map(location_line).collect()),
        ["bookings"] => lines(books.bookings().map(|booking| booking_line(books, booking)).collect()),
        ["bookings", of] => {
            let theirs = books.bookings().filter(|booking| booking.member == *of || booking.location == *of);
            lines(theirs.map(|booking| booking_line(books, booking)).collect())
        }
        ["credits", member] => account(books, member, None, now).map(|(account, _)| account),
        ["credits", member, month] => account(books, member, Some(month), now).map(|(account, _)| account),
        ["bill", member] => account(books, member, None, now).map(|(account, all)| format!("{all}{account}")),
        ["bill", member, month] => {
            account(books, member, Some(month), now).map(|(account, all)| format!("{all}{account}"))
        }
        _ => return None,
    })
}

/// A month's account, and the bookings it is made of.
fn account(
    books: &Books,
    member: &str,
    month: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(String, String), String> {
    let say = |refusal: Refusal| refusal.to_string();
    let member = books.member(member).map_err(say)?;
    let this_month = || books.location(&member.home).map(|home| Month::of(home.date(now))).map_err(say);
    let month = month.map_or_else(this_month, str::parse)?;
    let all: String =
        books.charged(&member.id, month).map(|booking| booking_line(books, booking) + "\n").collect();
    Ok((books.account(member, month).to_string(), all))
}

fn member_line(books: &Books, id: &str) -> String {
    let Ok(member) = books.member(id) else { return String::new() };
    let cards = books.cards_of(id).map(|card| format!("{} {}", card.id, serde_json::json!(card.status)));
    let mut line = format!("{id} {:?} of {}", member.name, member.home);
    for (applies, word) in [(!member.visited, "not visited yet"), (member.suspended, "suspended")] {
        if applies {
            line = format!("{line}, {word}");
        }
    }
    if let Some(ends_at) = member.ends_at {
        line = format!("{line}, ends {ends_at}");
    }
    format!("{line}; cards: {}", cards.collect::<Vec<_>>().join(", "))
}

fn location_line(location: &crate::central::members::site::Location) -> String {
    let rooms = location.rooms.iter().map(|room| format!("{} for {}", room.id, room.capacity));
    let rooms: Vec<String> = rooms.collect();
    let desks: Vec<&str> = location.desks.iter().map(|desk| desk.id.as_str()).collect();
    let open = if location.open_24h { "around the clock" } else { "in its hours" };
    let (id, name, zone) = (&location.id, &location.name, location.time_zone);
    format!("{id} {name:?}, {zone}, open {open}; rooms {}; desks {}", rooms.join(", "), desks.join(", "))
}

fn booking_line(books: &Books, booking: &Booking) -> String {
    let local =
        |at| books.location(&booking.location).map_or_else(|_| format!("{at}"), |there| there.local(at));
    let Booking { id, kind, place, location, member, credits, .. } = booking;
    let mut line = format!(
        "{id} {kind} {place} at {location}, {member}, {} to {}, {credits} credits",
        local(booking.starts_at),
        local(booking.ends_at)
    );
    if !booking.guests.is_empty() {
        let guests: Vec<&str> = booking.guests.iter().map(|guest| guest.who.as_str()).collect();
        line = format!("{line}, with {}", guests.join(", "));
    }
    match booking.cancelled {
        Some(cancelled) if cancelled.refunded => format!("{line}, cancelled and refunded"),
        Some(_) => format!("{line}, cancelled"),
        None => line,
    }
}
