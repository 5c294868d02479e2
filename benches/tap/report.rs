//! The figures: percentiles of each round, and the median over the rounds.

use serde_json::json;

use super::figures::{Machine, Row, Target, median, percentile, print_table, save};

const P50_RATIO_MOST: f64 = 1.25;
const P99_RATIO_MOST: f64 = 2.0;

/// The same number of taps at each, sorted nanoseconds.
pub struct Round {
    floor: Vec<u64>,
    daemon: Vec<u64>,
}

impl Round {
    pub fn of(mut floor: Vec<u64>, mut daemon: Vec<u64>) -> Self {
        floor.sort_unstable();
        daemon.sort_unstable();
        Round { floor, daemon }
    }

    fn together(rounds: &[Round]) -> Self {
        let all = |of: fn(&Round) -> &Vec<u64>| rounds.iter().flat_map(|round| of(round).clone()).collect();
        Round::of(all(|round| &round.floor), all(|round| &round.daemon))
    }

    fn ratio(&self, percent: usize) -> f64 {
        percentile(&self.daemon, percent) / percentile(&self.floor, percent)
    }
}

fn rows(rounds: &[Round]) -> Vec<Row> {
    let over = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    let time = |what, of: &dyn Fn(&Round) -> f64| Row::seen(what, over(of), "µs");
    let ratio = |what: &str, most: Option<f64>, measured| Row {
        what: what.into(),
        target: most.map(Target::AtMost),
        measured,
        unit: "x",
    };
    let all = Round::together(rounds);
    vec![
        time("floor p50", &|r| percentile(&r.floor, 50)),
        time("latchd p50", &|r| percentile(&r.daemon, 50)),
        ratio("latchd p50 to the floor's", Some(P50_RATIO_MOST), over(&|r| r.ratio(50))),
        time("floor p99", &|r| percentile(&r.floor, 99)),
        time("latchd p99", &|r| percentile(&r.daemon, 99)),
        ratio("latchd p99 to the floor's", Some(P99_RATIO_MOST), over(&|r| r.ratio(99))),
        ratio("the same, p50, all taps together", None, all.ratio(50)),
        ratio("the same, p99, all taps together", None, all.ratio(99)),
    ]
}

pub fn tell(rounds: &[Round], machine: &Machine, event_bytes: usize, late: usize) {
    let rows = rows(rounds);
    print_table(&rows);
    let (count, taps) = (rounds.len(), rounds[0].daemon.len());
    println!(
        "\nmedians of {count} rounds of {taps} taps each; the event has {event_bytes} bytes; {late} late"
    );
    machine.print();
    for (number, round) in rounds.iter().enumerate() {
        let [f50, f99] = [50, 99].map(|percent| percentile(&round.floor, percent));
        let [d50, d99] = [50, 99].map(|percent| percentile(&round.daemon, percent));
        println!("  round {number}: p50 {f50:.0} → {d50:.0} µs, p99 {f99:.0} → {d99:.0} µs");
    }
    let each = |percent| rounds.iter().map(|round| round.ratio(percent)).collect::<Vec<_>>();
    let more = json!({ "rounds": { "p50_ratio": each(50), "p99_ratio": each(99) },
                       "taps_a_round": taps, "event_bytes": event_bytes, "late": late });
    save("tap", &rows, machine, more);
}
