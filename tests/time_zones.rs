//! Clock changes, case by case: through windows, schedules and building hours, in both directions, with expectations
//! worked out by hand. The properties compare two programs; these are against a calendar.

use chrono::NaiveDate;
use latchd::{
    domain::{At, Interval, Policy, Record, Schedule, Window, Zone},
    wire::{UidHasher, record::record},
};
use serde_json::{Value, json};

const OSLO: &str = "Europe/Oslo";
const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const SANTIAGO: &str = "America/Santiago";
const APIA: &str = "Pacific/Apia";

fn at(text: &str) -> At {
    At::parse(text).unwrap()
}

fn minute(text: &str) -> u16 {
    let (hours, minutes) = text.split_once(':').unwrap();
    hours.parse::<u16>().unwrap() * 60 + minutes.parse::<u16>().unwrap()
}

fn every_day(from: &str, to: &str) -> Schedule {
    Schedule(vec![Interval { days: 0x7F, from_min: minute(from), to_min: minute(to) }])
}

fn policy(value: Value) -> Policy {
    let Record::Policy(policy) = record(&value, &UidHasher::new(&[7; 32])).unwrap() else { unreachable!() };
    policy
}

/// From when to when an interval that belongs to a date lasts; `None` when it does not happen.
fn span(zone: &str, date: &str, from: &str, to: &str) -> Option<(String, String)> {
    let interval = Interval { days: 0x7F, from_min: minute(from), to_min: minute(to) };
    let (opens, closes) = interval.span(zone.parse().unwrap(), date.parse::<NaiveDate>().unwrap());
    (opens < closes).then(|| (opens.to_string(), closes.to_string()))
}

#[test]
fn an_interval_through_a_clock_change_is_as_long_as_the_wall_says() {
    // zone, the date it belongs to, from, to, opens, closes
    let table = [
        // Oslo, spring: 02:00 becomes 03:00 at 01:00Z.
        (OSLO, "2026-03-28", "22:00", "06:00", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"),
        (OSLO, "2026-03-29", "01:30", "03:30", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"),
        (OSLO, "2026-03-29", "02:30", "03:30", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"),
        (OSLO, "2026-03-29", "01:30", "02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        (OSLO, "2026-03-29", "00:00", "24:00", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        (OSLO, "2026-03-29", "12:00", "12:00", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        // Oslo, autumn: 03:00 becomes 02:00 at 01:00Z.
        (OSLO, "2026-10-24", "22:00", "06:00", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z"),
        (OSLO, "2026-10-25", "01:30", "03:30", "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z"),
        (OSLO, "2026-10-25", "02:15", "02:45", "2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z"),
        (OSLO, "2026-10-25", "01:00", "02:00", "2026-10-24T23:00:00Z", "2026-10-25T01:00:00Z"),
        (OSLO, "2026-10-25", "03:00", "04:00", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"),
        (OSLO, "2026-10-25", "00:00", "00:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        // New York: spring at 07:00Z on March 8th, autumn at 06:00Z on November 1st.
        (NEW_YORK, "2026-03-08", "02:15", "05:00", "2026-03-08T07:00:00Z", "2026-03-08T09:00:00Z"),
        (NEW_YORK, "2026-11-01", "01:30", "02:30", "2026-11-01T05:30:00Z", "2026-11-01T07:30:00Z"),
        // Lord Howe moves by half an hour: back at 15:00Z on April 4th, forward at 15:30Z on October 3rd.
        (LORD_HOWE, "2026-04-05", "01:45", "03:00", "2026-04-04T14:45:00Z", "2026-04-04T16:30:00Z"),
        (LORD_HOWE, "2026-10-04", "02:10", "03:00", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"),
        // Santiago: Saturday's last hour comes twice (April 4th), Sunday's first is missing (September 6th).
        (SANTIAGO, "2026-04-04", "23:15", "23:45", "2026-04-05T02:15:00Z", "2026-04-05T03:45:00Z"),
        (SANTIAGO, "2026-04-04", "22:00", "24:00", "2026-04-05T01:00:00Z", "2026-04-05T04:00:00Z"),
        (SANTIAGO, "2026-09-05", "22:00", "24:00", "2026-09-06T02:00:00Z", "2026-09-06T04:00:00Z"),
        (SANTIAGO, "2026-09-06", "00:00", "08:00", "2026-09-06T04:00:00Z", "2026-09-06T11:00:00Z"),
        // Apia left out December 30th, 2011, from 10:00Z on.
        (APIA, "2011-12-29", "22:00", "06:00", "2011-12-30T08:00:00Z", "2011-12-30T10:00:00Z"),
        (APIA, "2011-12-29", "00:00", "00:00", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        (APIA, "2011-12-31", "09:00", "17:00", "2011-12-30T19:00:00Z", "2011-12-31T03:00:00Z"),
        // No clock changes, but 5 hours and 45 minutes from UTC.
        ("Asia/Kathmandu", "2026-03-29", "09:00", "17:00", "2026-03-29T03:15:00Z", "2026-03-29T11:15:00Z"),
    ];
    for (zone, date, from, to, opens, closes) in table {
        let expected = Some((opens.to_owned(), closes.to_owned()));
        assert_eq!(span(zone, date, from, to), expected, "{zone} {date} {from} to {to}");
    }
}

#[test]
fn an_interval_that_lies_in_a_gap_does_not_happen() {
    assert_eq!(span(OSLO, "2026-03-29", "02:10", "02:50"), None);
    assert_eq!(span(LORD_HOWE, "2026-10-04", "02:00", "02:30"), None);
    assert_eq!(span(SANTIAGO, "2026-09-06", "00:00", "01:00"), None);
    assert_eq!(span(APIA, "2011-12-30", "09:00", "17:00"), None);
    assert_eq!(span(APIA, "2011-12-30", "00:00", "00:00"), None);
}

#[test]
fn what_falls_into_a_gap_this_week_comes_the_next() {
    let zone: Zone = OSLO.parse().unwrap();
    let sunday =
        Schedule(vec![Interval { days: 1 << 6, from_min: minute("02:10"), to_min: minute("02:50") }]);
    let always = Window::default();
    let saturday = at("2026-03-28T12:00:00Z");
    assert_eq!(sunday.coming(zone, saturday, always), Some(at("2026-04-05T00:10:00Z")));
    assert_eq!(sunday.past(zone, saturday, always), Some(at("2026-03-22T01:50:00Z")));
    let monday = at("2026-03-30T12:00:00Z");
    assert_eq!(sunday.past(zone, monday, always), Some(at("2026-03-22T01:50:00Z")));
    assert_eq!(sunday.current(zone, at("2026-03-29T01:00:00Z"), always), None);
}

#[test]
fn a_schedule_is_open_through_both_passes_and_to_the_millisecond() {
    let zone: Zone = OSLO.parse().unwrap();
    let night = every_day("02:15", "02:45");
    // now, and whether it is open
    let autumn = [
        ("2026-10-25T00:14:59.999Z", false),
        ("2026-10-25T00:15:00Z", true),
        // the first 02:45 has passed, the second is to come
        ("2026-10-25T00:50:00Z", true),
        ("2026-10-25T01:00:00Z", true),
        ("2026-10-25T01:44:59.999Z", true),
        ("2026-10-25T01:45:00Z", false),
    ];
    for (now, is_open) in autumn {
        assert_eq!(night.current(zone, at(now), Window::default()).is_some(), is_open, "{now}");
    }
    let cut =
        Window { opens_at: Some(at("2026-10-25T00:30:00Z")), closes_at: Some(at("2026-10-25T01:00:00Z")) };
    assert_eq!(night.current(zone, at("2026-10-25T00:45:00Z"), cut), Some(cut));
    assert_eq!(night.current(zone, at("2026-10-25T01:00:00Z"), cut), None);
}

fn room(policy: &Policy, more: Value) -> Window {
    let mut value =
        json!({ "type": "grant", "id": "g-1", "kind": "room", "holder": "m-1", "zones": ["rooms"] });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let Record::Grant(grant) = record(&value, &UidHasher::new(&[7; 32])).unwrap() else { unreachable!() };
    grant.terms().bounds(policy)
}

#[test]
fn margins_and_notice_are_time_that_passes_not_wall_time() {
    let policy = policy(json!({ "type": "policy", "id": "site",
        "room": { "opens_before_s": 7200, "closes_after_s": 7200, "min_notice_s": 3600 } }));
    // Two hours before 03:30 summer time (01:30Z) is 23:30Z, whatever the wall showed: 00:30.
    let spring = json!({ "starts_at": "2026-03-29T01:30:00Z", "ends_at": "2026-03-29T02:30:00Z" });
    let window = room(&policy, spring);
    assert_eq!(window.opens_at, Some(at("2026-03-28T23:30:00Z")));
    assert_eq!(window.closes_at, Some(at("2026-03-29T04:30:00Z")));
    // Booked in the first 02:30 of autumn: an hour later it is 02:30 again.
    let autumn = json!({ "starts_at": "2026-10-25T01:00:00Z", "ends_at": "2026-10-25T02:00:00Z",
        "booked_at": "2026-10-25T00:30:00Z" });
    let window = room(&policy, autumn);
    assert_eq!(window.opens_at, Some(at("2026-10-25T01:30:00Z")));
    assert_eq!(window.closes_at, Some(at("2026-10-25T04:00:00Z")));
}

fn hours(opening: Value, exceptions: Value) -> Policy {
    policy(json!({ "type": "policy", "id": "site", "opening_hours": opening, "exceptions": exceptions }))
}

fn check(policy: &Policy, zone: &str, table: &[(&str, bool)]) {
    for (now, is_open) in table {
        assert_eq!(policy.is_open(zone.parse().unwrap(), at(now)), *is_open, "{zone} {now}");
    }
}

#[test]
fn the_building_opens_by_the_wall_on_both_sides_of_a_change() {
    let every = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = hours(json!([{ "days": every, "from": "08:00", "to": "18:00" }]), json!([]));
    check(
        &day,
        OSLO,
        &[
            ("2026-03-28T06:59:59.999Z", false),
            ("2026-03-28T07:00:00Z", true),
            ("2026-03-29T05:59:59.999Z", false),
            ("2026-03-29T06:00:00Z", true),
            ("2026-03-29T15:59:59.999Z", true),
            ("2026-03-29T16:00:00Z", false),
            ("2026-10-25T06:59:59.999Z", false),
            ("2026-10-25T07:00:00Z", true),
            ("2026-10-25T17:00:00Z", false),
        ],
    );
    let night = hours(json!([{ "days": ["sat"], "from": "20:00", "to": "02:30" }]), json!([]));
    check(
        &night,
        OSLO,
        &[
            // Spring: 02:30 is missing, the night ends where the gap does.
            ("2026-03-29T00:59:59.999Z", true),
            ("2026-03-29T01:00:00Z", false),
            // Autumn: it ends at the second 02:30.
            ("2026-10-25T00:45:00Z", true),
            ("2026-10-25T01:29:59.999Z", true),
            ("2026-10-25T01:30:00Z", false),
        ],
    );
}

#[test]
fn an_exception_replaces_what_starts_on_its_date_and_nothing_else() {
    let weekly = json!([{ "days": ["sat"], "from": "20:00", "to": "02:30" }, { "days": ["sun"], "from": "01:00", "to": "12:00" }]);
    // The Sunday of the autumn change is closed, but for its first small hours.
    let policy =
        hours(weekly.clone(), json!([{ "date": "2026-10-25", "opening_hours": [["02:00", "02:00"]] }]));
    check(
        &policy,
        OSLO,
        &[
            ("2026-10-24T21:59:59Z", true),
            ("2026-10-25T22:59:59.999Z", true),
            ("2026-10-25T23:00:00Z", false),
        ],
    );
    let policy = hours(weekly.clone(), json!([{ "date": "2026-10-25", "opening_hours": [] }]));
    check(
        &policy,
        OSLO,
        &[
            // still Saturday's night
            ("2026-10-25T01:29:59.999Z", true),
            ("2026-10-25T01:30:00Z", false),
            ("2026-10-25T09:00:00Z", false),
        ],
    );
    let policy = hours(weekly, json!([{ "date": "2026-10-24", "opening_hours": [["22:00", "03:00"]] }]));
    check(
        &policy,
        OSLO,
        &[
            ("2026-10-24T19:00:00Z", false),
            ("2026-10-24T20:00:00Z", true),
            ("2026-10-25T01:59:59.999Z", true),
            // Sunday's own hours have begun at 01:00
            ("2026-10-25T02:00:00Z", true),
            ("2026-10-25T11:00:00Z", false),
        ],
    );
}

#[test]
fn an_exception_on_a_site_that_is_always_open_holds_for_its_date_alone() {
    let policy = policy(json!({ "type": "policy", "id": "site",
        "exceptions": [{ "date": "2026-03-29", "opening_hours": [["02:30", "04:00"]] }, { "date": "2026-03-31" }] }));
    check(
        &policy,
        OSLO,
        &[
            ("2026-03-28T22:59:59.999Z", true),
            ("2026-03-28T23:00:00Z", false),
            ("2026-03-29T00:59:59.999Z", false),
            ("2026-03-29T01:00:00Z", true),
            ("2026-03-29T02:00:00Z", false),
            ("2026-03-29T21:59:59.999Z", false),
            ("2026-03-29T22:00:00Z", true),
            ("2026-03-31T12:00:00Z", true),
        ],
    );
}
