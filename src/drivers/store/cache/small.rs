//! What is kept beside the records, in a few small trees: doors' modes, guests let in, ids of commands, cards at the
//! desk, marks.
//!
//! A tree is taken whole and by its name, so that what is kept there later gets into the good copy by itself.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use sled::{Batch, Db, IVec, Tree};

use super::CacheError;
use crate::{
    control::{Note, let_in::LetIn},
    domain::{At, BookingId, Change, CommandId, CredentialId, DoorId, HolderId, RecordKey},
    wire::desk::StoredCard,
    wire::feed::Sealed,
    wire::stored::{CommandsFrom, Heard, StoredModes, decode, encode},
};

pub const META: &str = "meta";
pub const LET_IN: &str = "let_in";
pub const MODES: &str = "modes";
pub const COMMANDS: &str = "commands";
pub const CARDS: &str = "cards";

pub const KEY_SCHEMA: &str = "schema";
pub const KEY_CONTROLLER: &str = "controller";
pub const KEY_UID_CHECK: &str = "uid_check";
pub const KEY_GENERATION: &str = "generation";
const KEY_HEARD: &str = "heard";
const KEY_CHECKPOINT: &str = "checkpoint";
const KEY_COMMANDS_FROM: &str = "commands_from";

/// What a database says of itself, and no copy for another.
const OWN: [&str; 4] = [KEY_SCHEMA, KEY_CONTROLLER, KEY_UID_CHECK, KEY_GENERATION];

/// The trees, as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Small(BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>);

/// The same, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    pub let_in: LetIn,
    pub heard: Heard,
    pub modes: BTreeMap<DoorId, StoredModes>,
    /// Ids of commands that were taken, and when they expire.
    pub commands: Vec<(CommandId, At)>,
    pub commands_from: CommandsFrom,
    /// Cards as the desk has set them.
    pub cards: BTreeMap<CredentialId, StoredCard>,
    /// Journal entries after this one may say more about who has been let in, and about doors' modes.
    pub checkpoint: u64,
}

impl Small {
    /// Of a database, all but its records.
    pub fn of(db: &Db, is_records: impl Fn(&str) -> bool) -> Result<Self, CacheError> {
        let mut small = Small::default();
        for name in db.tree_names() {
            let name = String::from_utf8_lossy(&name).into_owned();
            // sled's own default tree is not used.
            if is_records(&name) || name.starts_with("__sled") {
                continue;
            }
            let tree = db.open_tree(&name).map_err(CacheError::sled("opened"))?;
            for pair in &tree {
                let (key, value) = pair.map_err(CacheError::sled("read"))?;
                small.put(&name, key.to_vec(), value.to_vec());
            }
        }
        Ok(small)
    }

    pub fn put(&mut self, tree: &str, key: Vec<u8>, value: Vec<u8>) {
        let is_own = tree == META && OWN.iter().any(|own| own.as_bytes() == key);
        if !is_own {
            self.0.entry(tree.to_owned()).or_default().insert(key, value);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8], &[u8])> {
        self.0.iter().flat_map(|(name, tree)| {
            tree.iter().map(move |(key, value)| (name.as_str(), key.as_slice(), value.as_slice()))
        })
    }

    /// Writes it into a database. Not durable yet.
    pub fn write(&self, db: &Db) -> Result<(), CacheError> {
        for (name, pairs) in &self.0 {
            let mut batch = Batch::default();
            pairs.iter().for_each(|(key, value)| batch.insert(key.as_slice(), value.as_slice()));
            let tree = db.open_tree(name).map_err(CacheError::sled("opened"))?;
            tree.apply_batch(batch).map_err(CacheError::sled("written"))?;
        }
        Ok(())
    }

    /// Commands are taken again only from some moment on: what was remembered of them is not all.
    pub fn doubt_commands(&mut self) -> Result<(), CacheError> {
        self.put(META, KEY_COMMANDS_FROM.into(), encode(&CommandsFrom::Unknown)?);
        Ok(())
    }

    /// Of a restored backup whose journal does not go on here: who changed a door's mode since is not known, so none
    /// stays open.
    pub fn close_doors(&mut self) -> Result<(), CacheError> {
        let Some(tree) = self.0.get_mut(MODES) else { return Ok(()) };
        for value in tree.values_mut() {
            let modes: StoredModes = decode(value)?;
            let restricts = |mode: crate::domain::DoorMode| !mode.is_open();
            let closed = StoredModes {
                seq: 0,
                base: if restricts(modes.base) { modes.base } else { Default::default() },
                held: modes.held.filter(|(mode, _)| restricts(*mode)),
                ..StoredModes::default()
            };
            *value = encode(&closed)?;
        }
        Ok(())
    }

    /// Of the same: cards stay as they were set, but by entries of no journal that is here.
    pub fn unnumber_cards(&mut self) -> Result<(), CacheError> {
        for value in self.0.get_mut(CARDS).into_iter().flat_map(BTreeMap::values_mut) {
            let card: StoredCard = decode(value)?;
            *value = encode(&StoredCard { seq: 0, ..card })?;
        }
        Ok(())
    }

    /// Takes the journal up from its beginning: the one that was noted is another.
    pub fn forget_checkpoint(&mut self) {
        if let Some(meta) = self.0.get_mut(META) {
            meta.remove(KEY_CHECKPOINT.as_bytes());
        }
    }

    pub fn read(&self) -> Result<Kept, CacheError> {
        let mut kept = Kept {
            heard: self.meta(KEY_HEARD)?.unwrap_or_default(),
            checkpoint: self.meta(KEY_CHECKPOINT)?.unwrap_or_default(),
            commands_from: self.meta(KEY_COMMANDS_FROM)?.unwrap_or_default(),
            ..Kept::default()
        };
        for (key, value) in self.tree(LET_IN) {
            let Some((booking, holder)) = key.split_once(' ') else { continue };
            if let (Ok(booking), Ok(holder)) = (BookingId::new(booking), HolderId::new(holder)) {
                kept.let_in.add(booking, holder, decode(value)?);
            }
        }
        for (key, value) in self.tree(MODES) {
            if let Ok(door) = DoorId::new(&key) {
                kept.modes.insert(door, decode(value)?);
            }
        }
        for (key, value) in self.tree(CARDS) {
            if let Ok(id) = CredentialId::new(&key) {
                kept.cards.insert(id, decode(value)?);
            }
        }
        for (key, value) in self.tree(COMMANDS) {
            if let Ok(id) = CommandId::new(&key) {
                kept.commands.push((id, decode(value)?));
            }
        }
        Ok(kept)
    }

    fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, CacheError> {
        let value = self.0.get(META).and_then(|meta| meta.get(key.as_bytes()));
        Ok(value.map(|v| decode(v)).transpose()?)
    }

    fn tree(&self, name: &str) -> impl Iterator<Item = (String, &[u8])> {
        let pairs = self.0.get(name).into_iter().flatten();
        pairs.map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value.as_slice()))
    }
}

/// The open small trees.
#[derive(Debug)]
pub struct Trees {
    pub meta: Tree,
    let_in: Tree,
    modes: Tree,
    /// Ids of commands, with when they expire.
    pub commands: Tree,
    cards: Tree,
}

impl Trees {
    pub fn open(db: &Db) -> Result<Self, CacheError> {
        let open = |name: &str| db.open_tree(name).map_err(CacheError::sled("opened"));
        let (meta, let_in, modes, commands) = (open(META)?, open(LET_IN)?, open(MODES)?, open(COMMANDS)?);
        let cards = open(CARDS)?;
        Ok(Trees { meta, let_in, modes, commands, cards })
    }

    /// Not durable yet: the journal can tell it again.
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
            Note::Card { credential, card } => put(&self.cards, credential.as_str(), card),
            Note::CommandsFrom(from) => put(&self.meta, KEY_COMMANDS_FROM, from),
            Note::Forget { booking } => {
                for pair in self.let_in.scan_prefix(format!("{booking} ")) {
                    let (key, _) = pair.map_err(CacheError::sled("read"))?;
                    self.let_in.remove(key).map_err(CacheError::sled("written"))?;
                }
                Ok(())
            }
        }
    }
}

/// Cards whose end has been written: put back where what ended them could not be.
#[derive(Debug)]
pub struct EndedCards(Vec<(IVec, IVec)>);

impl Trees {
    /// What these changes, up to this place of the feed, say of cards that the desk has set is later, and ends that.
    /// Written before them: whatever a power cut leaves, no card is the desk's beside a later word of central's.
    pub fn end_cards(&self, items: &[Sealed], place: (u64, u64)) -> Result<EndedCards, CacheError> {
        if self.cards.is_empty() {
            return Ok(EndedCards(Vec::new()));
        }
        let keys = items.iter().map(|item| match &item.change {
            Change::Put(record) => record.key(),
            Change::Delete(key) => key.clone(),
        });
        let ids = keys.filter_map(|key| match key {
            RecordKey::Credential(id) => Some(id),
            RecordKey::Grant(_) | RecordKey::Policy => None,
        });
        let mut ended = Vec::new();
        for id in ids {
            let found = self.cards.get(id.as_str()).map_err(CacheError::sled("read"))?;
            ended.extend(found.map(|value| (IVec::from(id.as_str()), value)));
        }
        self.end(ended, place)
    }

    /// A snapshot of this place ends all that the desk has set before it.
    pub fn end_cards_before(&self, place: (u64, u64)) -> Result<EndedCards, CacheError> {
        let all = self.cards.iter().collect::<Result<Vec<_>, _>>().map_err(CacheError::sled("read"))?;
        self.end(all, place)
    }

    fn end(&self, cards: Vec<(IVec, IVec)>, place: (u64, u64)) -> Result<EndedCards, CacheError> {
        let mut ended = Vec::new();
        for (key, value) in cards {
            if decode::<StoredCard>(&value)?.is_before(place.0, place.1) {
                self.cards.remove(&key).map_err(CacheError::sled("written"))?;
                ended.push((key, value));
            }
        }
        Ok(EndedCards(ended))
    }

    pub fn put_back(&self, EndedCards(cards): EndedCards) -> Result<(), CacheError> {
        for (key, value) in cards {
            self.cards.insert(key, value).map_err(CacheError::sled("written"))?;
        }
        Ok(())
    }
}

pub fn get<T: DeserializeOwned>(tree: &Tree, key: &str) -> Result<Option<T>, CacheError> {
    let value = tree.get(key).map_err(CacheError::sled("read"))?;
    Ok(value.map(|v| decode(&v)).transpose()?)
}

pub fn put<T: Serialize>(tree: &Tree, key: &str, value: &T) -> Result<(), CacheError> {
    tree.insert(key, encode(value)?).map(|_| ()).map_err(CacheError::sled("written"))
}
