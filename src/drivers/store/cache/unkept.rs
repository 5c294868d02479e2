//! Notes that could not be kept because the cache is closed: kept here, in order, until it is open again.

use super::{CacheError, Database};
use crate::control::Note;

/// Most of them. A guest let in is one, and a door's change of mode.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub struct Unkept {
    notes: Vec<Note>,
    /// There were more. Then the checkpoint stays where it is in the cache, and the next start reads all of it in the
    /// journal again.
    overflowed: bool,
}

impl Unkept {
    pub fn push(&mut self, note: Note) {
        if self.notes.len() < MOST {
            self.notes.push(note);
        } else if !std::mem::replace(&mut self.overflowed, true) {
            tracing::warn!("notes for the cache are too many; the journal has them");
        }
    }

    /// Whether a checkpoint may move on: all notes before it have been, or will be, kept.
    pub fn lets_pass(&self, note: &Note) -> bool {
        !self.overflowed || !matches!(note, Note::Checkpoint { .. } | Note::LetIn { .. })
    }

    /// Writes them, in order.
    pub fn write(&mut self, database: &Database) -> Result<(), CacheError> {
        for note in &self.notes {
            database.note(note)?;
        }
        self.notes.clear();
        Ok(())
    }
}
