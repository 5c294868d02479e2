//! PC/SC readers that hang, go and come back beside others that work: nobody else's door waits for them.

use std::time::Duration;

use serde_json::Value;

use crate::site::people::assert_decided;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually, eventually_asking, pause};

const ANNA: &str = "04A1B2C3D4E5F6";
const BO: &str = "04000000000B0B";
const ACR1252: &str = "ACS ACR1252 Dual Reader";
const ACR122: &str = "ACS ACR122U PICC Interface";

/// Longer than pcscd takes to look for a card twice, and than a reader that is back takes to be trusted.
const CARD_AWAY: Duration = Duration::from_millis(1600);

/// Two PC/SC readers and one that has nothing to do with pcscd.
fn site() -> Site {
    let site = Builder::bare().lamps("entrance", ACR1252).lamps("floor-2", ACR122).pn532("room-4").running();
    site.put([
        card("c-1", ANNA, "m-1"),
        card("c-2", BO, "m-1"),
        standing("g-1", "m-1", &["perimeter", "community-floor", "rooms"]),
    ]);
    site
}

/// Everything but the entrance works.
#[track_caller]
fn others_work(site: &Site) {
    assert_decided(&site.lamps_decision(1, "floor-2-in", ANNA), "access.granted", "standing");
    assert_decided(&site.decision("room-4-in", ANNA), "access.granted", "standing");
}

#[track_caller]
fn works_again(site: &Site) {
    pause("a card that is there so soon may have lain there before", CARD_AWAY);
    assert_decided(&site.lamps_decision(0, "entrance-in", BO), "access.granted", "standing");
}

#[track_caller]
fn is_lost(site: &Site, mark: usize, why: &str) {
    let lost = site.at_central_where(mark, "reader.lost", |event| event["reader"] == "entrance-in");
    assert!(lost["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{lost:#}");
}

#[track_caller]
fn is_back(site: &Site, mark: usize) {
    site.at_central_where(mark, "reader.connected", |event| event["reader"] == "entrance-in");
}

fn shown(site: &Site, reader: &str) -> Value {
    let readers = site.ask(&["readers"]);
    readers.as_array().unwrap().iter().find(|one| one["reader"] == reader).unwrap().clone()
}

#[test]
fn a_card_that_hangs_in_one_reader_stops_no_other() {
    let site = site();
    let mark = site.central().mark();
    site.lamps(0).hang_cards(true).unwrap();
    site.lamps(0).put_card(&ANNA.parse().unwrap()).unwrap();
    is_lost(&site, mark, "the reader or the card on it does not answer");
    others_work(&site);
    assert_eq!(shown(&site, "entrance-in")["connected"], false);
    let mark = site.central().mark();
    site.lamps(0).remove_card().unwrap();
    site.lamps(0).hang_cards(false).unwrap();
    is_back(&site, mark);
    let restarts = &shown(&site, "entrance-in")["restarts"];
    assert!(restarts["count"].as_u64() >= Some(1), "it was started over: {restarts}");
    works_again(&site);
}

#[test]
fn a_lamp_that_hangs_is_said_and_neither_delays_its_own_door_nor_stops_another() {
    let site = site();
    let greeted = || (site.lamps(0).escapes().len() >= 3).then_some(());
    eventually("greeting", greeted);
    let mark = site.central().mark();
    site.lamps(0).hang_escapes(true).unwrap();
    assert_decided(&site.lamps_decision(0, "entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil(0, true, LIMIT), "the door waited for its lamp");
    is_lost(&site, mark, "does not answer a command to its lamps");
    others_work(&site);
    let mark = site.central().mark();
    site.lamps(0).hang_escapes(false).unwrap();
    is_back(&site, mark);
    works_again(&site);
}

#[test]
fn a_reader_that_pcscd_loses_is_said_and_works_when_it_is_back() {
    let site = site();
    let mark = site.central().mark();
    site.lamps(0).unplug(true).unwrap();
    is_lost(&site, mark, "unplugged");
    others_work(&site);
    let mark = site.central().mark();
    site.lamps(0).unplug(false).unwrap();
    is_back(&site, mark);
    works_again(&site);
    let lost = site.journal().into_iter().filter(|event| event["type"] == "reader.lost").count();
    assert_eq!(lost, 1, "one loss is one entry");
}

#[test]
fn a_reader_that_is_missing_when_pcscd_comes_back_is_waited_for() {
    let mut site = site();
    let mark = site.central().mark();
    site.lamps(0).list(false).unwrap();
    site.pcscd.as_mut().unwrap().restart().unwrap();
    is_lost(&site, mark, "");
    eventually_asking("the other PC/SC reader", || {
        (shown(&site, "floor-2-in")["connected"] == true).then_some(())
    });
    pause("a card that is there so soon may have lain there before", CARD_AWAY);
    others_work(&site);
    let detail = shown(&site, "entrance-in")["detail"].as_str().unwrap().to_owned();
    assert_eq!(shown(&site, "entrance-in")["connected"], false, "{detail}");
    let mark = site.central().mark();
    site.lamps(0).list(true).unwrap();
    site.pcscd.as_mut().unwrap().restart().unwrap();
    is_back(&site, mark);
    works_again(&site);
}

#[test]
fn a_pcscd_that_stands_still_delays_no_tap_elsewhere_and_each_of_its_readers_says_so() {
    let site = site();
    let mark = site.central().mark();
    site.pcscd.as_ref().unwrap().pause().unwrap();
    for reader in ["entrance-in", "floor-2-in"] {
        site.at_central_where(mark, "reader.lost", |event| {
            event["reader"] == reader && event["detail"] == "pcscd does not answer"
        });
    }
    for uid in [ANNA, BO, ANNA] {
        assert_decided(&site.decision("room-4-in", uid), "access.granted", "standing");
    }
    let mark = site.central().mark();
    site.pcscd.as_ref().unwrap().resume().unwrap();
    is_back(&site, mark);
    works_again(&site);
    assert!(shown(&site, "entrance-in")["restarts"]["count"].as_u64() >= Some(1));
}
