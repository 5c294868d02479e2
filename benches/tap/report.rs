//! The figures: percentiles of each round, the median over the rounds, and on what machine and disk that was.

use std::{fs, path::Path};

use serde_json::{Value, json};

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

/// In microseconds.
fn percentile(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64 / 1000.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What the figures depend on.
pub struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    disk: String,
    load_before: String,
}

impl Machine {
    pub fn look(folder: &Path) -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Machine {
            cores: std::thread::available_parallelism().unwrap().get(),
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim().to_owned(),
            disk: disk_of(folder),
            load_before: load(),
        }
    }
}

fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The file system a folder is on: its type and what it is mounted from (proc_pid_mountinfo(5)).
fn disk_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = |line: &str| {
        let (place, what) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?;
        let what: Vec<&str> = what.split(' ').take(2).collect();
        folder.starts_with(point).then(|| (point.len(), format!("{} ({point})", what.join(" on "))))
    };
    mounts.lines().filter_map(mount).max().unwrap().1
}

struct Row {
    what: &'static str,
    target: Option<f64>,
    measured: f64,
    unit: &'static str,
}

impl Row {
    fn is_met(&self) -> Option<bool> {
        self.target.map(|most| self.measured <= most)
    }

    fn print(&self) {
        let target = self.target.map_or("-".into(), |most| format!("≤ {most} {}", self.unit));
        let met = self.is_met().map_or("-", |met| if met { "yes" } else { "NO" });
        println!("| {:<36} | {target:>9} | {:>9.2} {:<2} | {met:>4} |", self.what, self.measured, self.unit);
    }

    fn json(&self) -> Value {
        json!({ "what": self.what, "target": self.target, "measured": self.measured, "unit": self.unit,
                "met": self.is_met() })
    }
}

fn rows(rounds: &[Round]) -> Vec<Row> {
    let over = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    let time = |what, of: &dyn Fn(&Round) -> f64| Row { what, target: None, measured: over(of), unit: "µs" };
    let ratio = |what, target, measured| Row { what, target, measured, unit: "x" };
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
    let (rows, load_after) = (rows(rounds), load());
    println!("| {:<36} | {:>9} | {:>12} | met? |", "what", "target", "measured");
    println!("| {:-<36} | {:->9} | {:->12} | ---- |", "", "", "");
    rows.iter().for_each(Row::print);
    let Machine { cores, cpu, kernel, disk, load_before } = machine;
    let (count, taps) = (rounds.len(), rounds[0].daemon.len());
    println!(
        "\nmedians of {count} rounds of {taps} taps each; the event has {event_bytes} bytes; {late} late"
    );
    println!("{cores} cores ({cpu}), Linux {kernel}, {disk}; load {load_before} → {load_after}");
    for (number, round) in rounds.iter().enumerate() {
        let [f50, f99] = [50, 99].map(|percent| percentile(&round.floor, percent));
        let [d50, d99] = [50, 99].map(|percent| percentile(&round.daemon, percent));
        println!("  round {number}: p50 {f50:.0} → {d50:.0} µs, p99 {f99:.0} → {d99:.0} µs");
    }
    let each = |percent| rounds.iter().map(|round| round.ratio(percent)).collect::<Vec<_>>();
    let all = json!({
        "bench": "tap",
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "rounds": { "p50_ratio": each(50), "p99_ratio": each(99) },
        "taps_a_round": taps, "event_bytes": event_bytes, "late": late,
        "machine": { "cores": cores, "cpu": cpu, "kernel": kernel, "disk": disk,
                     "load_before": load_before, "load_after": load_after },
    });
    // target/release/deps/tap-…
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(3).unwrap().join("bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tap.json"), format!("{all:#}\n")).unwrap();
    println!("\n{}", folder.join("tap.json").display());
}
