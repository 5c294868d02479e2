//! The reader itself, pure: what comes over the line in, what it says out. It answers and never begins.

use std::collections::VecDeque;
use std::time::Instant;

use super::packet::{Command, ROOM, close, reply, take};
use super::secure::{Block, DEFAULT_KEY, Session};
use super::seen::{Beeps, Light, Seen};
use crate::record::Record;

/// Cards and changes it keeps for a host that does not ask. More push out the oldest.
const KEPT: usize = 32;

/// What is wrong with it on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    #[default]
    None,
    /// It hears, and says nothing.
    Mute,
    /// It answers in clear text, whatever was agreed.
    ClearText,
    /// A bit of every answer is turned on its way.
    Corrupt,
    /// The same, with the CRC made right again.
    Forge,
}

/// What it tells at the next poll.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    Card { bits: u16, data: Vec<u8> },
    Status,
}

#[derive(Debug)]
pub struct Device {
    pub address: u8,
    key: Option<Block>,
    buffer: Vec<u8>,
    /// The command answered last, and the answer: a repeated one gets the same.
    last: Option<(Vec<u8>, Vec<u8>)>,
    next_sequence: u8,
    handshake: Option<Session>,
    session: Option<Session>,
    news: VecDeque<News>,
    tampered: bool,
    power_fails: bool,
    pub fault: Fault,
    /// Polls since the host began, to which there was nothing to say.
    pub idle_polls: u64,
    pub record: Record<Seen>,
}

impl Device {
    /// With its own key, or without one: then in clear text, and its default key is never spoken.
    pub fn new(address: u8, key: Option<Block>) -> Self {
        Self {
            address,
            key,
            buffer: Vec::new(),
            last: None,
            next_sequence: 0,
            handshake: None,
            session: None,
            news: VecDeque::new(),
            tampered: false,
            power_fails: false,
            fault: Fault::None,
            idle_polls: 0,
            record: Record::default(),
        }
    }

    /// Switched off and on: it knows of no session and no card any more.
    pub fn restart(&mut self) {
        self.buffer.clear();
        self.news.clear();
        self.forget();
    }

    fn forget(&mut self) {
        (self.last, self.handshake, self.session) = (None, None, None);
        (self.next_sequence, self.idle_polls) = (0, 0);
    }

    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }

    /// A card is held up: so many bits of this.
    pub fn card(&mut self, now: Instant, bits: u16, data: &[u8]) {
        self.record.add(now, Seen::Card);
        self.tell(News::Card { bits, data: data.to_vec() });
    }

    pub fn tamper(&mut self, tampered: bool) {
        self.tampered = tampered;
        self.tell(News::Status);
    }

    pub fn fail_power(&mut self, fails: bool) {
        self.power_fails = fails;
        self.tell(News::Status);
    }

    fn tell(&mut self, news: News) {
        if self.news.len() == KEPT {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }

    /// Bytes from the line; what it says to them.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) -> Vec<u8> {
        self.buffer.extend(bytes);
        let mut said = Vec::new();
        while let Some(command) = take(&mut self.buffer) {
            if command.address == self.address {
                said.extend(self.answer(now, &command));
            }
        }
        // What is no command yet is no longer than one.
        let excess = self.buffer.len().saturating_sub(ROOM);
        self.buffer.drain(..excess);
        match self.fault {
            Fault::Mute => Vec::new(),
            Fault::None | Fault::ClearText => said,
            Fault::Corrupt => turned(said, false),
            Fault::Forge => turned(said, true),
        }
    }

    fn answer(&mut self, now: Instant, command: &Command) -> Vec<u8> {
        if command.sequence == 0 {
            self.forget();
            self.record.add(now, Seen::Begun);
        }
        if let Some((_, answer)) = self.last.as_ref().filter(|(bytes, _)| *bytes == command.bytes) {
            return answer.clone();
        }
        if command.sequence != self.next_sequence {
            return self.refuse(command, 4);
        }
        let answer = match self.opened(command) {
            Ok(data) => self.obey(now, command, &data),
            Err(why) => self.refuse(command, why),
        };
        self.next_sequence = if command.sequence == 3 { 1 } else { command.sequence + 1 };
        self.last = Some((command.bytes.clone(), answer.clone()));
        answer
    }

    /// The command's data in clear, if it came as agreed; else the number of the refusal.
    fn opened(&mut self, command: &Command) -> Result<Vec<u8>, u8> {
        const INTRODUCTION: [u8; 2] = [0x61, 0x62];
        match (&command.block, &mut self.session) {
            (None, None) if self.key.is_some() && !INTRODUCTION.contains(&command.code) => Err(6),
            (None, None) => Ok(command.data.clone()),
            (Some((0x11 | 0x13, _)), None) => Ok(command.data.clone()),
            (Some((kind @ (0x15 | 0x17), _)), Some(session)) => {
                let end = command.bytes.len() - 4;
                let vector = session.vector();
                let covered = command.bytes.get(..end).unwrap_or_default();
                if command.data.len() < 4 || command.bytes.get(end..) != Some(&session.mac(covered)) {
                    self.session = None;
                    return Err(6);
                }
                let data = command.data.get(..command.data.len() - 4).unwrap_or_default();
                if *kind == 0x17 { session.decipher(vector, data).ok_or(6) } else { Ok(data.to_vec()) }
            }
            (Some(_), _) => Err(5),
            (None, Some(_)) => {
                self.session = None;
                Err(6)
            }
        }
    }

    fn obey(&mut self, now: Instant, command: &Command, data: &[u8]) -> Vec<u8> {
        match (command.code, data) {
            (0x60, []) => self.poll(now, command),
            // Maker 00A0B0, model 1, version 1, serial 1, firmware 1.0.0.
            (0x61, [_]) => self.say(command, 0x45, &[0x00, 0xA0, 0xB0, 1, 1, 1, 0, 0, 0, 1, 0, 0]),
            // A light, a buzzer, CRC, AES-128 where it has a key, one reader, OSDP 2.2.
            (0x62, [_]) => {
                let aes = u8::from(self.key.is_some());
                self.say(command, 0x46, &[4, 1, 1, 5, 1, 1, 8, 1, 0, 9, aes, 0, 13, 0, 1, 16, 2, 0])
            }
            (0x64, []) => self.say(command, 0x48, &self.status()),
            (0x69, data) if !data.is_empty() && data.len() % 14 == 0 => {
                for light in data.chunks_exact(14).filter_map(Light::read) {
                    self.record.add(now, Seen::Light(light));
                }
                self.say(command, 0x40, &[])
            }
            (0x6A, data) => match Beeps::read(data) {
                Some(beeps) => {
                    self.record.add(now, Seen::Beeps(beeps));
                    self.say(command, 0x40, &[])
                }
                None => self.refuse(command, 2),
            },
            (0x76, data) => self.challenged(command, data),
            (0x77, data) => self.proven(now, command, data),
            (0x60..=0x64, _) => self.refuse(command, 2),
            _ => self.refuse(command, 3),
        }
    }

    fn status(&self) -> [u8; 2] {
        [u8::from(self.tampered), u8::from(self.power_fails)]
    }

    fn poll(&mut self, now: Instant, command: &Command) -> Vec<u8> {
        match self.news.pop_front() {
            Some(News::Card { bits, data }) => {
                self.record.add(now, Seen::Told);
                let raw = [&[0, 0][..], &bits.to_le_bytes(), &data].concat();
                self.say(command, 0x50, &raw)
            }
            Some(News::Status) => self.say(command, 0x48, &self.status()),
            None => {
                self.idle_polls += 1;
                self.say(command, 0x40, &[])
            }
        }
    }

    fn challenged(&mut self, command: &Command, data: &[u8]) -> Vec<u8> {
        let (Some(key), Ok(host), Some((0x11, _))) = (self.key, data.try_into(), &command.block) else {
            return self.refuse(command, 5);
        };
        let mut own = [0; 8];
        if getrandom::fill(&mut own).is_err() {
            return self.refuse(command, 5);
        }
        let session = Session::new(&key, host, own);
        let answer = [&[0x0A; 8][..], &own, &session.cryptogram()].concat();
        self.handshake = Some(session);
        let kind = u8::from(key != DEFAULT_KEY);
        close(reply(self.address, command.sequence, Some(&[0x12, kind]), 0x76, &answer, 0))
    }

    fn proven(&mut self, now: Instant, command: &Command, data: &[u8]) -> Vec<u8> {
        let Some(mut session) = self.handshake.take().filter(|_| command.block.is_some()) else {
            return self.refuse(command, 5);
        };
        let Some(mac) = session.open(data) else { return self.refuse(command, 6) };
        self.session = Some(session);
        self.record.add(now, Seen::Secure);
        close(reply(self.address, command.sequence, Some(&[0x14, 1]), 0x78, &mac, 0))
    }

    /// A reply as it was agreed.
    fn say(&mut self, command: &Command, code: u8, data: &[u8]) -> Vec<u8> {
        let (address, sequence) = (self.address, command.sequence);
        let Some(session) = self.session.as_mut().filter(|_| self.fault != Fault::ClearText) else {
            return close(reply(address, sequence, None, code, data, 0));
        };
        let mut bytes = if data.is_empty() {
            reply(address, sequence, Some(&[0x16]), code, &[], 4)
        } else {
            reply(address, sequence, Some(&[0x18]), code, &session.encipher(data), 4)
        };
        let mac = session.mac(&bytes);
        bytes.extend(mac);
        close(bytes)
    }

    fn refuse(&mut self, command: &Command, why: u8) -> Vec<u8> {
        self.say(command, 0x41, &[why])
    }
}

/// A bit of its data turned over.
fn turned(mut said: Vec<u8>, and_closed: bool) -> Vec<u8> {
    let end = said.len().saturating_sub(2);
    if let Some(byte) = end.checked_sub(1).and_then(|at| said.get_mut(at)) {
        *byte ^= 0x10;
    }
    if and_closed {
        said.truncate(end);
        return close(said);
    }
    said
}
