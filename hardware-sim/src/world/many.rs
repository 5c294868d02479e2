//! Many seeds, on as many threads as there are cores: what came of them, and how to see one of them again.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Broken, Counts, Ended, Invariant, Planted, checks::Most, run::run};

/// Once so many have failed, there is enough to look at.
const MOST_BROKEN: usize = 20;

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seeds: Range<u64>,
    /// So many days each, or a run of an hour or three.
    pub days: Option<u64>,
    pub planted: Option<Planted>,
    /// The first that fails is enough.
    pub stops_at_first: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    pub ended: u64,
    pub counts: Counts,
    pub looked_at: BTreeMap<Invariant, u64>,
    pub strikes: u64,
    pub lasted: Duration,
    pub most: Most,
    /// By seed.
    pub broken: BTreeMap<u64, Broken>,
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: Result<Ended, Broken>) {
        self.ended += 1;
        match outcome {
            Ok(ended) => {
                self.counts.merge(&ended.counts);
                ended.looked_at.iter().for_each(|(what, n)| *self.looked_at.entry(*what).or_default() += n);
                self.strikes += ended.strikes;
                self.lasted += ended.lasted;
                self.most = self.most.max(ended.most);
            }
            Err(broken) => _ = self.broken.insert(seed, broken),
        }
    }

    /// What to say of those that failed: what was wrong, and the one command that shows it again.
    #[must_use]
    pub fn complaint(&self, days: Option<u64>) -> String {
        let days = days.map(|days| format!(" --days {days}")).unwrap_or_default();
        let line = |(seed, broken): (&u64, &Broken)| {
            format!("seed {seed}: {broken}\n    again with: latch-sim world --seed {seed}{days}\n")
        };
        self.broken.iter().map(line).collect()
    }
}

/// Runs them all. `progress` hears how many are done, now and then.
pub fn run_many(plan: &Plan, progress: impl Fn(u64) + Sync) -> Summary {
    let (next, is_enough) = (AtomicU64::new(plan.seeds.start), AtomicBool::new(false));
    let summary = Mutex::new(Summary::default());
    let work = || {
        while !is_enough.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= plan.seeds.end {
                return;
            }
            let outcome = guarded(seed, plan);
            let mut summary = summary.lock().expect("nobody panics while adding up");
            summary.add(seed, outcome);
            let most = if plan.stops_at_first { 1 } else { MOST_BROKEN };
            is_enough.fetch_or(summary.broken.len() >= most, Ordering::Relaxed);
            progress(summary.ended);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for n in 0..threads {
            let named = std::thread::Builder::new().name(format!("world-{n}"));
            named.spawn_scoped(scope, work).expect("a thread");
        }
    });
    summary.into_inner().expect("nobody panics while adding up")
}

/// A controller that panics is a broken one, and the seed is to be named.
fn guarded(seed: u64, plan: &Plan) -> Result<Ended, Broken> {
    let attempt = AssertUnwindSafe(|| run(seed, plan.days, plan.planted));
    catch_unwind(attempt).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let detail = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let detail = detail.unwrap_or_else(|| "it panicked".into());
        Err(Broken { invariant: Invariant::NeverPanics, at: Duration::ZERO, detail })
    })
}
