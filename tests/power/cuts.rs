//! Cuts at any moment of a busy minute, and what each of them left.
//!
//! Every test run takes as many as it has time for. `LATCHD_CUTS=1000` (`./dev cuts 1000`) takes so many, `LATCHD_SEED=7`
//! others; `LATCHD_CUT_IMAGE=DIR` looks again at one that was kept because it failed.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use hardware_sim::disk::{Cut, Moment, save};
use hardware_sim::time;

use super::Rig;
use super::copy::{Bench, Found};
use super::doings::{Doings, booked};
use super::mounted::{missing, say};
use super::promised::{Known, Promised};
use crate::asked;
use hardware_sim::world::Lot;

/// Without being asked for more: so long, and not more than so many.
const SLICE: Duration = Duration::from_secs(60);
const SLICE_CUTS: u64 = 60;
/// Power is really gone after so many copies, and the next life goes on from the last.
const CUTS_A_LIFE: u64 = 10;
/// A cut comes before so many more writes: some of what a busy moment makes.
const WRITES: usize = 120;
/// Copies looked at side by side.
const BENCHES: usize = 2;

/// A moment that was cut at, and what had been promised by then.
struct Case {
    number: u64,
    cut: Cut,
    seed: u64,
    moment: Moment,
    promised: Promised,
}

impl Case {
    fn content(self) -> (Vec<u8>, Promised) {
        let mut lot = Lot::new(self.seed);
        (self.moment.after(self.cut, |end| lot.below(end)), self.promised)
    }
}

/// What all copies came to.
#[derive(Debug, Default)]
struct Tally {
    looked_at: u64,
    pending: usize,
    repaired: u64,
    torn: u64,
    failed: Vec<String>,
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged_and_opens_nothing() {
    if let Some(why) = missing() {
        say(&format!("SKIPPED, no disk was cut: {why}"));
        return;
    }
    if let Some(kept) = kept() {
        return look_again(&kept);
    }
    let wanted = asked::number("LATCHD_CUTS");
    let seed = asked::number("LATCHD_SEED").unwrap_or(1);
    let (start, until) = (time::now(), wanted.map_or(Some(SLICE), |_| None));
    let (mut rig, known, tally) = (Rig::running(), Known::default(), Mutex::new(Tally::default()));
    booked(&rig.site);
    let (config, site_folder, guests) = (rig.config(), rig.site_folder(), AtomicUsize::new(0));
    let (sender, receiver) = sync_channel(BENCHES);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        for _ in 0..BENCHES {
            scope.spawn(|| bench(&config, &site_folder, &receiver, &tally));
        }
        let mut number = 0;
        let go_on = |number: u64| {
            number < wanted.unwrap_or(SLICE_CUTS) && until.is_none_or(|slice| start.elapsed() < slice)
        };
        while go_on(number) {
            let last;
            (number, last) = life(&rig, &known, &guests, seed, number, &go_on, &sender);
            rig.end();
            if go_on(number) {
                let mut lot = Lot::new(seed + number);
                rig.begin(last.after(Cut::Subset, |end| lot.below(end)));
            }
        }
        drop(sender);
    });
    let tally = tally.into_inner().expect("nobody panicked with it");
    say(&format!(
        "{} copies of {} lives looked at in {:.0?}, with {} writes under way on average; {} file systems repaired, {} torn \
         journal ends; {} failed",
        tally.looked_at,
        rig.lives,
        start.elapsed(),
        tally.pending as u64 / tally.looked_at.max(1),
        tally.repaired,
        tally.torn,
        tally.failed.len()
    ));
    assert!(tally.failed.is_empty(), "{}", tally.failed.join("\n"));
    assert!(tally.looked_at > 0, "not one disk was cut in {SLICE:?}");
}

/// One life with everything going on, cut again and again, until power is really gone in the middle of it. The number of
/// the next cut, and the last moment.
fn life(
    rig: &Rig,
    known: &Known,
    guests: &AtomicUsize,
    seed: u64,
    first: u64,
    go_on: &dyn Fn(u64) -> bool,
    sender: &SyncSender<Case>,
) -> (u64, Moment) {
    let over = AtomicBool::new(false);
    let doings = Doings { site: &rig.site, known, over: &over, guests, seed: seed ^ first };
    let mut number = first;
    let last = thread::scope(|scope| {
        scope.spawn(|| doings.changes());
        scope.spawn(|| doings.taps());
        scope.spawn(|| doings.arrivals());
        scope.spawn(|| doings.orders());
        scope.spawn(|| doings.commands());
        let mut lot = Lot::new(seed ^ first << 20);
        while go_on(number) && number < first + CUTS_A_LIFE {
            let mut promised = Promised::by_now(&rig.site, known);
            let moment = rig.moment_behind(lot.below(WRITES));
            promised.also(known);
            let case = Case {
                number,
                cut: Cut::ALL[lot.below(Cut::ALL.len())],
                seed: lot.of(0..1 << 60),
                moment,
                promised,
            };
            if sender.send(case).is_err() {
                break;
            }
            number += 1;
        }
        let last = rig.last_moment();
        over.store(true, Ordering::Relaxed);
        last
    });
    (number, last)
}

fn bench(config: &str, site: &Path, cases: &Mutex<Receiver<Case>>, tally: &Mutex<Tally>) {
    let bench = Bench::new(config, site);
    loop {
        let next = cases.lock().expect("nobody panics with it").recv();
        let Ok(case) = next else { return };
        let (number, cut, pending) = (case.number, case.cut, case.moment.pending());
        let summary = case.promised.summary();
        let (content, promised) = case.content();
        // One that does not even start is a failure like others, and leaves the bench to the next.
        let found = catch_unwind(AssertUnwindSafe(|| bench.check(&content, &promised)))
            .unwrap_or_else(|why| Found { broken: vec![panicked(&why)], ..Found::default() });
        let kept =
            (!found.broken.is_empty()).then(|| keep(&bench, config, site, &content, &promised, number));
        let mut tally = tally.lock().expect("nobody panics with it");
        tally.looked_at += 1;
        tally.pending += pending;
        tally.repaired += u64::from(found.repaired);
        tally.torn += u64::from(found.torn);
        if let Some(kept) = kept {
            let told = told(
                &found,
                &format!("cut {number} ({cut:?}, {pending} writes under way; {summary})"),
                &kept,
            );
            say(&told);
            tally.failed.push(told);
        }
    }
}

fn panicked(why: &Box<dyn Any + Send>) -> String {
    why.downcast_ref::<String>().map_or_else(|| "the check panicked".to_owned(), Clone::clone)
}

fn told(found: &Found, what: &str, kept: &Path) -> String {
    format!(
        "{what}:\n  {}\n  again with: LATCHD_CUT_IMAGE={} cargo test --test it power::",
        found.broken.join("\n  "),
        kept.display()
    )
}

/// Keeps what failed, with all that it takes to look again.
fn keep(
    bench: &Bench,
    config: &str,
    site: &Path,
    content: &[u8],
    promised: &Promised,
    number: u64,
) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cut-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("room for what failed");
    save(content, &folder.join("image")).expect("room for what failed");
    let text = serde_json::to_string(promised).expect("plain data");
    fs::write(folder.join("promised.json"), text).expect("room for what failed");
    fs::write(folder.join("latchd.toml"), config).expect("room for what failed");
    fs::write(folder.join("site"), site.to_str().expect("a path in UTF-8")).expect("room for what failed");
    // What it said while it was looked at; gone with the bench otherwise.
    let _ = fs::copy(bench.image().with_file_name("latchd.log"), folder.join("latchd.log"));
    folder
}

#[expect(clippy::disallowed_methods, reason = "a test run is asked by its environment")]
fn kept() -> Option<PathBuf> {
    std::env::var("LATCHD_CUT_IMAGE").ok().map(PathBuf::from)
}

fn look_again(kept: &Path) {
    let read = |name| fs::read_to_string(kept.join(name)).expect("a cut that was kept");
    let promised: Promised = serde_json::from_str(&read("promised.json")).expect("what was promised");
    let content = fs::read(kept.join("image")).expect("a cut that was kept");
    let found = Bench::new(&read("latchd.toml"), Path::new(&read("site"))).check(&content, &promised);
    assert!(found.broken.is_empty(), "{}", told(&found, "kept", kept));
}
