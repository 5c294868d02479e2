//! The leaf: every input in every state, the edges of its times, and a great many passages.

mod passages;

use super::*;

const RULES: LeafRules = LeafRules {
    seen_within: Duration::from_millis(200),
    held_open: Duration::from_secs(30),
    held_open_extended: Duration::from_secs(90),
    pre_alarm: Duration::from_secs(10),
};

fn at(ms: u64) -> Mono {
    Mono(Duration::from_millis(1_000_000 + ms))
}

fn released(of: u64, ms: u64) -> Input {
    Input::Released { of: Some(of), until: at(ms), extended: false }
}

/// A leaf after these inputs, and the facts of all of them.
fn after(inputs: &[(u64, Input)]) -> (Leaf, Vec<Fact>) {
    let (mut leaf, mut facts) = (Leaf::default(), Vec::new());
    for &(ms, input) in inputs {
        facts.extend(leaf.step(at(ms), &RULES, input));
    }
    (leaf, facts)
}

fn facts(inputs: &[(u64, Input)]) -> Vec<Fact> {
    after(inputs).1
}

const SHUT: (u64, Input) = (0, Input::Closed);

/// Every kind of state there is, as of 10,000 ms.
fn states() -> Vec<(&'static str, Vec<(u64, Input)>)> {
    let open = |more: &[(u64, Input)]| {
        [&[SHUT, (1, released(7, 5000)), (2, Input::Opened), (300, Input::Tick)], more].concat()
    };
    vec![
        ("unknown", vec![]),
        ("closed", vec![SHUT]),
        ("closed, granted", vec![SHUT, (9000, released(7, 14_000))]),
        ("closed, button down", vec![SHUT, (9000, Input::ExitPressed { until: at(14_000) })]),
        ("closed, free", vec![SHUT, (1, Input::Freed)]),
        ("opening, explained", vec![SHUT, (9000, released(7, 14_000)), (9900, Input::Opened)]),
        ("opening, unexplained", vec![SHUT, (9900, Input::Opened)]),
        ("shut again", vec![SHUT, (9500, Input::Opened), (9900, Input::Closed)]),
        ("open", open(&[])),
        ("open, free", open(&[(400, Input::Freed)])),
        ("held open", open(&[])),
        ("forced", vec![SHUT, (9000, Input::Opened), (9800, Input::Tick)]),
    ]
}

fn inputs() -> Vec<(&'static str, Input)> {
    vec![
        ("opened", Input::Opened),
        ("closed", Input::Closed),
        ("contact lost", Input::ContactLost),
        ("released", released(9, 15_000)),
        ("exit pressed", Input::ExitPressed { until: at(15_000) }),
        ("exit released", Input::ExitReleased),
        ("freed", Input::Freed),
        ("bound", Input::Bound),
        ("tick", Input::Tick),
    ]
}

fn named(leaf: &Leaf) -> &'static str {
    match (leaf.state, leaf.alarm) {
        (State::Open { .. }, DoorAlarm::Forced) => "forced",
        (State::Open { .. }, DoorAlarm::HeldOpen) => "held open",
        (State::Unknown, DoorAlarm::HeldOpen) => "unknown, was held open",
        (State::Unknown, DoorAlarm::Forced) => "unknown, was forced",
        (State::Unknown, _) => "unknown",
        (State::Closed, DoorAlarm::None) => "closed",
        (State::Closed, _) => "closed, with an alarm",
        (State::Opening { explained: true, .. }, _) => "opening, explained",
        (State::Opening { .. }, _) => "opening, unexplained",
        (State::ShutAgain { .. }, _) => "shut again",
        (State::Open { .. }, _) => "open",
    }
}

/// State by state: what each input makes of it, whether the door may then be opened, and the facts.
const TABLE: &str = "\
unknown
  opened         open:
  closed         closed:
  contact lost   unknown:
  released       unknown, may open:
  exit pressed   unknown, may open:
  exit released  unknown:
  freed          unknown, may open:
  bound          unknown:
  tick           unknown:
closed
  opened         opening, unexplained:
  closed         closed:
  contact lost   unknown:
  released       closed, may open:
  exit pressed   closed, may open:
  exit released  closed:
  freed          closed, may open:
  bound          closed:
  tick           closed:
closed, granted
  opened         opening, explained, may open:
  closed         closed, may open:
  contact lost   unknown, may open:
  released       closed, may open:
  exit pressed   closed, may open:
  exit released  closed, may open:
  freed          closed, may open:
  bound          closed, may open:
  tick           closed, may open:
closed, button down
  opened         opening, explained, may open:
  closed         closed, may open:
  contact lost   unknown, may open:
  released       closed, may open:
  exit pressed   closed, may open:
  exit released  closed, may open:
  freed          closed, may open:
  bound          closed, may open:
  tick           closed, may open:
closed, free
  opened         opening, explained, may open:
  closed         closed, may open:
  contact lost   unknown, may open:
  released       closed, may open:
  exit pressed   closed, may open:
  exit released  closed, may open:
  freed          closed, may open:
  bound          closed, may open:
  tick           closed, may open:
opening, explained
  opened         opening, explained, may open:
  closed         closed, may open:
  contact lost   unknown, may open:
  released       opening, explained, may open:
  exit pressed   opening, explained, may open:
  exit released  opening, explained, may open:
  freed          opening, explained, may open:
  bound          opening, explained, may open:
  tick           opening, explained, may open:
opening, unexplained
  opened         opening, unexplained:
  closed         closed:
  contact lost   unknown:
  released       opening, unexplained, may open:
  exit pressed   opening, explained, may open:
  exit released  opening, unexplained:
  freed          opening, unexplained, may open:
  bound          opening, unexplained:
  tick           opening, unexplained:
shut again
  opened         opening, unexplained:
  closed         shut again:
  contact lost   unknown:
  released       shut again, may open:
  exit pressed   closed, may open:
  exit released  shut again:
  freed          shut again, may open:
  bound          shut again:
  tick           shut again:
open
  opened         open:
  closed         closed: Shut
  contact lost   unknown:
  released       open, may open: Taken { of: 9 }
  exit pressed   open, may open:
  exit released  open:
  freed          open, may open:
  bound          open:
  tick           open:
open, free
  opened         open, may open:
  closed         closed, may open: Shut
  contact lost   unknown, may open:
  released       open, may open: Taken { of: 9 }
  exit pressed   open, may open:
  exit released  open, may open:
  freed          open, may open:
  bound          open, may open:
  tick           open, may open:
held open
  opened         held open:
  closed         closed: HeldOpenEnded, Shut
  contact lost   unknown, was held open:
  released       held open: Taken { of: 9 }
  exit pressed   held open, may open:
  exit released  held open:
  freed          open, may open: HeldOpenEnded
  bound          held open:
  tick           held open:
forced
  opened         forced:
  closed         closed: Shut
  contact lost   unknown, was forced:
  released       forced, may open: Taken { of: 9 }
  exit pressed   forced, may open:
  exit released  forced:
  freed          forced, may open:
  bound          forced:
  tick           forced:
";

#[test]
fn every_input_in_every_state() {
    let mut table = String::new();
    for (name, way) in states() {
        // Held open takes longer than the others: its time is counted back.
        let early = if name == "held open" { 30_000 } else { 0 };
        table += &format!("{name}\n");
        for (input_name, input) in inputs() {
            let (mut leaf, _) = after(&way);
            let now = at(10_000 + early);
            if early > 0 {
                leaf.step(now, &RULES, Input::Tick);
            }
            let facts = leaf.step(now, &RULES, input);
            let open = leaf.may_open(Mono(now.0 + Duration::from_millis(1)));
            let said: Vec<String> = facts.iter().map(|fact| format!("{fact:?}")).collect();
            let may = if open { ", may open" } else { "" };
            let line = format!("  {input_name:<14} {}{may}: {}", named(&leaf), said.join(", "));
            table += &format!("{}\n", line.trim_end());
        }
    }
    assert_eq!(table, TABLE);
}

#[test]
fn a_contact_that_bounces_is_no_opening_and_one_that_does_not_is_one() {
    for (closes, expected) in [(50, &[][..]), (250, &[]), (251, &[Fact::Forced])] {
        let found =
            facts(&[SHUT, (1000, Input::Opened), (1000 + closes, Input::Closed), (9000, Input::Tick)]);
        assert_eq!(found, expected, "{closes} ms");
    }
    let granted = [SHUT, (900, released(7, 5900)), (1000, Input::Opened)];
    let bounced = facts(&[&granted[..], &[(1050, Input::Closed), (6599, Input::Tick)]].concat());
    assert_eq!(bounced, [], "nobody has gone through");
    let over = facts(&[&granted[..], &[(1050, Input::Closed), (6600, Input::Tick)]].concat());
    assert_eq!(over, [Fact::NotTaken { of: 7 }]);
    let went = facts(&[&granted[..], &[(1250, Input::Tick)]].concat());
    assert_eq!(went, [Fact::Taken { of: 7 }, Fact::WentOpen]);
}

#[test]
fn a_button_seen_after_the_door_it_opened_explains_it_and_one_much_later_does_not() {
    let pressed = |ms| (ms, Input::ExitPressed { until: at(ms + 5000) });
    for (late, expected) in [(500, &[Fact::WentOpen][..]), (700, &[Fact::WentOpen]), (701, &[Fact::Forced])] {
        let found = facts(&[SHUT, (1000, Input::Opened), pressed(1000 + late), (9000, Input::Tick)]);
        assert_eq!(found, expected, "{late} ms");
    }
    let shut_again = [SHUT, (1000, Input::Opened), (1400, Input::Closed), pressed(1700), (9000, Input::Tick)];
    assert_eq!(facts(&shut_again), []);
    assert_eq!(
        facts(&[SHUT, (1000, Input::Opened), (1400, Input::Closed), (1700, Input::Tick)]),
        [Fact::Forced]
    );
}

#[test]
fn a_door_may_be_opened_until_its_time_is_over_and_a_moment_longer() {
    let opens = |ms| facts(&[SHUT, (1000, released(7, 6000)), (ms, Input::Opened), (ms + 700, Input::Tick)]);
    assert_eq!(opens(6700), [Fact::NotTaken { of: 7 }, Fact::WentOpen], "at the last moment");
    assert_eq!(opens(6701), [Fact::NotTaken { of: 7 }, Fact::Forced]);
    assert_eq!(opens(6699), [Fact::Taken { of: 7 }, Fact::WentOpen]);
}

#[test]
fn a_door_that_stands_open_is_warned_of_and_then_held_open_until_it_shuts() {
    let way = [SHUT, (1000, released(7, 6000)), (2000, Input::Opened), (2250, Input::Tick)];
    let (leaf, _) = after(&way);
    assert_eq!(leaf.deadline(&RULES), Some(at(22_000)));
    let mut leaf = leaf;
    assert_eq!(leaf.step(at(21_999), &RULES, Input::Tick), []);
    assert_eq!(leaf.step(at(22_000), &RULES, Input::Tick), [Fact::PreAlarm]);
    assert_eq!(leaf.step(at(31_999), &RULES, Input::Tick), []);
    assert_eq!(leaf.step(at(32_000), &RULES, Input::Tick), [Fact::HeldOpen]);
    assert_eq!((leaf.alarm(), leaf.deadline(&RULES)), (DoorAlarm::HeldOpen, None));
    assert_eq!(leaf.step(at(99_000), &RULES, Input::Closed), [Fact::HeldOpenEnded, Fact::Shut]);
    assert_eq!(leaf.alarm(), DoorAlarm::None);
}

#[test]
fn who_needs_longer_has_longer_and_the_next_one_has_not() {
    let slow = Input::Released { of: Some(7), until: at(16_000), extended: true };
    let (mut leaf, _) = after(&[SHUT, (1000, slow), (2000, Input::Opened), (81_999, Input::Tick)]);
    assert_eq!(leaf.alarm(), DoorAlarm::None);
    assert_eq!(leaf.step(at(82_000), &RULES, Input::Tick), [Fact::PreAlarm]);
    assert_eq!(leaf.step(at(92_000), &RULES, Input::Tick), [Fact::HeldOpen]);
    leaf.step(at(93_000), &RULES, Input::Closed);
    leaf.step(at(100_000), &RULES, released(8, 105_000));
    leaf.step(at(101_000), &RULES, Input::Opened);
    leaf.step(at(101_300), &RULES, Input::Tick);
    leaf.step(at(121_000), &RULES, Input::Tick);
    assert_eq!(leaf.step(at(131_000), &RULES, Input::Tick), [Fact::HeldOpen]);
}

#[test]
fn each_who_is_let_in_through_the_open_door_has_its_time() {
    let way = [
        SHUT,
        (1000, released(7, 6000)),
        (2000, Input::Opened),
        (2300, Input::Tick),
        (20_000, released(8, 25_000)),
    ];
    let (mut leaf, facts) = after(&way);
    assert_eq!(facts.last(), Some(&Fact::Taken { of: 8 }));
    assert_eq!(leaf.step(at(39_999), &RULES, Input::Tick), []);
    assert_eq!(leaf.step(at(40_000), &RULES, Input::Tick), [Fact::PreAlarm]);
}

#[test]
fn a_mode_that_keeps_the_door_open_ends_and_prevents_the_alarm() {
    let (mut leaf, _) = after(&[SHUT, (1, Input::Freed), (10, Input::Opened), (900_000, Input::Tick)]);
    assert_eq!(leaf.alarm(), DoorAlarm::None);
    assert_eq!(leaf.step(at(900_000), &RULES, Input::Bound), []);
    leaf.step(at(920_000), &RULES, Input::Tick);
    assert_eq!(leaf.step(at(930_000), &RULES, Input::Tick), [Fact::HeldOpen]);
    assert_eq!(leaf.step(at(931_000), &RULES, Input::Freed), [Fact::HeldOpenEnded]);
}

#[test]
fn a_button_that_is_stuck_is_said_once_and_explains_nothing_any_more() {
    let way = [SHUT, (0, Input::ExitPressed { until: at(5000) })];
    let (mut leaf, _) = after(&way);
    assert_eq!(leaf.deadline(&RULES), Some(at(60_000)));
    assert_eq!(leaf.step(at(59_999), &RULES, Input::Opened), []);
    assert_eq!(leaf.step(at(60_300), &RULES, Input::Tick), [Fact::WentOpen, Fact::ButtonStuck]);
    leaf.step(at(61_000), &RULES, Input::Closed);
    leaf.step(at(62_000), &RULES, Input::Opened);
    assert_eq!(leaf.step(at(62_700), &RULES, Input::Tick), [Fact::Forced]);
    assert_eq!(leaf.step(at(63_000), &RULES, Input::ExitReleased), [Fact::ButtonFreed]);
}

#[test]
fn where_a_door_is_found_is_no_event_but_counts_from_there() {
    let (mut leaf, facts) = after(&[(0, Input::Opened)]);
    assert_eq!(facts, []);
    leaf.step(at(20_000), &RULES, Input::Tick);
    assert_eq!(leaf.step(at(30_000), &RULES, Input::Tick), [Fact::HeldOpen]);
    // Its board is lost meanwhile, and it is shut when that is back.
    assert_eq!(leaf.step(at(31_000), &RULES, Input::ContactLost), []);
    assert_eq!(leaf.step(at(99_000), &RULES, Input::Closed), [Fact::HeldOpenEnded]);
}

#[test]
fn grants_nobody_takes_are_not_remembered_without_end() {
    let mut leaf = after(&[SHUT]).0;
    let said: Vec<Fact> = (0..100).flat_map(|n| leaf.step(at(n), &RULES, released(n, 5000 + n))).collect();
    assert_eq!(said.len(), 100 - PENDING_MAX);
    assert_eq!(leaf.step(at(9000), &RULES, Input::Tick).len(), PENDING_MAX);
}

#[test]
fn a_warning_that_would_come_with_the_opening_is_none() {
    let rules = LeafRules { pre_alarm: RULES.held_open, ..RULES };
    let mut leaf = Leaf::default();
    let mut facts = Vec::new();
    for (ms, input) in
        [SHUT, (1, released(7, 5000)), (2, Input::Opened), (300, Input::Tick), (20_000, Input::Tick)]
    {
        facts.extend(leaf.step(at(ms), &rules, input));
    }
    assert_eq!(facts, [Fact::Taken { of: 7 }, Fact::WentOpen]);
}

#[test]
fn a_button_that_is_pressed_too_late_explains_no_door_that_has_shut_again() {
    let pressed = |ms| {
        facts(&[
            SHUT,
            (100, Input::Opened),
            (400, Input::Closed),
            (ms, Input::ExitPressed { until: at(ms + 5000) }),
            (ms + 6000, Input::Tick),
        ])
    };
    assert!(!pressed(600).contains(&Fact::Forced));
    assert!(pressed(5000).contains(&Fact::Forced));
}
