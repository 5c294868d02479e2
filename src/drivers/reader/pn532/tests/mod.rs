//! The driver against a chip played by bytes, over an in-memory line and a clock that stands still: every wait is
//! exact, and none takes time.

mod nonsense;
mod panics;

use std::{collections::VecDeque, io};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc::{self, Receiver},
    time::timeout,
};

use super::{codec::ACK, *};
use crate::{domain::Uid, drivers::reader::UidOrder};

const WAKE: &[u8] = &[
    0x55, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x00, 0xFF, 0x00, 0xFF,
    0x00, // and an ACK
];
const SAM: &[u8] = &[0, 0, 0xFF, 5, 0xFB, 0xD4, 0x14, 0x01, 0x14, 0x01, 0x02, 0];
const FIRMWARE: &[u8] = &[0, 0, 0xFF, 2, 0xFE, 0xD4, 0x02, 0x2A, 0];
const RETRIES: &[u8] = &[0, 0, 0xFF, 6, 0xFA, 0xD4, 0x32, 0x05, 0xFF, 0x01, 90, 0x9B, 0];
const LOOK: &[u8] = &[0, 0, 0xFF, 4, 0xFC, 0xD4, 0x4A, 0x01, 0x00, 0xE1, 0];
const RELEASE: &[u8] = &[0, 0, 0xFF, 3, 0xFD, 0xD4, 0x52, 0x00, 0xDA, 0];

const SEVEN: [u8; 7] = [0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The chip's end of the line.
struct Played {
    line: DuplexStream,
}

impl Played {
    async fn expect(&mut self, bytes: &[u8]) {
        let mut heard = vec![0; bytes.len()];
        timeout(ms(60_000), self.line.read_exact(&mut heard)).await.expect("the driver is silent").unwrap();
        assert_eq!(heard, bytes);
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).await.unwrap();
    }

    /// A frame with this after the `D5`.
    async fn answer(&mut self, data: &[u8]) {
        self.say(&frame(data)).await;
    }

    async fn begin(&mut self) {
        self.expect(WAKE).await;
        self.begin_awake().await;
    }

    async fn begin_awake(&mut self) {
        for (command, answer) in
            [(SAM, &[0x15][..]), (FIRMWARE, &[0x03, 0x32, 0x01, 0x06, 0x07]), (RETRIES, &[0x33])]
        {
            self.expect(command).await;
            self.say(&ACK).await;
            self.answer(answer).await;
        }
    }

    async fn be_looked_for(&mut self) {
        self.expect(LOOK).await;
        self.say(&ACK).await;
    }

    async fn nothing(&mut self) {
        self.be_looked_for().await;
        sleep(ms(1_000)).await;
        self.answer(&[0x4B, 0]).await;
    }

    async fn card(&mut self, uid: &[u8]) {
        self.answer(&card(uid)).await;
        self.expect(RELEASE).await;
        self.say(&ACK).await;
        self.answer(&[0x53, 0]).await;
    }
}

fn card(uid: &[u8]) -> Vec<u8> {
    let mut data = vec![0x4B, 1, 1, 0x00, 0x44, 0x20, uid.len() as u8];
    data.extend(uid);
    // An ATS, which some cards have.
    data.extend([0x05, 0x75, 0x77, 0x81, 0x02]);
    data
}

fn frame(data: &[u8]) -> Vec<u8> {
    let len = data.len() as u8 + 1;
    let sum = data.iter().fold(0xD5_u8, |sum, &byte| sum.wrapping_add(byte));
    let mut frame = vec![0, 0, 0xFF, len, len.wrapping_neg(), 0xD5];
    frame.extend(data);
    frame.extend([sum.wrapping_neg(), 0]);
    frame
}

struct Site {
    restarts: u32,
    events: Receiver<Event>,
    lines: std::sync::Arc<std::sync::Mutex<VecDeque<DuplexStream>>>,
    _task: Handle,
}

impl Site {
    fn new(uid_order: UidOrder) -> Self {
        let (sender, events) = mpsc::channel(64);
        let reader = ReaderId::new("r").unwrap();
        let config = Config { reader, port: "/dev/ttyX".into(), baud: 115_200, uid_order };
        let lines = std::sync::Arc::new(std::sync::Mutex::new(VecDeque::new()));
        let open = {
            let lines = lines.clone();
            move || {
                let line: Option<DuplexStream> = lines.lock().unwrap().pop_front();
                line.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
            }
        };
        let task = task::spawn(Driver::new(config, sender).run(open));
        Site { restarts: 0, events, lines, _task: Handle { task } }
    }

    /// Plugs the reader in.
    fn plug(&self) -> Played {
        let (ours, theirs) = duplex(4096);
        self.lines.lock().unwrap().push_back(theirs);
        Played { line: ours }
    }

    async fn connected() -> (Self, Played) {
        let mut site = Site::new(UidOrder::AsRead);
        let mut chip = site.plug();
        chip.begin().await;
        let detail = "PN532 firmware 1.6 on /dev/ttyX".to_owned();
        assert_eq!(site.next().await, ReaderEvent::Connected { detail });
        (site, chip)
    }

    /// What happens next; that it was started over is counted by [`Site::restarts`] alone.
    async fn next(&mut self) -> ReaderEvent {
        loop {
            let event = timeout(ms(60_000), self.events.recv()).await.expect("nothing happened").unwrap();
            let Event::Reader { what, .. } = event else { panic!("{event:?}") };
            if !matches!(what, ReaderEvent::Restarted { .. }) {
                return what;
            }
            self.restarts += 1;
        }
    }

    async fn lost(&mut self) -> String {
        let event = self.next().await;
        let ReaderEvent::Lost { detail } = event else { panic!("{event:?}") };
        detail
    }

    fn nothing_said(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let is_restart = matches!(event, Event::Reader { what: ReaderEvent::Restarted { .. }, .. });
            assert!(is_restart, "{event:?}");
            self.restarts += 1;
        }
    }
}

fn tap(uid: &[u8]) -> ReaderEvent {
    ReaderEvent::Tap(Uid::new(uid).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_card_held_up_is_a_tap_once_and_again_after_it_was_away() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    for _ in 0..5 {
        chip.be_looked_for().await;
        chip.card(&SEVEN).await;
    }
    assert_eq!(site.next().await, tap(&SEVEN));
    chip.nothing().await;
    site.nothing_said();
    chip.be_looked_for().await;
    chip.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn a_tap_is_said_before_the_card_is_released() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    chip.be_looked_for().await;
    chip.answer(&card(&SEVEN)).await;
    let asked = clock::instant();
    assert_eq!(site.next().await, tap(&SEVEN));
    assert_eq!(clock::instant() - asked, Duration::ZERO);
    chip.expect(RELEASE).await;
}

#[tokio::test(start_paused = true)]
async fn uids_of_4_7_and_10_bytes_are_read_and_turned_round_where_configured() {
    let mut site = Site::new(UidOrder::Reversed);
    let mut chip = site.plug();
    chip.begin().await;
    site.next().await;
    chip.nothing().await;
    for uid in [&[1, 2, 3, 4][..], &SEVEN, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
        chip.be_looked_for().await;
        chip.card(uid).await;
        let mut turned = uid.to_vec();
        turned.reverse();
        assert_eq!(site.next().await, tap(&turned));
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_that_lay_there_at_the_start_is_no_tap_and_one_that_comes_later_is() {
    let (mut site, mut chip) = Site::connected().await;
    chip.be_looked_for().await;
    chip.card(&SEVEN).await;
    chip.be_looked_for().await;
    chip.card(&SEVEN).await;
    site.nothing_said();
    chip.nothing().await;
    chip.be_looked_for().await;
    chip.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN));

    let (mut site, mut chip) = Site::connected().await;
    chip.be_looked_for().await;
    sleep(ms(101)).await;
    chip.card(&SEVEN).await;
    assert_eq!(site.next().await, tap(&SEVEN), "held up during the first look");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_uid_is_said_once_while_it_lies_there() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    for _ in 0..3 {
        chip.be_looked_for().await;
        chip.card(&[1, 2, 3]).await;
    }
    let detail = "a UID has 4 to 10 bytes, this one has 3".to_owned();
    assert_eq!(site.next().await, ReaderEvent::Unreadable { detail });
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn noise_and_split_frames_are_borne() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    chip.expect(LOOK).await;
    chip.say(&[0xFF, 0x00, 0x13, 0x00, 0xFF, 0x30]).await;
    for byte in ACK.into_iter().chain([0x77, 0x00]).chain(frame(&card(&SEVEN))) {
        chip.say(&[byte]).await;
        sleep(ms(1)).await;
    }
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_answer_is_asked_for_again() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    chip.be_looked_for().await;
    let whole = frame(&card(&SEVEN));
    let mut damaged = whole.clone();
    damaged[14] ^= 0x10;
    chip.say(&damaged).await;
    chip.expect(&codec::NACK).await;
    site.nothing_said();
    chip.say(&whole).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_command_and_an_echo_of_our_own_are_not_taken() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    chip.expect(LOOK).await;
    chip.say(LOOK).await;
    chip.say(&ACK).await;
    chip.answer(&[0x53, 0]).await;
    chip.answer(&card(&SEVEN)).await;
    assert_eq!(site.next().await, tap(&SEVEN));
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_was_reset_is_set_up_again_without_being_called_lost() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    chip.be_looked_for().await;
    // It has forgotten that it was to answer.
    chip.begin().await;
    chip.nothing().await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_is_silent_is_lost_in_bounded_time_and_tried_for_ever() {
    let (mut site, mut chip) = Site::connected().await;
    chip.nothing().await;
    chip.be_looked_for().await;
    let asked = clock::instant();
    let detail = site.lost().await;
    assert!(detail.starts_with("PN532 on /dev/ttyX: no answer to SamConfiguration in time"), "{detail}");
    assert!(clock::instant() - asked < ms(5_000), "{:?}", clock::instant() - asked);
    for _ in 0..20 {
        chip = site.plug();
        let mut wake = [0; WAKE.len()];
        timeout(ms(3_000), chip.line.read_exact(&mut wake)).await.expect("it gave up").unwrap();
        drop(chip);
    }
    sleep(ms(10)).await;
    site.nothing_said();
    assert_eq!(site.restarts, 21, "each time it was started over is counted");
    let mut chip = site.plug();
    chip.begin().await;
    assert!(matches!(site.next().await, ReaderEvent::Connected { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_cable_pulled_is_said_at_once_and_put_back_serves_within_half_a_second() {
    let (mut site, chip) = Site::connected().await;
    drop(chip);
    let detail = site.lost().await;
    assert!(detail.starts_with("PN532 on /dev/ttyX: the line"), "{detail}");
    sleep(ms(3_600_000)).await;
    site.nothing_said();
    let back = clock::instant();
    let mut chip = site.plug();
    chip.begin().await;
    assert!(clock::instant() - back <= ms(500));
    assert!(matches!(site.next().await, ReaderEvent::Connected { .. }));
    // The card that lies there was there before.
    chip.be_looked_for().await;
    chip.card(&SEVEN).await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_missing_at_the_start_is_said_once() {
    let mut site = Site::new(UidOrder::AsRead);
    let detail = site.lost().await;
    assert!(detail.starts_with("/dev/ttyX can't be opened"), "{detail}");
    sleep(ms(60_000)).await;
    site.nothing_said();
}

#[tokio::test(start_paused = true)]
async fn a_chip_asleep_is_woken_a_second_time() {
    let mut site = Site::new(UidOrder::AsRead);
    let mut chip = site.plug();
    chip.expect(WAKE).await;
    chip.expect(SAM).await;
    chip.begin().await;
    assert!(matches!(site.next().await, ReaderEvent::Connected { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_says_nothing_there_at_once_does_not_keep_us_busy() {
    let (_site, mut chip) = Site::connected().await;
    let began = clock::instant();
    for _ in 0..100 {
        chip.be_looked_for().await;
        chip.answer(&[0x4B, 0]).await;
    }
    assert!(clock::instant() - began >= ms(9_000));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_ends_the_task() {
    let (site, mut chip) = Site::connected().await;
    drop(site);
    chip.expect(LOOK).await;
    assert_eq!(chip.line.read(&mut [0]).await.unwrap(), 0, "the line is still open");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_falls_silent_is_lost_in_bounded_time() {
    // Noise, and a chip that goes on acknowledging.
    for babble in [&[0x13, 0x00, 0xFF, 0x77, 0x00][..], &ACK] {
        let (mut site, mut chip) = Site::connected().await;
        let asked = clock::instant();
        let (mut reads, mut writes) = tokio::io::split(chip.line);
        let deaf = async { while reads.read(&mut [0; 64]).await.unwrap_or(0) > 0 {} };
        let noisy = async {
            while writes.write_all(babble).await.is_ok() {
                sleep(ms(1)).await;
            }
        };
        let lost = timeout(ms(60_000), site.lost());
        let detail = tokio::select! {
            detail = lost => detail.expect("it listens for ever"),
            _ = async { tokio::join!(deaf, noisy) } => panic!("the line was closed"),
        };
        assert!(detail.contains("no answer to"), "{detail}");
        assert!(clock::instant() - asked < ms(6_000), "{:?}", clock::instant() - asked);
        chip = site.plug();
        drop(chip);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_comes_and_goes_fills_no_journal() {
    let (mut site, mut chip) = Site::connected().await;
    let mut came = 1;
    let began = clock::instant();
    while clock::instant() - began < ms(3_600_000) {
        drop(chip);
        site.lost().await;
        chip = site.plug();
        let mut wake = [0; WAKE.len()];
        chip.line.read_exact(&mut wake).await.unwrap();
        assert_eq!(wake, WAKE);
        chip.begin_awake().await;
        assert!(matches!(site.next().await, ReaderEvent::Connected { .. }));
        came += 1;
    }
    // Half a minute apart at most, a quarter at least: 120 to 240 times an hour, and a few at first.
    assert!((120..=260).contains(&came), "{came}");
    // Once it stays, the next cable that is pulled is put back in no time.
    for _ in 0..12 {
        chip.nothing().await;
    }
    drop(chip);
    site.lost().await;
    let back = clock::instant();
    site.plug().begin().await;
    assert!(clock::instant() - back <= ms(500), "{:?}", clock::instant() - back);
}
