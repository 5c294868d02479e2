//! The floor: the least that anyone does who records a tap before the strike is driven, with the same bytes over the
//! same kinds of line, disk and connection. One thread, nothing but system calls.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use hardware_sim::{board::FLASH_ON_BASE, pn532::Pn532};

use super::daemon::STRIKE_UNITS;

/// Wakes the chip, then SAMConfiguration; the answer is an ACK and nine bytes.
const BEGIN: [u8; 16] = [0x55, 0x55, 0, 0, 0, 0, 0, 0xFF, 5, 0xFB, 0xD4, 0x14, 1, 0, 1, 0x16];
const BEGIN_ANSWER: usize = 15;
/// InListPassiveTarget; an ACK at once, and the card's frame when one comes.
const LOOK: [u8; 11] = [0, 0, 0xFF, 4, 0xFC, 0xD4, 0x4A, 1, 0, 0xE1, 0];
const ACK: usize = 6;
/// With a UID of 7 bytes and an ATS of 6.
const CARD: usize = 28;
const ECHO: usize = 12;

pub struct Floor {
    reader: Pn532,
    go_on: Sender<()>,
}

impl Floor {
    pub const COIL: u8 = 1;

    pub fn start(file: &Path, desk: &Path, board: SocketAddr, event_bytes: usize) -> Self {
        let reader = Pn532::start(&desk.join("floor-reader")).unwrap();
        let line = OpenOptions::new().read(true).write(true).open(reader.path()).unwrap();
        let file = File::create(file).unwrap();
        let socket = TcpStream::connect(board).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut event = vec![b'x'; event_bytes - 1];
        event.push(b'\n');
        let (go_on, told) = channel();
        let raw = move || serve(line, file, socket, &event, &told);
        thread::Builder::new().name("floor".into()).spawn(raw).unwrap();
        Floor { reader, go_on }
    }

    pub fn reader(&self) -> &Pn532 {
        &self.reader
    }

    /// The card has gone: look for the next one.
    pub fn look_again(&self) {
        self.go_on.send(()).unwrap();
    }
}

fn serve(mut line: File, mut file: File, mut socket: TcpStream, event: &[u8], told: &Receiver<()>) {
    let [base, coil] = (FLASH_ON_BASE + u16::from(Floor::COIL)).to_be_bytes();
    let pulse = [0, 1, 0, 0, 0, 6, 1, 5, base, coil, 0, STRIKE_UNITS];
    let (mut answer, mut card, mut echo) = ([0; BEGIN_ANSWER], [0; CARD], [0; ECHO]);
    line.write_all(&BEGIN).unwrap();
    line.read_exact(&mut answer).unwrap();
    loop {
        line.write_all(&LOOK).unwrap();
        line.read_exact(&mut answer[..ACK]).unwrap();
        // An error is a reader that was put away: the taps are over.
        if line.read_exact(&mut card).is_err() {
            return;
        }
        file.write_all(event).unwrap();
        file.sync_data().unwrap();
        socket.write_all(&pulse).unwrap();
        socket.read_exact(&mut echo).unwrap();
        if told.recv().is_err() {
            return;
        }
    }
}
