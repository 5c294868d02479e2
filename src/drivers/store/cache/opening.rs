//! What is done about a cache that can't be used, from the best that there may be to the worst.
//!
//! ```text
//!  the cache, whole and no older than was acknowledged ─► used
//!  damaged, of a newer latchd, older ─► set aside, never deleted ─┬─► the last good copy, if that is newer
//!  gone ──────────────────────────────────────────────────────────┴─► nothing: central is asked for a snapshot
//!  can't be written (full, read-only) ─► the last good copy in memory, the cache tried again
//!  another controller's, or not ours to read ─► a person must look: the daemon does not start
//! ```

use std::path::Path;

use super::{
    CacheError, Config, Database, Loaded, Recovered, Verdict,
    copy::{self, CopyError, GoodCopy},
    database::index_of,
};
use crate::{
    drivers::store::{aside, mark::Mark},
    wire::stored::{Position, decode},
};

/// What there is to go on with.
#[derive(Debug)]
pub enum Found {
    Good(Box<Database>, Box<Loaded>),
    /// The copy. The database, if there is one, is empty.
    Copy {
        copy: Box<GoodCopy>,
        empty: Option<Box<Database>>,
        recovered: Vec<Recovered>,
    },
    Nothing(Vec<Recovered>),
    /// The files are there, or are to be, and the disk takes nothing.
    Unwritable(CacheError),
}

/// Opens the cache, and finds what to use instead if that can't be.
pub fn look(config: &Config, mark: &Mark) -> Result<Found, CacheError> {
    match Database::open(config) {
        Ok((database, loaded)) => judge(config, mark, database, loaded),
        Err(error) => match error.verdict() {
            Verdict::Refuse => Err(error),
            Verdict::Unwritable => Ok(Found::Unwritable(error)),
            Verdict::SetAside(why) => {
                tracing::error!(%error, "the cache can't be used");
                match put_away(config, why) {
                    Ok(name) => instead(
                        config,
                        format!("the cache can't be used ({error}) and is set aside as {name}"),
                    ),
                    // A disk that can't be written may be why it seems damaged.
                    Err(_) => Ok(Found::Unwritable(error)),
                }
            }
        },
    }
}

fn put_away(config: &Config, why: &str) -> Result<String, CacheError> {
    Ok(aside::name(&aside::set_aside(&config.path(), why)?))
}

/// An older state without a word of damage, or none at all where there was one, is a loss like any other.
fn judge(config: &Config, mark: &Mark, database: Database, mut loaded: Loaded) -> Result<Found, CacheError> {
    let (own, known) = (place(&loaded.position), (mark.epoch, mark.applied));
    let copy_path = config.state_dir.join(copy::FILE);
    if own >= known && (own.0 > 0 || !copy_path.exists()) {
        return Ok(Found::Good(Box::new(database), Box::new(loaded)));
    }
    let (copy, said) = usable_copy(config)?;
    let is_empty = own.0 == 0;
    if let Some(copy) = copy.filter(|copy| place(&copy.end.position) > own) {
        let gone = || config.restored.clone().unwrap_or_else(|| "the cache is gone".into());
        let was = if is_empty { gone() } else { older(own, known) };
        let empty = if is_empty {
            Some(Box::new(database))
        } else {
            drop(database);
            put_away(config, "older")?;
            None
        };
        let recovered = vec![used(&copy, &was, &said)];
        return Ok(Found::Copy { copy: Box::new(copy), empty, recovered });
    }
    if own < known {
        database.doubt_commands()?;
        database.flush()?;
        let was = if is_empty { "the cache is gone".to_owned() } else { older(own, known) };
        let count = loaded.position.credentials + loaded.position.grants;
        let detail = format!("cache: {was}{said}; asking central for what is missing");
        loaded.kept = database.small()?.read()?;
        loaded.recovered.push(Recovered { count, detail });
    }
    Ok(Found::Good(Box::new(database), Box::new(loaded)))
}

fn older(own: (u64, u64), known: (u64, u64)) -> String {
    format!(
        "the cache is an older one: at change {} of epoch {}, where change {} of epoch {} had been acknowledged",
        own.1, own.0, known.1, known.0
    )
}

/// How far a position is; positions are in order.
pub fn place(position: &Position) -> (u64, u64) {
    (position.epoch, position.applied)
}

fn instead(config: &Config, was: String) -> Result<Found, CacheError> {
    let (copy, said) = usable_copy(config)?;
    Ok(match copy {
        Some(copy) => {
            let recovered = vec![used(&copy, &was, &said)];
            Found::Copy { copy: Box::new(copy), empty: None, recovered }
        }
        None => {
            let detail =
                format!("cache: {was}{said}; asking central for a snapshot, no card opens until it is in");
            Found::Nothing(vec![Recovered { count: 0, detail }])
        }
    })
}

fn used(copy: &GoodCopy, was: &str, said: &str) -> Recovered {
    let Position { epoch, applied, credentials, grants, .. } = copy.end.position;
    let detail = format!(
        "cache: {was}{said}; its copy of {} is used: {credentials} credentials and {grants} grants, change {applied} of \
         epoch {epoch}; asking central for what is newer",
        copy.end.at.floor_ms()
    );
    Recovered { count: credentials + grants, detail }
}

/// The last good copy, if there is one that can be used; and what is to be said if there is one that can't.
pub fn usable_copy(config: &Config) -> Result<(Option<GoodCopy>, String), CacheError> {
    let path = config.state_dir.join(copy::FILE);
    let found = GoodCopy::open(&path, config.controller.as_str()).and_then(|copy| {
        if copy.header.uid_check == config.uid_check {
            return Ok(copy);
        }
        let why = "its UIDs were hashed under another key (uid.key)".into();
        Err(CopyError::Damaged { path: path.clone(), why })
    });
    match found {
        Ok(mut copy) => {
            if copy.header.journal != config.journal {
                copy.small.close_doors()?;
                copy.small.unnumber_cards()?;
                copy.small.forget_checkpoint();
            }
            Ok((Some(copy), String::new()))
        }
        Err(error) if error.is_missing() => Ok((None, "; there is no copy of it yet".into())),
        Err(error) => Ok((None, format!("; its copy can't be used: {}", put_copy_away(&path, &error)))),
    }
}

/// A copy that this latchd can't read is not written over.
pub fn look_at_copy(config: &Config) -> Option<Recovered> {
    let path = config.state_dir.join(copy::FILE);
    let error = copy::header(&path).err().filter(|error| !error.is_missing())?;
    let detail = format!("cache: the copy beside it can't be used: {}", put_copy_away(&path, &error));
    Some(Recovered { count: 0, detail })
}

fn put_copy_away(path: &Path, error: &CopyError) -> String {
    tracing::error!(%error, "the cache's copy can't be used");
    match error.aside().map(|why| aside::set_aside(path, why)) {
        Some(Ok(aside)) => format!("{error}, set aside as {}", aside::name(&aside)),
        Some(Err(more)) => format!("{error}; {more}"),
        None => error.to_string(),
    }
}

/// What a copy holds, for the doors, without a database.
pub fn from_copy(config: &Config, copy: &GoodCopy) -> Result<Loaded, CacheError> {
    let records = copy.records()?.map(|pair| {
        let (_, value) = pair?;
        Ok(decode(&value)?)
    });
    let index = index_of(config, records, &copy.end.position)?;
    let mut small = copy.small.clone();
    small.doubt_commands()?;
    Ok(Loaded {
        index,
        position: copy.end.position,
        kept: small.read()?,
        recovered: Vec::new(),
        closed: None,
    })
}
