//! The readers over a real pty, as a host meets them: by bytes, in clear text.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::packet::crc;
use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn open(line: &Osdp) -> File {
    OpenOptions::new().read(true).write(true).open(line.path()).unwrap()
}

fn ask(host: &mut File, address: u8, sequence: u8, code: u8, data: &[u8]) {
    let mut bytes = vec![0x53, address, (8 + data.len()) as u8, 0, 0x04 | sequence, code];
    bytes.extend(data);
    bytes.extend(crc(&bytes).to_le_bytes());
    host.write_all(&bytes).unwrap();
}

/// The code and data of the next answer.
fn answer(host: &mut File) -> (u8, Vec<u8>) {
    let mut got: Vec<u8> = Vec::new();
    let limit = Timespec::try_from(LIMIT).unwrap();
    while got.len() < 8 || got.len() < usize::from(got[2]) {
        assert_eq!(poll(&mut [PollFd::new(&*host, PollFlags::IN)], Some(&limit)).unwrap(), 1, "{got:02X?}");
        let mut bytes = [0; 64];
        let read = host.read(&mut bytes).unwrap();
        got.extend(&bytes[..read]);
    }
    let end = got.len() - 2;
    assert_eq!(crc(&got[..end]).to_le_bytes(), got[end..]);
    (got[5], got[6..end].to_vec())
}

#[test]
fn a_reader_without_a_key_answers_in_clear_text_and_tells_a_card_once() {
    let folder = tempfile::tempdir().unwrap();
    let line = Osdp::start(&folder.path().join("line"), &[(3, None)]).unwrap();
    let mut host = open(&line);
    ask(&mut host, 3, 0, 0x61, &[0]);
    assert_eq!(answer(&mut host).0, 0x45);
    line.tap(3, &"04A1B2C3".parse().unwrap());
    ask(&mut host, 3, 1, 0x60, &[]);
    let card = (0x50, vec![0, 0, 32, 0, 0x04, 0xA1, 0xB2, 0xC3]);
    assert_eq!(answer(&mut host), card);
    // The same again, because it was not heard: the same answer.
    ask(&mut host, 3, 1, 0x60, &[]);
    assert_eq!(answer(&mut host), card);
    ask(&mut host, 3, 2, 0x60, &[]);
    assert_eq!(answer(&mut host), (0x40, vec![]));
    line.tamper(3, true);
    ask(&mut host, 3, 3, 0x60, &[]);
    assert_eq!(answer(&mut host), (0x48, vec![1, 0]));
    ask(&mut host, 3, 3, 0x69, &[0, 0, 2, 30, 0, 2, 2, 30, 0, 0, 0, 0, 0, 0]);
    assert_eq!(answer(&mut host), (0x41, vec![4]), "a number that was not due");
}

#[test]
fn a_reader_with_a_key_says_who_it_is_and_no_more_in_clear_text() {
    let folder = tempfile::tempdir().unwrap();
    let line = Osdp::start(&folder.path().join("line"), &[(0, Some([7; 16]))]).unwrap();
    let mut host = open(&line);
    ask(&mut host, 0, 0, 0x61, &[0]);
    assert_eq!(answer(&mut host).0, 0x45);
    ask(&mut host, 0, 1, 0x60, &[]);
    assert_eq!(answer(&mut host), (0x41, vec![6]));
}

#[test]
fn only_the_one_that_is_asked_answers_and_a_mute_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let line = Osdp::start(&folder.path().join("line"), &[(1, None), (2, None)]).unwrap();
    let mut host = open(&line);
    line.fault(1, Fault::Mute);
    ask(&mut host, 1, 0, 0x61, &[0]);
    ask(&mut host, 2, 0, 0x64, &[]);
    assert_eq!(answer(&mut host), (0x48, vec![0, 0]));
    line.fault(1, Fault::None);
    line.restart(1);
    ask(&mut host, 1, 0, 0x64, &[]);
    assert_eq!(answer(&mut host), (0x48, vec![0, 0]));
}
