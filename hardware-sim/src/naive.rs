//! The rules a second time, as plainly and slowly as they can be said: a list of JSON records, walked from end to end
//! for every question, and wall clocks found by trying. Written from the rules' text alone, so that the daemon's
//! index and decision have something to differ from.
//!
//! Where the text leaves a choice, it is taken as the project took it, and marked "chosen".

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it stands in for a test, and fails where it stands"
)]

use chrono::{DateTime, Datelike as _, Duration, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

pub type Instant = DateTime<Utc>;

/// `[opens, closes)`; `None` is without end on that side.
pub type Window = (Option<Instant>, Option<Instant>);

#[derive(Debug, Clone)]
pub struct Site {
    pub zone: Tz,
    /// `{"id", "zones", "building_hours_only"}`
    pub doors: Vec<Value>,
    /// In the order they came; a later one replaces an earlier one of its type and id.
    pub records: Vec<Value>,
}

#[derive(Debug, Clone)]
pub struct Tap {
    pub door: String,
    pub uid: String,
    pub at: Instant,
    pub mode: String,
    pub clock_trusted: bool,
    pub stale: bool,
    /// Booking and guest.
    pub let_in: Vec<(String, String)>,
}

pub fn instant(text: &Value) -> Option<Instant> {
    text.as_str().map(|t| t.parse().unwrap())
}

pub fn written(at: Instant) -> Value {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

fn same_record(a: &Value, b: &Value) -> bool {
    a["type"] == b["type"] && a["id"] == b["id"]
}

/// One change of the feed, as `{"put": record}` or `{"delete": {"type", "id"}}`.
pub fn apply(held: &mut Vec<Value>, change: &Value) {
    if let Some(gone) = change.get("delete") {
        held.retain(|r| !same_record(r, gone));
        return;
    }
    let new = &change["put"];
    if let Some(uid) = new["uid"].as_str() {
        // The later change wins the UID, the earlier credential keeps its id without one.
        for other in held.iter_mut().filter(|r| !same_record(r, new)) {
            if other["uid"].as_str().is_some_and(|u| u.eq_ignore_ascii_case(uid)) {
                other["uid"] = Value::Null;
            }
        }
    }
    match held.iter_mut().find(|r| same_record(r, new)) {
        Some(old) => *old = new.clone(),
        None => held.push(new.clone()),
    }
}

/// What is held once all of them were put.
pub fn held(records: &[Value]) -> Vec<Value> {
    let mut held = Vec::new();
    records.iter().for_each(|r| apply(&mut held, &json!({ "put": r })));
    held
}

// Wall time.

#[derive(Clone, Copy)]
enum Side {
    Start,
    End,
}

/// When the clock on the wall shows `wall`. Chosen: of two passes the first for a start, the second for an end.
fn on_the_wall(zone: Tz, wall: NaiveDateTime, side: Side) -> Instant {
    let shown = |t: Instant| t.with_timezone(&zone).naive_local();
    // Every offset in use today is a number of quarter hours between -12 and +14 hours.
    let passes: Vec<Instant> = (-4 * 12..=4 * 14)
        .rev()
        .map(|quarters| wall.and_utc() - Duration::minutes(15 * quarters))
        .filter(|t| shown(*t) == wall)
        .collect();
    let found = match side {
        Side::Start => passes.first(),
        Side::End => passes.last(),
    };
    // Missing: the first instant after the gap. 15 hours earlier no clock on Earth is there yet.
    found.copied().unwrap_or_else(|| {
        let mut t = wall.and_utc() - Duration::hours(15);
        while shown(t) < wall {
            t += Duration::minutes(1);
        }
        t
    })
}

fn minutes(text: &Value) -> i64 {
    let (hours, minutes) = text.as_str().unwrap().split_once(':').unwrap();
    hours.parse::<i64>().unwrap() * 60 + minutes.parse::<i64>().unwrap()
}

/// From when to when the interval that belongs to `date` lasts.
fn occurrence(zone: Tz, date: NaiveDate, from: &Value, to: &Value) -> (Instant, Instant) {
    let (mut from, mut to) = (minutes(from), minutes(to));
    if from == to {
        // Chosen: the whole calendar day, whatever the two are.
        (from, to) = (0, 24 * 60);
    } else if to < from {
        to += 24 * 60;
    }
    let midnight = date.and_hms_opt(0, 0, 0).unwrap();
    let wall = |minute, side| on_the_wall(zone, midnight + Duration::minutes(minute), side);
    (wall(from, Side::Start), wall(to, Side::End))
}

fn has_day(interval: &Value, date: NaiveDate) -> bool {
    let day =
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][date.weekday().num_days_from_monday() as usize];
    interval["days"].as_array().unwrap().iter().any(|d| d == day)
}

fn days_around(zone: Tz, at: Instant, days: i64) -> impl Iterator<Item = NaiveDate> {
    let today = at.with_timezone(&zone).date_naive();
    (-days..=days).map(move |n| today + Duration::days(n))
}

// Windows.

pub fn policy(held: &[Value]) -> Value {
    held.iter().find(|r| r["type"] == "policy").cloned().unwrap_or(Value::Null)
}

/// A margin or notice, in seconds; what the policy leaves out is the rules' default.
fn margin(policy: &Value, kind: &str, field: &str) -> i64 {
    let default = match (kind, field) {
        ("room", "opens_before_s" | "closes_after_s") => 1800,
        ("desk", "opens_before_s") => 3600,
        _ => 0,
    };
    policy[kind][field].as_i64().unwrap_or(default)
}

/// The window before any schedule. Chosen: a policy's `guest` margins hold, should a site set any.
fn bounds(grant: &Value, policy: &Value) -> Window {
    let kind = grant["kind"].as_str().unwrap();
    let seconds = |field| Duration::seconds(margin(policy, kind, field));
    let mut opens = instant(&grant["starts_at"]).map(|t| t - seconds("opens_before_s"));
    let mut closes = instant(&grant["ends_at"]).map(|t| t + seconds("closes_after_s"));
    let notice = seconds("min_notice_s");
    let has_notice = kind != "standing" && notice > Duration::zero();
    opens = opens.max(instant(&grant["booked_at"]).filter(|_| has_notice).map(|booked| booked + notice));
    // `None` is smaller than any instant: right for an opening without bound, not for a closing.
    opens = opens.max(instant(&grant["not_before"]));
    if let Some(not_after) = instant(&grant["not_after"]) {
        closes = Some(closes.map_or(not_after, |c| c.min(not_after)));
    }
    (opens, closes)
}

fn is_empty((opens, closes): Window) -> bool {
    matches!((opens, closes), (Some(o), Some(c)) if o >= c)
}

fn within((opens, closes): Window, now: Instant) -> bool {
    opens.is_none_or(|o| o <= now) && closes.is_none_or(|c| now < c)
}

/// The windows of a grant, as far as they can matter at `now`: with a schedule, those of three weeks each way.
pub fn windows(zone: Tz, policy: &Value, grant: &Value, now: Instant) -> Vec<Window> {
    let (opens, closes) = bounds(grant, policy);
    let Some(schedule) = grant["schedule"].as_array() else {
        return [(opens, closes)].into_iter().filter(|w| !is_empty(*w)).collect();
    };
    // Chosen: an interval that the bounds cut counts as cut.
    let nearest = now.max(opens.unwrap_or(now)).min(closes.unwrap_or(Instant::MAX_UTC));
    let mut all = Vec::new();
    for date in days_around(zone, nearest, 21) {
        for interval in schedule.iter().filter(|i| has_day(i, date)) {
            let (start, end) = occurrence(zone, date, &interval["from"], &interval["to"]);
            all.push((opens.max(Some(start)), Some(closes.map_or(end, |c| c.min(end)))));
        }
    }
    all.retain(|w| !is_empty(*w));
    all
}

/// Never closing counts as latest.
fn latest(closes: Option<Instant>) -> Instant {
    closes.unwrap_or(Instant::MAX_UTC)
}

/// Of those that contain now the one that closes last. Chosen: of those that close together the one opened first.
pub fn open(windows: &[Window], now: Instant) -> Option<Window> {
    let mut containing: Vec<Window> = windows.iter().copied().filter(|w| within(*w, now)).collect();
    containing.sort_by_key(|(opens, closes)| (std::cmp::Reverse(latest(*closes)), *opens));
    containing.first().copied()
}

fn is_unbounded_standing(grant: &Value) -> bool {
    grant["kind"] == "standing"
        && ["starts_at", "ends_at", "not_before", "not_after", "schedule"].iter().all(|f| grant[*f].is_null())
}

/// Whether the building is open at `now`, by the weekly hours and the exceptions from them.
pub fn building_is_open(zone: Tz, policy: &Value, now: Instant) -> bool {
    days_around(zone, now, 3).any(|date| {
        opening_hours(policy, date).iter().any(|hours| {
            let (start, end) = occurrence(zone, date, &hours[0], &hours[1]);
            start <= now && now < end
        })
    })
}

/// `[from, to]` of each interval that belongs to a date.
fn opening_hours(policy: &Value, date: NaiveDate) -> Vec<Value> {
    let exceptions = policy["exceptions"].as_array().into_iter().flatten();
    let own =
        exceptions.filter(|e| e["date"] == date.to_string()).find_map(|e| e["opening_hours"].as_array());
    if let Some(hours) = own {
        return hours.clone();
    }
    match policy["opening_hours"].as_array() {
        None => vec![json!(["00:00", "24:00"])],
        Some(week) => week.iter().filter(|i| has_day(i, date)).map(|i| json!([i["from"], i["to"]])).collect(),
    }
}

// The decision.

/// What is known so far, and the answer that ends it.
struct Answer(Map<String, Value>);

impl Answer {
    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0.insert(field.into(), value.into());
        self
    }

    fn with_instant(self, field: &str, at: Option<Instant>) -> Self {
        at.into_iter().fold(self, |answer, at| answer.with(field, written(at)))
    }

    fn denied(self, row: u8, reason: &str) -> Self {
        self.with("decision", "denied").with("row", row).with("reason", reason)
    }
}

/// The rows of the table, in their order; the answer in the shape of the vectors' `expect`.
pub fn decide(site: &Site, tap: &Tap) -> Value {
    Value::Object(rows_1_to_4(site, tap).0)
}

fn rows_1_to_4(site: &Site, tap: &Tap) -> Answer {
    let (held, answer) = (held(&site.records), Answer(Map::new()));
    if tap.uid.len() == 8 && tap.uid.starts_with("08") {
        return answer.denied(1, "random_uid");
    }
    let owns = |r: &&Value| r["uid"].as_str().is_some_and(|u| u.eq_ignore_ascii_case(&tap.uid));
    let Some(card) = held.iter().filter(|r| r["type"] == "credential").find(owns) else {
        return answer.denied(2, "unknown_credential");
    };
    let answer = answer.with("credential", card["id"].clone()).with("holder", card["holder"].clone());
    match card["status"].as_str().unwrap() {
        "active" => {}
        "issued" => return answer.denied(3, "credential_not_activated"),
        other => return answer.denied(3, &format!("credential_{other}")),
    }
    if instant(&card["valid_from"]).is_some_and(|from| tap.at < from) {
        return answer.denied(4, "credential_not_yet_valid");
    }
    if instant(&card["valid_until"]).is_some_and(|until| tap.at >= until) {
        return answer.denied(4, "credential_expired");
    }
    let own: Vec<&Value> =
        held.iter().filter(|r| r["type"] == "grant" && r["holder"] == card["holder"]).collect();
    rows_5_to_9(site, tap, &held, &own, answer)
}

pub fn covers(grant: &Value, door: &Value) -> bool {
    let lists = |field: &str, id: &Value| grant[field].as_array().is_some_and(|list| list.contains(id));
    lists("doors", &door["id"]) || door["zones"].as_array().unwrap().iter().any(|zone| lists("zones", zone))
}

fn rows_5_to_9(site: &Site, tap: &Tap, held: &[Value], own: &[&Value], answer: Answer) -> Answer {
    let policy = policy(held);
    let door = site.doors.iter().find(|d| d["id"] == tap.door.as_str()).unwrap();
    let mut covering: Vec<&Value> = own.iter().copied().filter(|g| covers(g, door)).collect();
    // Chosen: without a clock, or with a stale cache, only unbounded standing grants are open, in row 5 too.
    let open_now = |grant: &Value| {
        if tap.clock_trusted && !tap.stale {
            open(&windows(site.zone, &policy, grant, tap.at), tap.at)
        } else {
            is_unbounded_standing(grant).then_some((None, None))
        }
    };
    // Chosen: a blocked door is like one locked down, after row 5 too.
    if tap.mode == "locked_down" || tap.mode == "blocked" {
        covering.retain(|g| g["override_lockdown"] == true);
        if !covering.iter().any(|g| open_now(g).is_some()) {
            return answer.denied(5, &format!("door_{}", tap.mode));
        }
    }
    if own.is_empty() {
        return answer.denied(6, "no_grant");
    }
    if covering.is_empty() {
        return answer.denied(6, "wrong_door");
    }
    if !tap.clock_trusted && !covering.iter().any(|g| is_unbounded_standing(g)) {
        return answer.denied(7, "clock_untrusted");
    }
    if tap.stale && !covering.iter().any(|g| is_unbounded_standing(g)) {
        return answer.denied(8, "cache_stale");
    }
    let mut open: Vec<(&Value, Window)> =
        covering.iter().filter_map(|g| open_now(g).map(|w| (*g, w))).collect();
    if open.is_empty() {
        let all: Vec<Window> = covering.iter().flat_map(|g| windows(site.zone, &policy, g, tap.at)).collect();
        return row_9(&all, tap.at, answer);
    }
    // Best first: the latest closing, then the smallest id.
    open.sort_by_key(|(grant, window)| {
        (std::cmp::Reverse(latest(window.1)), grant["id"].as_str().unwrap().as_bytes())
    });
    rows_10_and_11(site, tap, held, &open, answer)
}

fn row_9(all: &[Window], now: Instant, answer: Answer) -> Answer {
    if let Some(soonest) = all.iter().filter_map(|w| w.0).filter(|o| *o > now).min() {
        return answer.denied(9, "too_early").with_instant("opens_at", Some(soonest));
    }
    let last = all.iter().filter_map(|w| w.1).filter(|c| *c <= now).max();
    answer.denied(9, "too_late").with_instant("closes_at", last)
}

fn rows_10_and_11(
    site: &Site,
    tap: &Tap,
    held: &[Value],
    open: &[(&Value, Window)],
    answer: Answer,
) -> Answer {
    let passing = open.iter().find(|(grant, _)| failing(site, tap, held, grant).is_none());
    let Some((grant, (opens, closes))) = passing else {
        let (best, _) = open[0];
        let check = failing(site, tap, held, best).unwrap();
        return answer.denied(10, check).with("grant", best["id"].clone());
    };
    answer
        .with("decision", "granted")
        .with("row", 11)
        .with("reason", if grant["kind"] == "standing" { "standing" } else { "in_window" })
        .with("grant", grant["id"].clone())
        .with_instant("opens_at", *opens)
        .with_instant("closes_at", *closes)
}

/// The first of row 10's checks that a grant fails.
fn failing(site: &Site, tap: &Tap, held: &[Value], grant: &Value) -> Option<&'static str> {
    if grant["kind"] == "guest" {
        let hosts: Vec<&Value> =
            held.iter().filter(|r| r["kind"] == "room" && r["booking"] == grant["booking"]).collect();
        if hosts.is_empty() {
            return Some("host_booking_missing");
        }
        // Chosen: of several hosts' grants the tightest limit holds.
        let capacity = hosts.iter().filter_map(|h| h["capacity"].as_u64()).min();
        let mut others: Vec<&str> = tap
            .let_in
            .iter()
            .filter(|(b, _)| grant["booking"] == b.as_str())
            .map(|(_, g)| g.as_str())
            .collect();
        others.sort_unstable();
        others.dedup();
        let known = others.iter().any(|g| grant["holder"] == *g);
        if !known && capacity.is_some_and(|c| others.len() as u64 >= c - 1) {
            return Some("capacity_reached");
        }
    }
    let door = site.doors.iter().find(|d| d["id"] == tap.door.as_str()).unwrap();
    let closed = door["building_hours_only"] == true
        && grant["kind"] != "standing"
        && tap.clock_trusted
        && !building_is_open(site.zone, &policy(held), tap.at);
    closed.then_some("outside_building_hours")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(file: &str) {
        let set: Value = serde_json::from_str(file).unwrap();
        let site = Site {
            zone: set["site"]["time_zone"].as_str().unwrap().parse().unwrap(),
            doors: set["site"]["doors"].as_array().unwrap().clone(),
            records: set["records"].as_array().unwrap().clone(),
        };
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        for case in set["cases"].as_array().unwrap() {
            let guests = case["let_in"].as_array().into_iter().flatten();
            let tap = Tap {
                door: text(&case["door"]),
                uid: text(&case["uid"]),
                at: instant(&case["at"]).unwrap(),
                mode: case["mode"].as_str().unwrap_or("locked").into(),
                clock_trusted: case["clock"] != "untrusted",
                stale: false,
                let_in: guests.map(|g| (text(&g["booking"]), text(&g["holder"]))).collect(),
            };
            assert_eq!(decide(&site, &tap), case["expect"], "{}", case["name"]);
        }
    }

    #[test]
    fn the_naive_rules_give_the_contracts_examples() {
        run(include_str!("../../tests/vectors/room-and-desk.json"));
        run(include_str!("../../tests/vectors/cards.json"));
        run(include_str!("../../tests/vectors/guests.json"));
        run(include_str!("../../tests/vectors/lockdown-and-clock.json"));
        run(include_str!("../../tests/vectors/policy-and-calendar.json"));
    }
}
