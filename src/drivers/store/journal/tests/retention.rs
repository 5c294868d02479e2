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
fn what_central_has_not_acknowledged_stays_however_much_it_is() {
    let site = small(3, 1);
    site.append(1..=9);
    acknowledge(&site, 5);
    site.append(10..=16);
    assert_eq!(site.segments(), [4, 7, 10, 13, 16], "6 is in the second segment, and not acknowledged");
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
