//! What is shown at PC/SC readers with lamps and a buzzer: by the bytes that reach the reader through the real pcscd.

use std::time::Duration;

use hardware_sim::pcscd::Escape;

use crate::site::people::assert_decided;
use crate::site::records::{card, room, standing};
use crate::site::{Builder, LIMIT, Site, eventually, pause};

const ANNA: &str = "04A1B2C3D4E5F6";
const TOMORROW: &str = "04000000000C0C";
const STRANGER: &str = "04000000000D0D";
const ACR1252: &str = "ACS ACR1252 Dual Reader";
const ACR1281: &str = "ACS ACR1281U";
const ACR122: &str = "ACS ACR122U PICC Interface";

/// Longer than pcscd takes to look for a card twice.
const CARD_AWAY: Duration = Duration::from_millis(1200);

// An ACR1252U's commands, from its manual.
const DARK: &str = "E00000290100";
const RED: &str = "E00000290101";
const GREEN: &str = "E00000290102";
const AMBER: &str = "E00000290103";
const SHORT: &str = "E00000280114";
const LONG: &str = "E0000028013C";
const VERY_SHORT: &str = "E0000028010A";

fn people(site: Site) -> Site {
    site.put([
        card("c-1", ANNA, "m-1"),
        standing("g-1", "m-1", &["perimeter", "rooms"]),
        card("c-2", TOMORROW, "m-2"),
        room("g-2", "m-2", "b-2", &["perimeter"], (86_400, 90_000)),
    ]);
    site
}

/// What a reader was told, after the first `after` commands, once that has come.
#[track_caller]
fn shown(site: &Site, reader: usize, after: usize, commands: &[&str]) -> Vec<Escape> {
    let lamps = site.lamps(reader);
    lamps.wait_for_escapes(after, commands, LIMIT).unwrap_or_else(|| {
        let told: Vec<String> =
            lamps.escapes().into_iter().skip(after).map(|escape| escape.command).collect();
        panic!("the reader was told {told:?}, and not {commands:?}")
    })
}

#[test]
fn each_answer_is_shown_in_its_own_colour_and_rhythm() {
    let site = people(Builder::bare().lamps("entrance", ACR1252).running());
    // What it does by itself is switched off first: bits 0 to 3 of 7F.
    shown(&site, 0, 0, &["E000002100", "E00000210170", DARK]);
    let told = |site: &Site| site.lamps(0).escapes().len();

    let before = told(&site);
    assert_decided(&site.lamps_decision(0, "entrance-in", ANNA), "access.granted", "standing");
    shown(&site, 0, before, &[GREEN, LONG, GREEN, DARK]);
    pause("pcscd sees that the card is gone", CARD_AWAY);

    let before = told(&site);
    assert_decided(&site.lamps_decision(0, "entrance-in", STRANGER), "access.denied", "unknown_credential");
    let flashes = shown(&site, 0, before, &[RED, SHORT, DARK, RED, SHORT, DARK, RED, SHORT, DARK]);
    let (first, last) = (flashes[0].at, flashes[8].at);
    assert!(last - first >= Duration::from_millis(800), "it was over in {:?}", last - first);
    pause("pcscd sees that the card is gone", CARD_AWAY);

    let before = told(&site);
    assert_decided(&site.lamps_decision(0, "entrance-in", TOMORROW), "access.denied", "too_early");
    shown(&site, 0, before, &[AMBER, LONG, DARK, AMBER, LONG, DARK]);
    pause("pcscd sees that the card is gone", CARD_AWAY);

    assert_eq!(site.ctl(&["door", "lock-down", "entrance"]).code, 0);
    let before = told(&site);
    assert_decided(&site.lamps_decision(0, "entrance-in", ANNA), "access.denied", "door_locked_down");
    shown(&site, 0, before, &[RED, LONG, DARK, RED, SHORT, DARK, RED, SHORT, DARK]);
    assert_eq!(site.ctl(&["door", "lock-down-release", "entrance"]).code, 0);
    pause("pcscd sees that the card is gone", CARD_AWAY);

    site.board.stop().unwrap();
    let before = told(&site);
    assert_decided(&site.lamps_decision(0, "entrance-in", ANNA), "access.granted", "standing");
    shown(&site, 0, before, &[AMBER, VERY_SHORT, DARK, AMBER, VERY_SHORT, DARK, AMBER, VERY_SHORT, DARK]);
    let green = site.lamps(0).escapes().split_off(before).into_iter().filter(|e| e.command == GREEN).count();
    assert_eq!(green, 0, "green for a door that did not open");
}

#[test]
fn an_acr122u_is_told_by_its_own_commands() {
    let site = people(Builder::bare().lamps("entrance", ACR122).running());
    // Its own beep off; dark.
    shown(&site, 0, 0, &["FF00520000", "FF00400C0400000000"]);
    let before = site.lamps(0).escapes().len();
    assert_decided(&site.lamps_decision(0, "entrance-in", ANNA), "access.granted", "standing");
    let beep = "FF0040AE0402000101";
    shown(&site, 0, before, &[beep, beep, beep, "FF00400E0400000000", "FF00400C0400000000"]);
}

#[test]
fn each_reader_shows_what_its_own_door_answered() {
    let site = people(Builder::bare().lamps("entrance", ACR1252).lamps("room-4", ACR1281).running());
    let mark = site.lamps(0).escapes().len();
    let door = site.ctl(&["door", "lock-down", "room-4"]);
    assert_eq!(door.code, 0, "{}", door.err);
    for (number, reader) in [(0, "entrance-in"), (1, "room-4-in")] {
        site.lamps_decision(number, reader, ANNA);
    }
    shown(&site, 0, mark, &[GREEN, LONG, GREEN, DARK]);
    shown(&site, 1, 0, &[RED, LONG, DARK, RED, SHORT, DARK, RED, SHORT, DARK]);
}

#[test]
fn a_reader_whose_driver_refuses_shows_nothing_and_opens_all_the_same() {
    let mut site = Builder::bare().lamps("entrance", ACR122).prepared();
    site.lamps(0).refuse_escapes(true).unwrap();
    site.daemon.start();
    site.wait_until_ready();
    let site = people(site);
    assert_decided(&site.lamps_decision(0, "entrance-in", ANNA), "access.granted", "standing");
    assert!(site.board.wait_for_coil(0, true, LIMIT), "the door did not open");
    eventually("word of what to do", || {
        site.daemon.log_tail(200).contains("set ifdDriverOptions to 0x0001").then_some(())
    });
    assert_eq!(site.lamps(0).escapes(), []);
}
