//! Explanations: what is said of each grant agrees with the decision, and nothing is changed by asking.

use super::*;
use crate::{
    control::controller::Subject,
    domain::{CredentialId, HolderId, Status},
    wire::control::explain::Explanation,
};

fn whole(rig: &Rig, door: &str, uid: &str, at: Option<&str>) -> Explanation {
    let subject = Subject::Uid(Uid::parse(uid).unwrap());
    let (door, at) = (DoorId::new(door).unwrap(), at.map(|at| At::parse(at).unwrap()));
    rig.controller.explain_whole(rig.reading(), &door, Direction::In, &subject, at).unwrap()
}

fn findings(whole: &Explanation) -> Vec<String> {
    whole.looked_at.covering.iter().map(|c| format!("{} {}", c.grant.id, c.finding)).collect()
}

#[test]
fn each_covering_grant_says_what_stands_against_it() {
    let rig = Rig::new();
    let early = whole(&rig, "side", HOST, Some("2026-11-23T08:00:00Z"));
    assert_eq!(
        (early.answer.reason.as_str(), findings(&early)),
        ("too_early", vec!["g-1 not_yet".to_owned()])
    );
    let next = early.looked_at.next.unwrap();
    assert_eq!(next.opens_at, early.answer.opens_at.unwrap());
    assert_eq!(next.closes_at, At::parse("2026-11-23T10:30:00Z").ok());
    let late = whole(&rig, "side", HOST, Some("2026-11-23T10:30:00Z"));
    assert_eq!(findings(&late), ["g-1 no_longer"]);
    assert_eq!(late.looked_at.next, None);
    let guest = whole(&rig, "entrance", GUEST, None);
    assert_eq!((guest.answer.decision.as_str(), findings(&guest)), ("granted", vec!["g-2 opens".to_owned()]));
    assert_eq!((guest.looked_at.grants, guest.looked_at.more), (1, 0));
    let elsewhere = whole(&rig, "side", GUEST, None);
    assert_eq!((elsewhere.answer.reason.as_str(), findings(&elsewhere)), ("wrong_door", Vec::new()));
}

#[test]
fn a_full_room_a_lockdown_and_a_clock_in_doubt_are_found_at_the_grant() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", GUEST);
    let full = whole(&rig, "entrance", OTHER_GUEST, None);
    assert_eq!(
        (full.answer.reason.as_str(), findings(&full)),
        ("capacity_reached", vec!["g-3 capacity_reached".into()])
    );
    rig.order(1, "entrance", "lock_down");
    let shut = whole(&rig, "entrance", HOST, None);
    assert_eq!(
        (shut.answer.reason.as_str(), findings(&shut)),
        ("door_locked_down", vec!["g-1 door_shut".into()])
    );
    let rig = Rig::from(Start { synchronised: false, ..Start::default() });
    let doubted = whole(&rig, "entrance", HOST, None);
    assert_eq!(
        (doubted.answer.reason.as_str(), findings(&doubted)),
        ("clock_untrusted", vec!["g-1 clock_untrusted".into()])
    );
    let asked_of_a_time = whole(&rig, "entrance", HOST, Some("2026-11-23T09:30:00Z"));
    assert_eq!(findings(&asked_of_a_time), ["g-1 opens"], "then, by a clock that is right");
}

#[test]
fn a_card_is_found_by_its_id_and_an_unknown_one_by_its_tag_alone() {
    let rig = Rig::new();
    let subject = Subject::Credential {
        id: CredentialId::new("c-4").unwrap(),
        holder: HolderId::new("m-slow").unwrap(),
    };
    let door = DoorId::new("vault").unwrap();
    let known = rig.controller.explain_whole(rig.reading(), &door, Direction::In, &subject, None).unwrap();
    assert_eq!((known.answer.reason.as_str(), known.answer.row), ("standing", 11));
    assert_eq!(known.looked_at.max_stale_s, Some(3600));
    let tag = known.looked_at.credential.unwrap().uid_tag.unwrap();
    assert_eq!(rig.controller.credential_by_tag(&tag).unwrap().0.as_str(), "c-4");
    let stranger = whole(&rig, "entrance", STRANGER, None);
    assert!(stranger.looked_at.credential.is_none() && stranger.looked_at.uid_tag.unwrap().len() == 8);
    let made_up = "08AABBCC";
    let rig = with(&[
        json!({"type": "credential", "id": "c-8", "uid": made_up, "holder": "m-host", "status": "active"}),
    ]);
    let random = whole(&rig, "entrance", made_up, None).looked_at;
    assert_eq!((random.uid_tag, random.credential), (None, None), "whatever central says, it is nobody's");
}

/// A rig with some more records.
fn with(records: &[Value]) -> Rig {
    let mut rig = Rig::new();
    for value in records {
        let record = record(value, &rig.hasher).unwrap();
        rig.controller.index.apply(None, Some(&record));
    }
    rig
}

/// A booking of the host's, on a day of November.
fn booking(id: &str, day: u8) -> Value {
    json!({"type": "grant", "id": id, "kind": "room", "holder": "m-host", "zones": ["perimeter"],
        "starts_at": format!("2026-11-{day:02}T09:00:00Z"), "ends_at": format!("2026-11-{day:02}T10:00:00Z")})
}

#[test]
fn of_several_grants_the_one_that_opens_comes_first_and_the_nearest_window_is_told() {
    let mut empty = booking("g-0", 23);
    empty["not_before"] = "2026-11-23T12:00:00Z".into();
    let rig = with(&[booking("g-7", 26), booking("g-8", 25), booking("g-9", 20), booking("g-6", 27), empty]);
    let now = whole(&rig, "side", HOST, None);
    let expected =
        ["g-1 opens", "g-9 no_longer", "g-8 not_yet", "g-7 not_yet", "g-6 not_yet", "g-0 never_opens"];
    assert_eq!(findings(&now), expected);
    let next = now.looked_at.next.unwrap();
    assert_eq!((next.grant.as_str(), next.opens_at), ("g-8", At::parse("2026-11-25T08:30:00Z").unwrap()));
    let later = whole(&rig, "side", HOST, Some("2026-11-25T09:00:00Z"));
    assert_eq!(findings(&later)[0], "g-8 opens");
}

#[test]
fn what_is_open_and_fails_comes_before_what_is_over() {
    let mut over = records()[6].clone();
    over["id"] = "g-0".into();
    over["starts_at"] = "2026-11-20T09:00:00Z".into();
    over["ends_at"] = "2026-11-20T10:00:00Z".into();
    let mut rig = with(&[over]);
    rig.tap("entrance-in", GUEST);
    let full = whole(&rig, "entrance", OTHER_GUEST, None);
    assert_eq!(findings(&full), ["g-3 capacity_reached", "g-0 no_longer"]);
}

#[test]
fn a_cache_too_old_for_the_door_is_found_at_the_grant() {
    let mut rig = Rig::new();
    rig.later_ms(3_601_000);
    let stale = whole(&rig, "vault", HOST, None);
    assert_eq!(
        (stale.answer.reason.as_str(), findings(&stale)),
        ("cache_stale", vec!["g-1 cache_stale".into()])
    );
    assert_eq!(findings(&whole(&rig, "vault", SLOW, None)), ["g-4 opens"]);
}

#[test]
fn hours_are_told_where_they_are_what_stands_against_it() {
    let told = |looked_at: &crate::wire::control::explain::LookedAt| {
        let within = |hours: &Option<crate::wire::control::explain::Hours>| hours.as_ref().map(|h| h.within);
        (within(&looked_at.staffed), within(&looked_at.building))
    };
    for (status, reason) in
        [(Status::Issued, "credential_not_activated"), (Status::Suspended, "credential_suspended")]
    {
        let mut rig = Rig::new();
        rig.controller.index.set_status("m-host", "c-1", status);
        let whole = whole(&rig, "side", HOST, None);
        assert_eq!((whole.answer.reason.as_str(), told(&whole.looked_at)), (reason, (Some(true), None)));
        let next = whole.looked_at.staffed.unwrap().next.unwrap();
        assert_eq!(next.0, At::parse("2026-11-24T08:00:00Z").unwrap());
    }
    assert_eq!(told(&whole(&Rig::new(), "side", HOST, None).looked_at), (None, None));
    let hours = [json!({"days": ["mon"], "from": "12:00", "to": "13:00"})];
    let mut rig = with(&[json!({"type": "policy", "id": "site", "opening_hours": hours})]);
    rig.controller.settings.doors[1].building_hours_only = true;
    let shut = whole(&rig, "side", HOST, None);
    assert_eq!(
        (shut.answer.reason.as_str(), told(&shut.looked_at)),
        ("outside_building_hours", (None, Some(false)))
    );
    let opens = shut.looked_at.building.unwrap().next.unwrap();
    assert_eq!(opens.0, At::parse("2026-11-23T11:00:00Z").unwrap());
}
