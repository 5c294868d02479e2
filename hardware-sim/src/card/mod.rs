//! A contactless card in a virtual PC/SC reader: vpcd (the driver of vsmartcard) waits for a card on a TCP port, and
//! this is the card that comes. Behind it is the real pcscd, so a daemon can't tell.
//!
//! The line: each message is a length (2 bytes, big endian) and so many bytes. One byte is a control code without an
//! answer (0 power off, 1 power on, 2 reset) or the wish for the ATR (4); anything longer is an APDU.

mod apdu;
pub mod verb;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::uid::CardUid;
use crate::watched::Watched;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

#[derive(Debug, thiserror::Error)]
pub enum CardError {
    #[error("no virtual reader at {addr}; is pcscd running, with vsmartcard-vpcd on that port?")]
    NoReader { addr: SocketAddr, source: io::Error },
    #[error("cannot start the card's thread")]
    Thread(#[source] io::Error),
}

/// What has been done to the card.
#[derive(Debug, Default)]
struct State {
    powered: u64,
    uid_reads: u64,
    hung: bool,
    refusal: Option<[u8; 2]>,
    gone: bool,
}

/// A card in a reader. Dropped, it is taken out.
#[derive(Debug)]
pub struct Card {
    stream: TcpStream,
    state: Arc<Watched<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Card {
    /// Puts a card into the reader at `addr`; vpcd looks for one every 400 ms.
    pub fn insert(addr: SocketAddr, uid: CardUid) -> Result<Self, CardError> {
        let failed = |source| CardError::NoReader { addr, source };
        let stream = TcpStream::connect_timeout(&addr, CONNECT_LIMIT).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let line = stream.try_clone().map_err(failed)?;
        let state = Arc::new(Watched::new(State::default()));
        let served = Arc::clone(&state);
        let serve = move || {
            // The reader is gone or the card taken out: either way it is over.
            let _ = serve(line, &uid, &served);
            served.change(|state| state.gone = true);
        };
        let thread =
            std::thread::Builder::new().name("sim-card".into()).spawn(serve).map_err(CardError::Thread)?;
        Ok(Self { stream, state, thread: Some(thread) })
    }

    /// Takes the card out; the reader notices at its next look.
    pub fn remove(self) {
        drop(self);
    }

    /// Waits until the reader has powered the card: from then on applications see it.
    #[must_use]
    pub fn wait_until_powered(&self, limit: Duration) -> bool {
        self.state.wait(limit, |state| (state.powered > 0).then_some(())).is_some()
    }

    /// Waits until somebody has read the UID at least `times` times.
    #[must_use]
    pub fn wait_until_read(&self, times: u64, limit: Duration) -> bool {
        self.state.wait(limit, |state| (state.uid_reads >= times).then_some(())).is_some()
    }

    /// Waits until the reader has ended the connection: pcscd has gone.
    #[must_use]
    pub fn wait_until_thrown_out(&self, limit: Duration) -> bool {
        self.state.wait(limit, |state| state.gone.then_some(())).is_some()
    }

    /// Takes APDUs and never answers, as a card that is drawn away in the middle, until it is removed.
    pub fn hang(&self) {
        self.state.change(|state| state.hung = true);
    }

    /// Answers every APDU with this status (such as 63 00); `None` ends it.
    pub fn refuse_with(&self, status: Option<[u8; 2]>) {
        self.state.change(|state| state.refusal = status);
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut line: TcpStream, uid: &CardUid, state: &Watched<State>) -> io::Result<()> {
    loop {
        let message = read_message(&mut line)?;
        let answer = match message.as_slice() {
            [] | [POWER_OFF] => continue,
            [POWER_ON | RESET] => {
                state.change(|state| state.powered += 1);
                continue;
            }
            [GET_ATR] => apdu::ATR.to_vec(),
            apdu => {
                let (hung, refusal) = state.look(|state| (state.hung, state.refusal));
                if hung {
                    continue;
                }
                let (answer, uid_read) = match refusal {
                    Some(status) => (status.to_vec(), false),
                    None => apdu::answer(apdu, uid),
                };
                // Before the answer is out, so that whoever has it finds the count right.
                state.change(|state| state.uid_reads += u64::from(uid_read));
                answer
            }
        };
        write_message(&mut line, &answer)?;
    }
}

fn read_message(line: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    line.read_exact(&mut length)?;
    // vpcd sends with Nagle: its next write waits for this acknowledgement, which by itself comes 40 ms late.
    // The kernel forgets the option, so it is set each time.
    rustix::net::sockopt::set_tcp_quickack(&*line, true)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    line.read_exact(&mut message)?;
    rustix::net::sockopt::set_tcp_quickack(&*line, true)?;
    Ok(message)
}

fn write_message(line: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    line.write_all(&[&length.to_be_bytes()[..], message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn tell(reader: &mut TcpStream, message: &[u8]) {
        write_message(reader, message).unwrap();
    }

    fn ask(reader: &mut TcpStream, message: &[u8]) -> Vec<u8> {
        tell(reader, message);
        read_message(reader).unwrap()
    }

    #[test]
    fn a_card_gives_its_atr_and_its_uid_and_leaves() {
        let reader = TcpListener::bind("127.0.0.1:0").unwrap();
        let uid = CardUid::new(&[1, 2, 3, 4]).unwrap();
        let card = Card::insert(reader.local_addr().unwrap(), uid).unwrap();
        let (mut reader, _) = reader.accept().unwrap();
        tell(&mut reader, &[POWER_ON]);
        assert_eq!(ask(&mut reader, &[GET_ATR]), apdu::ATR);
        assert!(card.wait_until_powered(Duration::ZERO));
        assert_eq!(ask(&mut reader, &[0xFF, 0xCA, 0, 0, 0]), [1, 2, 3, 4, 0x90, 0]);
        assert!(card.wait_until_read(1, Duration::ZERO));
        card.refuse_with(Some([0x63, 0x00]));
        assert_eq!(ask(&mut reader, &[0xFF, 0xCA, 0, 0, 0]), [0x63, 0]);
        card.remove();
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn without_a_reader_there_is_no_card() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(
            Card::insert(free, CardUid::new(&[1, 2, 3, 4]).unwrap()),
            Err(CardError::NoReader { .. })
        ));
    }
}
