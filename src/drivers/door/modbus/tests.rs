//! The driver against a board played by bytes, over in-memory connections and a clock that stands still.

use std::sync::Mutex;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc::Receiver,
    time::{sleep, timeout},
};

use super::*;
use crate::control::{BoardEvent, Inputs, Warrant};

mod host;
mod refused;
mod secure;
mod shared;

const UNIT: u8 = 1;
/// Of the test's configuration: 5 inputs, 4 coils, pulses at 0x0200.
const READ_INPUTS: [u8; 5] = [0x02, 0, 0, 0, 5];
const COIL_2: [u8; 5] = [0x01, 0, 2, 0, 1];
const ON: [u8; 3] = [0x01, 1, 1];
const OFF: [u8; 3] = [0x01, 1, 0];
/// Two seconds on coil 2.
const PULSE_2: [u8; 5] = [0x05, 0x02, 0x02, 0x00, 20];
const SWITCH_OFF_2: [u8; 5] = [0x05, 0x00, 0x02, 0x00, 0x00];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The board's end of one connection.
struct Played {
    line: DuplexStream,
    transaction: [u8; 2],
}

impl Played {
    async fn hear(&mut self) -> Vec<u8> {
        let mut frame = [0; 12];
        timeout(ms(60_000), self.line.read_exact(&mut frame)).await.expect("the driver is silent").unwrap();
        assert_eq!(frame[2..7], [0, 0, 0, 6, UNIT]);
        self.transaction = [frame[0], frame[1]];
        frame[7..].to_vec()
    }

    async fn expect(&mut self, request: &[u8]) {
        assert_eq!(self.hear().await, request);
    }

    async fn answer(&mut self, pdu: &[u8]) {
        let [a, b] = self.transaction;
        let mut frame = vec![a, b, 0, 0, 0, pdu.len() as u8 + 1, UNIT];
        frame.extend(pdu);
        self.line.write_all(&frame).await.unwrap();
    }

    async fn serve(&mut self, request: &[u8], answer: &[u8]) {
        self.expect(request).await;
        self.answer(answer).await;
    }

    /// Answers polls until something else is asked.
    async fn next_but_polls(&mut self, inputs: u8) -> Vec<u8> {
        loop {
            let heard = self.hear().await;
            if heard != READ_INPUTS {
                return heard;
            }
            self.answer(&[0x02, 1, inputs]).await;
        }
    }

    async fn pulse_2(&mut self) {
        assert_eq!(self.next_but_polls(0).await, PULSE_2);
        self.answer(&PULSE_2).await;
        self.serve(&COIL_2, &ON).await;
    }

    async fn is_closed(&mut self) -> bool {
        matches!(timeout(ms(10_000), self.line.read(&mut [0; 64])).await, Ok(Ok(0)))
    }
}

fn config(pulse: Pulse) -> Config {
    Config {
        board: BoardId::new("b").unwrap(),
        unit: UNIT,
        coil_base: 0,
        input_base: 0,
        pulse,
        write_many: true,
        timeout: ms(500),
        poll: ms(100),
        coils: 4,
        inputs: 5,
    }
}

struct Site {
    events: Receiver<Event>,
    lines: Arc<Mutex<VecDeque<DuplexStream>>>,
    handle: Handle,
}

impl Site {
    fn new() -> Self {
        Site::with(config(Pulse::Flash { base: 0x0200 }))
    }

    fn with(config: Config) -> Self {
        let (sender, events) = mpsc::channel(64);
        let address = Address::Tcp("10.0.0.20:502".into());
        let lines: Arc<Mutex<VecDeque<DuplexStream>>> = Arc::default();
        let dial = {
            let lines = lines.clone();
            move || {
                let line = lines.lock().unwrap().pop_front();
                async move { line.ok_or_else(|| io::ErrorKind::ConnectionRefused.into()) }
            }
        };
        let handle = spawn_over(address, vec![config], sender, at_once(), dial).remove(0);
        Site { events, lines, handle }
    }

    /// Lets the next attempt to connect succeed.
    fn listen(&self) -> Played {
        let (ours, theirs) = duplex(4096);
        self.lines.lock().unwrap().push_back(theirs);
        Played { line: ours, transaction: [0, 0] }
    }

    async fn connected() -> (Self, Played) {
        let mut site = Site::new();
        let board = site.connect(0b0_0001).await;
        (site, board)
    }

    /// Accepts the next connection, and sees that the inputs are the first thing asked.
    async fn connect(&mut self, inputs: u8) -> Played {
        let mut board = self.listen();
        board.serve(&READ_INPUTS, &[0x02, 1, inputs]).await;
        let detail = "Modbus TCP at 10.0.0.20:502, unit 1".to_owned();
        assert_eq!(self.next().await, BoardEvent::Connected { detail, inputs: Inputs(u64::from(inputs)) });
        board
    }

    fn pulse(&self, ticket: u64, coil: u8, hold_ms: u64) {
        let hold = ms(hold_ms);
        self.handle.command(BoardCommand::Pulse { ticket, coil, hold, warrant: Warrant::Rex }).unwrap();
    }

    async fn next(&mut self) -> BoardEvent {
        let event = timeout(ms(60_000), self.events.recv()).await.expect("nothing happened").unwrap();
        let Event::Board { what, .. } = event else { panic!("{event:?}") };
        what
    }

    /// The next that is no change of inputs.
    async fn outcome(&mut self) -> BoardEvent {
        loop {
            let event = self.next().await;
            if !matches!(event, BoardEvent::Inputs(_)) {
                return event;
            }
        }
    }

    async fn failed(&mut self, ticket: u64) -> String {
        let event = self.outcome().await;
        let BoardEvent::Failed { ticket: of, detail } = event else { panic!("{event:?}") };
        assert_eq!(of, ticket);
        detail
    }

    async fn lost(&mut self) -> String {
        let event = self.outcome().await;
        let BoardEvent::Lost { detail } = event else { panic!("{event:?}") };
        detail
    }
}

#[tokio::test(start_paused = true)]
async fn a_pulse_is_told_echoed_read_back_and_seen_to_end() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.expect(&[0x05, 0x02, 0x02, 0x00, 20]).await;
    board.answer(&[0x05, 0x02, 0x02, 0x00, 20]).await;
    board.serve(&COIL_2, &ON).await;
    let driven = clock::instant();
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    assert_eq!(board.next_but_polls(1).await, COIL_2);
    let looked = clock::instant() - driven;
    assert!((ms(2_200)..ms(2_210)).contains(&looked), "{looked:?}");
    board.answer(&OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 7, by_board: true });
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_rounded_up_and_told_big_endian() {
    let (site, mut board) = Site::connected().await;
    site.pulse(1, 3, 30_001);
    board.expect(&[0x05, 0x02, 0x03, 0x01, 0x2D]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pulse_the_board_does_not_end_is_ended_by_us_however_long_that_takes() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.pulse_2().await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    for _ in 0..2 {
        assert_eq!(board.next_but_polls(1).await, COIL_2);
        board.answer(&ON).await;
        board.serve(&SWITCH_OFF_2, &SWITCH_OFF_2).await;
        board.serve(&COIL_2, &ON).await;
    }
    assert_eq!(board.next_but_polls(1).await, COIL_2);
    board.answer(&ON).await;
    board.serve(&SWITCH_OFF_2, &SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 7, by_board: false });
}

#[tokio::test(start_paused = true)]
async fn a_second_pulse_on_a_coil_starts_its_time_anew_and_only_it_ends() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.pulse_2().await;
    let first = clock::instant();
    while clock::instant() - first < ms(1_000) {
        board.serve(&READ_INPUTS, &[0x02, 1, 1]).await;
    }
    site.pulse(8, 2, 2_000);
    board.pulse_2().await;
    let second = clock::instant();
    assert_eq!(board.next_but_polls(1).await, COIL_2);
    assert!(clock::instant() - second >= ms(2_200));
    board.answer(&OFF).await;
    assert_eq!(site.outcome().await, BoardEvent::Pulsed { ticket: 7 });
    assert_eq!(site.outcome().await, BoardEvent::Pulsed { ticket: 8 });
    assert_eq!(site.outcome().await, BoardEvent::Ended { ticket: 8, by_board: true });
}

#[tokio::test(start_paused = true)]
async fn any_other_echo_fails_the_command_and_ends_the_connection() {
    let another_transaction = |frame: &mut Vec<u8>| frame[1] ^= 1;
    let another_unit = |frame: &mut Vec<u8>| frame[6] = 9;
    let another_coil = |frame: &mut Vec<u8>| frame[9] = 3;
    let another_page = |frame: &mut Vec<u8>| frame[8] = 0;
    let another_time = |frame: &mut Vec<u8>| frame[11] = 21;
    let on_for_ever = |frame: &mut Vec<u8>| frame[10..12].copy_from_slice(&[0xFF, 0x00]);
    let another_function = |frame: &mut Vec<u8>| frame[7] = 6;
    let too_long = |frame: &mut Vec<u8>| {
        frame.push(0);
        frame[5] = 7;
    };
    let too_short = |frame: &mut Vec<u8>| {
        frame.pop();
        frame[5] = 5;
    };
    type Spoil = fn(&mut Vec<u8>);
    let spoilings: [(&str, Spoil, &str); 9] = [
        ("late answer of another transaction", another_transaction, "not one to this request"),
        ("unit", another_unit, "not one to this request"),
        ("function", another_function, "not one to this request"),
        ("coil", another_coil, "echoes is not what it was told"),
        ("page", another_page, "echoes is not what it was told"),
        ("time", another_time, "echoes is not what it was told"),
        ("on for ever", on_for_ever, "echoes is not what it was told"),
        ("too long", too_long, "echoes is not what it was told"),
        ("too short", too_short, "echoes is not what it was told"),
    ];
    for (name, spoil, why) in spoilings {
        let (mut site, mut board) = Site::connected().await;
        site.pulse(7, 2, 2_000);
        board.expect(&PULSE_2).await;
        let [a, b] = board.transaction;
        let mut frame = vec![a, b, 0, 0, 0, 6, UNIT];
        frame.extend(PULSE_2);
        spoil(&mut frame);
        board.line.write_all(&frame).await.unwrap();
        let detail = site.failed(7).await;
        assert!(detail.contains(why), "{name}: {detail}");
        assert!(detail.starts_with("a pulse of 2000 ms on coil 2: "), "{name}: {detail}");
        site.lost().await;
        assert!(board.is_closed().await, "{name}: still connected");
        // What may have been driven all the same is looked at as soon as it should be over.
        let mut board = site.connect(1).await;
        assert_eq!(board.next_but_polls(1).await, COIL_2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_without_the_coil_being_driven_is_a_failure() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.serve(&PULSE_2, &PULSE_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.failed(7).await, "the board echoed the pulse, but coil 2 does not read as driven");
    assert_eq!(board.next_but_polls(1).await, COIL_2);
}

#[tokio::test(start_paused = true)]
async fn an_exception_fails_the_command_and_keeps_the_connection() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.serve(&PULSE_2, &[0x85, 0x02]).await;
    let detail = site.failed(7).await;
    assert!(detail.starts_with("a pulse of 2000 ms on coil 2: the board refuses: "), "{detail}");
    board.serve(&READ_INPUTS, &[0x02, 1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_or_long_reading_of_inputs_is_not_taken() {
    for answer in [&[0x02, 0][..], &[0x02, 2, 1, 0], &[0x82, 0x02], &[0x01, 1, 1]] {
        let (mut site, mut board) = Site::connected().await;
        board.serve(&READ_INPUTS, answer).await;
        let detail = site.lost().await;
        assert!(detail.starts_with("board at 10.0.0.20:502: reading 5 inputs: "), "{detail}");
        assert!(board.is_closed().await);
        site.connect(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_inputs_is_said_once_with_its_padding_cut_off() {
    let (mut site, mut board) = Site::connected().await;
    for answer in [0b0_0001, 0b1_0001, 0b1_0001, 0b1111_0001, 0b0_0000] {
        board.serve(&READ_INPUTS, &[0x02, 1, answer]).await;
    }
    assert_eq!(site.next().await, BoardEvent::Inputs(Inputs(0b1_0001)));
    assert_eq!(site.next().await, BoardEvent::Inputs(Inputs(0)));
    assert!(site.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn silence_fails_the_command_in_time_and_ends_the_connection() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.expect(&PULSE_2).await;
    let asked = clock::instant();
    assert_eq!(site.failed(7).await, "a pulse of 2000 ms on coil 2: no answer within 500 ms");
    assert!(clock::instant() - asked <= ms(501));
    site.lost().await;
    assert!(board.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_board_that_accepts_and_never_answers_is_lost_and_said_once() {
    let mut site = Site::new();
    let detail = site.lost().await;
    assert!(detail.starts_with("board at 10.0.0.20:502: no connection: "), "{detail}");
    for _ in 0..30 {
        let mut board = site.listen();
        board.expect(&READ_INPUTS).await;
        assert!(board.is_closed().await);
    }
    assert!(site.events.try_recv().is_err());
    let mut board = site.connect(1).await;
    // And one that hangs later.
    board.expect(&READ_INPUTS).await;
    let detail = site.lost().await;
    assert_eq!(detail, "board at 10.0.0.20:502: reading 5 inputs: no answer within 500 ms");
}

#[tokio::test(start_paused = true)]
async fn it_reconnects_for_ever_and_within_two_seconds() {
    let (mut site, board) = Site::connected().await;
    drop(board);
    let detail = site.lost().await;
    assert!(detail.contains("the board closed the connection") || detail.contains("broken pipe"), "{detail}");
    sleep(ms(3_600_000)).await;
    assert!(site.events.try_recv().is_err());
    let back = clock::instant();
    site.connect(1).await;
    assert!(clock::instant() - back <= ms(2_000));
}

#[tokio::test(start_paused = true)]
async fn commands_while_the_link_is_down_fail_at_once_and_are_never_carried_out() {
    let mut site = Site::new();
    site.lost().await;
    let asked = clock::instant();
    site.pulse(1, 2, 2_000);
    assert_eq!(site.failed(1).await, "the board is not connected");
    assert_eq!(clock::instant() - asked, Duration::ZERO);
    // Nor while a connection is not one yet.
    let mut board = site.listen();
    board.expect(&READ_INPUTS).await;
    site.pulse(2, 2, 2_000);
    assert_eq!(site.failed(2).await, "the board is not connected");
    board.answer(&[0x02, 1, 0]).await;
    assert!(matches!(site.next().await, BoardEvent::Connected { .. }));
    for _ in 0..20 {
        board.serve(&READ_INPUTS, &[0x02, 1, 0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_when_the_link_goes_each_fail_before_it_is_called_lost() {
    let (mut site, mut board) = Site::connected().await;
    board.expect(&READ_INPUTS).await;
    (1..=3).for_each(|ticket| site.pulse(ticket, 2, 2_000));
    drop(board);
    for ticket in 1..=3 {
        assert_eq!(site.failed(ticket).await, "the board is not connected");
    }
    site.lost().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_goes_ahead_of_polls_and_waits_for_one_exchange_at_most() {
    let (mut site, mut board) = Site::connected().await;
    board.expect(&READ_INPUTS).await;
    // It comes while a poll is under way, and the answer is slow.
    site.pulse(7, 2, 2_000);
    sleep(ms(400)).await;
    board.answer(&[0x02, 1, 1]).await;
    board.serve(&PULSE_2, &PULSE_2).await;
    board.serve(&COIL_2, &ON).await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_coil_counts_as_the_one_exchange_a_command_waits_for() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.pulse_2().await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    assert_eq!(board.next_but_polls(0).await, COIL_2, "it looks whether the pulse has ended");
    // It comes while that is under way, and a poll is due by then.
    site.pulse(8, 2, 2_000);
    sleep(ms(400)).await;
    board.answer(&OFF).await;
    board.expect(&PULSE_2).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_run_of_commands_none_waits_for_more_than_one_poll_and_inputs_are_read_in_it() {
    let (site, mut board) = Site::connected().await;
    let asked = clock::instant();
    // The same coil: no two can go together.
    (1..=10).for_each(|ticket| site.pulse(ticket, 2, 2_000));
    let (mut polls, mut pulses) = (Vec::new(), 0);
    while pulses < 10 {
        let heard = board.hear().await;
        sleep(ms(20)).await;
        match heard[0] {
            0x02 => {
                polls.push(clock::instant() - asked);
                board.answer(&[0x02, 1, 1]).await;
            }
            0x05 => {
                pulses += 1;
                board.answer(&heard).await;
            }
            _ => board.answer(&ON).await,
        }
    }
    assert!(polls.len() == 1 && polls[0] < ms(200), "{polls:?}");
    board.expect(&COIL_2).await;
    board.answer(&ON).await;
    board.expect(&READ_INPUTS).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waited_too_long_fails_instead_of_moving_a_strike() {
    let (mut site, mut board) = Site::connected().await;
    (1..=4).for_each(|ticket| site.pulse(ticket, 2, 2_000));
    for ticket in 1..=2 {
        board.expect(&PULSE_2).await;
        sleep(ms(490)).await;
        board.answer(&PULSE_2).await;
        board.expect(&COIL_2).await;
        sleep(ms(20)).await;
        board.answer(&ON).await;
        assert_eq!(site.outcome().await, BoardEvent::Pulsed { ticket });
        if ticket == 1 {
            board.serve(&READ_INPUTS, &[0x02, 1, 1]).await;
        }
    }
    board.serve(&READ_INPUTS, &[0x02, 1, 1]).await;
    for ticket in 3..=4 {
        assert_eq!(site.failed(ticket).await, "it waited longer than 1000 ms behind other commands");
    }
}
