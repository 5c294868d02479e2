//! What comes from readers: a serial line's bytes, and what a card says of itself.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use latchd::{
    domain::Uid,
    drivers::reader::{
        pcsc::card::ask_by,
        pn532::{
            chip::{Chip, Found},
            codec::{Codec, DATA_MAX, Frame},
        },
    },
    wire::osdp::{
        Framer,
        card::{of_bits, of_text},
        frame::PACKET_MAX,
    },
};
use osdp::{
    packet::ParsedPacket,
    reply::{Fmt, Raw},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder as _, Encoder as _},
};

use crate::script::Script;

fn is_uid(uid: &Uid) -> bool {
    (Uid::MIN..=Uid::MAX).contains(&uid.bytes().len())
}

fn frames(codec: &mut Codec, inbox: &mut BytesMut) -> Vec<Frame> {
    std::iter::from_fn(|| codec.decode(inbox).unwrap()).collect()
}

/// A PN532's line: in pieces as at once, never more kept than a frame, and what is written is read.
pub fn pn532_frames(bytes: &[u8]) {
    let (mut codec, mut inbox) = (Codec::default(), BytesMut::from(bytes));
    let at_once = frames(&mut codec, &mut inbox);
    assert!(inbox.len() <= DATA_MAX + 9, "{} bytes are kept", inbox.len());
    let (mut in_pieces, mut piece, mut codec) = (Vec::new(), BytesMut::new(), Codec::default());
    for byte in bytes {
        piece.extend_from_slice(&[*byte]);
        in_pieces.extend(frames(&mut codec, &mut piece));
    }
    assert_eq!((in_pieces, piece), (at_once, inbox));
    let data = bytes.get(..DATA_MAX).unwrap_or(bytes);
    let mut written = BytesMut::new();
    match Codec::default().encode(data, &mut written) {
        Ok(()) if data == [0x7F] => assert_eq!(frames(&mut Codec::default(), &mut written), [Frame::Error]),
        Ok(()) => assert_eq!(frames(&mut Codec::default(), &mut written), [Frame::Data(data.to_vec())]),
        Err(_) => assert!(data.is_empty()),
    }
}

/// A line that says what the script says, and then is pulled out.
struct Line<'a>(Script<'a>);

impl AsyncRead for Line<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = self.0.chunk();
        room.put_slice(chunk.get(..room.remaining()).unwrap_or(chunk));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The commands to a PN532 over such a line: a card it finds has a UID, and nothing is waited for without an end.
pub fn pn532_chip(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let begins = script.byte().is_multiple_of(2);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut chip = Chip::over(Line(script));
        if begins && chip.begin().await.is_err() {
            return;
        }
        // A chunk a look at least: the script is over before that.
        for _ in 0..=bytes.len() {
            match chip.look().await {
                Ok(Found::Card(uid)) => assert!(is_uid(&uid)),
                Ok(Found::Nothing | Found::Unreadable(_)) => {}
                Err(_) => return,
            }
            if chip.release().await.is_err() {
                return;
            }
        }
        panic!("more answers than the line said");
    });
}

/// What a PC/SC reader answers to the question for a UID: asked twice at most, and what is taken is one.
pub fn pcsc_answers(bytes: &[u8]) {
    let (mut script, mut asked, mut told) = (Script::new(bytes), 0, Vec::new());
    let uid = ask_by(|command, room| {
        asked += 1;
        assert!(asked <= 2 && command.len() == 5);
        let answer = script.chunk();
        room[..answer.len()].copy_from_slice(answer);
        told = answer.to_vec();
        // A reader may say that it gave more than there is room for.
        Ok(if script.byte() == 0xFF { usize::MAX } else { answer.len() })
    });
    match uid {
        Ok(uid) => {
            assert!(is_uid(&uid) && told.starts_with(uid.bytes()) && told.len() == uid.bytes().len() + 2)
        }
        Err(error) => assert!(error.to_string().len() < 200),
    }
}

fn packets(framer: &mut Framer) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| framer.packet()).collect()
}

/// A line of OSDP readers: in pieces as at once, and every packet taken is a whole one with a right CRC.
pub fn osdp_frames(bytes: &[u8]) {
    let (mut whole, mut pieces, mut in_pieces) = (Framer::default(), Framer::default(), Vec::new());
    whole.push(bytes);
    let at_once = packets(&mut whole);
    for byte in bytes {
        pieces.push(&[*byte]);
        in_pieces.extend(packets(&mut pieces));
    }
    assert_eq!(in_pieces, at_once);
    let behind: Vec<_> = std::iter::from_fn(|| whole.packet_behind()).collect();
    assert!(!whole.is_within(), "something is left when no more comes");
    for packet in at_once.iter().chain(&behind) {
        assert!(packet.len() <= PACKET_MAX);
        let (parsed, _) = ParsedPacket::parse(packet).unwrap();
        assert!(parsed.ctrl.use_crc());
    }
}

/// What an OSDP reader says a card has: bits or text, and only whole UIDs are taken.
pub fn osdp_cards(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (reader, second, bit_count) = (script.byte(), script.byte(), script.below(1 << 16) as u16);
    let rest = script.rest().to_vec();
    let raw = Raw { reader, format_code: second, bit_count, bits: rest.clone() };
    if let Ok(uid) = of_bits(&raw) {
        assert!(is_uid(&uid) && reader == 0 && usize::from(bit_count) <= rest.len() * 8);
    }
    let text = Fmt { reader, direction: second, char_count: bit_count as u8, chars: rest.clone() };
    if let Ok(uid) = of_text(&text) {
        let said = String::from_utf8(rest).unwrap();
        assert!(is_uid(&uid) && second == 0 && Uid::parse(said.trim()).is_ok_and(|own| own == uid));
    }
}
