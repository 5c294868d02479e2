//! What people are shown of the controller: its state whole, and lists a slice at a time.

use super::*;
use crate::{
    control::event::{CertificateEnd, CertificateOf},
    domain::{Grant, GrantId, HolderId, Record},
    wire::control::GrantQuery,
};

/// Nothing is well.
fn bad_day() -> Rig {
    let mut rig = Rig::new();
    rig.board_up("b-1", 0b01);
    rig.board("b-2", BoardEvent::Lost { detail: "no route to host".into() });
    let reader = |id: &str| ReaderId::new(id).unwrap();
    let says = |rig: &mut Rig, id: &str, what| rig.handle(Event::Reader { reader: reader(id), what });
    says(&mut rig, "entrance-in", ReaderEvent::Connected { detail: "PN532 1.6".into() });
    says(&mut rig, "side-in", ReaderEvent::Lost { detail: "unplugged".into() });
    says(&mut rig, "side-in", ReaderEvent::Restarted { detail: "no answer".into() });
    says(&mut rig, "vault-in", ReaderEvent::Tamper { is_tampered: true, detail: "cover".into() });
    says(&mut rig, "vault-in", ReaderEvent::Power { is_failing: true });
    rig.tap("entrance-in", HOST);
    rig.recorded(rig.controller.next_seq - 1);
    let failed = || Event::Failed { part: "metrics", detail: "the port is taken".into() };
    rig.handle(failed());
    rig.later_ms(1500).handle(failed());
    rig.connect();
    let end = |of, not_after: &str| CertificateEnd { of, not_after: At::parse(not_after).unwrap() };
    let ends = vec![
        end(CertificateOf::Broker, "2026-12-01T00:00:00Z"),
        end(CertificateOf::Controller, "2027-12-01T00:00:00Z"),
    ];
    rig.uplink(UplinkEvent::Certificates { ends });
    rig.uplink(UplinkEvent::Ack { message: Err(MessageError::NotJson("half".into())) });
    rig.part(5, "s-1", 1, 3);
    rig.disconnect();
    rig.when(Event::Journal(JournalEvent::Failed { detail: "no space".into() }));
    rig.order(1, "side", "block");
    rig
}

#[test]
fn all_of_a_bad_day_is_in_the_status() {
    let rig = bad_day();
    let report = rig.controller.status_report(rig.reading());
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn while_the_broker_is_there_nothing_is_said_of_why_it_was_not() {
    let mut rig = Rig::new();
    assert_eq!(rig.controller.sync_report().detail.as_deref(), Some("not connected yet"));
    rig.connect();
    assert_eq!(rig.controller.sync_report().detail, None);
    rig.recorded(1);
    assert_eq!(rig.controller.sync_report().queue, 1);
    rig.ack(JOURNAL, 1);
    assert_eq!((rig.controller.sync_report().queue, rig.controller.recorded()), (0, 1));
    rig.tap("entrance-in", STRANGER);
    rig.recorded(2);
    assert_eq!((rig.controller.sync_report().queue, rig.controller.recorded()), (1, 2));
}

fn listed(rig: &Rig, query: &GrantQuery) -> Vec<String> {
    let (rows, next) = rig.controller.grants(query, rig.reading(), 0);
    assert_eq!(next, None);
    let mut ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    ids.sort();
    ids
}

#[test]
fn grants_are_those_that_were_asked_for() {
    let rig = Rig::new();
    let all = GrantQuery::default();
    assert_eq!(listed(&rig, &all), ["g-1", "g-2", "g-3", "g-4"]);
    let holder = |id: &str| GrantQuery { holder: Some(HolderId::new(id).unwrap()), ..all.clone() };
    assert_eq!(listed(&rig, &holder("m-host")), ["g-1"]);
    assert_eq!(listed(&rig, &holder("nobody")), [""; 0]);
    let side = GrantQuery { door: Some(DoorId::new("side").unwrap()), ..all.clone() };
    assert_eq!(listed(&rig, &side), ["g-1", "g-4"]);
    let evening = At::parse("2026-11-23T20:00:00Z").ok();
    assert_eq!(listed(&rig, &GrantQuery { at: evening, active: true, ..all.clone() }), ["g-4"]);
    assert_eq!(listed(&rig, &GrantQuery { at: evening, ..all.clone() }).len(), 4);
    assert_eq!(listed(&rig, &GrantQuery { active: true, ..all }).len(), 4);
}

#[test]
fn a_grants_row_has_its_window_or_the_next_of_its_schedule() {
    let mut rig = Rig::new();
    let schedule = [json!({"days": ["wed"], "from": "07:00", "to": "09:00"})];
    let cleaner = json!({"type": "grant", "id": "g-5", "kind": "standing", "holder": "m-slow", "zones": ["perimeter"],
        "schedule": schedule, "override_lockdown": true});
    rig.controller.index.apply(None, Some(&record(&cleaner, &rig.hasher).unwrap()));
    let (rows, _) = rig.controller.grants(&GrantQuery::default(), rig.reading(), 0);
    let row = |id: &str| serde_json::to_value(rows.iter().find(|row| row.id.as_str() == id)).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&[row("g-1"), row("g-5")]).unwrap());
}

#[test]
fn lists_of_more_holders_than_a_slice_go_on_where_they_stopped() {
    let mut rig = Rig::new();
    let Record::Grant(standing) = record(&records()[7], &rig.hasher).unwrap() else { unreachable!() };
    for n in 0..2 * super::super::queries::SLICE {
        let (id, holder) =
            (GrantId::new(&format!("x-{n}")).unwrap(), HolderId::new(&format!("h-{n}")).unwrap());
        let grant = Record::Grant(Grant { id, holder, ..standing.clone() });
        rig.controller.index.apply(None, Some(&grant));
    }
    let all = 2 * super::super::queries::SLICE + 4;
    let (mut from, mut rows, mut slices) = (0, 0, 0);
    loop {
        let (slice, next) = rig.controller.grants(&GrantQuery::default(), rig.reading(), from);
        (rows, slices) = (rows + slice.len(), slices + 1);
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!((rows, slices), (all, 3));
    let card = json!({"type": "credential", "id": "c-last", "uid": "04AABBCCDD", "holder": "h-last", "status": "active"});
    rig.controller.index.apply(None, Some(&record(&card, &rig.hasher).unwrap()));
    let id = CredentialId::new("c-last").unwrap();
    let (mut from, mut looked) = (0, 0);
    let found = loop {
        looked += 1;
        match rig.controller.search_credential(&id, from) {
            (None, Some(next)) => from = next,
            (found, _) => break found,
        }
    };
    assert_eq!((found.as_ref().map(HolderId::as_str), looked), (Some("h-last"), 3));
    assert_eq!(rig.controller.search_credential(&CredentialId::new("c-404").unwrap(), from), (None, None));
    let first = rig.controller.search_credential(&CredentialId::new("c-1").unwrap(), 0);
    assert_eq!(first, (Some(HolderId::new("m-host").unwrap()), None));
    assert_eq!(rig.controller.credential_by_tag("00000000"), None);
}
