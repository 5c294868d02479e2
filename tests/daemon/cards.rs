//! Cards through the real pcscd.

use std::time::Duration;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, pause};

/// Longer than vpcd takes to look for a card twice.
const CARD_AWAY: Duration = Duration::from_millis(1200);

const FOUR: &str = "A1B2C3D4";
const SEVEN: &str = "04A1B2C3D4E5F6";
const TEN: &str = "04A1B2C3D4E5F6071829";
const NEIGHBOUR: &str = "0400000000BBBB";

fn site() -> Site {
    let site = Builder::bare().pcsc("entrance", 0).pcsc("floor-2", 1).running();
    site.put([
        card("c-4", FOUR, "m-1"),
        card("c-7", SEVEN, "m-1"),
        card("c-10", TEN, "m-1"),
        card("c-n", NEIGHBOUR, "m-1"),
        standing("g-1", "m-1", &["perimeter", "community-floor"]),
    ]);
    site
}

#[test]
fn cards_of_four_seven_and_ten_bytes_open_through_pcscd() {
    let site = site();
    for (uid, credential) in [(FOUR, "c-4"), (SEVEN, "c-7"), (TEN, "c-10")] {
        let before = hardware_sim::time::now();
        let event = site.pcsc_decision(0, "entrance-in", uid);
        assert_decided(&event, "access.granted", "standing");
        assert_eq!(event["credential"], credential);
        assert!(site.board.wait_for_coil_change(before, 0, true, LIMIT).is_some(), "{uid} did not open");
        pause("vpcd looks for the card and finds none", CARD_AWAY);
    }
    let known = site.pcsc_decision(1, "floor-2-in", NEIGHBOUR);
    assert_decided(&known, "access.granted", "standing");
}

#[test]
fn a_card_left_lying_is_tapped_once_until_it_has_been_away() {
    let site = site();
    let before = site.last_seq();
    let lying = site.insert(0, SEVEN);
    let first = site.decided_after(before, "entrance-in");
    assert_decided(&first, "access.granted", "standing");
    for _ in 0..2 {
        site.pcsc_decision(1, "floor-2-in", NEIGHBOUR);
        pause("the neighbour's card goes away", CARD_AWAY);
    }
    let taps = |site: &Site| {
        let journal = site.journal();
        journal.iter().filter(|e| e["reader"] == "entrance-in" && e["credential"] == "c-7").count()
    };
    assert_eq!(taps(&site), 1, "the card that lies there was tapped again");
    lying.remove();
    pause("vpcd looks for the card and finds none", CARD_AWAY);
    let again = site.pcsc_decision(0, "entrance-in", SEVEN);
    assert_decided(&again, "access.granted", "standing");
    assert_eq!(taps(&site), 2);
}

#[test]
fn a_pcscd_that_dies_and_comes_back_is_said_and_its_readers_work_again() {
    let mut site = site();
    site.pcsc_decision(0, "entrance-in", SEVEN);
    let mark = site.central().mark();
    site.pcscd.as_mut().unwrap().kill();
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "floor-2-in");
    let shown = site.ask(&["readers"]);
    assert!(shown.as_array().unwrap().iter().all(|reader| reader["connected"] == false), "{shown:#}");
    let mark = site.central().mark();
    site.pcscd.as_mut().unwrap().restart().unwrap();
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "floor-2-in");
    pause("a card that is there so soon may have lain there before", CARD_AWAY);
    assert_decided(&site.pcsc_decision(0, "entrance-in", SEVEN), "access.granted", "standing");
    assert_decided(&site.pcsc_decision(1, "floor-2-in", NEIGHBOUR), "access.granted", "standing");
}

#[test]
fn a_card_that_cannot_be_read_is_no_tap_and_stops_nothing() {
    let site = site();
    let before = site.last_seq();
    let silent = site.insert(0, SEVEN);
    silent.refuse_with(Some([0x6A, 0x81]));
    assert!(silent.wait_until_powered(LIMIT));
    pause("the daemon asks for its UID in vain", CARD_AWAY);
    silent.remove();
    pause("vpcd looks for the card and finds none", CARD_AWAY);
    let next = site.pcsc_decision(0, "entrance-in", FOUR);
    assert_eq!(next["credential"], "c-4");
    let journal = site.journal();
    let decided: Vec<_> = journal
        .iter()
        .filter(|e| e["seq"].as_u64() > Some(before) && e["type"].as_str().unwrap().starts_with("access."))
        .filter(|e| e["type"] == "access.granted" || e["type"] == "access.denied")
        .collect();
    assert_eq!(decided.len(), 1, "{decided:#?}");
}

#[test]
fn a_pcscd_that_hangs_is_said_and_blocks_no_other_reader_nor_the_way_down() {
    let mut site = Builder::bare().pcsc("entrance", 0).pn532("room-4").running();
    site.put([card("c-7", SEVEN, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    let mark = site.central().mark();
    site.pcscd.as_ref().unwrap().pause().unwrap();
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    assert_decided(&site.decision("room-4-in", SEVEN), "access.granted", "standing");
    let mark = site.central().mark();
    site.pcscd.as_ref().unwrap().resume().unwrap();
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    pause("a card that is there so soon may have lain there before", CARD_AWAY);
    assert_decided(&site.pcsc_decision(0, "entrance-in", SEVEN), "access.granted", "standing");
    site.pcscd.as_ref().unwrap().pause().unwrap();
    assert!(site.daemon.stop().success(), "it could not stop for a pcscd that hangs");
}
