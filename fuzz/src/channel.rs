//! The secure channel to an OSDP reader, with somebody on the line: whatever they alter, replay, make up or say in
//! clear, nothing is heard in it but what the reader said; and what they say that is not ours moves nothing.

use std::sync::LazyLock;

use latchd::wire::osdp::{Channel, Command, Heard, Key, Poll};

use self::{
    packet::{close, reply, take},
    secure::{Block, Session},
};
use crate::script::{Script, turned};

// The simulated reader's own codec and cipher, which share nothing with the daemon's. By their paths: with the crate they
// are from, eighteen instrumented programs would carry a broker.
#[allow(dead_code, reason = "a reader does more than this peer")]
#[path = "../../hardware-sim/src/osdp/packet.rs"]
mod packet;
#[allow(dead_code, reason = "a reader does more than this peer")]
#[path = "../../hardware-sim/src/osdp/secure.rs"]
mod secure;

const ADDRESS: u8 = 5;
const SECRET: Block = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
static KEY: LazyLock<Key> = LazyLock::new(|| Key::parse("0102030405060708090a0b0c0d0e0f10").unwrap());
/// More than enough for every order of three things.
const STEPS: usize = 60;

const ACK: u8 = 0x40;
const NAK: u8 = 0x41;
const CARD: u8 = 0x50;
const CRYPT: u8 = 0x76;
const RMAC: u8 = 0x78;
const BUSY: u8 = 0x79;

/// The reader, and the line to it.
struct Room {
    channel: Channel,
    session: Option<Session>,
    /// Of the command under way.
    sequence: u8,
    /// What the reader has said since the channel began.
    said: Vec<Vec<u8>>,
}

impl Room {
    /// A handshake that nobody disturbs: it holds.
    fn secure() -> Self {
        let mut room = Room { channel: Channel::new(ADDRESS), session: None, sequence: 0, said: Vec::new() };
        let challenge = room.channel.challenge(&KEY, [3; 8]).unwrap();
        let (command, _) = room.received(&challenge);
        let own = [9; 8];
        let mut session = Session::new(&SECRET, command.as_slice().try_into().unwrap(), own);
        let answer = [&[0x0A; 8][..], &own, &session.cryptogram()].concat();
        let answer = close(reply(ADDRESS, room.sequence, Some(&[0x12, 1]), CRYPT, &answer, 0));
        assert!(matches!(room.hear(answer), Heard::Reply(_)), "the reader's cryptogram was refused");
        let proof = room.channel.prove().unwrap();
        let (command, _) = room.received(&proof);
        let mac = session.open(&command).expect("the panel proves that it has the key");
        room.session = Some(session);
        let answer = close(reply(ADDRESS, room.sequence, Some(&[0x14, 1]), RMAC, &mac, 0));
        assert!(matches!(room.hear(answer), Heard::Reply(_)));
        assert!(room.channel.is_secure());
        room
    }

    /// The reader's side of a command: its data as it stands on the line, and all up to its CRC.
    fn received(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let command = take(&mut bytes.to_vec()).expect("what is said is a packet");
        self.sequence = command.sequence;
        (command.data, command.bytes)
    }

    fn hear(&mut self, answer: Vec<u8>) -> Heard {
        let heard = self.channel.hear(&answer);
        self.said.push(answer);
        heard
    }

    /// A poll, and the reader's answer to it, sealed.
    fn asked(&mut self, code: u8, data: &[u8]) -> Vec<u8> {
        let command = self.channel.say(&Command::Poll(Poll)).unwrap();
        let (_, covered) = self.received(&command);
        let session = self.session.as_mut().unwrap();
        let end = covered.len() - 4;
        assert_eq!(session.mac(&covered[..end]), covered[end..], "the panel's MAC is wrong");
        let mut answer = if data.is_empty() {
            reply(ADDRESS, self.sequence, Some(&[0x16]), code, &[], 4)
        } else {
            reply(ADDRESS, self.sequence, Some(&[0x18]), code, &session.encipher(data), 4)
        };
        let mac = session.mac(&answer);
        answer.extend(mac);
        close(answer)
    }
}

/// Whether it was heard as something the reader said.
fn is_believed(heard: &Heard) -> bool {
    matches!(heard, Heard::Reply(_) | Heard::Unknown(_))
}

pub fn osdp_channel(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    if script.byte().is_multiple_of(4) {
        return handshake(script);
    }
    let mut room = Room::secure();
    for _ in 0..STEPS {
        if script.is_over() {
            return;
        }
        if !step(&mut room, &mut script) {
            room = Room::secure();
        }
    }
}

/// One question, somebody's words, the reader's answer. Whether the channel goes on.
fn step(room: &mut Room, script: &mut Script<'_>) -> bool {
    let (kind, code) = (script.byte() % 7, if script.byte().is_multiple_of(2) { ACK } else { CARD });
    let data = if code == CARD { [&[0, 0, 32, 0][..], &[4, 5, 6, 7]].concat() } else { Vec::new() };
    let answer = room.asked(code, &data);
    let other = match kind {
        0 => None,
        1 => Some(turned(&answer, script.below(1 << 16))),
        // The same with the CRC made right again.
        2 => {
            let altered = turned(&answer[..answer.len() - 2], script.below(1 << 16));
            Some(close(altered))
        }
        3 => room.said.get(script.below(room.said.len())).cloned(),
        4 => Some(close(script.chunk().to_vec())),
        5 => {
            let block = script.chunk().to_vec();
            let block = Some(block.as_slice()).filter(|block| !block.is_empty() && block.len() < 200);
            let code = script.byte();
            Some(close(reply(ADDRESS, script.byte() & 3, block, code, script.chunk(), 0)))
        }
        _ => Some(close(reply(ADDRESS, room.sequence, None, script.byte(), script.chunk(), 0))),
    };
    if let Some(other) = other.filter(|other| *other != answer) {
        let heard = room.channel.hear(&other);
        assert!(!is_believed(&heard), "kind {kind}: what the reader did not say was heard as {heard:?}");
        if matches!(heard, Heard::Refused(_)) {
            assert!(!room.channel.is_secure(), "refused, and it goes on");
            let heard = room.channel.hear(&answer);
            assert!(!is_believed(&heard), "a channel that is over hears");
            assert!(room.channel.say(&Command::Poll(Poll)).is_err());
            return false;
        }
    }
    let heard = room.hear(answer);
    assert!(matches!(heard, Heard::Reply(_)), "the reader was not heard: {heard:?}");
    true
}

/// A handshake that somebody answers who has no key: it comes to nothing.
fn handshake(mut script: Script<'_>) {
    let mut channel = Channel::new(ADDRESS);
    channel.challenge(&KEY, [3; 8]).unwrap();
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        let (block, code) = ([script.byte(), script.byte()], [ACK, NAK, CRYPT, RMAC, BUSY][script.below(5)]);
        let block = Some(&block[..usize::from(script.byte() % 3)]).filter(|block| !block.is_empty());
        let heard = channel.hear(&close(reply(ADDRESS, script.byte() & 3, block, code, script.chunk(), 0)));
        assert!(!is_believed(&heard), "somebody without the key was heard: {heard:?}");
        assert!(channel.prove().is_err() && !channel.is_secure());
    }
}
