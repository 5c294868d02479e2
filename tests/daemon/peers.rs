//! Modbus as others speak it: the daemon with a board by libmodbus, and mbpoll as a master with the simulated board.
//! Neither shares a line of code with either of ours.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardware_sim::board::{self, Board, BoardConfig, LineConfig, Place, Rate};
use hardware_sim::time;

use crate::site::broker::free_port;
use crate::site::people::assert_decided;
use crate::site::process::Guarded;
use crate::site::records::{card, standing};
use crate::site::{Builder, LIMIT, Site, eventually};

const ANNA: &str = "04A1B2C3D4E5F6";

/// A program whose lines are kept with the instants at which they came.
struct Heard {
    _process: Guarded,
    lines: Arc<Mutex<Vec<(std::time::Instant, String)>>>,
}

impl Heard {
    fn start(command: &mut Command) -> Heard {
        let mut process = Guarded::spawn(command.stdout(Stdio::piped())).expect("it starts");
        let out = BufReader::new(process.child().stdout.take().expect("piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        // It ends with the process.
        let listen = move || {
            for line in out.lines().map_while(Result::ok) {
                kept.lock().expect("nobody panics with it").push((time::now(), line));
            }
        };
        std::thread::Builder::new().name("heard".into()).spawn(listen).expect("a thread");
        Heard { _process: process, lines }
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> std::time::Instant {
        let found = || {
            let lines = self.lines.lock().expect("nobody panics with it");
            lines.iter().find(|(_, line)| line == text).map(|(at, _)| *at)
        };
        eventually(text, found)
    }
}

/// The board by libmodbus, if it can be built here.
fn libmodbus_board(folder: &Path) -> Option<PathBuf> {
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "libmodbus"]).output().ok()?;
    if !flags.status.success() {
        eprintln!("left out: there is no libmodbus here (libmodbus-dev, pkg-config)");
        return None;
    }
    let program = folder.join("modbus_board");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/modbus_board.c");
    let flags = String::from_utf8(flags.stdout).unwrap();
    let built = Command::new("cc")
        .args(["-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .args(flags.split_whitespace())
        .output()
        .expect("a C compiler, as for building latchd");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// A site whose only board is at this address, and ends no pulse by itself.
fn site_at(url: &str) -> Builder {
    let bare = Builder::bare().pn532("entrance").plain(Duration::from_secs(60));
    bare.edit_once("url = \"modbus+tcp://", &format!("url = \"{url}\" # modbus+tcp://"))
        .edit("input = 2 }", "input = 2, invert = true }")
}

#[track_caller]
fn opens(mut site: Site, peer: &Heard) {
    site.daemon.start();
    site.wait_until_ready();
    site.put([card("c-1", ANNA, "m-1"), standing("g-1", "m-1", &["perimeter"])]);
    assert_decided(&site.decision("entrance-in", ANNA), "access.granted", "standing");
    let (on, off) = (peer.wait_for("coil 0 on"), peer.wait_for("coil 0 off"));
    let driven = off.duration_since(on);
    assert!(driven.abs_diff(Duration::from_secs(1)) <= Duration::from_millis(200), "{driven:?}");
    let doors = site.ask(&["doors"]);
    let entrance = doors.as_array().unwrap().iter().find(|door| door["door"] == "entrance").unwrap();
    assert_eq!(entrance["contact"], "closed", "{entrance:#}");
    // All four at once: function 15 on and off.
    let done = site.ctl(&["door", "unlock", "--all"]);
    assert_eq!(done.code, 0, "{done:?}");
    peer.wait_for("coil 3 on");
    let done = site.ctl(&["door", "lock-down", "--all"]);
    assert_eq!(done.code, 0, "{done:?}");
    peer.wait_for("coil 3 off");
    let faults = site.journal().into_iter().filter(|event| event["type"] == "door.lock_fault");
    assert_eq!(faults.collect::<Vec<_>>(), [serde_json::Value::Null; 0]);
}

#[test]
fn the_daemon_drives_a_board_by_libmodbus_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = libmodbus_board(folder.path()) else { return };
    let port = free_port();
    let peer = Heard::start(Command::new(program).args(["tcp", &port.to_string()]));
    peer.wait_for("ready");
    opens(site_at(&format!("modbus+tcp://127.0.0.1:{port}")).prepared(), &peer);
}

#[test]
fn the_daemon_drives_a_board_by_libmodbus_on_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = libmodbus_board(folder.path()) else { return };
    let end = |name: &str| folder.path().join(name);
    let pty = |name: &str| format!("pty,raw,echo=0,link={}", end(name).display());
    let Ok(_line) = Command::new("socat").arg(pty("ours")).arg(pty("theirs")).spawn().map(Killed) else {
        eprintln!("left out: there is no socat here");
        return;
    };
    eventually("the serial line", || (end("ours").exists() && end("theirs").exists()).then_some(()));
    let peer = Heard::start(Command::new(program).arg("rtu").arg(end("theirs")));
    peer.wait_for("ready");
    opens(site_at(&format!("modbus+rtu://{}", end("ours").display())).prepared(), &peer);
}

/// A child that ends with this.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// mbpoll, once; what it printed.
fn mbpoll(arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("mbpoll").args(arguments).output() else {
        eprintln!("left out: there is no mbpoll here");
        return None;
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(said)
}

fn asked_by_mbpoll(boards: &[Board], place: &[&str]) {
    let on_line = |unit: &str, rest: &[&str], values: &[&str]| {
        // Registers count from 1 there.
        mbpoll(&[&["-a", unit, "-1", "-q", "-o", "1"], rest, place, values].concat())
    };
    for (board, unit) in boards.iter().zip(["1", "2"]) {
        let Some(_) = on_line(unit, &["-t", "0", "-r", "1"], &["1"]) else { return };
        assert_eq!(board.coil(0), Some(true));
        on_line(unit, &["-t", "0", "-r", "2"], &["1", "0", "1"]);
        assert_eq!([0, 1, 2, 3].map(|coil| board.coil(coil).unwrap()), [true, true, false, true]);
        let coils = on_line(unit, &["-t", "0", "-r", "1", "-c", "4"], &[]).unwrap();
        let values: Vec<&str> =
            coils.lines().filter_map(|line| line.strip_prefix('[')?.split('\t').nth(1)).collect();
        assert_eq!(values, ["1", "1", "0", "1"], "{coils}");
        let inputs = on_line(unit, &["-t", "1", "-r", "1", "-c", "3"], &[]).unwrap();
        let values: Vec<&str> =
            inputs.lines().filter_map(|line| line.strip_prefix('[')?.split('\t').nth(1)).collect();
        assert_eq!(values, ["1", "0", "1"], "both doors are closed: {inputs}");
        assert!(board.wait_for_coil(0, true, LIMIT));
    }
}

fn two_boards(place: Place) -> Vec<Board> {
    let rate = matches!(place, Place::Rtu(_)).then(|| Rate::of(9600));
    let board = |unit| BoardConfig { unit, ..BoardConfig::with_doors(2) };
    board::start(LineConfig { place, rate, boards: vec![board(1), board(2)] }).unwrap()
}

#[test]
fn mbpoll_reads_and_writes_the_simulated_boards_over_tcp_and_serial() {
    let boards = two_boards(Place::Tcp(([127, 0, 0, 1], 0).into()));
    let port = boards[0].addr().port().to_string();
    asked_by_mbpoll(&boards, &["-m", "tcp", "-p", &port, "127.0.0.1"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let boards = two_boards(Place::Rtu(path.clone()));
    asked_by_mbpoll(&boards, &["-m", "rtu", "-b", "9600", "-P", "none", path.to_str().unwrap()]);
}
