//! Tails that are torn and bytes that are wrong: nothing passes unnoticed, and nothing is thrown away.

use super::*;

fn torn(site: &Site) -> String {
    site.open().torn.unwrap_or_default()
}

/// Flips a bit in the middle of the line with this place in the segment.
fn flip(path: &Path, line: usize) {
    edit_lines(path, |lines| lines[line] = lines[line].replace("entrance", "entrancf"));
}

#[test]
fn a_torn_last_line_is_cut_off_and_the_chain_goes_on() {
    let site = Site::new();
    site.run(appends(1..=3));
    let id = site.open().id;
    edit(&site.segment(1), |bytes| bytes.extend_from_slice(b"{\"at\":\"2026-11-0"));
    assert_eq!(torn(&site), "16 bytes cut off the end after event 3: the last line is torn");
    assert_eq!(torn(&site), "", "said once");
    site.append(4..=4);
    assert_eq!(site.reader().verify(4).unwrap().events, 4);
    assert_eq!(site.names(), ["00000000000000000001.jsonl", "id"], "it was never durable");
    assert_eq!(site.open().id, id);
}

#[test]
fn a_first_line_that_is_torn_leaves_an_empty_journal() {
    let site = Site::new();
    site.open();
    fs::write(site.segment(1), "{\"at\"").unwrap();
    assert_eq!(site.open().end.seq, 0);
    site.append(1..=1);
    assert_eq!(site.reader().verify(1).unwrap().events, 1);
}

#[test]
fn a_wrong_byte_in_the_last_segment_sets_aside_what_comes_after_it() {
    let site = Site::new();
    site.run(appends(1..=5));
    let whole = fs::read_to_string(site.segment(1)).unwrap();
    flip(&site.segment(1), 2);
    let said = torn(&site);
    assert!(said.contains("cut off the end after event 2: `hash` is not the hash of its content"), "{said}");
    let aside = fs::read_to_string(site.journal().join("00000000000000000001.cut")).unwrap();
    assert_eq!(aside.lines().count(), 3);
    assert_eq!(aside.lines().last(), whole.lines().last(), "as it was");
    site.append(3..=3);
    assert_eq!(site.reader().verify(3).unwrap().events, 3);
}

#[test]
fn what_was_set_aside_once_is_not_overwritten_by_a_second_time() {
    let site = Site::new();
    site.run(appends(1..=5));
    flip(&site.segment(1), 3);
    torn(&site);
    flip(&site.segment(1), 1);
    torn(&site);
    let aside: Vec<String> = site.names().into_iter().filter(|n| n.contains(".cut")).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
}

#[test]
fn a_journal_that_lost_recorded_events_goes_on_under_another_id() {
    // Central drops what it has by (journal, seq): numbers used again under the same id would be lost there.
    let site = Site::new();
    let mut commands = appends(1..=5);
    commands.push(JournalCommand::Acknowledged { through: 5 });
    site.run(commands);
    site.run(vec![JournalCommand::Acknowledged { through: 5 }]);
    let id = site.open().id;
    flip(&site.segment(1), 2);
    let opened = site.open();
    assert_ne!(opened.id, id);
    assert_eq!((opened.end.seq, opened.acknowledged), (2, 2));
    assert!(opened.torn.unwrap().contains(&opened.id));
    assert_eq!(site.open().id, opened.id);
}

#[test]
fn an_end_that_was_cut_off_at_a_line_is_noticed_by_whoever_knew_more() {
    // By the high-water mark, by what central acknowledged, by what was signed: one of them is enough.
    for (n, forget) in [
        &["acknowledged", "checkpoints"][..],
        &["../high-water", "checkpoints"],
        &["../high-water", "acknowledged"],
    ]
    .into_iter()
    .enumerate()
    {
        let site = Site::new();
        let mut commands = appends(1..=5);
        commands.push(JournalCommand::Acknowledged { through: 5 });
        site.run(commands);
        site.run(vec![JournalCommand::Acknowledged { through: 5 }]);
        let id = site.open().id;
        edit_lines(&site.segment(1), |lines| lines.truncate(3));
        forget.iter().for_each(|name| _ = fs::remove_file(site.journal().join(name)));
        let opened = site.open();
        assert_ne!(opened.id, id, "{n}: numbers are used again, so not under this id");
        let said = opened.torn.unwrap_or_default();
        assert!(
            said.starts_with("it ends at event 3, where 5 had been recorded: 2 events are missing"),
            "{n}: {said}"
        );
        assert_eq!((opened.end.seq, opened.acknowledged), (3, opened.acknowledged.min(3)));
        assert_eq!(site.open().torn, None, "said once");
    }
}

#[test]
fn a_journal_that_is_gone_is_said_and_not_taken_for_a_new_one() {
    let site = Site::new();
    site.append(1..=3);
    let id = site.open().id;
    fs::remove_dir_all(site.journal()).unwrap();
    let opened = site.open();
    let said = opened.torn.unwrap_or_default();
    assert!(said.starts_with(&format!("journal {id} is gone, with 3 events; ")), "{said}");
    assert_ne!(opened.id, id);
    site.append(1..=1);
    assert_eq!(site.open().torn, None);
}

#[test]
fn numbers_are_not_used_again_when_the_segment_before_is_damaged() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=6);
    flip(&site.segment(4), 2);
    fs::write(site.segment(7), "").unwrap();
    assert_eq!(site.open().end.seq, 6);
    site.append(7..=7);
    assert_eq!(site.lines().last().unwrap()["seq"], 7);
}

#[test]
fn an_altered_event_is_found_and_named() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=8);
    flip(&site.segment(4), 1);
    let error = site.reader().verify(8).unwrap_err().to_string();
    assert!(error.starts_with("event 5 in "), "{error}");
    assert!(error.contains("00000000000000000004.jsonl, line 2, is wrong: `hash`"), "{error}");
}

#[test]
fn an_event_altered_together_with_its_hash_is_found_at_the_next_one() {
    let site = Site::new();
    site.run(appends(1..=4));
    edit_lines(&site.segment(1), |lines| {
        let mut forged: Value = serde_json::from_str(&lines[1]).unwrap();
        forged["door"] = "cellar".into();
        forged.as_object_mut().unwrap().remove("hash");
        forged["hash"] = crate::wire::Digest::of(&forged).to_string().into();
        lines[1] = forged.to_string();
    });
    let error = site.reader().verify(4).unwrap_err().to_string();
    assert!(error.starts_with("event 3 in ") && error.contains("`prev` is not the hash"), "{error}");
}

#[test]
fn a_removed_and_an_inserted_event_are_found_and_named() {
    let site = Site::new();
    site.run(appends(1..=4));
    let whole = fs::read(site.segment(1)).unwrap();
    edit_lines(&site.segment(1), |lines| _ = lines.remove(1));
    let error = site.reader().verify(4).unwrap_err().to_string();
    assert!(error.ends_with("its number is 3, 2 should follow: events are missing"), "{error}");
    fs::write(site.segment(1), &whole).unwrap();
    edit_lines(&site.segment(1), |lines| lines.insert(2, lines[1].clone()));
    let error = site.reader().verify(4).unwrap_err().to_string();
    assert!(error.starts_with("event 3 in "), "{error}");
    assert!(
        error.ends_with("its number is 2, 3 should follow: it is there twice, or was inserted"),
        "{error}"
    );
}

#[test]
fn a_first_event_that_follows_something_is_no_first_event() {
    let site = Site::new();
    site.run(appends(1..=2));
    edit_lines(&site.segment(1), |lines| {
        let mut forged: Value = serde_json::from_str(&lines[0]).unwrap();
        forged["prev"] = "1".repeat(64).into();
        forged.as_object_mut().unwrap().remove("hash");
        forged["hash"] = crate::wire::Digest::of(&forged).to_string().into();
        lines[0] = forged.to_string();
    });
    let error = site.reader().verify(2).unwrap_err().to_string();
    assert!(error.starts_with("event 1 in ") && error.contains("`prev`"), "{error}");
}

#[test]
fn an_end_that_was_cut_off_is_found() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=8);
    edit_lines(&site.segment(7), |lines| lines.truncate(1));
    let error = site.reader().verify(8).unwrap_err().to_string();
    assert_eq!(error, "the journal ends at event 7, 8 had been recorded: the end was cut off");
    fs::remove_file(site.segment(7)).unwrap();
    let error = site.reader().verify(8).unwrap_err().to_string();
    assert_eq!(error, "the journal ends at event 6, 8 had been recorded: the end was cut off");
}

#[test]
fn a_missing_segment_is_found() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=8);
    fs::remove_file(site.segment(4)).unwrap();
    let error = site.reader().verify(8).unwrap_err().to_string();
    assert_eq!(error, "3 events are missing: the segment after event 3 begins with 7");
}

#[test]
fn what_is_being_written_is_not_checked() {
    let site = Site::new();
    site.run(appends(1..=3));
    edit(&site.segment(1), |bytes| bytes.extend_from_slice(b"{\"half"));
    assert_eq!(site.reader().verify(3).unwrap().events, 3);
}

#[test]
fn a_journal_of_which_central_has_other_events_goes_on_under_another_id_and_sends_its_own_again() {
    let site = Site::new();
    site.append(1..=7);
    let forked = |after| JournalCommand::Forked { after };
    site.run(vec![JournalCommand::Acknowledged { through: 7 }, forked(4), forked(6)]);
    let before = fs::read_to_string(site.journal().join("id")).unwrap();
    let opened = site.open();
    assert_ne!(opened.id, before.trim(), "it goes on under the id of before");
    assert_eq!((opened.end.seq, opened.acknowledged), (7, 4));
    assert!(opened.torn.unwrap().starts_with("central has other events behind event 4 of it; "));
    assert_eq!(site.reader().verify(7).unwrap().events, 7);
    // Once.
    site.append(8..=8);
    assert_eq!((site.open().id, site.open().torn), (opened.id, None));
}
