//! What readers see: events by their numbers, over segments, within limits, while more are written.

use super::*;

fn seqs(lines: &[super::super::reader::Line]) -> Vec<u64> {
    let as_told = lines.iter().map(|l| l.seq).collect::<Vec<_>>();
    let as_written: Vec<u64> = lines.iter().map(|l| l.value().unwrap()["seq"].as_u64().unwrap()).collect();
    assert_eq!(as_told, as_written);
    as_told
}

fn segmented() -> Site {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=10);
    assert_eq!(site.segments(), [1, 4, 7, 10]);
    site
}

#[test]
fn reading_goes_on_over_segments() {
    let site = segmented();
    let all = |from, through| seqs(&site.reader().read(from, through, usize::MAX, usize::MAX));
    assert_eq!(all(1, 10), (1..=10).collect::<Vec<_>>());
    assert_eq!(all(3, 4), [3, 4]);
    assert_eq!(all(7, 7), [7]);
    assert_eq!(all(0, 2), [1, 2]);
    assert_eq!(all(10, 99), [10]);
    assert_eq!(all(11, 99), [0; 0]);
    assert_eq!(all(5, 4), [0; 0]);
}

#[test]
fn a_reader_goes_on_where_it_stopped_and_finds_its_way_back() {
    let site = segmented();
    let mut reader = site.reader();
    let mut read = |from, through| seqs(&reader.read(from, through, usize::MAX, usize::MAX));
    assert_eq!(read(1, 5), [1, 2, 3, 4, 5]);
    assert_eq!(read(6, 8), [6, 7, 8]);
    assert_eq!(read(2, 3), [2, 3]);
    assert_eq!(read(9, 10), [9, 10]);
}

#[test]
fn limits_hold_and_one_event_always_fits() {
    let site = segmented();
    let size = site.reader().event(1).unwrap().text.len();
    assert_eq!(seqs(&site.reader().read(1, 10, 4, usize::MAX)), [1, 2, 3, 4]);
    assert_eq!(seqs(&site.reader().read(1, 10, usize::MAX, 0)), [1]);
    assert_eq!(seqs(&site.reader().read(1, 10, usize::MAX, size + 1)), [1, 2]);
    assert_eq!(seqs(&site.reader().read(1, 10, 0, usize::MAX)), [0; 0]);
}

#[test]
fn one_event_is_found_by_its_number_with_its_time() {
    let site = segmented();
    let line = site.reader().event(8).unwrap();
    assert_eq!((line.seq, line.at()), (8, Some(entry(8).at)));
    assert!(site.reader().event(11).is_none());
    assert!(Site::new().reader().event(1).is_none());
}

#[test]
fn a_reader_sees_what_is_written_after_it_came_to_the_end() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=2);
    let mut reader = site.reader();
    assert_eq!(seqs(&reader.read(1, 9, 9, usize::MAX)), [1, 2]);
    site.append(3..=4);
    assert_eq!(seqs(&reader.read(3, 9, 9, usize::MAX)), [3, 4], "the second one in a new segment");
}

#[test]
fn half_a_line_is_no_event_until_it_is_whole() {
    let site = Site::new();
    site.run(appends(1..=2));
    let whole = fs::read(site.segment(1)).unwrap();
    let cut = whole.len() - 10;
    fs::write(site.segment(1), &whole[..cut]).unwrap();
    let mut reader = site.reader();
    assert_eq!(seqs(&reader.read(1, 2, 9, usize::MAX)), [1]);
    fs::write(site.segment(1), &whole).unwrap();
    assert_eq!(seqs(&reader.read(2, 2, 9, usize::MAX)), [2]);
}

#[test]
fn a_segment_that_was_begun_and_holds_nothing_ends_the_reading() {
    let site = Site { segment_bytes: SMALL_SEGMENT, ..Site::new() };
    site.append(1..=3);
    fs::write(site.segment(4), "").unwrap();
    let (done, waiting) = std::sync::mpsc::channel();
    let mut reader = site.reader();
    let read = move || done.send(reader.read(1, 4, 9, usize::MAX));
    let _thread = std::thread::Builder::new().spawn(read).unwrap();
    let lines = waiting.recv_timeout(Duration::from_secs(10)).expect("the reader comes to an end");
    assert_eq!(seqs(&lines), [1, 2, 3]);
}

#[test]
fn what_was_taken_back_and_written_otherwise_is_read_as_it_stands_now() {
    let site = Site::new();
    let mut opened = site.open();
    opened.begin_segment(1).unwrap();
    let (one, last) = ("{\"seq\":1}\n", "{\"seq\":3}\n");
    let (early, late) = ("{\"seq\":2}\n", "{\"late\":true,\"seq\":2}\n");
    opened.write([one, early, last].concat().as_bytes()).unwrap();
    let mut reader = site.reader();
    assert_eq!(seqs(&reader.read(1, 1, 9, usize::MAX)), [1], "the others are not durable yet");
    opened.take_back([early, last].concat().len() as u64).unwrap();
    opened.write([late, last].concat().as_bytes()).unwrap();
    let lines = reader.read(2, 3, 9, usize::MAX);
    assert_eq!(seqs(&lines), [2, 3]);
    assert_eq!(format!("{}\n", lines[0].text), late);
}

#[test]
fn a_damaged_line_is_one_line_and_those_behind_it_are_read() {
    let site = Site::new();
    site.run(appends(1..=4));
    edit_lines(&site.segment(1), |lines| lines[1] = "~~~".into());
    edit(&site.segment(1), |bytes| *bytes.iter_mut().find(|byte| **byte == b'~').unwrap() = 0xFF);
    let lines = site.reader().read(1, 4, 9, usize::MAX);
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(lines[1].value().is_none() && lines[2].value().is_some());
}
