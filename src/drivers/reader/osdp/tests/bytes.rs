//! One exchange after the other: repeats, damage, noise, echoes, other people's packets, and how long each may take.

use super::played::*;
use crate::drivers::clock;

#[tokio::test(start_paused = true)]
async fn a_reader_is_asked_every_50_ms_with_numbers_1_2_3() {
    let (_site, mut reader) = Site::connected().await;
    let mut sequence = reader.nothing().await.sequence;
    let mut before = clock::instant();
    for _ in 0..10 {
        let said = reader.nothing().await;
        assert_eq!(said.sequence, if sequence == 3 { 1 } else { sequence + 1 });
        sequence = said.sequence;
        let now = clock::instant();
        assert!(now - before >= ms(50) && now - before <= ms(52), "{:?}", now - before);
        before = now;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_said_again_with_its_number_and_after_three_times_all_begins_anew() {
    let (mut site, mut reader) = Site::connected().await;
    let asked = clock::instant();
    let first = reader.expect(POLL).await;
    for _ in 0..2 {
        assert_eq!(reader.expect(POLL).await, first);
    }
    let anew = reader.expect(ID).await;
    assert_eq!(anew.sequence, 0);
    assert!(clock::instant() - asked <= ms(800), "{:?}", clock::instant() - asked);
    site.nothing_said();
    // It answers again: nobody need hear of it.
    reader.answer(&anew, PDID, &PDID_DATA).await;
    let said = reader.expect(CAP).await;
    reader.answer(&said, PDCAP, &PDCAP_DATA).await;
    let said = reader.expect(LSTAT).await;
    reader.answer(&said, LSTATR, &[0, 0]).await;
    reader.nothing().await;
    reader.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_command_that_is_answered_counts_once() {
    let (mut site, mut reader) = Site::connected().await;
    let lost_on_the_way = reader.expect(POLL).await;
    let again = reader.expect(POLL).await;
    assert_eq!(lost_on_the_way, again);
    let card = packet(0, again.sequence, RAW, &raw(56, &SEVEN));
    reader.say(&card).await;
    // And once more, late.
    reader.say(&card).await;
    assert_eq!(site.next().await, tap(&SEVEN));
    reader.nothing().await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn noise_pieces_echoes_and_others_answers_are_borne() {
    let (mut site, mut reader) = Site::connected().await;
    let said = reader.expect(POLL).await;
    reader.say(&[0x00, 0xFF, 0x53, 0x53, 0x11]).await;
    // Our own command, as an adapter with echo gives it back; and somebody else's answer.
    let mut echo = packet(0, said.sequence, POLL, &[]);
    echo[1] = 0;
    let crc = osdp::packet::crc16_le(&echo[..6]);
    echo[6..].copy_from_slice(&crc);
    reader.say(&echo).await;
    reader.say(&packet(9, said.sequence, RAW, &raw(32, &[9; 4]))).await;
    for byte in packet(0, said.sequence, RAW, &raw(56, &SEVEN)) {
        reader.say(&[byte]).await;
        tokio::time::sleep(ms(5)).await;
    }
    assert_eq!(site.next().await, tap(&SEVEN));
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_answer_is_none_and_is_asked_for_again() {
    let (mut site, mut reader) = Site::connected().await;
    let said = reader.expect(POLL).await;
    let whole = packet(0, said.sequence, RAW, &raw(56, &SEVEN));
    let mut damaged = whole.clone();
    damaged[12] ^= 0x04;
    reader.say(&damaged).await;
    assert_eq!(reader.expect(POLL).await, said);
    site.nothing_said();
    reader.say(&whole).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_drip_for_ever_hold_the_line_for_a_bounded_time() {
    let (_site, mut reader) = Site::connected().await;
    let said = reader.expect(POLL).await;
    let asked = clock::instant();
    reader.say(&[0x53, 0x80, 0xFF, 0x00]).await;
    let mut dripped = 0;
    let again = loop {
        tokio::select! {
            biased;
            again = reader.hear() => break again,
            () = tokio::time::sleep(ms(20)) => dripped += 1,
        }
        reader.say(&[0x00]).await;
    };
    assert_eq!(again, said);
    assert!(dripped > 5 && clock::instant() - asked <= ms(300), "{:?}", clock::instant() - asked);
}

#[tokio::test(start_paused = true)]
async fn a_busy_reader_is_asked_the_same_again_and_lost_when_it_is_nothing_else() {
    let (mut site, mut reader) = Site::connected().await;
    let said = reader.expect(POLL).await;
    for _ in 0..5 {
        reader.say(&packet(0, 0, BUSY, &[])).await;
        assert_eq!(reader.expect(POLL).await, said);
    }
    reader.answer(&said, RAW, &raw(56, &SEVEN)).await;
    assert_eq!(site.next().await, tap(&SEVEN));
    let busy = async {
        loop {
            reader.hear().await;
            reader.say(&packet(0, 0, BUSY, &[])).await;
        }
    };
    let began = clock::instant();
    let detail = tokio::select! { () = busy => unreachable!(), detail = site.lost() => detail };
    assert_eq!(detail, "OSDP address 0 on /dev/ttyX: it says nothing but that it is busy");
    assert!(clock::instant() - began < ms(8_000));
}

#[tokio::test(start_paused = true)]
async fn a_cable_pulled_is_said_at_once_and_put_back_serves_within_half_a_second() {
    let (mut site, reader) = Site::connected().await;
    drop(reader);
    let detail = site.lost().await;
    assert!(detail.starts_with("OSDP on /dev/ttyX: the line"), "{detail}");
    tokio::time::sleep(ms(3_600_000)).await;
    site.nothing_said();
    let back = clock::instant();
    let mut reader = site.plug();
    reader.begin([0, 0]).await;
    assert!(clock::instant() - back <= ms(520), "{:?}", clock::instant() - back);
    assert!(matches!(site.next().await, crate::control::ReaderEvent::Connected { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_missing_at_the_start_is_said_once() {
    let mut site = Site::new(2);
    let (first, second) = (site.next_of().await, site.next_of().await);
    assert_eq!((first.0.as_str(), second.0.as_str()), ("r-0", "r-1"));
    let crate::control::ReaderEvent::Lost { detail } = first.1 else { panic!() };
    assert!(detail.starts_with("/dev/ttyX can't be opened"), "{detail}");
    tokio::time::sleep(ms(60_000)).await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn dropped_handles_end_the_task() {
    use tokio::io::AsyncReadExt as _;
    let (mut site, mut reader) = Site::connected().await;
    site.handles.clear();
    let mut rest = Vec::new();
    tokio::time::timeout(ms(5_000), reader.line.read_to_end(&mut rest)).await.unwrap().unwrap();
}
