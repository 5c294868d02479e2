//! The chip by bytes, in made-up time.

use super::*;

const MS: Duration = Duration::from_millis(1);
const WAKE: [u8; 7] = [0x55, 0x55, 0, 0, 0, 0, 0];
const LIST: [u8; 3] = [IN_LIST_PASSIVE_TARGET, 1, 0];
const NONE_LISTED: [u8; 10] = [0, 0, 0xFF, 3, 0xFD, 0xD5, 0x4B, 0, 0xE0, 0];

fn host(command: &[u8]) -> Vec<u8> {
    let length = u8::try_from(command.len() + 1).unwrap();
    let mut frame = vec![0, 0, 0xFF, length, length.wrapping_neg(), 0xD4];
    frame.extend(command);
    let sum = command.iter().fold(0xD4u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum.wrapping_neg(), 0]);
    frame
}

fn acked(command: u8, data: &[u8]) -> Vec<u8> {
    [&ACK[..], &frame::answer(command, data)].concat()
}

fn card(uid: &str) -> Target {
    Target::new(uid.parse().unwrap()).unwrap()
}

fn ready() -> (Chip, Instant) {
    let (mut chip, t) = (Chip::new(10 * MS), crate::time::now());
    let said = chip.receive(t, &[&WAKE[..], &host(&[SAM_CONFIGURATION, 1, 0, 1])].concat());
    assert_eq!(said, acked(SAM_CONFIGURATION, &[]));
    (chip, t)
}

#[test]
fn asleep_it_hears_nothing_but_the_wake_up() {
    let (mut chip, t) = (Chip::new(MS), crate::time::now());
    assert_eq!(chip.receive(t, &host(&[GET_FIRMWARE_VERSION])), [0_u8; 0]);
    chip.receive(t, &WAKE);
    let said = chip.receive(t, &host(&[GET_FIRMWARE_VERSION]));
    let firmware = [0, 0, 0xFF, 0, 0xFF, 0, 0, 0, 0xFF, 6, 0xFA, 0xD5, 3, 0x32, 1, 6, 7, 0xE8, 0];
    assert_eq!(said, firmware);
}

#[test]
fn without_sam_configuration_a_listing_is_acknowledged_and_never_answered() {
    let (mut chip, t) = (Chip::new(MS), crate::time::now());
    chip.receive(t, &WAKE);
    assert_eq!(chip.receive(t, &host(&LIST)), ACK);
    assert_eq!(chip.put(t, card("01020304"), None), [0_u8; 0]);
    assert!(!chip.is_listing());
}

#[test]
fn a_card_that_comes_while_it_waits_is_listed_at_once() {
    let (mut chip, t) = ready();
    assert_eq!(chip.receive(t, &host(&LIST)), ACK);
    assert_eq!((chip.is_listing(), chip.next_deadline()), (true, None));
    let said = chip.put(t, card("DEADBEEF"), None);
    let listed = [0, 0, 0xFF, 12, 0xF4, 0xD5, 0x4B, 1, 1, 0, 4, 8, 4, 0xDE, 0xAD, 0xBE, 0xEF, 0x96, 0];
    assert_eq!(said, listed);
}

#[test]
fn a_card_already_there_is_listed_with_all_its_uid_and_its_ats() {
    let (mut chip, t) = ready();
    chip.put(t, card("04A1A2A3A4A5A6"), None);
    let mut data = vec![1, 1, 0x03, 0x44, 0x20, 7, 0x04, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6];
    data.extend([0x06, 0x75, 0x77, 0x81, 0x02, 0x80]);
    assert_eq!(chip.receive(t, &host(&LIST)), acked(IN_LIST_PASSIVE_TARGET, &data));
    chip.put(t, card("0102030405060708090A"), None);
    let data = [&[1, 1, 0, 0x84, 0, 10][..], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]].concat();
    assert_eq!(chip.receive(t, &host(&LIST)), acked(IN_LIST_PASSIVE_TARGET, &data));
}

#[test]
fn limited_retries_end_in_no_target() {
    let (mut chip, t) = ready();
    chip.receive(t, &host(&[RF_CONFIGURATION, 5, 0xFF, 1, 4]));
    chip.receive(t, &host(&LIST));
    assert_eq!(chip.next_deadline(), Some(t + 50 * MS));
    assert_eq!(chip.advance(t + 49 * MS), [0_u8; 0]);
    assert_eq!(chip.advance(t + 50 * MS), NONE_LISTED);
    assert_eq!(chip.put(t, card("01020304"), None), [0_u8; 0], "nobody asks any more");
}

#[test]
fn an_ack_or_another_command_ends_the_waiting() {
    let (mut chip, t) = ready();
    chip.receive(t, &host(&LIST));
    assert_eq!(chip.receive(t, &ACK), [0_u8; 0]);
    assert!(!chip.is_listing());
    chip.receive(t, &host(&LIST));
    chip.receive(t, &host(&[GET_FIRMWARE_VERSION]));
    assert_eq!(chip.put(t, card("01020304"), None), [0_u8; 0]);
}

#[test]
fn a_nack_repeats_the_last_answer_and_mends_nonsense() {
    let (mut chip, t) = ready();
    chip.spoil = Some((Spoil::Checksum, 1));
    let bad = chip.receive(t, &host(&[GET_FIRMWARE_VERSION]));
    let good = chip.receive(t, &[0, 0, 0xFF, 0xFF, 0, 0]);
    assert_ne!(bad, acked(GET_FIRMWARE_VERSION, &IC_VERSION_REVISION_SUPPORT));
    assert_eq!(good, frame::answer(GET_FIRMWARE_VERSION, &IC_VERSION_REVISION_SUPPORT));
}

#[test]
fn a_tap_ends_by_itself() {
    let (mut chip, t) = ready();
    chip.put(t, card("01020304"), Some(t + 300 * MS));
    chip.advance(t + 300 * MS);
    assert_eq!(chip.receive(t, &host(&LIST)), ACK);
}

#[test]
fn unknown_and_malformed_commands_get_the_error_frame() {
    let (mut chip, t) = ready();
    let bad: [&[u8]; 4] =
        [&[0x99], &[IN_LIST_PASSIVE_TARGET, 3, 0], &[RF_CONFIGURATION, 5, 1], &[SAM_CONFIGURATION]];
    for command in bad {
        assert_eq!(chip.receive(t, &host(command)), [&ACK[..], &ERROR].concat(), "{command:02X?}");
    }
}

#[test]
fn a_release_of_what_is_not_there_is_refused() {
    let (mut chip, t) = ready();
    chip.put(t, card("01020304"), None);
    assert_eq!(chip.receive(t, &host(&[IN_RELEASE, 1])), acked(IN_RELEASE, &[0x27]));
    chip.receive(t, &host(&LIST));
    assert_eq!(chip.receive(t, &host(&[IN_RELEASE, 1])), acked(IN_RELEASE, &[0x00]));
    assert_eq!(chip.receive(t, &host(&[IN_DESELECT, 0])), acked(IN_DESELECT, &[0x00]));
}

#[test]
fn only_the_card_asked_for_is_listed() {
    let (mut chip, t) = ready();
    chip.put(t, card("04A1A2A3A4A5A6"), None);
    let list = |uid: &[u8]| host(&[&LIST[..], uid].concat());
    assert_eq!(chip.receive(t, &list(&[1, 2, 3, 4])), ACK);
    let cascaded = [0x88, 0x04, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6];
    assert!(chip.receive(t, &list(&cascaded)).len() > ACK.len());
}

#[test]
fn after_power_down_it_must_be_woken_and_is_still_configured() {
    let (mut chip, t) = ready();
    assert_eq!(chip.receive(t, &host(&[POWER_DOWN, 0x10])), acked(POWER_DOWN, &[0x00]));
    assert_eq!(chip.receive(t, &host(&LIST)), [0_u8; 0]);
    chip.receive(t, &WAKE);
    chip.receive(t, &host(&LIST));
    assert!(chip.is_listing());
}
