//! Figures and where they were measured: percentiles, the table, its JSON, the machine. What every bench with a daemon
//! in it prints.

use std::{fs, path::Path};

use serde_json::{Value, json};

/// In microseconds.
pub fn percentile(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64 / 1000.0
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
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

    pub fn print(&self) {
        let Machine { cores, cpu, kernel, disk, load_before } = self;
        println!("{cores} cores ({cpu}), Linux {kernel}, {disk}; load {load_before} → {}", load());
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

/// What a figure is to be.
#[allow(dead_code, reason = "not every bench has a target of either kind")]
#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// A line of the table.
pub struct Row {
    pub what: String,
    pub target: Option<Target>,
    pub measured: f64,
    pub unit: &'static str,
}

impl Row {
    /// One without a target.
    pub fn seen(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Row { what: what.into(), target: None, measured, unit }
    }

    fn is_met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(most) => self.measured <= most,
            Target::AtLeast(least) => self.measured >= least,
        })
    }

    fn print(&self) {
        let target = self.target.map_or("-".into(), |target| match target {
            Target::AtMost(most) => format!("≤ {most} {}", self.unit),
            Target::AtLeast(least) => format!("≥ {least} {}", self.unit),
        });
        let met = self.is_met().map_or("-", |met| if met { "yes" } else { "NO" });
        println!("| {:<44} | {target:>11} | {:>9.2} {:<3} | {met:>4} |", self.what, self.measured, self.unit);
    }

    fn json(&self) -> Value {
        let (most, least) = match self.target {
            Some(Target::AtMost(most)) => (Some(most), None),
            Some(Target::AtLeast(least)) => (None, Some(least)),
            None => (None, None),
        };
        json!({ "what": self.what, "at_most": most, "at_least": least, "measured": self.measured,
                "unit": self.unit, "met": self.is_met() })
    }
}

pub fn print_table(rows: &[Row]) {
    println!("| {:<44} | {:>11} | {:>13} | met? |", "what", "target", "measured");
    println!("| {:-<44} | {:->11} | {:->13} | ---- |", "", "", "");
    rows.iter().for_each(Row::print);
}

/// Writes what was measured beside the build, with rows and machine added, and says where.
pub fn save(bench: &str, rows: &[Row], machine: &Machine, mut more: Value) {
    let Machine { cores, cpu, kernel, disk, load_before } = machine;
    more["bench"] = bench.into();
    more["rows"] = rows.iter().map(Row::json).collect();
    more["machine"] = json!({ "cores": cores, "cpu": cpu, "kernel": kernel, "disk": disk,
                              "load_before": load_before, "load_after": load() });
    // target/release/deps/NAME-…
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(3).unwrap().join("bench");
    let file = folder.join(format!("{bench}.json"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(&file, format!("{more:#}\n")).unwrap();
    println!("\n{}", file.display());
}
