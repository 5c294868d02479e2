//! The clock: whether the kernel says that it is synchronised, and whether anything here would do that.

use latchd::{
    domain::At,
    drivers::{clock, kernel_clock},
    wire::metrics::KernelClock,
};

use super::{Finding, Patient};

const CHECK: &str = "clock";
/// Programs that keep time, where Debian puts them.
const KEEPERS: [(&str, &str); 4] = [
    ("systemd-timesyncd", "usr/lib/systemd/systemd-timesyncd"),
    ("chrony", "usr/sbin/chronyd"),
    ("ntpsec or ntp", "usr/sbin/ntpd"),
    ("openntpd", "usr/sbin/openntpd"),
];
/// Of a clock that was never set, in seconds of 1970: 1 January 2025.
const NEVER_SET_BEFORE: i64 = 1_735_689_600;

pub fn look(patient: &Patient) -> Vec<Finding> {
    judge(patient, kernel_clock::read().as_ref(), clock::wall())
}

fn judge(patient: &Patient, kernel: Option<&KernelClock>, now: At) -> Vec<Finding> {
    let is_required = patient.config.as_ref().is_none_or(|config| config.require_sync);
    let keeper = KEEPERS.iter().find(|(_, path)| patient.file(path).exists());
    let mut found = Vec::new();
    if now.secs() < NEVER_SET_BEFORE {
        let said = format!("the clock was never set: it says {}", now.utc().format("%Y-%m-%d"));
        found.push(Finding::problem(
            CHECK,
            said,
            "connect the box to a time server (timedatectl timesync-status)",
        ));
    }
    match (kernel, keeper) {
        (None, _) => found.push(Finding::note(CHECK, "the kernel does not say whether it is synchronised")),
        (Some(kernel), keeper) if kernel.synchronised => {
            let by = keeper.map(|(name, _)| format!(", kept by {name}")).unwrap_or_default();
            let off = kernel.max_error_s;
            found.push(Finding::good(CHECK, format!("synchronised{by}, right within {off:.1} s by the kernel's word")));
        }
        (Some(_), _) if !is_required => found.push(Finding::note(
            CHECK,
            "not synchronised, which clock.require_sync = false allows: who sets it decides when doors open",
        )),
        (Some(_), None) => found.push(Finding::problem(
            CHECK,
            "not synchronised, and nothing here would do that: bookings open no door",
            "apt-get install systemd-timesyncd, or chrony",
        )),
        (Some(_), Some((name, _))) => found.push(Finding::problem(
            CHECK,
            format!("not synchronised, though {name} is installed: bookings open no door once it was so for too long"),
            "does it run, and reach its server? (timedatectl timesync-status; NTP is UDP port 123)",
        )),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    fn kernel(synchronised: bool) -> KernelClock {
        KernelClock { synchronised, offset_s: 0.0, max_error_s: 0.25 }
    }

    #[test]
    fn a_clock_that_nothing_keeps_is_told_from_one_whose_server_is_away() {
        let now = At::parse("2026-11-26T08:00:00Z").unwrap();
        let (_a, bare) = patient(&[], Some(SITE));
        let (_b, kept) = patient(&[("usr/sbin/chronyd", "")], Some(SITE));
        let found = |p: &Patient, k: Option<&KernelClock>| said(&judge(p, k, now)).join("\n");
        let synchronised =
            "Good clock: synchronised, kept by chrony, right within 0.2 s by the kernel's word";
        assert_eq!(found(&kept, Some(&kernel(true))), synchronised);
        assert!(found(&bare, Some(&kernel(false))).contains("nothing here would do that"));
        assert!(found(&kept, Some(&kernel(false))).contains("though chrony is installed"));
        assert!(found(&kept, None).starts_with("Note"));
        let by_hand = SITE.replace("[mqtt]", "[clock]\nrequire_sync = false\n[mqtt]");
        let (_c, by_hand) = patient(&[], Some(&by_hand));
        assert!(found(&by_hand, Some(&kernel(false))).starts_with("Note"));
        let never = judge(&kept, Some(&kernel(true)), At::parse("1970-01-01T00:10:00Z").unwrap());
        assert!(said(&never)[0].contains("never set: it says 1970-01-01"));
    }
}
