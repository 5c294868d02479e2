//! The house of the world: four doors on two boards, as a configuration describes them, and what the daemon reads
//! central's messages with.

use std::time::Duration;

use latchd::{
    control::{
        clock::ClockSettings,
        leaf::LeafRules,
        settings::{
            BoardSettings, DoorSettings, InputSettings, ReaderSettings, RelockOn, RexSettings, Settings,
        },
    },
    domain::{BoardId, ControllerId, Direction, DoorId, ReaderId, ZoneId},
    wire::{
        UidHasher,
        inbox::Inbox,
        jws::{Trust, TrustedKey},
        record::schedule,
    },
};
use serde_json::{Value, json};

pub const CONTROLLER: &str = "oslo-1";
pub const JOURNAL: &str = "6f0e9c1e-1111-4222-8333-444455556666";
pub const ZONE: &str = "Europe/Oslo";
pub const RELEASE_WAIT: Duration = Duration::from_millis(20);
pub const STRIKE: Duration = Duration::from_secs(5);
pub const EXTENDED: Duration = Duration::from_secs(15);
/// Shorter than the default, so that a run of hours sees its end.
pub const HOLDOVER: Duration = Duration::from_secs(2 * 3600);
pub const MAX_STALE: Duration = Duration::from_secs(1800);
pub const STALE_AFTER: Duration = Duration::from_secs(4 * 3600);

pub const BOARDS: [&str; 2] = ["b-1", "b-2"];
/// Each door's board and coil. Its contact and its button are on the other board for the last one.
pub const DOORS: [(&str, usize, u8); 4] =
    [("entrance", 0, 0), ("side", 0, 1), ("vault", 1, 0), ("attic", 1, 1)];
const ZONES: [&[&str]; 4] = [&["all", "perimeter"], &["all", "perimeter"], &["all", "rooms"], &["rooms"]];
const RELOCK: [RelockOn; 4] = [RelockOn::Open, RelockOn::Timer, RelockOn::Close, RelockOn::Open];
/// Opens bookings in opening hours only.
const BUILDING_HOURS: usize = 1;
/// Is not released by a fire.
pub const NOT_ON_FIRE: usize = 1;
/// Opens nothing but standing grants when central was not heard for long.
pub const STALE_DOOR: usize = 2;
/// Is unlocked by a schedule; the second one waits for the first who is let in.
pub const SCHEDULED: [usize; 2] = [0, 3];
/// The input of the fire alarm, on the second board.
pub const FIRE: u8 = 7;

/// Board, contact and button of a door.
#[must_use]
pub fn wires(door: usize) -> (usize, u8, u8) {
    let (_, board, coil) = DOORS[door];
    let board = if door == DOORS.len() - 1 { 1 - board } else { board };
    // The last one's are behind the others'.
    let first = if door == DOORS.len() - 1 { 4 } else { 2 * coil };
    (board, first, first + 1)
}

#[must_use]
pub fn door_id(door: usize) -> DoorId {
    DoorId::new(DOORS[door].0).unwrap()
}

#[must_use]
pub fn door_no(id: &DoorId) -> Option<usize> {
    DOORS.iter().position(|(name, ..)| *name == id.as_str())
}

/// Each door has a reader of its name.
#[must_use]
pub fn reader_id(door: usize) -> ReaderId {
    ReaderId::new(DOORS[door].0).unwrap()
}

#[must_use]
pub fn board_id(n: usize) -> BoardId {
    BoardId::new(BOARDS[n]).unwrap()
}

#[must_use]
pub fn hasher() -> UidHasher {
    UidHasher::new(&[7; 32])
}

/// How messages are read that central has sent.
#[must_use]
pub fn inbox() -> Inbox {
    Inbox { controller: ControllerId::new(CONTROLLER).unwrap(), trust: Trust::Anyone, hasher: hasher() }
}

/// The same where nobody's key has signed them: every message is somebody else's.
#[must_use]
pub fn strict_inbox() -> Inbox {
    // The public key of RFC 8032's first example.
    let key = TrustedKey::new("central-1", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    Inbox { trust: Trust::Keys(vec![key]), ..inbox() }
}

/// The doors as the naive rules take them.
#[must_use]
pub fn naive_doors() -> Vec<Value> {
    let door =
        |n: usize| json!({ "id": DOORS[n].0, "zones": ZONES[n], "building_hours_only": n == BUILDING_HOURS });
    (0..DOORS.len()).map(door).collect()
}

fn input(n: usize, input: u8) -> InputSettings {
    InputSettings { board: board_id(n), input, invert: false }
}

fn door(n: usize) -> DoorSettings {
    let (name, board, coil) = DOORS[n];
    let (wired_to, contact, button) = wires(n);
    let hours = json!([{ "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "10:30", "to": "11:30" },
                       { "days": ["sat", "sun", "mon"], "from": "01:30", "to": "04:00" }]);
    DoorSettings {
        id: door_id(n),
        name: name.into(),
        zones: ZONES[n].iter().map(|zone| ZoneId::new(zone).unwrap()).collect(),
        board: board_id(board),
        coil,
        strike: STRIKE,
        extended: EXTENDED,
        leaf: LeafRules {
            seen_within: Duration::from_millis(200),
            held_open: Duration::from_secs(30),
            held_open_extended: Duration::from_secs(90),
            pre_alarm: Duration::from_secs(10),
        },
        relock_on: RELOCK[n],
        contact: Some(input(wired_to, contact)),
        rex: Some(RexSettings { input: input(wired_to, button), unlocks: true }),
        building_hours_only: n == BUILDING_HOURS,
        release_on_fire: n != NOT_ON_FIRE,
        unlock_schedule: SCHEDULED.contains(&n).then(|| schedule(&hours, "unlock_schedule").unwrap()),
        first_person_in: n == SCHEDULED[1],
        max_stale: (n == STALE_DOOR).then_some(MAX_STALE),
    }
}

#[must_use]
pub fn settings() -> Settings {
    let reader = |n: usize| ReaderSettings {
        id: reader_id(n),
        door: door_id(n),
        direction: Direction::In,
        driver: "pn532",
        is_insecure: false,
    };
    let board =
        |n: usize| BoardSettings { id: board_id(n), url: "modbus+tcp://x".into(), times_pulses: true };
    Settings {
        controller: ControllerId::new(CONTROLLER).unwrap(),
        version: "0.0.0",
        zone: ZONE.parse().unwrap(),
        doors: (0..DOORS.len()).map(door).collect(),
        readers: (0..DOORS.len()).map(reader).collect(),
        boards: (0..BOARDS.len()).map(board).collect(),
        fire: Some(input(1, FIRE)),
        clock: ClockSettings { require_sync: true, holdover: HOLDOVER },
        release_wait: RELEASE_WAIT,
        stale_after: STALE_AFTER,
        broker: "mqtt://broker".into(),
    }
}
