//! The driver against libosdp's peripheral, which is nobody's of us: in C, with its own codec and its own cryptography.
//! In real time, for libosdp reads the clock itself.

use std::{
    collections::VecDeque,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    thread::{Builder, JoinHandle, park_timeout},
    time::Duration,
};

use libosdp::{
    Channel, ChannelError, OsdpCommand, OsdpEvent, OsdpEventCardRead, OsdpFlag, OsdpLedColor,
    OsdpStatusReport, OsdpStatusReportType, PdCapEntity, PdCapability, PdId, PdInfoBuilder, PeripheralDevice,
};
use tempfile::TempDir;
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::timeout,
};

use super::played::{SEVEN, tap};
use crate::{
    control::{Event, Feedback, ReaderEvent},
    domain::ReaderId,
    drivers::{
        clock,
        reader::{
            UidOrder,
            line::Line,
            osdp::{Config, Handle, Peripheral, spawn_over},
        },
    },
};

const LIMIT: Duration = Duration::from_secs(20);
const KEYS: [[u8; 16]; 2] = [
    [0xA1, 0x02, 0x13, 0x24, 0x35, 0x46, 0x57, 0x68, 0x79, 0x8A, 0x9B, 0xAC, 0xBD, 0xCE, 0xDF, 0xE0],
    [0xB2, 0x12, 0x23, 0x34, 0x45, 0x56, 0x67, 0x78, 0x89, 0x9A, 0xAB, 0xBC, 0xCD, 0xDE, 0xEF, 0xF1],
];

impl Line for tokio::net::UnixStream {
    fn discard(self) {}
}

/// One device's end of the line.
struct End {
    inbox: Arc<Mutex<VecDeque<u8>>>,
    line: UnixStream,
    /// What it says is turned into this first.
    spoil: Arc<Mutex<Option<Spoil>>>,
}

#[derive(Clone, Copy)]
enum Spoil {
    /// Nothing reaches the line.
    Mute,
    /// A card in clear text, under the number that is due.
    ClearCard,
    /// A bit of the data turned, and the CRC made right.
    Forge,
}

impl Channel for End {
    fn get_id(&self) -> i32 {
        0
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ChannelError> {
        let mut inbox = self.inbox.lock().unwrap();
        let count = buffer.len().min(inbox.len());
        inbox.drain(..count).zip(buffer).for_each(|(byte, place)| *place = byte);
        if count == 0 { Err(ChannelError::WouldBlock) } else { Ok(count) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        let said = match *self.spoil.lock().unwrap() {
            None => bytes.to_vec(),
            Some(Spoil::Mute) => return Ok(bytes.len()),
            Some(Spoil::ClearCard) => {
                let start = usize::from(bytes[0] == 0xFF);
                let (address, control) = (bytes[start + 1] & 0x7F, bytes[start + 4]);
                super::played::packet(address, control & 3, 0x50, &super::played::raw(56, &SEVEN))
            }
            Some(Spoil::Forge) => {
                let mut forged = bytes.to_vec();
                let (start, end) = (usize::from(bytes[0] == 0xFF), forged.len() - 2);
                forged[end - 5] ^= 0x01;
                let crc = osdp::packet::crc16_le(&forged[start..end]);
                forged[end..].copy_from_slice(&crc);
                forged
            }
        };
        self.line.write_all(&said)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }
}

enum Order {
    Say(usize, OsdpEvent),
    /// Switched off and on, with this key.
    Restart(usize, Option<[u8; 16]>),
}

/// Some of libosdp's devices at addresses 1, 2 …, and the driver on the same line.
struct Bus {
    orders: mpsc::Sender<Order>,
    shown: Arc<Mutex<Vec<(usize, OsdpCommand)>>>,
    spoils: Vec<Arc<Mutex<Option<Spoil>>>>,
    thread: Option<JoinHandle<()>>,
    events: Receiver<Event>,
    handles: Vec<Handle>,
    _folder: TempDir,
}

struct Device {
    number: usize,
    inbox: Arc<Mutex<VecDeque<u8>>>,
    spoil: Arc<Mutex<Option<Spoil>>>,
    shown: Arc<Mutex<Vec<(usize, OsdpCommand)>>>,
    line: UnixStream,
    running: Option<PeripheralDevice>,
}

impl Device {
    fn start(&mut self, key: Option<[u8; 16]>) {
        self.running = None;
        self.inbox.lock().unwrap().clear();
        let end = End {
            inbox: self.inbox.clone(),
            line: self.line.try_clone().unwrap(),
            spoil: self.spoil.clone(),
        };
        let info = PdInfoBuilder::new()
            .address(1 + self.number as i32)
            .and_then(|info| info.baud_rate(115_200))
            .unwrap()
            .id(&PdId::from_number(7))
            .capability(PdCapability::CommunicationSecurity(PdCapEntity::new(1, 1)))
            .capability(PdCapability::LedControl(PdCapEntity::new(1, 1)))
            .capability(PdCapability::AudibleOutput(PdCapEntity::new(1, 1)));
        let info = match key {
            Some(key) => info.secure_channel_key(key).flag(OsdpFlag::EnforceSecure),
            None => info,
        };
        let mut device = PeripheralDevice::new(info, Box::new(end)).unwrap();
        let (number, shown) = (self.number, self.shown.clone());
        device.set_command_callback(move |command| {
            shown.lock().unwrap().push((number, command.clone()));
            0
        });
        self.running = Some(device);
    }
}

fn run(mut line: UnixStream, mut devices: Vec<Device>, orders: &mpsc::Receiver<Order>) {
    let mut chunk = [0; 512];
    loop {
        match line.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => {
                for device in &devices {
                    device.inbox.lock().unwrap().extend(&chunk[..read]);
                }
            }
            Err(_) => park_timeout(Duration::from_micros(500)),
        }
        loop {
            match orders.try_recv() {
                Ok(Order::Say(number, event)) => {
                    devices[number].running.as_mut().unwrap().notify_event(event).unwrap();
                }
                Ok(Order::Restart(number, key)) => devices[number].start(key),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
        for device in &mut devices {
            device.running.as_mut().unwrap().refresh();
        }
    }
}

impl Bus {
    /// Devices with these keys; the driver has [`KEYS`] for those that have one.
    fn start(keys: &[Option<[u8; 16]>]) -> Bus {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let spoils: Vec<Arc<Mutex<Option<Spoil>>>> = keys.iter().map(|_| Arc::default()).collect();
        let (orders, ordered) = mpsc::channel();
        let (own, keys_of) = (shown.clone(), keys.to_vec());
        let spoiled = spoils.clone();
        let body = move || {
            let device = |(number, key): (usize, &Option<[u8; 16]>)| {
                let mut device = Device {
                    number,
                    inbox: Arc::default(),
                    spoil: spoiled[number].clone(),
                    shown: own.clone(),
                    line: theirs.try_clone().unwrap(),
                    running: None,
                };
                device.start(*key);
                device
            };
            let devices = keys_of.iter().enumerate().map(device).collect();
            run(theirs, devices, &ordered);
        };
        let thread = Builder::new().name("libosdp".into()).spawn(body).unwrap();
        let peripheral = |(n, key): (usize, &Option<[u8; 16]>)| Peripheral {
            reader: ReaderId::new(&format!("r-{}", n + 1)).unwrap(),
            address: 1 + n as u8,
            key_file: key.map(|_| key_file(&folder, n)),
            uid_order: UidOrder::AsRead,
        };
        let peripherals = keys.iter().enumerate().map(peripheral).collect();
        let config = Config { port: "/dev/ttyX".into(), baud: 115_200, peripherals };
        let (sender, events) = channel(64);
        let mut line = Some(ours);
        let open = move || {
            let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
            Ok(tokio::net::UnixStream::from_std(line.take().ok_or_else(gone)?)?)
        };
        let handles = spawn_over(config, sender, open);
        Bus { orders, shown, spoils, thread: Some(thread), events, handles, _folder: folder }
    }

    /// One device with the key the driver has for it, in a secure conversation.
    async fn secure() -> Bus {
        let mut bus = Bus::start(&[Some(KEYS[0])]);
        let detail = bus.connected().await;
        assert!(detail.starts_with("OSDP address 1 on /dev/ttyX, secure channel: maker"), "{detail}");
        bus
    }

    async fn next(&mut self) -> (String, ReaderEvent) {
        let event = timeout(LIMIT, self.events.recv()).await.expect("nothing happened").unwrap();
        let Event::Reader { reader, what } = event else { panic!("{event:?}") };
        (reader.to_string(), what)
    }

    async fn connected(&mut self) -> String {
        let (_, event) = self.next().await;
        let ReaderEvent::Connected { detail } = event else { panic!("{event:?}") };
        detail
    }

    async fn lost(&mut self) -> String {
        let (_, event) = self.next().await;
        let ReaderEvent::Lost { detail } = event else { panic!("{event:?}") };
        detail
    }

    fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    fn card(&self, number: usize, uid: &[u8]) {
        self.order(Order::Say(number, OsdpEvent::CardRead(OsdpEventCardRead::new_raw(uid.to_vec()))));
    }

    /// Holds cards up until one is taken for a tap: those that are read before the conversation has begun are none.
    async fn tapped(&mut self, number: usize, uid: &[u8]) {
        loop {
            self.card(number, uid);
            match timeout(Duration::from_millis(500), self.events.recv()).await {
                Ok(Some(Event::Reader { what, .. })) if what == tap(uid) => return,
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
    }

    fn spoil(&self, number: usize, spoil: Option<Spoil>) {
        *self.spoils[number].lock().unwrap() = spoil;
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // The driver's end first: then the devices' thread reads the end of the line.
        self.handles.clear();
        let (orders, _) = mpsc::channel();
        drop(std::mem::replace(&mut self.orders, orders));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "libosdp's thread panicked");
        }
    }
}

fn key_file(folder: &TempDir, number: usize) -> PathBuf {
    let path = folder.path().join(format!("{number}.scbk"));
    fs::write(&path, data_encoding::HEXUPPER.encode(&KEYS[number])).unwrap();
    path
}

#[tokio::test]
async fn a_card_comes_through_the_secure_channel_whole_and_between_parity_bits() {
    let mut bus = Bus::secure().await;
    bus.tapped(0, &SEVEN).await;
    bus.tapped(0, &[1, 2, 3, 4]).await;
    // 0x00010000 between parity bits, by hand.
    let wiegand = OsdpEventCardRead::new_wiegand(34, vec![0x80, 0x00, 0x80, 0x00, 0x40]).unwrap();
    bus.order(Order::Say(0, OsdpEvent::CardRead(wiegand)));
    assert_eq!(bus.next().await.1, tap(&[0, 1, 0, 0]));
}

#[tokio::test]
async fn a_reader_without_a_key_reads_in_clear_text() {
    let mut bus = Bus::start(&[None]);
    let detail = bus.connected().await;
    assert!(detail.contains("clear text, insecure") && detail.contains("OSDP 2.2"), "{detail}");
    bus.tapped(0, &SEVEN).await;
}

#[tokio::test]
async fn a_wrong_key_is_said_and_nothing_is_taken() {
    let mut bus = Bus::start(&[Some(KEYS[1])]);
    let detail = bus.lost().await;
    assert_eq!(detail, "OSDP address 1 on /dev/ttyX: it has another key than the one in key_file");
    bus.card(0, &SEVEN);
    // Given the right one, it is taken up without a restart of ours.
    bus.order(Order::Restart(0, Some(KEYS[0])));
    assert!(bus.connected().await.contains("secure channel"));
    bus.tapped(0, &SEVEN).await;
}

#[tokio::test]
async fn a_reader_that_restarts_is_taken_up_within_seconds_and_is_not_called_lost() {
    let mut bus = Bus::secure().await;
    bus.tapped(0, &SEVEN).await;
    let began = clock::instant();
    bus.order(Order::Restart(0, Some(KEYS[0])));
    bus.tapped(0, &[1, 2, 3, 4]).await;
    assert!(clock::instant() - began < Duration::from_secs(5), "{:?}", clock::instant() - began);
}

#[tokio::test]
async fn a_mute_reader_is_lost_within_seconds_and_found_again() {
    let mut bus = Bus::secure().await;
    bus.spoil(0, Some(Spoil::Mute));
    let began = clock::instant();
    assert!(bus.lost().await.contains("no answer in time"));
    assert!(clock::instant() - began < Duration::from_secs(6), "{:?}", clock::instant() - began);
    bus.spoil(0, None);
    bus.connected().await;
    bus.tapped(0, &SEVEN).await;
}

#[tokio::test]
async fn clear_text_in_the_secure_channel_is_refused_and_all_begins_anew() {
    let mut bus = Bus::secure().await;
    bus.tapped(0, &[1, 2, 3, 4]).await;
    bus.spoil(0, Some(Spoil::ClearCard));
    let detail = bus.lost().await;
    assert!(!detail.contains("04A1"), "{detail}");
    assert!(bus.events.try_recv().is_err(), "a card in clear text was taken");
    bus.spoil(0, None);
    bus.connected().await;
    bus.tapped(0, &SEVEN).await;
}

#[tokio::test]
async fn an_answer_that_was_altered_is_not_believed() {
    let mut bus = Bus::secure().await;
    bus.tapped(0, &[1, 2, 3, 4]).await;
    bus.spoil(0, Some(Spoil::Forge));
    bus.card(0, &SEVEN);
    bus.lost().await;
    bus.spoil(0, None);
    bus.connected().await;
    bus.tapped(0, &SEVEN).await;
}

#[tokio::test]
async fn two_readers_with_keys_of_their_own_share_the_line() {
    let mut bus = Bus::start(&[Some(KEYS[0]), Some(KEYS[1])]);
    for _ in 0..2 {
        assert!(bus.connected().await.contains("secure channel"));
    }
    bus.tapped(0, &[1, 2, 3, 4]).await;
    bus.tapped(1, &SEVEN).await;
    bus.card(0, &[4, 3, 2, 1]);
    assert_eq!(bus.next().await, ("r-1".into(), tap(&[4, 3, 2, 1])));
    // One falls silent; the other goes on.
    bus.spoil(0, Some(Spoil::Mute));
    bus.tapped_beside_a_loss(1, &[9, 9, 9, 9]).await;
}

impl Bus {
    /// A tap at one while the other is lost.
    async fn tapped_beside_a_loss(&mut self, number: usize, uid: &[u8]) {
        let (mut taps, mut lost) = (0, false);
        while taps < 3 || !lost {
            self.card(number, uid);
            match timeout(Duration::from_millis(600), self.events.recv()).await {
                Ok(Some(Event::Reader { what, .. })) if what == tap(uid) => taps += 1,
                Ok(Some(Event::Reader { what: ReaderEvent::Lost { .. }, .. })) => lost = true,
                other => panic!("{other:?}"),
            }
            // Away for long enough to be a tap again.
            tokio::time::sleep(Duration::from_millis(450)).await;
        }
    }
}

#[tokio::test]
async fn tamper_is_said_and_light_and_sound_arrive() {
    let mut bus = Bus::secure().await;
    let mut report = [0; 64];
    report[0] = 1;
    let tampered = OsdpStatusReport { type_: OsdpStatusReportType::Local, nr_entries: 2, report };
    bus.order(Order::Say(0, OsdpEvent::Status(tampered)));
    let (_, event) = bus.next().await;
    assert!(matches!(event, ReaderEvent::Tamper { is_tampered: true, .. }), "{event:?}");
    bus.handles[0].feedback(Feedback::Granted);
    let arrived = |shown: &[(usize, OsdpCommand)]| {
        let green = shown.iter().any(|(_, command)| {
            matches!(command, OsdpCommand::Led(led) if led.temporary.on_color == OsdpLedColor::Green)
        });
        let beep = shown
            .iter()
            .any(|(_, command)| matches!(command, OsdpCommand::Buzzer(buzzer) if buzzer.rep_count == 1));
        green && beep
    };
    let waited = timeout(LIMIT, async {
        while !arrived(&bus.shown.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("no light and no sound arrived");
}
