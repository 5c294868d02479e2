//! What comes from boards: Modbus answers over TCP and over a serial line, to questions of every kind.

use latchd::drivers::door::modbus::{
    ask::{Ask, Layout},
    frame::Framing,
};

use crate::script::{Script, turned};

const LAYOUT: Layout = Layout { coil_base: 0x10, input_base: 0x20, flash_base: Some(0x0200) };
/// The longest PDU (MODBUS Application Protocol 1.1b3 §4.1).
const PDU_MAX: usize = 253;
const STEPS: usize = 100;

pub fn modbus_tcp(bytes: &[u8]) {
    answers(bytes, Framing::tcp);
}

pub fn modbus_rtu(bytes: &[u8]) {
    answers(bytes, || Framing::Rtu);
}

fn ask(script: &mut Script<'_>) -> Ask {
    let (kind, first, more) = (script.byte() % 4, script.byte() % 64, script.byte());
    let last = first + more % (64 - first);
    match kind {
        0 => Ask::Inputs { count: 1 + more % 64 },
        1 => Ask::Coils { first, last },
        2 => Ask::Pulse { coil: first, units: u16::from(more) },
        _ => Ask::Write { first, last, on: script.byte().is_multiple_of(2) },
    }
}

/// How many bits are asked for.
fn bits(ask: &Ask) -> usize {
    match *ask {
        Ask::Inputs { count } => usize::from(count),
        Ask::Coils { first, last } => usize::from(last - first) + 1,
        Ask::Pulse { .. } | Ask::Write { .. } => 0,
    }
}

/// What a good board answers, and what that says.
fn good(ask: &Ask, request: &[u8], said: &[u8]) -> (Vec<u8>, u64) {
    let bits = bits(ask);
    if bits == 0 {
        return (request[..5].to_vec(), 0);
    }
    let mut data = said.to_vec();
    data.resize(bits.div_ceil(8), 0);
    let all = data.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let pdu = [&[ask.function(), data.len() as u8][..], &data].concat();
    (pdu, all & u64::MAX >> (64 - bits))
}

/// The CRC of Modbus RTU, by table-less division: not the daemon's own.
fn closed(mut frame: Vec<u8>) -> Vec<u8> {
    let mut crc = 0xFFFF_u16;
    for byte in &frame {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xA001 };
        }
    }
    frame.extend(crc.to_le_bytes());
    frame
}

fn framed(framing: &Framing, unit: u8, pdu: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Tcp { transaction, .. } => {
            let length = (pdu.len() + 1) as u16;
            [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[unit], pdu].concat()
        }
        Framing::Rtu => closed([&[unit], pdu].concat()),
    }
}

fn answers(bytes: &[u8], dialled: impl Fn() -> Framing) {
    let mut script = Script::new(bytes);
    let (mut framing, mut came, unit) = (dialled(), Vec::new(), script.byte());
    for _ in 0..STEPS {
        if script.is_over() {
            return;
        }
        let ask = ask(&mut script);
        let request = ask.request(&LAYOUT);
        framing.wrap(unit, &request);
        let is_clean = came.is_empty();
        let (answer, says) = good(&ask, &request, script.chunk());
        let answer = framed(&framing, unit, &answer);
        let kind = script.byte() % 5;
        match kind {
            0 => came.extend(&answer),
            1 => came.extend(turned(&answer, script.below(1 << 16))),
            2 => came.extend(script.chunk()),
            3 => came.extend(framed(&framing, unit, script.chunk())),
            _ => came.extend(answer.get(script.below(answer.len())..).unwrap_or_default()),
        }
        let at_once = framing.take(unit, ask.function(), &mut came);
        assert!(came.len() <= 3 * 300, "{} bytes are kept", came.len());
        match at_once {
            Ok(Some(pdu)) => {
                assert!(pdu.len() <= PDU_MAX + 2);
                let answered = ask.answered(&request, &pdu);
                if let Ok(read) = answered {
                    let bits = bits(&ask);
                    assert!(bits == 64 || read < 1 << bits, "bits that were not asked for");
                    assert!(bits > 0 || pdu == request[..5], "an echo of something else was taken");
                    assert_eq!(pdu.len(), ask.answer_len());
                }
                assert!(kind != 0 || !is_clean || answered == Ok(says), "a good answer was not taken");
            }
            Ok(None) => {
                assert!(kind != 0 || !is_clean, "a whole answer was waited for");
                if !framing.give_up() {
                    (framing, came) = (dialled(), Vec::new());
                }
            }
            // As the line does it: dialled anew, or silent until it is quiet.
            Err(_) => {
                assert!(kind != 0 || !is_clean, "a good answer is called torn");
                (framing, came) = (dialled(), Vec::new());
            }
        }
    }
}
