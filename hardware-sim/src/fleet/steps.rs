//! The fleet's day: what all of them do, and how long it takes.

use super::FleetError;
use super::site::{DOOR, Site, member};
use crate::broker::BrokerError;
use crate::time::now;
use crate::until_told::say;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// What any step may take for any of them; the wire's longest back-off is a minute.
const WITHIN: Duration = Duration::from_secs(120);

/// Says what the columns are.
pub fn head() {
    say(format_args!("{:<52} {:>9}  {:>9}  {:>9}", "", "quickest", "middle", "slowest"));
}

/// Starts them all, with members to be sent as soon as they ask.
pub fn start(sites: &mut [Site], latchd: &Path, members: u32) -> Result<(), FleetError> {
    let records: Vec<_> = (0..members).flat_map(member).collect();
    for site in &mut *sites {
        site.central.put_many(records.iter().cloned())?;
    }
    let begun = now();
    let mut up = Times::new("latchd answers on its socket");
    for site in &mut *sites {
        let one = now();
        site.start(latchd)?;
        up.add(one.elapsed());
    }
    up.tell();
    in_step(sites, "in step, from the first one's start", begun)
}

/// One more booking at each, at the same time.
pub fn book(sites: &[Site]) -> Result<(), FleetError> {
    let begun = now();
    for site in sites {
        site.central.put_many(member(u32::MAX))?;
    }
    in_step(sites, "a booking made everywhere is in force", begun)
}

/// Opens a door at each.
pub fn command(sites: &[Site]) -> Result<(), FleetError> {
    let begun = now();
    let asked: Result<Vec<_>, _> =
        sites.iter().map(|site| site.central.command("access", DOOR, None)).collect();
    let mut times = Times::new("a door opened everywhere by command");
    for (site, id) in sites.iter().zip(asked?) {
        let result = site.central.wait_for_result(&id, left(begun));
        let outcome = result.as_ref().and_then(|result| result.get("outcome")?.as_str());
        if outcome != Some("done") {
            return Err(site.failed(format!("the command to open {DOOR} was answered by {result:?}")));
        }
        times.add(begun.elapsed());
    }
    times.tell();
    Ok(())
}

/// The broker goes with all it holds; each site is changed meanwhile; it comes back.
pub fn lose_broker(sites: &[Site], back: impl FnOnce() -> Result<(), BrokerError>) -> Result<(), FleetError> {
    for site in sites {
        site.central.delete("grant", &format!("g-{}", u32::MAX));
    }
    let begun = now();
    back()?;
    in_step(sites, "in step again, after the broker lost all it held", begun)
}

/// Ends them all; then central has all that happened.
pub fn close(sites: &mut [Site]) -> Result<(), FleetError> {
    let weights: Vec<_> = sites.iter().filter_map(Site::weight).collect();
    let count = weights.len().max(1);
    let (kib, seconds) = weights.iter().fold((0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let (mib, each) = (kib / 1024 / count as u64, seconds / count as f64);
    let begun = now();
    for site in &mut *sites {
        // What is recorded while it stops comes to central at its next start.
        let executed = |event: &Value| event["type"] == "command.executed";
        if site.central.wait_for_event(executed, left(begun)).is_none() {
            return Err(site.failed("central never heard that the command was executed"));
        }
        site.stop()?;
    }
    let mut events = 0;
    for site in &*sites {
        let all = site.central.events();
        events += all.len();
        let opened = |kind: &str| all.iter().filter(|event| event["type"] == kind).count();
        if opened("command.executed") != 1 {
            return Err(site.failed(format!("{} commands were executed", opened("command.executed"))));
        }
        if let [first, ..] = site.central.violations().as_slice() {
            return Err(site.failed(format!("it broke the contract: {first:?}")));
        }
    }
    say(format_args!(
        "{count} daemons: {mib} MiB and {each:.2} s of a processor each; {events} events at central"
    ));
    Ok(())
}

fn in_step(sites: &[Site], what: &'static str, begun: Instant) -> Result<(), FleetError> {
    let mut times = Times::new(what);
    for site in sites {
        site.central.wait_synced(left(begun))?;
        times.add(begun.elapsed());
    }
    times.tell();
    Ok(())
}

fn left(begun: Instant) -> Duration {
    WITHIN.saturating_sub(begun.elapsed())
}

/// How long something took each of them. They are looked at one after the other, so that one which was ready before the
/// one ahead of it counts as long as that one took.
struct Times {
    what: &'static str,
    all: Vec<Duration>,
}

impl Times {
    fn new(what: &'static str) -> Times {
        Times { what, all: Vec::new() }
    }

    fn add(&mut self, took: Duration) {
        self.all.push(took);
    }

    fn tell(mut self) {
        self.all.sort();
        let at = |percent: usize| {
            let place = (self.all.len().saturating_sub(1)) * percent / 100;
            self.all.get(place).map_or(0.0, Duration::as_secs_f64)
        };
        say(format_args!("{:<52} {:>7.2} s  {:>7.2} s  {:>7.2} s", self.what, at(0), at(50), at(100)));
    }
}
