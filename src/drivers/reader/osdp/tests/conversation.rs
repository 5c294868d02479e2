//! What a conversation is about: who it is, cards, tamper, light and sound, and several readers on one line.

use std::fs;

use super::played::*;
use crate::{
    control::{Feedback, ReaderEvent},
    drivers::{clock, reader::UidOrder},
};

#[tokio::test(start_paused = true)]
async fn a_reader_without_a_key_says_who_it_is_and_is_called_insecure() {
    let mut site = Site::new(1);
    let mut reader = site.plug();
    reader.begin([0, 0]).await;
    let detail =
        "OSDP address 0 on /dev/ttyX, clear text, insecure: maker 00068E, model 3.1, serial DEADBEEF, \
        firmware 2.10.7, light buzzer"
            .to_owned();
    assert_eq!(site.next().await, ReaderEvent::Connected { detail });
}

#[tokio::test(start_paused = true)]
async fn a_card_is_a_tap_once_and_the_next_one_too() {
    let (mut site, mut reader) = Site::connected().await;
    reader.card(&SEVEN).await;
    // Some readers say it again and again while it lies there.
    for _ in 0..5 {
        reader.card(&SEVEN).await;
    }
    assert_eq!(site.next().await, tap(&SEVEN));
    for _ in 0..9 {
        reader.nothing().await;
    }
    site.nothing_said();
    reader.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn uids_are_turned_round_where_configured() {
    let mut site = Site::with(vec![None], UidOrder::Reversed);
    let mut reader = site.plug();
    reader.begin([0, 0]).await;
    site.next().await;
    reader.nothing().await;
    reader.card(&[1, 2, 3, 4]).await;
    assert_eq!(site.next().await, tap(&[4, 3, 2, 1]));
}

#[tokio::test(start_paused = true)]
async fn cards_that_were_kept_while_nobody_asked_are_no_taps() {
    let mut site = Site::new(1);
    let mut reader = site.plug();
    reader.begin([0, 0]).await;
    site.next().await;
    reader.card(&SEVEN).await;
    reader.card(&[1, 2, 3, 4]).await;
    reader.nothing().await;
    site.nothing_said();
    for _ in 0..9 {
        reader.nothing().await;
    }
    reader.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_uid_is_said_as_a_fault_and_opens_nothing() {
    let (mut site, mut reader) = Site::connected().await;
    let said = reader.expect(POLL).await;
    reader.answer(&said, RAW, &raw(26, &[1, 2, 3, 0x40])).await;
    let detail =
        "the reader sends 26 bits, which are no UID; set it to send the whole UID (32, 56, 64 or 80 bits)";
    assert_eq!(site.next().await, ReaderEvent::Unreadable { detail: detail.into() });
    // A count that does not fit its bytes is nothing at all.
    let said = reader.expect(POLL).await;
    reader.answer(&said, RAW, &raw(400, &[1, 2, 3])).await;
    reader.nothing().await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn keys_pressed_and_answers_nobody_knows_are_passed_over() {
    let (mut site, mut reader) = Site::connected().await;
    for (code, data) in [(0x53, &[0, 1, 0x31][..]), (0xEE, &[1, 2, 3]), (0x90, &[1, 2, 3, 4])] {
        let said = reader.expect(POLL).await;
        reader.answer(&said, code, data).await;
    }
    reader.nothing().await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn tamper_and_power_are_said_when_they_begin_and_end_and_asked_for_in_between() {
    let mut site = Site::new(1);
    let mut reader = site.plug();
    reader.begin([1, 0]).await;
    site.next().await;
    let begun = "begin: the reader was opened or taken off the wall".to_owned();
    assert_eq!(site.next().await, ReaderEvent::Tamper { is_tampered: true, detail: begun });
    let said = reader.expect(POLL).await;
    reader.answer(&said, LSTATR, &[1, 1]).await;
    assert_eq!(site.next().await, ReaderEvent::Power { is_failing: true });
    let began = clock::instant();
    let said = loop {
        let said = reader.hear().await;
        if said.code == LSTAT {
            break said;
        }
        reader.answer(&said, ACK, &[]).await;
    };
    assert!(clock::instant() - began <= ms(10_100));
    reader.answer(&said, LSTATR, &[0, 0]).await;
    let ended = "end: the reader is closed and in its place again".to_owned();
    assert_eq!(site.next().await, ReaderEvent::Tamper { is_tampered: false, detail: ended });
    assert_eq!(site.next().await, ReaderEvent::Power { is_failing: false });
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn feedback_is_shown_before_the_next_poll_and_a_refusal_harms_nothing() {
    let (mut site, mut reader) = Site::connected().await;
    reader.nothing().await;
    tokio::time::sleep(ms(10)).await;
    let asked = clock::instant();
    site.handles[0].feedback(Feedback::Granted);
    let said = reader.expect(LED).await;
    assert_eq!(clock::instant() - asked, ms(0));
    assert_eq!(said.data[..8], [0, 0, 2, 10, 0, 2, 0, 10]);
    reader.answer(&said, ACK, &[]).await;
    let said = reader.expect(BUZ).await;
    assert!(clock::instant() - asked <= ms(5));
    reader.answer(&said, NAK, &[9]).await;
    reader.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));
    for _ in 0..100 {
        site.handles[0].feedback(Feedback::Denied);
    }
    // Only the last is shown.
    let said = reader.expect(LED).await;
    reader.answer(&said, ACK, &[]).await;
    let said = reader.expect(BUZ).await;
    reader.answer(&said, ACK, &[]).await;
    reader.nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_from_before_capabilities_shows_nothing_and_still_reads() {
    let mut site = Site::new(1);
    let mut reader = site.plug();
    let said = reader.expect(ID).await;
    reader.answer(&said, PDID, &PDID_DATA).await;
    for _ in 0..2 {
        let said = reader.hear().await;
        reader.answer(&said, NAK, &[3]).await;
    }
    let ReaderEvent::Connected { detail } = site.next().await else { panic!() };
    assert!(detail.ends_with("firmware 2.10.7, nothing but cards"), "{detail}");
    reader.nothing().await;
    site.handles[0].feedback(Feedback::Granted);
    reader.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn mute_readers_are_lost_within_seconds_tried_for_ever_and_do_not_slow_the_one_that_answers() {
    let mut site = Site::new(5);
    let mut line = site.plug();
    let (mut polls, mut tries, mut said) = (0, 0, Vec::new());
    let began = clock::instant();
    while clock::instant() - began < ms(20_000) {
        let heard = line.hear().await;
        if heard.address > 0 {
            tries += 1;
            continue;
        }
        match heard.code {
            ID => line.answer(&heard, PDID, &PDID_DATA).await,
            CAP => line.answer(&heard, PDCAP, &PDCAP_DATA).await,
            LSTAT => line.answer(&heard, LSTATR, &[0, 0]).await,
            _ => {
                polls += 1;
                line.answer(&heard, ACK, &[]).await;
            }
        }
        while let Ok(event) = site.events.try_recv() {
            said.push((clock::instant() - began, format!("{event:?}")));
        }
    }
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said[0].1.contains("r-0") && said[0].1.contains("Connected"));
    for (after, lost) in &said[1..] {
        assert!(lost.contains("Lost") && lost.contains("no answer in time"), "{lost}");
        assert!(*after >= ms(2_000) && *after <= ms(3_500), "{said:?}");
    }
    // Of 400, all but those during the tries, which cost 200 ms each.
    assert!((12..=22).contains(&tries), "{tries} tries");
    assert!(polls >= 300, "{polls} polls beside {tries} tries");
    // One is plugged in after all.
    let heard = loop {
        let heard = line.hear().await;
        if heard.address == 1 {
            break heard;
        }
        line.answer(&heard, ACK, &[]).await;
    };
    line.answer(&heard, PDID, &PDID_DATA).await;
    assert_eq!(line.expect(CAP).await.address, 1);
}

#[tokio::test(start_paused = true)]
async fn readers_on_one_line_are_told_apart() {
    let mut site = Site::new(2);
    let mut line = site.plug();
    line.begin([0, 0]).await;
    let (first, _) = site.next_of().await;
    let mut card_of = [Some([1, 1, 1, 1]), Some([2, 2, 2, 2])];
    let mut taps = Vec::new();
    let mut has_said_nothing = [false; 2];
    while taps.len() < 2 {
        let heard = line.hear().await;
        let n = usize::from(heard.address);
        match heard.code {
            ID => line.answer(&heard, PDID, &PDID_DATA).await,
            CAP => line.answer(&heard, PDCAP, &PDCAP_DATA).await,
            LSTAT => line.answer(&heard, LSTATR, &[0, 0]).await,
            _ if !std::mem::replace(&mut has_said_nothing[n], true) => line.answer(&heard, ACK, &[]).await,
            _ => match card_of[n].take() {
                Some(uid) => line.answer(&heard, RAW, &raw(32, &uid)).await,
                None => line.answer(&heard, ACK, &[]).await,
            },
        }
        while let Ok(crate::control::Event::Reader { reader, what }) = site.events.try_recv() {
            if let ReaderEvent::Tap(uid) = what {
                taps.push((reader.to_string(), uid.bytes()[0]));
            }
        }
    }
    taps.sort();
    assert_eq!((first.as_str(), taps), ("r-0", vec![("r-0".into(), 1), ("r-1".into(), 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_refuses_clear_text_is_told_to_want_a_key() {
    let mut site = Site::new(1);
    let mut reader = site.plug();
    let answering = async {
        loop {
            let said = reader.expect(ID).await;
            reader.answer(&said, NAK, &[6]).await;
        }
    };
    let detail = tokio::select! { () = answering => unreachable!(), detail = site.lost() => detail };
    assert!(
        detail.ends_with("it refuses to say who it is; does it want a secure channel (key_file)?"),
        "{detail}"
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_key_no_card_in_clear_text_is_taken_however_the_reader_insists() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("scbk");
    let mut site = Site::with(vec![Some(key.clone())], UidOrder::AsRead);
    let mut reader = site.plug();
    // Everything is answered as if there were no key, and each answer is a card.
    let insisting = async {
        loop {
            let mut chunk = [0; 256];
            let read = tokio::io::AsyncReadExt::read(&mut reader.line, &mut chunk).await.unwrap();
            let mut framer = crate::wire::osdp::Framer::default();
            framer.push(&chunk[..read]);
            while let Some(bytes) = framer.packet() {
                let (heard, _) = osdp::packet::ParsedPacket::parse(&bytes).unwrap();
                let (sequence, is_id) = (heard.ctrl.sqn.value(), heard.code == ID);
                let (code, data) = if is_id { (PDID, PDID_DATA.to_vec()) } else { (RAW, raw(56, &SEVEN)) };
                reader.say(&packet(0, sequence, code, &data)).await;
            }
        }
    };
    tokio::pin!(insisting);
    let detail = tokio::select! { () = &mut insisting => unreachable!(), detail = site.lost() => detail };
    assert!(detail.contains("can't read") && detail.contains("key_file"), "{detail}");
    fs::write(&key, "000102030405060708090a0b0c0d0e0f").unwrap();
    tokio::select! { () = &mut insisting => unreachable!(), () = tokio::time::sleep(ms(60_000)) => {} }
    site.nothing_said();
}
