//! What central sells and hands out, by chance: cards, bookings, guests, staff and the house's policy, crowded around
//! now, so that windows open and close while somebody stands at the door. Ids come from small sets, so that records
//! meet, replace and contradict each other.

use chrono::{Datelike as _, Duration, DurationRound as _};
use serde_json::{Value, json};

use super::lot::Lot;
use crate::naive::{Instant, written};

/// Of a grant that no controller knows what to make of: one of central's bugs.
pub const UNKNOWN_KIND: &str = "garage";

/// Cards that are somebody's, or may be.
pub const CARDS: u64 = 9;
const HOLDERS: u64 = 7;
const GRANTS: u64 = 16;
const BOOKINGS: u64 = 4;

/// Each card has a number of its own; some have four bytes, some seven.
#[must_use]
pub fn uid(n: u64) -> String {
    if n.is_multiple_of(3) { format!("04A1B2{n:02X}") } else { format!("0400000000A{n:03}") }
}

/// A change of one record.
pub fn change(lot: &mut Lot, now: Instant) -> Value {
    let record = record(lot, now);
    if lot.one_in(5) {
        json!({ "delete": { "type": record["type"], "id": record["id"] } })
    } else {
        json!({ "put": record })
    }
}

/// Everything a house begins with.
pub fn first(lot: &mut Lot, now: Instant) -> Vec<Value> {
    let cards = (0..CARDS - 2).map(|n| credential(lot, n, now)).collect::<Vec<_>>();
    let grants: Vec<Value> = (0..GRANTS - 4).map(|n| grant(lot, n, now)).collect();
    let policy = policy(lot, now);
    cards.into_iter().chain(grants).chain([policy]).collect()
}

fn record(lot: &mut Lot, now: Instant) -> Value {
    match lot.of(0..20) {
        0 => policy(lot, now),
        1..8 => {
            let n = lot.of(0..CARDS - 1);
            credential(lot, n, now)
        }
        _ => {
            let n = lot.of(0..GRANTS);
            grant(lot, n, now)
        }
    }
}

pub fn credential(lot: &mut Lot, n: u64, now: Instant) -> Value {
    let status = if lot.one_in(4) { lot.pick(&["issued", "suspended", "lost", "revoked"]) } else { "active" };
    let mut card = json!({ "type": "credential", "id": format!("c-{n}"), "uid": uid(n),
        "holder": format!("m-{}", n % HOLDERS), "status": status });
    if lot.one_in(8) {
        card["valid_from"] = written(near(lot, now));
    }
    if lot.one_in(6) {
        card["valid_until"] = written(near(lot, now));
    }
    if lot.one_in(5) {
        card["extended_time"] = true.into();
    }
    if lot.one_in(3) {
        card["label"] = format!("no. {}", lot.of(0..100)).into();
    }
    card
}

/// Another card with the UID of one: a bug of central's, or of who typed it.
pub fn conflicting(lot: &mut Lot, now: Instant) -> Value {
    let n = lot.of(0..CARDS - 1);
    let mut card = credential(lot, n, now);
    card["uid"] = uid((n + 1) % (CARDS - 1)).into();
    card
}

pub fn unknown_kind(lot: &mut Lot) -> Value {
    json!({ "type": "grant", "id": format!("x-{}", lot.of(0..3)), "kind": UNKNOWN_KIND, "holder": "m-0",
            "zones": ["all"] })
}

pub fn grant(lot: &mut Lot, n: u64, now: Instant) -> Value {
    let kind = lot.pick(&["room", "room", "guest", "guest", "desk", "standing", "standing"]);
    let mut grant = json!({ "type": "grant", "id": format!("g-{n}"), "kind": kind,
        "holder": format!("m-{}", lot.of(0..HOLDERS)) });
    match lot.of(0..4) {
        0 => grant["doors"] = json!([lot.pick(&["entrance", "side", "vault", "attic"])]),
        1 => grant["zones"] = json!(["rooms"]),
        2 => grant["zones"] = json!(["perimeter"]),
        _ => grant["zones"] = json!(["all", "rooms"]),
    }
    if kind == "standing" {
        standing(lot, &mut grant, now);
    } else {
        let starts = near(lot, now);
        grant["starts_at"] = written(starts);
        grant["ends_at"] = written(starts + Duration::minutes(lot.of(3..24) as i64 * 5));
        if kind == "guest" || lot.one_in(2) {
            // Of a day: they don't go on for ever.
            grant["booking"] = format!("b-{}-{}", now.ordinal(), lot.of(0..BOOKINGS)).into();
        }
        if kind == "room" && !lot.one_in(3) {
            grant["capacity"] = lot.of(1..4).into();
        }
        if lot.one_in(4) {
            grant["booked_at"] = written(near(lot, now));
        }
    }
    if lot.one_in(8) {
        let bound = lot.pick(&["not_before", "not_after"]);
        grant[bound] = written(near(lot, now));
    }
    if lot.one_in(6) {
        grant["override_lockdown"] = true.into();
    }
    grant
}

fn standing(lot: &mut Lot, grant: &mut Value, now: Instant) {
    match lot.of(0..4) {
        0 => grant["starts_at"] = written(near(lot, now)),
        1 => grant["schedule"] = hours(lot),
        _ => {}
    }
}

fn hours(lot: &mut Lot) -> Value {
    let wall = |quarter: u64| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
    let days = lot.pick(&[["mon", "tue"], ["sat", "sun"], ["mon", "sun"], ["thu", "fri"]]);
    let (from, to) = (lot.of(0..96), lot.of(0..96));
    json!([{ "days": days, "from": wall(from), "to": wall(to) }])
}

pub fn policy(lot: &mut Lot, now: Instant) -> Value {
    let mut policy = json!({ "type": "policy", "id": "site" });
    for kind in ["room", "desk"] {
        if lot.one_in(2) {
            policy[kind] = json!({ "opens_before_s": lot.pick(&[0, 300, 900, 1800]),
                "closes_after_s": lot.pick(&[0, 300, 1800]), "min_notice_s": lot.pick(&[0, 0, 900]) });
        }
    }
    if lot.one_in(2) {
        policy["opening_hours"] = hours(lot);
    }
    if lot.one_in(3) {
        let date = now.date_naive() + Duration::days(lot.of(0..2) as i64);
        policy["exceptions"] = json!([{ "date": date.to_string(), "opening_hours": [["08:00", "14:00"]] }]);
    }
    policy
}

/// On five minutes, within an hour and a half.
fn near(lot: &mut Lot, now: Instant) -> Instant {
    let grid = Duration::minutes(5);
    let base = now.duration_trunc(grid).unwrap_or(now);
    base + grid * lot.of(0..36) as i32 - grid * 18
}
