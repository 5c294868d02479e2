//! Brings a cache of an earlier layout to this one, in place. The layout's number changes last, behind a barrier of its
//! own; whatever interrupts before that finds the earlier one, some of it in today's shape already.

use sled::{Batch, Db, Tree};

use super::{
    CacheError,
    small::{KEY_SCHEMA, MODES, put},
};
use crate::wire::stored::{SCHEMA, earlier, encode};

pub fn to_this(db: &Db, meta: &Tree, found: u32) -> Result<(), CacheError> {
    match found {
        SCHEMA => return Ok(()),
        1 => from_1(db)?,
        other => {
            return Err(CacheError::Damaged(format!("it says that it has layout {other}, which never was")));
        }
    }
    db.flush().map_err(CacheError::sled("flushed"))?;
    put(meta, KEY_SCHEMA, &SCHEMA)?;
    db.flush().map_err(CacheError::sled("flushed"))?;
    tracing::info!(from = found, to = SCHEMA, "the cache was brought to this latchd's layout");
    Ok(())
}

/// Doors' modes, in either of the shapes they had.
fn from_1(db: &Db) -> Result<(), CacheError> {
    let modes = db.open_tree(MODES).map_err(CacheError::sled("opened"))?;
    let mut batch = Batch::default();
    for pair in &modes {
        let (door, value) = pair.map_err(CacheError::sled("read"))?;
        batch.insert(door, encode(&earlier::modes(&value)?)?);
    }
    modes.apply_batch(batch).map_err(CacheError::sled("written"))
}
