//! Cards at the desk: what is refused, when it counts, and that central's later word wins.

use super::*;
use crate::{
    control::{CardOrder, Staged},
    domain::{HolderId, Record, Status},
};

const CARD: &str = "04A1B2C9";

fn credential(status: &str) -> Record {
    let value = json!({"type": "credential", "id": "c-9", "uid": CARD, "holder": "m-slow", "status": status});
    record(&value, &UidHasher::new(&[7; 32])).unwrap()
}

/// A rig that has this card; Monday 10:00 at the site, in staffed hours.
fn with(status: &str) -> Rig {
    let mut rig = Rig::new();
    rig.controller.index.apply(None, Some(&credential(status)));
    rig
}

impl Rig {
    fn desk(&mut self, token: u64, credential: &str, status: Status, may_override: bool) -> Vec<String> {
        let order = CardOrder {
            credential: CredentialId::new(credential).unwrap(),
            holder: HolderId::new("m-slow").unwrap(),
            status,
            may_override,
            reason: None,
        };
        let request = OperatorRequest::Card(order);
        self.when(Event::Operator(OperatorEvent { token, by: "anna (1000)".into(), request }))
    }

    fn activate(&mut self, token: u64) -> Vec<String> {
        self.desk(token, "c-9", Status::Active, false)
    }

    fn suspend(&mut self, token: u64) -> Vec<String> {
        self.desk(token, "c-9", Status::Suspended, false)
    }

    fn await_card(&mut self, id: u64, credential: Option<&str>) -> Vec<String> {
        let request = OperatorRequest::AwaitCard {
            id,
            reader: ReaderId::new("side-in").unwrap(),
            credential: credential.map(|c| CredentialId::new(c).unwrap()),
            may_override: false,
            reason: None,
            within: Duration::from_secs(30),
        };
        self.when(Event::Operator(OperatorEvent { token: 100 + id, by: "anna (1000)".into(), request }))
    }

    /// How the card's next tap is decided.
    fn decided(&mut self) -> String {
        let said = self.tap("entrance-in", CARD);
        said[0].split_whitespace().last().unwrap().to_owned()
    }

    fn reader_up(&mut self) {
        let reader = ReaderId::new("side-in").unwrap();
        self.when(Event::Reader { reader, what: ReaderEvent::Connected { detail: "up".into() } });
    }

    /// 21:00 on that Monday.
    fn evening(&mut self) {
        self.later_ms(11 * 3_600_000).tick();
    }
}

#[test]
fn an_activation_counts_when_its_entry_is_on_disk_and_is_answered_then() {
    let mut rig = with("issued");
    assert_eq!(rig.activate(7), ["append 2 operator.command", "append 3 credential.activated"]);
    assert_eq!(rig.decided(), "access.denied", "not before");
    assert_eq!(rig.recorded(4), ["note c-9 active by 3", "answer 7: done by 3"]);
    assert_eq!(rig.decided(), "access.granted");
    let done = rig.controller.card_done(3).unwrap();
    assert_eq!((done.status, done.by.as_str(), done.is_override), (Status::Active, "anna (1000)", false));
    assert_eq!((done.credential.as_str(), rig.controller.card_done(2)), ("c-9", None));
}

#[test]
fn a_suspension_counts_at_once_and_is_answered_when_it_is_on_disk() {
    let mut rig = with("active");
    assert_eq!(
        rig.suspend(7),
        ["append 2 operator.command", "append 3 credential.suspended", "note c-9 suspended by 3"]
    );
    assert_eq!(rig.decided(), "access.denied");
    assert_eq!(rig.recorded(4), ["answer 7: done by 3"]);
}

#[test]
fn the_entries_say_who_and_where_in_the_feed() {
    let mut rig = with("active");
    let order = CardOrder {
        credential: CredentialId::new("c-9").unwrap(),
        holder: HolderId::new("m-slow").unwrap(),
        status: Status::Suspended,
        may_override: false,
        reason: Some("found in the street".into()),
    };
    let request = OperatorRequest::Card(order);
    let event = OperatorEvent { token: 1, by: "anna (1000)".into(), request };
    assert_eq!(
        entries(&rig.handle(Event::Operator(event))),
        [
            json!({"seq": 2, "at": START, "type": "operator.command", "by": "anna (1000)", "action": "suspend",
                "outcome": "done", "credential": "c-9", "reason": "found in the street"}),
            json!({"seq": 3, "at": START, "type": "credential.suspended", "credential": "c-9", "holder": "m-slow",
                "by": "anna (1000)", "override": false, "epoch": 3, "applied": 10}),
        ]
    );
}

#[test]
fn outside_staffed_hours_only_an_administrators_override_activates_and_is_recorded_as_such() {
    let mut rig = with("issued");
    rig.evening();
    let said = rig.activate(7);
    assert!(said[0].ends_with("operator.command"), "{said:?}");
    assert_eq!(
        said[1],
        "answer 7: c-9 was not activated: it is outside staffed hours; they are next Tue 2026-11-24 09:00:00 CET to \
         17:00:00; an administrator can do it now with --override"
    );
    assert_eq!(rig.decided(), "access.denied");
    let said = rig.desk(8, "c-9", Status::Active, true);
    assert!(said[1].ends_with("credential.activated"), "{said:?}");
    let through = rig.controller.next_seq - 1;
    rig.recorded(through);
    assert!(rig.controller.desk.cards.values().next().unwrap().stored.is_override);
    assert_eq!(rig.decided(), "access.granted");
}

#[test]
fn an_override_that_was_not_needed_is_none() {
    let mut rig = with("issued");
    rig.desk(7, "c-9", Status::Active, true);
    rig.recorded(3);
    assert!(!rig.controller.desk.cards.values().next().unwrap().stored.is_override);
}

#[test]
fn without_a_clock_staffed_hours_are_not_known_and_a_suspension_needs_none() {
    let mut rig = Rig::from(Start { synchronised: false, ..Start::default() });
    rig.controller.index.apply(None, Some(&credential("issued")));
    let said = rig.activate(7);
    assert!(said.last().unwrap().contains("the clock is not trusted"), "{said:?}");
    assert!(rig.suspend(8).iter().any(|line| line.starts_with("note c-9 suspended")));
}

#[test]
fn what_only_central_can_change_the_desk_can_not() {
    for (status, why) in [
        ("active", "it is active already; nothing was changed"),
        ("suspended", "central has suspended it, so it has to be lifted there"),
        ("lost", "it is lost, which only central can change; hand out another card"),
        ("revoked", "it is revoked, which only central can change; hand out another card"),
    ] {
        let mut rig = with(status);
        for may_override in [false, true] {
            let said = rig.desk(7, "c-9", Status::Active, may_override);
            assert_eq!(said[1], format!("answer 7: c-9 was not activated: {why}"), "{status}");
        }
    }
    for (status, why) in [
        ("suspended", "it is suspended already; nothing was changed"),
        ("lost", "it is lost and opens nothing"),
        ("revoked", "it is revoked and opens nothing"),
    ] {
        let said = with(status).suspend(7);
        assert_eq!(said[1], format!("answer 7: c-9 was not suspended: {why}"), "{status}");
    }
}

#[test]
fn what_the_desk_suspended_the_desk_gives_back() {
    let mut rig = with("active");
    rig.suspend(1);
    rig.activate(2);
    rig.recorded(5);
    assert_eq!(rig.decided(), "access.granted");
    rig.suspend(3);
    assert_eq!(rig.decided(), "access.denied");
}

#[test]
fn a_suspension_overtakes_an_activation_that_is_not_on_disk_yet() {
    let mut rig = with("issued");
    rig.activate(1);
    rig.suspend(2);
    rig.recorded(5);
    assert_eq!(rig.decided(), "access.denied");
}

#[test]
fn a_later_feed_record_of_the_card_wins_and_an_overruled_suspension_is_said() {
    let mut rig = with("active");
    rig.connect();
    rig.suspend(1);
    let put = |status| Replaced { old: Some(credential("active")), new: Some(credential(status)) };
    let said = rig.applied(3, 11, vec![put("active")]);
    assert!(said.iter().any(|line| line.ends_with("sync.conflict")), "{said:?}");
    assert_eq!(rig.decided(), "access.granted");
    assert!(rig.controller.desk.cards.is_empty());
    let mut rig = with("issued");
    rig.activate(1);
    let said =
        rig.applied(3, 11, vec![Replaced { old: Some(credential("issued")), new: Some(credential("lost")) }]);
    assert!(
        !said.iter().any(|line| line.ends_with("sync.conflict")),
        "nothing of the desk's counted yet: {said:?}"
    );
    rig.recorded(3);
    assert_eq!(rig.decided(), "access.denied", "nor does it count when its entry is on disk");
}

#[test]
fn changes_of_other_records_leave_the_desks_word() {
    let mut rig = with("active");
    rig.suspend(1);
    let Record::Credential(mut bare) = credential("active") else { unreachable!() };
    bare.uid = None;
    let taken = Replaced { old: Some(credential("active")), new: Some(Record::Credential(bare)) };
    rig.applied(3, 11, vec![taken]);
    let shown = rig.controller.credentials(Some(&HolderId::new("m-slow").unwrap()), 0).0;
    let card = shown.iter().find(|card| card.id.as_str() == "c-9").unwrap();
    assert_eq!(card.status, Status::Suspended);
    assert_eq!(
        rig.controller.desk.cards.len(),
        1,
        "its UID went to another card, which says nothing of this one"
    );
    rig.applied(3, 12, Vec::new());
    assert_eq!(rig.controller.desk.cards.len(), 1);
}

#[test]
fn a_card_that_central_takes_away_is_none_the_desk_has_a_word_about() {
    let mut rig = with("active");
    rig.suspend(1);
    let said = rig.applied(3, 11, vec![Replaced { old: Some(credential("active")), new: None }]);
    assert!(said.iter().any(|line| line.ends_with("sync.conflict")), "{said:?}");
    assert!(rig.controller.desk.cards.is_empty());
}

#[test]
fn what_the_desk_is_refused_is_recorded_with_the_card_and_why_it_was_wanted() {
    let entry = |rig: &mut Rig, event: Event| entries(&rig.handle(event)).remove(0);
    let refused = |detail: &str, seq: u64, at: &str| {
        json!({"seq": seq, "at": at, "type": "operator.command", "by": "anna (1000)", "action": "activate",
            "outcome": "refused", "credential": "c-9", "reason": "new member", "detail": detail})
    };
    let (c9, reason) = (CredentialId::new("c-9").unwrap(), Some("new member".to_owned()));
    let asked = |request| Event::Operator(OperatorEvent { token: 1, by: "anna (1000)".into(), request });
    let by_id = |credential: CredentialId| {
        OperatorRequest::Card(CardOrder {
            credential,
            holder: HolderId::new("m-slow").unwrap(),
            status: Status::Active,
            may_override: false,
            reason: reason.clone(),
        })
    };
    let at_reader = || OperatorRequest::AwaitCard {
        id: 1,
        reader: ReaderId::new("side-in").unwrap(),
        credential: Some(c9.clone()),
        may_override: false,
        reason: reason.clone(),
        within: Duration::from_secs(30),
    };
    let mut rig = with("active");
    let said = entry(&mut rig, asked(by_id(c9.clone())));
    assert_eq!(said, refused("it is active already; nothing was changed", 2, START));
    rig.reader_up();
    rig.handle(asked(at_reader()));
    let tap = ReaderEvent::Tap(Uid::parse(SLOW).unwrap());
    let said = entry(&mut rig, Event::Reader { reader: ReaderId::new("side-in").unwrap(), what: tap });
    assert_eq!(said, refused("the card at side-in is c-4, not c-9; nothing was changed", 4, START));
    rig.evening();
    let said = entry(&mut rig, asked(at_reader()));
    let why = "it is outside staffed hours; they are next Tue 2026-11-24 09:00:00 CET to 17:00:00; an administrator \
               can do it now with --override";
    assert_eq!(said, refused(why, rig.controller.next_seq - 1, "2026-11-23T20:00:00Z"));
}

fn snapshot(rig: &mut Rig, applied: u64, status: &str) -> Vec<String> {
    let mut index = Index::new(settings().places());
    index.apply(None, Some(&credential(status)));
    let grant =
        json!({"type": "grant", "id": "g-4", "kind": "standing", "holder": "m-slow", "zones": ["perimeter"]});
    index.apply(None, Some(&record(&grant, &UidHasher::new(&[7; 32])).unwrap()));
    let position = Position { epoch: 3, applied, ..Position::default() };
    let in_force = Staged::InForce {
        id: "s-1".into(),
        position,
        index: Box::new(index),
        conflicts: Vec::new(),
        removal: crate::control::Removal::default(),
    };
    rig.when(Event::Cache(CacheEvent::Staged(in_force)))
}

#[test]
fn a_later_snapshot_wins_and_one_as_of_the_same_place_does_not() {
    let mut rig = with("active");
    rig.suspend(1);
    snapshot(&mut rig, 10, "active");
    assert_eq!(
        rig.decided(),
        "access.denied",
        "it says nothing that was not known when the card was suspended"
    );
    let said = snapshot(&mut rig, 11, "active");
    assert!(said.iter().any(|line| line.ends_with("sync.conflict")), "{said:?}");
    assert_eq!(rig.decided(), "access.granted");
}

#[test]
fn a_card_that_the_desk_set_is_so_after_a_restart_and_after_a_lost_cache() {
    let stored = |status| StoredCard {
        seq: 3,
        status,
        holder: HolderId::new("m-slow").unwrap(),
        by: "anna (1000)".into(),
        at: At::parse(START).unwrap(),
        is_override: false,
        epoch: 3,
        applied: 10,
    };
    let id = CredentialId::new("c-4").unwrap();
    let cards = BTreeMap::from([(id, stored(Status::Suspended))]);
    let mut rig = Rig::from(Start { cards, ..Start::default() });
    assert_eq!(rig.tap("entrance-in", SLOW)[0], "append 2 access.denied");
    let shown = rig.controller.credentials(Some(&HolderId::new("m-slow").unwrap()), 0).0.remove(0);
    let desk = shown.desk.unwrap();
    assert_eq!((shown.status, desk.central), (Status::Suspended, Some(Status::Active)));
    let lost = BTreeMap::from([(CredentialId::new("c-9").unwrap(), stored(Status::Active))]);
    let position = Position::default();
    let mut rig = Rig::from(Start { cards: lost, position, ..Start::default() });
    assert_eq!(rig.decided(), "access.denied", "central's record is not here");
    snapshot(&mut rig, 10, "issued");
    assert_eq!(rig.decided(), "access.granted", "the snapshot is as of when it was activated");
}

#[test]
fn the_next_card_at_the_reader_is_activated_and_opens_no_door() {
    let mut rig = with("issued");
    rig.reader_up();
    assert_eq!(rig.await_card(1, None), [""; 0]);
    let said = rig.tap("side-in", CARD);
    assert_eq!(
        said,
        ["show Granted at side-in", "append 3 operator.command", "append 4 credential.activated"]
    );
    assert_eq!(rig.recorded(4), ["note c-9 active by 4", "answer 101: done by 4"], "and nothing is driven");
    assert_eq!(rig.tap("side-in", CARD)[0], "append 5 access.granted", "the one after it is a tap again");
}

#[test]
fn the_card_on_the_reader_must_be_the_one_that_was_named() {
    let mut rig = with("issued");
    rig.reader_up();
    rig.await_card(1, Some("c-9"));
    let said = rig.tap("side-in", SLOW);
    assert_eq!(said[0], "append 3 operator.command");
    assert_eq!(
        said[1..],
        ["show Denied at side-in", "answer 101: the card at side-in is c-4, not c-9; nothing was changed"]
    );
    rig.await_card(2, None);
    let said = rig.tap("side-in", STRANGER);
    assert!(said[2].starts_with("answer 102: the card at side-in is not known here (UID tag "), "{said:?}");
    rig.await_card(3, None);
    let said = rig.tap("side-in", "08AABBCC");
    assert!(said[2].contains("makes up a new number"), "{said:?}");
}

#[test]
fn a_wait_ends_by_its_time_by_who_waited_and_is_one_a_reader() {
    let mut rig = with("issued");
    let said = rig.await_card(1, None);
    assert_eq!(said, ["answer 101: reader side-in is not connected: not connected yet"]);
    rig.reader_up();
    rig.await_card(2, None);
    assert_eq!(rig.await_card(3, None), ["answer 103: anna (1000) waits for a card at side-in already"]);
    assert_eq!(rig.deadline_ms(), Some(30_000));
    let said = rig.later_ms(30_000).tick();
    assert_eq!(said, ["answer 102: no card was held to side-in within 30 s; nothing was changed"]);
    rig.await_card(4, None);
    let stop = OperatorRequest::StopWaiting { id: 4 };
    rig.when(Event::Operator(OperatorEvent { token: 9, by: "anna (1000)".into(), request: stop }));
    assert!(
        rig.tap("side-in", SLOW)[0].ends_with("access.granted"),
        "nobody waits any more: a tap as any other"
    );
    rig.evening();
    let said = rig.await_card(5, None);
    assert!(
        said[1].starts_with("answer 105: no card was activated: it is outside staffed hours"),
        "{said:?}"
    );
}
