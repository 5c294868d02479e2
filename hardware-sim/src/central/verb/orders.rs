//! Orders to one location's central, by hand: records as they are, without a rule being asked.

use super::this_second;
use crate::central::bookings::{self, Booking, BookingError, Kind};
use crate::central::command::{ACTIONS, RESYNC};
use crate::central::{Central, CentralError};
use crate::jws::{SecretKey, Signer};
use serde_json::Value;
use std::path::Path;

/// For `--help` and `help`.
pub const HELP: &str = "\
Orders to a location's central:
  card HOLDER UID [STATUS]              hand out a card (active)
  book room|desk ZONES HOLDER START LENGTH [CAPACITY]
                                        zones with commas; START is now, +45m or RFC 3339; LENGTH is 90m, 2h
  guest BOOKING ZONES HOLDER START LENGTH
  standing ZONES HOLDER                 for good
  cancel GRANT                          delete a grant
  put JSON | delete TYPE ID             any record
  command ACTION DOOR|* [FOR]           now: access, lock, unlock, block, unblock, lock_down, lock_down_release,
                                        lock_open, lock_open_release; FOR is 90s, 5m
  command resync                        have it ask for a snapshot
  rekey FILE KID                        sign with another key from now on
  snapshot | new-epoch | acking on|off
  status | doors | records | results | events [N] | violations | help
Each is answered by `ok`, or by `error:` and a sentence.";

/// One line: what came of it, or a sentence why not.
///
/// # Errors
/// A line that is no order, or one that central can't carry out.
pub fn carry_out(central: &Central, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["card", holder, uid] => hand_out(central, holder, uid, "active"),
        ["card", holder, uid, status] => hand_out(central, holder, uid, status),
        ["book", kind @ ("room" | "desk"), rest @ ..] => book(central, kind, None, rest),
        ["guest", booking, rest @ ..] => book(central, "guest", Some(booking), rest),
        ["command", action] if *action == RESYNC => ordered(central.command(action, "", None)),
        ["command", action, door] => command(central, action, door, None),
        ["command", action, door, lasts] => command(central, action, door, Some(lasts)),
        ["rekey", file, kid] => {
            let key = SecretKey::read(Path::new(file)).map_err(|error| crate::orders::chain(&error))?;
            central.set_signer(Some(Signer::new(kid, key)));
            Ok(format!("signs as {kid} from now on"))
        }
        ["standing", zones, holder] => {
            let grant = grant_of(Kind::Standing, next_number(central), zones, holder);
            put(central, grant.record()).map(|_| format!("grant {}", grant.id))
        }
        ["cancel", grant] => Ok(deleted(central, "grant", grant)),
        ["put", ..] => {
            let text = line.strip_prefix("put").unwrap_or_default();
            put(central, serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?)
        }
        ["delete", record_type, id] => Ok(deleted(central, record_type, id)),
        ["snapshot"] => {
            central.snapshot();
            Ok(String::new())
        }
        ["new-epoch"] => Ok(format!("epoch {}", central.new_epoch().epoch)),
        ["acking", on @ ("on" | "off")] => {
            central.set_acking(*on == "on");
            Ok(String::new())
        }
        ["events", last @ ..] => {
            let events = central.events();
            let count = last.first().and_then(|count| count.parse().ok()).unwrap_or(20);
            Ok(lines(events.get(events.len().saturating_sub(count)..).unwrap_or_default()))
        }
        ["help"] => Ok(HELP.to_owned()),
        [look] => looked(central, look).ok_or_else(|| unknown(line)),
        _ => Err(unknown(line)),
    }
}

fn unknown(line: &str) -> String {
    format!("no such order, or not like this: {line}; say help for a list")
}

fn looked(central: &Central, what: &str) -> Option<String> {
    match what {
        "status" => Some(format!(
            "central at {:?}, digest {}\ncontroller's status {}\ncontroller's sync {:?}",
            central.position(),
            central.digest(),
            central.status().unwrap_or_default(),
            central.last_sync()
        )),
        "doors" => Some(lines(&central.doors())),
        "records" => Some(lines(&central.records())),
        "results" => Some(lines(&central.results())),
        "violations" => {
            Some(central.violations().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

fn lines(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn grant_of(kind: Kind, number: u64, zones: &str, holder: &str) -> Booking {
    Booking {
        id: format!("g-hand-{number}"),
        kind,
        holder: holder.to_owned(),
        zones: zones.split(',').map(str::to_owned).collect(),
        time: None,
        booking: None,
        capacity: None,
    }
}

fn book(central: &Central, kind: &str, booking: Option<&str>, rest: &[&str]) -> Result<String, String> {
    let number = next_number(central);
    let ([zones, holder, start, length], capacity) = match rest {
        [zones, holder, start, length] => ([zones, holder, start, length], None),
        [zones, holder, start, length, capacity] => ([zones, holder, start, length], Some(capacity)),
        _ => return Err("expected ZONES HOLDER START LENGTH; say help for a list".into()),
    };
    let say = |error: BookingError| error.to_string();
    let start = bookings::instant(start, this_second()).map_err(say)?;
    let end = start + bookings::length(length).map_err(say)?;
    let booking = booking.map_or_else(|| format!("b-hand-{number}"), str::to_owned);
    let grant = Booking {
        time: Some((start, end)),
        booking: Some(booking.clone()),
        capacity: capacity
            .map(|count| count.parse().map_err(|_| format!("{count} is no capacity")))
            .transpose()?,
        ..grant_of(kind.parse().map_err(say)?, number, zones, holder)
    };
    put(central, grant.record()).map(|_| {
        let (from, to) = (bookings::instant_text(start), bookings::instant_text(end));
        format!("grant {} of booking {booking}, from {from} to {to} before margins", grant.id)
    })
}

/// A card that is there already keeps its credential; the number is in no id, for ids are said in events.
fn hand_out(central: &Central, holder: &str, uid: &str, status: &str) -> Result<String, String> {
    let records = central.records();
    let known = records.iter().find(|record| record.get("uid").and_then(Value::as_str) == Some(uid));
    let id = known.and_then(|record| record.get("id")).and_then(Value::as_str);
    let id = id.map_or_else(|| format!("c-hand-{}", next_number(central)), str::to_owned);
    put(central, bookings::credential(&id, uid, holder, status)).map(|put| format!("{put}, credential {id}"))
}

/// A number no record put by hand has yet, also after a restart: changes only ever become more.
fn next_number(central: &Central) -> u64 {
    let position = central.position();
    let taken = |number: u64| {
        let there = |kind: &str, id: String| central.record(kind, &id).is_some();
        there("grant", format!("g-hand-{number}")) || there("credential", format!("c-hand-{number}"))
    };
    (position.applied + 1..).find(|number| !taken(*number)).unwrap_or(u64::MAX)
}

fn command(central: &Central, action: &str, door: &str, lasts: Option<&str>) -> Result<String, String> {
    if !ACTIONS.contains(&action) || action == RESYNC {
        return Err(format!("no action on a door is called {action}; there are {}", ACTIONS.join(", ")));
    }
    let timed = action == "unlock" || action == "lock_open";
    if lasts.is_some() && !timed {
        return Err(format!("{action} has no end; only unlock and lock_open are for a time"));
    }
    let lasts = lasts.map(|lasts| bookings::length(lasts).map_err(|error| error.to_string())).transpose()?;
    let for_s = lasts.and_then(|lasts| u64::try_from(lasts.num_seconds()).ok());
    ordered(central.command(action, door, for_s))
}

fn ordered(sent: Result<String, CentralError>) -> Result<String, String> {
    sent.map(|id| format!("{id} is sent; see results")).map_err(|error| error.to_string())
}

fn put(central: &Central, record: Value) -> Result<String, String> {
    central.put(record).map(|number| format!("change {number}")).map_err(|error| error.to_string())
}

fn deleted(central: &Central, record_type: &str, id: &str) -> String {
    let number = central.delete(record_type, id);
    format!("change {number}")
}
