//! The figures of the sync bench, round by round and as medians over the rounds.

use std::time::Duration;

use serde_json::json;

use super::{
    PART, RECORDS,
    figures::{Machine, Row, Target, median, percentile, print_table, save},
};

/// Changes of one round: from the broker's delivery, and from before the publish, to a decision that uses it.
#[derive(Default)]
pub struct Latencies {
    delivered: Vec<u64>,
    published: Vec<u64>,
}

impl Latencies {
    pub fn add(&mut self, delivered: Duration, published: Duration) {
        self.delivered.push(delivered.as_nanos() as u64);
        self.published.push(published.as_nanos() as u64);
    }

    fn said(&self) -> String {
        let mut sorted = self.delivered.clone();
        sorted.sort_unstable();
        let [p50, p95, p99] = [50, 95, 99].map(|percent| percentile(&sorted, percent) / 1000.0);
        format!("p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms")
    }
}

/// As many taps without a resync as during one.
pub struct Round {
    quiet: Vec<u64>,
    busy: Vec<u64>,
}

impl Round {
    pub fn of(mut quiet: Vec<u64>, mut busy: Vec<u64>) -> Self {
        quiet.sort_unstable();
        busy.sort_unstable();
        Round { quiet, busy }
    }

    fn ratio(&self, percent: usize) -> f64 {
        percentile(&self.busy, percent) / percentile(&self.quiet, percent)
    }
}

/// All that was measured. A snapshot is its records a second, and the daemon's largest size meanwhile in MiB.
#[derive(Default)]
pub struct Seen {
    pub first: (f64, f64),
    pub at_rest: f64,
    pub snapshots: Vec<(f64, f64)>,
    pub changes: Vec<Latencies>,
    pub taps: Vec<Round>,
}

impl Seen {
    fn latency(&self, of: impl Fn(&Latencies) -> Vec<u64>, percent: usize) -> f64 {
        let round = |round| {
            let mut sorted = of(round);
            sorted.sort_unstable();
            percentile(&sorted, percent) / 1000.0
        };
        median(self.changes.iter().map(round))
    }

    fn change_rows(&self) -> Vec<Row> {
        let delivered = |l: &Latencies| l.delivered.clone();
        let published = |l: &Latencies| l.published.clone();
        vec![
            Row::seen("change, delivered → effective, p50", self.latency(delivered, 50), "ms"),
            most("change, delivered → effective, p95", 10.0, self.latency(delivered, 95), "ms"),
            most("change, delivered → effective, p99", 50.0, self.latency(delivered, 99), "ms"),
            most("change, publish → effective, p95", 10.0, self.latency(published, 95), "ms"),
            most("change, publish → effective, p99", 50.0, self.latency(published, 99), "ms"),
        ]
    }

    fn snapshot_rows(&self) -> Vec<Row> {
        let rate = median(self.snapshots.iter().map(|(rate, _)| *rate)) / 1000.0;
        let peak = self.snapshots.iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
        let target = Some(Target::AtLeast(20.0));
        vec![
            Row { what: "snapshot in place of another".into(), target, measured: rate, unit: "k/s" },
            Row {
                what: "snapshot into an empty cache".into(),
                target,
                measured: self.first.0 / 1000.0,
                unit: "k/s",
            },
            Row::seen("latchd with these records, at rest", self.at_rest, "MiB"),
            Row::seen("latchd's peak while a snapshot comes in", peak, "MiB"),
        ]
    }

    fn tap_rows(&self) -> Vec<Row> {
        let tap = |of: &dyn Fn(&Round) -> f64| median(self.taps.iter().map(of));
        vec![
            Row::seen("tap p99, no resync", tap(&|r| percentile(&r.quiet, 99)) / 1000.0, "ms"),
            Row::seen("tap p99, during resyncs", tap(&|r| percentile(&r.busy, 99)) / 1000.0, "ms"),
            most("tap p99 during resyncs to without", 2.0, tap(&|r| r.ratio(99)), "x"),
            Row::seen("the same, p50", tap(&|r| r.ratio(50)), "x"),
        ]
    }

    /// Of what was measured.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        if !self.changes.is_empty() {
            rows.extend(self.change_rows());
        }
        if !self.snapshots.is_empty() {
            rows.extend(self.snapshot_rows());
        }
        if !self.taps.is_empty() {
            rows.extend(self.tap_rows());
        }
        rows
    }
}

fn most(what: &'static str, most: f64, measured: f64, unit: &'static str) -> Row {
    Row { what: what.into(), target: Some(Target::AtMost(most)), measured, unit }
}

pub fn tell(seen: &Seen, machine: &Machine) {
    let rows = seen.rows();
    print_table(&rows);
    println!("\nmedians over the rounds; {RECORDS} records in parts of {PART}");
    machine.print();
    for (number, round) in seen.changes.iter().enumerate() {
        println!("  changes round {number}: {}", round.said());
    }
    for (number, (rate, peak)) in seen.snapshots.iter().enumerate() {
        println!("  snapshot {number}: {rate:.0} records/s, peak {peak:.0} MiB");
    }
    for (number, round) in seen.taps.iter().enumerate() {
        let [q50, q99] = [50, 99].map(|percent| percentile(&round.quiet, percent));
        let [b50, b99] = [50, 99].map(|percent| percentile(&round.busy, percent));
        println!("  tap round {number}: p50 {q50:.0} → {b50:.0} µs, p99 {q99:.0} → {b99:.0} µs");
    }
    let more = json!({
        "records": RECORDS, "records_a_part": PART,
        "snapshots": seen.snapshots, "first_snapshot": seen.first,
        "tap_p99_ratios": seen.taps.iter().map(|round| round.ratio(99)).collect::<Vec<_>>(),
    });
    save("sync", &rows, machine, more);
}
