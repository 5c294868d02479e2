//! Another configuration, while doors are in use.

use std::collections::BTreeSet;

use super::{super::doors::ticket, *};
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
