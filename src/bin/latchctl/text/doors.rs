//! `doors`, and what `status` shows of them: those that need a person first.

use latchd::{
    domain::{Contact, DoorAlarm, DoorMode, LockState},
    wire::control::{CommandDone, DoorReport, LastPassage, Refusal},
};

use super::{
    Site, Style, Tone,
    table::{Cell, Table},
    tame,
};

/// Where there is none to show, or to command.
pub const NONE: &str = "no doors: the configuration has no [[doors]]\n";

pub fn doors(doors: &[DoorReport], site: &Site, style: Style) -> String {
    if doors.is_empty() {
        return NONE.into();
    }
    let mut table = Table::new(&[
        "DOOR".to_owned(),
        "NAME".into(),
        "MODE".into(),
        "LOCK".into(),
        "CONTACT".into(),
        "ALARM".into(),
        site.heading("LAST LET IN"),
        "BOARD".into(),
        "ZONES".into(),
        "FAULT".into(),
    ]);
    for door in worst_first(doors) {
        let mut row = state(door, site);
        let zones: Vec<&str> = door.zones.iter().map(|z| z.as_str()).collect();
        row.extend([
            door.board.as_str().into(),
            zones.join(" ").into(),
            Cell::toned(Tone::Bad, door.fault.as_deref().unwrap_or_default()),
        ]);
        table.row(row);
    }
    table.show(style)
}

/// The first columns only, worst first.
pub fn short(doors: &[DoorReport], site: &Site, style: Style) -> String {
    let last = site.heading("LAST LET IN");
    let mut table = Table::new(&["DOOR", "NAME", "MODE", "LOCK", "CONTACT", "ALARM", last.as_str()]);
    worst_first(doors).into_iter().for_each(|door| table.row(state(door, site)));
    if doors.is_empty() { String::new() } else { table.show(style) }
}

/// The worst that a door's row says.
pub fn tone(door: &DoorReport) -> Tone {
    match (alarm(door.alarm), &door.fault, mode(door.mode).0, door.lock) {
        (Some(_), ..) | (_, Some(_), ..) => Tone::Bad,
        (_, _, Tone::Plain, LockState::Unknown) => Tone::Warning,
        (_, _, of_mode, _) => of_mode,
    }
}

/// The first columns of every table of doors.
pub fn state(door: &DoorReport, site: &Site) -> Vec<Cell> {
    let (mode_tone, mode) = mode(door.mode);
    let (lock_tone, lock) = match door.lock {
        LockState::Secure => (Tone::Plain, "secure"),
        LockState::Released => (Tone::Good, "released"),
        LockState::Unknown => (Tone::Warning, "unknown"),
    };
    let contact = match door.contact {
        Contact::Open => "open",
        Contact::Closed => "closed",
        Contact::Unknown => "unknown",
    };
    let alarm = alarm(door.alarm).unwrap_or_default();
    vec![
        door.door.as_str().into(),
        door.name.as_str().into(),
        Cell::toned(mode_tone, mode),
        Cell::toned(lock_tone, lock),
        contact.into(),
        Cell::toned(Tone::Bad, alarm),
        door.last.as_ref().map(|last| passage(last, site)).unwrap_or_default().into(),
    ]
}

fn passage(last: &LastPassage, site: &Site) -> String {
    let who = last.holder.as_ref().map(|h| h.as_str()).or(last.credential.as_ref().map(|c| c.as_str()));
    match who {
        Some(who) => format!("{} {who}", site.brief(last.at)),
        None => site.brief(last.at),
    }
}

fn mode(mode: DoorMode) -> (Tone, &'static str) {
    match mode {
        DoorMode::Locked => (Tone::Plain, "locked"),
        DoorMode::Unlocked => (Tone::Warning, "unlocked"),
        DoorMode::Accessed => (Tone::Good, "accessed"),
        DoorMode::Blocked => (Tone::Warning, "blocked"),
        DoorMode::LockedDown => (Tone::Bad, "locked down"),
        DoorMode::LockedOpen => (Tone::Bad, "locked open"),
    }
}

pub fn alarm(alarm: DoorAlarm) -> Option<&'static str> {
    match alarm {
        DoorAlarm::None => None,
        DoorAlarm::Forced => Some("forced open"),
        DoorAlarm::HeldOpen => Some("held open"),
    }
}

/// Alarms, faults, unusual modes, unknown locks, the rest; each by id.
pub fn worst_first(doors: &[DoorReport]) -> Vec<&DoorReport> {
    let rank = |door: &DoorReport| match (door.alarm, &door.fault, mode(door.mode).0, door.lock) {
        (DoorAlarm::Forced, ..) => 0,
        (DoorAlarm::HeldOpen, ..) => 1,
        (DoorAlarm::None, Some(_), ..) => 2,
        (_, _, Tone::Bad | Tone::Warning, _) => 3,
        (_, _, _, LockState::Unknown) => 4,
        (_, _, _, LockState::Secure | LockState::Released) => 5,
    };
    let mut sorted: Vec<&DoorReport> = doors.iter().collect();
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.door.cmp(&b.door)));
    sorted
}

/// `door show`: everything about one.
pub fn door(door: &DoorReport, site: &Site, style: Style) -> String {
    doors(std::slice::from_ref(door), site, style)
}

/// What became of an order.
pub fn done(done: &CommandDone, site: &Site, style: Style) -> String {
    let name = tame(site.door(&done.door));
    let outcome = style.paint(Tone::Good, &tame(&format!("{} {}", done.action, done.outcome)));
    format!("{name}: {outcome} (journal entry {})\n", done.seq)
}

/// What became of one of several doors where it was not done.
pub fn not_done(name: &str, refusal: &Refusal, style: Style) -> String {
    format!("{}: {}\n", tame(name), style.paint(Tone::Bad, &tame(&refusal.message)))
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn doors_normal() {
        let report = samples::normal();
        insta::assert_snapshot!(doors(&report.doors, &Site::of(&report), PLAIN), @r"
        DOOR      NAME           MODE      LOCK      CONTACT  LAST LET IN (CET)  BOARD    ZONES
        entrance  Main entrance  accessed  released  closed   08:59:58 m-17      board-1  perimeter all
        room-4    Møterom 4      locked    secure    closed                      board-1  room-4
        ");
    }

    #[test]
    fn doors_empty() {
        insta::assert_snapshot!(doors(&[], &Site::of(&samples::empty()), PLAIN), @"no doors: the configuration has no [[doors]]");
    }

    #[test]
    fn doors_failing() {
        let report = samples::failing();
        insta::assert_snapshot!(doors(&report.doors, &Site::of(&report), PLAIN), @r"
        DOOR      NAME           MODE         LOCK      CONTACT  ALARM        LAST LET IN (CET)  BOARD    ZONES          FAULT
        room-4    Møterom 4      locked       secure    open     forced open                     board-1  room-4
        entrance  Main entrance  accessed     released  open     held open    08:59:58 m-17      board-1  perimeter all
        cellar    Cellar         locked       unknown   unknown                                  board-2                 coil 2 did not read back as driven
        atrium    Atrium         locked down  secure    closed                                   board-1
        ");
    }
}
