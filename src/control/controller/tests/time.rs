//! The clock's trust, and how long central was not heard.

use super::*;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn reasons(actions: &[Action]) -> Vec<Value> {
    entries(actions).iter().map(|e| e["reason"].clone()).filter(|r| !r.is_null()).collect()
}

fn tap(rig: &mut Rig, reader: &str, uid: &str) -> Value {
    let what = ReaderEvent::Tap(Uid::parse(uid).unwrap());
    let event = Event::Reader { reader: ReaderId::new(reader).unwrap(), what };
    reasons(&rig.handle(event)).remove(0)
}

#[test]
fn a_start_with_an_unknown_time_is_recorded_and_opens_no_booking() {
    let mut rig = Rig::from(Start { synchronised: false, ..Start::default() });
    assert_eq!(short(&rig.started), ["append 1 controller.started", "append 2 clock.untrusted"]);
    assert_eq!(entries(&rig.started)[0]["clock"], "untrusted");
    assert_eq!(tap(&mut rig, "entrance-in", HOST), "clock_untrusted");
    assert_eq!(tap(&mut rig, "entrance-in", SLOW), "standing", "who may always come needs no clock");
    rig.synchronised = true;
    assert_eq!(rig.tick()[0], "append 5 clock.trusted");
    assert_eq!(tap(&mut rig, "entrance-in", HOST), "in_window");
}

#[test]
fn a_member_refused_for_the_clocks_sake_is_shown_a_fault_and_no_refusal_of_the_card() {
    let mut rig = Rig::from(Start { synchronised: false, ..Start::default() });
    let shown = rig.tap("entrance-in", HOST);
    assert_eq!(shown, ["append 3 access.denied", "show Fault at entrance-in"]);
}

#[test]
fn each_change_of_the_clocks_trust_is_recorded_once() {
    let mut rig = Rig::new();
    rig.synchronised = false;
    assert_eq!(rig.later_ms(1000).tick(), [""; 0], "held over");
    let actions = rig.handle(Event::Reader {
        reader: ReaderId::new("entrance-in").unwrap(),
        what: ReaderEvent::Tap(Uid::parse(HOST).unwrap()),
    });
    assert_eq!(
        (&entries(&actions)[0]["clock"], &reasons(&actions)[0]),
        (&json!("holdover"), &json!("in_window"))
    );
    rig.recorded(2);
    rig.wall_off_s = 1800;
    assert_eq!(rig.later_ms(1000).tick(), ["append 3 clock.untrusted"]);
    assert_eq!(rig.later_ms(1000).tick(), [""; 0]);
    rig.wall_off_s = 0;
    rig.synchronised = true;
    assert_eq!(rig.later_ms(1000).tick(), ["append 4 clock.trusted"]);
}

#[test]
fn a_clock_earlier_than_what_was_recorded_is_not_trusted_whatever_the_kernel_says() {
    let journal = JournalEnd { seq: 7, at: At::parse("2026-11-23T09:00:06Z").ok(), ..JournalEnd::default() };
    let mut rig = Rig::from(Start { journal, ..Start::default() });
    assert_eq!(short(&rig.started)[1..], ["append 9 clock.untrusted"]);
    assert_eq!(rig.later_ms(1000).tick(), ["append 10 clock.trusted"], "5 s are allowed");
}

#[test]
fn a_clock_set_back_while_a_door_waits_for_the_disk_does_not_hold_the_door() {
    let mut rig = Rig::new();
    rig.tap("entrance-in", HOST);
    rig.wall_off_s = -86_400;
    let said = rig.later_ms(20).tick();
    assert_eq!(said, ["append 3 clock.untrusted", "mark late 2", "pulse b-1/0 5 s #2: late 2"]);
}

#[test]
fn central_not_heard_for_too_long_is_said_once_and_so_is_its_return() {
    let mut rig = Rig::new();
    assert_eq!(rig.later_ms(DAY_MS).tick(), [""; 0]);
    assert_eq!(rig.later_ms(1000).tick(), ["append 2 sync.stale"]);
    assert_eq!(rig.later_ms(1000).tick(), [""; 0]);
    rig.connect();
    let said = rig.changes(1, 3, 11, 11);
    assert_eq!(said, ["note heard", "apply to 11: 1 taken, 0 refused", "append 3 sync.fresh"]);
}

#[test]
fn a_door_may_be_stricter_about_it_than_the_site() {
    let mut rig = Rig::new();
    rig.later_ms(HOUR_MS);
    assert_eq!(tap(&mut rig, "vault-in", HOST), "in_window");
    rig.later_ms(1000);
    assert_eq!(tap(&mut rig, "vault-in", HOST), "cache_stale");
    assert_eq!(tap(&mut rig, "vault-in", SLOW), "standing");
    assert_eq!(tap(&mut rig, "entrance-in", HOST), "in_window");
}

#[test]
fn what_was_heard_while_the_clock_ran_ahead_does_not_keep_a_door_fresh_for_years() {
    let mut rig = Rig::new();
    rig.connect();
    rig.wall_off_s = 10 * 365 * 86_400;
    rig.synchronised = false;
    rig.later_ms(1000).changes(1, 3, 11, 11);
    (rig.wall_off_s, rig.synchronised) = (0, true);
    rig.later_ms(1000).tick();
    assert_eq!(tap(&mut rig, "vault-in", HOST), "in_window", "it was heard a second ago");
    rig.later_ms(HOUR_MS);
    assert_eq!(tap(&mut rig, "vault-in", HOST), "cache_stale");
}

#[test]
fn a_note_from_the_future_counts_as_never_heard() {
    let heard = Heard { central_at: At::parse("2036-11-23T09:00:00Z").ok() };
    let mut rig = Rig::from(Start { heard, ..Start::default() });
    assert_eq!(tap(&mut rig, "vault-in", HOST), "cache_stale");
}

#[test]
fn when_central_was_heard_is_noted_at_most_once_a_minute() {
    let mut rig = Rig::new();
    rig.connect();
    let mut noted = |n: u64, ms: u64| {
        let said = rig.later_ms(ms).changes(n, 3, 10 + n, 10 + n);
        rig.applied(3, 10 + n, Vec::new());
        said.iter().filter(|line| *line == "note heard").count()
    };
    assert_eq!([noted(1, 59_000), noted(2, 1000), noted(3, 1000)], [0, 1, 0]);
}

#[test]
fn every_thousandth_entry_leaves_a_checkpoint() {
    let journal = JournalEnd { seq: 998, ..JournalEnd::default() };
    let mut rig = Rig::from(Start { journal, ..Start::default() });
    let said = rig.tap("entrance-in", STRANGER);
    assert_eq!(said[..2], ["append 1000 access.denied", "note checkpoint 999"]);
}

#[test]
fn a_clock_set_back_an_hour_moves_neither_a_released_door_nor_a_timed_mode() {
    let run = |set_back: bool| {
        let mut rig = Rig::new();
        rig.board_up("b-1", 0b01);
        rig.tap("entrance-in", HOST);
        let mut said = rig.recorded(3);
        rig.order(1, "side", "unlock 30");
        rig.recorded(5);
        if set_back {
            rig.wall_off_s -= 3600;
        }
        // What becomes of both, second by second.
        let seconds: Vec<(u64, Vec<String>)> = (1..=60).map(|s| (s, rig.later_ms(1000).tick())).collect();
        for (s, lines) in seconds {
            // Entries have other numbers where the clock's are among them.
            let kinds = lines.iter().map(|line| {
                line.split(' ')
                    .filter(|word| word.trim_start_matches('#').parse::<u64>().is_err())
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            said.extend(kinds.filter(|kind| !kind.contains("clock")).map(|kind| format!("{s} s: {kind}")));
        }
        said
    };
    let undisturbed = run(false);
    assert!(undisturbed.iter().any(|line| line.contains("access.not_taken")), "{undisturbed:?}");
    assert!(undisturbed.iter().any(|line| line.starts_with("30 s: secure b-1/1")), "{undisturbed:?}");
    assert_eq!(run(true), undisturbed);
}

#[test]
fn who_was_let_in_on_a_booking_that_is_gone_is_forgotten_after_a_month() {
    for (days, expected) in [(29, false), (31, true)] {
        let came = At::parse(START).unwrap().plus_s(-days * 86_400);
        let mut let_in = LetIn::default();
        let_in.add("b-9".parse().unwrap(), "m-guest".parse().unwrap(), came);
        let rig = Rig::from(Start { let_in, ..Start::default() });
        assert_eq!(short(&rig.started).contains(&"forget b-9".to_owned()), expected, "after {days} days");
    }
}

#[test]
fn that_central_was_heard_in_the_future_counts_for_a_few_seconds_of_it() {
    for (ahead_s, stale) in [(5, false), (6, true)] {
        let heard = Heard { central_at: Some(At::parse(START).unwrap().plus_s(ahead_s)) };
        let rig = Rig::from(Start { heard, ..Start::default() });
        assert_eq!(rig.controller.sync_report().stale, stale, "{ahead_s} s ahead");
    }
}

#[test]
fn a_door_is_stale_after_its_time_and_not_at_it() {
    let mut rig = Rig::new();
    rig.later_ms(HOUR_MS);
    assert_eq!(
        tap(&mut rig, "vault-in", HOST),
        "in_window",
        "an hour, as configured, is not longer than that"
    );
    rig.later_ms(1000);
    assert_eq!(tap(&mut rig, "vault-in", HOST), "cache_stale");
}
