//! What `docs/latchctl.md` shows: verbs in the order of the tool's own help, and calls of each, by where they are made. The
//! first word of a call is its verb.

pub type Call = &'static [&'static str];

pub const ANNA: &str = "04A1B2C3D4E5F6";
pub const STRANGER: &str = "04C0FFEE000001";

/// At a box that works, with people, cards and bookings.
pub const AT_A_SITE: &[Call] = &[
    &["status"],
    &["status", "--json"],
    &["doors"],
    &["doors", "--json"],
    &["door", "show", "entrance"],
    &["door", "access", "entrance", "--reason", "delivery"],
    &["door", "access", "entrance", "--json"],
    &["door", "unlock", "room-4", "--for", "2h", "--reason", "open day"],
    &["door", "lock", "room-4"],
    &["door", "block", "room-4"],
    &["door", "unblock", "room-4"],
    &["door", "lock-down", "--all", "--reason", "drill"],
    &["door", "access", "gym"],
    &["door", "lock-down-release", "--all"],
    &["door", "lock-open", "gym"],
    &["door", "lock-open-release", "gym"],
    &["door", "show", "cellar"],
    &["door", "test", "cellar", "--yes"],
    &["readers"],
    &["readers", "--json"],
    &["reader", "watch", "cellar"],
    &["board", "test", "cellar", "--yes"],
    &["credentials"],
    &["credentials", "--json"],
    &["credentials", "--holder", "m-nobody"],
    &["credential", "show", "c-anna"],
    &["credential", "show", "c-anna", "--json"],
    &["credential", "activate", "c-new", "--reason", "first visit"],
    &["credential", "suspend", "c-new", "--reason", "reported lost"],
    &["credential", "suspend", "c-new", "--json"],
    &["credential", "activate", "c-lost"],
    &["credential", "show", "c-404"],
    &["grants"],
    &["grants", "--json"],
    &["grants", "--holder", "m-nobody"],
    &["explain", "--door", "entrance", "--uid", ANNA],
    &["explain", "--door", "gym", "--credential", "c-anna"],
    &["explain", "--door", "gym", "--credential", "c-anna", "--json"],
    &["explain", "--door", "entrance", "--uid", STRANGER],
    &["explain", "--door", "entrance"],
    &["explain", "--event", "1000000"],
    &["events", "--type", "access.granted"],
    &["events", "--type", "access.granted", "--json"],
    &["events", "--type", "door.forced"],
    &["journal", "verify"],
    &["journal", "verify", "--json"],
    &["journal", "checkpoint", "--json"],
    &["journal", "export", "--from", "1000000"],
    &["log"],
    &["log", "debug"],
    &["log", "chatty"],
    &["backup", "oslo-1.backup"],
    &["backup", "oslo-1.backup"],
    &["restore", "nothing.backup"],
    &["restore", "/etc/hostname"],
    &["sync"],
    &["sync", "--json"],
    &["sync", "resync"],
    &["sync", "resync", "--wait"],
    &["monitor"],
    &["completions", "csh"],
];

pub const AT_AN_EMPTY_ONE: &[Call] = &[
    &["credentials"],
    &["credentials", "--json"],
    &["credential", "show", "c-anna"],
    &["grants"],
    &["grants", "--json"],
    &["explain", "--door", "entrance", "--uid", STRANGER],
    &["events", "--type", "access.granted"],
    &["events", "--type", "access.granted", "--json"],
    &["backup", "empty.backup", "--json"],
];

/// The configuration as it is installed: no board, no door, no reader.
pub const WITH_NOTHING_CONFIGURED: &[Call] = &[
    &["doors"],
    &["doors", "--json"],
    &["door", "lock-down", "--all"],
    &["door", "lock-down", "--all", "--json"],
    &["readers"],
    &["readers", "--json"],
];

pub const WITHOUT_A_DAEMON: &[Call] = &[
    &["status"],
    &["doors"],
    &["door", "access", "entrance", "--json"],
    &["readers"],
    &["reader", "watch"],
    &["board", "test", "board-1", "--yes"],
    &["credentials"],
    &["credential", "suspend", "c-anna"],
    &["grants"],
    &["explain", "--door", "entrance", "--uid", STRANGER],
    &["events"],
    &["journal", "verify"],
    &["log"],
    &["backup", "none.backup"],
    &["restore", "none.backup"],
    &["sync"],
    &["monitor"],
];

/// At a door whose board is answered by hands, of somebody who stands there.
pub const AT_THE_DOOR: &[Call] = &[
    &["door", "test", "entrance", "--yes", "--timeout", "15s"],
    &["reader", "watch", "entrance-in", "--count", "1"],
];

/// Where nobody stands there.
pub const WITH_NOBODY_THERE: &[Call] = &[
    &["door", "test", "gym", "--yes", "--timeout", "1s"],
    &["board", "test", "board-1", "--yes", "--timeout", "1s"],
];

/// By somebody who is in the observers' group only; and by somebody in none.
pub const BY_AN_OBSERVER: &[Call] = &[
    &["door", "access", "entrance"],
    &["door", "test", "entrance", "--yes"],
    &["reader", "watch"],
    &["board", "test", "board-1", "--yes"],
    &["credential", "suspend", "c-anna"],
    &["log", "debug"],
    &["backup", "/dev/shm/not-theirs.backup"],
    &["sync", "resync"],
];
pub const BY_A_STRANGER: &[Call] = &[&["status"]];
