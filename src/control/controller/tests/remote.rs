//! Central's commands: at most once, in their time, recorded, answered.

use std::collections::BTreeSet;

use super::{super::pulses::ticket, *};
use crate::{
    control::{Reload, index::DoorNo},
    domain::DoorMode,
    wire::{
        command::{Command, Unread, command},
        jws::Trust,
    },
};

/// The site's wall clock when a test begins, and the time commands of the tests have.
fn wall(plus_s: i64) -> String {
    At::parse(START).unwrap().plus_s(plus_s).to_string()
}

fn message(id: &str, action: &str, door: &str) -> Value {
    json!({"controller": "oslo-1", "id": id, "issued_at": wall(0), "expires_at": wall(60), "by": "anna@central",
        "action": action, "door": door})
}

fn read(message: &Value, is_retained: bool) -> Result<Command, Unread> {
    let own = ControllerId::new("oslo-1").unwrap();
    command(message.to_string().as_bytes(), is_retained, &Trust::Anyone, &own)
}

impl Rig {
    fn bid(&mut self, token: u64, message: &Value) -> Vec<String> {
        let message = read(message, false);
        self.uplink(UplinkEvent::Command { token, message })
    }

    fn remembered(&mut self, id: &str) -> Vec<String> {
        self.when(Event::Cache(CacheEvent::Remembered { id: CommandId::new(id).unwrap() }))
    }

    /// From the message to what is done before any entry is on disk.
    fn bidden(&mut self, id: &str, action: &str, door: &str) -> Vec<String> {
        assert_eq!(self.bid(1, &message(id, action, door)), [format!("remember {id}")]);
        self.remembered(id)
    }

    /// The same, and then the entries are on disk.
    fn ordered(&mut self, id: &str, action: &str, door: &str) -> Vec<String> {
        let mut said = self.bidden(id, action, door);
        let last =
            said.iter().filter_map(|line| line.strip_prefix("append ")?.split(' ').next()?.parse().ok());
        if let Some(last) = last.max() {
            said.extend(self.recorded(last));
        }
        said
    }
}

fn up() -> Rig {
    let mut rig = Rig::new();
    rig.board_up("b-1", 1);
    rig.board_up("b-2", 1);
    rig.recorded(3);
    rig.connect();
    rig.ack(JOURNAL, 3);
    rig.later_ms(10_000).tick();
    rig
}

fn results(said: &[String]) -> Vec<&str> {
    said.iter().filter(|line| line.starts_with("result")).map(String::as_str).collect()
}

#[test]
fn access_is_remembered_recorded_driven_and_answered_in_this_order() {
    let mut rig = up();
    assert_eq!(rig.bid(7, &message("cmd-7", "access", "entrance")), ["remember cmd-7"]);
    let said = rig.remembered("cmd-7");
    assert_eq!(said[..2], ["done 7", "append 4 command.executed"]);
    assert!(!said.iter().any(|line| line.starts_with("pulse")), "{said:?}");
    assert!(rig.recorded(4).contains(&"pulse b-1/0 5 s #4: recorded 4".to_owned()));
    assert_eq!(results(&rig.pulsed("b-1", 4)), ["result cmd-7 Done"]);
}

#[test]
fn who_asked_for_what_stands_in_its_entry() {
    let mut rig = up();
    rig.bid(7, &message("cmd-7", "access", "entrance"));
    let id = CommandId::new("cmd-7").unwrap();
    let actions = rig.handle(Event::Cache(CacheEvent::Remembered { id }));
    let entry = entries(&actions).remove(0);
    let expected = json!({"seq": 4, "at": entry["at"], "type": "command.executed", "id": "cmd-7",
        "action": "access", "by": "anna@central", "door": "entrance", "reason": "done"});
    assert_eq!(entry, expected);
}

#[test]
fn a_board_that_does_not_do_it_is_said() {
    let mut rig = up();
    rig.ordered("cmd-7", "access", "entrance");
    let said = rig.board("b-1", BoardEvent::Failed { ticket: 4, detail: "no answer".into() });
    assert_eq!(results(&said), ["result cmd-7 Refused: lock_fault"]);
}

#[test]
fn the_same_command_is_never_carried_out_twice() {
    let mut rig = up();
    rig.bid(1, &message("cmd-7", "access", "entrance"));
    // While the first is on its way to the disk, after it, and in the next life.
    let refused = ["done 2", "append 4 command.rejected", "result cmd-7 Refused: duplicate"];
    assert_eq!(rig.bid(2, &message("cmd-7", "access", "entrance")), refused);
    rig.remembered("cmd-7");
    let said = rig.bid(3, &message("cmd-7", "lock", "side"));
    assert_eq!(said[2], "result cmd-7 Refused: duplicate", "by its id, whatever it says");
    let commands = vec![(CommandId::new("cmd-7").unwrap(), At::parse(&wall(60)).unwrap())];
    let mut next = Rig::from(Start { commands, ..Start::default() });
    next.connect();
    assert_eq!(
        results(&next.bid(1, &message("cmd-7", "access", "entrance"))),
        ["result cmd-7 Refused: duplicate"]
    );
}

#[test]
fn a_command_has_its_time() {
    let with = |issued_s: i64, expires_s: i64| {
        let mut message = message("cmd-7", "access", "entrance");
        message["issued_at"] = json!(wall(issued_s));
        message["expires_at"] = json!(wall(expires_s));
        message
    };
    // The rig's clock stands at ten seconds.
    for (issued_s, expires_s, expected) in [
        (0, 11, None),
        (0, 10, Some("expired")),
        (-400, -100, Some("expired")),
        (-290, 10, Some("expired")),
        (-289, 11, None),
        (-290, 11, Some("expires_too_late")),
        (10, 310, None),
        (70, 80, None),
        (71, 80, Some("not_yet_issued")),
        (20, 15, None),
    ] {
        let said = up().bid(1, &with(issued_s, expires_s));
        let refusal = expected.map(|why| format!("result cmd-7 Refused: {why}"));
        assert_eq!(results(&said).first().copied(), refusal.as_deref(), "{issued_s} to {expires_s}");
        assert_eq!(said[0] == "remember cmd-7", expected.is_none(), "{said:?}");
    }
}

#[test]
fn one_that_expires_while_the_disk_is_slow_is_not_carried_out() {
    let mut rig = up();
    rig.bid(1, &message("cmd-7", "access", "entrance"));
    let said = rig.later_ms(50_000).remembered("cmd-7");
    assert_eq!(said[..2], ["done 1", "append 4 command.rejected"]);
    assert_eq!(results(&said), ["result cmd-7 Refused: expired"]);
}

#[test]
fn none_is_carried_out_while_the_clock_is_not_trusted() {
    let mut rig = up();
    rig.synchronised = false;
    rig.wall_off_s = -30;
    let said = rig.bid(1, &message("cmd-7", "lock_down", "*"));
    assert_eq!(results(&said), ["result cmd-7 Refused: clock_untrusted"]);
    (rig.synchronised, rig.wall_off_s) = (true, 0);
    rig.tick();
    assert_eq!(rig.bid(2, &message("cmd-7", "lock_down", "*")), ["remember cmd-7"], "it was not used up");
    rig.wall_off_s = -30;
    rig.synchronised = false;
    let said = rig.remembered("cmd-7");
    assert_eq!(results(&said), ["result cmd-7 Refused: clock_untrusted"], "nor between");
}

#[test]
fn one_that_cannot_be_remembered_is_not_carried_out() {
    let mut rig = up();
    rig.bid(1, &message("cmd-7", "access", "entrance"));
    let id = CommandId::new("cmd-7").unwrap();
    let said = rig.when(Event::Cache(CacheEvent::NotRemembered { id, detail: "no space".into() }));
    assert_eq!(said, ["done 1", "append 4 command.rejected", "result cmd-7 Refused: not_recorded"]);
}

#[test]
fn what_is_not_understood_is_answered_and_recorded() {
    for (message, retained, why) in [
        (message("cmd-7", "explode", "entrance"), false, "unknown_action"),
        (message("cmd-7", "access", "a/b"), false, "malformed"),
        (message("cmd-7", "access", "entrance"), true, "retained"),
    ] {
        let mut rig = up();
        let said = rig.uplink(UplinkEvent::Command { token: 1, message: read(&message, retained) });
        assert_eq!(said[..2], ["done 1", "append 4 command.rejected"], "{message}");
        assert_eq!(results(&said), [format!("result cmd-7 Refused: {why}")]);
    }
    let mut rig = up();
    let said = rig.bid(1, &message("a/b", "access", "entrance"));
    assert_eq!(said, ["done 1", "append 4 command.rejected"], "there is nobody to answer");
    let said = rig.ordered("cmd-8", "access", "attic");
    assert_eq!(results(&said), ["result cmd-8 Refused: unknown_door"]);
}

#[test]
fn an_action_nobody_knows_is_reported_in_sync() {
    let mut rig = up();
    rig.bid(1, &message("cmd-7", "explode", "entrance"));
    rig.ordered("cmd-8", "resync", "*");
    let actions = rig.later_ms(70_000).handle(Event::Tick);
    let rejected = actions.iter().find_map(|action| {
        let Action::Uplink(UplinkCommand::Sync(sync)) = action else { return None };
        Some(sync.rejected)
    });
    assert_eq!(rejected, Some(1));
}

#[test]
fn resync_asks_for_a_snapshot() {
    let mut rig = up();
    let said = rig.ordered("cmd-7", "resync", "*");
    assert!(said.contains(&"sync 3/10 wants snapshot".to_owned()), "{said:?}");
    assert_eq!(results(&said), ["result cmd-7 Done"]);
}

#[test]
fn every_door_is_meant_by_a_star_and_those_that_refuse_are_named() {
    let mut rig = up();
    rig.ordered("cmd-1", "lock_down", "side");
    let said = rig.ordered("cmd-2", "block", "*");
    assert_eq!(results(&said), ["result cmd-2 Done: partly at side (door_locked_down)"]);
    let modes = ["entrance", "side", "vault"].map(|door| rig.door(door).mode);
    assert_eq!(modes, [DoorMode::Blocked, DoorMode::LockedDown, DoorMode::Blocked]);
    let said = rig.ordered("cmd-3", "lock_open_release", "*");
    assert_eq!(
        results(&said),
        [
            "result cmd-3 Refused: not_locked_open at entrance (not_locked_open), side (door_locked_down), vault (not_locked_open)"
        ],
        "none took it"
    );
}

#[test]
fn a_lockdown_takes_effect_before_any_disk_has_it() {
    let mut rig = up();
    let said = rig.bidden("cmd-1", "lock_down", "*");
    assert_eq!(results(&said), [""; 0], "what is said to be done outlasts a power cut");
    assert_eq!(rig.door("vault").mode, DoorMode::LockedDown);
    let denied = rig.handle(Event::Reader {
        reader: ReaderId::new("entrance-in").unwrap(),
        what: ReaderEvent::Tap(Uid::parse(HOST).unwrap()),
    });
    assert_eq!(entries(&denied)[0]["reason"], "door_locked_down");
    assert_eq!(results(&rig.recorded(20)), ["result cmd-1 Done"]);
}

#[test]
fn a_mode_is_set_though_a_board_does_not_confirm_and_that_is_said() {
    let mut rig = up();
    rig.ordered("cmd-1", "unlock", "entrance");
    let said = rig.board("b-1", BoardEvent::Failed { ticket: 5, detail: "no answer".into() });
    assert_eq!(results(&said), ["result cmd-1 Done: lock_fault"]);
    assert_eq!(rig.door("entrance").mode, DoorMode::Unlocked);
}

#[test]
fn access_to_every_door_is_answered_when_the_last_has_confirmed() {
    let mut rig = up();
    let said = rig.bidden("cmd-7", "access", "*");
    let entries: Vec<&String> = said.iter().filter(|line| line.ends_with("command.executed")).collect();
    assert_eq!(
        entries,
        ["append 4 command.executed", "append 5 command.executed", "append 6 command.executed"]
    );
    rig.recorded(6);
    assert_eq!(results(&rig.pulsed("b-1", 4)), [""; 0]);
    assert_eq!(results(&rig.pulsed("b-2", ticket(6, DoorNo(2)))), [""; 0]);
    assert_eq!(results(&rig.pulsed("b-1", ticket(5, DoorNo(1)))), ["result cmd-7 Done"]);
}

#[test]
fn a_timed_unlock_ends_by_itself() {
    let mut rig = up();
    let mut order = message("cmd-7", "unlock", "entrance");
    order["for_s"] = json!(30);
    rig.bid(1, &order);
    rig.remembered("cmd-7");
    rig.recorded(5);
    assert_eq!(results(&rig.pulsed("b-1", 5)), ["result cmd-7 Done"]);
    assert_eq!(rig.door("entrance").mode, DoorMode::Unlocked);
    rig.later_ms(30_000).tick();
    assert_eq!(rig.door("entrance").mode, DoorMode::Locked);
}

#[test]
fn a_command_counts_as_having_heard_central_and_a_refused_one_does_not() {
    let heard = |rig: &Rig| rig.controller.sync_report().central_at;
    let mut rig = up();
    let before = heard(&rig);
    rig.later_ms(1000).bid(1, &message("cmd-7", "explode", "entrance"));
    assert_eq!(heard(&rig), before);
    rig.ordered("cmd-8", "lock", "entrance");
    assert!(heard(&rig) > before);
}

/// Anybody can send them, where nothing is signed.
#[test]
fn a_flood_of_refused_ones_is_answered_but_not_recorded_one_by_one() {
    let mut rig = up();
    let mut entries = 0;
    for n in 0..1500 {
        let said = rig.bid(n, &message(&format!("cmd-{n}"), "explode", "entrance"));
        assert_eq!(results(&said).len(), 1);
        entries += said.iter().filter(|line| line.ends_with("command.rejected")).count();
    }
    assert_eq!(entries, 1000);
    let said = rig.later_ms(60_000).tick();
    assert_eq!(
        said.iter().filter(|line| line.ends_with("command.rejected")).count(),
        1,
        "the sum of the rest"
    );
}

#[test]
fn what_was_answered_when_a_connection_ended_is_answered_again_on_the_next_until_it_has_expired() {
    let mut rig = up();
    rig.bidden("cmd-7", "access", "entrance");
    rig.recorded(4);
    rig.disconnect();
    assert_eq!(results(&rig.pulsed("b-1", 4)), [""; 0], "there is nobody to tell");
    assert_eq!(results(&rig.connect()), ["result cmd-7 Done"]);
    rig.disconnect();
    assert_eq!(results(&rig.connect()), ["result cmd-7 Done"], "it may have gone with the connection");
    rig.disconnect();
    assert_eq!(results(&rig.later_ms(300_000).connect()), [""; 0]);
}

#[test]
fn at_a_box_without_doors_a_star_means_none() {
    let mut rig = up();
    let mut settings = Box::new(rig.controller.settings.clone());
    settings.doors.clear();
    settings.readers.clear();
    let reload = Reload::Taken { settings, boards: BTreeSet::new(), readers: BTreeSet::new() };
    rig.when(Event::Reload(reload));
    let said = rig.ordered("cmd-7", "lock_down", "*");
    assert_eq!(results(&said), ["result cmd-7 Refused: unknown_door"]);
}

/// Whoever reads the journal tells refusals apart by these words.
#[test]
fn why_a_command_was_rejected_is_recorded_in_the_words_of_the_wire() {
    let mut rig = up();
    rig.ordered("cmd-1", "block", "side");
    let mut reason = |id: &str, action: &str, door: &str| {
        let message = message(id, action, door);
        let event = Event::Uplink(UplinkEvent::Command { token: 9, message: read(&message, false) });
        let mut actions = rig.handle(event);
        let remembered = CacheEvent::Remembered { id: CommandId::new(id).unwrap() };
        actions.extend(rig.handle(Event::Cache(remembered)));
        let all = entries(&actions);
        let rejected = all.iter().find(|entry| entry["type"] == "command.rejected");
        rejected.map(|entry| entry["reason"].clone())
    };
    assert_eq!(reason("cmd-2", "access", "side"), Some(json!("door_blocked")));
    assert_eq!(reason("cmd-3", "explode", "side"), Some(json!("unknown_action")));
    assert_eq!(reason("cmd-4", "access", "attic"), Some(json!("unknown_door")));
    assert_eq!(reason("cmd-5", "access", "entrance"), None);
}
