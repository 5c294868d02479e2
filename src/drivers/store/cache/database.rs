//! The database: opening it (and what is done when that fails), generations, staging, notes.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use sled::{Batch, Db, Tree};

use super::{CacheError, Config, records};
use crate::{
    control::{
        Applied, Note, Part, Removal, Staged, commands_taken,
        index::{Index, Owners},
        let_in::LetIn,
    },
    domain::{At, BookingId, CommandId, DoorId, HolderId, Record, UidHash, ZoneId},
    wire::{
        Digest,
        feed::Sealed,
        stored::{Heard, Position, SCHEMA, StoredModes, decode, encode},
    },
};

/// sled's page cache. Decisions don't read it; a larger one only costs memory.
const PAGE_CACHE_BYTES: u64 = 8 << 20;

/// Most records written between two barriers: with more, a power cut can leave sled beyond repair.
const BATCH: usize = 1000;

/// What the trees of records are named, before their generation's number.
const RECORDS: &str = "records.";
/// How often, and after how long, a cache that is still in use is tried again: 5 s in all.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

const KEY_SCHEMA: &str = "schema";
const KEY_CONTROLLER: &str = "controller";
const KEY_UID_CHECK: &str = "uid_check";
const KEY_GENERATION: &str = "generation";
const KEY_HEARD: &str = "heard";
const KEY_CHECKPOINT: &str = "checkpoint";

#[derive(Debug)]
pub struct Database {
    config: Config,
    path: PathBuf,
    db: Db,
    meta: Tree,
    let_in: Tree,
    modes: Tree,
    /// Ids of commands, with when they expire.
    commands: Tree,
    generation: u64,
    records: Tree,
    position: Position,
    staging: Option<Staging>,
}

/// A snapshot on its way in.
#[derive(Debug)]
struct Staging {
    id: String,
    generation: u64,
    tree: Tree,
    index: Index,
    position: Position,
    next_part: u32,
    parts: u32,
}

impl Staging {
    /// Whether this is the next part of this very snapshot, by all that names one.
    fn takes(&self, part: &Part) -> bool {
        let own = (&self.id, self.position.epoch, self.position.applied, self.parts, self.next_part);
        own == (&part.id, part.epoch, part.last, part.parts, part.part)
    }
}

/// What was in the cache.
#[derive(Debug)]
pub struct Loaded {
    pub index: Index,
    pub position: Position,
    pub let_in: LetIn,
    pub heard: Heard,
    pub modes: BTreeMap<DoorId, StoredModes>,
    /// Ids of commands that were taken, and when they expire.
    pub commands: Vec<(CommandId, At)>,
    /// Journal entries after this one may say more about who has been let in, and about doors' modes.
    pub checkpoint: u64,
    /// Why the cache had to be set aside, if it had: a sentence for the journal.
    pub recovered: Option<String>,
}

impl Database {
    /// Opens the cache and reads it. One that can't be read is set aside, never deleted, and an empty one begun: its
    /// position then asks central for a snapshot.
    pub fn open(config: Config) -> Result<(Self, Loaded), CacheError> {
        let path = config.state_dir.join("cache");
        match patiently(&config, &path) {
            Ok(opened) => Ok(opened),
            Err(error) if !error.is_damage() => Err(error),
            Err(error) => {
                let aside = set_aside(&path)?;
                let said =
                    format!("{error}; set aside as {}, asking central for a snapshot", aside.display());
                tracing::error!(%error, aside = %aside.display(), "the cache can't be read");
                let (database, mut loaded) = guarded(&config, &path)?;
                loaded.recovered = Some(said);
                Ok((database, loaded))
            }
        }
    }

    fn open_at(config: Config, path: &Path) -> Result<Self, CacheError> {
        let was_there = path.join("db").exists() || path.join("conf").exists();
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(PAGE_CACHE_BYTES)
            .open()
            .map_err(CacheError::sled("opened"))?;
        let open = |name: String| db.open_tree(name).map_err(CacheError::sled("opened"));
        let (meta, let_in, modes) = (open("meta".into())?, open("let_in".into())?, open("modes".into())?);
        let commands = open("commands".into())?;
        check_owner(&meta, &config, was_there)?;
        let generation = number(&meta, KEY_GENERATION)?;
        let records = open(tree_name(generation))?;
        let position = match records::position(&records)? {
            Some(position) => position,
            None if generation == 0 => Position::default(),
            None => return Err(CacheError::Damaged("its records are gone".into())),
        };
        let path = path.to_owned();
        let database = Database {
            config,
            path,
            db,
            meta,
            let_in,
            modes,
            commands,
            generation,
            records,
            position,
            staging: None,
        };
        database.drop_other_generations()?;
        database.flush()?;
        Ok(database)
    }

    /// Makes everything written so far survive a power cut.
    pub fn flush(&self) -> Result<(), CacheError> {
        self.db.flush().map_err(CacheError::sled("flushed"))?;
        if self.config.flush_is_barrier {
            return Ok(());
        }
        let file = fs::File::open(self.path.join("db")).map_err(CacheError::Barrier)?;
        file.sync_data().map_err(CacheError::Barrier)
    }

    /// Applies one message, durably.
    pub fn apply(
        &mut self,
        applied: u64,
        rejected: u64,
        items: &[Sealed],
        owners: Owners,
    ) -> Result<Applied, CacheError> {
        let rejected = self.position.rejected + rejected;
        let before = Position { applied, rejected, ..self.position };
        let (done, undo) = records::apply(&self.records, before, items, owners)?;
        if let Err(error) = self.flush() {
            undo.carry_out(&self.records)?;
            return Err(error);
        }
        self.position = done.position;
        Ok(done)
    }

    /// Applies one message, finding out who has the UIDs by reading everything.
    #[cfg(test)]
    pub fn apply_alone(
        &mut self,
        applied: u64,
        rejected: u64,
        items: &[Sealed],
    ) -> Result<Applied, CacheError> {
        let owners = self.load()?.index.owners(items.iter().filter_map(Sealed::put));
        self.apply(applied, rejected, items, owners)
    }

    /// Takes in one part of a snapshot, durably; with the last one the snapshot is in force.
    pub fn stage(&mut self, part: Part, at: At) -> Result<Staged, CacheError> {
        if part.part == 1 {
            self.begin_staging(&part)?;
        }
        let Some(staging) = self.staging.as_mut().filter(|s| s.takes(&part)) else {
            return Ok(Staged::OutOfOrder { id: part.id });
        };
        staging.position.rejected += part.rejected;
        staging.next_part += 1;
        let conflicts = self.stage_items(&part)?;
        if part.part < part.parts {
            return Ok(Staged::Part { id: part.id, part: part.part, conflicts });
        }
        self.swap(conflicts, at)
    }

    /// Nothing sees what is staged, so a large part needs not be one batch.
    fn stage_items(&mut self, part: &Part) -> Result<Vec<String>, CacheError> {
        let mut conflicts = Vec::new();
        // A part without records still has a position to be written.
        let batches = part.items.chunks(BATCH).chain(part.items.is_empty().then_some(&[][..]));
        for items in batches {
            let Some(staging) = self.staging.as_mut() else { break };
            let owners = staging.index.owners(items.iter().filter_map(Sealed::put));
            let (applied, _) = records::apply(&staging.tree, staging.position, items, owners)?;
            staging.position = applied.position;
            for replaced in &applied.replaced {
                staging.index.apply(replaced.old.as_ref(), replaced.new.as_ref());
            }
            conflicts.extend(applied.conflicts);
            self.flush()?;
        }
        Ok(conflicts)
    }

    /// Other doors from now on, for snapshots that begin after this.
    pub fn set_doors(&mut self, doors: Vec<(DoorId, Vec<ZoneId>)>) {
        self.config.doors = doors;
    }

    fn begin_staging(&mut self, part: &Part) -> Result<(), CacheError> {
        if let Some(old) = self.staging.take() {
            self.drop_generation(old.generation)?;
        }
        let generation = self.generation + 1;
        let tree = self.db.open_tree(tree_name(generation)).map_err(CacheError::sled("opened"))?;
        tree.clear().map_err(CacheError::sled("cleared"))?;
        self.staging = Some(Staging {
            id: part.id.clone(),
            generation,
            tree,
            index: Index::new(self.config.doors.iter().cloned()),
            position: Position { epoch: part.epoch, applied: part.last, ..Position::default() },
            next_part: 1,
            parts: part.parts,
        });
        Ok(())
    }

    /// One write puts the staged generation in force.
    fn swap(&mut self, conflicts: Vec<String>, at: At) -> Result<Staged, CacheError> {
        let Some(staging) = self.staging.take() else {
            return Err(CacheError::Damaged("no snapshot is staged".into()));
        };
        let removal = self.removal_by(&staging.index, at)?;
        put(&self.meta, KEY_GENERATION, &staging.generation)?;
        if let Err(error) = self.flush() {
            // Else the next snapshot would be staged in what a start takes to be in force.
            put(&self.meta, KEY_GENERATION, &self.generation)?;
            return Err(error);
        }
        let old = std::mem::replace(&mut self.generation, staging.generation);
        self.records = staging.tree;
        self.position = staging.position;
        if let Err(error) = self.drop_generation(old) {
            tracing::warn!(%error, "the replaced records stay on disk until the next start");
        }
        let Staging { id, position, index, .. } = staging;
        Ok(Staged::InForce { id, position, index: Box::new(index), conflicts, removal })
    }

    /// How much of what is open or to come the staged records no longer hold.
    fn removal_by(&self, staged: &Index, at: At) -> Result<Removal, CacheError> {
        let mut removal = Removal::default();
        for stored in records::all(&self.records) {
            let Record::Grant(grant) = stored?.record else { continue };
            if grant.terms().is_live(staged.policy(), at) {
                let holder = staged.by_holder(grant.holder.as_str());
                let is_kept = holder.is_some_and(|h| h.grants().any(|g| g.id == grant.id.as_str()));
                removal.live += 1;
                removal.removed += usize::from(!is_kept);
            }
        }
        Ok(removal)
    }

    /// Keeps, durably, that a command has been taken.
    pub fn remember(&self, id: &CommandId, expires_at: At, now: At) -> Result<(), CacheError> {
        let mut batch = Batch::default();
        for (known, until) in self.load_commands()? {
            if commands_taken::is_over(until, now) {
                batch.remove(known.as_str());
            }
        }
        batch.insert(id.as_str(), encode(&expires_at)?);
        self.commands.apply_batch(batch).map_err(CacheError::sled("written"))?;
        self.flush()
    }

    pub fn note(&self, note: &Note) -> Result<(), CacheError> {
        match note {
            Note::Heard(heard) => put(&self.meta, KEY_HEARD, heard),
            Note::Checkpoint { seq } => put(&self.meta, KEY_CHECKPOINT, seq),
            Note::LetIn { booking, holder, at, seq } => {
                let key = format!("{booking} {holder}");
                self.let_in.insert(key, encode(at)?).map_err(CacheError::sled("written"))?;
                put(&self.meta, KEY_CHECKPOINT, seq)
            }
            Note::Modes { door, modes } => put(&self.modes, door.as_str(), modes),
            Note::Forget { booking } => {
                for pair in self.let_in.scan_prefix(format!("{booking} ")) {
                    let (key, _) = pair.map_err(CacheError::sled("read"))?;
                    self.let_in.remove(key).map_err(CacheError::sled("written"))?;
                }
                Ok(())
            }
        }
    }

    fn load(&self) -> Result<Loaded, CacheError> {
        let position = self.position;
        let mut index = Index::new(self.config.doors.iter().cloned());
        let mut digest = Digest::default();
        for stored in records::all(&self.records) {
            let stored = stored?;
            index.apply(None, Some(&stored.record));
            digest = digest.xor(stored.digest);
        }
        // Damage can make a scan stop short without an error: count what should be there.
        let (found, expected) =
            ((index.credentials() as u64, index.grants() as u64), (position.credentials, position.grants));
        if found != expected {
            return Err(CacheError::Damaged(format!(
                "it holds {} credentials and {} grants where {} and {} were stored",
                found.0, found.1, expected.0, expected.1
            )));
        }
        if digest != position.digest {
            return Err(CacheError::Damaged(
                "its records do not add up to the digest kept beside them".into(),
            ));
        }
        Ok(Loaded {
            index,
            position,
            let_in: self.load_let_in()?,
            heard: get(&self.meta, KEY_HEARD)?.unwrap_or_default(),
            modes: self.load_modes()?,
            checkpoint: number(&self.meta, KEY_CHECKPOINT)?,
            commands: self.load_commands()?,
            recovered: None,
        })
    }

    fn load_let_in(&self) -> Result<LetIn, CacheError> {
        let mut let_in = LetIn::default();
        for pair in &self.let_in {
            let (key, value) = pair.map_err(CacheError::sled("read"))?;
            let key = String::from_utf8_lossy(&key).into_owned();
            let Some((booking, holder)) = key.split_once(' ') else { continue };
            if let (Ok(booking), Ok(holder)) = (BookingId::new(booking), HolderId::new(holder)) {
                let_in.add(booking, holder, decode(&value)?);
            }
        }
        Ok(let_in)
    }

    fn load_modes(&self) -> Result<BTreeMap<DoorId, StoredModes>, CacheError> {
        let mut modes = BTreeMap::new();
        for pair in &self.modes {
            let (door, value) = pair.map_err(CacheError::sled("read"))?;
            if let Ok(door) = DoorId::new(&String::from_utf8_lossy(&door)) {
                modes.insert(door, decode(&value)?);
            }
        }
        Ok(modes)
    }

    fn load_commands(&self) -> Result<Vec<(CommandId, At)>, CacheError> {
        let mut commands = Vec::new();
        for pair in &self.commands {
            let (key, value) = pair.map_err(CacheError::sled("read"))?;
            if let Ok(id) = CommandId::new(&String::from_utf8_lossy(&key)) {
                commands.push((id, decode(&value)?));
            }
        }
        Ok(commands)
    }

    /// A snapshot that was interrupted, or one that was replaced and not yet removed.
    fn drop_other_generations(&self) -> Result<(), CacheError> {
        for name in self.db.tree_names() {
            let name = String::from_utf8_lossy(&name).into_owned();
            if name.starts_with(RECORDS) && name != tree_name(self.generation) {
                self.db.drop_tree(name).map_err(CacheError::sled("cleared"))?;
            }
        }
        Ok(())
    }

    fn drop_generation(&self, generation: u64) -> Result<(), CacheError> {
        self.db.drop_tree(tree_name(generation)).map(|_| ()).map_err(CacheError::sled("cleared"))
    }
}

/// sled lets go of its files some time after it was dropped: waits for that, and not for longer.
fn patiently(config: &Config, path: &Path) -> Result<(Database, Loaded), CacheError> {
    for _ in 0..TRIES {
        match guarded(config, path) {
            Err(error) if error.is_in_use() => std::thread::park_timeout(BETWEEN_TRIES),
            outcome => return outcome,
        }
    }
    guarded(config, path)
}

/// Opens and reads; a panic inside sled (known of damaged files) counts as damage.
fn guarded(config: &Config, path: &Path) -> Result<(Database, Loaded), CacheError> {
    let attempt = AssertUnwindSafe(|| {
        let database = Database::open_at(config.clone(), path)?;
        let loaded = database.load()?;
        Ok((database, loaded))
    });
    catch_unwind(attempt).unwrap_or_else(|_| Err(CacheError::Damaged("sled gave up on its files".into())))
}

fn set_aside(path: &Path) -> Result<PathBuf, CacheError> {
    let free = (1..).map(|n| path.with_extension(format!("damaged-{n}"))).find(|p| !p.exists());
    let aside = free.unwrap_or_else(|| path.with_extension("damaged"));
    match fs::rename(path, &aside) {
        Ok(()) => Ok(aside),
        Err(error) => Err(CacheError::SetAside { path: aside, error }),
    }
}

fn check_owner(meta: &Tree, config: &Config, was_there: bool) -> Result<(), CacheError> {
    let schema: Option<u32> = get(meta, KEY_SCHEMA)?;
    // Damage can empty a tree, or all of it, without an error; taken for a new cache, what is left would be dropped.
    if schema.is_none() && was_there {
        return Err(CacheError::Damaged("it does not say what it is".into()));
    }
    let owner: Option<String> = get(meta, KEY_CONTROLLER)?;
    match schema {
        Some(found) if found != SCHEMA => return Err(CacheError::Schema { found, known: SCHEMA }),
        Some(_) => {}
        None => put(meta, KEY_SCHEMA, &SCHEMA)?,
    }
    match get::<UidHash>(meta, KEY_UID_CHECK)? {
        Some(found) if found != config.uid_check => {
            return Err(CacheError::Damaged("its UIDs were hashed under another key (uid.key)".into()));
        }
        Some(_) => {}
        None => put(meta, KEY_UID_CHECK, &config.uid_check)?,
    }
    match owner {
        Some(found) if found != config.controller.as_str() => {
            Err(CacheError::OtherController { found, own: config.controller.clone() })
        }
        Some(_) => Ok(()),
        None => put(meta, KEY_CONTROLLER, &config.controller.as_str()),
    }
}

fn tree_name(generation: u64) -> String {
    format!("{RECORDS}{generation}")
}

fn number(meta: &Tree, key: &str) -> Result<u64, CacheError> {
    Ok(get(meta, key)?.unwrap_or(0))
}

fn get<T: serde::de::DeserializeOwned>(meta: &Tree, key: &str) -> Result<Option<T>, CacheError> {
    let value = meta.get(key).map_err(CacheError::sled("read"))?;
    Ok(value.map(|v| decode(&v)).transpose()?)
}

fn put<T: serde::Serialize>(meta: &Tree, key: &str, value: &T) -> Result<(), CacheError> {
    meta.insert(key, encode(value)?).map(|_| ()).map_err(CacheError::sled("written"))
}
