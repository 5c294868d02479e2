//! Signatures under the chain, and any alteration at all.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::{
    drivers::store::journal::{checkpoints, reader::VerifyError},
    wire::{
        Digest,
        checkpoint::{Checkpoint, Place},
    },
};

fn verify(site: &Site, through: u64, against: Vec<Checkpoint>) -> Result<(u64, u64), String> {
    let (id, own) = (site.open().id, own());
    let verified = site.reader().verify_signed(through, (&id, &own), against);
    verified.map(|done| (done.signed, done.not_kept)).map_err(|e| e.to_string())
}

/// Writes all of a journal anew, from a chosen event on, with right hashes.
fn rewrite(site: &Site, from: u64) {
    edit_lines(&site.segment(1), |lines| {
        let mut prev = Digest::default();
        for line in lines {
            let mut event: Value = serde_json::from_str(line).unwrap();
            if event["seq"].as_u64().unwrap() >= from {
                event["door"] = "cellar".into();
            }
            let object = event.as_object_mut().unwrap();
            object.remove("hash");
            object.insert("prev".into(), prev.to_string().into());
            prev = Digest::of(&event);
            event["hash"] = prev.to_string().into();
            *line = event.to_string();
        }
    });
}

#[test]
fn the_end_is_signed_at_a_stop_and_the_signature_outlasts_it() {
    let site = Site::new();
    site.run(appends(1..=3));
    let signed = site.open().checkpoint.unwrap();
    assert_eq!((signed.seq, signed.verify(), signed.controller), (3, Ok(()), own()));
    assert_eq!(signed.hash, site.open().end.hash);
    site.run(appends(4..=5));
    site.run(vec![JournalCommand::Sign]);
    let kept = checkpoints::kept(&site.journal());
    assert_eq!(kept.iter().map(|c| c.seq).collect::<Vec<_>>(), [3, 5], "one an end");
    assert_eq!(verify(&site, 5, Vec::new()), Ok((2, 0)));
    assert_eq!(verify(&site, 5, kept), Ok((4, 0)));
}

#[test]
fn a_thousand_events_are_not_left_without_a_signature() {
    let site = Site::new();
    let (events, mut reported) = channel(5000);
    let mut journal = super::super::spawn(site.open(), site.mark().into(), [7; 32], events).unwrap();
    let mut next = |wanted: fn(&JournalEvent) -> Option<u64>| loop {
        let event = journal_event(reported.blocking_recv().unwrap());
        if let Some(seq) = wanted(&event) {
            return seq;
        }
    };
    let signed = |event: &JournalEvent| match event {
        JournalEvent::Checkpoint(checkpoint) => Some(checkpoint.seq),
        JournalEvent::Recorded(_) | JournalEvent::Failed { .. } | JournalEvent::Lost { .. } => None,
    };
    journal.send(&mut appends(1..=10).into());
    assert_eq!(next(signed), 10, "the first");
    journal.send(&mut appends(11..=1009).into());
    let recorded = |event: &JournalEvent| match event {
        JournalEvent::Recorded(recorded) => Some(recorded.seq()).filter(|seq| *seq == 1009),
        JournalEvent::Checkpoint(_) => Some(0),
        JournalEvent::Failed { .. } | JournalEvent::Lost { .. } => None,
    };
    assert_eq!(next(recorded), 1009, "not yet");
    journal.send(&mut appends(1010..=1010).into());
    assert_eq!(next(signed), 1010);
    journal.stop();
}

#[test]
fn a_chain_that_was_written_anew_is_noticed_by_who_holds_an_earlier_signature() {
    let site = Site::new();
    site.run(appends(1..=3));
    let held = site.open().checkpoint.unwrap();
    site.run(appends(4..=6));
    rewrite(&site, 2);
    assert!(site.reader().verify(6).is_ok(), "its own chain shows nothing");
    let error = verify(&site, 6, Vec::new()).unwrap_err();
    assert!(error.starts_with("event 3 is not the one that was signed at "), "kept beside it: {error}");
    // Whoever writes a journal anew takes the signatures beside it away.
    fs::remove_file(site.journal().join("checkpoints")).unwrap();
    assert_eq!(verify(&site, 6, Vec::new()), Ok((0, 0)));
    let error = verify(&site, 6, vec![held.clone()]).unwrap_err();
    assert!(error.ends_with("the journal was written anew, from some event before it on"), "{error}");
    let later = Checkpoint { journal: "other".into(), ..held };
    assert!(verify(&site, 6, vec![later]).unwrap_err().contains("it was altered, or is nobody's"));
}

#[test]
fn a_signature_that_is_no_ones_another_controllers_or_of_what_is_gone_is_told_apart() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=8);
    let place = |seq, controller: &str| Place {
        controller: ControllerId::new(controller).unwrap(),
        journal: site.open().id,
        seq,
        hash: Digest::default(),
        at: entry(1).at,
    };
    let sign = |place| Checkpoint::sign(place, &SigningKey::from_bytes(&[9; 32]));
    let error = verify(&site, 8, vec![sign(place(9, "oslo-1"))]).unwrap_err();
    assert!(
        error.ends_with("and the journal ends at event 8: its end was cut off, or it was written anew"),
        "{error}"
    );
    let error = verify(&site, 8, vec![sign(place(3, "bergen-1"))]).unwrap_err();
    assert_eq!(error, "a checkpoint of event 3 is controller bergen-1's");
    fs::remove_file(site.segment(1)).unwrap();
    fs::remove_file(site.journal().join("checkpoints")).unwrap();
    assert_eq!(verify(&site, 8, vec![sign(place(3, "oslo-1"))]), Ok((0, 1)), "retention has taken it");
}

/// What somebody may do to a journal's files.
#[derive(Debug, Clone)]
enum Tampering {
    Bit { at: usize, bit: u8 },
    Remove { line: usize },
    Insert { line: usize, copy_of: usize },
    Swap { line: usize, with: usize },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    prop_oneof![
        (any::<usize>(), 0..8u8).prop_map(|(at, bit)| Tampering::Bit { at, bit }),
        any::<usize>().prop_map(|line| Tampering::Remove { line }),
        (any::<usize>(), any::<usize>()).prop_map(|(line, copy_of)| Tampering::Insert { line, copy_of }),
        (any::<usize>(), any::<usize>()).prop_map(|(line, with)| Tampering::Swap { line, with }),
    ]
}

/// Does it to one of the segments. Returns the event from which on nothing is as it was, or `None` if nothing changed.
fn tamper(site: &Site, segment: u64, how: &Tampering) -> Option<u64> {
    let path = site.segment(segment);
    let before = fs::read(&path).unwrap();
    match *how {
        Tampering::Bit { at, bit } => edit(&path, |bytes| {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }),
        Tampering::Remove { line } => edit_lines(&path, |lines| _ = lines.remove(line % lines.len())),
        Tampering::Insert { line, copy_of } => edit_lines(&path, |lines| {
            let copy = lines[copy_of % lines.len()].clone();
            lines.insert(line % (lines.len() + 1), copy);
        }),
        Tampering::Swap { line, with } => edit_lines(&path, |lines| {
            let (a, b) = (line % lines.len(), with % lines.len());
            lines.swap(a, b);
        }),
    }
    let after = fs::read(&path).unwrap();
    let first = before.iter().zip(&after).position(|(a, b)| a != b);
    let first = first.or((before.len() != after.len()).then(|| before.len().min(after.len())))?;
    let lines_before = before[..first].iter().filter(|b| **b == b'\n').count() as u64;
    Some(segment + lines_before)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_altered_removed_or_inserted_is_found_and_named(how in tampering(), segment in 0..3usize) {
        let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
        site.append(1..=9);
        let segment = site.segments()[segment];
        let Some(wrong) = tamper(&site, segment, &how) else { return Ok(()) };
        // Without its signatures and its mark: by the chain alone. `9` had been recorded.
        let error = site.reader().verify(9).expect_err("it passed unnoticed");
        let named = match &error {
            VerifyError::Chain { seq, .. } => *seq,
            VerifyError::Missing { after, .. } => *after + 1,
            VerifyError::Short { found, .. } => *found + 1,
            VerifyError::Read { .. }
            | VerifyError::Rewritten(_)
            | VerifyError::OtherJournal { .. }
            | VerifyError::Ended { .. }
            | VerifyError::Checkpoint { .. }
            | VerifyError::OtherController { .. } => panic!("{error}"),
        };
        // The event itself, or the one behind it, which tells that it was altered or is missing.
        prop_assert!(named == wrong || named == wrong + 1, "{error}; from event {wrong} on it is otherwise");
    }
}
