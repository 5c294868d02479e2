//! A site of many doors: its devices, its configuration, and the daemon that runs it.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use hardware_sim::{
    board::{self, Board, BoardConfig, LineConfig, Place, Rate},
    broker::Broker,
    central::Central,
    pn532::Pn532,
    wait,
};
use serde_json::Value;

use super::running::Daemon;

pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const CONTROLLER: &str = "bench-1";
/// What takes longer is a defect.
pub const WITHIN: Duration = Duration::from_secs(30);

pub struct Line {
    pub place: Place,
    pub boards: usize,
}

pub struct Plan {
    pub lines: Vec<Line>,
    pub doors_a_board: usize,
    /// One or two a door, from the first door on.
    pub readers: usize,
}

/// Fields are dropped in this order.
pub struct Site {
    pub daemon: Daemon,
    pub central: Central,
    pub boards: Vec<Board>,
    pub doors_a_board: usize,
    pub ready_after: Duration,
    _readers: Vec<Pn532>,
    _broker: Broker,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock to measure, not to decide")]
pub fn now() -> Instant {
    Instant::now()
}

impl Site {
    pub fn start(plan: Plan, desk: &Path) -> Self {
        let broker = Broker::start(ANY_PORT).unwrap();
        let central = Central::start(&broker.url(), CONTROLLER).unwrap();
        central.wait_connected(WITHIN).unwrap();
        let doors_a_board = plan.doors_a_board;
        let boards: Vec<Board> =
            plan.lines.into_iter().flat_map(|line| start_line(line, doors_a_board)).collect();
        let doors = boards.len() * doors_a_board;
        let reader = |n: usize| Pn532::start(&desk.join(format!("reader-{n}"))).unwrap();
        let readers: Vec<Pn532> = (0..plan.readers).map(reader).collect();
        let mut config = head(desk, &broker.url());
        boards.iter().enumerate().for_each(|(n, board)| board_table(&mut config, n, board));
        (0..doors).for_each(|door| door_table(&mut config, door, doors_a_board));
        readers.iter().enumerate().for_each(|(n, reader)| reader_table(&mut config, n, n % doors, reader));
        let begin = now();
        let daemon = Daemon::run(&config, desk);
        let mut site = Site {
            daemon,
            central,
            boards,
            doors_a_board,
            ready_after: Duration::ZERO,
            _readers: readers,
            _broker: broker,
        };
        site.wait_until_ready(plan.readers);
        site.ready_after = begin.elapsed();
        site
    }

    /// Every board and reader is there.
    fn wait_until_ready(&self, readers: usize) {
        for (kind, count) in [("board.connected", self.boards.len()), ("reader.connected", readers)] {
            let found = wait::until(WITHIN, || {
                let events = self.central.events();
                (events.iter().filter(|event| event["type"] == kind).count() >= count).then_some(())
            });
            assert!(found.is_some(), "not {count} of {kind}");
        }
    }

    /// The board of a door, the place of its line in `boards`, and its number there.
    pub fn door(&self, door: usize) -> (&Board, usize) {
        (&self.boards[door / self.doors_a_board], door % self.doors_a_board)
    }

    /// How often a board was lost so far.
    pub fn lost(&self) -> usize {
        self.central.events().iter().filter(|event| event["type"] == "board.lost").count()
    }

    /// Whether all coils of all doors are in that state.
    pub fn all(&self, on: bool) -> bool {
        let doors = u16::try_from(self.doors_a_board).unwrap();
        self.boards.iter().all(|board| (0..doors).all(|coil| board.coil(coil) == Some(on)))
    }

    /// Tells all doors by central's command, and waits until it is carried out: by the event, which outlasts a link
    /// that breaks just then, as the command's result does not.
    pub fn tell_all(&self, action: &str) {
        let mark = self.central.mark();
        self.central.command(action, "*", None).unwrap();
        self.wait_executed(mark, action);
    }

    pub fn wait_executed(&self, mark: usize, action: &str) {
        let executed = |event: &Value| event["type"] == "command.executed";
        let found = self.central.wait_for_event_after(mark, executed, WITHIN);
        assert!(found.is_some(), "{action} of all doors was never carried out");
    }
}

fn start_line(line: Line, doors: usize) -> Vec<Board> {
    let board = |n| BoardConfig {
        unit: u8::try_from(n).unwrap(),
        ..BoardConfig::with_doors(u16::try_from(doors).unwrap())
    };
    let rate = matches!(line.place, Place::Rtu(_)).then(|| Rate::of(9600));
    let boards = (1..=line.boards).map(board).collect();
    board::start(LineConfig { place: line.place, rate, boards }).unwrap()
}

fn head(desk: &Path, broker: &str) -> String {
    let (state, socket) = (desk.join("state"), desk.join("latchd.sock"));
    format!(
        "controller = {{ id = \"{CONTROLLER}\", time_zone = \"Europe/Oslo\", state_dir = {state:?}, socket = {socket:?} }}\n\
         mqtt = {{ url = \"{broker}\", allow_unsigned = true }}\nclock = {{ require_sync = false }}\n"
    )
}

fn board_table(config: &mut String, n: usize, board: &Board) {
    let (url, unit) = (board.url(), board.unit());
    write!(config, "\n[[boards]]\nid = \"board-{n}\"\nurl = {url:?}\nunit = {unit}\n").unwrap();
}

fn door_table(config: &mut String, door: usize, doors_a_board: usize) {
    let (board, n) = (door / doors_a_board, door % doors_a_board);
    let (contact, rex) = (2 * n, 2 * n + 1);
    write!(
        config,
        "\n[[doors]]\nid = \"door-{door}\"\nzones = [\"all\"]\n\
         lock = {{ board = \"board-{board}\", coil = {n}, strike_s = 1 }}\n\
         contact = {{ board = \"board-{board}\", input = {contact} }}\n\
         rex = {{ board = \"board-{board}\", input = {rex}, unlocks = true }}\n"
    )
    .unwrap();
}

fn reader_table(config: &mut String, n: usize, door: usize, reader: &Pn532) {
    let path = reader.path();
    write!(
        config,
        "\n[[readers]]\nid = \"reader-{n}\"\ndoor = \"door-{door}\"\ndriver = \"pn532\"\nport = {path:?}\n"
    )
    .unwrap();
}
