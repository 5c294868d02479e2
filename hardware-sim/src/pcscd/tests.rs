//! Through the real pcscd, with the real client library. That library takes its socket from the environment, once:
//! so the client is this very test binary, started again to run one ignored test.

use std::ffi::CString;

use super::*;
use crate::card::Card;

const LIMIT: Duration = Duration::from_secs(10);

/// What an application sees: `NAME = UID` for each reader with a card.
fn client(pcscd: &PrivatePcscd, test: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("pcscd::tests::{test}"), "--ignored", "--nocapture"])
        .env(SOCKET_VARIABLE, pcscd.socket())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn insert(pcscd: &PrivatePcscd, reader: usize, uid: &str) -> Card {
    Card::insert(pcscd.vpcd_addr(reader).unwrap(), uid.parse().unwrap()).unwrap()
}

#[test]
#[ignore = "the client half of other tests"]
fn client_reads_every_card() {
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let mut names = context.list_readers_owned().unwrap();
    names.sort();
    let mut states: Vec<_> =
        names.iter().map(|name| pcsc::ReaderState::new(name.clone(), pcsc::State::UNAWARE)).collect();
    while !states.iter().any(|state| state.event_state().contains(pcsc::State::PRESENT)) {
        context.get_status_change(LIMIT, &mut states).unwrap();
        states.iter_mut().for_each(pcsc::ReaderState::sync_current_state);
    }
    for state in states.iter().filter(|state| state.event_state().contains(pcsc::State::PRESENT)) {
        let card = context.connect(state.name(), pcsc::ShareMode::Shared, pcsc::Protocols::ANY).unwrap();
        let mut buffer = [0; 64];
        let answer = card.transmit(&[0xFF, 0xCA, 0, 0, 0], &mut buffer).unwrap();
        let uid: String = answer.iter().map(|byte| format!("{byte:02X}")).collect();
        println!("{} = {uid}", state.name().to_string_lossy());
    }
}

#[test]
#[ignore = "the client half of other tests"]
fn client_sees_its_readers() {
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let names: Vec<CString> = context.list_readers_owned().unwrap();
    println!("readers: {names:?}");
}

#[test]
fn a_card_is_read_through_the_real_pcscd_before_and_after_a_crash() {
    let mut pcscd = PrivatePcscd::start(3).unwrap();
    let card = insert(&pcscd, 2, "04A1A2A3A4A5A6");
    let said = client(&pcscd, "client_reads_every_card");
    assert!(said.contains("Latch Sim B 00 00 = 04A1A2A3A4A5A69000"), "{said}");
    assert!(card.wait_until_read(1, Duration::ZERO));
    card.remove();

    let card = insert(&pcscd, 1, "01020304");
    assert!(card.wait_until_powered(LIMIT));
    pcscd.kill();
    assert!(!pcscd.socket().exists());
    assert!(card.wait_until_thrown_out(LIMIT));
    pcscd.restart().unwrap();
    let _card = insert(&pcscd, 1, "01020304");
    let said = client(&pcscd, "client_reads_every_card");
    assert!(said.contains("Latch Sim A 00 01 = 010203049000"), "{said}");
}

#[test]
#[ignore = "the client half of other tests"]
fn client_lights_a_lamp() {
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let names = context.list_readers_owned().unwrap();
    let name = names.iter().find(|name| name.to_string_lossy().starts_with("ACS")).unwrap();
    let card = context.connect(name, pcsc::ShareMode::Direct, pcsc::Protocols::UNDEFINED).unwrap();
    let mut room = [0; 16];
    let answer = card.control(pcsc::ctl_code(1), &[0xE0, 0, 0, 0x29, 1, 2], &mut room);
    println!("answer: {answer:02X?}");
}

#[test]
fn a_reader_with_lamps_reads_cards_and_notes_what_it_is_told() {
    let pcscd = PrivatePcscd::start_with(0, &["ACS ACR1252 Dual Reader"]).unwrap();
    let lamps = pcscd.lamps(0).unwrap();
    lamps.put_card(&"04A1A2A3A4A5A6".parse().unwrap()).unwrap();
    let said = client(&pcscd, "client_reads_every_card");
    assert!(said.contains("ACS ACR1252 Dual Reader 00 00 = 04A1A2A3A4A5A69000"), "{said}");
    assert!(client(&pcscd, "client_lights_a_lamp").contains("answer: Ok([E1, 00, 00, 00, 01, 02])"));
    assert_eq!(lamps.escapes().into_iter().map(|e| e.command).collect::<Vec<_>>(), ["E00000290102"]);
    lamps.refuse_escapes(true).unwrap();
    let refused = client(&pcscd, "client_lights_a_lamp");
    assert!(refused.contains("answer: Err(NotTransacted)"), "{refused}");
    assert_eq!(lamps.escapes().len(), 1);
}

#[test]
fn two_of_them_do_not_disturb_each_other_and_leave_nothing_running() {
    let one = PrivatePcscd::start(1).unwrap();
    let other = PrivatePcscd::start(2).unwrap();
    assert_eq!(one.vpcd_addr(1), None);
    assert_eq!(other.reader_name(1).as_deref(), Some("Latch Sim A 00 01"));
    for pcscd in [&one, &other] {
        assert!(client(pcscd, "client_sees_its_readers").contains("Latch Sim A 00 00"));
    }
    let pids = [one.pid().unwrap(), other.pid().unwrap()];
    let folder = one.socket();
    drop((one, other));
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
    assert!(!folder.exists());
}

#[test]
fn a_paused_one_does_not_answer_until_it_is_resumed_and_ends_even_when_paused() {
    let pcscd = PrivatePcscd::start(1).unwrap();
    let names = [pcscd.reader_name(0).unwrap()];
    pcscd.pause().unwrap();
    assert!(probe::wait_for_readers(&pcscd.socket(), &names, Duration::from_millis(100)).is_err());
    pcscd.resume().unwrap();
    probe::wait_for_readers(&pcscd.socket(), &names, LIMIT).unwrap();
    pcscd.pause().unwrap();
    let pid = pcscd.pid().unwrap();
    drop(pcscd);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
