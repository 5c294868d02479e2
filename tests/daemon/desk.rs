//! Cards at the desk, with the real tool, reader, cache and power cuts: what counts at once, what outlasts a restart,
//! and that central's later word wins.

use hardware_sim::pn532::Seen;
use serde_json::{Value, json};

use crate::site::people::assert_decided;
use crate::site::records::{card_with_status, standing, with};
use crate::site::{LIMIT, Site, eventually, eventually_asking};

const CARD: &str = "04A1B2C3D4E5F6";
const OTHER: &str = "04A1B2C3D4E5F7";

fn policy(hours: &Value) -> Value {
    json!({"type": "policy", "id": "site", "staffed_hours": hours})
}

/// Staffed around the clock.
fn always() -> Value {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    policy(&json!([{"days": days, "from": "00:00", "to": "24:00"}]))
}

fn site(status: &str) -> Site {
    let site = Site::running();
    site.put([
        always(),
        card_with_status("c-81", CARD, "m-17", status),
        card_with_status("c-82", OTHER, "m-18", "issued"),
        standing("g-1", "m-17", &["perimeter", "rooms"]),
    ]);
    site
}

fn status_of(site: &Site, credential: &str) -> Value {
    site.ask(&["credential", "show", credential])["status"].clone()
}

#[test]
fn a_card_is_activated_by_its_id_and_opens_from_then_on_after_a_power_cut_too() {
    let mut site = site("issued");
    assert_decided(&site.decision("entrance-in", CARD), "access.denied", "credential_not_activated");
    let mark = site.central().mark();
    let done = site.ask(&["credential", "activate", "c-81", "--reason", "first visit"]);
    assert_eq!(
        (&done["credential"], &done["status"], &done["override"], &done["outcome"]),
        (&json!("c-81"), &json!("active"), &json!(false), &json!("done"))
    );
    let event = site.at_central(mark, "credential.activated");
    assert_eq!((&event["seq"], &event["credential"]), (&done["seq"], &json!("c-81")));
    assert_eq!(event["by"], done["by"]);
    let command = site.at_central(mark, "operator.command");
    assert_eq!((&command["action"], &command["reason"]), (&json!("activate"), &json!("first visit")));
    assert_decided(&site.decision("entrance-in", CARD), "access.granted", "standing");
    site.daemon.kill();
    site.start_again();
    assert_decided(&site.decision("entrance-in", CARD), "access.granted", "standing");
    let shown = site.ask(&["credential", "show", "c-81"]);
    assert_eq!((&shown["desk"]["central"], &shown["desk"]["by"]), (&json!("issued"), &done["by"]));
}

#[test]
fn a_suspension_counts_at_once_without_central_and_survives_being_killed_the_moment_it_was_said() {
    let mut site = site("active");
    site.lose_broker();
    assert_eq!(site.ctl(&["credential", "suspend", "c-81"]).code, 0);
    site.daemon.kill();
    site.daemon.start();
    site.wait_until_ready();
    assert_decided(&site.decision("entrance-in", CARD), "access.denied", "credential_suspended");
    let again = site.ctl(&["credential", "suspend", "c-81"]);
    assert!(again.code == 1 && again.err.contains("it is suspended already"), "{again:?}");
    assert_eq!(site.ctl(&["credential", "activate", "c-81"]).code, 0, "what the desk took it gives back");
    assert_decided(&site.decision("entrance-in", CARD), "access.granted", "standing");
}

#[test]
fn a_later_word_of_centrals_wins_over_the_desk_before_and_after_a_restart() {
    let mut site = site("active");
    assert_eq!(site.ctl(&["credential", "suspend", "c-81"]).code, 0);
    site.put([card_with_status("c-82", OTHER, "m-18", "active")]);
    assert_eq!(status_of(&site, "c-81"), "suspended", "a record of another card says nothing of this one");
    let mark = site.last_seq();
    site.put([with(card_with_status("c-81", CARD, "m-17", "active"), "label", "blue")]);
    assert_eq!(status_of(&site, "c-81"), "active");
    site.in_journal(mark, "notice that the desk was overruled", |event| event["type"] == "sync.conflict");
    site.daemon.kill();
    site.start_again();
    assert_eq!(status_of(&site, "c-81"), "active");
    assert_eq!(site.ask(&["credential", "show", "c-81"]).get("desk"), None);
}

#[test]
fn a_snapshot_as_of_a_later_change_wins_and_one_as_of_the_same_does_not() {
    let site = site("active");
    assert_eq!(site.ctl(&["credential", "suspend", "c-81"]).code, 0);
    let resync = || {
        let mark = site.central().mark();
        site.ask(&["sync", "resync"]);
        site.at_central(mark, "sync.snapshot_applied");
    };
    resync();
    assert_eq!(status_of(&site, "c-81"), "suspended");
    site.central().put(standing("g-2", "m-18", &["rooms"])).unwrap();
    resync();
    eventually_asking("central's word", || (status_of(&site, "c-81") == "active").then_some(()));
}

#[test]
fn the_desk_is_refused_outside_staffed_hours_unless_an_administrator_overrides_them() {
    let site = site("issued");
    site.put([policy(&json!([]))]);
    let said = site.ctl(&["credential", "activate", "c-81"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("it is outside staffed hours; the policy has none within a year"), "{said:?}");
    assert_eq!(status_of(&site, "c-81"), "issued");
    let mark = site.central().mark();
    let done = site.ask(&["credential", "activate", "c-81", "--override"]);
    assert_eq!(done["override"], true);
    assert_eq!(site.at_central(mark, "credential.activated")["override"], true);
    assert_decided(&site.decision("entrance-in", CARD), "access.granted", "standing");
}

#[test]
fn the_card_in_the_members_hand_is_activated_and_its_tap_opens_no_door() {
    let site = site("issued");
    let activation = site.follow(&["credential", "activate", "--reader", "room-4-in", "--json"]);
    activation.wait_for_words("Hold the card to room-4-in");
    let second = site.ctl(&["credential", "activate", "--reader", "room-4-in"]);
    assert!(second.code == 1 && second.err.contains("waits for a card at room-4-in already"), "{second:?}");
    let before = site.last_seq();
    site.tap("room-4-in", CARD);
    let done = activation.wait_for("activation", |value| value["credential"] == "c-81");
    assert_eq!(done["status"], "active");
    let taps = |event: &Value| event["type"].as_str().is_some_and(|kind| kind.starts_with("access."));
    let since: Vec<Value> =
        site.journal().into_iter().filter(|event| event["seq"].as_u64() > Some(before)).collect();
    assert!(!since.iter().any(taps), "it was decided on as a tap at the door: {since:#?}");
    assert_eq!(site.board.coil_history(), [], "a door was opened");
    assert_decided(&site.decision("room-4-in", CARD), "access.granted", "standing");
}

#[test]
fn who_gives_up_waiting_takes_nobodys_tap() {
    let site = site("active");
    let activation = site.follow(&["credential", "activate", "c-82", "--reader", "entrance-in", "--json"]);
    activation.wait_for_words("Hold the card to entrance-in");
    drop(activation);
    // The daemon notices that the tool has gone before it hears of the tap.
    eventually("end of the wait", || {
        let said = site.ctl(&["credential", "activate", "--reader", "entrance-in", "--within", "1s"]);
        said.err.contains("no card was held to entrance-in within 1 s").then_some(())
    });
    assert_decided(&site.decision("entrance-in", CARD), "access.granted", "standing");
}

#[test]
fn what_is_not_there_is_said_as_such() {
    let site = site("lost");
    for (arguments, code, said) in [
        (&["credential", "show", "c-404"][..], 5, "there is no credential c-404"),
        (&["credential", "suspend", "c-404"], 5, "there is no credential c-404"),
        (&["credential", "activate", "c-404"], 5, "there is no credential c-404"),
        (&["credential", "activate", "--reader", "cellar"], 5, "there is no reader cellar"),
        (&["credential", "activate", "c-404", "--reader", "entrance-in"], 5, "there is no credential c-404"),
        (&["credential", "activate", "c-81"], 1, "it is lost, which only central can change"),
        (&["credential", "activate"], 2, "--reader"),
        (&["credential", "activate", "c-81", "--within", "30s"], 2, "--reader"),
    ] {
        let answer = site.ctl(arguments);
        assert!(answer.code == code && answer.err.contains(said), "{arguments:?}: {answer:?}");
    }
    let chip = site.reader("entrance-in");
    assert!(chip.wait_for(0, Seen::NothingListed, LIMIT).is_some());
    let answer = site.ctl(&["credential", "activate", "--reader", "entrance-in", "--within", "1s"]);
    assert!(
        answer.code == 1 && answer.err.contains("no card was held to entrance-in within 1 s"),
        "{answer:?}"
    );
    assert!(answer.err.contains("Hold the card to entrance-in within 1 s"), "{answer:?}");
}
