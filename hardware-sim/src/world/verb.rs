//! `latch-sim world`: long runs for a person who waits, and one seed again for one who looks for what went wrong.

use std::ops::Range;

use super::{Invariant, Plan, Planted, Summary, run::run_aloud, run_many};
use crate::until_told::say;

/// Run the real controller among simulated people, boards, disks, clocks, a broker and a central that all fail
///
/// In virtual time, by chance that depends on the seed alone; what must be so is looked at after every step. Exits
/// with 1 if it ever was not, and says how to see that seed again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One seed again; with --aloud everything that happens is printed
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// How many days each lasts; an hour or three, if not said
    #[arg(long, value_name = "D")]
    days: Option<u64>,
    /// Print everything that happens
    #[arg(long, requires = "seed")]
    aloud: bool,
    /// Run with a deliberate bug, to see whether it is caught; "list" lists them
    #[arg(long, value_name = "BUG")]
    plant: Option<String>,
}

/// What was wrong.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("{count} of {of} seeds failed:\n{complaint}")]
    Broken { count: usize, of: u64, complaint: String },
    #[error("there is no bug {0:?} to be planted; --plant list lists them")]
    NoSuchBug(String),
}

impl Args {
    /// Runs them.
    ///
    /// # Errors
    /// An invariant did not hold, or the bug is not known.
    pub fn run(self) -> Result<(), WorldError> {
        if self.plant.as_deref() == Some("list") {
            Planted::ALL.iter().for_each(|bug| say(format!("{bug:?}")));
            return Ok(());
        }
        let planted = self.plant.as_deref().map(bug).transpose()?;
        if let Some(seed) = self.seed.filter(|_| self.aloud) {
            let outcome = run_aloud(seed, self.days, planted);
            return outcome.map(|_| say("all held")).map_err(|broken| WorldError::Broken {
                count: 1,
                of: 1,
                complaint: format!("seed {seed}: {broken}"),
            });
        }
        let seeds = self.seeds();
        let count = seeds.end - seeds.start;
        let plan = Plan { seeds, days: self.days, planted, stops_at_first: false };
        let every = (count / 20).max(1);
        let summary = run_many(&plan, |done| {
            if done.is_multiple_of(every) && done < count {
                eprintln!("{done} of {count} seeds");
            }
        });
        report(&summary);
        if summary.broken.is_empty() {
            return Ok(());
        }
        let complaint = summary.complaint(self.days);
        Err(WorldError::Broken { count: summary.broken.len(), of: summary.ended, complaint })
    }

    fn seeds(&self) -> Range<u64> {
        self.seed.map_or(self.from..self.from.saturating_add(self.seeds), |seed| seed..seed + 1)
    }
}

fn bug(name: &str) -> Result<Planted, WorldError> {
    let known = Planted::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    known.ok_or_else(|| WorldError::NoSuchBug(name.to_owned()))
}

fn report(summary: &Summary) {
    summary.counts.iter().for_each(|(what, count)| say(format!("{count:>12}  {what}")));
    say("\nlooked at");
    for invariant in Invariant::ALL {
        let count = summary.looked_at.get(&invariant).copied().unwrap_or(0);
        say(format!("{count:>12}  {invariant}"));
    }
    let days = summary.lasted.as_secs_f64() / 86_400.0;
    say(format!(
        "\n{} seeds, {days:.1} days, {} strikes; the most there was {:?}",
        summary.ended, summary.strikes, summary.most
    ));
}
