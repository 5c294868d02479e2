//! The rules by example: one site, each rule at its edge.

use super::calendar::{Hours, Month};
use super::records::is_of_the_books;
use super::*;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Two locations: one with hours, one open around the clock. It is also what people start their own file from.
pub(super) const SITE: &str = include_str!("../../../site.example.toml");

/// A Monday, eight o'clock in Oslo.
pub(super) fn now() -> DateTime<Utc> {
    at("2026-11-23T08:00")
}

/// Norwegian winter time.
fn at(local: &str) -> DateTime<Utc> {
    format!("{local}:00+01:00").parse().unwrap()
}

pub(super) fn books() -> Books {
    Books::new(toml::from_str(SITE).unwrap())
}

fn order(books: &mut Books, order: &Order, now: DateTime<Utc>) -> Result<Vec<Fact>, Refusal> {
    let facts = books.decide(order, now)?;
    facts.iter().for_each(|fact| books.apply(fact));
    Ok(facts)
}

fn booking(kind: Kind, location: &str, place: &str, member: &str, from: &str, to: &str) -> Order {
    Order::Book {
        kind,
        location: location.into(),
        place: (place != "any").then(|| place.to_owned()),
        member: member.into(),
        span: (at(from), at(to)),
    }
}

fn room(member: &str, place: &str, from: &str, to: &str) -> Order {
    booking(Kind::Room, "oslo-1", place, member, from, to)
}

fn desk(member: &str, place: &str, from: &str, to: &str) -> Order {
    booking(Kind::Desk, "oslo-1", place, member, from, to)
}

/// Books, and gives the booking's id and cost.
fn sold(books: &mut Books, wanted: &Order) -> (String, u32) {
    match order(books, wanted, now()).unwrap().as_slice() {
        [Fact::Booked(booking)] => (booking.id.to_string(), booking.credits),
        other => panic!("{other:?}"),
    }
}

fn refused(books: &Books, wanted: &Order) -> &'static str {
    books.decide(wanted, now()).unwrap_err().code()
}

fn guest(booking: &str, who: &str, uid: Option<&str>) -> Order {
    let uid = uid.map(|uid| uid.parse().unwrap());
    Order::Guest { booking: booking.into(), who: who.into(), uid }
}

fn cancel(booking: &str) -> Order {
    Order::Cancel { booking: booking.into() }
}

fn account(books: &Books, member: &str, month: &str) -> (u32, u32, u32) {
    let account = books.account(books.member(member).unwrap(), month.parse().unwrap());
    (account.spent, account.left(), account.billed())
}

fn records(books: &Books, location: &str) -> Vec<Value> {
    books.records(books.site().location(location).unwrap(), now())
}

fn record(books: &Books, location: &str, id: &str) -> Option<Value> {
    records(books, location).into_iter().find(|record| record["id"] == id)
}

#[test]
fn one_desk_a_day_is_included_and_a_further_one_costs_a_credit() {
    let mut books = books();
    assert_eq!(
        sold(&mut books, &desk("ada", "any", "2026-11-24T08:00", "2026-11-24T12:00")),
        ("b-1".into(), 0)
    );
    assert_eq!(
        sold(&mut books, &desk("ada", "desk-1", "2026-11-24T13:00", "2026-11-24T17:00")),
        ("b-2".into(), 1)
    );
    let elsewhere = booking(Kind::Desk, "bergen-1", "any", "ada", "2026-11-24T19:00", "2026-11-24T20:00");
    assert_eq!(sold(&mut books, &elsewhere).1, 1, "it is one a day, not one a location");
    assert_eq!(sold(&mut books, &desk("ada", "any", "2026-11-25T08:00", "2026-11-25T12:00")).1, 0);
    assert_eq!(account(&books, "ada", "2026-11"), (2, 3, 0));
}

#[test]
fn a_room_costs_its_rate_for_each_hour_begun() {
    let mut books = books();
    assert_eq!(sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T09:00")).1, 1);
    assert_eq!(sold(&mut books, &room("ada", "room-4", "2026-11-24T09:00", "2026-11-24T10:01")).1, 2);
    assert_eq!(sold(&mut books, &room("ada", "hall", "2026-11-24T09:00", "2026-11-24T09:15")).1, 3);
}

#[test]
fn credits_beyond_the_months_five_are_billed_and_nothing_is_carried_over() {
    let mut books = books();
    sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T11:00"));
    sold(&mut books, &room("ada", "room-4", "2026-11-25T08:00", "2026-11-25T12:00"));
    sold(&mut books, &room("ada", "room-4", "2026-12-01T08:00", "2026-12-01T09:00"));
    assert_eq!(account(&books, "ada", "2026-11"), (7, 0, 2));
    assert_eq!(account(&books, "ada", "2026-12"), (1, 4, 0));
    assert_eq!(account(&books, "ada", "2027-01"), (0, 5, 0));
    let bill = books.account(books.member("ada").unwrap(), "2026-11".parse().unwrap()).to_string();
    assert!(bill.ends_with("2 beyond them are billed at 120 NOK: 240 NOK"), "{bill}");
}

#[test]
fn credits_come_back_until_a_day_before_and_the_place_is_free_either_way() {
    let mut books = books();
    // Exactly 24 hours ahead, and a second less.
    let on_time = sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T09:00")).0;
    order(&mut books, &cancel(&on_time), now()).unwrap();
    assert_eq!(account(&books, "ada", "2026-11").0, 0);
    let late = sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T09:00")).0;
    order(&mut books, &cancel(&late), now() + TimeDelta::seconds(1)).unwrap();
    assert_eq!(account(&books, "ada", "2026-11").0, 1);
    sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T09:00"));
    assert_eq!(refused(&books, &cancel(&late)), "booking_cancelled");
    let over = books.decide(&cancel("b-3"), at("2026-11-24T09:00")).unwrap_err();
    assert_eq!(over.code(), "booking_over");
}

#[test]
fn a_desk_given_back_in_time_is_the_days_included_one_again() {
    let mut books = books();
    let first = sold(&mut books, &desk("ada", "any", "2026-11-25T08:00", "2026-11-25T12:00")).0;
    order(&mut books, &cancel(&first), now()).unwrap();
    assert_eq!(sold(&mut books, &desk("ada", "any", "2026-11-25T08:00", "2026-11-25T12:00")).1, 0);
}

#[test]
fn bookings_lie_in_opening_hours_unless_the_location_is_open_around_the_clock() {
    let mut books = books();
    let cases = [
        ("2026-11-24T06:59", "2026-11-24T08:00", false),
        ("2026-11-24T07:00", "2026-11-24T08:00", true),
        ("2026-11-24T18:00", "2026-11-24T19:00", true),
        ("2026-11-24T18:00", "2026-11-24T19:01", false),
        ("2026-11-28T10:00", "2026-11-28T11:00", false), // a Saturday
        ("2026-11-26T09:00", "2026-11-26T11:00", false), // the exception
        ("2026-11-26T10:00", "2026-11-26T12:00", true),
        ("2026-11-24T18:00", "2026-11-25T08:00", false), // both ends are open, the night is not
    ];
    for (from, to, open) in cases {
        let answer = books.decide(&room("ada", "room-4", from, to), now());
        assert_eq!(
            answer.map(drop).map_err(|refusal| refusal.code()),
            if open { Ok(()) } else { Err("outside_opening_hours") },
            "{from} to {to}"
        );
    }
    sold(
        &mut books,
        &booking(Kind::Room, "bergen-1", "room-4", "ada", "2026-11-28T23:00", "2026-11-29T03:00"),
    );
}

#[test]
fn a_refusal_says_what_why_and_what_to_do() {
    let refusal = books().decide(&room("ada", "room-4", "2026-11-24T06:00", "2026-11-24T08:00"), now());
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "oslo-1 is not open all of Tue 2026-11-24 06:00 to Tue 2026-11-24 08:00; it is open 07:00–19:00 on Tue \
         2026-11-24; choose a time inside"
    );
}

#[test]
fn the_first_visit_is_on_a_weekday_in_staffed_hours() {
    let mut books = books();
    let bergen = |from, to| booking(Kind::Room, "bergen-1", "room-4", "new", from, to);
    assert_eq!(
        refused(&books, &room("new", "room-4", "2026-11-24T08:59", "2026-11-24T10:00")),
        "first_visit_unstaffed"
    );
    assert_eq!(
        refused(&books, &room("new", "room-4", "2026-11-24T17:00", "2026-11-24T18:00")),
        "first_visit_unstaffed"
    );
    assert_eq!(refused(&books, &bergen("2026-11-28T10:00", "2026-11-28T11:00")), "first_visit_unstaffed");
    let first = sold(&mut books, &room("new", "room-4", "2026-11-24T09:00", "2026-11-24T10:00")).0;
    // What comes after the first visit may lie at any open time; what would come before it may not.
    sold(&mut books, &bergen("2026-11-28T10:00", "2026-11-28T11:00"));
    assert_eq!(
        refused(&books, &room("new", "room-4", "2026-11-24T07:00", "2026-11-24T08:00")),
        "first_visit_unstaffed"
    );
    assert_eq!(refused(&books, &cancel(&first)), "first_visit_needed");
    order(&mut books, &Order::Activate { member: "new".into() }, now()).unwrap();
    order(&mut books, &cancel(&first), now()).unwrap();
    sold(&mut books, &room("new", "room-4", "2026-11-24T07:00", "2026-11-24T08:00"));
}

#[test]
fn an_activation_at_the_door_counts_here_too_and_once() {
    let mut books = books();
    let event = json!({ "seq": 5, "type": "credential.activated", "credential": "c.new.file-1" });
    let facts = books.hear("oslo-1", "j-1", &event);
    facts.iter().for_each(|fact| books.apply(fact));
    assert!(books.member("new").unwrap().visited);
    assert_eq!(record(&books, "oslo-1", "c.new.file-1").unwrap()["status"], "active");
    order(&mut books, &Order::Suspend { member: "new".into() }, now()).unwrap();
    assert_eq!(books.hear("oslo-1", "j-1", &event), [], "heard again after a restart");
    assert_ne!(books.hear("oslo-1", "j-2", &event), [], "another journal");
}

#[test]
fn guests_come_with_a_room_and_up_to_its_capacity_host_included() {
    let mut books = books();
    let at_desk = sold(&mut books, &desk("ada", "any", "2026-11-24T08:00", "2026-11-24T12:00")).0;
    assert_eq!(refused(&books, &guest(&at_desk, "bob", Some("04AA0001"))), "guest_without_room");
    let meeting = sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T12:00")).0;
    assert_eq!(refused(&books, &guest(&meeting, "bob", None)), "guest_needs_card");
    assert_eq!(refused(&books, &guest(&meeting, "ada", None)), "there_already");
    assert_eq!(refused(&books, &guest(&meeting, "bob", Some("08AA0001"))), "random_uid");
    order(&mut books, &guest(&meeting, "bob", Some("04AA0001")), now()).unwrap();
    assert_eq!(refused(&books, &guest(&meeting, "bob", Some("04AA0009"))), "there_already");
    assert_eq!(refused(&books, &guest(&meeting, "eve", Some("04AA0001"))), "card_taken");
    order(&mut books, &guest(&meeting, "new", None), now()).unwrap();
    assert_eq!(refused(&books, &guest(&meeting, "eve", Some("04AA0002"))), "room_full");
    order(&mut books, &Order::Dismiss { booking: meeting.clone(), who: "bob".into() }, now()).unwrap();
    order(&mut books, &guest(&meeting, "eve", Some("04AA0001")), now()).unwrap();
    let holders: Vec<Value> = records(&books, "oslo-1")
        .iter()
        .filter(|record| record["kind"] == "guest")
        .map(|record| record["holder"].clone())
        .collect();
    assert_eq!(holders, ["new", "guest.b-2.3"]);
    let with_the_number =
        records(&books, "oslo-1").iter().filter(|record| record["uid"] == "04AA0001").count();
    assert_eq!(with_the_number, 1, "a number is one credential's");
}

#[test]
fn a_room_is_a_host_grant_with_its_capacity_and_a_guest_grant_for_each_guest() {
    let mut books = books();
    let meeting = sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T12:00")).0;
    order(&mut books, &guest(&meeting, "bob", Some("04AA0001")), now()).unwrap();
    let expected = json!({
        "type": "grant", "id": "g.b-1", "kind": "room", "holder": "ada", "booking": "b-1",
        "zones": ["perimeter", "room-4"], "starts_at": "2026-11-24T07:00:00Z", "ends_at": "2026-11-24T11:00:00Z",
        "booked_at": "2026-11-23T07:00:00Z", "capacity": 3
    });
    assert_eq!(record(&books, "oslo-1", "g.b-1"), Some(expected));
    let visit = record(&books, "oslo-1", "g.b-1.1").unwrap();
    assert_eq!(
        (&visit["kind"], &visit["booking"], visit.get("capacity")),
        (&json!("guest"), &json!("b-1"), None)
    );
    let card = record(&books, "oslo-1", "c.guest.b-1.1").unwrap();
    assert_eq!((&card["valid_from"], &card["valid_until"]), (&visit["starts_at"], &visit["ends_at"]));
    order(&mut books, &cancel(&meeting), now()).unwrap();
    assert_eq!(record(&books, "oslo-1", "g.b-1"), None);
    assert_eq!(record(&books, "oslo-1", "c.guest.b-1.1"), None);
    assert!(
        records(&books, "oslo-1")
            .iter()
            .all(|r| is_of_the_books(r["type"].as_str().unwrap(), r["id"].as_str().unwrap()))
    );
}

#[test]
fn a_booking_is_in_its_own_locations_feed_and_in_no_other() {
    let mut books = books();
    sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T12:00"));
    sold(&mut books, &booking(Kind::Desk, "bergen-1", "any", "ada", "2026-11-25T08:00", "2026-11-25T12:00"));
    let grants = |location| {
        let grants = records(&books, location).into_iter().filter(|record| record["type"] == "grant");
        grants.map(|grant| grant["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(grants("oslo-1"), ["g.b-1"]);
    assert_eq!(grants("bergen-1"), ["g.b-2"]);
    assert!(record(&books, "bergen-1", "c.ada.file-1").is_some(), "the card is known where it is used");
    assert_eq!(record(&books, "bergen-1", "c.new.file-1"), None, "and nowhere else");
}

#[test]
fn no_room_or_desk_is_sold_twice() {
    let mut books = books();
    sold(&mut books, &room("ada", "room-4", "2026-11-24T09:00", "2026-11-24T10:00"));
    for (from, to) in [("09:00", "10:00"), ("08:00", "09:15"), ("09:59", "11:00"), ("08:00", "12:00")] {
        let order = room("ada", "room-4", &format!("2026-11-24T{from}"), &format!("2026-11-24T{to}"));
        assert_eq!(refused(&books, &order), "taken", "{from} to {to}");
    }
    sold(&mut books, &room("ada", "room-4", "2026-11-24T10:00", "2026-11-24T11:00"));
    sold(
        &mut books,
        &booking(Kind::Room, "bergen-1", "room-4", "ada", "2026-11-24T09:00", "2026-11-24T10:00"),
    );
    for _ in 0..3 {
        sold(&mut books, &desk("ada", "any", "2026-11-24T09:00", "2026-11-24T10:00"));
    }
    assert_eq!(refused(&books, &desk("ada", "any", "2026-11-24T09:00", "2026-11-24T10:00")), "no_desk_free");
}

#[test]
fn a_booking_is_for_a_time_to_come_within_a_year_and_a_desk_for_one_day() {
    let books = books();
    let bergen = |from, to| booking(Kind::Desk, "bergen-1", "any", "ada", from, to);
    assert_eq!(
        refused(&books, &room("ada", "room-4", "2026-11-23T07:59", "2026-11-23T09:00")),
        "in_the_past"
    );
    assert_eq!(refused(&books, &room("ada", "room-4", "2026-11-24T09:00", "2026-11-24T09:14")), "bad_length");
    assert_eq!(refused(&books, &room("ada", "room-4", "2026-11-24T10:00", "2026-11-24T09:00")), "bad_length");
    assert_eq!(
        refused(&books, &room("ada", "room-4", "2027-11-24T09:00", "2027-11-24T10:00")),
        "too_far_ahead"
    );
    assert_eq!(refused(&books, &bergen("2026-11-24T20:00", "2026-11-25T01:00")), "not_one_day");
    assert!(books.decide(&bergen("2026-11-24T20:00", "2026-11-25T00:00"), now()).is_ok());
}

#[test]
fn a_membership_ends_with_its_month_and_takes_later_bookings_with_it() {
    let mut books = books();
    sold(&mut books, &room("ada", "room-4", "2026-11-30T08:00", "2026-11-30T09:00"));
    sold(&mut books, &room("ada", "room-4", "2026-12-01T08:00", "2026-12-01T09:00"));
    order(&mut books, &Order::End { member: "ada".into(), month: None }, now()).unwrap();
    assert_eq!(record(&books, "oslo-1", "c.ada.file-1").unwrap()["valid_until"], "2026-11-30T23:00:00Z");
    assert!(record(&books, "oslo-1", "g.b-1").is_some());
    assert_eq!(record(&books, "oslo-1", "g.b-2"), None);
    assert_eq!(account(&books, "ada", "2026-12").0, 0);
    assert_eq!(
        refused(&books, &room("ada", "room-4", "2026-12-02T08:00", "2026-12-02T09:00")),
        "membership_ended"
    );
}

#[test]
fn a_lost_card_stops_for_good_and_a_suspended_member_until_resumed() {
    let mut books = books();
    sold(&mut books, &room("ada", "room-4", "2026-11-24T08:00", "2026-11-24T09:00"));
    order(&mut books, &Order::Suspend { member: "ada".into() }, now()).unwrap();
    assert_eq!(record(&books, "oslo-1", "c.ada.file-1").unwrap()["status"], "suspended");
    assert_eq!(record(&books, "oslo-1", "g.b-1"), None);
    assert_eq!(
        refused(&books, &room("ada", "hall", "2026-11-24T08:00", "2026-11-24T09:00")),
        "member_suspended"
    );
    order(&mut books, &Order::Resume { member: "ada".into() }, now()).unwrap();
    assert_eq!(record(&books, "oslo-1", "c.ada.file-1").unwrap()["status"], "active");
    assert!(record(&books, "oslo-1", "g.b-1").is_some());
    order(&mut books, &Order::Lost { member: "ada".into() }, now()).unwrap();
    order(&mut books, &Order::Activate { member: "ada".into() }, now()).unwrap();
    assert_eq!(record(&books, "oslo-1", "c.ada.file-1").unwrap()["status"], "lost");
    let found = Order::HandOut { member: "new".into(), uid: "04A1B2C3D4E501".parse().unwrap() };
    assert_eq!(refused(&books, &found), "card_taken");
    let other = Order::HandOut { member: "ada".into(), uid: "04A1B2C3D4E509".parse().unwrap() };
    order(&mut books, &other, now()).unwrap();
    assert_eq!(record(&books, "oslo-1", "c.ada.2").unwrap()["status"], "active", "she has been here before");
}

#[test]
fn days_hours_and_months_are_the_locations_own_also_when_its_clock_is_changed() {
    let books = books();
    let bergen = books.site().location("bergen-1").unwrap();
    let oslo = books.site().location("oslo-1").unwrap();
    let utc = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let spring = bergen.day("2026-03-29".parse().unwrap());
    assert_eq!(spring, (utc("2026-03-28T23:00:00Z"), utc("2026-03-29T22:00:00Z")));
    assert_eq!("2026-12".parse::<Month>().unwrap().end(bergen.time_zone), utc("2026-12-31T23:00:00Z"));
    assert!(
        oslo.covers(Hours::Opening, (utc("2026-07-01T05:00:00Z"), utc("2026-07-01T17:00:00Z"))),
        "summer time"
    );
    assert!(!oslo.covers(Hours::Opening, (utc("2026-07-01T04:59:00Z"), utc("2026-07-01T17:00:00Z"))));
}

#[test]
fn hours_past_midnight_belong_to_the_day_they_start_on() {
    let mut site: Site = toml::from_str(SITE).unwrap();
    site.locations[0].opening_hours = toml::from_str::<std::collections::BTreeMap<String, Vec<calendar::Interval>>>(
        r#"hours = [{ days = ["fri"], from = "22:00", to = "06:00" }, { days = ["sat"], from = "09:00", to = "09:00" }]"#,
    )
    .unwrap()
    .remove("hours")
    .unwrap();
    let covers = |from, to| site.locations[0].covers(Hours::Opening, (at(from), at(to)));
    assert!(
        covers("2026-11-27T23:00", "2026-11-29T00:00"),
        "Friday night into all of Saturday, the calendar day"
    );
    assert!(!covers("2026-11-28T23:00", "2026-11-29T00:01"));
    assert!(!covers("2026-11-27T21:00", "2026-11-27T23:00"));
}

#[test]
fn a_site_file_that_contradicts_itself_is_told_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    let wrong = SITE
        .replace("home = \"oslo-1\"", "home = \"paris\"")
        .replace("capacity = 3", "capacity = 0")
        .replace("07:00", "24:00");
    std::fs::write(&path, wrong).unwrap();
    let error = Site::read(&path).unwrap_err().to_string();
    assert!(error.contains("room room-4 of location oslo-1 has room for nobody"), "{error}");
    assert!(error.contains("hours of location oslo-1 begin at 24:00"), "{error}");
    assert!(error.contains("home paris of member ada is no location here"), "{error}");
    std::fs::write(&path, SITE.replace("04A1B2C3D4E502", "04A1B2C3D4E5XX")).unwrap();
    let error = Site::read(&path).unwrap_err().to_string();
    assert!(error.contains("line 50:") && !error.contains("E5XX"), "{error}");
    std::fs::write(&path, SITE).unwrap();
    assert_eq!(Site::read(&path).unwrap().locations.len(), 2);
}
