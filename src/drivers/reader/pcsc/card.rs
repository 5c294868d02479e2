//! Asking a contactless card for its UID through PC/SC, and what readers answer to that.
//!
//! GET DATA `FF CA 00 00 00` (PC/SC part 3, §3.2.2.1.3) is answered by the reader itself, not by the card. Readers
//! differ: some insist on the exact length (`6C xx`), some warn that there was less than asked for (`62 82`).

use pcsc::{Card, Context, Disposition, Protocols, ShareMode};
use std::ffi::CStr;

use crate::domain::{Uid, UidError};

const GET_UID: [u8; 5] = [0xFF, 0xCA, 0x00, 0x00, 0x00];
/// 256 bytes of data and the status.
const ANSWER_MAX: usize = 258;
/// A card at the edge of the field is reset now and then between connecting and asking.
const TRIES: u8 = 3;

/// Why something in the field could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    #[error("the card was taken away before it could be read")]
    TakenAway,
    #[error("the card does not answer the reader")]
    Mute,
    #[error("another program holds the reader for itself; stop that program")]
    Held,
    #[error("the reader does not tell the UID of this card (status {0:04X}); is it a contactless one?")]
    Refused(u16),
    #[error("the reader answered {0} bytes where a UID and a status of 2 bytes were expected")]
    Short(usize),
    #[error("what the card gave is no UID: {0}")]
    NotAUid(#[from] UidError),
    /// Not the card's fault: the reader or pcscd went away.
    #[error("the reader went away while a card was read: {0}")]
    Link(pcsc::Error),
}

impl From<pcsc::Error> for CardError {
    fn from(error: pcsc::Error) -> Self {
        use pcsc::Error as E;
        if matches!(error, E::NoSmartcard | E::RemovedCard | E::ResetCard) {
            CardError::TakenAway
        } else if matches!(
            error,
            E::UnresponsiveCard | E::UnpoweredCard | E::UnsupportedCard | E::ProtoMismatch
        ) {
            CardError::Mute
        } else if matches!(error, E::SharingViolation) {
            CardError::Held
        } else if matches!(error, E::NotTransacted | E::InsufficientBuffer | E::CommDataLost) {
            // The exchange between reader and card broke: pcscd reports it so, and goes on.
            CardError::TakenAway
        } else {
            CardError::Link(error)
        }
    }
}

/// Reads the UID of the card in this reader. The connection is left open for the caller to [`close`] once it has
/// acted on the answer: a door may wait.
pub fn read(context: &Context, name: &CStr) -> (Result<Uid, CardError>, Option<Card>) {
    let mut answer = Err(CardError::TakenAway);
    let mut open = None;
    for _ in 0..TRIES {
        close(open.take());
        answer = match context.connect(name, ShareMode::Shared, Protocols::T0 | Protocols::T1) {
            Ok(card) => ask(open.insert(card)),
            Err(error) => Err(error.into()),
        };
        if answer != Err(CardError::TakenAway) {
            break;
        }
    }
    (answer, open)
}

/// Leaves the card as it is: a reset would look like another arrival to whoever else listens.
pub fn close(card: Option<Card>) {
    // Where that fails the card or the link is gone already; dropping what is left tries once more.
    drop(card.map(|card| card.disconnect(Disposition::LeaveCard)));
}

fn ask(card: &Card) -> Result<Uid, CardError> {
    ask_by(|command, room| Ok(card.transmit(command, room)?.len()))
}

/// The exchange itself, over anything that carries a command and fills in the answer.
pub fn ask_by(
    mut transmit: impl FnMut(&[u8], &mut [u8]) -> Result<usize, CardError>,
) -> Result<Uid, CardError> {
    let mut room = [0; ANSWER_MAX];
    let mut command = GET_UID;
    let len = transmit(&command, &mut room)?;
    let (mut data, mut status) = split(room.get(..len).unwrap_or_default())?;
    if let [0x6C, exact] = status.to_be_bytes() {
        command = [0xFF, 0xCA, 0x00, 0x00, exact];
        let len = transmit(&command, &mut room)?;
        (data, status) = split(room.get(..len).unwrap_or_default())?;
    }
    match status {
        // 62 82: the end came before the length asked for. That is the whole UID.
        0x9000 | 0x6282 => Ok(Uid::new(data)?),
        // 63 00: no information; 6A 81: not supported; others alike.
        refused => Err(CardError::Refused(refused)),
    }
}

fn split(answer: &[u8]) -> Result<(&[u8], u16), CardError> {
    let (data, status) = answer.split_last_chunk::<2>().ok_or(CardError::Short(answer.len()))?;
    Ok((data, u16::from_be_bytes(*status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays the reader: each exchange is the command expected and the answer to it.
    fn ask(exchanges: &[(&[u8], &[u8])]) -> Result<Uid, CardError> {
        let mut left = exchanges.iter();
        let uid = ask_by(|command, room| {
            let (expected, answer) = left.next().expect("one question too many");
            assert_eq!(command, *expected);
            room[..answer.len()].copy_from_slice(answer);
            Ok(answer.len())
        });
        assert_eq!(left.len(), 0, "a question was not asked");
        uid
    }

    fn uid(text: &str) -> Result<Uid, CardError> {
        Ok(Uid::parse(text).unwrap())
    }

    #[test]
    fn a_uid_of_4_to_10_bytes_is_read() {
        assert_eq!(ask(&[(&GET_UID, &[1, 2, 3, 4, 0x90, 0])]), uid("01020304"));
        assert_eq!(ask(&[(&GET_UID, &[4, 2, 3, 4, 5, 6, 7, 0x90, 0])]), uid("04020304050607"));
        let ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x90, 0];
        assert_eq!(ask(&[(&GET_UID, &ten)]), uid("0102030405060708090A"));
    }

    #[test]
    fn another_length_is_no_uid() {
        for len in [0, 3, 11, 200] {
            let mut answer = vec![7; len];
            answer.extend([0x90, 0]);
            let refused = ask(&[(&GET_UID, &answer)]);
            assert_eq!(refused, Err(CardError::NotAUid(UidError::Length(len))));
        }
    }

    #[test]
    fn a_reader_that_insists_on_the_length_is_asked_with_it() {
        let again = [0xFF, 0xCA, 0, 0, 7];
        let answer = [4, 2, 3, 4, 5, 6, 7, 0x90, 0];
        assert_eq!(ask(&[(&GET_UID, &[0x6C, 7]), (&again, &answer)]), uid("04020304050607"));
        // Only once: a reader that always says so is refused.
        assert_eq!(ask(&[(&GET_UID, &[0x6C, 7]), (&again, &[0x6C, 7])]), Err(CardError::Refused(0x6C07)));
    }

    #[test]
    fn less_than_asked_for_is_the_whole_uid() {
        assert_eq!(ask(&[(&GET_UID, &[1, 2, 3, 4, 0x62, 0x82])]), uid("01020304"));
    }

    #[test]
    fn a_refusal_and_a_stump_are_said_as_such() {
        assert_eq!(ask(&[(&GET_UID, &[0x63, 0x00])]), Err(CardError::Refused(0x6300)));
        assert_eq!(ask(&[(&GET_UID, &[0x6A, 0x81])]), Err(CardError::Refused(0x6A81)));
        assert_eq!(ask(&[(&GET_UID, &[0x90])]), Err(CardError::Short(1)));
        assert_eq!(ask(&[(&GET_UID, &[])]), Err(CardError::Short(0)));
    }

    #[test]
    fn no_error_tells_bytes_of_the_card() {
        let error = ask(&[(&GET_UID, &[0xDE, 0xAD, 0xBE, 0x90, 0])]).unwrap_err().to_string();
        assert!(!error.to_uppercase().contains("DE"), "{error}");
    }
}
