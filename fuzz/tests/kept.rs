//! Every target over its kept inputs, and over random changes of them: what `./dev fuzz` does with coverage to guide it,
//! in the seconds every test run has. `LATCHD_SEED=n` runs other changes, `LATCHD_FUZZ=n` n times as many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking where it stands"
)]
#![allow(clippy::disallowed_methods, reason = "how many, and which, is asked in the environment")]

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use latchd_fuzz::{TARGETS, Target};

/// The most that lies in seeds/, so that a checkout stays small.
const KEPT_MAX: u64 = 300 << 10;
/// The longest input that is made.
const LENGTH_MAX: usize = 4096;

/// Random numbers that depend on the seed alone (splitmix64).
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |n| n.parse().expect("a number"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

fn kept(target: &Target) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder().join(target.name))
        .unwrap_or_else(|error| panic!("fuzz/seeds/{}: {error}", target.name))
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A kept input, changed in a few places: bits, bytes, pieces taken out, doubled, or put in from another.
fn changed(lot: &mut Lot, all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = all[lot.below(all.len())].clone();
    for _ in 0..=lot.below(4) {
        let at = lot.below(bytes.len() + 1);
        let end = (at + 1 + lot.below(24)).min(bytes.len());
        match lot.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << lot.below(8),
            1 if at < bytes.len() => {
                bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, b'0', b'9', b'"', b'{'][lot.below(9)]
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = &all[lot.below(all.len())];
                let from = lot.below(other.len() + 1);
                let piece = &other[from..(from + lot.below(64)).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            5 => bytes.insert(at, lot.below(256) as u8),
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

fn run(target: &Target, bytes: &[u8]) {
    if catch_unwind(|| (target.run)(bytes)).is_err() {
        let path = std::env::temp_dir().join(format!("latchd-{}.input", target.name));
        fs::write(&path, bytes).unwrap();
        panic!("{} does not hold; again with: ./dev fuzz {} {}", target.name, target.name, path.display());
    }
}

fn attacked(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let all = kept(target);
    assert!(!all.is_empty(), "nothing is kept for {name}");
    all.iter().for_each(|bytes| run(target, bytes));
    let mut lot = Lot(asked("LATCHD_SEED", 1));
    for _ in 0..u64::from(target.mutations) * asked("LATCHD_FUZZ", 1) {
        run(target, &changed(&mut lot, &all));
    }
}

/// A test for each, so that they run side by side and fail by name.
macro_rules! attacks {
    ($($name:ident)*) => {
        $(#[test] fn $name() { attacked(stringify!($name)); })*

        #[test]
        fn every_target_is_attacked_and_built() {
            let named = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), named);
            for name in named {
                let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets").join(format!("{name}.rs"));
                let text = fs::read_to_string(&file).unwrap();
                assert!(text.contains(&format!("::{name}(bytes)")), "{}", file.display());
            }
        }
    };
}

attacks! {
    feed ack jws command
    pn532_frames pn532_chip pcsc_answers osdp_frames osdp_cards osdp_channel
    modbus_tcp modbus_rtu
    control_request control_answer configuration metrics_head
    journal cache_records
}

#[test]
fn what_is_kept_is_small_and_belongs_to_a_target() {
    let mut bytes = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "seeds/{name} is nobody's");
        bytes +=
            fs::read_dir(&path).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    }
    assert!(bytes <= KEPT_MAX, "{bytes} bytes are kept");
}
