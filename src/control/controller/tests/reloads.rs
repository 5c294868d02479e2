//! Another configuration, while doors are in use.

use std::collections::BTreeSet;

use super::{super::pulses::ticket, *};
use crate::{
    control::{Reload, index::DoorNo},
    domain::{DoorMode, LockState},
};

fn ids<T: Ord>(made: impl Fn(&str) -> T, ids: &[&str]) -> BTreeSet<T> {
    ids.iter().map(|id| made(id)).collect()
}

impl Rig {
    /// `boards` and `readers`: whose drivers begin anew.
    fn reload(
        &mut self,
        boards: &[&str],
        readers: &[&str],
        change: impl FnOnce(&mut Settings),
    ) -> Vec<String> {
        let mut settings = Box::new(self.controller.settings.clone());
        change(&mut settings);
        let boards = ids(|id| BoardId::new(id).unwrap(), boards);
        let readers = ids(|id| ReaderId::new(id).unwrap(), readers);
        self.when(Event::Reload(Reload::Taken { settings, boards, readers }))
    }

    fn last_seq(&self) -> u64 {
        self.controller.next_seq - 1
    }
}

fn remove(settings: &mut Settings, door: &str) {
    settings.doors.retain(|d| d.id.as_str() != door);
    settings.readers.retain(|r| r.door.as_str() != door);
}

/// Commands to boards, of all that was asked for.
fn to_boards(said: &[String]) -> Vec<&str> {
    let to_board = |said: &&str| said.starts_with("pulse ") || said.starts_with("secure ");
    said.iter().map(String::as_str).filter(to_board).collect()
}

#[test]
fn a_door_whose_wiring_is_what_it_was_keeps_its_pulse_whatever_becomes_of_the_others() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 0);
    rig.tap("side-in", HOST);
    let seq = rig.last_seq();
    let pulse = rig.recorded(seq);
    let ticket = ticket(seq, DoorNo(1));
    rig.pulsed("b-1", ticket);
    assert_eq!(rig.door("side").lock, LockState::Released, "{pulse:?}");
    // It becomes the first of the list.
    let said = rig.reload(&[], &[], |settings| {
        remove(settings, "entrance");
        settings.doors.iter_mut().for_each(|door| door.strike = Duration::from_secs(3));
    });
    assert!(to_boards(&said).iter().all(|said| !said.contains("b-1/1")), "{said:?}");
    assert_eq!((rig.door("side").lock, rig.controller.doors.len()), (LockState::Released, 2));
    rig.board("b-1", BoardEvent::Ended { ticket, by_board: true });
    assert_eq!(rig.door("side").lock, LockState::Secure);
}

#[test]
fn who_waits_for_the_disk_is_let_in_at_the_door_they_tapped_at() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.tap("side-in", HOST);
    let seq = rig.last_seq();
    rig.reload(&[], &[], |settings| remove(settings, "entrance"));
    let said = rig.recorded(seq);
    let pulses: Vec<&str> = to_boards(&said);
    assert!(pulses.len() == 1 && pulses[0].starts_with("pulse b-1/1 "), "{said:?}");
}

#[test]
fn two_doors_that_change_places_never_share_a_ticket() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 0);
    // One entry, two doors that are held open on it.
    rig.inputs("b-2", 1 << 7);
    rig.reload(&[], &[], |settings| settings.doors.reverse());
    let actions = rig.later_ms(5001).handle(Event::Tick);
    let tickets: Vec<(String, u64)> = actions
        .iter()
        .filter_map(|action| {
            let Action::Board { board, command: BoardCommand::Pulse { ticket, .. } } = action else {
                return None;
            };
            Some((board.to_string(), *ticket))
        })
        .collect();
    let slot = |ticket: u64| ticket >> 48;
    let slots: BTreeMap<&str, u64> = tickets.iter().map(|(b, t)| (b.as_str(), slot(*t))).collect();
    assert_eq!(slots, BTreeMap::from([("b-1", 0), ("b-2", 2)]), "{tickets:?}");
}

#[test]
fn a_door_that_is_taken_out_is_switched_off_first_and_the_broker_lets_go_of_it() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.connect();
    rig.tap("side-in", HOST);
    let seq = rig.last_seq();
    rig.recorded(seq);
    rig.pulsed("b-1", ticket(seq, DoorNo(1)));
    let said = rig.reload(&[], &[], |settings| remove(settings, "side"));
    assert!(said[0].contains("operator.command"), "{said:?}");
    assert!(to_boards(&said).len() == 1 && to_boards(&said)[0].starts_with("secure b-1/1 "), "{said:?}");
    assert!(said.contains(&"gone side".to_owned()), "{said:?}");
    assert!(rig.controller.pulses.is_empty() && rig.controller.waiting.is_empty());
    let report = rig.controller.status_report(rig.reading());
    assert!(report.doors.iter().all(|door| door.door.as_str() != "side"));
    // What its board still says is nobody's.
    rig.board("b-1", BoardEvent::Secured { ticket: ticket(rig.last_seq(), DoorNo(1)) });
    rig.board("b-1", BoardEvent::Ended { ticket: ticket(seq, DoorNo(1)), by_board: false });
    assert_eq!(rig.door("entrance").fault, None);
}

#[test]
fn a_door_that_went_while_the_broker_was_away_is_told_of_when_it_is_back_and_not_if_it_is_back_itself() {
    let mut rig = Rig::new();
    let side = rig.controller.settings.doors[1].clone();
    rig.reload(&[], &[], |settings| {
        remove(settings, "side");
        remove(settings, "vault");
    });
    rig.reload(&[], &[], |settings| settings.doors.push(side));
    let said = rig.connect();
    assert!(said.contains(&"gone vault".to_owned()) && !said.contains(&"gone side".to_owned()), "{said:?}");
    assert!(!rig.connect().contains(&"gone vault".to_owned()));
}

#[test]
fn a_strike_that_is_wired_anew_is_switched_off_where_it_was_and_kept_open_where_it_is() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 0);
    rig.order(1, "side", "lock_open");
    let seq = rig.last_seq();
    rig.recorded(seq);
    rig.pulsed("b-1", ticket(seq, DoorNo(1)));
    let said = rig.reload(&[], &[], |settings| {
        settings.doors[1].board = BoardId::new("b-2").unwrap();
        settings.doors[1].coil = 5;
    });
    let told = to_boards(&said);
    assert!(told[0].starts_with("secure b-1/1 ") && told[1].starts_with("pulse b-2/5 10 s "), "{said:?}");
    assert_eq!((told.len(), rig.door("side").mode), (2, DoorMode::LockedOpen));
}

#[test]
fn a_board_that_begins_anew_is_lost_until_it_is_there_and_its_doors_keep_their_modes() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.order(1, "side", "lock_down");
    rig.recorded(rig.last_seq());
    let said =
        rig.reload(&["b-1"], &["side-in"], |settings| settings.boards[0].url = "modbus+tcp://y".into());
    assert!(said.iter().any(|said| said.contains("board.lost")), "{said:?}");
    let report = rig.controller.status_report(rig.reading());
    assert!(!report.boards[0].connected && report.boards[0].url == "modbus+tcp://y");
    assert_eq!(rig.door("side").mode, DoorMode::LockedDown);
    // A request to exit waits for the board, and nothing is driven on one that is not there.
    rig.board_up("b-1", 1);
    assert_eq!(rig.door("side").lock, LockState::Secure);
}

#[test]
fn a_door_that_joins_is_as_at_a_start_and_known_to_every_grant_that_lists_it() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    let said = rig.reload(&[], &[], |settings| {
        let mut new = settings.doors[1].clone();
        (new.id, new.coil, new.contact, new.rex) = (DoorId::new("annex").unwrap(), 7, None, None);
        settings.doors.insert(0, new);
        let reader = ReaderSettings { id: ReaderId::new("annex-in").unwrap(), ..settings.readers[0].clone() };
        settings.readers.push(ReaderSettings { door: DoorId::new("annex").unwrap(), ..reader });
    });
    assert!(to_boards(&said).is_empty(), "{said:?}");
    rig.tap("annex-in", HOST);
    let said = rig.recorded(rig.last_seq());
    assert!(to_boards(&said)[0].starts_with("pulse b-1/7 "), "{said:?}");
    // The entrance's coil is 0 still.
    rig.tap("entrance-in", HOST);
    let said = rig.recorded(rig.last_seq());
    assert!(to_boards(&said)[0].starts_with("pulse b-1/0 "), "{said:?}");
}

#[test]
fn an_input_that_is_another_says_nothing_until_it_is_read() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 0);
    let said = rig.reload(&[], &[], |settings| settings.doors[0].contact = Some(input("b-2", 3, false)));
    assert!(!said.iter().any(|said| said.contains("door.")), "{said:?}");
    assert_eq!(rig.door("entrance").contact, crate::domain::Contact::Unknown);
    let said = rig.inputs("b-2", 1 << 3);
    assert!(!said.iter().any(|said| said.contains("door.closed")), "{said:?}");
    assert_eq!(rig.door("entrance").contact, crate::domain::Contact::Closed);
}

#[test]
fn in_a_fire_a_door_that_is_marked_now_is_released_at_once_and_one_that_is_not_any_more_returns() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 1 << 7);
    let said = rig.reload(&[], &[], |settings| {
        settings.doors[0].release_on_fire = false;
        settings.doors[1].release_on_fire = true;
    });
    let told = to_boards(&said);
    assert!(told.iter().any(|said| said.starts_with("secure b-1/0 ")), "{said:?}");
    assert!(told.iter().any(|said| said.starts_with("pulse b-1/1 ")), "{said:?}");
    // Without an input there is no alarm.
    let said = rig.reload(&[], &[], |settings| {
        settings.fire = None;
        settings.doors.iter_mut().for_each(|door| door.release_on_fire = false);
    });
    assert!(said.iter().any(|said| said.contains("fire.cleared")), "{said:?}");
    assert!(!rig.controller.fire.is_raised() && rig.controller.status_report(rig.reading()).fire.is_none());
}

#[test]
fn a_refused_reload_is_recorded_and_shown_until_one_is_taken() {
    let mut rig = Rig::new();
    let refused = |rig: &Rig| rig.controller.status_report(rig.reading()).configuration.unwrap().refused;
    assert_eq!(refused(&rig), None);
    let why = "latchd.toml:3:1: doors[0].lock: missing".to_owned();
    let said = rig.later_ms(1000).when(Event::Reload(Reload::Refused { why: why.clone() }));
    assert!(said[0].contains("operator.command"), "{said:?}");
    assert_eq!(refused(&rig).unwrap().error, why);
    rig.later_ms(1000).reload(&[], &[], |_| {});
    let report = rig.controller.status_report(rig.reading()).configuration.unwrap();
    assert_eq!((report.refused, report.loaded_at), (None, At::parse("2026-11-23T09:00:02Z").unwrap()));
}

fn count(said: &[String], what: &str) -> usize {
    said.iter().filter(|line| line.ends_with(what)).count()
}

#[test]
fn what_is_begun_anew_or_taken_out_is_lost_once_and_nothing_else_is() {
    let begun = || {
        let mut rig = Rig::new();
        rig.board_up("b-1", 1);
        rig.board_up("b-2", 0);
        for reader in ["entrance-in", "side-in"] {
            let what = ReaderEvent::Connected { detail: "up".into() };
            rig.when(Event::Reader { reader: ReaderId::new(reader).unwrap(), what });
        }
        rig
    };
    let lost = |said: &[String]| (count(said, "board.lost"), count(said, "reader.lost"));
    let said = begun().reload(&[], &[], |_| {});
    assert_eq!(lost(&said), (0, 0), "{said:?}");
    let said = begun().reload(&["b-1"], &["side-in", "vault-in"], |_| {});
    assert_eq!(lost(&said), (1, 1), "{said:?}");
    let mut rig = begun();
    let said = rig.reload(&[], &[], |settings| {
        settings.boards.retain(|board| board.id.as_str() == "b-1");
        settings.readers.retain(|reader| reader.id.as_str() == "entrance-in");
    });
    assert_eq!(lost(&said), (1, 1), "{said:?}");
    let report = rig.controller.status_report(rig.reading());
    assert_eq!((report.boards.len(), report.boards[0].connected), (1, true));
    assert_eq!((report.readers.len(), report.readers[0].connected), (1, true));
    let said = Rig::new().reload(&["b-1"], &["side-in"], |_| {});
    assert_eq!(lost(&said), (0, 0), "what was never there is not lost: {said:?}");
}

#[test]
fn a_reload_that_changes_no_door_disturbs_none() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.order(1, "side", "unlock");
    rig.recorded(rig.last_seq());
    rig.pulsed("b-1", ticket(rig.last_seq(), DoorNo(1)));
    rig.tap("entrance-in", HOST);
    let seq = rig.last_seq();
    rig.recorded(seq);
    rig.pulsed("b-1", seq);
    rig.inputs("b-1", 0);
    rig.later_ms(250).tick();
    let said = rig.later_ms(1000).reload(&[], &[], |_| {});
    assert!(to_boards(&said).is_empty() && !said.iter().any(|line| line.ends_with(" doors")), "{said:?}");
    assert_eq!(count(&said, "door.mode_changed"), 0, "{said:?}");
    rig.later_ms(28_750).tick();
    assert_eq!(json!(rig.door("entrance").alarm), "held_open", "its time goes on");
    // What drove a door is known: a door that is locked anyway needs no board to say so.
    rig.board_up("b-2", 0);
    let said = rig.order(2, "vault", "lock");
    assert!(to_boards(&said).is_empty(), "{said:?}");
}

#[test]
fn a_door_that_stays_as_it_is_wired_needs_no_board_to_be_locked_right_after_a_reload() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 0);
    rig.later_ms(60_000).reload(&[], &[], |_| {});
    for (number, door) in [(1, "entrance"), (2, "side"), (3, "vault")] {
        let said = rig.order(number, door, "lock");
        assert!(to_boards(&said).is_empty(), "{door}: {said:?}");
    }
}

#[test]
fn who_waits_for_a_board_to_confirm_is_told_when_the_door_is_wired_anew() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.access(1, "side");
    rig.recorded(rig.last_seq());
    rig.tap("side-in", HOST);
    rig.recorded(rig.last_seq());
    let said = rig.reload(&[], &[], |settings| settings.doors[1].coil = 5);
    let told = |words: &str| said.iter().any(|line| line.starts_with(words));
    assert!(told("answer 1: the door was not confirmed to be driven: "), "{said:?}");
    assert!(told("show Fault at side-in"), "{said:?}");
}

#[test]
fn nothing_is_driven_on_a_board_that_is_not_there() {
    let mut rig = Rig::new();
    rig.order(1, "side", "unlock");
    rig.recorded(rig.last_seq());
    let said = rig.reload(&[], &[], |settings| settings.doors[0].name = "Front".into());
    assert!(to_boards(&said).is_empty(), "{said:?}");
    assert!(to_boards(&rig.later_ms(1000).tick()).is_empty());
    assert_eq!(to_boards(&rig.board_up("b-1", 1)).len(), 1);
}

#[test]
fn a_door_that_joins_may_be_driven_by_whoever_had_its_coil_before() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.reload(&[], &[], |settings| {
        let mut new = settings.doors[1].clone();
        (new.id, new.coil, new.contact, new.rex) = (DoorId::new("annex").unwrap(), 7, None, None);
        settings.doors.push(new);
    });
    let said = rig.order(1, "annex", "lock");
    assert!(to_boards(&said).iter().any(|line| line.starts_with("secure b-1/7 ")), "{said:?}");
}

#[test]
fn an_alarm_is_over_by_a_reload_only_where_its_input_is_gone() {
    let mut rig = Rig::new();
    rig.board_up("b-2", 1 << 7);
    let said = rig.reload(&[], &[], |_| {});
    assert_eq!((count(&said, "fire.cleared"), rig.controller.fire.is_raised()), (0, true), "{said:?}");
    let said = Rig::new().reload(&[], &[], |settings| settings.fire = None);
    assert_eq!(count(&said, "fire.cleared"), 0, "there was none: {said:?}");
    // Off for a while under the same input: over. Under another: nobody has said so.
    for (moved, cleared) in [(false, 1), (true, 0)] {
        let mut rig = Rig::new();
        rig.board_up("b-2", 1 << 7);
        rig.inputs("b-2", 0);
        rig.reload(&[], &[], |settings| {
            if moved {
                settings.fire = Some(input("b-1", 6, false));
            }
        });
        let said = rig.later_ms(2000).tick();
        assert_eq!(count(&said, "fire.cleared"), cleared, "{said:?}");
    }
}

#[test]
fn what_a_reload_drives_stands_under_its_entry() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 1 << 7);
    rig.recorded(rig.last_seq());
    let reload = rig.last_seq() + 1;
    let said = rig.reload(&[], &[], |settings| {
        settings.doors[0].release_on_fire = false;
        settings.doors[1].release_on_fire = true;
    });
    let told = to_boards(&said);
    assert!(told.iter().any(|line| *line == format!("secure b-1/0 #{reload}")), "{said:?}");
    assert!(told.iter().any(|line| *line == format!("pulse b-1/1 10 s #{reload}: fire")), "{said:?}");
    assert_eq!(told.len(), 2, "the vault is marked as it was: {said:?}");
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.tap("side-in", HOST);
    rig.recorded(rig.last_seq());
    let reload = rig.last_seq() + 1;
    let said = rig.reload(&[], &[], |settings| remove(settings, "side"));
    assert_eq!(to_boards(&said), [format!("secure b-1/1 #{reload}")]);
    assert!(said.contains(&format!("note side locked by {reload}")), "{said:?}");
}

#[test]
fn who_waits_at_a_door_that_goes_is_turned_away_and_nobody_else() {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 0);
    rig.tap("side-in", HOST);
    let at_side = rig.last_seq();
    rig.tap("entrance-in", HOST);
    rig.order(1, "entrance", "unlock");
    let said = rig.reload(&[], &[], |settings| remove(settings, "side"));
    let shown: Vec<&String> = said.iter().filter(|line| line.starts_with("show ")).collect();
    assert_eq!(shown, ["show NotNow at side-in"]);
    assert_eq!(count(&said, "access.not_taken"), 1, "{said:?}");
    let said = rig.recorded(rig.last_seq());
    assert_eq!(to_boards(&said).len(), 2, "who tapped at the entrance, and its mode: {said:?}");
    assert!(!said.iter().any(|line| line.contains(&format!("#{at_side}:"))), "{said:?}");
}

#[test]
fn a_button_that_is_another_is_not_stuck_and_one_that_stays_still_is() {
    for (moved, is_stuck) in [(false, true), (true, false)] {
        let mut rig = Rig::new();
        rig.board_up("b-2", 0);
        rig.inputs("b-2", 0b10);
        rig.later_ms(60_000).tick();
        rig.reload(&[], &[], |settings| {
            if moved {
                settings.doors[1].rex = Some(RexSettings { input: input("b-2", 5, false), unlocks: false });
            }
        });
        assert_eq!(rig.door("side").fault.is_some(), is_stuck);
    }
}

#[test]
fn a_schedule_that_is_taken_out_locks_its_door_and_one_that_stays_does_not() {
    let always = crate::domain::Schedule(vec![crate::domain::Interval::ALWAYS]);
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    let said = rig.reload(&[], &[], |settings| settings.doors[1].unlock_schedule = Some(always));
    assert_eq!(count(&said, "door.mode_changed"), 0, "{said:?}");
    let said = rig.later_ms(1000).tick();
    assert_eq!((count(&said, "door.mode_changed"), rig.door("side").mode), (1, DoorMode::Unlocked));
    rig.recorded(rig.last_seq());
    let said = rig.reload(&[], &[], |settings| settings.doors[1].name = "Side".into());
    assert_eq!(
        (count(&said, "door.mode_changed"), rig.door("side").mode),
        (0, DoorMode::Unlocked),
        "{said:?}"
    );
    let said = rig.reload(&[], &[], |settings| settings.doors[1].unlock_schedule = None);
    assert_eq!((count(&said, "door.mode_changed"), rig.door("side").mode), (1, DoorMode::Locked), "{said:?}");
}

#[test]
fn a_schedule_that_is_taken_out_beneath_a_lockdown_leaves_the_lockdown_under_the_reloads_entry() {
    let always = crate::domain::Schedule(vec![crate::domain::Interval::ALWAYS]);
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.reload(&[], &[], |settings| settings.doors[1].unlock_schedule = Some(always));
    rig.later_ms(1000).tick();
    rig.recorded(rig.last_seq());
    rig.order(1, "side", "lock_down");
    let reload = rig.last_seq() + 1;
    let said = rig.reload(&[], &[], |settings| settings.doors[1].unlock_schedule = None);
    assert_eq!((count(&said, "door.mode_changed"), rig.door("side").mode), (0, DoorMode::LockedDown));
    assert_eq!(to_boards(&said), [format!("secure b-1/1 #{reload}")], "{said:?}");
}
