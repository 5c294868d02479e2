//! The figures, held to their targets.

use serde_json::json;

use super::{
    figures::{Machine, Row, Target, median, percentile, print_table, save},
    measures::{Lockdown, Writes},
};

const SEEN_MS_MOST: f64 = 400.0;
const BETWEEN_MOST: f64 = 1.0;
const LOCKDOWN_S_MOST: f64 = 1.0;
const IDLE_MOST: f64 = 1.0;

pub struct Large {
    pub seen_of_12: Vec<u64>,
    pub seen_of_4: Vec<u64>,
    pub writes: Writes,
    pub lockdowns: Vec<Lockdown>,
    pub idle: f64,
    pub lost: usize,
    pub memory_mib: f64,
}

pub struct Small {
    pub idle: f64,
    pub slow_lockdowns: Vec<Lockdown>,
}

pub struct Figures {
    pub large: Large,
    pub tcp: Small,
    pub serial: Small,
}

fn at_most(what: &'static str, most: f64, measured: f64, unit: &'static str) -> Row {
    Row { what: what.into(), target: Some(Target::AtMost(most)), measured, unit }
}

/// In milliseconds.
fn of(times: &[u64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    percentile(&sorted, percent) / 1000.0
}

fn longest(lockdowns: &[Lockdown]) -> f64 {
    lockdowns.iter().map(|lockdown| lockdown.took.as_secs_f64()).fold(0.0, f64::max)
}

fn writes(lockdowns: &[Lockdown]) -> f64 {
    median(lockdowns.iter().map(|lockdown| lockdown.writes as f64))
}

fn rows(figures: &Figures) -> Vec<Row> {
    let Figures { large, tcp, serial } = figures;
    let between = large.writes.between.iter().max().copied().unwrap_or_default() as f64;
    vec![
        Row::seen("input change → seen, 12 boards on a line, p50", of(&large.seen_of_12, 50), "ms"),
        at_most("the same, p99", SEEN_MS_MOST, of(&large.seen_of_12, 99), "ms"),
        Row::seen("the same, the longest", of(&large.seen_of_12, 100), "ms"),
        Row::seen("the same, 4 boards on a line, p99", of(&large.seen_of_4, 99), "ms"),
        at_most("exchanges before a write, most", BETWEEN_MOST, between, ""),
        Row::seen("button → strike, 12 boards on a line, p99", of(&large.writes.took, 99), "ms"),
        at_most("lockdown of 64 doors, the longest", LOCKDOWN_S_MOST, longest(&large.lockdowns), "s"),
        Row::seen("writes for it", writes(&large.lockdowns), ""),
        at_most("the same, TCP, every write 20 ms", LOCKDOWN_S_MOST, longest(&tcp.slow_lockdowns), "s"),
        Row::seen("writes for it", writes(&tcp.slow_lockdowns), ""),
        at_most("idle, 8 readers, 4 boards on TCP", IDLE_MOST, tcp.idle, "%"),
        Row::seen("idle, the boards on a serial line", serial.idle, "%"),
        Row::seen("idle, 128 readers, 16 boards", large.idle, "%"),
        Row::seen("boards lost meanwhile", large.lost as f64, ""),
        Row::seen("memory with 64 doors", large.memory_mib, "MiB"),
    ]
}

pub fn tell(figures: &Figures, machine: &Machine) {
    let rows = rows(figures);
    print_table(&rows);
    let large = &figures.large;
    println!(
        "\n{} changes and {} presses on the line of 12; {} lockdowns each",
        large.seen_of_12.len(),
        large.writes.took.len(),
        large.lockdowns.len()
    );
    machine.print();
    let each =
        |lockdowns: &[Lockdown]| lockdowns.iter().map(|one| one.took.as_secs_f64()).collect::<Vec<_>>();
    let more = json!({ "lockdowns_s": each(&large.lockdowns), "slow_lockdowns_s": each(&figures.tcp.slow_lockdowns),
                       "changes": large.seen_of_12.len(), "presses": large.writes.took.len() });
    save("doors", &rows, machine, more);
}
