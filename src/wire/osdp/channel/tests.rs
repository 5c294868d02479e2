//! A channel against a device made of the crate's own parts: what is believed, and what ends it. (That both agree with
//! somebody else is tested against libosdp, with the driver.)

use osdp::{
    packet::crc16_le,
    reply::{Ack, Nak, NakErrorCode, Raw},
    secure::crypto::{SessionKeys, client_cryptogram},
};
use proptest::prelude::*;

use super::*;
use crate::wire::osdp::{Framer, LocalStatus, Poll};

const KEY: &str = "000102030405060708090a0b0c0d0e0f";
const CHANCE: [u8; 8] = [7; 8];

/// The device's end.
struct Device {
    session: Option<Session<Secure>>,
}

impl Device {
    fn clear(sequence: u8, code: ReplyCode, data: &[u8]) -> Vec<u8> {
        let control = ControlByte::new(Sqn::new(sequence).unwrap(), CtrlFlags::USE_CRC);
        let address = Address::reply(1).unwrap();
        PacketBuilder::plain(address, control, code.as_byte(), data.to_vec()).encode().unwrap()
    }

    fn handshake(sequence: u8, block: ScsType, mark: u8, code: ReplyCode, data: Vec<u8>) -> Vec<u8> {
        PacketBuilder {
            addr: Address::reply(1).unwrap(),
            ctrl: ControlByte::new(Sqn::new(sequence).unwrap(), CtrlFlags::USE_CRC | CtrlFlags::HAS_SCB),
            scb: Some(Scb::new(block, [mark])),
            code: code.as_byte(),
            data,
        }
        .encode()
        .unwrap()
    }

    /// Takes a sealed command, and answers.
    fn answer(&mut self, command: &[u8], enciphered: bool, code: ReplyCode, data: &[u8]) -> Vec<u8> {
        let session = self.session.as_mut().unwrap();
        let (packet, _) = ParsedPacket::parse(&command[1..]).unwrap();
        osdp::secure::unseal(session, &packet, &command[1..]).unwrap();
        let address = Address::reply(1).unwrap();
        seal(session, address, packet.ctrl.sqn, Direction::PdToAcu, enciphered, code.as_byte(), data).unwrap()
    }
}

fn ccrypt(key: [u8; 16]) -> CCrypt {
    let (rnd_b, cuid) = ([9; 8], [3; 8]);
    let keys = SessionKeys::derive(&key, &CHANCE);
    CCrypt { cuid, rnd_b, client_cryptogram: client_cryptogram(&keys.s_enc, &CHANCE, &rnd_b) }
}

fn secure() -> (Channel, Device) {
    let key = Key::parse(KEY).unwrap();
    let mut channel = Channel::new(1);
    channel.challenge(&key, CHANCE).unwrap();
    let answer = ccrypt(key.bytes());
    let device = Session::<Disconnected>::new(key.bytes()).challenge(CHANCE).receive_ccrypt(&answer);
    let device = device.ok().unwrap();
    let packet = Device::handshake(0, ScsType::Scs12, 1, ReplyCode::CCrypt, answer.encode().unwrap());
    assert!(matches!(channel.hear(&packet), Heard::Reply(Reply::CCrypt(_))));
    assert!(!channel.is_secure());
    channel.prove().unwrap();
    let rmac = device.initial_rmac();
    let packet = Device::handshake(1, ScsType::Scs14, 1, ReplyCode::RMacI, rmac.to_vec());
    assert!(matches!(channel.hear(&packet), Heard::Reply(Reply::RMacI(_))));
    assert!(channel.is_secure());
    (channel, Device { session: device.confirm_rmac_i(&rmac).ok() })
}

fn card() -> Raw {
    Raw { reader: 0, format_code: 0, bit_count: 32, bits: vec![4, 3, 2, 1] }
}

fn poll() -> Command {
    Command::Poll(Poll)
}

#[test]
fn a_command_in_clear_text_is_what_the_standard_writes() {
    let mut channel = Channel::new(5);
    let bytes = channel.say(&poll()).unwrap();
    assert_eq!(bytes, [0xFF, 0x53, 0x05, 0x08, 0x00, 0x04, 0x60, 0xBC, 0x89]);
}

#[test]
fn sequence_numbers_go_0_1_2_3_1_and_only_answers_move_them() {
    let mut channel = Channel::new(1);
    for sequence in [0, 1, 2, 3, 1, 2, 3, 1] {
        let said = channel.say(&poll()).unwrap();
        assert_eq!(said[5] & 3, sequence);
        let other = Device::clear((sequence + 1) % 4, ReplyCode::Ack, &[]);
        assert_eq!(channel.hear(&other), Heard::NotOurs);
        assert_eq!(channel.hear(&Device::clear(0, ReplyCode::Busy, &[])), Heard::Busy);
        assert_eq!(channel.say(&poll()).unwrap(), said);
        let ours = Device::clear(sequence, ReplyCode::Ack, &[]);
        assert_eq!(channel.hear(&ours), Heard::Reply(Reply::Ack(Ack)));
    }
}

#[test]
fn what_comes_from_or_goes_to_another_is_not_ours() {
    let mut channel = Channel::new(1);
    let own = channel.say(&poll()).unwrap();
    assert_eq!(channel.hear(&own[1..]), Heard::NotOurs, "our own echo");
    let mut other = Device::clear(0, ReplyCode::Ack, &[]);
    other[1] = 0x82;
    let end = other.len() - 2;
    let crc = crc16_le(&other[..end]);
    other[end..].copy_from_slice(&crc);
    assert_eq!(channel.hear(&other), Heard::NotOurs);
    assert_eq!(channel.hear(&other[1..]), Heard::NotOurs);
}

#[test]
fn once_secure_a_card_comes_enciphered_and_a_poll_goes_with_a_mac() {
    let (mut channel, mut device) = secure();
    for round in 0..8 {
        let said = channel.say(&poll()).unwrap();
        let raw = card().encode().unwrap();
        let reply = device.answer(&said, true, ReplyCode::Raw, &raw);
        assert!(!reply.windows(4).any(|four| four == [4, 3, 2, 1]), "it can be read on the line");
        assert_eq!(channel.hear(&reply), Heard::Reply(Reply::Raw(card())), "round {round}");
        let said = channel.say(&Command::LocalStatus(LocalStatus)).unwrap();
        let reply = device.answer(&said, false, ReplyCode::Ack, &[]);
        assert_eq!(channel.hear(&reply), Heard::Reply(Reply::Ack(Ack)));
    }
}

#[test]
fn once_secure_clear_text_ends_the_channel_and_nothing_in_it_is_taken() {
    for (code, data, refusal) in [
        (ReplyCode::Raw, card().encode().unwrap(), Refusal::ClearText),
        (ReplyCode::Ack, vec![], Refusal::ClearText),
        (
            ReplyCode::Nak,
            vec![6],
            Refusal::Refused("it wants a secure channel, or has lost the one there was"),
        ),
    ] {
        let (mut channel, mut device) = secure();
        let said = channel.say(&poll()).unwrap();
        assert_eq!(channel.hear(&Device::clear(2, code, &data)), Heard::Refused(refusal));
        // The true answer comes too late, and there is nothing more to be said.
        let late = device.answer(&said, false, ReplyCode::Ack, &[]);
        assert_eq!(channel.hear(&late), Heard::Refused(Refusal::Over));
        assert_eq!(channel.say(&poll()), Err(Refusal::Over));
    }
}

#[test]
fn busy_in_clear_text_moves_nothing_and_is_believed_no_further() {
    let (mut channel, mut device) = secure();
    let said = channel.say(&poll()).unwrap();
    assert_eq!(channel.hear(&Device::clear(0, ReplyCode::Busy, &[])), Heard::Busy);
    let reply = device.answer(&said, false, ReplyCode::Ack, &[]);
    assert_eq!(channel.hear(&reply), Heard::Reply(Reply::Ack(Ack)));
}

#[test]
fn a_bit_turned_anywhere_in_a_secure_answer_is_not_believed() {
    let (mut channel, mut device) = secure();
    let said = channel.say(&poll()).unwrap();
    let reply = device.answer(&said, true, ReplyCode::Raw, &card().encode().unwrap());
    let end = reply.len() - 2;
    for bit in 0..end * 8 {
        let (mut channel, mut device) = secure();
        let said = channel.say(&poll()).unwrap();
        assert_eq!(device.answer(&said, true, ReplyCode::Raw, &card().encode().unwrap()), reply);
        let mut forged = reply.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let crc = crc16_le(&forged[..end]);
        forged[end..].copy_from_slice(&crc);
        let heard = channel.hear(&forged);
        assert!(matches!(heard, Heard::NotOurs | Heard::Refused(_)), "bit {bit}: {heard:?}");
    }
}

#[test]
fn an_answer_played_back_and_our_own_command_played_back_are_not_believed() {
    let (mut channel, mut device) = secure();
    let said = channel.say(&poll()).unwrap();
    let old = device.answer(&said, true, ReplyCode::Raw, &card().encode().unwrap());
    assert_eq!(channel.hear(&old), Heard::Reply(Reply::Raw(card())));
    for _ in 0..2 {
        let said = channel.say(&poll()).unwrap();
        assert_eq!(channel.hear(&old), Heard::NotOurs, "its number has passed");
        let reply = device.answer(&said, false, ReplyCode::Ack, &[]);
        assert_eq!(channel.hear(&reply), Heard::Reply(Reply::Ack(Ack)));
    }
    channel.say(&poll()).unwrap();
    assert_eq!(channel.hear(&old), Heard::Refused(Refusal::Mac), "its number has come round again");

    let (mut channel, _) = secure();
    let mut own = channel.say(&poll()).unwrap().split_off(1);
    own[1] |= 0x80;
    let end = own.len() - 2;
    let crc = crc16_le(&own[..end]);
    own[end..].copy_from_slice(&crc);
    assert_eq!(channel.hear(&own), Heard::Refused(Refusal::Block));
}

#[test]
fn a_device_with_another_key_with_the_default_key_and_without_any_is_told_apart() {
    let key = Key::parse(KEY).unwrap();
    let challenged = || {
        let mut channel = Channel::new(1);
        channel.challenge(&key, CHANCE).unwrap();
        channel
    };
    let wrong = ccrypt([0x55; 16]).encode().unwrap();
    let packet = |mark| Device::handshake(0, ScsType::Scs12, mark, ReplyCode::CCrypt, wrong.clone());
    assert_eq!(challenged().hear(&packet(1)), Heard::Refused(Refusal::WrongKey));
    assert_eq!(challenged().hear(&packet(0)), Heard::Refused(Refusal::DefaultKey));
    let nak = Device::clear(0, ReplyCode::Nak, &[5]);
    let Heard::Refused(refusal) = challenged().hear(&nak) else { panic!() };
    assert_eq!(refusal.to_string(), "it refuses (it has no such secure channel, or no key yet)");
    let ack = Device::clear(0, ReplyCode::Ack, &[]);
    assert_eq!(challenged().hear(&ack), Heard::Refused(Refusal::ClearText));
    let short = Device::handshake(0, ScsType::Scs12, 1, ReplyCode::CCrypt, vec![1, 2, 3]);
    assert_eq!(challenged().hear(&short), Heard::Refused(Refusal::Block));
}

#[test]
fn a_device_that_only_pretends_to_have_the_key_is_not_secure() {
    let key = Key::parse(KEY).unwrap();
    let mut channel = Channel::new(1);
    channel.challenge(&key, CHANCE).unwrap();
    let good = ccrypt(key.bytes()).encode().unwrap();
    channel.hear(&Device::handshake(0, ScsType::Scs12, 1, ReplyCode::CCrypt, good));
    channel.prove().unwrap();
    let packet = Device::handshake(1, ScsType::Scs14, 1, ReplyCode::RMacI, vec![0; 16]);
    assert_eq!(channel.hear(&packet), Heard::Refused(Refusal::WrongKey));
    assert!(!channel.is_secure());
}

#[test]
fn a_nak_is_an_answer_in_the_clear_and_a_block_there_is_none() {
    let mut channel = Channel::new(1);
    let nak = Nak::simple(NakErrorCode::UnknownCommandCode);
    let packet = Device::clear(0, ReplyCode::Nak, &nak.encode().unwrap());
    assert_eq!(channel.hear(&packet), Heard::Reply(Reply::Nak(nak)));
    let lost = Device::clear(3, ReplyCode::Nak, &[4]);
    let heard = channel.hear(&lost);
    assert_eq!(heard, Heard::Refused(Refusal::Refused("it expected another sequence number")));
    let mut channel = Channel::new(1);
    let packet = Device::handshake(0, ScsType::Scs12, 1, ReplyCode::CCrypt, vec![0; 32]);
    assert_eq!(channel.hear(&packet), Heard::Refused(Refusal::Block));
}

#[test]
fn nothing_printed_tells_a_key() {
    let (channel, _) = secure();
    assert_eq!(format!("{channel:?}"), "Channel { address: 1, secure: true }");
}

proptest! {
    #[test]
    fn no_packet_breaks_it_and_none_made_without_the_key_is_believed(
        control in 0..16_u8, code in any::<u8>(), data in prop::collection::vec(any::<u8>(), 0..60)
    ) {
        let (mut channel, _) = secure();
        channel.say(&poll()).unwrap();
        let length = 5 + 1 + data.len() + 2;
        let mut packet = vec![0x53, 0x81, length as u8, 0, control | 0x04, code];
        packet.extend(data);
        packet.extend(crc16_le(&packet));
        let mut framer = Framer::default();
        framer.push(&packet);
        while let Some(whole) = framer.packet() {
            let heard = channel.hear(&whole);
            prop_assert!(!matches!(heard, Heard::Reply(_) | Heard::Unknown(_)), "{heard:?}");
        }
        let mut clear = Channel::new(1);
        clear.hear(&packet);
    }
}
