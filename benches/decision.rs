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

use std::{collections::BTreeMap, fs, hint::black_box, process::Command, time::Instant};

use latchd::{
    control::{
        decide::{Facts, Moment, decide},
        index::{DoorNo, Index},
        let_in::LetIn,
    },
    domain::{
        At, BookingId, Credential, CredentialId, Decision, DoorId, DoorMode, Grant, GrantId, HolderId,
        Interval, Kind, Record, Schedule, Status, Uid, Zone, ZoneId,
    },
    wire::UidHasher,
};
use serde_json::{Value, json};

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const ROUNDS: usize = 9;
const TAPS_A_ROUND: u32 = 100_000;
const DOORS: u32 = 64;
const P50_NS_MOST: f64 = 1000.0;
const P99_NS_MOST: f64 = 5000.0;
const RATIO_MOST: f64 = 2.0;
/// The whole daemon may have 128 MiB; this is what it leaves the index.
const INDEX_MIB_MOST: f64 = 80.0;

/// 2026-11-23T09:30:00Z, a Monday.
const NOW_S: i64 = 1_795_426_200;

/// A sequence that is the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % u64::from(below)) as u32
    }
}

/// Whose card it is, by the holder's number: what makes the mix of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Booked,
    NotNow,
    Guest,
    Staff,
    WrongDoor,
    Suspended,
}

fn role(holder: u32) -> Role {
    match holder % 20 {
        0..=10 => Role::Booked,
        11..=13 => Role::NotNow,
        14 | 15 => Role::Guest,
        16 | 17 => Role::Staff,
        18 => Role::WrongDoor,
        _ => Role::Suspended,
    }
}

/// How long the ids are: as short as a counter's, or a UUID each.
#[derive(Clone, Copy)]
enum Ids {
    Short,
    Uuid,
}

impl Ids {
    fn text(self, kind: &str, n: u32) -> String {
        match self {
            Ids::Short => format!("{kind}-{n}"),
            Ids::Uuid => {
                let mut dice = Dice(u64::from(n) << 8 | u64::from(kind.as_bytes()[0]));
                let mut part = |mask: u32| dice.roll(u32::MAX) & mask;
                let (a, b, c) = (part(u32::MAX), part(0xFFFF), part(0xFFF));
                let (d, e, f) = (part(0x3FFF) | 0x8000, part(0xFFFF), part(u32::MAX));
                format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:04x}{f:08x}")
            }
        }
    }
}

/// A site of so many grants, and three tenths as many cards.
#[derive(Clone, Copy)]
struct Site {
    grants: u32,
    ids: Ids,
}

impl Site {
    fn holders(self) -> u32 {
        self.grants * 3 / 10
    }

    fn holder(self, n: u32) -> HolderId {
        HolderId::new(&self.ids.text("m", n)).unwrap()
    }

    fn credential(self, n: u32, hasher: &UidHasher) -> Credential {
        let status = if role(n) == Role::Suspended { Status::Suspended } else { Status::Active };
        Credential {
            id: CredentialId::new(&self.ids.text("c", n)).unwrap(),
            uid: Some(hasher.hash(&uid(n))),
            holder: self.holder(n),
            status,
            valid_from: Some(at(-300 * 86_400 + i64::from(n % 200) * 86_400)),
            valid_until: n.is_multiple_of(4).then(|| at(38 * 86_400)),
            label: None,
            extended_time: false,
        }
    }

    /// The first grant of each holder is what makes their answer; the others, by lot, are bookings of other days.
    fn grant(self, n: u32, dice: &mut Dice) -> Grant {
        let is_first = n < self.holders();
        let holder = if is_first { n } else { dice.roll(self.holders()) };
        let role = role(holder);
        let days = if is_first && role != Role::NotNow { 0 } else { 1 + i64::from(dice.roll(60)) };
        let sign = if dice.roll(2) == 0 { -1 } else { 1 };
        let starts = sign * days * 86_400 - 1800;
        let kind = match (role, is_first) {
            (Role::Staff, true) => Kind::Standing,
            (Role::Guest, true) => Kind::Guest,
            _ if dice.roll(3) == 0 => Kind::Desk,
            _ => Kind::Room,
        };
        // A guest comes with the booking of the holder of a multiple of 20 below, who is one of the booked.
        let booking = if kind == Kind::Guest { holder / 20 * 20 } else { n };
        let kind = if is_first && holder.is_multiple_of(20) { Kind::Room } else { kind };
        let is_standing = kind == Kind::Standing;
        Grant {
            id: GrantId::new(&self.ids.text("g", n)).unwrap(),
            kind,
            holder: self.holder(holder),
            doors: Vec::new(),
            zones: zones(role, dice),
            starts_at: (!is_standing).then(|| at(starts)),
            ends_at: (!is_standing).then(|| at(starts + 5400)),
            booked_at: (!is_standing).then(|| at(starts - 86_400 - i64::from(dice.roll(86_400)))),
            not_before: None,
            not_after: None,
            booking: matches!(kind, Kind::Room | Kind::Guest)
                .then(|| BookingId::new(&self.ids.text("b", booking)).unwrap()),
            capacity: (kind == Kind::Room).then(|| 4 + holder % 8),
            schedule: is_standing.then(|| shift(holder)),
            override_lockdown: false,
        }
    }

    /// As a snapshot brings them: cards first, then grants in an order that is not their holders'.
    fn build(self, hasher: &UidHasher) -> Index {
        let mut index = Index::new((0..DOORS).map(door));
        let mut dice = Dice(1);
        for n in 0..self.holders() {
            index.apply(None, Some(&Record::Credential(self.credential(n, hasher))));
        }
        for n in 0..self.grants {
            // A number coprime to the sizes walks through all of them.
            let n = (u64::from(n) * 7_368_787 % u64::from(self.grants)) as u32;
            index.apply(None, Some(&Record::Grant(self.grant(n, &mut dice))));
        }
        index
    }
}

fn at(from_now_s: i64) -> At {
    At::from_parts(NOW_S + from_now_s, 0).unwrap()
}

fn uid(n: u32) -> Uid {
    let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
    Uid::new(&[4, a, b, c, d, 0x80, 0x81]).unwrap()
}

/// Four entrances, 12 floors of five rooms each.
fn door(n: u32) -> (DoorId, Vec<ZoneId>) {
    let zone = |text: String| ZoneId::new(&text).unwrap();
    match n {
        0..4 => (DoorId::new(&format!("entrance-{n}")).unwrap(), vec![zone("perimeter".into())]),
        _ => {
            let (floor, id) = ((n - 4) / 5, format!("room-{n}"));
            (DoorId::new(&id).unwrap(), vec![zone(format!("floor-{floor}")), zone(id)])
        }
    }
}

fn zones(role: Role, dice: &mut Dice) -> Vec<ZoneId> {
    let room = 4 + dice.roll(DOORS - 4);
    let own = [format!("floor-{}", (room - 4) / 5), format!("room-{room}")];
    let perimeter = (role != Role::WrongDoor).then(|| "perimeter".to_owned());
    perimeter.into_iter().chain(own).map(|text| ZoneId::new(&text).unwrap()).collect()
}

/// One of a dozen shifts, in local time; some are on now, some not.
fn shift(holder: u32) -> Schedule {
    let from = (4 + holder / 20 % 12 * 2) as u16 % 24 * 60;
    let weekdays = Interval { days: 0b1_1111, from_min: from, to_min: (from + 8 * 60) % (24 * 60) };
    Schedule(vec![weekdays, Interval { days: 0b110_0000, from_min: 8 * 60, to_min: 12 * 60 }])
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
        let index = site.build(&hasher);
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
    let index = site.build(&hasher);
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
