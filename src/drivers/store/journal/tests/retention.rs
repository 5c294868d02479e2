//! What may go: acknowledged events only, the oldest first, when there are too many or they are too old.

use super::*;

fn small(max_events: u64, keep_h: u64) -> Site {
    let keep = Duration::from_secs(keep_h * 3600);
    Site { max_events, keep, segment_bytes: SMALL_SEGMENT, ..Site::new() }
}

fn acknowledge(site: &Site, through: u64) {
    site.run(vec![JournalCommand::Acknowledged { through }]);
}

#[test]
fn the_oldest_acknowledged_events_go_when_there_are_too_many() {
    let site = small(5, 1_000_000);
    site.append(1..=9);
    acknowledge(&site, 9);
    assert_eq!(site.segments(), [1, 4, 7]);
    site.append(10..=10);
    assert_eq!(site.segments(), [4, 7, 10], "six are enough, three would be too few");
    assert_eq!(site.reader().verify(10).unwrap().first, Some(4));
    assert_eq!(site.open().end.seq, 10);
    let read = site.reader().read(1, 5, 9, usize::MAX);
    assert_eq!(read.iter().map(|l| l.seq).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn what_central_has_not_acknowledged_stays_however_old_it_is() {
    let site = small(1_000_000, 1);
    site.append(1..=9);
    acknowledge(&site, 5);
    site.append(10..=16);
    assert_eq!(site.segments(), [4, 7, 10, 13, 16], "6 is in the second segment, and not acknowledged");
}

#[test]
fn only_when_there_are_too_many_the_oldest_go_unacknowledged_and_that_is_said() {
    let site = small(6, 1_000_000);
    site.append(1..=9);
    acknowledge(&site, 2);
    let reported = site.run(vec![append(10)]);
    assert_eq!(site.segments(), [4, 7, 10], "with 4 to 9 there are six without the first three");
    let counts: Vec<u64> = reported.iter().filter_map(lost).collect();
    assert_eq!(counts, [1], "1 and 2 had been acknowledged");
    assert_eq!(site.run(vec![append(11)]).iter().filter_map(lost).count(), 0, "once");
    assert_eq!(site.reader().verify(11).unwrap().first, Some(4));
}

#[test]
fn a_full_disk_takes_the_oldest_acknowledged_segment_and_none_that_is_not() {
    let site = small(1_000_000, 1_000_000);
    site.append(1..=9);
    acknowledge(&site, 5);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let opened = Opened { file: Some(full), segment_bytes: u64::MAX, ..site.open() };
    assert_eq!(
        attested(&run(opened, site.mark().into(), appends(10..=10))),
        [0, 0],
        "nothing could be written"
    );
    assert_eq!(site.segments(), [4, 7], "6 is in the second, and not acknowledged");
}

fn lost(event: &JournalEvent) -> Option<u64> {
    match event {
        JournalEvent::Lost { count, .. } => Some(*count),
        JournalEvent::Recorded(_) | JournalEvent::Failed { .. } | JournalEvent::Checkpoint(_) => None,
    }
}

#[test]
fn the_chain_goes_on_over_events_that_were_dropped_and_how_many_is_said() {
    let site = Site::new();
    site.run(appends(1..=3));
    let reported = site.run(appends([7, 8, 12]));
    assert_eq!(reported.iter().filter_map(lost).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(site.segments(), [1, 7, 12]);
    let verified = site.reader().verify(12).unwrap();
    assert_eq!((verified.events, verified.lost), (6, 6));
    let seqs = |from, through| {
        site.reader().read(from, through, 9, usize::MAX).iter().map(|l| l.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(1, 12), [1, 2, 3, 7, 8, 12]);
    assert_eq!((seqs(4, 6), seqs(5, 12)), (vec![], vec![7, 8, 12]));
    assert_eq!(site.open().end.seq, 12, "it is whole to a restart too");
    assert_eq!(site.open().torn, None);
    site.append([13]);
    assert_eq!(site.reader().verify(13).unwrap().lost, 6);
}

#[test]
fn events_that_were_there_and_were_taken_out_are_missing_however_it_is_covered_up() {
    let site = small(1_000_000, 1_000_000);
    site.append(1..=12);
    fs::remove_file(site.segment(4)).unwrap();
    let found = site.reader().verify(12).unwrap_err().to_string();
    assert_eq!(found, "3 events are missing: the segment after event 3 begins with 7");
}

#[test]
fn acknowledged_events_go_when_they_are_too_old() {
    let site = small(1_000_000, 5);
    site.append(1..=9);
    acknowledge(&site, 9);
    site.append(10..=10);
    assert_eq!(site.segments(), [4, 7, 10], "event 3 is six hours older than 9, event 6 three");
}

#[test]
fn a_clock_that_ran_ahead_makes_nothing_old() {
    let site = small(1_000_000, 100);
    site.append(1..=8);
    acknowledge(&site, 8);
    site.run(vec![untrusted(9, "2036-01-01T00:00:00Z")]);
    site.append(10..=10);
    assert_eq!(site.segments(), [1, 4, 7, 10]);
}

#[test]
fn a_clock_that_started_in_1970_makes_nothing_old() {
    let site = small(1_000_000, 100);
    site.append(1..=2);
    site.run(vec![untrusted(3, "1970-01-01T00:00:10Z")]);
    site.append(4..=9);
    acknowledge(&site, 9);
    site.append(10..=10);
    assert_eq!(site.segments(), [1, 4, 7, 10]);
}
