//! OSDP readers at the real daemon: a tap opens a door, a pulled cable is said and comes back, and what is said in clear
//! text where there is a key opens nothing.

use std::time::Duration;

use hardware_sim::osdp::{Color, Fault, Osdp, Seen};
use serde_json::Value;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, RECONNECT_LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";
const KEY: [u8; 16] = [0xC5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// The entrance's has a key, room 4's has none.
const ENTRANCE: u8 = 1;
const ROOM: u8 = 2;

fn with_anna() -> Site {
    let site = Builder::bare().osdp("entrance", ENTRANCE, Some(KEY)).osdp("room-4", ROOM, None).running();
    for address in [ENTRANCE, ROOM] {
        assert!(line(&site).wait_until_asked(address, LIMIT), "nobody asks {address} for cards");
    }
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

fn line(site: &Site) -> &Osdp {
    site.osdp.as_ref().unwrap()
}

#[track_caller]
fn decision(site: &Site, address: u8, reader: &str, uid: &str) -> Value {
    let before = site.last_seq();
    line(site).tap(address, &uid.parse().unwrap());
    site.decided_after(before, reader)
}

fn shown(site: &Site, id: &str) -> Value {
    let readers = site.ask(&["readers"]);
    readers.as_array().unwrap().iter().find(|reader| reader["reader"] == id).unwrap().clone()
}

#[test]
fn a_tap_opens_the_door_and_shows_green_and_a_strangers_shows_red() {
    let site = with_anna();
    assert!(line(&site).is_secure(ENTRANCE) && !line(&site).is_secure(ROOM));
    assert_decided(&decision(&site, ENTRANCE, "entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil(0, true, Duration::from_secs(5)));
    let lit = |address, color| {
        let is = move |seen: &Seen| matches!(seen, Seen::Light(light) if light.color == color);
        line(&site).wait_for(address, 0, LIMIT, is).is_some()
    };
    assert!(lit(ENTRANCE, Color::Green));
    assert_decided(&decision(&site, ROOM, "room-4-in", "DEADBEEF"), "access.denied", "unknown_credential");
    assert!(lit(ROOM, Color::Red));
    let (entrance, room) = (shown(&site, "entrance-in"), shown(&site, "room-4-in"));
    assert_eq!((&entrance["insecure"], &room["insecure"]), (&false.into(), &true.into()));
    let log = site.daemon.log_tail(1000);
    assert!(log.contains("insecure: it has no key_file"), "nobody was warned");
    let told = site.bytes_on_disk();
    let key = data_encoding::HEXUPPER.encode(&KEY);
    assert!(!told.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).to_uppercase().contains(&key)));
}

#[test]
fn a_pulled_cable_is_said_of_all_on_it_and_both_serve_when_it_is_back() {
    let site = with_anna();
    let mark = site.central().mark();
    line(&site).unplug();
    for reader in ["entrance-in", "room-4-in"] {
        site.at_central_where(mark, "reader.lost", |event| event["reader"] == reader);
        assert_eq!(shown(&site, reader)["connected"], false);
    }
    let mark = site.central().mark();
    line(&site).plug_in().unwrap();
    for (reader, address) in [("entrance-in", ENTRANCE), ("room-4-in", ROOM)] {
        site.at_central_where(mark, "reader.connected", |event| event["reader"] == reader);
        assert!(line(&site).wait_until_asked(address, LIMIT));
        assert_decided(&decision(&site, address, reader, ANNA), "access.granted", "standing");
    }
}

#[test]
fn clear_text_where_there_is_a_key_opens_nothing_and_the_other_reader_goes_on() {
    let site = with_anna();
    let (mark, before) = (site.central().mark(), site.last_seq());
    line(&site).fault(ENTRANCE, Fault::ClearText);
    line(&site).tap(ENTRANCE, &ANNA.parse().unwrap());
    let lost = site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    assert!(!lost["detail"].as_str().unwrap().contains("04A1"), "{lost:#}");
    assert_decided(&decision(&site, ROOM, "room-4-in", ANNA), "access.granted", "standing");
    let mut decided = site.journal().into_iter().filter(|event| event["seq"].as_u64() > Some(before));
    assert!(!decided.any(|event| event["reader"] == "entrance-in" && event["type"] == "access.granted"));
    assert!(site.board.coil_history().iter().all(|change| change.coil != 0), "the door was opened");
    let mark = site.central().mark();
    line(&site).fault(ENTRANCE, Fault::None);
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    assert!(line(&site).wait_until_asked(ENTRANCE, LIMIT));
    assert_decided(&decision(&site, ENTRANCE, "entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_reader_taken_off_the_wall_is_in_the_journal_and_in_status_until_it_is_back() {
    let site = with_anna();
    for (is_tampered, word) in [(true, "begin"), (false, "end")] {
        let mark = site.central().mark();
        line(&site).tamper(ENTRANCE, is_tampered);
        let event = site.at_central_where(mark, "reader.tamper", |event| event["reader"] == "entrance-in");
        assert!(event["detail"].as_str().unwrap().starts_with(word), "{event:#}");
        assert_eq!(shown(&site, "entrance-in")["tamper"], is_tampered);
    }
}

#[test]
fn a_mute_reader_is_lost_within_seconds_and_comes_back_by_itself() {
    let site = with_anna();
    let mark = site.central().mark();
    line(&site).fault(ENTRANCE, Fault::Mute);
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    assert_decided(&decision(&site, ROOM, "room-4-in", ANNA), "access.granted", "standing");
    line(&site).fault(ENTRANCE, Fault::None);
    eventually_asking("reader that is back", || {
        (shown(&site, "entrance-in")["connected"] == true).then_some(())
    });
    assert!(line(&site).wait_until_asked(ENTRANCE, RECONNECT_LIMIT));
    assert_decided(&decision(&site, ENTRANCE, "entrance-in", ANNA), "access.granted", "standing");
}
