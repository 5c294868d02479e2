//! The high-water mark: how far this controller has ever been, in a small file outside the stores.
//!
//! A cache that was lost or is an older one does not know that it was further; with the mark it does. So an epoch that
//! is over is not taken again from whoever replays it, numbers of the journal are not used twice, and a clock is not
//! believed that is behind what was recorded. The epoch is in it before it is acknowledged; the rest follows within
//! seconds, and within minutes what only the journal knows.
//!
//! ```json
//! {"applied":1203,"check":"51fe…","controller":"oslo-1","epoch":3,"journal":"6f…","latest":"2026-…","mark":1,"seq":501}
//! ```

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aside, held::Held, key::write_whole, whose::advice};
use crate::{
    domain::{At, ControllerId, Mono},
    drivers::clock,
    wire::Digest,
};

/// The file's name in the state directory.
pub const FILE: &str = "high-water";
/// The layout of the file.
const LAYOUT: u64 = 1;
/// Changes that come in a row are marked at most this often.
const EVERY: Duration = Duration::from_secs(1);
/// What only the journal knows is marked at most this often: an event costs the disk no write of the mark's.
const JOURNAL_EVERY: Duration = Duration::from_secs(600);
/// How often is looked whether the clock is synchronised.
const LOOK_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    #[error("can't read {path}: {error}{}", advice(error, path))]
    Read { path: PathBuf, error: std::io::Error },
    #[error(
        "the state directory is controller {found}'s ({path} says so), this is {own}; point state_dir somewhere else, or restore controller.id"
    )]
    OtherController { path: PathBuf, found: String, own: ControllerId },
}

/// How far the controller has been.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub controller: String,
    /// The highest epoch of the feed, and the highest number applied in it.
    pub epoch: u64,
    pub applied: u64,
    /// The latest instant recorded by a trusted clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<At>,
    /// The journal, and the last event known to be on disk.
    pub journal: String,
    pub seq: u64,
    /// Behind this event of the journal central has others under the same numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<u64>,
    /// When the clock was last synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Held>,
}

/// The mark, shared by the stores' threads, and its file.
#[derive(Debug)]
pub struct MarkFile {
    dir: PathBuf,
    state: Mutex<State>,
    /// Says whether the clock is synchronised.
    kernel: fn() -> Option<Held>,
}

#[derive(Debug)]
struct State {
    mark: Mark,
    saved: Mark,
    saved_at: Option<Mono>,
    /// When the clock was looked at last.
    looked_at: Mono,
}

impl MarkFile {
    /// Reads the mark, or begins one. One that can't be read is set aside; the sentence says so.
    pub fn open(dir: &Path, controller: &ControllerId) -> Result<(Self, Option<String>), MarkError> {
        let path = dir.join(FILE);
        let (found, said) = match fs::read(&path) {
            Ok(bytes) => match read(&bytes) {
                Ok(mark) if mark.controller != controller.as_str() => {
                    let (found, own) = (mark.controller, controller.clone());
                    return Err(MarkError::OtherController { path, found, own });
                }
                Ok(mark) => (Some(mark), None),
                Err(why) => (None, Some(put_away(&path, why))),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => (None, None),
            Err(error) => return Err(MarkError::Read { path, error }),
        };
        let new = Mark { controller: controller.as_str().into(), ..Mark::default() };
        let saved = found.clone().unwrap_or_default();
        let state = State { mark: found.unwrap_or(new), saved, saved_at: None, looked_at: clock::mono() };
        Ok((MarkFile { dir: dir.to_owned(), state: Mutex::new(state), kernel: Held::now }, said))
    }

    pub fn get(&self) -> Mark {
        self.state().mark.clone()
    }

    /// The feed was applied this far. Returns whether that is a new epoch, which is to be saved at once.
    pub fn applied(&self, epoch: u64, applied: u64) -> bool {
        let mark = &mut self.state().mark;
        let is_new = epoch > mark.epoch;
        (mark.epoch, mark.applied) = (mark.epoch, mark.applied).max((epoch, applied));
        is_new
    }

    /// The journal is on disk through this event.
    pub fn recorded(&self, journal: &str, seq: u64, latest: Option<At>) {
        let mark = &mut self.state().mark;
        if mark.journal != journal {
            journal.clone_into(&mut mark.journal);
            mark.forked = None;
        }
        (mark.seq, mark.latest) = (seq, mark.latest.max(latest));
    }

    /// Behind this event of the journal central has others under the same numbers.
    pub fn forked(&self, journal: &str, after: u64) {
        let mark = &mut self.state().mark;
        if mark.journal != journal {
            (mark.journal, mark.seq, mark.forked) = (journal.to_owned(), 0, None);
        }
        mark.forked.get_or_insert(after);
    }

    /// When it is to be saved next: what is new, or what the clock has to say.
    pub fn due(&self) -> Mono {
        let look = self.state().looked_at.plus(LOOK_EVERY);
        self.news_due().map_or(look, |news| news.min(look))
    }

    /// When it is to be saved next, if anything is new.
    fn news_due(&self) -> Option<Mono> {
        let State { mark, saved, saved_at, .. } = &*self.state();
        let feed = (mark.epoch, mark.applied) != (saved.epoch, saved.applied);
        let of = |mark: &Mark| (mark.controller.clone(), mark.journal.clone(), mark.forked);
        let names = of(mark) != of(saved);
        let every = if feed || names { EVERY } else { JOURNAL_EVERY };
        let since = saved_at.unwrap_or_default();
        (mark != saved).then(|| since.plus(every))
    }

    /// Saves what is new, so that after a crash the file is there whole, old or new.
    pub fn save(&self) -> std::io::Result<()> {
        let held = (self.kernel)();
        let (mark, saved) = {
            let mut state = self.state();
            state.looked_at = clock::mono();
            if let Some(held) = held.filter(|held| held.is_news(state.mark.clock.as_ref())) {
                state.mark.clock = Some(held);
            }
            (state.mark.clone(), state.saved.clone())
        };
        if mark == saved {
            return Ok(());
        }
        // A failure is not tried again at once, either.
        self.state().saved_at = Some(clock::mono());
        write_whole(&self.dir, FILE, text(&mark).as_bytes())?;
        self.state().saved = mark;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_away(path: &Path, why: &str) -> String {
    match aside::set_aside(path, "damaged") {
        Ok(aside) => format!("the high-water mark {why}; set aside as {}, begun anew", aside::name(&aside)),
        Err(error) => format!("the high-water mark {why}; {error}"),
    }
}

fn text(mark: &Mark) -> String {
    let mut value = serde_json::to_value(mark).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("mark".into(), LAYOUT.into());
    }
    let check = Digest::of(&value).to_string();
    if let Some(object) = value.as_object_mut() {
        object.insert("check".into(), check.into());
    }
    format!("{value}\n")
}

fn read(bytes: &[u8]) -> Result<Mark, &'static str> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|_| "can't be read")?;
    let check = value.as_object_mut().and_then(|object| object.remove("check"));
    if check.as_ref().and_then(Value::as_str) != Some(Digest::of(&value).to_string().as_str()) {
        return Err("is not what was written");
    }
    if value.get("mark").and_then(Value::as_u64) != Some(LAYOUT) {
        return Err("has a layout that this latchd does not know");
    }
    serde_json::from_value(value).map_err(|_| "can't be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::clock::Reading;

    fn open(dir: &Path) -> (MarkFile, Option<String>) {
        let (mark, said) = MarkFile::open(dir, &ControllerId::new("oslo-1").unwrap()).unwrap();
        (MarkFile { kernel: || None, ..mark }, said)
    }

    #[test]
    fn a_mark_outlasts_a_restart_and_only_rises() {
        let dir = tempfile::tempdir().unwrap();
        let (mark, said) = open(dir.path());
        assert_eq!((said, mark.due()), (None, Mono::default().plus(EVERY)));
        assert!(mark.applied(3, 1203) && !mark.applied(3, 1200) && !mark.applied(2, 9999));
        let latest = At::parse("2026-11-23T09:00:00Z").ok();
        mark.recorded("6f", 501, latest);
        mark.recorded("6f", 502, None);
        mark.save().unwrap();
        assert_eq!(mark.news_due(), None);
        assert!(mark.due() > clock::mono(), "the clock is looked at again");
        let expected = Mark {
            controller: "oslo-1".into(),
            epoch: 3,
            applied: 1203,
            latest,
            journal: "6f".into(),
            seq: 502,
            forked: None,
            clock: None,
        };
        assert_eq!(open(dir.path()).0.get(), expected);
    }

    #[test]
    fn when_the_clock_was_synchronised_outlasts_a_restart_and_one_that_is_not_takes_nothing_from_it() {
        fn synchronised() -> Option<Held> {
            let (mono, wall) = (Mono(Duration::from_secs(77)), At::parse("2026-11-23T09:00:00Z").unwrap());
            Held::of("run-1".into(), Reading { mono, wall, synchronised: true })
        }
        let dir = tempfile::tempdir().unwrap();
        let (mark, _) = open(dir.path());
        MarkFile { kernel: synchronised, ..mark }.save().unwrap();
        let (mark, _) = open(dir.path());
        assert_eq!(mark.get().clock, synchronised());
        mark.recorded("6f", 1, None);
        mark.save().unwrap();
        assert_eq!(open(dir.path()).0.get().clock, synchronised());
    }

    #[test]
    fn any_byte_that_is_wrong_is_noticed_and_the_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (mark, _) = open(dir.path());
        mark.applied(3, 1203);
        mark.save().unwrap();
        let whole = fs::read(dir.path().join(FILE)).unwrap();
        let cuts = [Vec::new(), vec![0; whole.len()], whole[..whole.len() / 2].to_vec()];
        let flips = (0..whole.len() - 1).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        for bytes in cuts.into_iter().chain(flips) {
            assert!(read(&bytes).is_err(), "{}", String::from_utf8_lossy(&bytes));
        }
        fs::write(dir.path().join(FILE), &whole[1..]).unwrap();
        let (mark, said) = open(dir.path());
        assert_eq!(mark.get().epoch, 0);
        assert!(
            said.unwrap().starts_with("the high-water mark can't be read; set aside as high-water.damaged-")
        );
    }

    #[test]
    fn another_controllers_state_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mark, _) = open(dir.path());
        mark.save().unwrap();
        let error =
            MarkFile::open(dir.path(), &ControllerId::new("bergen-1").unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("the state directory is controller oslo-1's ("), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
