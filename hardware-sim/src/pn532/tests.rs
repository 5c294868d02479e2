//! The reader over a real pty, as a driver meets it.

use std::fs::{File, OpenOptions};
use std::io::Read;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);
const START: [u8; 16] = [0x55, 0x55, 0, 0, 0, 0, 0, 0xFF, 5, 0xFB, 0xD4, 0x14, 1, 0, 1, 0x16];
const ACKED_START: [u8; 15] = [0, 0, 0xFF, 0, 0xFF, 0, 0, 0, 0xFF, 2, 0xFE, 0xD5, 0x15, 0x16, 0];
const LIST: [u8; 11] = [0, 0, 0xFF, 4, 0xFC, 0xD4, 0x4A, 1, 0, 0xE1, 0];
const ACK: [u8; 6] = [0, 0, 0xFF, 0, 0xFF, 0];
const LISTED: [u8; 19] = [0, 0, 0xFF, 12, 0xF4, 0xD5, 0x4B, 1, 1, 0, 4, 8, 4, 1, 2, 3, 4, 0xC4, 0];

struct Bench {
    reader: Pn532,
    folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let reader = Pn532::start(&folder.path().join("reader")).unwrap();
    Bench { reader, folder }
}

fn open(bench: &Bench) -> File {
    OpenOptions::new().read(true).write(true).open(bench.reader.path()).unwrap()
}

fn expect(line: &mut File, wanted: &[u8]) {
    let mut got: Vec<u8> = Vec::new();
    let limit = Timespec::try_from(LIMIT).unwrap();
    while got.len() < wanted.len() {
        let ready = poll(&mut [PollFd::new(&*line, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(ready, 1, "only {got:02X?} came");
        let mut bytes = vec![0; wanted.len() - got.len()];
        let read = line.read(&mut bytes).unwrap();
        got.extend(&bytes[..read]);
    }
    assert_eq!(got, wanted);
}

fn ready(bench: &Bench) -> File {
    let mut line = open(bench);
    line.write_all(&START).unwrap();
    expect(&mut line, &ACKED_START);
    line.write_all(&LIST).unwrap();
    expect(&mut line, &ACK);
    line
}

fn uid() -> CardUid {
    "01020304".parse().unwrap()
}

#[test]
fn a_card_that_is_put_while_the_host_waits_is_on_the_line_at_once() {
    let bench = bench();
    let mut line = ready(&bench);
    assert!(bench.reader.wait_until_listing(LIMIT));
    let put = time::now();
    bench.reader.put_card(uid()).unwrap();
    expect(&mut line, &LISTED);
    println!("put to read: {:?}", put.elapsed());
    bench.reader.remove_card();
    line.write_all(&LIST).unwrap();
    expect(&mut line, &ACK);
    bench.reader.tap(uid(), Duration::from_millis(20)).unwrap();
    expect(&mut line, &LISTED);
    assert!(bench.reader.wait_for(0, Seen::CardLeft, LIMIT).is_some());
}

#[test]
fn split_frames_noise_and_nonsense_reach_the_host() {
    let bench = bench();
    let mut line = ready(&bench);
    bench.reader.split_frames(true);
    bench.reader.put_card(uid()).unwrap();
    expect(&mut line, &LISTED);
    bench.reader.noise(&[1, 2, 3]);
    expect(&mut line, &[1, 2, 3]);
    bench.reader.split_frames(false);
    bench.reader.spoil(Spoil::Checksum, 1);
    line.write_all(&LIST).unwrap();
    let mut spoiled = LISTED;
    spoiled[17] ^= 0x5A;
    expect(&mut line, &[&ACK[..], &spoiled].concat());
}

#[test]
fn an_unplugged_reader_is_gone_and_comes_back_at_its_path_fresh_from_power_up() {
    let bench = bench();
    let mut line = ready(&bench);
    bench.reader.unplug();
    assert!(std::fs::symlink_metadata(bench.reader.path()).is_err());
    let hung_up = line.read(&mut [0; 1]);
    assert!(matches!(hung_up, Ok(0) | Err(_)), "{hung_up:?}");
    bench.reader.plug_in().unwrap();
    let mut line = open(&bench);
    line.write_all(&LIST).unwrap();
    line.write_all(&START).unwrap();
    expect(&mut line, &ACKED_START);
}

#[test]
fn a_host_may_close_the_line_and_open_it_again() {
    let bench = bench();
    drop(ready(&bench));
    let closed = bench.reader.wait_for(0, Seen::HostClosed, LIMIT).unwrap();
    bench.reader.put_card(uid()).unwrap();
    let mut line = open(&bench);
    assert!(bench.reader.wait_for(closed, Seen::HostOpened, LIMIT).is_some());
    line.write_all(&LIST).unwrap();
    expect(&mut line, &[&ACK[..], &LISTED].concat());
}

#[test]
fn a_hung_reader_says_nothing_and_a_freed_one_does() {
    let bench = bench();
    let mut line = ready(&bench);
    bench.reader.hang(true);
    bench.reader.put_card(uid()).unwrap();
    line.write_all(&LIST).unwrap();
    let brief = Timespec::try_from(Duration::from_millis(50)).unwrap();
    assert_eq!(poll(&mut [PollFd::new(&line, PollFlags::IN)], Some(&brief)).unwrap(), 0);
    bench.reader.hang(false);
    line.write_all(&LIST).unwrap();
    expect(&mut line, &[&ACK[..], &LISTED].concat());
}

#[test]
fn the_path_goes_with_the_reader_and_never_takes_the_place_of_a_file() {
    let Bench { reader, folder } = bench();
    let path = reader.path().to_owned();
    drop(reader);
    assert!(std::fs::symlink_metadata(&path).is_err());
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(Pn532::start(&path), Err(Pn532Error::Pty(PtyError::Occupied(_)))));
    drop(folder);
}

#[test]
fn so_many_answers_as_were_said_are_spoilt_and_then_none() {
    let bench = bench();
    let mut line = ready(&bench);
    bench.reader.spoil(Spoil::Error, 2);
    let error = [0, 0, 0xFF, 1, 0xFF, 0x7F, 0x81, 0];
    let firmware = [0, 0, 0xFF, 2, 0xFE, 0xD4, 0x02, 0x2A, 0];
    for _ in 0..2 {
        line.write_all(&firmware).unwrap();
        expect(&mut line, &[&ACK[..], &error].concat());
    }
    line.write_all(&firmware).unwrap();
    expect(&mut line, &[&ACK[..], &[0, 0, 0xFF, 6, 0xFA, 0xD5, 0x03, 0x32, 1, 6, 7, 0xE8, 0]].concat());
}

#[test]
fn a_reader_that_babbles_is_never_silent_until_it_is_told_to_be() {
    let bench = bench();
    let mut line = ready(&bench);
    bench.reader.babble(Babble::Acks);
    expect(&mut line, &ACK.repeat(200));
    bench.reader.quiet();
    // What was on its way comes; then there is an end.
    let limit = Timespec::try_from(Duration::from_millis(100)).unwrap();
    let quiet = crate::wait::until(LIMIT, || {
        let ready = poll(&mut [PollFd::new(&line, PollFlags::IN)], Some(&limit)).unwrap();
        (ready == 0 || line.read(&mut [0; 4096]).is_err()).then_some(())
    });
    assert!(quiet.is_some(), "it goes on");
}
