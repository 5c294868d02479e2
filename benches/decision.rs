//! What one decision costs, from a UID's bytes to the answer, and what the index weighs (targets, "decision", "memory").
//!
//! Each call is timed by itself, so that a slow one cannot hide among fast ones; what reading the clock costs is
//! measured, told and not taken off. The sizes take turns within a round, and the median over the rounds is quoted.
//! Memory is that of a child process which does nothing but build the index.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that meets a defect must stop, not report a figure"
)]

#[allow(dead_code, reason = "other benches ask for more")]
#[path = "shared/people.rs"]
mod people;

use std::{collections::BTreeMap, fs, hint::black_box, process::Command, time::Instant};

use latchd::{
    control::{
        decide::{Facts, Moment, decide},
        index::{DoorNo, Index},
        let_in::LetIn,
    },
    domain::{BookingId, Decision, DoorMode, Uid, Zone},
    wire::UidHasher,
};
use serde_json::{Value, json};

use self::people::{DOORS, Dice, Ids, Site, at, door, uid};

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const ROUNDS: usize = 9;
const TAPS_A_ROUND: u32 = 100_000;
const P50_NS_MOST: f64 = 1000.0;
const P99_NS_MOST: f64 = 5000.0;
const RATIO_MOST: f64 = 2.0;
/// The whole daemon may have 128 MiB; this is what it leaves the index.
const INDEX_MIB_MOST: f64 = 80.0;

fn build(site: Site, hasher: &UidHasher) -> Index {
    let mut index = Index::new((0..DOORS).map(door));
    site.records(hasher).for_each(|record| index.apply(None, Some(&record)));
    index
}

/// Everything a round of taps needs, made before the clock runs.
struct Bench {
    site: Site,
    index: Index,
    hasher: UidHasher,
    let_in: LetIn,
    zone: Zone,
    dice: Dice,
}

impl Bench {
    fn new(grants: u32) -> Self {
        let (site, hasher) = (Site { grants, ids: Ids::Short }, UidHasher::new(&[7; 32]));
        let mut let_in = LetIn::default();
        for host in (0..site.holders()).step_by(20) {
            let booking = BookingId::new(&site.ids.text("b", host)).unwrap();
            let_in.add(booking, site.holder(host + 14), at(0));
        }
        let index = build(site, &hasher);
        Bench { site, index, hasher, let_in, zone: "Europe/Oslo".parse().unwrap(), dice: Dice(2) }
    }

    /// Random cards, one in twelve unknown, at an entrance; now and then at another door.
    fn taps(&mut self) -> Vec<(DoorNo, Uid)> {
        let dice = &mut self.dice;
        let holders = self.site.holders();
        let tap = |_| {
            let card = if dice.roll(12) == 0 { u32::MAX - dice.roll(1 << 20) } else { dice.roll(holders) };
            let door = if dice.roll(16) == 0 { dice.roll(DOORS) } else { dice.roll(4) };
            (DoorNo(door as u16), uid(card))
        };
        (0..TAPS_A_ROUND).map(tap).collect()
    }

    fn decide(&self, door: DoorNo, uid: &Uid) -> Decision {
        let facts = Facts { index: &self.index, let_in: &self.let_in, zone: self.zone };
        let moment = Moment {
            door,
            mode: DoorMode::Locked,
            building_hours_only: false,
            now: at(0),
            clock_trusted: true,
            stale: false,
        };
        decide(facts, moment, uid, &self.hasher.hash(uid))
    }

    /// Nanoseconds of each call, sorted.
    fn round(&mut self) -> Vec<u64> {
        let taps = self.taps();
        let mut all: Vec<u64> =
            taps.iter().map(|(door, uid)| timed(|| self.decide(*door, black_box(uid)))).collect();
        all.sort_unstable();
        all
    }

    /// How many of a hundred taps get which answer.
    fn mix(&mut self) -> BTreeMap<String, f64> {
        let (taps, mut mix) = (self.taps(), BTreeMap::new());
        for (door, uid) in &taps {
            let reason = serde_json::to_value(self.decide(*door, uid).reason).unwrap();
            *mix.entry(reason.as_str().unwrap().to_owned()).or_default() += 100.0 / taps.len() as f64;
        }
        mix
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock to measure, not to decide")]
fn timed<T>(call: impl FnOnce() -> T) -> u64 {
    let from = Instant::now();
    let answer = black_box(call());
    let ns = from.elapsed().as_nanos() as u64;
    // The daemon hands the answer on, to the journal: giving back its memory is not part of deciding.
    drop(answer);
    ns
}

fn percentile(sorted: &[u64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100] as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What one miss costs on this machine, now: a walk through 64 MiB, each step to where the last one says.
fn miss_ns() -> f64 {
    const STEPS: u32 = 1000;
    let mut next: Vec<u32> = (0..1 << 24).collect();
    let mut dice = Dice(3);
    // Sattolo's shuffle: one circle through all of them.
    for n in (1..next.len()).rev() {
        next.swap(n, dice.roll(n as u32) as usize);
    }
    let mut at = 0_u32;
    let mut walk =
        |_| timed(|| at = (0..STEPS).fold(at, |at, _| next[at as usize])) as f64 / f64::from(STEPS);
    median((0..1001).map(&mut walk))
}

/// A line of `/proc/self/status`, in bytes.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// In the child: builds an index and says what it weighs.
fn weigh(site: Site) {
    let hasher = UidHasher::new(&[7; 32]);
    let before = status("VmRSS");
    let index = build(site, &hasher);
    let (rss, most) = (status("VmRSS") - before, status("VmHWM") - before);
    let records = index.credentials() + index.grants();
    println!("{}", json!({ "records": records, "rss": rss, "most": most }));
}

fn weighed(ids: &str, grants: u32) -> Value {
    let own = std::env::current_exe().unwrap();
    let child = Command::new(own).args(["--weigh", ids, &grants.to_string()]).output().unwrap();
    serde_json::from_slice(&child.stdout).unwrap()
}

struct Row {
    what: String,
    target: Option<f64>,
    measured: f64,
    unit: &'static str,
}

impl Row {
    fn new(what: impl Into<String>, target: Option<f64>, measured: f64, unit: &'static str) -> Self {
        Row { what: what.into(), target, measured, unit }
    }

    fn is_met(&self) -> Option<bool> {
        self.target.map(|most| self.measured <= most)
    }

    fn print(&self) {
        let target = self.target.map_or("-".into(), |t| format!("≤ {t} {}", self.unit));
        let met = self.is_met().map_or("-", |met| if met { "yes" } else { "NO" });
        println!(
            "| {:<44} | {target:>12} | {:>10.1} {:<5} | {met:>4} |",
            self.what, self.measured, self.unit
        );
    }

    fn json(&self) -> Value {
        json!({ "what": self.what, "target": self.target, "measured": self.measured, "unit": self.unit,
                "met": self.is_met() })
    }
}

/// The rounds' p50 and p99, for each size; the sizes take turns, and each round begins with another one.
fn measure(benches: &mut [Bench]) -> Vec<Vec<(f64, f64)>> {
    for bench in benches.iter_mut() {
        bench.round();
    }
    (0..ROUNDS)
        .map(|round| {
            let mut own = vec![(0.0, 0.0); benches.len()];
            for turn in 0..benches.len() {
                let n = (round + turn) % benches.len();
                let sorted = benches[n].round();
                own[n] = (percentile(&sorted, 50), percentile(&sorted, 99));
            }
            own
        })
        .collect()
}

fn speed_rows(rounds: &[Vec<(f64, f64)>]) -> Vec<Row> {
    let last = SIZES.len() - 1;
    let mut rows = Vec::new();
    for (n, grants) in SIZES.into_iter().enumerate() {
        let due = |most| (n == last).then_some(most);
        let (p50, p99) = (median(rounds.iter().map(|r| r[n].0)), median(rounds.iter().map(|r| r[n].1)));
        rows.push(Row::new(format!("decide p50, {grants} grants"), due(P50_NS_MOST), p50, "ns"));
        rows.push(Row::new(format!("decide p99, {grants} grants"), due(P99_NS_MOST), p99, "ns"));
    }
    let ratio = |of: fn(&(f64, f64)) -> f64| median(rounds.iter().map(|r| of(&r[last]) / of(&r[0])));
    rows.push(Row::new("p50 of 1000000 to that of 10000", Some(RATIO_MOST), ratio(|r| r.0), "x"));
    rows.push(Row::new("p99 of 1000000 to that of 10000", None, ratio(|r| r.1), "x"));
    rows
}

fn memory_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (ids, grants, target) in [
        ("short", SIZES[0], None),
        ("short", SIZES[1], None),
        ("short", SIZES[2], Some(INDEX_MIB_MOST)),
        ("uuid", SIZES[2], None),
    ] {
        let weight = weighed(ids, grants);
        let (rss, most) = (weight["rss"].as_f64().unwrap(), weight["most"].as_f64().unwrap());
        let a_record = rss / weight["records"].as_f64().unwrap();
        let what = |figure: &str| format!("{figure}, {grants} grants, {ids} ids");
        rows.push(Row::new(what("index"), target, rss / 1_048_576.0, "MiB"));
        rows.push(Row::new(what("index at most"), None, most / 1_048_576.0, "MiB"));
        rows.push(Row::new(what("a record"), None, a_record, "bytes"));
    }
    rows
}

fn report(rows: &[Row], mix: &BTreeMap<String, f64>, clock_ns: f64) {
    println!("| {:<44} | {:>12} | {:>16} | met? |", "what", "target", "measured");
    println!("| {:-<44} | {:->12} | {:->16} | ---- |", "", "", "");
    rows.iter().for_each(Row::print);
    println!("\nreading the clock twice takes {clock_ns} ns, included in every figure; {ROUNDS} rounds of");
    println!("{TAPS_A_ROUND} taps, the sizes taking turns; of a hundred taps:");
    mix.iter().for_each(|(reason, n)| println!("  {n:>5.1} {reason}"));
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let all = json!({ "bench": "decision", "rows": rows, "clock_ns": clock_ns, "mix": mix });
    // target/release/deps/decision-…
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(3).unwrap().join("bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("decision.json"), format!("{all:#}\n")).unwrap();
    println!("\n{}", folder.join("decision.json").display());
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--weigh") {
        let ids = if arguments[at + 1] == "uuid" { Ids::Uuid } else { Ids::Short };
        return weigh(Site { grants: arguments[at + 2].parse().unwrap(), ids });
    }
    let memory = memory_rows();
    let mut benches: Vec<Bench> = SIZES.into_iter().map(Bench::new).collect();
    let mix = benches[SIZES.len() - 1].mix();
    let rounds = measure(&mut benches);
    let clock_ns = median((0..10_001).map(|_| timed(|| ()) as f64));
    let miss = Row::new("a cache miss on this machine, now", None, miss_ns(), "ns");
    let rows: Vec<Row> = speed_rows(&rounds).into_iter().chain([miss]).chain(memory).collect();
    report(&rows, &mix, clock_ns);
}
