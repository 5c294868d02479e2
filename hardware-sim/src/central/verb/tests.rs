//! The office and its words, with real files and a real broker: what is ordered is in the right feed, and still there
//! after a restart.

use super::office::{Office, OfficeError};
use super::{Args, office_order, orders, words};
use crate::broker::Broker;
use crate::central::Central;
use crate::central::members::{Books, Site};
use chrono::{DateTime, Utc};
use clap::Parser as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
/// Nobody listens there.
const NOWHERE: &str = "mqtt://127.0.0.1:1";

const SITE: &str = r#"
[[locations]]
id = "oslo-1"
name = "Oslo"
time_zone = "Europe/Oslo"
perimeter = ["perimeter"]
opening_hours = [{ days = ["mon", "tue", "wed", "thu", "fri"], from = "07:00", to = "19:00" }]
rooms = [{ id = "room-4", zone = "room-4", capacity = 3 }]
desks = [{ id = "desk-1", zone = "floor-2" }]

[[locations]]
id = "bergen-1"
name = "Bergen"
time_zone = "Europe/Oslo"
perimeter = ["perimeter"]
open_24h = true
rooms = [{ id = "room-4", zone = "room-4", capacity = 2 }]
desks = [{ id = "desk-1", zone = "floor-2" }]

[[members]]
id = "ada"
home = "oslo-1"
visited = true
cards = ["04A1B2C3D4E501"]
"#;

/// A Monday, eight o'clock in Oslo.
fn now() -> DateTime<Utc> {
    "2026-11-23T07:00:00Z".parse().unwrap()
}

fn open(folder: &Path, broker: &str) -> Office {
    try_open(folder, broker).unwrap()
}

fn try_open(folder: &Path, broker: &str) -> Result<Office, OfficeError> {
    let site: Site = toml::from_str(SITE).unwrap();
    let central = |id: &str| {
        let builder = Central::builder(broker, id).feed_file(folder.join(format!("{id}.feed")));
        Arc::new(builder.events_file(folder.join(format!("{id}.events"))).start().unwrap())
    };
    let centrals: BTreeMap<String, Arc<Central>> =
        site.locations.iter().map(|location| (location.id.clone(), central(&location.id))).collect();
    Office::open(Books::new(site), Some(&folder.join("books")), centrals, now())
}

fn say(office: &Office, line: &str) -> Result<String, String> {
    words::carry_out(office, line, now()).unwrap_or_else(|| panic!("{line} is no order"))
}

fn ids(office: &Office, location: &str, kind: &str) -> Vec<String> {
    let records = office.central(location).unwrap().records();
    let of_kind = records.iter().filter(|record| record["type"] == kind);
    of_kind.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_order_is_in_its_locations_feed_and_still_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let office = open(folder.path(), NOWHERE);
    let said = say(&office, "book room oslo-1 room-4 ada 2026-11-24T08:00 90m").unwrap();
    assert!(
        said.starts_with("b-1: room room-4 at oslo-1 for ada, Tue 2026-11-24 08:00 to Tue 2026-11-24 09:30"),
        "{said}"
    );
    assert!(said.contains("costs 2 of the month's credits"), "{said}");
    say(&office, "guest b-1 bob 04AA0001").unwrap();
    say(&office, "book desk bergen-1 any ada tomorrow").unwrap();
    let refused = say(&office, "book room oslo-1 room-4 ada 2026-11-24T09:00 1h").unwrap_err();
    assert!(refused.ends_with("[taken]"), "{refused}");
    assert_eq!(ids(&office, "oslo-1", "grant"), ["g.b-1", "g.b-1.1"]);
    assert_eq!(ids(&office, "bergen-1", "grant"), ["g.b-2"]);
    let positions: Vec<_> = office.centrals().map(|central| central.position()).collect();
    drop(office);
    let office = open(folder.path(), NOWHERE);
    assert_eq!(
        office.centrals().map(|central| central.position()).collect::<Vec<_>>(),
        positions,
        "nothing is said twice"
    );
    assert!(say(&office, "book room oslo-1 room-4 ada 2026-11-24T09:00 1h").is_err());
    assert!(say(&office, "bill ada 2026-11").unwrap().contains("2 credits spent of 5 included, 3 left"));
}

#[test]
fn a_feed_that_was_lost_is_filled_from_the_books_again() {
    let folder = tempfile::tempdir().unwrap();
    let office = open(folder.path(), NOWHERE);
    say(&office, "book room oslo-1 room-4 ada 2026-11-24T08:00 1h").unwrap();
    let records = office.central("oslo-1").unwrap().records();
    say(&office, "book room bergen-1 room-4 ada 2026-11-24T08:00 1h").unwrap();
    drop(office);
    fs::remove_file(folder.path().join("oslo-1.feed")).unwrap();
    // The other has a line too many, as if the books had been told and the feed had not been.
    fs::write(folder.path().join("bergen-1.feed"), "{}\n").unwrap();
    let office = open(folder.path(), NOWHERE);
    assert_eq!(office.central("oslo-1").unwrap().records(), records);
    assert_eq!(ids(&office, "bergen-1", "grant"), ["g.b-2"]);
}

#[test]
fn damaged_books_are_not_sold_from() {
    let folder = tempfile::tempdir().unwrap();
    let office = open(folder.path(), NOWHERE);
    say(&office, "book room oslo-1 room-4 ada 2026-11-24T08:00 1h").unwrap();
    say(&office, "cancel b-1").unwrap();
    drop(office);
    let path = folder.path().join("books");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("room-4", "room-5", 1)).unwrap();
    let error = try_open(folder.path(), NOWHERE).unwrap_err();
    assert!(error.to_string().contains("is damaged in line 1"), "{error}");
}

#[test]
fn what_was_activated_at_the_door_is_active_in_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    let office = open(folder.path(), NOWHERE);
    say(&office, "member bo oslo-1 - Bo Berg").unwrap();
    say(&office, "card bo 04AA0002").unwrap();
    let status =
        || office.central("oslo-1").unwrap().record("credential", "c.bo.1").unwrap()["status"].clone();
    assert_eq!(status(), "issued");
    let event = json!({ "seq": 4, "type": "credential.activated", "credential": "c.bo.1" });
    assert!(office.hear("oslo-1", "j-1", &event, now()).unwrap());
    assert_eq!(status(), "active");
    assert!(!office.hear("oslo-1", "j-1", &event, now()).unwrap());
    assert!(!say(&office, "members").unwrap().contains("not visited"));
}

#[test]
fn a_file_of_bookings_is_asked_of_the_rules_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let office = open(folder.path(), NOWHERE);
    let path = folder.path().join("bookings.csv");
    let rows = "# Monday's\n\
        room,oslo-1,room-4,ada,2026-11-24T08:00,2026-11-24T09:00,bob:04AA0001 eve:04AA0002 max:04AA0003\n\
        room,oslo-1,room-4,ada,2026-11-24T05:00,2026-11-24T06:00,\n\
        desk,bergen-1,any,ada,2026-11-24T08:00,2026-11-24T09:00,\n\
        room,oslo-1\n";
    fs::write(&path, format!("{}\n{rows}", words::COLUMNS)).unwrap();
    let said = words::book_file(&office, &path, now()).unwrap();
    assert_eq!(said.len(), 4);
    assert!(
        said[0].starts_with("line 3: b-1") && said[0].contains("not max: room-4 is for 3 people"),
        "{said:?}"
    );
    assert!(said[1].starts_with("line 4 is not booked: oslo-1 is not open"), "{said:?}");
    assert!(said[2].starts_with("line 5: b-2"), "{said:?}");
    assert!(said[3].contains("it has 2 fields; expected 7"), "{said:?}");
    assert_eq!(ids(&office, "oslo-1", "grant"), ["g.b-1", "g.b-1.1", "g.b-1.2"]);
}

#[test]
fn two_locations_hear_of_their_own_bookings_only_over_one_broker() {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::{Client, Event, Incoming, MqttOptions};
    let broker = Broker::start("127.0.0.1:0".parse().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = broker.address();
    let (client, mut connection) = Client::new(MqttOptions::new("listener", "127.0.0.1", address.port()), 10);
    client.subscribe("latch/v1/+/feed", QoS::AtLeastOnce).unwrap();
    let mut incoming = connection.iter().filter_map(Result::ok);
    incoming.find(|event| matches!(event, Event::Incoming(Incoming::SubAck(_)))).unwrap();
    let office = open(folder.path(), &broker.url());
    office.centrals().for_each(|central| central.wait_connected(LIMIT).unwrap());
    say(&office, "book room oslo-1 room-4 ada 2026-11-24T08:00 1h").unwrap();
    say(&office, "book desk bergen-1 any ada tomorrow").unwrap();
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while heard.values().map(Vec::len).sum::<usize>() < 2 {
        let Some(Event::Incoming(Incoming::Publish(publish))) = incoming.next() else { continue };
        let body: Value = serde_json::from_slice(&publish.payload).unwrap();
        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
        assert_eq!(topic, format!("latch/v1/{}/feed", body["controller"].as_str().unwrap()));
        let put = body["changes"].as_array().unwrap().iter().map(|change| change["put"].clone());
        let grants = put.filter(|record| record["type"] == "grant");
        let grants: Vec<String> = grants.map(|grant| grant["id"].as_str().unwrap().to_owned()).collect();
        heard.entry(topic).or_default().extend(grants);
    }
    heard.retain(|_, grants| !grants.is_empty());
    let expected = [("latch/v1/bergen-1/feed", "g.b-2"), ("latch/v1/oslo-1/feed", "g.b-1")];
    let expected = expected.map(|(topic, grant)| (topic.to_owned(), vec![grant.to_owned()]));
    assert_eq!(heard, BTreeMap::from(expected));
}

#[test]
fn orders_to_one_location_go_past_the_rules_and_to_that_location_alone() {
    let folder = tempfile::tempdir().unwrap();
    let office = open(folder.path(), NOWHERE);
    office_order(&office, "at oslo-1 standing perimeter,room-4 m-cleaner").unwrap();
    assert_eq!(ids(&office, "oslo-1", "grant").len(), 1);
    assert_eq!(ids(&office, "bergen-1", "grant"), [""; 0]);
    office.bring_up_to_date(now()).unwrap();
    assert_eq!(ids(&office, "oslo-1", "grant").len(), 1, "what was put by hand stays");
    assert!(office_order(&office, "at paris status").unwrap_err().contains("no location paris"));
    assert!(office_order(&office, "sell everything").unwrap_err().contains("no such order"));
    assert!(office_order(&office, "help").unwrap().contains("book desk LOCATION DESK|any MEMBER DAY"));
}

#[test]
fn orders_by_hand_number_what_they_make_and_keep_card_numbers_out_of_ids() {
    let central = Central::start(NOWHERE, "demo-1").unwrap();
    let said = orders::carry_out(&central, "card m-1 04A1B2C3").unwrap();
    assert!(said.contains("c-hand-1") && !said.contains("04A1B2C3"), "{said}");
    orders::carry_out(&central, "card m-1 04A1B2C3 lost").unwrap();
    assert_eq!(central.records().len(), 1);
    orders::carry_out(&central, "book room room-4 m-1 now 1h 6").unwrap();
    orders::carry_out(&central, "book desk floor-2 m-1 now 1h").unwrap();
    assert_eq!(central.records().len(), 3, "{:?}", central.records());
    for (order, why) in [
        ("command open entrance", "no action on a door is called open"),
        ("command lock entrance 5m", "only unlock and lock_open are for a time"),
        ("command unlock entrance soon", "soon is no length of time"),
        ("command access entrance", "not connected"),
        ("rekey /nowhere k", "key file /nowhere can't be read"),
        ("book", "no such order"),
    ] {
        let refused = orders::carry_out(&central, order).unwrap_err();
        assert!(refused.contains(why), "{order}: {refused}");
    }
}

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

#[test]
fn the_command_line_is_a_controller_or_a_site_or_a_key_to_be_made() {
    let parses = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
    assert!(parses("central --broker mqtt://b --controller demo-1 --feed f --events e"));
    assert!(parses("central --broker mqtt://b --site s --state d --signing-key k --kid kid"));
    assert!(parses("central --broker mqtts://b --controller a --ca c --cert c --key k"));
    assert!(parses("central --broker mqtts://b --controller a --ca c --username u --password-file p"));
    assert!(parses("central keygen file --kid kid"));
    for wrong in [
        "central",
        "central --broker mqtt://b",
        "central --broker mqtt://b --controller a --site s",
        "central --broker mqtt://b --site s --feed f",
        "central --broker mqtt://b --controller a --key k",
        "central --broker mqtt://b --controller a --signing-key k",
        "central --broker mqtts://b --controller a --ca c --username u",
        "central keygen file",
    ] {
        assert!(!parses(wrong), "{wrong}");
    }
}
