//! What the stores say of themselves: a cache that is closed for a while, what was lost, what was ever known.

use super::*;
use crate::{control::controller::Known, wire::stored::CommandsFrom};

fn closed(rig: &mut Rig, why: &str) -> Vec<String> {
    rig.when(Event::Cache(CacheEvent::Closed { detail: why.into() }))
}

fn opened(rig: &mut Rig, applied: u64, index: Option<Box<Index>>, is_lost: bool) -> Vec<String> {
    let position = Position { epoch: 3, applied, ..Position::default() };
    let recovered = vec![(7, "cache: open again".to_owned())];
    rig.when(Event::Cache(CacheEvent::Opened { position, index, is_lost, recovered }))
}

fn store(rig: &Rig) -> (String, Option<String>) {
    let report = rig.controller.status_report(rig.reading()).store;
    (report.state, report.detail)
}

#[test]
fn a_closed_cache_is_shown_until_it_is_open_and_doors_go_on() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    assert_eq!(store(&rig), ("good".into(), None));
    closed(&mut rig, "no space left");
    assert_eq!(store(&rig), ("failing".into(), Some("no space left".into())));
    let tapped = rig.tap("entrance-in", HOST);
    assert!(tapped.iter().any(|line| line.contains("access.granted")), "{tapped:?}");
    let said = opened(&mut rig, 10, None, false);
    assert!(said.iter().any(|line| line.contains("store.recovered")), "{said:?}");
    assert_eq!(store(&rig), ("good".into(), None));
    // The change that could not be kept is asked for, and taken now.
    assert!(rig.changes(1, 3, 11, 11).iter().any(|line| line.starts_with("apply to 11")));
}

#[test]
fn what_is_newer_on_disk_takes_the_place_of_what_was_in_force() {
    let mut rig = Rig::new();
    closed(&mut rig, "no space left");
    let said = opened(&mut rig, 12, Some(Box::new(Index::new(settings().places()))), false);
    assert!(said.contains(&"discard the replaced index".to_owned()), "{said:?}");
    assert_eq!(rig.controller.sync_report().applied, 12);
    assert_eq!(rig.controller.index.grants(), 0);
}

#[test]
fn on_something_older_no_change_is_built_and_a_snapshot_is() {
    let mut rig = Rig::new();
    rig.connect();
    closed(&mut rig, "damaged");
    opened(&mut rig, 5, None, true);
    assert_eq!(rig.controller.sync_report().want, "snapshot");
    let grants = rig.controller.index.grants();
    assert!(grants > 0, "doors go on by what was in force");
    assert_eq!(rig.changes(1, 3, 11, 11), ["done 1"], "it is in the snapshot");
    let part =
        json!({"epoch": 3, "last": 11, "snapshot": {"id": "s-1", "part": 1, "parts": 1}, "records": []});
    assert_eq!(rig.feed(2, part), ["stage s-1 1/1"]);
}

#[test]
fn an_epoch_that_is_over_is_not_taken_again_whatever_was_lost() {
    let known = Known { floor: (3, 10), ..Known::default() };
    let mut rig = Rig::from(Start { position: Position::default(), known, ..Start::default() });
    assert_eq!(rig.controller.sync_report().want, "snapshot");
    let part = |epoch: u64, last: u64| json!({"epoch": epoch, "last": last, "snapshot": {"id": "s-1", "part": 1, "parts": 1}, "records": []});
    for (token, old) in [(1, part(2, 99)), (2, part(3, 9))] {
        let said = rig.feed(token, old);
        assert!(said.iter().any(|line| line.contains("sync.rejected")), "{said:?}");
    }
    assert_eq!(rig.feed(3, part(3, 10)), ["stage s-1 1/1"]);
}

#[test]
fn a_cache_that_is_behind_asks_for_what_it_had() {
    let known = Known { floor: (3, 12), ..Known::default() };
    let mut rig = Rig::from(Start { known, ..Start::default() });
    assert_eq!(rig.controller.sync_report().want, "changes");
    rig.connect();
    assert!(rig.changes(1, 3, 11, 12).iter().any(|line| line.starts_with("apply to 12")));
}

#[test]
fn a_clock_behind_what_was_ever_recorded_is_not_trusted_though_the_journal_is_gone() {
    let known = Known { latest: Some(At::parse(START).unwrap().plus_s(3600)), ..Known::default() };
    let rig = Rig::from(Start { known, ..Start::default() });
    assert_eq!(rig.controller.status_report(rig.reading()).clock.trust, crate::domain::ClockTrust::Untrusted);
}

#[test]
fn after_a_loss_commands_are_refused_that_may_have_been_taken_before_it() {
    let mut rig = Rig::from(Start { commands_from: CommandsFrom::Unknown, ..Start::default() });
    let from = At::parse(START).unwrap().plus_s(60);
    assert_eq!(rig.tick(), [format!("note commands from {:?}", CommandsFrom::After(from))]);
    assert_eq!(rig.tick(), [""; 0]);
    let issued = |id: &str, at: i64| {
        let wall = |s: i64| At::parse(START).unwrap().plus_s(s).to_string();
        let text = json!({"controller": "oslo-1", "id": id, "issued_at": wall(at), "expires_at": wall(at + 60),
            "by": "anna@central", "action": "access", "door": "entrance"});
        let own = ControllerId::new("oslo-1").unwrap();
        crate::wire::command::command(
            text.to_string().as_bytes(),
            false,
            &crate::wire::jws::Trust::Anyone,
            &own,
        )
    };
    let refused = rig.uplink(UplinkEvent::Command { token: 1, message: issued("cmd-1", 0) });
    assert!(refused.iter().any(|line| line.contains("command.rejected")), "{refused:?}");
    rig.later_ms(61_000);
    let taken = rig.uplink(UplinkEvent::Command { token: 2, message: issued("cmd-2", 61) });
    assert_eq!(taken, ["remember cmd-2"]);
}

#[test]
fn a_cache_that_could_not_be_opened_at_the_start_is_failing_since_then() {
    let known = Known { closed: Some("no permission".into()), ..Known::default() };
    let rig = Rig::from(Start { known, ..Start::default() });
    assert_eq!(store(&rig), ("failing".into(), Some("no permission".into())));
    let since = |rig: &Rig| rig.controller.status_report(rig.reading()).store.since;
    assert_eq!(since(&rig), At::parse(START).ok());
    assert_eq!(since(&Rig::new()), None, "nothing has happened to it");
}

#[test]
fn how_many_events_central_has_beyond_ours_is_recorded() {
    let mut rig = Rig::new();
    rig.connect();
    rig.recorded(1);
    let message = Ok(Ack { journal: JOURNAL.into(), through: 6 });
    let said = entries(&rig.handle(Event::Uplink(UplinkEvent::Ack { message })));
    assert_eq!((&said[0]["type"], &said[0]["count"]), (&json!("store.recovered"), &json!(5)));
}

#[test]
fn the_newest_signature_is_the_one_that_is_told() {
    use crate::wire::checkpoint::{Checkpoint, Place};
    let mut rig = Rig::new();
    assert_eq!(rig.controller.checkpoint(), None);
    let (controller, at) = (ControllerId::new("oslo-1").unwrap(), At::parse(START).unwrap());
    let place = Place { controller, journal: JOURNAL.into(), seq: 1, hash: digest(), at };
    let signed = Checkpoint::sign(place, &ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    rig.when(Event::Journal(JournalEvent::Checkpoint(signed.clone())));
    assert_eq!(rig.controller.checkpoint(), Some(&signed));
}
