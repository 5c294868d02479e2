//! The daemon itself: its unit, its version, and what it says is wrong; and the files that its configuration names.

use std::time::Duration;

use latchd::{daemon as program, wire::control::StatusReport};

use super::{Finding, Patient, system};

const CHECK: &str = "daemon";
const SYSTEMCTL_WITHIN: Duration = Duration::from_secs(5);
const PROPERTIES: &str =
    "--property=LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result,WatchdogUSec,Type";

/// What `latchd check` finds beyond the text.
pub fn files(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    let Some(config) = &patient.config else { return Vec::new() };
    let program::Findings { mistakes, unseen, remarks } = program::check(config);
    let mut found: Vec<Finding> = mistakes
        .into_iter()
        .map(|mistake| Finding::problem(CHECK, mistake, "mend it, and look with latchd check"))
        .collect();
    found.extend(unseen.into_iter().chain(remarks).map(|said| Finding::note(CHECK, said)));
    if !found.iter().any(|finding| finding.advice.is_some()) {
        found.push(Finding::good(CHECK, format!("{} is valid", patient.path.display())));
    }
    found
}

pub fn service(patient: &Patient) -> Vec<Finding> {
    let shown = system::said("systemctl", &["show", "latchd.service", PROPERTIES], SYSTEMCTL_WITHIN);
    let mut found = unit(shown.as_deref(), patient.status.is_ok());
    match &patient.status {
        Ok(status) => found.extend(answers(status)),
        Err(why) => found.push(Finding::problem(
            CHECK,
            format!("latchd can't be asked: {why}"),
            "start it (systemctl start latchd), and look why it ended (journalctl -u latchd -n 50)",
        )),
    }
    found
}

/// What systemd says of the unit.
fn unit(shown: Option<&str>, answers: bool) -> Vec<Finding> {
    let shown = shown.unwrap_or_default();
    let of = |key: &str| {
        let value = shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_default()
    };
    if of("LoadState").is_empty() {
        return vec![Finding::note(
            CHECK,
            "systemd does not answer here, so nothing is known of the service",
        )];
    }
    if of("LoadState") == "not-found" {
        let said =
            "systemd has no unit latchd.service: nothing starts it again when it ends, or after a power cut";
        let advice = "install the package, or systemd/latchd.service";
        return vec![if answers {
            Finding::note(CHECK, said)
        } else {
            Finding::problem(CHECK, said, advice)
        }];
    }
    let (state, sub, result) = (of("ActiveState"), of("SubState"), of("Result"));
    let mut found = Vec::new();
    match state {
        "active" => found.push(Finding::good(CHECK, "the service is running")),
        "activating" if sub == "auto-restart" => found.push(Finding::problem(
            CHECK,
            format!("the service ends ({result}), and is started again and again"),
            "look why: journalctl -u latchd -n 50",
        )),
        "activating" | "reloading" => found.push(Finding::note(CHECK, format!("the service is {state}"))),
        _ => found.push(Finding::problem(
            CHECK,
            format!("the service is {state} ({result})"),
            "systemctl start latchd; journalctl -u latchd -n 50",
        )),
    }
    if of("UnitFileState") == "disabled" {
        found.push(Finding::warning(
            CHECK,
            "the service is not started when the box starts",
            "systemctl enable latchd",
        ));
    }
    let restarts: u64 = of("NRestarts").parse().unwrap_or(0);
    if restarts > 0 && state == "active" {
        found.push(Finding::warning(
            CHECK,
            format!("systemd has had to start it again {restarts} times since it was last told to"),
            "look why it ended: journalctl -u latchd; then systemctl reset-failed latchd",
        ));
    }
    if of("WatchdogUSec") == "0" && state == "active" {
        found.push(Finding::note(
            CHECK,
            "the unit has no watchdog (WatchdogSec): a daemon that hangs stays hanging",
        ));
    }
    found
}

/// What it says of itself.
fn answers(status: &StatusReport) -> Vec<Finding> {
    let own = env!("CARGO_PKG_VERSION");
    let mut found = Vec::new();
    if status.version == own {
        found.push(Finding::good(CHECK, format!("latchd {own} answers")));
    } else {
        found.push(Finding::warning(
            CHECK,
            format!("latchd is {}, and this latchctl is {own}", status.version),
            "restart latchd after an upgrade: systemctl restart latchd",
        ));
    }
    if let Some(fault) = &status.journal.fault {
        let advice = "see disk; events are kept in memory until they can be written";
        found.push(Finding::problem(CHECK, format!("the journal can't be written: {fault}"), advice));
    }
    for reader in &status.readers {
        let id = &reader.reader;
        if !reader.connected {
            let why = reader.detail.as_deref().unwrap_or("not connected yet");
            let advice = "look at its cable and power; see devices and pcscd";
            found.push(Finding::problem(CHECK, format!("reader {id} is lost: {why}"), advice));
        }
        if reader.tamper {
            let advice = "somebody opened it or took it off the wall: look at it";
            found.push(Finding::problem(
                CHECK,
                format!("reader {id} says that it was tampered with"),
                advice,
            ));
        }
        if let Some(fault) = &reader.fault {
            found.push(Finding::warning(CHECK, format!("reader {id}: {fault}"), "look at its power supply"));
        }
        if reader.insecure {
            let said =
                format!("reader {id} is spoken to in clear text: who gets at its cable can show any card");
            found.push(Finding::warning(
                CHECK,
                said,
                "give it a key: latchd.toml(5), key_file of an OSDP reader",
            ));
        }
    }
    let faulty = status.doors.iter().filter_map(|door| Some((door, door.fault.as_ref()?)));
    found.extend(faulty.map(|(door, fault)| {
        let advice = format!("try its wiring: latchctl door test {}", door.door);
        Finding::problem(CHECK, format!("door {}: {fault}", door.door), advice)
    }));
    if status.sync.stale {
        let advice = "see broker; else ask whoever runs central";
        found.push(Finding::problem(
            CHECK,
            "central was not heard for longer than sync.stale_after_s",
            advice,
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};
    use crate::text::samples;

    fn of(text: &str, answers: bool) -> String {
        said(&unit(Some(text), answers)).join("\n")
    }

    #[test]
    fn a_unit_that_ended_restarts_or_is_not_enabled_is_found() {
        let running = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNRestarts=0\n\
            Result=success\nWatchdogUSec=30s\n";
        assert_eq!(of(running, true), "Good daemon: the service is running");
        assert!(of(&running.replace("NRestarts=0", "NRestarts=4"), true).contains("again 4 times"));
        assert!(
            of(&running.replace("=enabled", "=disabled"), true).contains("not started when the box starts")
        );
        assert!(of(&running.replace("WatchdogUSec=30s", "WatchdogUSec=0"), true).contains("no watchdog"));
        let failed = running.replace("=active", "=failed").replace("=success", "=exit-code");
        assert!(of(&failed, false).contains("Problem daemon: the service is failed (exit-code)"));
        let again = running.replace("=active", "=activating").replace("=running", "=auto-restart");
        assert!(of(&again, false).contains("started again and again"));
        assert!(of("LoadState=not-found\n", false).starts_with("Problem"));
        assert!(of("LoadState=not-found\n", true).starts_with("Note"));
        assert!(said(&unit(None, true))[0].starts_with("Note"));
    }

    #[test]
    fn what_the_daemon_says_of_itself_is_told() {
        assert_eq!(said(&answers(&samples::normal())), ["Good daemon: latchd 0.1.0 answers"]);
        let mut failing = samples::failing();
        failing.version = "9.9.9".into();
        let found = said(&answers(&failing)).join("\n");
        for part in [
            "latchd is 9.9.9",
            "no space left",
            "reader room-4-in is lost",
            "door cellar: coil 2",
            "central was",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}
