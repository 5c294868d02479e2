//! Boards: their lines, their kinds, and what must hold between those on one line.

use super::*;
use crate::drivers::door::modbus::{Parity, Serial};

fn with(boards: &str) -> String {
    format!("{LEAST}\n{boards}")
}

fn one(keys: &str) -> Board {
    let text = with(&format!("[[boards]]\nid = \"b-1\"\n{keys}"));
    parse(&text).unwrap_or_else(|problems| panic!("{problems:?}")).boards.remove(0)
}

/// The mistakes in a text, without their places.
fn mistakes(text: &str) -> Vec<String> {
    said(text).iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

/// Those in one board's table.
fn wrong(keys: &str) -> Vec<String> {
    mistakes(&with(&format!("[[boards]]\nid = \"b-1\"\n{keys}")))
}

#[test]
fn lines_are_read_with_their_settings_and_defaults() {
    let line = |url: &str| one(&format!("url = \"{url}\"")).line;
    let serial = |path: &str, baud, parity, stop_bits| {
        Address::Serial(Serial { path: path.into(), baud, parity, stop_bits })
    };
    for (url, expected) in [
        ("modbus+tcp://10.0.0.20", Address::Tcp("10.0.0.20:502".into())),
        ("modbus+tcp://[fd00::1]:1502/", Address::Tcp("[fd00::1]:1502".into())),
        ("modbus+rtutcp://box", Address::RtuOverTcp("box:4196".into())),
        ("modbus+rtutcp://box:26", Address::RtuOverTcp("box:26".into())),
        ("modbus+rtu:///dev/ttyUSB0", serial("/dev/ttyUSB0", 9600, Parity::None, 1)),
        (
            "modbus+rtu:///dev/serial/by-id/a?baud=19200&parity=even&stop_bits=2&data_bits=8",
            serial("/dev/serial/by-id/a", 19_200, Parity::Even, 2),
        ),
        ("modbus+rtu:///dev/ttyS0?parity=odd", serial("/dev/ttyS0", 9600, Parity::Odd, 1)),
    ] {
        assert_eq!(line(url), expected, "{url}");
    }
}

#[test]
fn a_wrong_line_is_named_by_what_is_wrong_with_it() {
    for (url, expected) in [
        ("modbus://box", "\"modbus://box\" begins with no kind of line that is known"),
        ("modbus+rtu://ttyUSB0", "\"ttyUSB0\" is not an absolute path of a serial port"),
        ("modbus+rtu:///?baud=9600", "\"/\" is not an absolute path of a serial port"),
        ("modbus+rtu:///dev/a?baud=12", "baud=12 is not 1200 to 1000000 bits a second"),
        ("modbus+rtu:///dev/a?baud", "baud= is not 1200 to 1000000 bits a second"),
        ("modbus+rtu:///dev/a?parity=mark", "parity=mark is not none, even or odd"),
        ("modbus+rtu:///dev/a?stop_bits=3", "stop_bits=3 is not 1 or 2"),
        ("modbus+rtu:///dev/a?data_bits=7", "data_bits=7 is not 8, which RTU needs"),
        ("modbus+rtu:///dev/a?baud=9600&baud=9600", "baud is there twice"),
        (
            "modbus+rtu:///dev/a?bauds=9600",
            "bauds is no setting of a serial line (baud, parity, stop_bits, data_bits)",
        ),
        ("modbus+rtutcp://box?baud=9600", "\"box?baud=9600\" is not a host"),
    ] {
        let said = wrong(&format!("url = \"{url}\""));
        let known = "modbus+tcp://HOST:PORT, modbus+rtutcp://HOST:PORT or modbus+rtu:///dev/ttyUSB0?baud=9600&parity=none";
        assert_eq!(said, [format!("boards[0].url: {expected}; expected {known}")], "{url}");
    }
}

#[test]
fn kinds_of_boards_set_what_is_not_said_and_what_is_said_counts() {
    const URL: &str = "url = \"modbus+rtu:///dev/ttyUSB0\"\n";
    let of = |keys: &str| {
        let board = one(&format!("{URL}{keys}"));
        (board.coil_base, board.input_base, board.pulse, board.write_many)
    };
    let flash = |base| Pulse::Flash { base };
    assert_eq!(of(""), (0, 0, flash(0x0200), true));
    assert_eq!(of("profile = \"waveshare-16\""), (0, 0, flash(0x0200), true));
    assert_eq!(of("profile = \"plain\"\npulse = \"host\""), (0, 0, Pulse::Host, true));
    let own =
        "profile = \"plain\"\ncoil_base = 16\ninput_base = 0x20\nflash_base = 0x100\nwrite_many = false";
    assert_eq!(of(own), (16, 0x20, flash(0x100), false));
    assert_eq!(one(URL).timeout, Duration::from_millis(75));
    assert_eq!(one("url = \"modbus+rtutcp://box\"").timeout, Duration::from_millis(500));
    assert_eq!(one("url = \"modbus+tcp://box\"").seen_within(), Duration::from_millis(200));
    assert_eq!(one(URL).seen_within(), Duration::from_millis(400));
}

#[test]
fn a_kind_that_times_no_pulses_must_say_who_ends_them() {
    const URL: &str = "url = \"modbus+tcp://box\"\n";
    let expected = "boards[0].profile: a plain board times no pulses, so a strike would stay driven if the daemon died; \
        expected pulse = \"host\" beside it, if the board has an output watchdog";
    assert_eq!(wrong(&format!("{URL}profile = \"plain\"")), [expected]);
    let said = wrong(&format!("{URL}profile = \"plain\"\npulse = \"flash\""));
    assert_eq!(said, [expected.replace(".profile", ".pulse")]);
    let said = wrong(&format!("{URL}pulse = \"host\"\nflash_base = 1"));
    assert_eq!(said, ["boards[0].flash_base: is for pulse = \"flash\" only"]);
    let said = wrong(&format!("{URL}profile = \"waveshare\"\ncoil_base = 65473"));
    assert_eq!(
        said,
        [
            r#"boards[0].profile: "waveshare" is not "waveshare-8" or "waveshare-16" or "plain""#,
            "boards[0].coil_base: 65473 is not an address, 0 to 65472"
        ]
    );
}

#[test]
fn a_unit_is_on_a_line_once_and_a_line_has_one_way_of_speaking() {
    let board =
        |id: &str, url: &str, unit: u8| format!("[[boards]]\nid = {id:?}\nurl = {url:?}\nunit = {unit}\n");
    let text = with(
        &[
            board("b-1", "modbus+rtu:///dev/a", 1),
            board("b-2", "modbus+rtu:///dev/a?baud=9600", 2),
            board("b-3", "modbus+rtu:///dev/a", 2),
            board("b-4", "modbus+rtu:///dev/a?baud=19200", 4),
            board("b-5", "modbus+tcp://box:4196", 1),
            board("b-6", "modbus+rtutcp://box", 2),
            board("b-7", "modbus+rtu:///dev/b", 0),
            board("b-8", "modbus+rtutcp://other", 248),
        ]
        .concat(),
    );
    assert_eq!(
        mistakes(&text),
        [
            "boards[2].unit: unit 2 of this line is board b-2 already",
            r#"boards[3].url: board b-1 is at /dev/a too, and spoken to in another way: "modbus+rtu:///dev/a""#,
            r#"boards[5].url: board b-5 is at box:4196 too, and spoken to in another way: "modbus+tcp://box:4196""#,
            "boards[6].unit: 0 is not a Modbus unit, 1 to 247",
            "boards[7].unit: 248 is not a Modbus unit, 1 to 247"
        ]
    );
}

#[test]
fn doors_are_on_coils_and_inputs_that_such_a_board_has_and_readers_on_other_ports() {
    let text = with(
        r#"[[boards]]
id = "b-1"
url = "modbus+rtu:///dev/ttyUSB0"
profile = "waveshare-8"

[[doors]]
id = "entrance"
lock = { board = "b-1", coil = 8 }
contact = { board = "b-1", input = 7 }
rex = { board = "b-1", input = 9 }

[[readers]]
id = "r-1"
door = "entrance"
driver = "pn532"
port = "/dev/ttyUSB0"
"#,
    );
    assert_eq!(
        mistakes(&text),
        [
            "doors[0].lock.coil: board b-1 is a waveshare-8, which has coils 0 to 7",
            "doors[0].rex.input: board b-1 is a waveshare-8, which has inputs 0 to 7",
            "readers[0].port: /dev/ttyUSB0 is the line of board b-1"
        ]
    );
}

#[test]
fn the_boards_of_the_pages_on_wiring_are_good() {
    let pages = [
        include_str!("../../../../config/boards/waveshare.md"),
        include_str!("../../../../config/boards/plain.md"),
    ];
    let tables = pages.iter().flat_map(|page| page.split("```toml\n").skip(1));
    let tables: Vec<&str> = tables.filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(tables.len(), 2);
    let boards = parse(&with(&tables.concat())).unwrap().boards;
    assert_eq!(
        boards.iter().map(|board| board.pulse).collect::<Vec<_>>(),
        [Pulse::Flash { base: 0x0200 }, Pulse::Host]
    );
    assert_eq!((boards[1].coil_base, boards[1].unit.value), (0x10, 5));
}
