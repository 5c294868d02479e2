//! The journal's thread panics, and goes on.

use super::*;

/// Runs the thread on commands that all wait already, and panics where the trap says so. Returns what it reports, and how
/// often it panicked.
fn run_into(
    site: &Site,
    commands: Vec<JournalCommand>,
    mut trap: impl FnMut(u64, u64, bool) -> bool + Send + 'static,
) -> (Vec<JournalEvent>, usize) {
    let (sender, waiting) = sync_channel(commands.len());
    commands.into_iter().for_each(|c| sender.try_send(c).unwrap());
    drop(sender);
    let (events, mut reported) = channel(10_000);
    let (opened, mark) = (site.open(), Arc::new(site.mark()));
    let signing = Signing::new(&opened, &[7; 32]);
    let mut writer = Writer::new(opened, mark.clone(), signing);
    writer.trap = Some(Box::new(move |first, last, is_written| {
        assert!(!trap(first, last, is_written), "as the test wants it");
    }));
    writer.run(&waiting, &events);
    drop(events);
    mark.save().unwrap();
    let all: Vec<Event> = std::iter::from_fn(|| reported.blocking_recv()).collect();
    let (panics, rest): (Vec<Event>, Vec<Event>) =
        all.into_iter().partition(|event| matches!(event, Event::Failed { part: "journal", .. }));
    for panic in &panics {
        let Event::Failed { detail, .. } = panic else { continue };
        assert!(detail.starts_with("it panicked (as the test wants it"), "{detail}");
    }
    let rest = rest.into_iter().map(journal_event);
    (rest.filter(|event| !matches!(event, JournalEvent::Checkpoint(_))).collect(), panics.len())
}

#[test]
fn a_panic_in_front_of_a_write_costs_no_event() {
    let site = Site::new();
    site.append(1..=3);
    let mut left = 1;
    let (reported, panics) = run_into(&site, appends(4..=20), move |first, _, is_written| {
        let is_hit = first == 4 && !is_written && left > 0;
        left -= usize::from(is_hit);
        is_hit
    });
    assert_eq!(panics, 1);
    assert_eq!(attested(&reported).last(), Some(&20));
    assert_eq!(site.reader().verify(20).unwrap().events, 20);
}

/// What it wrote last was never said to be on disk, and stands there: it is neither written twice nor lost.
#[test]
fn a_panic_behind_a_write_writes_nothing_twice() {
    let site = Site::new();
    let mut left = 3;
    let (reported, panics) = run_into(&site, appends(1..=1100), move |_, _, is_written| {
        let is_hit = is_written && left > 0;
        left -= usize::from(is_hit);
        is_hit
    });
    assert_eq!((panics, attested(&reported).last()), (3, Some(&1100)));
    let whole = site.reader().verify(1100).unwrap();
    assert_eq!((whole.events, whole.lost), (1100, 0));
}

#[test]
fn an_event_that_brings_it_down_each_time_is_given_up_and_counted_and_all_others_are_recorded() {
    let site = Site::new();
    let (reported, panics) = run_into(&site, appends(1..=40), |first, last, is_written| {
        !is_written && (first..=last).contains(&17)
    });
    assert_eq!(panics, 4, "once with the others, three times alone");
    let lost = reported.iter().filter(|event| matches!(event, JournalEvent::Lost { .. }));
    let why = "they brought the journal's thread down, or the disk failed for too long";
    let detail = format!("{why}: those before event 18 were never written");
    assert_eq!(lost.collect::<Vec<_>>(), [&JournalEvent::Lost { count: 1, detail }]);
    let whole = site.reader().verify(40).unwrap();
    assert_eq!((whole.events, whole.lost), (39, 1));
    assert!(site.reader().event(17).is_none_or(|line| line.seq != 17));
    assert_eq!(site.open().end.seq, 40);
}

#[test]
fn what_was_acknowledged_and_what_is_late_outlasts_a_panic() {
    let site = Site::new();
    site.append(1..=3);
    let mut commands = vec![JournalCommand::Acknowledged { through: 3 }, JournalCommand::MarkLate { seq: 5 }];
    commands.extend(appends(4..=6));
    let mut left = 1;
    let (_, panics) = run_into(&site, commands, move |_, _, is_written| {
        let is_hit = !is_written && left > 0;
        left -= usize::from(is_hit);
        is_hit
    });
    assert_eq!(panics, 1);
    let late: Vec<u64> =
        site.lines().iter().filter(|l| l["late"] == true).map(|l| l["seq"].as_u64().unwrap()).collect();
    assert_eq!((late, site.open().acknowledged), (vec![5], 3));
    assert_eq!(site.reader().verify(6).unwrap().events, 6);
}

/// It goes on under its id or not at all: the daemon is to begin anew, as its start knows how to.
#[test]
fn a_journal_that_is_gone_when_it_is_looked_at_again_ends_the_thread() {
    let site = Site::new();
    site.append(1..=3);
    let folder = site.journal();
    let (reported, panics) = run_into(&site, appends(4..=6), move |_, _, _| {
        fs::remove_dir_all(&folder).unwrap();
        true
    });
    assert_eq!((panics, attested(&reported)), (1, vec![0]));
    assert_eq!(site.segments(), [0; 0], "nothing was written into the one that took its place");
}
