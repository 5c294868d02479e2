//! What can be asked of a board, as the bytes of a request, and how its answer is held against it. Pure: it knows
//! neither lines nor time. The library's own comparison is a `debug_assert`, so that in a release build another
//! coil's late echo would pass for this one's; and it reads no echo of a timed pulse. So bytes are compared here.

use std::{fmt, ops::RangeInclusive};

use tokio_modbus::{ExceptionCode, FunctionCode, Response, bytes::Bytes};

/// Where a board has what: the addresses of its first coil, its first input and its first timed pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub coil_base: u16,
    pub input_base: u16,
    /// Function 05 to this plus the coil, with n × 100 ms, is a pulse. Boards without a timer have none.
    pub flash_base: Option<u16>,
}

/// One question. Coils and inputs are numbered from the board's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Function 02.
    Inputs { count: u8 },
    /// Function 01.
    Coils { first: u8, last: u8 },
    /// Function 05 with a time as its value, in units of 100 ms.
    Pulse { coil: u8, units: u16 },
    /// Function 05 for one coil, 15 for a run of them.
    Write { first: u8, last: u8, on: bool },
}

/// Why an answer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("the board refuses: {0}")]
    Refused(ExceptionCode),
    #[error("the answer is not one to this request")]
    Stray,
    #[error("what the board echoes is not what it was told")]
    Echo,
    #[error("{got} bits came where {expected} were due")]
    Length { expected: usize, got: usize },
}

/// Of an answer that is an exception.
pub const EXCEPTION: u8 = 0x80;
const ON: u16 = 0xFF00;
const OFF: u16 = 0x0000;

impl Ask {
    pub fn function(&self) -> u8 {
        let function = match self {
            Ask::Inputs { .. } => FunctionCode::ReadDiscreteInputs,
            Ask::Coils { .. } => FunctionCode::ReadCoils,
            Ask::Write { first, last, .. } if first != last => FunctionCode::WriteMultipleCoils,
            Ask::Pulse { .. } | Ask::Write { .. } => FunctionCode::WriteSingleCoil,
        };
        function.value()
    }

    /// The request without unit and framing.
    pub fn request(&self, layout: &Layout) -> Vec<u8> {
        let two = |address: u16, value: u16| {
            let ([a, b], [c, d]) = (address.to_be_bytes(), value.to_be_bytes());
            vec![self.function(), a, b, c, d]
        };
        let coil = |coil: u8| layout.coil_base.saturating_add(u16::from(coil));
        match *self {
            Ask::Inputs { count } => two(layout.input_base, u16::from(count)),
            Ask::Coils { first, last } => two(coil(first), count(first..=last)),
            Ask::Pulse { coil, units } => {
                two(layout.flash_base.unwrap_or_default().saturating_add(u16::from(coil)), units)
            }
            Ask::Write { first, last, on } if first == last => two(coil(first), if on { ON } else { OFF }),
            Ask::Write { first, last, on } => {
                let count = count(first..=last);
                let mut request = two(coil(first), count);
                let bytes = usize::from(count).div_ceil(8);
                request.push(u8::try_from(bytes).unwrap_or(u8::MAX));
                let bits = if on { u64::MAX >> 64_u16.saturating_sub(count) } else { 0 };
                request.extend(bits.to_le_bytes().into_iter().take(bytes));
                request
            }
        }
    }

    /// How many bits are asked for; none where something is told.
    fn bits(&self) -> usize {
        match *self {
            Ask::Inputs { count } => usize::from(count),
            Ask::Coils { first, last } => usize::from(count(first..=last)),
            Ask::Pulse { .. } | Ask::Write { .. } => 0,
        }
    }

    /// How long the answer is that does it, without unit and framing.
    pub fn answer_len(&self) -> usize {
        match self.bits() {
            0 => 5,
            bits => 2 + bits.div_ceil(8),
        }
    }

    /// What the answer says: the bits asked for, the first lowest, or nothing where something was told.
    pub fn answered(&self, request: &[u8], answer: &[u8]) -> Result<u64, Wrong> {
        match answer {
            [function, code] if *function == self.function() | EXCEPTION => {
                Err(Wrong::Refused(ExceptionCode::new(*code)))
            }
            [function, ..] if *function != self.function() => Err(Wrong::Stray),
            _ if self.bits() > 0 => self.read(answer),
            // Both kinds of writing are answered with the first five bytes of the request.
            _ if request.get(..5) == Some(answer) => Ok(0),
            _ => Err(Wrong::Echo),
        }
    }

    fn read(&self, answer: &[u8]) -> Result<u64, Wrong> {
        let wanted = self.bits();
        let expected = wanted.next_multiple_of(8);
        // The library indexes by the length the board claims: that is compared with what came first.
        match answer {
            [_, claimed, data @ ..] if usize::from(*claimed) == data.len() && data.len() * 8 == expected => {}
            [_, _, data @ ..] => return Err(Wrong::Length { expected, got: data.len() * 8 }),
            _ => return Err(Wrong::Length { expected, got: 0 }),
        }
        let (Ok(Response::ReadCoils(bits)) | Ok(Response::ReadDiscreteInputs(bits))) =
            Response::try_from(Bytes::copy_from_slice(answer))
        else {
            return Err(Wrong::Stray);
        };
        // Whole bytes come; what is beyond the count is padding.
        Ok(bits.iter().take(wanted).rev().fold(0, |all, &bit| all << 1 | u64::from(bit)))
    }
}

fn count(coils: RangeInclusive<u8>) -> u16 {
    u16::from(coils.end().saturating_sub(*coils.start())) + 1
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Ask::Inputs { count } => write!(f, "reading {count} inputs"),
            Ask::Coils { first, last } if first == last => write!(f, "reading coil {first}"),
            Ask::Coils { first, last } => write!(f, "reading coils {first} to {last}"),
            Ask::Pulse { coil, units } => {
                write!(f, "a pulse of {} ms on coil {coil}", u32::from(units) * 100)
            }
            Ask::Write { first, last, on } => {
                let on = if on { "on" } else { "off" };
                if first == last {
                    write!(f, "switching coil {first} {on}")
                } else {
                    write!(f, "switching coils {first} to {last} {on}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_modbus::Request;

    use super::*;

    const LAYOUT: Layout = Layout { coil_base: 0x10, input_base: 0x20, flash_base: Some(0x0200) };
    const INPUTS: Ask = Ask::Inputs { count: 12 };
    const SOME: Ask = Ask::Write { first: 1, last: 10, on: true };

    #[test]
    fn requests_are_what_the_library_reads_them_as() {
        let on = |n| vec![true; n].into();
        let cases = [
            (INPUTS, Request::ReadDiscreteInputs(0x20, 12)),
            (Ask::Coils { first: 3, last: 3 }, Request::ReadCoils(0x13, 1)),
            (Ask::Coils { first: 0, last: 63 }, Request::ReadCoils(0x10, 64)),
            (Ask::Write { first: 2, last: 2, on: true }, Request::WriteSingleCoil(0x12, true)),
            (Ask::Write { first: 2, last: 2, on: false }, Request::WriteSingleCoil(0x12, false)),
            (SOME, Request::WriteMultipleCoils(0x11, on(10))),
            (Ask::Write { first: 0, last: 63, on: true }, Request::WriteMultipleCoils(0x10, on(64))),
            (
                Ask::Write { first: 0, last: 7, on: false },
                Request::WriteMultipleCoils(0x10, vec![false; 8].into()),
            ),
        ];
        for (ask, request) in cases {
            assert_eq!(Request::try_from(Bytes::from(ask.request(&LAYOUT))).unwrap(), request, "{ask}");
        }
        // This one it can't read.
        assert_eq!(Ask::Pulse { coil: 3, units: 0x012D }.request(&LAYOUT), [0x05, 0x02, 0x03, 0x01, 0x2D]);
    }

    #[test]
    fn an_answer_is_taken_only_if_it_is_one_to_the_question() {
        let answered = |ask: Ask, answer: &[u8]| ask.answered(&ask.request(&LAYOUT), answer);
        assert_eq!(answered(INPUTS, &[0x02, 2, 0b1000_0001, 0xFF]), Ok(0b1111_1000_0001));
        assert_eq!(INPUTS.answer_len(), 4);
        for (answer, got) in
            [(&[0x02, 1, 1][..], 8), (&[0x02, 2, 1], 8), (&[0x02, 3, 1, 1, 1], 24), (&[0x02], 0)]
        {
            assert_eq!(answered(INPUTS, answer), Err(Wrong::Length { expected: 16, got }), "{answer:02X?}");
        }
        assert_eq!(answered(INPUTS, &[0x01, 2, 1, 1]), Err(Wrong::Stray));
        let refused = Wrong::Refused(ExceptionCode::IllegalDataAddress);
        assert_eq!(answered(INPUTS, &[0x82, 2]), Err(refused));
        assert_eq!(answered(SOME, &[0x0F, 0, 0x11, 0, 10]), Ok(0));
        assert_eq!(SOME.answer_len(), 5);
        for answer in [
            &[0x0F, 0, 0x11, 0, 9][..],
            &[0x0F, 0, 0x10, 0, 10],
            &[0x0F, 0, 0x11, 0],
            &[0x0F, 0, 0x11, 0, 10, 2],
        ] {
            assert_eq!(answered(SOME, answer), Err(Wrong::Echo), "{answer:02X?}");
        }
        assert_eq!(answered(SOME, &[0x05, 0, 0x11, 0, 10]), Err(Wrong::Stray));
        assert_eq!(answered(SOME, &[]), Err(Wrong::Echo));
    }
}
