//! A request and its answer as they go over a line: with the header of Modbus TCP, or with the checksum of Modbus RTU.
//! Pure: bytes in, bytes out.
//!
//! An answer on TCP carries the number of its request; one that was given up for is known by it and skipped. On RTU
//! it carries no number: who asks must see to it that no late one can be mistaken (`unit`). One of another unit is
//! skipped there too: it is late, and not ours.

use std::collections::VecDeque;

use super::ask::EXCEPTION;

/// Transaction (2), protocol (2), length (2), unit (1).
const HEADER: usize = 7;
/// Unit and PDU: 1 + 253 (MODBUS Messaging on TCP/IP 1.0b §4.1).
const LENGTH_MAX: usize = 254;
/// Requests given up for whose answers may still come. A board that owes more is cut off, and dialled anew.
const OWED_MAX: usize = 64;
/// Unit, function, code and checksum: the shortest frame there is on RTU.
const RTU_LEAST: usize = 5;

/// Why what came is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// Nothing after it on this connection can be trusted.
    Length,
    /// A frame, but none to what was asked.
    Stray,
    /// The checksum does not fit, or nobody sends such a frame.
    Damaged,
}

#[derive(Debug)]
pub enum Framing {
    Tcp { transaction: u16, owed: VecDeque<u16> },
    Rtu,
}

impl Framing {
    pub fn tcp() -> Self {
        Framing::Tcp { transaction: 0, owed: VecDeque::new() }
    }

    pub fn is_rtu(&self) -> bool {
        matches!(self, Framing::Rtu)
    }

    /// The next request as it goes over the line.
    pub fn wrap(&mut self, unit: u8, pdu: &[u8]) -> Vec<u8> {
        match self {
            Framing::Tcp { transaction, .. } => {
                *transaction = transaction.wrapping_add(1);
                let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
                let mut frame = Vec::with_capacity(HEADER + pdu.len());
                frame.extend(transaction.to_be_bytes());
                frame.extend([0, 0]);
                frame.extend(length.to_be_bytes());
                frame.push(unit);
                frame.extend(pdu);
                frame
            }
            Framing::Rtu => {
                let mut frame = Vec::with_capacity(pdu.len() + 3);
                frame.push(unit);
                frame.extend(pdu);
                frame.extend(checksum(&frame).to_le_bytes());
                frame
            }
        }
    }

    /// How many bytes an answer of so many has on the line.
    pub fn len_of(&self, pdu: usize) -> usize {
        match self {
            Framing::Tcp { .. } => HEADER + pdu,
            Framing::Rtu => pdu + 3,
        }
    }

    /// Nobody waits for the answer to the last request any more. False: too many are owed.
    pub fn give_up(&mut self) -> bool {
        match self {
            Framing::Tcp { transaction, owed } => {
                owed.push_back(*transaction);
                owed.len() <= OWED_MAX
            }
            Framing::Rtu => true,
        }
    }

    /// Takes the answer to the last request off what came; `None` until it is whole.
    pub fn take(&mut self, unit: u8, function: u8, came: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Torn> {
        loop {
            let taken = match self {
                Framing::Tcp { transaction, owed } => tcp(*transaction, owed, unit, came)?,
                Framing::Rtu => rtu(unit, function, came)?,
            };
            match taken {
                Taken::Skipped => {}
                Taken::Answer(pdu) => return Ok(Some(pdu)),
                Taken::NotYet => return Ok(None),
            }
        }
    }
}

enum Taken {
    Answer(Vec<u8>),
    Skipped,
    NotYet,
}

fn tcp(asked: u16, owed: &mut VecDeque<u16>, unit: u8, came: &mut Vec<u8>) -> Result<Taken, Torn> {
    let &[t1, t0, p1, p0, l1, l0, ..] = came.as_slice() else { return Ok(Taken::NotYet) };
    let length = usize::from(u16::from_be_bytes([l1, l0]));
    // Unit and function at least.
    if !(2..=LENGTH_MAX).contains(&length) {
        return Err(Torn::Length);
    }
    let end = HEADER - 1 + length;
    let Some(&[answering, ref pdu @ ..]) = came.get(HEADER - 1..end) else { return Ok(Taken::NotYet) };
    let pdu = pdu.to_vec();
    came.drain(..end);
    let transaction = u16::from_be_bytes([t1, t0]);
    if let Some(at) = owed.iter().position(|&late| late == transaction) {
        owed.remove(at);
        return Ok(Taken::Skipped);
    }
    if transaction != asked || [p1, p0] != [0, 0] || answering != unit {
        return Err(Torn::Stray);
    }
    Ok(Taken::Answer(pdu))
}

fn rtu(unit: u8, function: u8, came: &mut Vec<u8>) -> Result<Taken, Torn> {
    let &[answering, answered, ..] = came.as_slice() else { return Ok(Taken::NotYet) };
    let length = match answered {
        _ if answered & EXCEPTION != 0 => RTU_LEAST,
        0x01 | 0x02 => match came.get(2) {
            Some(&bytes) => RTU_LEAST + usize::from(bytes),
            None => return Ok(Taken::NotYet),
        },
        0x05 | 0x0F => 8,
        // Nobody was asked for anything else.
        _ => return Err(Torn::Damaged),
    };
    let Some(frame) = came.get(..length) else { return Ok(Taken::NotYet) };
    let (body, sum) = frame.split_at(length.saturating_sub(2));
    if checksum(body).to_le_bytes() != *sum {
        return Err(Torn::Damaged);
    }
    let pdu = body.get(1..).unwrap_or_default().to_vec();
    came.drain(..length);
    if answering != unit {
        return Ok(Taken::Skipped);
    }
    if answered & !EXCEPTION != function {
        return Err(Torn::Stray);
    }
    Ok(Taken::Answer(pdu))
}

/// CRC-16 of Modbus (MODBUS over Serial Line 1.02 §2.5.1.2), which goes low byte first.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's and Waveshare's pages.
    const COIL_0_ON: [u8; 8] = [0x01, 0x05, 0x00, 0x00, 0xFF, 0x00, 0x8C, 0x3A];

    fn framed(unit: u8, pdu: &[u8]) -> Vec<u8> {
        Framing::Rtu.wrap(unit, pdu)
    }

    #[test]
    fn a_request_on_rtu_ends_in_its_checksum_low_byte_first() {
        assert_eq!(framed(1, &[0x05, 0x00, 0x00, 0xFF, 0x00]), COIL_0_ON);
        assert_eq!(framed(1, &[0x05, 0x02, 0x00, 0x00, 0x07]), [1, 5, 2, 0, 0, 7, 0x8D, 0xB0]);
    }

    #[test]
    fn a_frame_on_rtu_is_taken_when_it_is_whole_however_it_is_cut() {
        let whole = [framed(1, &[0x02, 1, 0x05]), framed(1, &[0x85, 2])];
        for frame in &whole {
            let function = frame[1] & !EXCEPTION;
            for cut in 0..frame.len() {
                let mut came = frame[..cut].to_vec();
                assert_eq!(Framing::Rtu.take(1, function, &mut came), Ok(None), "{cut}");
                came.extend(&frame[cut..]);
                let pdu = frame[1..frame.len() - 2].to_vec();
                assert_eq!(Framing::Rtu.take(1, function, &mut came), Ok(Some(pdu)), "{cut}");
                assert!(came.is_empty());
            }
        }
    }

    #[test]
    fn every_single_wrong_bit_on_rtu_is_no_answer() {
        let frame = framed(1, &[0x02, 1, 0x05]);
        for bit in 0..frame.len() * 8 {
            let mut came = frame.clone();
            came[bit / 8] ^= 1 << (bit % 8);
            let taken = Framing::Rtu.take(1, 0x02, &mut came);
            assert!(matches!(taken, Ok(None) | Err(_)), "bit {bit}: {taken:?}");
        }
    }

    #[test]
    fn an_answer_of_another_unit_is_skipped_and_one_to_another_function_is_stray() {
        let mut came = [framed(7, &[0x01, 1, 0]), framed(9, &[0x82, 4]), framed(1, &[0x02, 1, 3])].concat();
        assert_eq!(Framing::Rtu.take(1, 0x02, &mut came), Ok(Some(vec![0x02, 1, 3])));
        let mut came = framed(1, &[0x01, 1, 0]);
        assert_eq!(Framing::Rtu.take(1, 0x02, &mut came), Err(Torn::Stray));
        let mut came = vec![1, 0x41, 0, 0, 0, 0, 0, 0];
        assert_eq!(Framing::Rtu.take(1, 0x02, &mut came), Err(Torn::Damaged));
    }

    #[test]
    fn on_tcp_only_the_answer_with_the_number_counts_and_those_given_up_for_are_skipped() {
        let mut framing = Framing::tcp();
        let ask = [0x02, 0, 0, 0, 5];
        assert_eq!(framing.wrap(3, &ask), [0, 1, 0, 0, 0, 6, 3, 0x02, 0, 0, 0, 5]);
        assert!(framing.give_up());
        framing.wrap(4, &ask);
        let late = [0, 1, 0, 0, 0, 4, 3, 0x02, 1, 9];
        let own = [0, 2, 0, 0, 0, 4, 4, 0x02, 1, 7];
        let mut came = [late, own].concat();
        assert_eq!(framing.take(4, 0x02, &mut came), Ok(Some(vec![0x02, 1, 7])));
        // It comes only once.
        let mut came = late.to_vec();
        assert_eq!(framing.take(4, 0x02, &mut came), Err(Torn::Stray));
        for wrong in [[0, 3, 0, 0, 0, 4, 4], [0, 2, 0, 1, 0, 4, 4], [0, 2, 0, 0, 0, 4, 3]] {
            let mut came = [&wrong[..], &[0x02, 1, 7]].concat();
            assert_eq!(framing.take(4, 0x02, &mut came), Err(Torn::Stray), "{wrong:?}");
        }
        for length in [[0, 0], [0, 1], [0, 255], [0x40, 0]] {
            let mut came = [&[0, 2, 0, 0][..], &length].concat();
            assert_eq!(framing.take(4, 0x02, &mut came), Err(Torn::Length), "{length:?}");
        }
    }

    #[test]
    fn who_owes_too_many_answers_is_cut_off() {
        let mut framing = Framing::tcp();
        let given_up = (0..=OWED_MAX).filter(|_| {
            framing.wrap(1, &[0x02, 0, 0, 0, 1]);
            framing.give_up()
        });
        assert_eq!(given_up.count(), OWED_MAX);
    }
}
