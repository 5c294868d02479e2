//! What central takes back is taken back at the door.

use crate::site::Site;
use crate::site::people::assert_decided;
use crate::site::records::{card, card_with_status, from_now, room, standing, with};

const ANNA: &str = "04A1B2C3D4E5F6";

#[test]
fn a_change_removed_at_central_closes_the_door() {
    let site = Site::running();
    site.put([card("c-1", ANNA, "m-1"), room("g-1", "m-1", "b-1", &["perimeter"], (-60, 3600))]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "in_window");
    site.delete("grant", "g-1");
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "no_grant");
    site.put([standing("g-2", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    site.delete("credential", "c-1");
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "unknown_credential");
}

#[test]
fn only_an_active_and_valid_card_opens() {
    let site = Site::running();
    site.put([standing("g-1", "m-1", &["perimeter"])]);
    let refused = [
        ("issued", "credential_not_activated"),
        ("suspended", "credential_suspended"),
        ("lost", "credential_lost"),
        ("revoked", "credential_revoked"),
    ];
    for (status, reason) in refused {
        site.put([card_with_status("c-1", ANNA, "m-1", status)]);
        assert_decided(&site.decision("entrance-in", ANNA), "access.denied", reason);
    }
    site.put([with(card("c-1", ANNA, "m-1"), "valid_from", from_now(3600))]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "credential_not_yet_valid");
    site.put([with(card("c-1", ANNA, "m-1"), "valid_until", from_now(-1))]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.denied", "credential_expired");
    site.put([card("c-1", ANNA, "m-1")]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
}

#[test]
fn a_second_card_with_the_same_uid_takes_it_over_and_that_is_said() {
    let site = Site::running();
    site.put([
        card("c-1", ANNA, "m-1"),
        standing("g-1", "m-1", &["perimeter"]),
        standing("g-2", "m-2", &["perimeter"]),
    ]);
    assert_eq!(site.decision("entrance-in", ANNA)["credential"], "c-1");
    let mark = site.central().mark();
    site.put([card("c-2", ANNA, "m-2")]);
    site.at_central(mark, "sync.conflict");
    assert_eq!(site.decision("entrance-in", ANNA)["credential"], "c-2");
    site.delete("credential", "c-2");
    let after = site.decision("entrance-in", ANNA);
    assert_decided(&after, "access.denied", "unknown_credential");
}
