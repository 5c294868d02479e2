//! What is said to one address and what may be believed of its answers: sequence numbers and the secure channel
//! (OSDP 2.2 §5.7, Annex D). Time and chance come in as values.
//!
//! ```text
//!   Clear ──challenge──► Challenged ──CCRYPT──► Answered ──RMAC_I──► Secure
//!     │                      │                     │                   │
//!     └──────────── anything that does not belong there ───────────────┴──────► Over
//! ```
//!
//! There is no way back: once secure, clear text, a wrong MAC or a block of another kind ends the channel, and a new one
//! begins with another challenge. `BUSY` alone has no MAC, by the standard; it says nothing and moves nothing.
//! The crate's `unseal` deciphers before it has checked the MAC; here it is the other way round.

use osdp::{
    command::{Chlng, Command, SCrypt},
    packet::{Address, ControlByte, CtrlFlags, MAC_LEN, PacketBuilder, ParsedPacket, Scb, ScsType, Sqn},
    reply::{CCrypt, RMacI, Reply, ReplyCode},
    secure::{
        Challenged, Cryptogrammed, Direction, Disconnected, Secure, Session,
        cipher::{complement_icv, decrypt_data},
        seal,
    },
};

use super::Key;

/// Sent before each packet: an adapter that turns the line round may swallow a byte.
const MARK: u8 = 0xFF;
/// In a security block of the handshake: the device's own key, not the default one.
const OWN_KEY: u8 = 1;
const CRC_LEN: usize = 2;

/// Why a channel is over. A new one may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it answered in clear text, though the channel is secure")]
    ClearText,
    #[error("its answer carries a wrong MAC")]
    Mac,
    #[error("its answer can't be deciphered")]
    Cipher,
    #[error("its answer carries a security block that does not belong there")]
    Block,
    #[error("it has another key than the one in key_file")]
    WrongKey,
    #[error(
        "it knows the default key only (SCBK-D); give it the key in key_file first, with its maker's tool"
    )]
    DefaultKey,
    #[error("it refuses ({0})")]
    Refused(&'static str),
    #[error("nothing can be said to it: {0}")]
    Unsendable(&'static str),
    #[error("the channel is over")]
    Over,
}

/// What a packet on the line is to this channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The answer to what was said last, with what the channel promises of it.
    Reply(Reply),
    /// The same, but of a kind or a length nobody knows.
    Unknown(u8),
    /// It has no time; the same is to be said again.
    Busy,
    /// From another, to another, or to something said before.
    NotOurs,
    Refused(Refusal),
}

/// Its parts are keys and what follows from them: never printed.
enum State {
    Clear,
    Challenged(Session<Challenged>),
    Answered(Session<Cryptogrammed>),
    Secure(Session<Secure>),
    Over,
}

/// The conversation with one address.
pub struct Channel {
    address: u8,
    sequence: Sqn,
    state: State,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("address", &self.address).field("secure", &self.is_secure()).finish()
    }
}

impl Channel {
    /// From the start: sequence 0, which makes the device forget what was before.
    pub fn new(address: u8) -> Self {
        Channel { address, sequence: Sqn::ZERO, state: State::Clear }
    }

    pub fn is_secure(&self) -> bool {
        matches!(self.state, State::Secure(_))
    }

    /// The bytes of a command. Until it is answered, the same bytes are to be said again, and no others.
    pub fn say(&mut self, command: &Command) -> Result<Vec<u8>, Refusal> {
        let code = command.code().as_byte();
        let data = command.encode_data().map_err(|_| Refusal::Unsendable("a command can't be written"))?;
        let address = self.device()?;
        let bytes = match &mut self.state {
            State::Clear => {
                let control = ControlByte::new(self.sequence, CtrlFlags::USE_CRC);
                PacketBuilder::plain(address, control, code, data).encode()
            }
            State::Secure(session) => {
                let enciphered = !data.is_empty();
                seal(session, address, self.sequence, Direction::AcuToPd, enciphered, code, &data)
            }
            State::Challenged(_) | State::Answered(_) | State::Over => return Err(Refusal::Over),
        };
        marked(bytes)
    }

    /// The first step of the handshake. `chance`: eight bytes nobody can foresee.
    pub fn challenge(&mut self, key: &Key, chance: [u8; 8]) -> Result<Vec<u8>, Refusal> {
        let command = Command::Chlng(Chlng::new(chance));
        let bytes = self.handshake(ScsType::Scs11, &command)?;
        self.state = State::Challenged(Session::<Disconnected>::new(key.bytes()).challenge(chance));
        Ok(bytes)
    }

    /// The second step, after `CCRYPT` was heard.
    pub fn prove(&mut self) -> Result<Vec<u8>, Refusal> {
        let State::Answered(session) = &self.state else { return Err(Refusal::Over) };
        let command = Command::SCrypt(SCrypt::new(session.server_cryptogram()));
        self.handshake(ScsType::Scs13, &command)
    }

    fn handshake(&self, block: ScsType, command: &Command) -> Result<Vec<u8>, Refusal> {
        let data = command.encode_data().map_err(|_| Refusal::Unsendable("a command can't be written"))?;
        let packet = PacketBuilder {
            addr: self.device()?,
            ctrl: ControlByte::new(self.sequence, CtrlFlags::USE_CRC | CtrlFlags::HAS_SCB),
            scb: Some(Scb::new(block, [OWN_KEY])),
            code: command.code().as_byte(),
            data,
        };
        marked(packet.encode())
    }

    fn device(&self) -> Result<Address, Refusal> {
        Address::pd(self.address).map_err(|_| Refusal::Unsendable("it has no address"))
    }

    /// Judges a packet from the line.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        let Ok((packet, _)) = ParsedPacket::parse(bytes) else { return Heard::NotOurs };
        if !packet.addr.is_reply() || packet.addr.pd_addr() != self.address {
            return Heard::NotOurs;
        }
        let is_clear = packet.scb.is_none();
        if is_clear && packet.code == ReplyCode::Busy.as_byte() {
            return Heard::Busy;
        }
        // A device that has lost count says so under a number of its own.
        let is_lost = is_clear && packet.code == ReplyCode::Nak.as_byte();
        if packet.ctrl.sqn != self.sequence && !is_lost {
            return Heard::NotOurs;
        }
        match self.judge(&packet, bytes) {
            Ok(heard) => {
                self.sequence = self.sequence.next();
                heard
            }
            Err(refusal) => {
                self.state = State::Over;
                Heard::Refused(refusal)
            }
        }
    }

    fn judge(&mut self, packet: &ParsedPacket<'_>, bytes: &[u8]) -> Result<Heard, Refusal> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Clear => {
                self.state = State::Clear;
                if packet.scb.is_some() {
                    return Err(Refusal::Block);
                }
                // A NAK under another number answers nothing that was asked.
                if packet.ctrl.sqn != self.sequence {
                    return Err(refused(packet));
                }
                Ok(decoded(packet.code, packet.data))
            }
            State::Challenged(session) => {
                let (answered, reply) = answered(session, packet)?;
                self.state = State::Answered(answered);
                Ok(reply)
            }
            State::Answered(session) => {
                let (secure, reply) = confirmed(session, packet)?;
                self.state = State::Secure(secure);
                Ok(reply)
            }
            State::Secure(mut session) => {
                let data = unseal(&mut session, packet, bytes)?;
                self.state = State::Secure(session);
                Ok(decoded(packet.code, &data))
            }
            State::Over => Err(Refusal::Over),
        }
    }
}

fn marked(bytes: Result<Vec<u8>, osdp::Error>) -> Result<Vec<u8>, Refusal> {
    let mut bytes = bytes.map_err(|_| Refusal::Unsendable("a packet can't be written"))?;
    bytes.insert(0, MARK);
    Ok(bytes)
}

fn decoded(code: u8, data: &[u8]) -> Heard {
    let reply = ReplyCode::from_byte(code).and_then(|known| Reply::decode(known, data));
    reply.map_or(Heard::Unknown(code), Heard::Reply)
}

/// What a NAK in clear text says (OSDP 2.2 table 47).
fn refused(packet: &ParsedPacket<'_>) -> Refusal {
    Refusal::Refused(match packet.data {
        [1, ..] => "it heard a wrong CRC",
        [2, ..] => "it heard a command of a wrong length",
        [3, ..] => "it does not know the command",
        [4, ..] => "it expected another sequence number",
        [5, ..] => "it has no such secure channel, or no key yet",
        [6, ..] => "it wants a secure channel, or has lost the one there was",
        _ => "it gives no reason",
    })
}

/// Clear text where a block of the handshake should be.
fn no_block(packet: &ParsedPacket<'_>) -> Refusal {
    if packet.code == ReplyCode::Nak.as_byte() { refused(packet) } else { Refusal::ClearText }
}

type Step<T> = Result<(Session<T>, Heard), Refusal>;

fn answered(session: Session<Challenged>, packet: &ParsedPacket<'_>) -> Step<Cryptogrammed> {
    let Some(block) = packet.scb else { return Err(no_block(packet)) };
    if block.ty != ScsType::Scs12 || packet.code != ReplyCode::CCrypt.as_byte() {
        return Err(Refusal::Block);
    }
    if block.data == [0] {
        return Err(Refusal::DefaultKey);
    }
    let reply = CCrypt::decode(packet.data).map_err(|_| Refusal::Block)?;
    let session = session.receive_ccrypt(&reply).map_err(|_| Refusal::WrongKey)?;
    Ok((session, Heard::Reply(Reply::CCrypt(reply))))
}

fn confirmed(session: Session<Cryptogrammed>, packet: &ParsedPacket<'_>) -> Step<Secure> {
    let Some(block) = packet.scb else { return Err(no_block(packet)) };
    if block.ty != ScsType::Scs14 || packet.code != ReplyCode::RMacI.as_byte() {
        return Err(Refusal::Block);
    }
    let reply = RMacI::decode(packet.data).map_err(|_| Refusal::Block)?;
    let session = session.confirm_rmac_i(&reply.r_mac_i).map_err(|_| Refusal::WrongKey)?;
    Ok((session, Heard::Reply(Reply::RMacI(reply))))
}

/// The data of a packet whose MAC is right.
fn unseal(
    session: &mut Session<Secure>,
    packet: &ParsedPacket<'_>,
    bytes: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let Some(block) = packet.scb else { return Err(no_block(packet)) };
    let is_enciphered = match block.ty {
        ScsType::Scs16 => false,
        ScsType::Scs18 => true,
        // Ours among them, which somebody may play back to us.
        ScsType::Scs11
        | ScsType::Scs12
        | ScsType::Scs13
        | ScsType::Scs14
        | ScsType::Scs15
        | ScsType::Scs17 => return Err(Refusal::Block),
    };
    let vector = complement_icv(session.last_other_mac());
    let end = bytes.len().checked_sub(CRC_LEN + MAC_LEN);
    let covered = end.and_then(|end| bytes.get(..end)).ok_or(Refusal::Mac)?;
    let mac = packet.mac.ok_or(Refusal::Mac)?;
    session.verify(covered, &mac).map_err(|_| Refusal::Mac)?;
    // Without data there is nothing to encipher, but some say that they did.
    if is_enciphered && !packet.data.is_empty() {
        return decrypt_data(&session.keys().s_enc, &vector, packet.data).map_err(|_| Refusal::Cipher);
    }
    Ok(packet.data.to_vec())
}

#[cfg(test)]
mod tests;
