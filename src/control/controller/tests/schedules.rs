//! Doors that are unlocked by a schedule.

use super::*;
use crate::wire::record::schedule;

/// Input 0 of b-1 is the entrance's contact.
const CLOSED: u64 = 0b01;

/// It is 10:00 on a Monday in Oslo. The entrance is unlocked from then for so many minutes.
fn scheduled(minutes: u64, first_person_in: bool) -> Rig {
    let to = format!("{:02}:{:02}", 10 + minutes / 60, minutes % 60);
    let mut rig = Rig::new();
    let value = json!([{"days": ["mon"], "from": "10:00", "to": to}]);
    rig.controller.settings.doors[0].unlock_schedule = Some(schedule(&value, "unlock_schedule").unwrap());
    rig.controller.settings.doors[0].first_person_in = first_person_in;
    rig.board_up("b-1", CLOSED);
    rig
}

/// Time passes as it does in the loop: a tick a second.
fn pass(rig: &mut Rig, seconds: u64) -> Vec<String> {
    (0..seconds).flat_map(|_| rig.later_ms(1000).tick()).collect()
}

fn mode(rig: &Rig) -> &'static str {
    rig.door("entrance").mode.as_str()
}

#[test]
fn a_schedule_unlocks_by_its_own_entry_and_locks_again() {
    let mut rig = scheduled(1, false);
    // Entry 3 is the board's.
    let (seq, end) = (2, 4);
    assert_eq!(mode(&rig), "unlocked");
    let opened =
        [format!("note entrance unlocked by {seq}"), format!("pulse b-1/0 10 s #{seq}: recorded {seq}")];
    assert_eq!(rig.recorded(seq), opened);
    rig.pulsed("b-1", seq);
    let said = pass(&mut rig, 59);
    assert!(said.iter().all(|s| s.starts_with("pulse")) && said.len() == 11, "{said:?}");
    let locked = [
        format!("append {end} door.mode_changed"),
        format!("note entrance locked by {end}"),
        format!("secure b-1/0 #{end}"),
    ];
    assert_eq!(pass(&mut rig, 1), locked);
}

#[test]
fn the_entry_names_the_schedule_and_its_end() {
    let mut rig = scheduled(60, false);
    rig.order(1, "entrance", "lock");
    let mut rig = Rig::new();
    let value = json!([{"days": ["mon"], "from": "10:00", "to": "18:00"}]);
    rig.controller.settings.doors[0].unlock_schedule = Some(schedule(&value, "unlock_schedule").unwrap());
    let entry = entries(&rig.later_ms(1000).handle(Event::Tick)).remove(0);
    let fields = ["from", "to", "by", "until"].map(|field| entry[field].as_str().unwrap().to_owned());
    assert_eq!(fields, ["locked", "unlocked", "schedule", "2026-11-23T17:00:00Z"]);
}

#[test]
fn who_locks_it_is_not_overruled_until_the_next_occurrence() {
    let mut rig = scheduled(60, false);
    rig.recorded(3);
    rig.order(1, "entrance", "lock");
    pass(&mut rig, 30);
    assert_eq!(mode(&rig), "locked");
    rig.later_ms(7 * 86_400_000).tick();
    assert_eq!(mode(&rig), "unlocked");
}

#[test]
fn it_may_wait_for_the_first_who_is_let_in() {
    let mut rig = scheduled(60, true);
    pass(&mut rig, 5);
    assert_eq!(mode(&rig), "locked");
    rig.tap("entrance-in", STRANGER);
    rig.tap("side-in", HOST);
    assert_eq!(mode(&rig), "locked", "nobody was let in here");
    rig.tap("entrance-in", HOST);
    assert_eq!(mode(&rig), "unlocked");
    rig.order(1, "entrance", "lock");
    rig.tap("entrance-in", HOST);
    assert_eq!(mode(&rig), "locked", "only the first one opens it");
}

#[test]
fn a_card_before_its_time_opens_nothing_for_longer() {
    let mut rig = scheduled(1, true);
    rig.later_ms(61_000);
    rig.tap("entrance-in", HOST);
    assert_eq!(mode(&rig), "locked");
}

#[test]
fn a_clock_in_doubt_keeps_no_door_open_and_one_that_is_right_again_does() {
    let mut rig = scheduled(60, false);
    rig.recorded(3);
    rig.synchronised = false;
    rig.wall_off_s = 600;
    pass(&mut rig, 1);
    assert_eq!(mode(&rig), "locked");
    rig.synchronised = true;
    pass(&mut rig, 1);
    assert_eq!(mode(&rig), "unlocked");
}

#[test]
fn a_lockdown_lies_over_the_schedule_and_its_release_shows_it_again() {
    let mut rig = Rig::new();
    rig.order(1, "entrance", "lock_down");
    let value = json!([{"days": ["mon"], "from": "10:00", "to": "18:00"}]);
    rig.controller.settings.doors[0].unlock_schedule = Some(schedule(&value, "unlock_schedule").unwrap());
    let said = pass(&mut rig, 3);
    assert_eq!((mode(&rig), said), ("locked_down", vec![]));
    rig.order(1, "entrance", "lock_down_release");
    assert_eq!(mode(&rig), "unlocked");
}

#[test]
fn one_occurrence_follows_another_without_a_gap() {
    let mut rig = Rig::new();
    let days = json!([{"days": ["mon"], "from": "10:00", "to": "10:01"}, {"days": ["mon"], "from": "10:01", "to": "11:00"}]);
    rig.controller.settings.doors[0].unlock_schedule = Some(schedule(&days, "unlock_schedule").unwrap());
    rig.board_up("b-1", CLOSED);
    rig.recorded(3);
    let said = pass(&mut rig, 61);
    assert!(!said.iter().any(|s| s.starts_with("secure")), "{said:?}");
    assert_eq!(said.iter().filter(|s| s.contains("door.mode_changed")).count(), 1);
    assert_eq!(mode(&rig), "unlocked");
}

/// The first person's schedule changes what lies beneath; that shuts nobody out who was let in over it.
#[test]
fn who_may_pass_a_blocked_door_passes_it_as_the_first_of_its_schedule_too() {
    let mut rig = Rig::new();
    let all = json!({"type": "grant", "id": "g-9", "kind": "standing", "holder": "m-slow", "zones": ["perimeter"],
        "override_lockdown": true});
    let all = record(&all, &rig.hasher).unwrap();
    rig.controller.index.apply(None, Some(&all));
    let value = json!([{"days": ["mon"], "from": "10:00", "to": "11:00"}]);
    rig.controller.settings.doors[0].unlock_schedule = Some(schedule(&value, "unlock_schedule").unwrap());
    rig.controller.settings.doors[0].first_person_in = true;
    rig.board_up("b-1", CLOSED);
    rig.order(1, "entrance", "block");
    let said = rig.tap("entrance-in", SLOW);
    assert!(said[0].ends_with("access.granted") && said.len() == 1, "{said:?}");
    let seq = said[0].split(' ').nth(1).unwrap().parse().unwrap();
    let opened = rig.recorded(seq);
    assert!(opened.iter().any(|line| line.starts_with("pulse b-1/0")), "{opened:?}");
    assert_eq!(mode(&rig), "blocked");
}

#[test]
fn who_leaves_opens_no_door_that_waits_for_the_first_who_comes() {
    for (direction, expected) in [(Direction::Out, "locked"), (Direction::In, "unlocked")] {
        let mut rig = scheduled(60, true);
        rig.controller.settings.readers[0].direction = direction;
        rig.tap("entrance-in", HOST);
        rig.recorded(rig.controller.next_seq - 1);
        assert_eq!(mode(&rig), expected, "{direction:?}");
    }
    // Nor does anybody where none is waited for.
    let mut rig = scheduled(60, false);
    rig.order(1, "entrance", "lock");
    rig.tap("entrance-in", HOST);
    rig.recorded(rig.controller.next_seq - 1);
    assert_eq!(mode(&rig), "locked");
}
