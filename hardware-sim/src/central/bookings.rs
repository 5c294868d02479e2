//! Cards and bookings as records of the feed, and the texts people write them in: a line, a CSV file, `+45m`.
//!
//! What a member may book, and what it costs them, is not here: this only writes down what was sold.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The columns of a bookings file, and its first line.
pub const COLUMNS: &str = "kind,holder,uid,zones,starts_at,ends_at,booking,capacity";

/// What was not understood in a line, a file or a time.
#[derive(Debug, thiserror::Error)]
pub enum BookingError {
    /// Not one of the four.
    #[error("no kind of grant is called {0}; expected room, desk, guest or standing")]
    Kind(String),
    /// Not an instant.
    #[error("{0} is no instant; expected now, +45m, -10s or 2026-11-23T09:00:00Z")]
    Instant(String),
    /// Not a length of time.
    #[error("{0} is no length of time; expected a number with s, m, h or d, such as 90m")]
    Length(String),
    /// The file can't be read.
    #[error("bookings file {path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line of the file is wrong.
    #[error("bookings file {path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong and what was expected.
        why: String,
    },
}

/// The kinds of grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A meeting room.
    Room,
    /// A desk.
    Desk,
    /// Somebody's guest in a room.
    Guest,
    /// For good, or for long.
    Standing,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Room => "room",
            Kind::Desk => "desk",
            Kind::Guest => "guest",
            Kind::Standing => "standing",
        })
    }
}

impl FromStr for Kind {
    type Err = BookingError;

    fn from_str(text: &str) -> Result<Kind, BookingError> {
        let all = [Kind::Room, Kind::Desk, Kind::Guest, Kind::Standing];
        let named = all.into_iter().find(|kind| kind.to_string() == text);
        named.ok_or_else(|| BookingError::Kind(text.to_owned()))
    }
}

/// One grant, as it was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The grant's id.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// Whose it is.
    pub holder: String,
    /// The zones it opens.
    pub zones: Vec<String>,
    /// From and to, before the policy's margins; a standing grant may have none.
    pub time: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The booking it belongs to.
    pub booking: Option<String>,
    /// How many people the room holds, the host included.
    pub capacity: Option<u32>,
}

impl Booking {
    /// The same, as part of a booking others belong to as well.
    #[must_use]
    pub fn of_booking(self, booking: &str) -> Booking {
        Booking { booking: Some(booking.to_owned()), ..self }
    }

    /// As a record of the feed.
    #[must_use]
    pub fn record(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("type".into(), json!("grant"));
        fields.insert("id".into(), json!(self.id));
        fields.insert("kind".into(), json!(self.kind.to_string()));
        fields.insert("holder".into(), json!(self.holder));
        fields.insert("zones".into(), json!(self.zones));
        if let Some((starts_at, ends_at)) = self.time {
            fields.insert("starts_at".into(), json!(instant_text(starts_at)));
            fields.insert("ends_at".into(), json!(instant_text(ends_at)));
        }
        if let Some(booking) = &self.booking {
            fields.insert("booking".into(), json!(booking));
        }
        if let Some(capacity) = self.capacity {
            fields.insert("capacity".into(), json!(capacity));
        }
        Value::Object(fields)
    }
}

/// A holder's card as a record of the feed.
#[must_use]
pub fn credential(id: &str, uid: &str, holder: &str, status: &str) -> Value {
    json!({ "type": "credential", "id": id, "uid": uid, "holder": holder, "status": status })
}

/// As instants are written on the wire; whole seconds when there is no fraction.
#[must_use]
pub fn instant_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// `now`, `+45m`, `-10s`, or RFC 3339.
///
/// # Errors
/// None of these.
pub fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, BookingError> {
    let wrong = || BookingError::Instant(text.to_owned());
    let moved = |by: Option<TimeDelta>| by.and_then(|by| now.checked_add_signed(by)).ok_or_else(wrong);
    match (text, text.strip_prefix('+'), text.strip_prefix('-')) {
        ("now", _, _) => Ok(now),
        (_, Some(ahead), _) => moved(length(ahead).ok()),
        (_, _, Some(ago)) => moved(length(ago).ok().map(|by| -by)),
        _ => text.parse().map_err(|_| wrong()),
    }
}

/// `90s`, `45m`, `2h`, `1d`.
///
/// # Errors
/// Another unit, or no number.
pub fn length(text: &str) -> Result<TimeDelta, BookingError> {
    let wrong = || BookingError::Length(text.to_owned());
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let (digits, unit_s) =
        units.iter().find_map(|(letter, s)| Some((text.strip_suffix(*letter)?, *s))).ok_or_else(wrong)?;
    let count: u32 = digits.parse().map_err(|_| wrong())?;
    TimeDelta::try_seconds(i64::from(count) * unit_s).ok_or_else(wrong)
}

/// The records of a bookings file: for each line a card and what it was booked for.
///
/// The first line names the columns ([`COLUMNS`]); zones are separated by blanks; times may be relative (`+45m`). There is
/// no quoting, as no field needs a comma.
///
/// # Errors
/// A file that can't be read, or a line that is wrong, with its number.
pub fn read_file(path: &Path, now: DateTime<Utc>) -> Result<Vec<Value>, BookingError> {
    let read = |source| BookingError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let wrong = |line, why| BookingError::Line { path: path.to_owned(), line, why };
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    if lines.next().map(|(_, line)| line) != Some(COLUMNS) {
        return Err(wrong(1, format!("expected the names of the columns, {COLUMNS}")));
    }
    let mut records: Vec<Value> = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let [card, grant] = row(number, line, now).map_err(|why| wrong(number, why))?;
        // A card that is in several rows is one credential.
        if !records.iter().any(|known| known.get("uid").is_some() && known.get("uid") == card.get("uid")) {
            records.push(card);
        }
        records.push(grant);
    }
    Ok(records)
}

fn row(number: usize, line: &str, now: DateTime<Utc>) -> Result<[Value; 2], String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [kind, holder, uid, zones, starts_at, ends_at, booking, capacity] = fields.as_slice() else {
        return Err(format!("it has {} fields; expected 8: {COLUMNS}", fields.len()));
    };
    let say = |error: BookingError| error.to_string();
    let kind: Kind = kind.parse().map_err(say)?;
    let time = match (*starts_at, *ends_at) {
        ("", "") if kind == Kind::Standing => None,
        (from, to) => Some((instant(from, now).map_err(say)?, instant(to, now).map_err(say)?)),
    };
    let capacity = match *capacity {
        "" => None,
        count => Some(count.parse().map_err(|_| format!("capacity {count} is not a whole number"))?),
    };
    let grant = Booking {
        id: format!("g-{number}"),
        kind,
        holder: (*holder).to_owned(),
        zones: zones.split_whitespace().map(str::to_owned).collect(),
        time,
        booking: (!booking.is_empty()).then(|| (*booking).to_owned()),
        capacity,
    };
    // Numbered by its row: a card's number must not be in an id, for ids are said in events.
    Ok([credential(&format!("c-{number}"), uid, holder, "active"), grant.record()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn instants_are_absolute_or_counted_from_now() {
        let cases = [("now", 0), ("+45m", 2_700), ("-10s", -10), ("2026-11-23T10:00:00Z", 3_600)];
        for (text, seconds) in cases {
            assert_eq!(instant(text, now()).unwrap(), now() + TimeDelta::seconds(seconds), "{text}");
        }
        for wrong in ["", "soon", "+45", "+1w", "+-3s", "2026-11-23"] {
            assert!(instant(wrong, now()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_booking_is_written_with_just_the_fields_it_has() {
        let hour = now() + TimeDelta::hours(1);
        let mut booking = Booking {
            id: "g-1".into(),
            kind: Kind::Room,
            holder: "m-17".into(),
            zones: vec!["room-4".into()],
            time: Some((now(), hour)),
            booking: Some("b-5".into()),
            capacity: Some(6),
        };
        let expected = json!({ "type": "grant", "id": "g-1", "kind": "room", "holder": "m-17", "zones": ["room-4"],
                               "starts_at": "2026-11-23T09:00:00Z", "ends_at": "2026-11-23T10:00:00Z",
                               "booking": "b-5", "capacity": 6 });
        assert_eq!(booking.record(), expected);
        booking = Booking { kind: Kind::Standing, time: None, booking: None, capacity: None, ..booking };
        let expected = json!({ "type": "grant", "id": "g-1", "kind": "standing", "holder": "m-17", "zones": ["room-4"] });
        assert_eq!(booking.record(), expected);
    }

    #[test]
    fn a_bookings_file_gives_a_card_and_a_grant_a_line() {
        let path = std::env::temp_dir().join(format!("latch-sim-bookings-{}.csv", std::process::id()));
        let text = format!(
            "{COLUMNS}\n# staff\nstanding,m-1,04A1B2C3,perimeter room-4,,,,\n\
                            room,m-2,04A1B2C4,room-4,+10m,+70m,b-1,6\n"
        );
        std::fs::write(&path, text).unwrap();
        let records = read_file(&path, now()).unwrap();
        std::fs::write(&path, format!("{COLUMNS}\nroom,m-2,04A1B2C4\n")).unwrap();
        let error = read_file(&path, now()).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(records.len(), 4);
        assert_eq!(records[1]["zones"], json!(["perimeter", "room-4"]));
        assert_eq!(records[3]["starts_at"], "2026-11-23T09:10:00Z");
        assert!(error.contains("line 2: it has 3 fields; expected 8"), "{error}");
    }
}
