//! What waits for the cache: bounded, and nothing is lost by its bound.
//!
//! Changes of the feed and commands that were taken are as many as their protocols let be under way, and always kept.
//! Notes are any number, while a disk stands still. Past a limit they are let go of, and with the first of them every
//! later word on how far the journal's entries have been noted: the next start reads those from the journal again.

use std::collections::VecDeque;

use crate::{
    control::{CacheCommand, Note},
    drivers::store::cache::Job,
};

/// Notes that may wait. A door that is let in or locked a hundred times a minute needs more than an hour for them, and
/// they are some 2 MiB.
const NOTES: usize = 10_000;

#[derive(Debug, Default)]
pub struct Changes {
    pub waiting: VecDeque<Job>,
    /// A note was let go of: what the journal says after the last checkpoint is not all noted any more.
    is_behind: bool,
    pub dropped: u64,
}

impl Changes {
    pub fn push(&mut self, command: CacheCommand) {
        let CacheCommand::Note(note) = &command else {
            self.waiting.push_back(Job::Command(command));
            return;
        };
        if self.waiting.len() >= NOTES {
            if !std::mem::replace(&mut self.is_behind, true) {
                tracing::error!(
                    "the disk has not kept up for too long; notes for the next start are left to the journal"
                );
            }
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        // A guest's note is a checkpoint, too.
        let is_checkpoint = matches!(note, Note::Checkpoint { .. } | Note::LetIn { .. });
        if !(self.is_behind && is_checkpoint) {
            self.waiting.push_back(Job::Command(command));
        }
    }

    /// The most notes that wait.
    pub fn limit(&self) -> usize {
        NOTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{At, BookingId, HolderId};

    fn let_in(seq: u64) -> CacheCommand {
        CacheCommand::Note(Note::LetIn {
            booking: BookingId::new("b-1").unwrap(),
            holder: HolderId::new("m-1").unwrap(),
            at: At::parse("2026-11-23T09:00:00Z").unwrap(),
            seq,
        })
    }

    fn checkpoint(seq: u64) -> CacheCommand {
        CacheCommand::Note(Note::Checkpoint { seq })
    }

    #[test]
    fn notes_have_a_limit_and_what_is_not_noted_is_never_said_to_be() {
        let mut changes = Changes::default();
        (0..NOTES as u64).for_each(|seq| changes.push(let_in(seq)));
        changes.push(let_in(NOTES as u64));
        assert_eq!((changes.waiting.len(), changes.dropped), (NOTES, 1));
        // The disk is back: there is room again, and the guest of before is in the journal alone.
        changes.waiting.clear();
        changes.push(checkpoint(20_000));
        changes.push(let_in(20_001));
        assert!(changes.waiting.is_empty(), "a start would not read the journal from before it");
        changes.push(CacheCommand::Doors(Vec::new()));
        assert_eq!(changes.waiting.len(), 1);
    }

    #[test]
    fn what_central_was_promised_is_kept_however_many_notes_wait() {
        let mut changes = Changes::default();
        (0..NOTES as u64).for_each(|seq| changes.push(checkpoint(seq)));
        let owners = crate::control::index::Owners::new();
        changes.push(CacheCommand::Apply { applied: 1, rejected: 0, items: Vec::new(), owners });
        assert_eq!((changes.waiting.len(), changes.dropped), (NOTES + 1, 0));
    }
}
