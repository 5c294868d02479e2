//! The journal's thread: entries that share a sync, late marks, and a disk that fails and recovers.

use super::*;

/// Longest wait for a report.
const LIMIT: Duration = Duration::from_secs(20);

fn next(reported: &mut Receiver<Event>) -> JournalEvent {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let event = runtime.block_on(async { tokio::time::timeout(LIMIT, reported.recv()).await });
    journal_event(event.expect("a report within the limit").unwrap())
}

fn send(journal: &Journal, commands: Vec<JournalCommand>) {
    let mut commands = commands.into();
    journal.send(&mut commands);
    assert!(commands.is_empty(), "the queue has room");
}

fn reports() -> (Sender<Event>, Receiver<Event>) {
    channel(1000)
}

#[test]
fn entries_that_wait_share_a_sync() {
    let site = Site::new();
    let reported = site.run(appends(1..=1200));
    // One takes the first entry, the rest come with it: a sync for each 512, however many wait.
    assert_eq!(attested(&reported), [512, 1024, 1200]);
    assert_eq!(site.reader().verify(1200).unwrap().events, 1200);
}

#[test]
fn an_entry_that_is_late_before_it_is_written_says_so() {
    let site = Site::new();
    site.run(vec![append(1), append(2), JournalCommand::MarkLate { seq: 2 }, append(3)]);
    let late: Vec<bool> = site.lines().iter().map(|l| l["late"] == true).collect();
    assert_eq!(late, [false, true, false]);
    assert_eq!(site.reader().verify(3).unwrap().events, 3);
}

#[test]
fn an_entry_that_became_late_while_the_disk_was_busy_is_written_again_before_it_is_attested() {
    let site = Site::new();
    site.append(1..=1);
    // More than a batch: the mark is read when the first one has been written.
    let mut commands = appends(2..=514);
    commands.push(JournalCommand::MarkLate { seq: 3 });
    let reported = site.run(commands);
    assert_eq!(attested(&reported), [513, 514]);
    let late: Vec<u64> =
        site.lines().iter().filter(|l| l["late"] == true).map(|l| l["seq"].as_u64().unwrap()).collect();
    assert_eq!(late, [3]);
    assert_eq!(site.reader().verify(514).unwrap().events, 514);
    assert_eq!(site.open().torn, None);
}

#[test]
fn a_mark_that_comes_after_the_entry_was_attested_changes_nothing() {
    let site = Site::new();
    site.append(1..=1);
    site.run(vec![JournalCommand::MarkLate { seq: 1 }, append(2)]);
    assert!(site.lines().iter().all(|l| l["late"].is_null()));
    assert_eq!(site.reader().verify(2).unwrap().events, 2);
}

#[test]
fn a_disk_that_takes_nothing_attests_nothing_and_harms_nothing() {
    let site = Site::new();
    site.run(appends(1..=3));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let opened = Opened { file: Some(full), ..site.open() };
    let reported = run(opened, site.mark().into(), appends(4..=5));
    assert_eq!(attested(&reported), [0, 0], "tried once more at the end");
    assert_eq!(site.reader().verify(3).unwrap().events, 3);
    assert_eq!(site.open().end.seq, 3);
}

#[test]
fn a_disk_that_fails_keeps_the_entries_and_they_are_recorded_when_it_is_back() {
    let site = Site::new();
    let (events, mut reported) = reports();
    let mut journal = super::super::spawn(site.open(), site.mark().into(), [7; 32], events).unwrap();
    fs::rename(site.journal(), site.dir.path().join("away")).unwrap();
    send(&journal, vec![append(1)]);
    assert_eq!(attested(&[next(&mut reported)]), [0]);
    send(&journal, vec![append(2), JournalCommand::MarkLate { seq: 1 }]);
    assert_eq!(attested(&[next(&mut reported)]), [0]);
    fs::rename(site.dir.path().join("away"), site.journal()).unwrap();
    // By itself: no further command has to come.
    let recorded =
        std::iter::from_fn(|| Some(next(&mut reported))).find(|e| attested(std::slice::from_ref(e)) != [0]);
    assert_eq!(attested(&[recorded.unwrap()]), [2]);
    journal.stop();
    assert_eq!(site.reader().verify(2).unwrap().events, 2);
    assert_eq!(site.lines()[0]["late"], true);
}

#[test]
fn a_segment_whose_beginning_was_interrupted_is_taken_up() {
    let site = Site::new();
    let opened = site.open();
    fs::write(site.segment(1), "").unwrap();
    assert_eq!(attested(&run(opened, site.mark().into(), appends(1..=2))), [2]);
    assert_eq!(site.reader().verify(2).unwrap().events, 2);
}

#[test]
fn a_segment_that_is_there_and_was_not_known_is_not_overwritten() {
    let site = Site::new();
    let opened = site.open();
    fs::write(site.segment(1), "somebody's\n").unwrap();
    assert_eq!(attested(&run(opened, site.mark().into(), appends(1..=2))), [0, 0]);
    assert_eq!(fs::read_to_string(site.segment(1)).unwrap(), "somebody's\n");
}

#[test]
fn stopping_writes_what_waits() {
    let site = Site::new();
    let (events, mut reported) = reports();
    let mut journal = super::super::spawn(site.open(), site.mark().into(), [7; 32], events).unwrap();
    send(&journal, appends(1..=700));
    journal.stop();
    drop(journal);
    let mut last = 0;
    while last < 700 {
        last = attested(&[next(&mut reported)])[0];
    }
    assert_eq!(site.reader().verify(700).unwrap().events, 700);
}
