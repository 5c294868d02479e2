//! A chip that talks nonsense, and a line that spoils sense: whatever comes, nothing panics, no tap is invented, and
//! nothing grows. Where all the ways of one kind can be tried, all are; the rest is random, and shrinks to the least.

use proptest::prelude::*;
use tokio_util::{bytes::BytesMut, codec::Decoder as _};

use super::{
    super::codec::{Codec, DATA_MAX, Frame},
    *,
};

/// UIDs with what is hard to tell from the frame around it: zeros, start codes, a checksum.
const UIDS: [&[u8]; 5] = [
    &SEVEN,
    &[0x00, 0x00, 0x00, 0x00],
    &[0x00, 0xFF, 0x03, 0xFD],
    &[0x04, 0x00, 0xB2, 0x00, 0xD4, 0xE5, 0x00],
    &[0xD5, 0x4B, 0x00, 0xFF, 0x00, 0xFF, 0x00, 0x01, 0x02, 0x03],
];

fn answers() -> impl Iterator<Item = Vec<u8>> {
    let bare = |uid: &[u8]| frame(&[&[0x4B, 1, 1, 0x00, 0x04, 0x08, uid.len() as u8], uid].concat());
    UIDS.into_iter().flat_map(move |uid| [bare(uid), frame(&card(uid))])
}

fn data_frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut codec, mut inbox) = (Codec::default(), BytesMut::from(bytes));
    let frames = std::iter::from_fn(|| codec.decode(&mut inbox).unwrap());
    frames.filter_map(|frame| if let Frame::Data(data) = frame { Some(data) } else { None }).collect()
}

/// Fails if anything is read out of `spoilt` that the chip did not say.
#[track_caller]
fn assert_nothing_else(whole: &[u8], spoilt: &[u8]) {
    let said = data_frames(whole);
    let read = data_frames(spoilt);
    assert!(read.iter().all(|data| said.contains(data)), "{spoilt:02X?} was read as {read:02X?}");
}

#[test]
fn no_single_byte_that_is_changed_lost_or_put_in_makes_another_card() {
    for whole in answers() {
        for at in 0..whole.len() {
            let mut spoilt = whole.clone();
            for change in 1..=255 {
                spoilt[at] = whole[at] ^ change;
                assert_nothing_else(&whole, &spoilt);
            }
            let mut spoilt = whole.clone();
            spoilt.remove(at);
            assert_nothing_else(&whole, &spoilt);
            for noise in 0..=255 {
                let mut spoilt = whole.clone();
                spoilt.insert(at, noise);
                assert_nothing_else(&whole, &spoilt);
            }
        }
    }
}

#[test]
fn an_answer_torn_anywhere_and_said_again_is_the_same_card_or_none() {
    for whole in answers() {
        for torn in 0..whole.len() {
            assert_nothing_else(&whole, &[&whole[..torn], &whole].concat());
            // Its end, as when a line is opened in the middle.
            assert_nothing_else(&whole, &[&whole[torn..], &whole].concat());
        }
    }
}

/// Bytes as they may come: noise, pieces of sense, sense that is spoilt.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let starts = prop::collection::vec(prop::sample::select(vec![0x00, 0xFF, 0x01, 0xFE, 0xD5, 0x4B]), 0..40);
    let piece = (0..10_usize, any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(
        |(which, from, to)| {
            let whole = answers().nth(which).unwrap();
            // Never so much that the next byte or two could make it whole.
            let most = whole.len() - 3;
            let (from, to) = (from.index(most), to.index(most));
            whole[from.min(to)..from.max(to)].to_vec()
        },
    );
    let others = prop::sample::select(vec![
        ACK.to_vec(),
        codec::NACK.to_vec(),
        vec![0, 0, 0xFF, 0x01, 0xFF, 0x7F, 0x81, 0],
        // The longest there is, begun; one that is too long.
        vec![0, 0, 0xFF, 0xFF, 0xFF, 0x01, 0x08, 0xF7, 0xD5],
        vec![0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],
        // Answers without a card, or with one that has no UID, or says it is longer than it is.
        frame(&[0x4B, 0]),
        frame(&[0x4B]),
        frame(&[0x4B, 1, 1, 0, 4, 8, 0]),
        frame(&[0x4B, 1, 1, 0, 4, 8, 7, 1, 2]),
        frame(&[0x53, 0x27]),
    ]);
    prop_oneof![noise, starts, piece, others]
}

proptest! {
    #[test]
    fn whatever_comes_and_however_it_is_cut_is_read_alike_and_nothing_grows(
        parts in prop::collection::vec(bytes(), 0..20),
        cuts in prop::collection::vec(1..50_usize, 1..20),
    ) {
        let all = parts.concat();
        let (mut codec, mut inbox) = (Codec::default(), BytesMut::from(all.as_slice()));
        let whole: Vec<Frame> = std::iter::from_fn(|| codec.decode(&mut inbox).unwrap()).collect();
        let (mut codec, mut inbox, mut read) = (Codec::default(), BytesMut::new(), Vec::new());
        let mut cuts = cuts.into_iter().cycle();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = after;
            inbox.extend_from_slice(piece);
            read.extend(std::iter::from_fn(|| codec.decode(&mut inbox).unwrap()));
            // A start code, the longest header, data, checksum and postamble.
            prop_assert!(inbox.len() < 2 + 5 + DATA_MAX + 2, "{} bytes are kept", inbox.len());
        }
        prop_assert_eq!(read, whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_chip_that_talks_nonsense_invents_no_tap_and_serves_when_it_makes_sense_again(
        parts in prop::collection::vec((bytes(), 0..400_u64), 1..60),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut site, chip) = Site::connected().await;
            let (mut reads, mut writes) = tokio::io::split(chip.line);
            // It hears nothing of what it is told, and says what it likes.
            let deaf = async { while reads.read(&mut [0; 256]).await.unwrap_or(0) > 0 {} };
            let talk = async {
                for (bytes, then) in &parts {
                    if writes.write_all(bytes).await.is_err() {
                        return;
                    }
                    sleep(ms(*then)).await;
                }
            };
            // The driver may have given the line up: then there is nobody to talk to.
            tokio::select! { () = deaf => {}, () = talk => {} }
            drop((reads, writes));
            let lost = loop {
                match site.next().await {
                    ReaderEvent::Tap(_) => panic!("a tap that nobody made"),
                    ReaderEvent::Lost { detail } => break detail,
                    ReaderEvent::Connected { .. } => panic!("it never answered"),
                    ReaderEvent::Tamper { .. } | ReaderEvent::Power { .. } => panic!("it has no such word"),
                    ReaderEvent::Unreadable { .. } | ReaderEvent::Restarted { .. } => {}
                }
            };
            assert!(lost.starts_with("PN532 on /dev/ttyX: "), "{lost}");
            let mut chip = site.plug();
            chip.begin().await;
            assert!(matches!(site.next().await, ReaderEvent::Connected { .. }));
            chip.nothing().await;
            chip.be_looked_for().await;
            chip.card(&SEVEN).await;
            assert_eq!(site.next().await, tap(&SEVEN));
        });
    }
}
