//! Every order in every mode, and what is left of a mode when its time, or the daemon's, is over.

use super::*;
use crate::domain::ClockTrust;

fn now(s: u64) -> Now {
    let wall = At::parse("2026-11-23T09:00:00Z").unwrap().plus_s(s as i64);
    Now { mono: Mono(Duration::from_secs(1000 + s)), wall, trust: ClockTrust::Trusted }
}

fn order(name: &str) -> DoorOrder {
    let (action, for_s) = match name.split_once(' ') {
        Some((action, for_s)) => (action, Some(for_s.parse().unwrap())),
        None => (name, None),
    };
    DoorOrder::new(DoorAction::parse(action).unwrap(), for_s).unwrap()
}

/// The modes that these orders lead to, one a second.
fn after(orders: &[&str]) -> Modes {
    let mut modes = Modes::default();
    for (s, name) in orders.iter().enumerate() {
        modes = modes.ordered(now(s as u64), &order(name)).unwrap();
    }
    modes
}

fn shown(modes: Result<Modes, OrderRefusal>) -> &'static str {
    modes.map_or_else(OrderRefusal::as_str, |modes| modes.mode().as_str())
}

#[test]
fn every_order_in_every_mode() {
    let ways: [(&str, &[&str]); 6] = [
        ("locked", &[]),
        ("unlocked", &["unlock"]),
        ("unlocked for a time", &["unlock 60"]),
        ("blocked", &["block"]),
        ("locked down", &["lock_down"]),
        ("locked open", &["lock_open"]),
    ];
    let (down, open) = ("door_locked_down", "door_locked_open");
    let (not_down, not_open, not_blocked) = ("not_locked_down", "not_locked_open", "not_blocked");
    let table: [(&str, [&str; 6]); 11] = [
        ("access", ["locked", "unlocked", "unlocked", "door_blocked", down, open]),
        ("lock", ["locked", "locked", "locked", "locked", down, open]),
        ("unlock", ["unlocked", "unlocked", "unlocked", "unlocked", down, open]),
        ("unlock 30", ["unlocked", "unlocked", "unlocked", "unlocked", down, open]),
        ("block", ["blocked", "blocked", "blocked", "blocked", down, open]),
        ("unblock", [not_blocked, not_blocked, not_blocked, "locked", down, open]),
        ("lock_down", ["locked_down", "locked_down", "locked_down", "locked_down", down, open]),
        ("lock_down_release", [not_down, not_down, not_down, not_down, "locked", open]),
        ("lock_open", ["locked_open", "locked_open", "locked_open", "locked_open", down, open]),
        ("lock_open 30", ["locked_open", "locked_open", "locked_open", "locked_open", down, open]),
        ("lock_open_release", [not_open, not_open, not_open, not_open, down, "locked"]),
    ];
    for (name, row) in table {
        for ((from, way), expected) in ways.iter().zip(row) {
            assert_eq!(shown(after(way).ordered(now(9), &order(name))), expected, "{name} when {from}");
        }
    }
    let orders: std::collections::BTreeSet<&str> =
        table.iter().map(|(name, _)| name.split(' ').next().unwrap()).collect();
    assert_eq!(orders.len(), DoorAction::ALL.len());
}

#[test]
fn a_release_returns_to_what_was() {
    for (beneath, expected) in [
        (&[][..], "locked"),
        (&["unlock"], "unlocked"),
        (&["block"], "blocked"),
        (&["unlock 60"], "unlocked"),
    ] {
        for held in ["lock_down", "lock_open", "lock_open 30"] {
            let modes = after(&[beneath, &[held]].concat());
            let release = if held == "lock_down" { "lock_down_release" } else { "lock_open_release" };
            assert_eq!(shown(modes.ordered(now(9), &order(release))), expected, "{held} over {beneath:?}");
        }
    }
}

#[test]
fn a_timed_mode_ends_to_what_was_exactly_at_its_end() {
    for (orders, end_s, expected) in [
        (&["unlock 60"][..], 60, "locked"),
        (&["block", "unlock 60"], 61, "blocked"),
        (&["unlock", "unlock 60"], 61, "unlocked"),
        (&["lock_open 60"], 60, "locked"),
        (&["block", "lock_open 60"], 61, "blocked"),
        (&["unlock 600", "lock_open 60"], 61, "unlocked"),
    ] {
        let modes = after(orders);
        let before = modes.mode();
        assert_eq!(modes.end().unwrap().mono, now(end_s).mono, "{orders:?}");
        assert_eq!(modes.without_ended(now(end_s - 1)).mode(), before, "{orders:?}");
        assert_eq!(modes.without_ended(now(end_s)).mode().as_str(), expected, "{orders:?}");
    }
}

#[test]
fn a_time_that_ran_out_beneath_is_over_when_it_is_released() {
    for release in ["lock_down", "lock_open"] {
        let modes = after(&["unlock 60", release]);
        assert_eq!(modes.end(), None, "the time beneath is not the mode's");
        let released = order(&format!("{release}_release"));
        assert_eq!(shown(modes.ordered(now(59), &released)), "unlocked");
        assert_eq!(shown(modes.ordered(now(60), &released)), "locked");
    }
    let both = after(&["unlock 60", "lock_open 50"]);
    assert_eq!(both.without_ended(now(51)).mode().as_str(), "unlocked");
    assert_eq!(both.without_ended(now(90)).mode().as_str(), "locked");
}

#[test]
fn a_second_time_replaces_the_first_and_a_settled_order_ends_it() {
    let longer = after(&["unlock 60", "unlock 600"]);
    assert_eq!(longer.end().unwrap().mono, now(601).mono);
    assert_eq!(longer.without_ended(now(601)).mode().as_str(), "locked");
    let settled = after(&["unlock 60", "unlock"]);
    assert_eq!((settled.end(), settled.without_ended(now(9999)).mode()), (None, DoorMode::Unlocked));
}

#[test]
fn a_restart_keeps_every_mode_and_what_is_left_of_its_time() {
    for (orders, mode) in [
        (&[][..], "locked"),
        (&["unlock"], "unlocked"),
        (&["block"], "blocked"),
        (&["lock_down"], "locked_down"),
        (&["lock_open"], "locked_open"),
        (&["unlock 60"], "unlocked"),
        (&["block", "unlock 60"], "unlocked"),
        (&["unlock 600", "lock_open 60"], "locked_open"),
    ] {
        let modes = after(orders);
        // The clock nobody sets begins anew.
        let later = Now { mono: Mono(Duration::from_secs(5)), ..now(31) };
        let restored = Modes::restored(&modes.stored(7), later);
        assert_eq!(restored.mode().as_str(), mode, "{orders:?}");
        if let Some(end) = modes.end() {
            let left = end.wall.unwrap().since(later.wall);
            assert_eq!(restored.end().unwrap().mono.since(later.mono), left, "{orders:?}");
            assert!(left <= Duration::from_secs(60));
        }
        assert_eq!(restored.stored(7), modes.stored(7), "{orders:?}");
    }
}

#[test]
fn a_time_that_ran_out_while_nobody_looked_is_over() {
    for (orders, expected) in [
        (&["unlock 60"][..], "locked"),
        (&["block", "unlock 60"], "blocked"),
        (&["unlock 600", "lock_open 60"], "unlocked"),
        (&["unlock 60", "lock_down"], "locked_down"),
    ] {
        let restored = Modes::restored(&after(orders).stored(7), now(100));
        assert_eq!(restored.mode().as_str(), expected, "{orders:?}");
    }
    // To the second.
    let restored = Modes::restored(&after(&["unlock 60"]).stored(7), now(60));
    assert_eq!(restored.mode().as_str(), "locked");
    let released = Modes::restored(&after(&["unlock 60", "lock_down"]).stored(7), now(100));
    assert_eq!(shown(released.ordered(now(101), &order("lock_down_release"))), "locked");
}

#[test]
fn without_a_trusted_clock_what_opens_for_a_time_is_over_and_what_restricts_stays() {
    for (orders, expected) in [
        (&["unlock 600"][..], "locked"),
        (&["block", "unlock 600"], "blocked"),
        (&["lock_open 600"], "locked"),
        (&["unlock 600", "lock_open 600"], "locked"),
        (&["unlock"], "unlocked"),
        (&["lock_open"], "locked_open"),
        (&["block"], "blocked"),
        (&["lock_down"], "locked_down"),
        (&["unlock 600", "lock_down"], "locked_down"),
    ] {
        let doubtful = Now { trust: ClockTrust::Untrusted, ..now(10) };
        assert_eq!(
            Modes::restored(&after(orders).stored(7), doubtful).mode().as_str(),
            expected,
            "{orders:?}"
        );
        // Nor when the clock was in doubt as the order came.
        let mut modes = Modes::default();
        for name in orders {
            modes = modes.ordered(doubtful, &order(name)).unwrap();
        }
        assert_eq!(Modes::restored(&modes.stored(7), now(11)).mode().as_str(), expected, "{orders:?}");
    }
}

#[test]
fn a_clock_that_was_set_back_leaves_no_more_than_was_ordered() {
    let stored = after(&["unlock 60"]).stored(7);
    let earlier = Now { wall: At::parse("2026-11-23T03:00:00Z").unwrap(), ..now(20) };
    let left = Modes::restored(&stored, earlier).end().unwrap().mono.since(earlier.mono);
    assert_eq!(left, Duration::from_secs(60));
}

#[test]
fn the_journals_entries_lead_to_the_same_as_the_orders_did() {
    let ways: [&[&str]; 10] = [
        &["unlock 600", "block"],
        &["unlock 600", "lock"],
        &["unlock", "lock_down", "lock_down_release", "lock"],
        &["unlock 60", "lock_down", "lock_down_release"],
        &["block", "unlock 60", "lock_open 30", "lock_open_release"],
        &["unlock 60", "unlock"],
        &["unlock", "unlock 60"],
        &["block", "unblock", "lock_open"],
        &["lock_open 60", "lock_open_release", "block", "lock_down"],
        &["unlock 2", "lock_down", "block", "lock_down_release"],
    ];
    for orders in ways {
        let (mut modes, mut replayed) = (Modes::default(), StoredModes::default());
        for (s, name) in orders.iter().enumerate() {
            let Ok(next) = modes.ordered(now(s as u64), &order(name)) else { continue };
            modes = next;
            let timed = modes.end().map(|end| end.stored());
            let changed = Changed { seq: s as u64, to: modes.mode(), by: "anna", until: timed };
            replayed = replay(&replayed, changed);
            let restored = Modes::restored(&replayed, now(s as u64));
            assert_eq!(restored.mode(), modes.mode(), "{orders:?} after {name}");
        }
        let later = now(40);
        let own = Modes::restored(&modes.stored(0), later);
        assert_eq!(Modes::restored(&replayed, later).mode(), own.mode(), "{orders:?}");
    }
}

/// Until an hour from the start.
fn closing() -> At {
    now(3600).wall
}

#[test]
fn a_schedule_opens_what_is_locked_and_each_occurrence_does_so_once() {
    for (orders, expected) in [
        (&[][..], "unlocked"),
        (&["unlock"], "unlocked"),
        (&["block"], "blocked"),
        (&["lock_down"], "locked_down"),
        (&["lock_open"], "locked_open"),
        (&["unlock 60"], "unlocked"),
    ] {
        let opened = after(orders).scheduled(now(10), closing());
        assert_eq!(opened.mode().as_str(), expected, "{orders:?}");
        assert_eq!(opened.scheduled(now(11), closing()), opened, "{orders:?}");
    }
    let opened = Modes::default().scheduled(now(10), closing());
    assert_eq!((opened.is_scheduled(), opened.end().unwrap().mono), (true, now(3600).mono));
    assert_eq!(opened.without_ended(now(3599)).mode().as_str(), "unlocked");
    assert_eq!(opened.without_ended(now(3600)).mode().as_str(), "locked");
    let next = opened.scheduled(now(3600), now(7200).wall);
    assert_eq!(
        next.without_ended(now(3600)).mode().as_str(),
        "unlocked",
        "one follows the other without a gap"
    );
}

#[test]
fn no_restart_shortens_a_schedule() {
    let closes_at = At::from_parts(closing().secs(), 500_000_000).unwrap();
    let opened = Modes::default().scheduled(now(10), closes_at);
    let restored = Modes::restored(&opened.stored(7), now(10));
    assert_eq!(restored.end().map(|end| end.mono), opened.end().map(|end| end.mono));
}

#[test]
fn what_shows_the_schedule_again_has_ended_what_was_above_it() {
    let opened = Modes::default().scheduled(now(10), closing());
    let until = opened.end().map(|end| end.stored());
    let above = StoredModes { unlocked_until: Some(StoredEnd { at: None, for_s: 60 }), ..opened.stored(1) };
    let entry = Changed { seq: 2, to: DoorMode::Unlocked, by: "", until };
    assert_eq!(replay(&above, entry), opened.stored(2));
}

#[test]
fn orders_in_a_schedules_time() {
    let opened = Modes::default().scheduled(now(10), closing());
    let does = |orders: &[&str], s: u64| {
        let modes = orders.iter().try_fold(opened, |modes, name| modes.ordered(now(20), &order(name)));
        modes.map_or_else(OrderRefusal::as_str, |m| {
            m.without_ended(now(s)).scheduled(now(s), closing()).mode().as_str()
        })
    };
    assert_eq!(does(&["lock"], 30), "locked", "who locks it is not overruled");
    assert_eq!(does(&["unlock"], 4000), "unlocked", "nor who unlocks it for longer");
    assert_eq!(does(&["unlock 60"], 100), "unlocked", "after a time it is what it was");
    assert_eq!(does(&["unlock 60"], 4000), "locked");
    assert_eq!(does(&["block"], 30), "blocked");
    assert_eq!(does(&["block", "unblock"], 30), "unlocked");
    assert_eq!(does(&["lock_down", "lock_down_release"], 30), "unlocked");
    assert_eq!(does(&["lock_down", "lock_down_release"], 4000), "locked");
    assert_eq!(opened.unscheduled(Some(closing())), opened);
    assert_eq!(opened.unscheduled(None).mode().as_str(), "locked");
    assert_eq!(opened.unscheduled(Some(now(7200).wall)).mode().as_str(), "locked");
    assert_eq!(Modes::default().unscheduled(None), Modes::default());
    for above in ["unlock 60", "lock_down", "lock_open"] {
        assert!(!opened.ordered(now(20), &order(above)).unwrap().is_scheduled(), "{above} is above it");
    }
}

#[test]
fn a_schedule_outlasts_a_restart_and_so_does_having_been_overruled() {
    let opened = Modes::default().scheduled(now(10), closing());
    let restored = Modes::restored(&opened.stored(7), now(100));
    assert_eq!((restored.mode().as_str(), restored.end().unwrap().mono), ("unlocked", now(3600).mono));
    assert_eq!(Modes::shown(&opened.stored(7)).as_str(), "unlocked");
    let locked = opened.ordered(now(20), &order("lock")).unwrap();
    let restored = Modes::restored(&locked.stored(8), now(100));
    assert_eq!(restored.scheduled(now(100), closing()).mode().as_str(), "locked");
    let doubtful = Now { trust: ClockTrust::Untrusted, ..now(100) };
    assert_eq!(Modes::restored(&opened.stored(7), doubtful).mode().as_str(), "locked");
}

#[test]
fn a_schedule_and_what_was_ordered_in_its_time_are_told_by_the_journal_too() {
    let ways: [&[&str]; 6] = [
        &["lock"],
        &["block"],
        &["block", "unblock"],
        &["unlock 60"],
        &["lock_down", "lock_down_release"],
        &["unlock"],
    ];
    for orders in ways {
        let mut modes = Modes::default().scheduled(now(10), closing());
        let until = |modes: &Modes| modes.end().map(|end| end.stored());
        let changed = Changed { seq: 1, to: modes.mode(), by: BY_SCHEDULE, until: until(&modes) };
        let mut replayed = replay(&StoredModes::default(), changed);
        for (seq, name) in (2..).zip(orders) {
            modes = modes.ordered(now(20), &order(name)).unwrap();
            let changed = Changed { seq, to: modes.mode(), by: "anna", until: until(&modes) };
            replayed = replay(&replayed, changed);
        }
        for s in [30, 100, 4000] {
            let own = Modes::restored(&modes.stored(0), now(s)).scheduled(now(s), closing());
            let told = Modes::restored(&replayed, now(s)).scheduled(now(s), closing());
            assert_eq!(told.mode(), own.mode(), "{orders:?} at {s}");
        }
    }
}

#[test]
fn a_door_that_is_shut_keeps_what_restricts_it() {
    let until = Some(StoredEnd { at: None, for_s: 20 });
    let open = StoredModes {
        seq: 7,
        base: DoorMode::Blocked,
        scheduled_until: until,
        unlocked_until: until,
        held: Some((DoorMode::LockedOpen, None)),
        ..StoredModes::default()
    };
    let blocked = StoredModes { seq: 7, base: DoorMode::Blocked, ..StoredModes::default() };
    assert_eq!(shut(&open), blocked);
    assert_eq!(shut(&StoredModes { base: DoorMode::Unlocked, ..blocked }).base, DoorMode::Locked);
    let locked_down = StoredModes { held: Some((DoorMode::LockedDown, None)), ..blocked };
    assert_eq!(shut(&locked_down), locked_down);
}
