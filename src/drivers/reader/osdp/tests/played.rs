//! A line with played readers: what the driver says is heard by the test, packet by packet, which answers as it likes.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use osdp::packet::{ParsedPacket, crc16_le};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc::{self, Receiver},
    time::timeout,
};

use crate::{
    control::{Event, ReaderEvent},
    domain::{ReaderId, Uid},
    drivers::reader::{
        UidOrder,
        osdp::{Config, Handle, Peripheral, spawn_over},
    },
    wire::osdp::Framer,
};

pub const POLL: u8 = 0x60;
pub const ID: u8 = 0x61;
pub const CAP: u8 = 0x62;
pub const LSTAT: u8 = 0x64;
pub const LED: u8 = 0x69;
pub const BUZ: u8 = 0x6A;
pub const ACK: u8 = 0x40;
pub const NAK: u8 = 0x41;
pub const PDID: u8 = 0x45;
pub const PDCAP: u8 = 0x46;
pub const LSTATR: u8 = 0x48;
pub const RAW: u8 = 0x50;
pub const BUSY: u8 = 0x79;

pub const PDID_DATA: [u8; 12] = [0x00, 0x06, 0x8E, 3, 1, 0xEF, 0xBE, 0xAD, 0xDE, 2, 10, 7];
/// Light, buzzer, and a capability nobody has heard of.
pub const PDCAP_DATA: [u8; 9] = [4, 1, 1, 5, 1, 1, 200, 1, 1];

pub const SEVEN: [u8; 7] = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6];

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A command as it came over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub address: u8,
    pub sequence: u8,
    pub code: u8,
    pub data: Vec<u8>,
}

/// The readers' end of the line.
pub struct Played {
    pub line: DuplexStream,
    framer: Framer,
}

impl Played {
    /// The next packet of the driver's.
    pub async fn hear(&mut self) -> Said {
        let next = async {
            loop {
                if let Some(packet) = self.framer.packet() {
                    let (packet, _) = ParsedPacket::parse(&packet).unwrap();
                    assert!(packet.scb.is_none() && !packet.addr.is_reply());
                    let (address, sequence) = (packet.addr.pd_addr(), packet.ctrl.sqn.value());
                    return Said { address, sequence, code: packet.code, data: packet.data.to_vec() };
                }
                let mut chunk = [0; 64];
                let read = self.line.read(&mut chunk).await.unwrap();
                assert!(read > 0, "the driver has closed the line");
                self.framer.push(&chunk[..read]);
            }
        };
        timeout(ms(60_000), next).await.expect("the driver is silent")
    }

    pub async fn expect(&mut self, code: u8) -> Said {
        let said = self.hear().await;
        assert_eq!(said.code, code, "{said:02X?}");
        said
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).await.unwrap();
    }

    pub async fn answer(&mut self, to: &Said, code: u8, data: &[u8]) {
        self.say(&packet(to.address, to.sequence, code, data)).await;
    }

    /// Goes with the driver through a whole beginning.
    pub async fn begin(&mut self, status: [u8; 2]) {
        for (question, answer, data) in
            [(ID, PDID, &PDID_DATA[..]), (CAP, PDCAP, &PDCAP_DATA), (LSTAT, LSTATR, &status)]
        {
            let said = self.expect(question).await;
            self.answer(&said, answer, data).await;
        }
    }

    /// Is asked for cards, and has none.
    pub async fn nothing(&mut self) -> Said {
        let said = self.expect(POLL).await;
        self.answer(&said, ACK, &[]).await;
        said
    }

    /// Is asked for cards, and has one.
    pub async fn card(&mut self, uid: &[u8]) {
        let said = self.expect(POLL).await;
        self.answer(&said, RAW, &raw(8 * uid.len() as u16, uid)).await;
    }
}

pub fn raw(bits: u16, bytes: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &bits.to_le_bytes(), bytes].concat()
}

/// A reply in clear text.
pub fn packet(address: u8, sequence: u8, code: u8, data: &[u8]) -> Vec<u8> {
    let length = 5 + 1 + data.len() + 2;
    let mut bytes = vec![0x53, address | 0x80, length as u8, (length >> 8) as u8, sequence | 0x04, code];
    bytes.extend(data);
    bytes.extend(crc16_le(&bytes));
    bytes
}

/// The driver with its readers `r-0`, `r-1` …, at addresses 0, 1 ….
pub struct Site {
    pub events: Receiver<Event>,
    lines: Arc<Mutex<VecDeque<DuplexStream>>>,
    pub handles: Vec<Handle>,
}

impl Site {
    pub fn new(readers: u8) -> Self {
        Site::with((0..readers).map(|_| None).collect(), UidOrder::AsRead)
    }

    /// With a key file for each.
    pub fn with(key_files: Vec<Option<PathBuf>>, uid_order: UidOrder) -> Self {
        let (sender, events) = mpsc::channel(64);
        let reader = |(n, key_file)| Peripheral {
            reader: ReaderId::new(&format!("r-{n}")).unwrap(),
            address: n as u8,
            key_file,
            uid_order,
        };
        let peripherals = key_files.into_iter().enumerate().map(reader).collect();
        let config = Config { port: "/dev/ttyX".into(), baud: 115_200, peripherals };
        let lines = Arc::new(Mutex::new(VecDeque::<DuplexStream>::new()));
        let open = {
            let lines = lines.clone();
            move || {
                let line = lines.lock().unwrap().pop_front();
                line.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
            }
        };
        Site { events, lines, handles: spawn_over(config, sender, open) }
    }

    /// Plugs the line in.
    pub fn plug(&self) -> Played {
        let (ours, theirs) = duplex(4096);
        self.lines.lock().unwrap().push_back(theirs);
        Played { line: ours, framer: Framer::default() }
    }

    /// One reader in a conversation, with nothing to say.
    pub async fn connected() -> (Self, Played) {
        let mut site = Site::new(1);
        let mut reader = site.plug();
        reader.begin([0, 0]).await;
        assert!(matches!(site.next().await, ReaderEvent::Connected { .. }));
        reader.nothing().await;
        (site, reader)
    }

    pub async fn next_of(&mut self) -> (String, ReaderEvent) {
        let event = timeout(ms(60_000), self.events.recv()).await.expect("nothing happened").unwrap();
        let Event::Reader { reader, what } = event else { panic!("{event:?}") };
        (reader.to_string(), what)
    }

    pub async fn next(&mut self) -> ReaderEvent {
        self.next_of().await.1
    }

    pub async fn lost(&mut self) -> String {
        let event = self.next().await;
        let ReaderEvent::Lost { detail } = event else { panic!("{event:?}") };
        detail
    }

    #[track_caller]
    pub fn nothing_said(&mut self) {
        let said = self.events.try_recv();
        assert!(said.is_err(), "{said:?}");
    }
}

pub fn tap(uid: &[u8]) -> ReaderEvent {
    ReaderEvent::Tap(Uid::new(uid).unwrap())
}
