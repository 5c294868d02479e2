//! The database: opening it, generations, staging, notes. What is done when that fails is the keeper's.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc::sync_channel,
    time::Duration,
};

use sled::{Batch, Db, IVec, Tree};

use super::{
    CacheError, Config,
    copy::GoodCopy,
    migrate,
    records::{self, Written},
    small::{KEY_CONTROLLER, KEY_GENERATION, KEY_SCHEMA, KEY_UID_CHECK, Kept, Small, Trees, get, put},
};
use crate::{
    control::{
        Applied, Note, Part, Removal, Staged, commands_taken,
        index::{Index, Owners},
    },
    domain::{At, CommandId, DoorId, Record, UidHash, ZoneId},
    drivers::store::{ballast, heap},
    wire::{
        Digest,
        feed::Sealed,
        stored::{Position, SCHEMA, StoredRecord, decode, encode},
    },
};

/// sled's page cache. Decisions don't read it; a larger one only costs memory.
const PAGE_CACHE_BYTES: u64 = 8 << 20;

/// Most records written between two barriers: with more, a power cut can leave sled beyond repair.
const BATCH: usize = 1000;

/// What the trees of records are named, before their generation's number.
const RECORDS: &str = "records.";
/// How often, and after how long, a cache that is still in use is tried again: 5 s in all.
const TRIES: u32 = 500;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// So few records that what sled keeps of them is not worth opening it a second time.
const FEW: u64 = 20_000;
/// Values that are handed on at a time while all are read, and how many times as many may wait.
const HANDED_ON: usize = 512;
const HANDS: usize = 8;

/// Records put back from a copy between two barriers: fewer than a power cut could hurt, and little memory.
const REFILL: usize = 250;

#[derive(Debug)]
pub struct Database {
    config: Config,
    path: PathBuf,
    db: Db,
    trees: Trees,
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
    pub kept: Kept,
    /// What had to be recovered, for the journal.
    pub recovered: Vec<Recovered>,
    /// Why it is not on disk, where it is not: doors go on from memory, and nothing that central changes is kept.
    pub closed: Option<String>,
}

/// Something of the store that was lost or damaged, and what is used instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Records in force now.
    pub count: u64,
    pub detail: String,
}

impl Database {
    /// Opens the cache and reads it, or makes one. What can't be read is an error; a panic inside sled (known of damaged
    /// files) is one, too. Of a large one, sled keeps what was read until it is opened again ([`Database::fresh`]).
    pub fn open(config: &Config) -> Result<(Self, Loaded), CacheError> {
        patiently(|| {
            let database = Database::open_at(config.clone())?;
            let loaded = database.load()?;
            Ok((database, loaded))
        })
    }

    /// The same cache, opened again if it is large: whatever sled has read it keeps, and its page cache has no limit that
    /// a single pass over everything would reach (it looks only when one of its 256 parts was asked 64 times).
    pub fn fresh(self) -> Result<Self, CacheError> {
        let is_small = self.position.credentials + self.position.grants <= FEW;
        // What is open on a full disk may not be opened again.
        let is_tight = ballast::free(&self.path).is_none_or(|free| free < 2 * ballast::BYTES);
        if is_small || is_tight || self.staging.is_some() {
            return Ok(self);
        }
        let (config, position) = (self.config.clone(), self.position);
        catch_unwind(AssertUnwindSafe(|| drop(self))).map_err(|_| gave_up())?;
        let again = patiently(|| Database::open_at(config.clone()))?;
        heap::give_back();
        if again.position != position {
            return Err(CacheError::Damaged("opened again, it is at another place".into()));
        }
        Ok(again)
    }

    fn open_at(config: Config) -> Result<Self, CacheError> {
        let path = config.path();
        let was_there = path.join("db").exists() || path.join("conf").exists();
        let db = sled::Config::new()
            .path(&path)
            .cache_capacity(PAGE_CACHE_BYTES)
            .open()
            .map_err(CacheError::opened(&path))?;
        let trees = Trees::open(&db)?;
        check_owner(&db, &trees.meta, &config, was_there)?;
        let generation = get(&trees.meta, KEY_GENERATION)?.unwrap_or(0);
        let records = db.open_tree(tree_name(generation)).map_err(CacheError::sled("opened"))?;
        let position = match records::position(&records)? {
            Some(position) => position,
            None if generation == 0 => Position::default(),
            None => return Err(CacheError::Damaged("its records are gone".into())),
        };
        let database = Database { config, path, db, trees, generation, records, position, staging: None };
        database.drop_other_generations()?;
        database.flush()?;
        Ok(database)
    }

    /// Fills an empty cache from a copy, durably.
    pub fn fill(&mut self, copy: &GoodCopy) -> Result<(), CacheError> {
        let generation = self.generation + 1;
        let tree = self.db.open_tree(tree_name(generation)).map_err(CacheError::sled("opened"))?;
        tree.clear().map_err(CacheError::sled("cleared"))?;
        let mut pairs = Vec::new();
        for pair in copy.records()? {
            pairs.push(pair?);
            if pairs.len() >= REFILL {
                records::put_back(&tree, &pairs, None)?;
                self.flush()?;
                pairs.clear();
            }
        }
        records::put_back(&tree, &pairs, Some(&copy.end.position))?;
        let mut small = copy.small.clone();
        small.doubt_commands()?;
        small.write(&self.db)?;
        put(&self.trees.meta, KEY_GENERATION, &generation)?;
        self.flush()?;
        (self.generation, self.records, self.position) = (generation, tree, copy.end.position);
        self.drop_other_generations()
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The tree of records in force, and its generation.
    pub fn records(&self) -> (&Tree, u64) {
        (&self.records, self.generation)
    }

    /// All but the records.
    pub fn small(&self) -> Result<Small, CacheError> {
        Small::of(&self.db, |name| name.starts_with(RECORDS))
    }

    /// Commands are taken again only from some moment on.
    pub fn doubt_commands(&self) -> Result<(), CacheError> {
        let mut small = Small::default();
        small.doubt_commands()?;
        small.write(&self.db)
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
    ) -> Result<(Applied, Written), CacheError> {
        let rejected = self.position.rejected + rejected;
        let before = Position { applied, rejected, ..self.position };
        let ended = self.trees.end_cards(items, (before.epoch, applied))?;
        let (done, written, undo) = records::apply(&self.records, before, items, owners)?;
        if let Err(error) = self.flush() {
            undo.carry_out(&self.records)?;
            self.trees.put_back(ended)?;
            return Err(error);
        }
        self.position = done.position;
        Ok((done, written))
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
        self.apply(applied, rejected, items, owners).map(|(applied, _)| applied)
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
            let (applied, ..) = records::apply(&staging.tree, staging.position, items, owners)?;
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
        let ended = self.trees.end_cards_before((staging.position.epoch, staging.position.applied))?;
        put(&self.trees.meta, KEY_GENERATION, &staging.generation)?;
        if let Err(error) = self.flush() {
            self.trees.put_back(ended)?;
            // Else the next snapshot would be staged in what a start takes to be in force.
            put(&self.trees.meta, KEY_GENERATION, &self.generation)?;
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
                let is_kept = holder.is_some_and(|h| h.grants().any(|g| g.id.is(grant.id.as_str())));
                removal.live += 1;
                removal.removed += usize::from(!is_kept);
            }
        }
        Ok(removal)
    }

    /// Keeps, durably, that a command has been taken.
    pub fn remember(&self, id: &CommandId, expires_at: At, now: At) -> Result<(), CacheError> {
        let mut batch = Batch::default();
        for pair in &self.trees.commands {
            let (known, until) = pair.map_err(CacheError::sled("read"))?;
            if commands_taken::is_over(decode(&until)?, now) {
                batch.remove(known);
            }
        }
        batch.insert(id.as_str(), encode(&expires_at)?);
        self.trees.commands.apply_batch(batch).map_err(CacheError::sled("written"))?;
        self.flush()
    }

    pub fn note(&self, note: &Note) -> Result<(), CacheError> {
        self.trees.note(note)
    }

    pub fn load(&self) -> Result<Loaded, CacheError> {
        let kept = self.small()?.read()?;
        let index = self.read_through()?;
        Ok(Loaded { index, position: self.position, kept, recovered: Vec::new(), closed: None })
    }

    /// Every record, read by one thread and put into an index by another: there are two processors to wait for.
    fn read_through(&self) -> Result<Index, CacheError> {
        let (send, values) = sync_channel::<Vec<Result<IVec, CacheError>>>(HANDS);
        std::thread::scope(|scope| {
            let read = move || {
                let mut values = records::values(&self.records).peekable();
                while values.peek().is_some() {
                    // Nobody takes any more after the first that can't be used.
                    if send.send(values.by_ref().take(HANDED_ON).collect()).is_err() {
                        return;
                    }
                }
            };
            let reader = std::thread::Builder::new().name("cache reader".into());
            reader.spawn_scoped(scope, read).map_err(CacheError::Thread)?;
            let values = values.into_iter().flatten();
            index_of(&self.config, values.map(records::read), &self.position)
        })
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

/// Reads records into an index, and counts what should be there: damage can make a scan stop short without an error.
pub fn index_of(
    config: &Config,
    records: impl Iterator<Item = Result<StoredRecord, CacheError>>,
    position: &Position,
) -> Result<Index, CacheError> {
    let mut index = Index::new(config.doors.iter().cloned());
    let mut digest = Digest::default();
    for stored in records {
        let stored = stored?;
        index.apply(None, Some(&stored.record));
        digest = digest.xor(stored.digest);
    }
    let found = (index.credentials() as u64, index.grants() as u64);
    if found != (position.credentials, position.grants) {
        return Err(CacheError::Damaged(format!(
            "it holds {} credentials and {} grants where {} and {} were stored",
            found.0, found.1, position.credentials, position.grants
        )));
    }
    if digest != position.digest {
        return Err(CacheError::Damaged("its records do not add up to the digest kept beside them".into()));
    }
    Ok(index)
}

/// Does it again while the cache is in use: sled lets go of its files some time after it was dropped.
fn patiently<T>(mut open: impl FnMut() -> Result<T, CacheError>) -> Result<T, CacheError> {
    for _ in 0..TRIES {
        match guarded(&mut open) {
            Err(error) if error.is_in_use() => std::thread::park_timeout(BETWEEN_TRIES),
            outcome => return outcome,
        }
    }
    guarded(&mut open)
}

fn guarded<T>(open: &mut impl FnMut() -> Result<T, CacheError>) -> Result<T, CacheError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(gave_up()))
}

fn gave_up() -> CacheError {
    CacheError::Damaged("sled gave up on its files".into())
}

fn check_owner(db: &Db, meta: &Tree, config: &Config, was_there: bool) -> Result<(), CacheError> {
    let schema: Option<u32> = get(meta, KEY_SCHEMA)?;
    // Damage can empty a tree, or all of it, without an error; taken for a new cache, what is left would be dropped.
    if schema.is_none() && was_there {
        return Err(CacheError::Damaged("it does not say what it is".into()));
    }
    let owner: Option<String> = get(meta, KEY_CONTROLLER)?;
    if let Some(found) = owner.as_ref().filter(|found| *found != config.controller.as_str()) {
        return Err(CacheError::OtherController { found: found.clone(), own: config.controller.clone() });
    }
    match schema {
        Some(found) if found > SCHEMA => return Err(CacheError::Newer { found, known: SCHEMA }),
        Some(found) => migrate::to_this(db, meta, found)?,
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
        Some(_) => Ok(()),
        None => put(meta, KEY_CONTROLLER, &config.controller.as_str()),
    }
}

fn tree_name(generation: u64) -> String {
    format!("{RECORDS}{generation}")
}
