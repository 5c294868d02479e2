//! Orders that change a mode: what is recorded, what waits for the disk, what is driven, and what a restart keeps.

use super::*;
use crate::control::modes::Modes;

/// Input 0 of b-1 is the entrance's contact, input 1 its button.
const CLOSED: u64 = 0b01;
const PRESSED: u64 = 0b11;

fn connected() -> Rig {
    let mut rig = Rig::new();
    rig.board_up("b-1", CLOSED);
    rig
}

fn mode(rig: &Rig) -> &'static str {
    rig.door("entrance").mode.as_str()
}

/// Unlocked, with the board's word for it. The command is entry 3, the change of mode 4.
fn unlocked(order: &str) -> Rig {
    let mut rig = connected();
    rig.order(1, "entrance", order);
    rig.recorded(4);
    rig.pulsed("b-1", 4);
    rig
}

#[test]
fn an_unlocked_door_waits_for_its_entry_and_is_answered_when_the_board_confirmed() {
    let mut rig = connected();
    assert_eq!(
        rig.order(1, "entrance", "unlock"),
        ["append 3 operator.command", "append 4 door.mode_changed"]
    );
    assert_eq!(rig.recorded(3), [""; 0], "the command alone is no proof");
    let opened = ["note entrance unlocked by 4", "pulse b-1/0 10 s #4: recorded 4"];
    assert_eq!(rig.recorded(4), opened);
    assert_eq!(rig.pulsed("b-1", 4), ["answer 1: done by 3"]);
    assert_eq!((mode(&rig), json!(rig.door("entrance").lock)), ("unlocked", json!("released")));
}

#[test]
fn a_slow_disk_keeps_no_door_locked_and_the_change_is_marked_late() {
    let mut rig = connected();
    rig.order(1, "entrance", "unlock");
    assert_eq!(rig.deadline_ms(), Some(20));
    let late = ["mark late 4", "note entrance unlocked by 4", "pulse b-1/0 10 s #4: late 4"];
    assert_eq!(rig.later_ms(20).tick(), late);
    assert_eq!(rig.later_ms(5000).tick(), ["pulse b-1/0 10 s #4: late 4"]);
}

#[test]
fn a_mode_that_opens_is_a_pulse_renewed_well_before_it_ends() {
    let mut rig = unlocked("unlock");
    for _ in 0..3 {
        assert_eq!(rig.deadline_ms(), Some(5000));
        assert_eq!(rig.later_ms(4999).tick(), [""; 0]);
        assert_eq!(rig.later_ms(1).tick(), ["pulse b-1/0 10 s #4: recorded 4"]);
        assert_eq!(rig.pulsed("b-1", 4), [""; 0]);
    }
    assert_eq!(rig.controller.pulses.len(), 1);
}

#[test]
fn the_entries_say_who_changed_what_and_until_when() {
    let mut rig = connected();
    let order = DoorOrder::new(DoorAction::Unlock, Some(30)).unwrap();
    let request =
        OperatorRequest::Door { door: "entrance".parse().unwrap(), order, reason: Some("move".into()) };
    let event = OperatorEvent { token: 1, by: "anna (1000)".into(), request };
    let said = entries(&rig.handle(Event::Operator(event)));
    assert_eq!(
        said,
        [
            json!({"seq": 3, "at": START, "type": "operator.command", "by": "anna (1000)", "action": "unlock",
                "outcome": "done", "door": "entrance", "reason": "move"}),
            json!({"seq": 4, "at": START, "type": "door.mode_changed", "door": "entrance", "from": "locked",
                "to": "unlocked", "by": "anna (1000)", "until": "2026-11-23T09:00:30Z"}),
        ]
    );
}

#[test]
fn what_restricts_waits_for_no_disk_and_is_switched_off_at_once() {
    for (order, to) in [("lock", "locked"), ("block", "blocked"), ("lock_down", "locked_down")] {
        let mut rig = unlocked("unlock");
        let note = format!("note entrance {to} by 6");
        let said = rig.order(2, "entrance", order);
        assert_eq!(
            said,
            ["append 5 operator.command", "append 6 door.mode_changed", note.as_str(), "secure b-1/0 #6"]
        );
        assert_eq!(rig.board("b-1", BoardEvent::Secured { ticket: 6 }), [""; 0]);
        assert_eq!(rig.recorded(6), ["answer 2: done by 5"], "what is said to be done outlasts a power cut");
        assert_eq!((mode(&rig), json!(rig.door("entrance").lock)), (to, json!("secure")));
        assert_eq!((rig.deadline_ms(), rig.controller.pulses.len()), (None, 0), "nothing is renewed");
    }
}

#[test]
fn a_door_that_is_locked_anyway_is_answered_without_asking_its_board() {
    let mut rig = connected();
    assert_eq!(rig.order(1, "entrance", "lock"), ["append 3 operator.command"]);
    let blocked = rig.order(2, "entrance", "block");
    assert!(!blocked.iter().any(|said| said.starts_with("secure")), "{blocked:?}");
    assert_eq!(rig.recorded(4), ["answer 1: done by 3"]);
    assert_eq!(rig.recorded(5), ["answer 2: done by 4"]);
}

/// It is done, and stays so for as long as the daemon runs: to hear nothing would be worse.
#[test]
fn who_ordered_hears_when_it_could_not_be_recorded() {
    let failed = |rig: &mut Rig| rig.when(Event::Journal(JournalEvent::Failed { detail: "no space".into() }));
    let unrecorded = "it is done, but could not be recorded yet: no space";
    let mut rig = connected();
    rig.order(1, "entrance", "lock_down");
    assert_eq!(failed(&mut rig), [format!("answer 1: {unrecorded}")]);
    assert_eq!(mode(&rig), "locked_down");
    let said = rig.order(2, "side", "block");
    assert_eq!(said.last().unwrap(), &format!("answer 2: {unrecorded}"));
    assert_eq!(rig.recorded(6), [""; 0]);
    rig.order(3, "side", "unblock");
    assert_eq!(rig.recorded(8), ["answer 3: done by 7"]);
}

#[test]
fn locking_ends_a_passage_too_but_not_the_time_of_somebody_who_leaves() {
    let mut rig = connected();
    rig.access(1, "entrance");
    rig.recorded(3);
    rig.pulsed("b-1", 3);
    assert!(rig.order(2, "entrance", "lock").contains(&"secure b-1/0 #4".to_owned()));
    rig.board("b-1", BoardEvent::Secured { ticket: 4 });
    assert_eq!(rig.inputs("b-1", PRESSED)[0], "pulse b-1/0 5 s #5: rex");
    rig.pulsed("b-1", 5);
    let locked = rig.later_ms(1000).order(3, "entrance", "lock_down");
    assert!(!locked.iter().any(|said| said.starts_with("secure")), "{locked:?}");
    assert_eq!(rig.later_ms(3999).tick(), [""; 0]);
    assert_eq!(rig.later_ms(1).tick(), ["secure b-1/0 #7"]);
}

#[test]
fn a_request_to_exit_opens_in_every_mode_and_shortens_none() {
    for (orders, hold) in
        [(&["block"][..], "5 s"), (&["lock_down"], "5 s"), (&["unlock"], "10 s"), (&["lock_open"], "10 s")]
    {
        let mut rig = connected();
        orders.iter().for_each(|order| _ = rig.order(1, "entrance", order));
        rig.recorded(4);
        let said = rig.inputs("b-1", PRESSED);
        assert_eq!(
            said,
            [format!("pulse b-1/0 {hold} #5: rex"), "append 5 rex.pressed".into()],
            "{orders:?}"
        );
    }
}

#[test]
fn a_lock_that_does_not_drop_is_said_and_tried_again_until_it_does() {
    let mut rig = unlocked("unlock");
    rig.order(2, "entrance", "lock");
    let failed = BoardEvent::Failed { ticket: 6, detail: "it still reads as driven".into() };
    let said =
        ["answer 2: the door could not be driven: it still reads as driven", "append 7 door.lock_fault"];
    assert_eq!(rig.board("b-1", failed.clone()), said);
    assert_eq!(rig.later_ms(1000).tick(), ["secure b-1/0 #6"]);
    assert_eq!(rig.board("b-1", failed), [""; 0]);
    assert_eq!(rig.later_ms(1000).tick(), ["secure b-1/0 #6"]);
    assert_eq!(rig.board("b-1", BoardEvent::Secured { ticket: 6 }), ["append 8 door.lock_fault_ended"]);
    assert_eq!(rig.deadline_ms(), None);
}

#[test]
fn a_passage_granted_while_a_lock_is_being_switched_off_is_not_cut_short() {
    let mut rig = unlocked("unlock");
    rig.order(2, "entrance", "lock");
    rig.board("b-1", BoardEvent::Failed { ticket: 6, detail: "busy".into() });
    rig.tap("entrance-in", HOST);
    assert_eq!(rig.recorded(8), ["pulse b-1/0 5 s #8: recorded 8"]);
    assert_eq!(rig.later_ms(2000).tick(), [""; 0]);
}

#[test]
fn an_order_that_was_overtaken_before_it_was_on_disk_opens_nothing() {
    let mut rig = connected();
    rig.order(1, "entrance", "unlock");
    rig.order(2, "entrance", "lock_down");
    assert_eq!(rig.recorded(6), ["answer 1: done by 3", "answer 2: done by 5"]);
    assert_eq!((mode(&rig), rig.deadline_ms()), ("locked_down", None));
}

#[test]
fn a_pulse_that_failed_is_tried_again_and_one_that_ended_too_soon_too() {
    let mut rig = unlocked("unlock");
    rig.later_ms(5000).tick();
    rig.board("b-1", BoardEvent::Failed { ticket: 4, detail: "no echo".into() });
    assert_eq!(rig.deadline_ms(), Some(1000));
    assert_eq!(rig.later_ms(1000).tick(), ["pulse b-1/0 10 s #4: recorded 4"]);
    rig.pulsed("b-1", 4);
    let ended = rig.board("b-1", BoardEvent::Ended { ticket: 4, by_board: true });
    assert_eq!(ended, ["pulse b-1/0 10 s #4: recorded 4"]);
}

#[test]
fn nothing_is_driven_while_the_board_is_lost_and_the_mode_goes_on_when_it_is_back() {
    let mut rig = unlocked("unlock");
    rig.board("b-1", BoardEvent::Lost { detail: "gone".into() });
    assert_eq!(rig.deadline_ms(), None);
    assert_eq!(rig.later_ms(60_000).tick(), [""; 0]);
    let back = rig.board_up("b-1", 0b00);
    assert_eq!(back, ["append 6 board.connected", "pulse b-1/0 10 s #4: recorded 4"]);
}

#[test]
fn a_door_locked_while_its_board_was_lost_is_switched_off_when_it_is_back() {
    let mut rig = unlocked("unlock");
    rig.board("b-1", BoardEvent::Lost { detail: "gone".into() });
    rig.order(2, "entrance", "lock");
    assert_eq!(rig.recorded(7), ["answer 2: done by 6"]);
    assert_eq!(rig.board_up("b-1", CLOSED), ["append 8 board.connected", "secure b-1/0 #7"]);
}

#[test]
fn a_door_whose_board_is_not_connected_is_no_success_and_opens_when_it_is() {
    let mut rig = Rig::new();
    rig.order(1, "entrance", "unlock");
    let said = rig.recorded(3);
    assert!(
        said[1].starts_with("answer 1: the mode is set, but the door's board is not connected"),
        "{said:?}"
    );
    assert_eq!(rig.board_up("b-1", CLOSED)[1], "pulse b-1/0 10 s #3: recorded 3");
}

#[test]
fn a_timed_mode_ends_by_the_clock_nobody_sets() {
    let mut rig = unlocked("unlock 7");
    rig.wall_off_s = -3600;
    rig.later_ms(5000).tick();
    rig.pulsed("b-1", 4);
    assert_eq!(rig.deadline_ms(), Some(2000));
    let end = ["append 6 door.mode_changed", "note entrance locked by 6", "secure b-1/0 #6"];
    assert_eq!(rig.later_ms(2000).tick(), end);
    assert_eq!(mode(&rig), "locked");
}

#[test]
fn a_release_that_opens_again_waits_for_its_own_entry() {
    let mut rig = unlocked("unlock");
    rig.order(2, "entrance", "lock_down");
    rig.board("b-1", BoardEvent::Secured { ticket: 6 });
    let released = rig.order(3, "entrance", "lock_down_release");
    assert_eq!(released, ["append 7 operator.command", "append 8 door.mode_changed"]);
    assert_eq!(rig.recorded(8)[1], "pulse b-1/0 10 s #8: recorded 8");
}

#[test]
fn a_locked_down_door_refuses_taps() {
    let mut rig = connected();
    rig.order(1, "entrance", "lock_down");
    assert_eq!(rig.tap("entrance-in", HOST), ["append 5 access.denied", "show NotNow at entrance-in"]);
}

#[test]
fn the_modes_are_published() {
    let mut rig = connected();
    rig.connect();
    let said = rig.order(1, "entrance", "block");
    assert!(said.contains(&"door entrance blocked secure closed".to_owned()), "{said:?}");
}

/// What a controller starts from that was unlocked, or whatever it was, by entry 40 of a journal that ends there.
fn restart(modes: Modes, on_disk: u64, synchronised: bool) -> Rig {
    let stored = modes.stored(40);
    let journal = JournalEnd {
        seq: on_disk,
        on_disk: (on_disk > 0).then(|| Recorded::attest(on_disk)),
        ..JournalEnd::default()
    };
    let modes = BTreeMap::from([("entrance".parse().unwrap(), stored)]);
    Rig::from(Start { modes, journal, synchronised, ..Start::default() })
}

fn ordered(orders: &[(&str, Option<u32>)]) -> Modes {
    let start = At::parse(START).unwrap().plus_s(-20);
    let now = crate::domain::Now {
        mono: Mono(Duration::from_secs(5)),
        wall: start,
        trust: crate::domain::ClockTrust::Trusted,
    };
    orders.iter().fold(Modes::default(), |modes, (action, for_s)| {
        let order = DoorOrder::new(DoorAction::parse(action).unwrap(), *for_s).unwrap();
        modes.ordered(now, &order).unwrap()
    })
}

#[test]
fn a_restart_drives_nothing_until_the_board_is_there_and_goes_on_under_the_old_entry() {
    let mut rig = restart(ordered(&[("unlock", None)]), 40, true);
    assert_eq!(short(&rig.started), ["append 41 controller.started"]);
    assert_eq!((mode(&rig), rig.deadline_ms()), ("unlocked", None));
    let back = rig.board_up("b-1", CLOSED);
    assert_eq!(back, ["append 42 board.connected", "pulse b-1/0 10 s #40: recorded 40"]);
}

#[test]
fn a_restart_keeps_what_is_left_of_a_time() {
    let mut rig = restart(ordered(&[("unlock", Some(30))]), 40, true);
    assert_eq!(rig.deadline_ms(), Some(10_000));
    let ended = rig.later_ms(10_000).tick();
    assert_eq!(ended, ["append 42 door.mode_changed", "note entrance locked by 42"]);
}

#[test]
fn a_time_that_ran_out_meanwhile_is_said_and_the_door_is_locked() {
    let rig = restart(ordered(&[("unlock", Some(10))]), 40, true);
    let said = entries(&rig.started).pop().unwrap();
    assert_eq!(
        (&said["from"], &said["to"], &said["by"]),
        (&json!("unlocked"), &json!("locked"), &json!("restart"))
    );
    assert_eq!(mode(&rig), "locked");
}

#[test]
fn with_a_clock_in_doubt_a_timed_opening_is_over_and_a_restriction_stays() {
    assert_eq!(mode(&restart(ordered(&[("unlock", Some(3000))]), 40, false)), "locked");
    assert_eq!(mode(&restart(ordered(&[("lock_down", None)]), 40, false)), "locked_down");
    assert_eq!(mode(&restart(ordered(&[("block", None)]), 40, false)), "blocked");
}

#[test]
fn a_mode_that_opens_on_an_entry_the_journal_does_not_have_is_not_gone_on_with() {
    let mut rig = restart(ordered(&[("unlock", None)]), 39, true);
    assert_eq!(mode(&rig), "locked");
    assert_eq!(rig.board_up("b-1", CLOSED).len(), 1, "nothing is driven");
    assert_eq!(mode(&restart(ordered(&[("lock_down", None)]), 39, true)), "locked_down");
}

#[test]
fn a_checkpoint_stays_before_a_mode_that_waits_for_the_disk() {
    let mut rig = connected();
    rig.order(1, "entrance", "unlock");
    let guest = rig.tap("entrance-in", GUEST);
    assert_eq!(guest.last().unwrap(), "note m-guest let in on b-5 by 3", "{guest:?}");
    let said = rig.when(Event::Stopping);
    assert!(said.contains(&"note checkpoint 3".to_owned()), "{said:?}");
}

#[test]
fn who_was_let_in_before_a_lockdown_and_waits_for_the_disk_comes_too_late() {
    for order in ["lock_down", "block"] {
        let mut rig = connected();
        rig.tap("entrance-in", HOST);
        rig.access(1, "entrance");
        rig.access(2, "side");
        let said = rig.order(3, "entrance", order);
        assert!(said.contains(&"show NotNow at entrance-in".to_owned()), "{said:?}");
        assert!(said.iter().any(|line| line.ends_with("access.not_taken")), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("answer 1: another order closed")), "{said:?}");
        let said = rig.recorded(20);
        assert!(!said.iter().any(|line| line.starts_with("pulse b-1/0")), "{said:?}");
        assert!(
            said.iter().any(|line| line.starts_with("pulse b-1/1")),
            "another door is none of it: {said:?}"
        );
    }
    let mut rig = connected();
    rig.tap("entrance-in", HOST);
    rig.order(1, "entrance", "lock");
    assert!(
        rig.recorded(20).iter().any(|line| line.starts_with("pulse b-1/0")),
        "a locked door lets people in"
    );
}

#[test]
fn a_lock_is_the_last_word_over_an_access_that_was_ordered_before_it() {
    let mut rig = connected();
    rig.access(1, "entrance");
    rig.access(2, "side");
    let said = rig.order(3, "entrance", "lock");
    assert_eq!(
        said,
        ["append 5 operator.command", "answer 1: another order closed the door before it was opened"]
    );
    let said = rig.recorded(5);
    assert_eq!(said, ["pulse b-1/1 5 s #4: recorded 5", "answer 3: done by 5"]);
}

#[test]
fn a_pulse_of_before_a_restart_and_one_that_may_have_been_driven_end_with_a_lockdown() {
    let journal = JournalEnd { id: JOURNAL.into(), seq: 7, ..JournalEnd::default() };
    let start = || Start { journal: journal.clone(), ..Start::default() };
    let locks_down =
        |rig: &mut Rig| rig.order(1, "entrance", "lock_down").contains(&"secure b-1/0 #11".to_owned());
    let mut rig = Rig::from(start());
    rig.board_up("b-1", CLOSED);
    assert!(locks_down(&mut rig), "somebody may have been let in a moment before");
    let mut rig = Rig::from(start());
    rig.board_up("b-1", CLOSED);
    assert!(!locks_down(rig.later_ms(16_000)), "no pulse lasts that long");

    let mut rig = connected();
    rig.tap("entrance-in", HOST);
    rig.recorded(3);
    rig.board("b-1", BoardEvent::Failed { ticket: 3, detail: "no echo".into() });
    let said = rig.order(1, "entrance", "lock_down");
    assert!(said.iter().any(|line| line.starts_with("secure b-1/0")), "{said:?}");
}

/// A board that takes more than five seconds is asked again, under the same number.
#[test]
fn who_ordered_a_door_shut_at_a_slow_board_is_answered_when_it_is() {
    let mut rig = unlocked("unlock");
    assert!(rig.order(2, "entrance", "lock").contains(&"secure b-1/0 #6".to_owned()));
    rig.recorded(6);
    assert_eq!(rig.later_ms(5000).tick(), ["secure b-1/0 #6"]);
    let said = rig.board("b-1", BoardEvent::Secured { ticket: 6 });
    assert_eq!(said, ["answer 2: done by 5"]);
}

#[test]
fn who_ordered_a_door_open_at_a_slow_board_is_answered_when_it_is() {
    let mut rig = connected();
    rig.order(1, "entrance", "unlock");
    rig.recorded(4);
    assert_eq!(rig.later_ms(5000).tick(), ["pulse b-1/0 10 s #4: recorded 4"]);
    assert_eq!(rig.pulsed("b-1", 4), ["answer 1: done by 3"]);
}
