//! Cables pulled, noise on the line, and devices that come later than the daemon.

use std::time::Duration;

use hardware_sim::pn532::{Babble, Noise, Spoil};

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, RECONNECT_LIMIT, Site, eventually_asking};

const ANNA: &str = "04A1B2C3D4E5F6";

fn with_anna() -> Site {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter", "rooms"])]);
    site
}

#[test]
fn a_reader_whose_cable_is_pulled_is_said_and_works_when_it_is_back() {
    let site = with_anna();
    let mark = site.central().mark();
    site.reader("entrance-in").unplug();
    let lost = site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    assert!(lost["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{lost:#}");
    let readers = site.ask(&["readers"]);
    let shown =
        |id: &str| readers.as_array().unwrap().iter().find(|reader| reader["reader"] == id).unwrap().clone();
    assert_eq!(
        (&shown("entrance-in")["connected"], &shown("room-4-in")["connected"]),
        (&false.into(), &true.into())
    );
    assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
    let mark = site.central().mark();
    site.reader("entrance-in").plug_in().unwrap();
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    site.wait_until_empty("entrance-in");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn noise_on_the_line_and_bytes_in_pieces_stop_no_reader() {
    let site = with_anna();
    let reader = site.reader("entrance-in");
    // Half a frame, a frame of nobody's with a wrong checksum, the start of a very long one.
    for noise in
        [&[0x00, 0x00, 0xFF, 0x05][..], &[0x00, 0xFF, 0x03, 0xFD, 0xD5, 0x4B, 0x01, 0x00, 0x00], &[0xAA; 300]]
    {
        reader.noise(noise);
        site.wait_until_ready();
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    }
    reader.spoil(Spoil::Checksum, 1);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    reader.split_frames(true);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_chip_that_talks_nonsense_invents_no_tap_and_is_well_again_by_itself() {
    let site = with_anna();
    let reader = site.reader("entrance-in");
    for (name, how) in Spoil::ALL {
        reader.spoil(how, 3);
        assert!(reader.wait_until_sane(RECONNECT_LIMIT), "{name}: it is not asked any more");
        // Whatever was made of that: it waits for cards again, and reads one.
        site.wait_until_empty("entrance-in");
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
        assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
        let journal = site.journal();
        let taps = journal.iter().filter(|event| event["type"].as_str().unwrap().starts_with("access."));
        let strangers: Vec<_> = taps.filter(|event| event["uid_tag"].is_string()).collect();
        assert_eq!(strangers.len(), 0, "{name}: {strangers:#?}");
    }
}

#[test]
fn a_line_that_is_never_silent_is_said_and_stops_no_other_door() {
    let site = with_anna();
    for babble in [Babble::Noise(Noise::new(1)), Babble::Acks] {
        let mark = site.central().mark();
        // It babbles, and answers nothing.
        site.reader("entrance-in").hang(true);
        site.reader("entrance-in").babble(babble);
        site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
        assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
        let mark = site.central().mark();
        site.reader("entrance-in").quiet();
        site.reader("entrance-in").hang(false);
        site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
        site.wait_until_empty("entrance-in");
        assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    }
}

#[test]
fn a_reader_unplugged_in_the_middle_of_reading_a_card_opens_nothing_and_works_when_it_is_back() {
    let site = with_anna();
    let mark = site.central().mark();
    let reader = site.reader("entrance-in");
    // The first half of the card's UID comes, and then the cable is out.
    reader.spoil(Spoil::Half, 1);
    site.tap("entrance-in", ANNA);
    reader.unplug();
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    let decided = |site: &Site| {
        let journal = site.journal();
        journal.iter().filter(|event| event["type"].as_str().unwrap().starts_with("access.")).count()
    };
    assert_eq!(decided(&site), 0, "half a card was read");
    assert_eq!(site.board.coil_history(), []);
    let mark = site.central().mark();
    reader.plug_in().unwrap();
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    site.wait_until_empty("entrance-in");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_reader_that_keeps_failing_is_started_over_and_shown_with_its_last_error() {
    let site = with_anna();
    site.reader("entrance-in").hang(true);
    let shown = || {
        let readers = site.ask(&["readers"]);
        readers.as_array().unwrap().iter().find(|one| one["reader"] == "entrance-in").unwrap().clone()
    };
    let failing = eventually_asking("three restarts", || {
        let reader = shown();
        (reader["restarts"]["count"].as_u64() >= Some(3)).then_some(reader)
    });
    let last = failing["restarts"]["last_error"].as_str().unwrap();
    assert!(last.contains("no answer to SamConfiguration"), "{failing:#}");
    let status = site.ctl(&["status"]).out;
    assert!(status.contains("started over"), "{status}");
    site.reader("entrance-in").hang(false);
    eventually_asking("the reader", || (shown()["connected"] == true).then_some(()));
    assert!(site.ctl(&["status"]).out.contains("keeps failing: started over"), "it is well too soon");
    let entries = site.journal().into_iter().filter(|event| event["type"] == "reader.lost").count();
    assert_eq!(entries, 1, "each failure is an entry");
}

#[test]
fn a_reader_that_hangs_is_said_and_works_when_it_answers_again() {
    let site = with_anna();
    let mark = site.central().mark();
    site.reader("entrance-in").hang(true);
    site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    let mark = site.central().mark();
    site.reader("entrance-in").hang(false);
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
    site.wait_until_empty("entrance-in");
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_daemon_that_starts_before_everything_else_waits_for_it() {
    let mut site = Builder::new().nothing_up();
    site.board.stop().unwrap();
    for (_, reader) in &site.pn532 {
        reader.unplug();
    }
    site.daemon.start();
    let status = eventually_asking("status of a daemon alone", || {
        let said = site.ctl(&["status", "--json"]);
        (said.code == 0).then(|| said.json())
    });
    for list in ["readers", "boards"] {
        assert!(status[list].as_array().unwrap().iter().all(|one| one["connected"] == false), "{status:#}");
    }
    assert_eq!(status["sync"]["connected"], false);
    assert_eq!(site.ctl(&["door", "access", "entrance"]).code, 1, "it opened a door it has no board for");
    site.board.restart().unwrap();
    for (_, reader) in &site.pn532 {
        reader.plug_in().unwrap();
    }
    site.broker.start();
    site.wait_until_ready();
    site.central().wait_connected(LIMIT).unwrap();
    site.central().wait_synced(RECONNECT_LIMIT).unwrap();
    assert_eq!(site.board.coil_history(), [], "what was refused is done now");
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil(0, true, Duration::from_secs(5)));
}
