//! The events as central stores them: each once, in order, with the chain checked link by link.
//!
//! Pure. What it finds wrong it keeps as a [`Violation`] and goes on: a central that stops listening at the first
//! broken link would be of no use to the auditor who wants to see what came after it.

use super::digest::{FIRST_PREV, event_hash};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something a controller sent that the contract rules out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Numbers are missing between what is stored and what came.
    #[error("journal {journal}: expected event {expected}, got {got}")]
    Gap {
        /// The journal's UUID.
        journal: String,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// An event does not continue the one before it.
    #[error("journal {journal}: event {seq} has a prev that is not the hash of the event before it")]
    WrongPrev {
        /// The journal's UUID.
        journal: String,
        /// The event.
        seq: u64,
    },
    /// An event's content is not what its hash was made from.
    #[error("journal {journal}: event {seq} does not have the hash it says")]
    WrongHash {
        /// The journal's UUID.
        journal: String,
        /// The event.
        seq: u64,
    },
    /// A repeat says something else than the first time.
    #[error("journal {journal}: event {seq} came again with another content")]
    Changed {
        /// The journal's UUID.
        journal: String,
        /// The event.
        seq: u64,
    },
    /// Both sides say they are at the same change, and hold different records.
    #[error("at change {applied} the controller's {what} is {theirs}, central's is {ours}")]
    Differs {
        /// The position both are at.
        applied: u64,
        /// `digest`, or a count of records.
        what: &'static str,
        /// The controller's.
        theirs: String,
        /// Central's.
        ours: String,
    },
    /// A message that is not what its topic carries.
    #[error("message on {topic} not understood: {why}")]
    NotUnderstood {
        /// The topic below the controller's own.
        topic: String,
        /// What was missing or wrong.
        why: String,
    },
}

/// What became of one `events` message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// New events stored.
    pub stored: usize,
    /// Events dropped because they were stored before.
    pub repeats: usize,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// What to acknowledge: the journal, and how far it is stored.
    pub through: Option<(String, u64)>,
}

#[derive(Debug, Default)]
struct Journal {
    last_seq: u64,
    last_hash: String,
    /// By number: the hash it came with, to tell a repeat from a change.
    hashes: BTreeMap<u64, String>,
    /// The number that came over a gap and was refused once. When the controller, told how far we are, begins there
    /// again, what lies between is gone (`journal.overwritten`), and refusing for ever would block the line.
    refused_at: Option<u64>,
}

/// All journals of one controller.
#[derive(Debug, Default)]
pub struct Ledger {
    journals: BTreeMap<String, Journal>,
    events: Vec<Value>,
    /// For each event, the journal it is of.
    of: Vec<Arc<str>>,
    repeats: u64,
}

impl Ledger {
    /// Every event stored, in the order of arrival, as received.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// The same from the given one on, each with the journal it is of.
    pub fn entries_from(&self, first: usize) -> impl Iterator<Item = (&str, &Value)> {
        self.of.iter().map(AsRef::as_ref).zip(&self.events).skip(first)
    }

    /// Takes in again what was stored before a restart, as it was stored: nobody is told of its faults twice.
    pub fn restore(&mut self, journal: &str, event: Value) {
        let kept = self.journals.entry(journal.to_owned()).or_default();
        let seq = event.get("seq").and_then(Value::as_u64).unwrap_or(0);
        kept.keep(seq, event.get("hash").and_then(Value::as_str).unwrap_or_default());
        self.add(journal, event);
    }

    fn add(&mut self, journal: &str, event: Value) {
        let known = self.of.last().filter(|last| last.as_ref() == journal).cloned();
        self.of.push(known.unwrap_or_else(|| journal.into()));
        self.events.push(event);
    }

    /// Events that came more than once, and were dropped.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// For each journal, how far it is stored.
    pub fn through(&self) -> impl Iterator<Item = (&str, u64)> {
        self.journals.iter().map(|(journal, kept)| (journal.as_str(), kept.last_seq))
    }

    /// Stores what is new in an `events` message.
    pub fn take(&mut self, message: &Value) -> Taken {
        let mut taken = Taken::default();
        let (Some(journal), Some(events)) =
            (message.get("journal").and_then(Value::as_str), message.get("events").and_then(Value::as_array))
        else {
            taken.violations.push(not_understood("it needs the text `journal` and the list `events`"));
            return taken;
        };
        let mut through = self.journals.get(journal).map_or(0, |kept| kept.last_seq);
        for event in events {
            let kept = self.journals.entry(journal.to_owned()).or_default();
            let admission = kept.admit(journal, event, &mut taken.violations);
            through = kept.last_seq;
            match admission {
                Admission::New => {
                    taken.stored += 1;
                    self.add(journal, event.clone());
                }
                Admission::Repeat => taken.repeats += 1,
                Admission::Refused => break,
            }
        }
        self.repeats += taken.repeats as u64;
        taken.through = Some((journal.to_owned(), through));
        taken
    }
}

enum Admission {
    New,
    Repeat,
    Refused,
}

impl Journal {
    fn admit(&mut self, journal: &str, event: &Value, violations: &mut Vec<Violation>) -> Admission {
        let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(seq) = event.get("seq").and_then(Value::as_u64).filter(|seq| *seq > 0) else {
            violations.push(not_understood("an event has no `seq` from 1 upwards"));
            return Admission::Refused;
        };
        let journal = || journal.to_owned();
        let hash = text("hash");
        if seq <= self.last_seq {
            if self.hashes.get(&seq).is_some_and(|known| *known != hash) {
                violations.push(Violation::Changed { journal: journal(), seq });
            }
            return Admission::Repeat;
        }
        let joined_midway = self.last_seq == 0 && seq > 1;
        if seq > self.last_seq + 1 && !joined_midway {
            let expected = self.last_seq + 1;
            violations.push(Violation::Gap { journal: journal(), expected, got: seq });
            if self.refused_at.replace(seq) != Some(seq) {
                return Admission::Refused;
            }
        } else if !joined_midway {
            let expected = if seq == 1 { FIRST_PREV } else { self.last_hash.as_str() };
            if text("prev") != expected {
                violations.push(Violation::WrongPrev { journal: journal(), seq });
            }
        }
        if hash != event_hash(event) {
            violations.push(Violation::WrongHash { journal: journal(), seq });
        }
        self.refused_at = None;
        self.keep(seq, &hash);
        Admission::New
    }

    fn keep(&mut self, seq: u64, hash: &str) {
        self.last_seq = seq;
        hash.clone_into(&mut self.last_hash);
        self.hashes.insert(seq, hash.to_owned());
    }
}

fn not_understood(why: &str) -> Violation {
    Violation::NotUnderstood { topic: "events".to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A journal's first events, chained as the wire says.
    fn chain(events: u64) -> Vec<Value> {
        let mut prev = FIRST_PREV.to_owned();
        (1..=events)
            .map(|seq| {
                let mut event = json!({ "seq": seq, "at": "2026-11-23T08:31:07.412Z", "type": "door.opened",
                                        "door": "entrance", "prev": prev });
                prev = event_hash(&event);
                event["hash"] = json!(prev);
                event
            })
            .collect()
    }

    fn message(events: &[Value]) -> Value {
        json!({ "controller": "demo-1", "journal": "j-1", "events": events })
    }

    #[test]
    fn a_whole_chain_is_stored_and_acknowledged_to_its_end() {
        let mut ledger = Ledger::default();
        let taken = ledger.take(&message(&chain(3)));
        assert_eq!((taken.stored, taken.violations), (3, vec![]));
        assert_eq!(taken.through, Some(("j-1".to_owned(), 3)));
    }

    #[test]
    fn repeats_are_dropped_by_journal_and_number() {
        let mut ledger = Ledger::default();
        let events = chain(4);
        ledger.take(&message(&events[..3]));
        let taken = ledger.take(&message(&events[1..]));
        assert_eq!((taken.stored, taken.repeats, taken.violations), (1, 2, vec![]));
        assert_eq!(ledger.events().len(), 4);
        let other_journal = json!({ "journal": "j-2", "events": events });
        assert_eq!(ledger.take(&other_journal).stored, 4);
    }

    #[test]
    fn repeats_of_what_was_stored_before_a_restart_are_dropped_too() {
        let mut before = Ledger::default();
        before.take(&message(&chain(3)));
        let mut after = Ledger::default();
        for (journal, event) in before.entries_from(0) {
            after.restore(journal, event.clone());
        }
        let taken = after.take(&message(&chain(4)));
        assert_eq!((taken.stored, taken.repeats, taken.violations), (1, 3, vec![]));
        assert_eq!(
            after.entries_from(3).map(|(journal, event)| (journal, event["seq"].clone())).collect::<Vec<_>>(),
            [("j-1", json!(4))]
        );
    }

    #[test]
    fn a_gap_is_refused_and_not_acknowledged() {
        let mut ledger = Ledger::default();
        let events = chain(5);
        ledger.take(&message(&events[..2]));
        let taken = ledger.take(&message(&events[3..]));
        assert_eq!(taken.violations, [Violation::Gap { journal: "j-1".into(), expected: 3, got: 4 }]);
        assert_eq!(taken.through, Some(("j-1".to_owned(), 2)));
        assert_eq!(ledger.take(&message(&events[2..])).stored, 3);
    }

    #[test]
    fn a_gap_the_controller_insists_on_is_accepted_and_said() {
        let mut ledger = Ledger::default();
        let events = chain(5);
        ledger.take(&message(&events[..2]));
        ledger.take(&message(&events[3..]));
        let taken = ledger.take(&message(&events[3..]));
        assert_eq!((taken.stored, taken.violations.len()), (2, 1));
    }

    #[test]
    fn a_central_that_joins_midway_starts_where_the_controller_does() {
        let taken = Ledger::default().take(&message(&chain(5)[2..]));
        assert_eq!((taken.stored, taken.violations), (3, vec![]));
    }

    #[test]
    fn a_changed_event_shows_as_a_wrong_hash() {
        let mut events = chain(2);
        events[1]["door"] = json!("vault");
        let taken = Ledger::default().take(&message(&events));
        assert_eq!(taken.violations, [Violation::WrongHash { journal: "j-1".into(), seq: 2 }]);
    }

    #[test]
    fn an_event_hashed_anew_after_a_change_breaks_the_link_to_the_next() {
        let mut events = chain(3);
        events[1]["door"] = json!("vault");
        events[1]["hash"] = json!(event_hash(&events[1]));
        let taken = Ledger::default().take(&message(&events));
        assert_eq!(taken.violations, [Violation::WrongPrev { journal: "j-1".into(), seq: 3 }]);
    }

    #[test]
    fn a_first_event_with_a_made_up_prev_is_a_violation() {
        let mut event = json!({ "seq": 1, "type": "controller.started", "prev": "ab" });
        event["hash"] = json!(event_hash(&event));
        let taken = Ledger::default().take(&message(&[event]));
        assert_eq!(taken.violations, [Violation::WrongPrev { journal: "j-1".into(), seq: 1 }]);
    }

    #[test]
    fn a_repeat_with_another_content_is_a_violation() {
        let mut ledger = Ledger::default();
        let mut events = chain(2);
        ledger.take(&message(&events));
        events[0]["door"] = json!("vault");
        events[0]["hash"] = json!(event_hash(&events[0]));
        let taken = ledger.take(&message(&events));
        assert_eq!(taken.violations, [Violation::Changed { journal: "j-1".into(), seq: 1 }]);
        assert_eq!(ledger.repeats(), 2);
    }

    #[test]
    fn a_message_without_a_journal_is_not_understood() {
        let taken = Ledger::default().take(&json!({ "events": [] }));
        assert_eq!((taken.through, taken.violations.len()), (None, 1));
    }
}
