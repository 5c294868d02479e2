//! Explanations: what is said of each grant agrees with the decision, and nothing is changed by asking.

use super::*;
use crate::{
    control::controller::Subject,
    domain::{CredentialId, HolderId},
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
    assert_eq!(
        whole(&rig, "entrance", "08AABBCC", None).looked_at.uid_tag,
        None,
        "a random number is nobody's"
    );
}
