//! Several boards on a line: on RTU, with what its bytes take, and on TCP.

use super::*;

/// What a byte takes at 9600 baud.
const BYTE: Duration = Duration::from_nanos(1_041_667);
/// Until a board begins to answer.
const TURNAROUND: Duration = Duration::from_millis(4);
const SERIAL: &str = "/dev/ttyUSB0";

/// A line with several boards, by the numbers of their units from 1 on.
struct Bus {
    events: Receiver<Event>,
    handles: Vec<Handle>,
    dialled: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Bus {
    fn new(address: Address, boards: u8, timeout_ms: u64) -> Self {
        let (sender, events) = mpsc::channel(1024);
        let board = |unit: u8| Config {
            board: BoardId::new(&format!("b-{unit}")).unwrap(),
            unit,
            timeout: ms(timeout_ms),
            ..config(Pulse::Flash { base: 0x0200 })
        };
        let (lines, dialled) = mpsc::unbounded_channel();
        let dial = move || {
            let (ours, theirs) = duplex(4096);
            lines.send(ours).unwrap();
            async move { Ok(theirs) }
        };
        let handles = spawn_over(address, (1..=boards).map(board).collect(), sender, at_once(), dial);
        Bus { events, handles, dialled }
    }

    fn serial(boards: u8) -> Self {
        let serial = Serial { path: SERIAL.into(), baud: 9600, parity: Parity::None, stop_bits: 1 };
        Bus::new(Address::Serial(serial), boards, 75)
    }

    async fn dialled(&mut self) -> DuplexStream {
        timeout(ms(60_000), self.dialled.recv()).await.expect("nobody dials").unwrap()
    }

    async fn next(&mut self) -> (String, BoardEvent) {
        let event = timeout(ms(60_000), self.events.recv()).await.expect("nothing happened").unwrap();
        let Event::Board { board, what } = event else { panic!("{event:?}") };
        (board.to_string(), what)
    }

    /// The next that is no change of inputs.
    async fn outcome(&mut self) -> (String, BoardEvent) {
        loop {
            let (board, event) = self.next().await;
            if !matches!(event, BoardEvent::Inputs(_)) {
                return (board, event);
            }
        }
    }

    async fn connected(&mut self, boards: u8) {
        for _ in 0..boards {
            let (_, event) = self.outcome().await;
            assert!(matches!(event, BoardEvent::Connected { .. }), "{event:?}");
        }
    }

    fn pulse(&self, unit: usize, ticket: u64) {
        let command = BoardCommand::Pulse { ticket, coil: 2, hold: ms(2_000), warrant: Warrant::Rex };
        self.handles[unit - 1].command(command).unwrap();
    }
}

/// What the boards on a serial line do; by unit, from 1 on.
#[derive(Debug, Clone, Default)]
struct Doing {
    /// Do not answer.
    mute: Vec<u8>,
    /// Answer so much later.
    late: Vec<(u8, Duration)>,
    /// The answers of these two are exchanged.
    swapped: Option<(u8, u8)>,
    /// The next answer of this one has a wrong bit.
    damaged: Option<u8>,
    inputs: [u8; 16],
    /// What was asked: when its last byte was in, and its bytes without checksum.
    heard: Vec<(tokio::time::Instant, Vec<u8>)>,
}

type Shared = Arc<Mutex<Doing>>;

fn framed(frame: &[u8]) -> Vec<u8> {
    let mut framing = Framing::Rtu;
    framing.wrap(frame[0], &frame[1..])
}

/// Boards on a serial line: each byte takes its time, on the way in and out. A late one keeps no other waiting.
async fn boards(line: DuplexStream, doing: Shared) {
    let (mut line, answers) = tokio::io::split(line);
    let answers = Arc::new(tokio::sync::Mutex::new(answers));
    let mut driven = [0_u8; 16];
    loop {
        let mut request = [0; 8];
        if line.read_exact(&mut request).await.is_err() {
            return;
        }
        sleep(BYTE * 8).await;
        assert_eq!(framed(&request[..6]), request, "a checksum is wrong");
        let mut doing = doing.lock().unwrap();
        doing.heard.push((clock::instant(), request[..6].to_vec()));
        let unit = request[0];
        if doing.mute.contains(&unit) {
            continue;
        }
        let answer = doing.answer(&request, &mut driven[usize::from(unit)]);
        let late = doing.late.iter().find(|(late, _)| *late == unit);
        let wait = TURNAROUND + late.map_or(Duration::ZERO, |(_, by)| *by);
        let answers = answers.clone();
        task::spawn(async move {
            sleep(wait).await;
            let mut line = answers.lock().await;
            for byte in answer {
                sleep(BYTE).await;
                // An end is a driver that has gone.
                let _gone = line.write_all(&[byte]).await;
            }
        });
    }
}

impl Doing {
    fn answer(&mut self, request: &[u8; 8], driven: &mut u8) -> Vec<u8> {
        let [unit, function, high, low, ..] = *request;
        let answer = match function {
            0x02 => vec![unit, function, 1, self.inputs[usize::from(unit)]],
            0x01 => vec![unit, function, 1, *driven >> low & 1],
            _ => {
                let bit = 1 << low;
                *driven = if high == 2 { *driven | bit } else { *driven & !bit };
                request[..6].to_vec()
            }
        };
        let answering = match self.swapped {
            Some((one, other)) if unit == one => other,
            Some((one, other)) if unit == other => one,
            _ => unit,
        };
        let mut answer = framed(&[&[answering], &answer[1..]].concat());
        if self.damaged.take_if(|damaged| *damaged == unit).is_some() {
            answer[2] ^= 0x10;
        }
        answer
    }
}

async fn serial(count: u8, doing: Doing) -> (Bus, Shared) {
    let mut bus = Bus::serial(count);
    let shared = Arc::new(Mutex::new(doing));
    task::spawn(boards(bus.dialled().await, shared.clone()));
    (bus, shared)
}

#[tokio::test(start_paused = true)]
async fn with_12_boards_at_9600_baud_every_change_is_seen_within_400_ms() {
    let (mut bus, doing) = serial(12, Doing::default()).await;
    bus.connected(12).await;
    let mut worst = Duration::ZERO;
    for n in 0..240_u32 {
        let unit = usize::try_from(n).unwrap() % 12 + 1;
        // At another place in the round each time.
        sleep(ms(400) + Duration::from_micros(1_700) * (n * 7 % 191)).await;
        let changed = clock::instant();
        doing.lock().unwrap().inputs[unit] ^= 1;
        let (board, event) = bus.next().await;
        assert!(matches!(event, BoardEvent::Inputs(_)), "{event:?}");
        assert_eq!(board, format!("b-{unit}"));
        worst = worst.max(clock::instant() - changed);
    }
    assert!((ms(250)..ms(400)).contains(&worst), "{worst:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mute_board_among_12_lets_the_others_changes_be_seen_within_400_ms() {
    let (mut bus, doing) = serial(12, Doing::default()).await;
    bus.connected(12).await;
    let mut worst = Duration::ZERO;
    for n in 0..240_u32 {
        let unit = usize::try_from(n).unwrap() % 11 + 1;
        sleep(ms(400) + Duration::from_micros(1_700) * (n * 7 % 191)).await;
        let changed = clock::instant();
        {
            let mut doing = doing.lock().unwrap();
            doing.inputs[unit] ^= 1;
            // Just now, too: its first time-out is the longest.
            doing.mute = if n % 40 < 30 { vec![12] } else { vec![] };
        }
        loop {
            let (board, event) = bus.next().await;
            if matches!(event, BoardEvent::Inputs(_)) {
                assert_eq!(board, format!("b-{unit}"));
                break;
            }
            assert_eq!(board, "b-12", "{event:?}");
        }
        worst = worst.max(clock::instant() - changed);
    }
    assert!((ms(250)..ms(400)).contains(&worst), "{worst:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mute_board_is_lost_alone_asked_less_and_less_often_and_found_again() {
    let (mut bus, doing) = serial(3, Doing::default()).await;
    bus.connected(3).await;
    doing.lock().unwrap().mute = vec![2];
    let (board, event) = bus.outcome().await;
    let BoardEvent::Lost { detail } = event else { panic!("{event:?}") };
    assert_eq!((board.as_str(), detail.contains("no answer within")), ("b-2", true), "{detail}");
    sleep(ms(20_000)).await;
    let before = doing.lock().unwrap().heard.len();
    sleep(ms(10_000)).await;
    let heard = doing.lock().unwrap().heard[before..].to_vec();
    let asked: Vec<_> = heard.iter().filter(|(_, ask)| ask[0] == 2).collect();
    assert!((4..=11).contains(&asked.len()), "asked {} times in 10 s", asked.len());
    // No late answer could be taken for one to the next question.
    assert!(asked.windows(2).all(|two| two[0].1[1] != two[1].1[1]), "{asked:02X?}");
    assert!(asked.windows(2).all(|two| two[1].0 - two[0].0 >= ms(1_000)), "{asked:02X?}");
    assert!(bus.events.try_recv().is_err(), "nobody else is lost, and it is said once");
    doing.lock().unwrap().mute.clear();
    let (board, event) = bus.outcome().await;
    assert!(matches!(event, BoardEvent::Connected { .. }), "{event:?}");
    assert_eq!(board, "b-2");
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_one_exchange_of_others_polls_at_most() {
    let (mut bus, doing) = serial(12, Doing::default()).await;
    bus.connected(12).await;
    for ticket in 0..50 {
        sleep(Duration::from_micros(2_000_000 + 777 * ticket)).await;
        let (before, asked) = (doing.lock().unwrap().heard.len(), clock::instant());
        bus.pulse(5, ticket);
        assert_eq!(bus.outcome().await.1, BoardEvent::Pulsed { ticket });
        let heard = doing.lock().unwrap().heard[before..].to_vec();
        let at = heard.iter().position(|(_, ask)| ask[1] == 0x05).unwrap();
        // The poll whose bytes were under way, if they were.
        assert!(at <= 1, "{heard:02X?}");
        assert!(heard[at].0 - asked <= ms(50), "{:?}", heard[at].0 - asked);
        assert_eq!(heard[at].1, [5, 0x05, 0x02, 0x02, 0, 20]);
        // This board never ends a pulse by itself.
        assert_eq!(bus.outcome().await.1, BoardEvent::Ended { ticket, by_board: false });
    }
}

#[tokio::test(start_paused = true)]
async fn swapped_answers_are_nobodys_and_a_late_one_is_never_taken_for_another() {
    let (mut bus, doing) = serial(3, Doing { swapped: Some((1, 2)), ..Doing::default() }).await;
    // Neither is ever up, and the third is.
    let (board, event) = bus.outcome().await;
    let BoardEvent::Lost { detail } = event else { panic!("{event:?}") };
    assert_eq!(board, "b-1", "{detail}");
    assert_eq!(bus.outcome().await.0, "b-2");
    let (board, event) = bus.outcome().await;
    assert!(board == "b-3" && matches!(event, BoardEvent::Connected { .. }), "{event:?}");
    bus.pulse(1, 7);
    let (_, event) = bus.outcome().await;
    assert_eq!(event, BoardEvent::Failed { ticket: 7, detail: "the board is not connected".into() });
    sleep(ms(10_000)).await;
    assert!(bus.events.try_recv().is_err());
    doing.lock().unwrap().swapped = None;
    bus.connected(2).await;
}

/// A board that is late by the same each time is never up: its answers come while nobody asks, or to other questions.
#[tokio::test(start_paused = true)]
async fn the_inputs_of_a_board_that_is_always_late_are_not_believed_and_it_is_found_when_it_is_in_time() {
    for late_ms in [80, 110, 150, 200, 260, 300, 320, 340, 400, 450, 700, 1_050] {
        let late = Doing { late: vec![(2, ms(late_ms))], ..Doing::default() };
        let (mut bus, doing) = serial(3, late).await;
        for _ in 0..3 {
            let (board, event) = bus.outcome().await;
            assert_eq!(
                matches!(event, BoardEvent::Lost { .. }),
                board == "b-2",
                "{late_ms} {board}: {event:?}"
            );
        }
        // Each answer says what was read when it was asked for: a stale one would show itself as a change.
        for n in 0..200_u8 {
            sleep(ms(200)).await;
            doing.lock().unwrap().inputs[2] = n & 0x1F;
        }
        while let Ok(event) = bus.events.try_recv() {
            let Event::Board { board, what } = event else { continue };
            assert!(board.as_str() != "b-2", "{late_ms}: {what:?}");
        }
        {
            let mut doing = doing.lock().unwrap();
            doing.late.clear();
            doing.inputs[2] = 0b1_0101;
        }
        loop {
            let (board, event) = bus.outcome().await;
            if board != "b-2" {
                continue;
            }
            let BoardEvent::Connected { inputs, .. } = event else { panic!("{late_ms}: {event:?}") };
            assert_eq!(inputs, Inputs(0b1_0101), "{late_ms}");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_answer_is_asked_for_once_more_before_it_counts() {
    let (mut bus, doing) = serial(3, Doing::default()).await;
    bus.connected(3).await;
    for _ in 0..20 {
        doing.lock().unwrap().damaged = Some(2);
        sleep(ms(500)).await;
        assert_eq!(doing.lock().unwrap().damaged, None);
    }
    assert!(bus.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_serial_line_that_goes_takes_all_its_boards_and_brings_them_back() {
    let (mut bus, doing) = serial(2, Doing::default()).await;
    bus.connected(2).await;
    let mut second = None;
    doing.lock().unwrap().mute = vec![1, 2];
    for unit in 1..=2 {
        let (board, event) = bus.outcome().await;
        assert!(matches!(event, BoardEvent::Lost { .. }), "{event:?}");
        assert_eq!(board, format!("b-{unit}"));
    }
    // Nobody answers: the line is opened anew, again and again.
    for _ in 0..5 {
        second = Some(bus.dialled().await);
    }
    doing.lock().unwrap().mute.clear();
    task::spawn(boards(second.unwrap(), doing.clone()));
    bus.connected(2).await;
}

#[tokio::test(start_paused = true)]
async fn on_tcp_a_mute_unit_keeps_the_others_connection_and_its_late_answer_is_skipped() {
    let mut bus = Bus::new(Address::Tcp("10.0.0.20:502".into()), 2, 500);
    let mut line = bus.dialled().await;
    let mut owed = Vec::new();
    let (mut events, mut changed) = (Vec::new(), false);
    for n in 0..60_u8 {
        let mut ask = [0; 12];
        line.read_exact(&mut ask).await.unwrap();
        let answer = |inputs: u8| [&ask[..4], &[0, 4, ask[6], 0x02, 1, inputs]].concat();
        if ask[6] == 2 {
            // Kept for later.
            owed.push(answer(0b1_1111));
            continue;
        }
        // What is owed comes just before the answer that is due.
        for late in std::mem::take(&mut owed) {
            line.write_all(&late).await.unwrap();
        }
        changed |= n > 30;
        line.write_all(&answer(u8::from(changed))).await.unwrap();
        while let Ok(event) = bus.events.try_recv() {
            events.push(event);
        }
    }
    let said: Vec<(String, bool)> = events
        .into_iter()
        .map(|event| {
            let Event::Board { board, what } = event else { panic!("{event:?}") };
            let is_as_expected = match &what {
                BoardEvent::Connected { inputs, .. } => *inputs == Inputs(0),
                BoardEvent::Lost { .. } => board.as_str() == "b-2",
                BoardEvent::Inputs(inputs) => *inputs == Inputs(1),
                BoardEvent::Pulsed { .. }
                | BoardEvent::Failed { .. }
                | BoardEvent::Ended { .. }
                | BoardEvent::Secured { .. } => false,
            };
            (board.to_string(), is_as_expected)
        })
        .collect();
    let one = |board: &str| (board.to_owned(), true);
    assert_eq!(said, [one("b-1"), one("b-2"), one("b-1")]);
    assert!(bus.dialled.try_recv().is_err(), "it was dialled anew");
}
