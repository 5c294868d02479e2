//! `status`: one screen. What needs a person stands first, worst first; then what there is.

use latchd::{
    domain::{ClockTrust, DoorAlarm},
    wire::control::{BoardReport, DoorReport, ReaderReport, RestartsReport, StatusReport, StoreReport},
};

use super::{
    Site, Style, Tone, count,
    doors::{self, worst_first},
    readers::{self, way},
    sync,
    table::{Cell, Table, pairs},
    tame,
    times::span,
};

/// Most problems shown, so that the screen stays one.
const MOST_PROBLEMS: usize = 5;

/// Lines that the problems and the doors share: of 24, what the other parts and the next prompt leave.
const SHARED: usize = 10;

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    tone: Tone,
    text: String,
}

impl Problem {
    fn bad(text: String) -> Self {
        Problem { tone: Tone::Bad, text }
    }

    fn warning(text: String) -> Self {
        Problem { tone: Tone::Warning, text }
    }
}

pub fn status(report: &StatusReport, style: Style) -> String {
    let site = Site::of(report);
    let head = head(report, style);
    let problems = problems(report, &site, style);
    let most_doors = SHARED.saturating_sub(problems.lines().count());
    let doors = door_table(report, most_doors, &site, style);
    [head, problems, doors, rest(report, &site, style)].join("\n")
}

/// Which controller this is, and since when it runs.
pub fn head(report: &StatusReport, style: Style) -> String {
    format!(
        "{} · latchd {} · {} · up {}\n",
        style.paint(Tone::Strong, report.controller.as_str()),
        tame(&report.version),
        report.time_zone.show(report.now),
        span(report.now.since(report.started_at)),
    )
}

/// What needs a person, worst first.
pub fn found(report: &StatusReport, site: &Site) -> Vec<(Tone, String)> {
    all_found(report, site).into_iter().map(|problem| (problem.tone, tame(&problem.text))).collect()
}

fn all_found(report: &StatusReport, site: &Site) -> Vec<Problem> {
    let mut found: Vec<Problem> = worst_first(&report.doors).into_iter().filter_map(door_problem).collect();
    found.extend(report.boards.iter().filter(|b| !b.connected).map(|b| board_problem(b, site)));
    found.extend(report.readers.iter().flat_map(|r| reader_problems(r, site)));
    if let Some(fault) = &report.journal.fault {
        found.push(Problem::bad(format!("journal: {fault}")));
    }
    found.extend(store_problem(&report.store, site));
    found.extend(own_problems(report, site));
    found.splice(0..0, fire_problem(report, site));
    found.extend(clock_problem(report));
    found.extend(sync_problems(report, site));
    // Stable: among equals the order above stays.
    found.sort_by_key(|p| p.tone != Tone::Bad);
    found
}

fn problems(report: &StatusReport, site: &Site, style: Style) -> String {
    let found = all_found(report, site);
    if found.is_empty() {
        return format!("{}\n", style.paint(Tone::Good, "all is well"));
    }
    let things =
        if found.len() == 1 { "1 thing needs".into() } else { format!("{} things need", found.len()) };
    let mut text = format!("{things} attention:\n");
    for problem in found.iter().take(MOST_PROBLEMS) {
        text += &format!("  {} {}\n", style.paint(problem.tone, "!"), tame(&problem.text));
    }
    if found.len() > MOST_PROBLEMS {
        text +=
            &format!("  and {} more, below or in latchctl doors and readers\n", found.len() - MOST_PROBLEMS);
    }
    text
}

/// Before anything else: people may be in danger, and doors stand open.
fn fire_problem(report: &StatusReport, site: &Site) -> Option<Problem> {
    let fire = report.fire.as_ref().filter(|fire| fire.raised)?;
    let since = fire.since.map(|t| format!(" since {}", site.brief(t))).unwrap_or_default();
    let doors: Vec<&str> = fire.doors.iter().map(|door| door.as_str()).collect();
    let doors = if doors.is_empty() {
        "no door is marked release_on_fire".to_owned()
    } else {
        format!("released: {}", doors.join(", "))
    };
    let lost = match fire.input {
        Some(_) => String::new(),
        None => format!("; board {} is lost, so nobody can say that it is over", fire.board),
    };
    Some(Problem::bad(format!("FIRE ALARM{since}; {doors}{lost}")))
}

/// What is wrong with the daemon itself.
fn own_problems(report: &StatusReport, site: &Site) -> Vec<Problem> {
    let refused = report.configuration.as_ref().and_then(|c| c.refused.as_ref());
    let refused = refused.map(|refused| {
        let at = site.brief(refused.at);
        Problem::bad(format!(
            "the configuration read at {at} was refused, the one before holds: {}",
            refused.error
        ))
    });
    let failing = report.failing.iter().map(|failing| {
        let RestartsReport { count: times, since, last_error, .. } = &failing.restarts;
        let (times, since) = (count(*times, "time"), site.brief(*since));
        Problem::warning(format!("{} has failed {times} since {since}: {last_error}", failing.part))
    });
    refused.into_iter().chain(failing).collect()
}

fn door_problem(door: &DoorReport) -> Option<Problem> {
    let fault = door.fault.as_ref().map(|fault| format!("lock fault: {fault}"));
    let said: Vec<String> = doors::alarm(door.alarm).map(str::to_owned).into_iter().chain(fault).collect();
    let text = format!("door {} ({}): {}", door.name, door.door, said.join("; "));
    match (door.alarm, said.is_empty()) {
        (DoorAlarm::None | DoorAlarm::Forced | DoorAlarm::HeldOpen, true) => None,
        (DoorAlarm::HeldOpen, false) if door.fault.is_none() => Some(Problem::warning(text)),
        (DoorAlarm::None | DoorAlarm::Forced | DoorAlarm::HeldOpen, false) => Some(Problem::bad(text)),
    }
}

fn board_problem(board: &BoardReport, site: &Site) -> Problem {
    let since = board.since.map(|t| format!(" since {}", site.brief(t))).unwrap_or_default();
    let why = board.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
    Problem::bad(format!("board {} ({}) lost{since}{why}", board.board, board.url))
}

fn reader_problems(reader: &ReaderReport, site: &Site) -> Vec<Problem> {
    let place = format!("{} at door {}, {}", reader.driver, reader.door, way(reader.direction));
    let named = |what: &str| format!("reader {} ({place}) {what}", reader.reader);
    let tamper = reader.tamper.then(|| Problem::bad(named("was opened or taken off the wall")));
    let fault = reader.fault.as_ref().map(|fault| Problem::warning(named(&format!("says: {fault}"))));
    let clear = "is spoken to in clear text; give it a key and a key_file";
    let insecure = reader.insecure.then(|| Problem::warning(named(clear)));
    reader_link(reader, site, named).into_iter().chain(tamper).chain(fault).chain(insecure).collect()
}

fn reader_link(reader: &ReaderReport, site: &Site, named: impl Fn(&str) -> String) -> Option<Problem> {
    let restarts = readers::restarts(reader, site);
    if reader.connected {
        return restarts.map(|restarts| Problem::warning(named(&format!("keeps failing: {restarts}"))));
    }
    let since = reader.since.map(|t| format!(" since {}", site.brief(t))).unwrap_or_default();
    let why = reader.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
    let restarts = restarts.map(|restarts| format!("; {restarts}")).unwrap_or_default();
    Some(Problem::bad(named(&format!("lost{since}{why}{restarts}"))))
}

fn clock_problem(report: &StatusReport) -> Option<Problem> {
    let detail = &report.clock.detail;
    match report.clock.trust {
        ClockTrust::Trusted => None,
        ClockTrust::Holdover => {
            Some(Problem::warning(format!("clock not synchronised now, trusted for a while: {detail}")))
        }
        ClockTrust::Untrusted => {
            Some(Problem::bad(format!("clock untrusted, so no booking opens a door: {detail}")))
        }
    }
}

/// Doors go on as they were; what central changes meanwhile does not reach them.
fn store_problem(store: &StoreReport, site: &Site) -> Option<Problem> {
    let why = store.detail.as_ref().filter(|_| store.state != "good")?;
    let since = store.since.map(|t| format!(" since {}", site.brief(t))).unwrap_or_default();
    Some(Problem::bad(format!("store failing{since}, doors go on from memory, no change is taken: {why}")))
}

fn sync_problems(report: &StatusReport, site: &Site) -> Vec<Problem> {
    let sync = &report.sync;
    let mut found = Vec::new();
    if sync.stale {
        found.push(Problem::bad(format!("central {}", sync::heard(sync, site))));
    }
    if !sync.connected {
        let since = sync.since.map(|t| format!(" since {}", site.brief(t))).unwrap_or_default();
        let why = sync.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
        found.push(Problem::warning(format!("not connected to {}{since}{why}", sync.broker)));
    }
    if sync.central_at.is_none() {
        found.push(Problem::warning("nothing has been synced: central was never heard".into()));
    }
    found.extend(sync::endings(sync, site).into_iter().map(|(tone, text)| Problem { tone, text }));
    if sync.rejected > 0 {
        found.push(Problem::warning(format!("{} from central refused", count(sync.rejected, "record"))));
    }
    found
}

fn door_table(report: &StatusReport, most: usize, site: &Site, style: Style) -> String {
    let last = site.heading("LAST LET IN");
    let mut table = Table::new(&["DOOR", "NAME", "MODE", "LOCK", "CONTACT", "ALARM", last.as_str()]);
    for door in worst_first(&report.doors).into_iter().take(most) {
        table.row(doors::state(door, site));
    }
    match report.doors.len() {
        0 => super::doors::NONE.into(),
        all if all <= most => table.show(style),
        all => table.show(style) + &format!("and {} more: see latchctl doors\n", all - most),
    }
}

/// Links, clock, journal: a line each.
pub fn rest(report: &StatusReport, site: &Site, style: Style) -> String {
    let readers = connected(report.readers.iter().map(|r| r.connected));
    let boards = connected(report.boards.iter().map(|b| b.connected));
    let (tone, trust) = match report.clock.trust {
        ClockTrust::Trusted => (Tone::Plain, "trusted"),
        ClockTrust::Holdover => (Tone::Warning, "holdover"),
        ClockTrust::Untrusted => (Tone::Bad, "untrusted"),
    };
    let journal = &report.journal;
    let journal = format!(
        "{} recorded, {} acknowledged by central, {} waiting",
        journal.recorded, journal.acknowledged, report.sync.queue
    );
    pairs(
        &[
            ("readers", readers),
            ("boards", boards),
            ("sync", sync::link(&report.sync, site)),
            ("position", sync::position(&report.sync).into()),
            ("central", sync::heard(&report.sync, site).into()),
            ("clock", Cell::toned(tone, &format!("{trust}: {}", report.clock.detail))),
            ("journal", journal.into()),
            ("store", store(&report.store)),
        ],
        style,
    )
}

fn store(store: &StoreReport) -> Cell {
    let tone = if store.state == "good" { Tone::Plain } else { Tone::Bad };
    Cell::toned(tone, &store.state)
}

fn connected(links: impl Iterator<Item = bool>) -> Cell {
    let links: Vec<bool> = links.collect();
    let up = links.iter().filter(|&&up| up).count();
    let tone = if up == links.len() { Tone::Plain } else { Tone::Bad };
    match links.len() {
        0 => "none configured".into(),
        all => Cell::toned(tone, &format!("{up} of {all} connected")),
    }
}

#[cfg(test)]
mod tests {
    use latchd::domain::At;

    use super::{super::samples, *};

    const PLAIN: Style = Style { colour: false };

    #[test]
    fn status_normal() {
        insta::assert_snapshot!(status(&samples::normal(), PLAIN), @r"
        oslo-1 · latchd 0.1.0 · Mon 2026-11-23 09:00:00 CET · up 3 h 12 min

        all is well

        DOOR      NAME           MODE      LOCK      CONTACT  LAST LET IN (CET)
        entrance  Main entrance  accessed  released  closed   08:59:58 m-17
        room-4    Møterom 4      locked    secure    closed

        readers   2 of 2 connected
        boards    1 of 1 connected
        sync      connected to mqtts://broker.example:8883 since 05:48:02
        position  epoch 3, change 1203; 812 credentials, 2100 grants
        central   last heard 12 s ago (08:59:48)
        clock     trusted: synchronised, off by 0.2 ms
        journal   501 recorded, 501 acknowledged by central, 0 waiting
        store     good
        ");
    }

    #[test]
    fn a_reader_that_keeps_failing_needs_attention_though_it_is_connected() {
        let mut report = samples::normal();
        report.readers[1].restarts = Some(RestartsReport {
            count: 12,
            since: At::parse("2026-11-23T07:12:00Z").unwrap(),
            last: At::parse("2026-11-23T07:59:30Z").unwrap(),
            last_error: "the line has vanished".into(),
        });
        let text = status(&report, PLAIN);
        let said = "! reader room-4-in (pn532 at door room-4, in) keeps failing: started over 12 times since 08:12, \
                    last at 08:59:30: the line has vanished\n";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn status_empty() {
        insta::assert_snapshot!(status(&samples::empty(), PLAIN), @r"
        new-1 · latchd 0.1.0 · Mon 2026-11-23 08:00:00 UTC · up 5 s

        1 thing needs attention:
          ! nothing has been synced: central was never heard

        no doors: the configuration has no [[doors]]

        readers   none configured
        boards    none configured
        sync      connected to mqtt://127.0.0.1:1883
        position  epoch 0, change 0, waiting for a snapshot; 0 credentials, 0 grants
        central   never heard
        clock     trusted: synchronised
        journal   0 recorded, 0 acknowledged by central, 0 waiting
        store     good
        ");
    }

    #[test]
    fn status_failing() {
        insta::assert_snapshot!(status(&samples::failing(), PLAIN), @r"
        oslo-1 · latchd 0.1.0 · Mon 2026-11-23 09:00:00 CET · up 3 h 12 min

        11 things need attention:
          ! door Møterom 4 (room-4): forced open
          ! door Cellar (cellar): lock fault: coil 2 did not read back as driven
          ! board board-2 (modbus+tcp://10.0.0.21:502) lost since 00:00: no route to host
          ! reader room-4-in (pn532 at door room-4, in) lost since 08:12: no answer on /dev/ttyUSB0
          ! journal: no space left on /var/lib/latchd
          and 6 more, below or in latchctl doors and readers

        DOOR      NAME           MODE      LOCK      CONTACT  ALARM        LAST LET IN (CET)
        room-4    Møterom 4      locked    secure    open     forced open
        entrance  Main entrance  accessed  released  open     held open    08:59:58 m-17
        cellar    Cellar         locked    unknown   unknown
        and 1 more: see latchctl doors

        readers   1 of 2 connected
        boards    1 of 2 connected
        sync      not connected to mqtts://broker.example:8883 since Sat 21 Nov 21:10: connection refused
        position  epoch 3, change 1203, waiting for changes; 812 credentials, 2100 grants
        central   last heard 1 d 11 h ago (Sat 21 Nov 21:09:58), longer ago than sync.stale_after_s
        clock     untrusted: not synchronised since the start
        journal   501 recorded, 480 acknowledged by central, 21 waiting
        store     failing
        ");
    }

    #[test]
    fn status_stays_one_screen_with_a_hundred_doors() {
        let mut report = samples::failing();
        let door = report.doors[0].clone();
        report.doors = (0..100)
            .map(|n| DoorReport { door: format!("d-{n:03}").parse().unwrap(), ..door.clone() })
            .collect();
        let text = status(&report, PLAIN);
        assert!(text.lines().count() <= 24, "{text}");
        assert!(text.contains("and 97 more: see latchctl doors\n"), "{text}");
    }
}
