//! A board that notes when a pulse has come: a blocking thread for each connection, so that the instant is that of the
//! read which completed the frame, with nothing of ours between. (`hardware_sim::board` is a simulation for tests: it
//! runs its clients on one event loop, which a poll of the inputs may hold just then.)

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use hardware_sim::board::{
    FLASH_ON_BASE,
    frame::{Frame, Request, bits_pdu, echo_pdu},
};

use super::taps::now;

/// A pulse as it came.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub coil: u8,
    pub at: Instant,
}

#[derive(Debug)]
pub struct Board {
    address: SocketAddr,
    strikes: Receiver<Strike>,
}

impl Board {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (told, strikes) = channel();
        let accept = move || {
            for stream in listener.incoming() {
                let told = told.clone();
                let client = move || Client { stream: stream.unwrap(), told, ends: [None; 8] }.serve();
                thread::Builder::new().name("board-client".into()).spawn(client).unwrap();
            }
        };
        thread::Builder::new().name("board".into()).spawn(accept).unwrap();
        Board { address, strikes }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn next_strike(&self, within: Duration) -> Strike {
        self.strikes.recv_timeout(within).unwrap()
    }
}

struct Client {
    stream: TcpStream,
    told: Sender<Strike>,
    /// When each coil that was driven drops. Nobody drives another one's coil.
    ends: [Option<Instant>; 8],
}

impl Client {
    fn serve(mut self) {
        self.stream.set_nodelay(true).unwrap();
        let (mut buffer, mut chunk) = (Vec::with_capacity(1024), [0; 1024]);
        loop {
            // An end or an error is a daemon that was stopped.
            let Ok(read @ 1..) = self.stream.read(&mut chunk) else { return };
            let came = now();
            buffer.extend_from_slice(&chunk[..read]);
            while let Some(frame) = Frame::take(&mut buffer).unwrap() {
                let pdu = self.answer(&frame.pdu, came);
                if self.stream.write_all(&Frame { pdu, ..frame }.to_bytes()).is_err() {
                    return;
                }
            }
        }
    }

    fn answer(&mut self, pdu: &[u8], came: Instant) -> Vec<u8> {
        match Request::parse(pdu).unwrap() {
            Request::WriteCoil { address, value } => {
                let coil = address.checked_sub(FLASH_ON_BASE).unwrap();
                self.ends[usize::from(coil)] = Some(came + Duration::from_millis(100) * u32::from(value));
                // Nobody listens any more once the taps are over.
                let _over = self.told.send(Strike { coil: coil as u8, at: came });
                echo_pdu(pdu)
            }
            Request::ReadCoils { start, count } => {
                let on = |coil| self.ends[usize::from(coil)].is_some_and(|ends| ends > came);
                bits_pdu(pdu[0], &(start..start + count).map(on).collect::<Vec<_>>())
            }
            Request::ReadInputs { count, .. } => bits_pdu(pdu[0], &vec![true; usize::from(count)]),
            Request::WriteCoils { .. } => unreachable!("no one asks for it"),
        }
    }
}
