//! What an OSDP line adds between a card and its tap: from the instant the simulated reader has the card until the
//! driver says it, over a pty and without the daemon around it.
//!
//! A reader is asked every 50 ms, so a card waits 25 ms on average, whatever else is quick. A pty has no line rate: at
//! 9600 bits a second an exchange takes about 35 ms more, and four readers share the line.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark that meets a defect must stop, not report a figure; and it is here to read a clock"
)]

#[allow(dead_code, reason = "there is one round, and so no median of several")]
#[path = "shared/figures.rs"]
mod figures;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use figures::{Machine, Row, percentile, print_table, save};
use hardware_sim::{osdp::Osdp, uid::CardUid};
use latchd::{
    control::{Event, ReaderEvent},
    domain::ReaderId,
    drivers::reader::{UidOrder, osdp},
};
use serde_json::json;
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::{sleep, timeout},
};

const TAPS: u32 = 400;
const LIMIT: Duration = Duration::from_secs(20);
const KEY: [u8; 16] = [0xC5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Sorted nanoseconds from card to tap, with so many readers on the line.
async fn measured(folder: &Path, readers: u8, with_key: bool) -> Vec<u64> {
    let key_file = folder.join("scbk");
    fs::write(&key_file, data_encoding::HEXUPPER.encode(&KEY)).unwrap();
    let devices: Vec<_> = (0..readers).map(|address| (address, with_key.then_some(KEY))).collect();
    let line = Osdp::start(&folder.join("line"), &devices).unwrap();
    let peripheral = |address| osdp::Peripheral {
        reader: ReaderId::new(&format!("r-{address}")).unwrap(),
        address,
        key_file: with_key.then(|| key_file.clone()),
        uid_order: UidOrder::AsRead,
    };
    let port = line.path().display().to_string();
    let config = osdp::Config { port, baud: 115_200, peripherals: (0..readers).map(peripheral).collect() };
    let (sender, mut events) = channel(64);
    let _handles = osdp::spawn(config, sender);
    for address in 0..readers {
        // The driver runs on this very thread: wait without holding it up.
        while !line.wait_until_asked(address, Duration::ZERO) {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let mut taken = Vec::new();
    for number in 0..TAPS {
        // Anywhere between two polls.
        let apart = getrandom::u32().unwrap() % 60_000;
        sleep(Duration::from_micros(u64::from(60_000 + apart))).await;
        let uid = CardUid::new(&[&[0xA5][..], &number.to_be_bytes(), &[0, 1]].concat()).unwrap();
        let held = Instant::now();
        line.tap((number % u32::from(readers)) as u8, &uid);
        tap(&mut events).await;
        taken.push(u64::try_from(held.elapsed().as_nanos()).unwrap());
    }
    taken.sort_unstable();
    taken
}

async fn tap(events: &mut Receiver<Event>) {
    loop {
        let event = timeout(LIMIT, events.recv()).await.unwrap().unwrap();
        let Event::Reader { what, .. } = event else { panic!("{event:?}") };
        if matches!(what, ReaderEvent::Tap(_)) {
            return;
        }
        assert!(matches!(what, ReaderEvent::Connected { .. }), "{what:?}");
    }
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::look(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    let cases = [
        (1, true, "one reader, secure: p50", "one reader, secure: p99"),
        (1, false, "one reader, clear text: p50", "one reader, clear text: p99"),
        (4, true, "four readers on a line, secure: p50", "four readers on a line, secure: p99"),
    ];
    for (readers, with_key, p50, p99) in cases {
        let taken = runtime.block_on(measured(folder.path(), readers, with_key));
        rows.push(Row::seen(p50, percentile(&taken, 50) / 1000.0, "ms"));
        rows.push(Row::seen(p99, percentile(&taken, 99) / 1000.0, "ms"));
    }
    print_table(&rows);
    machine.print();
    save("osdp", &rows, &machine, json!({ "taps": TAPS }));
}
