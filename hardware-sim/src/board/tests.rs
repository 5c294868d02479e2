//! The board over a real socket, byte by byte, in real time where time is the point.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn board() -> Board {
    Board::start(BoardConfig::with_doors(2)).unwrap()
}

fn connect(board: &Board) -> TcpStream {
    let stream = TcpStream::connect(board.addr()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &[u8], answer_length: usize) -> Vec<u8> {
    stream.write_all(request).unwrap();
    read(stream, answer_length)
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    answer
}

const COIL_0_ON: [u8; 12] = [0, 7, 0, 0, 0, 6, 1, 5, 0, 0, 0xFF, 0];
const FLASH_0: [u8; 12] = [0, 8, 0, 0, 0, 6, 1, 5, 2, 0, 0, 2];

#[test]
fn a_write_is_echoed_and_read_back() {
    let board = board();
    let mut stream = connect(&board);
    assert_eq!(ask(&mut stream, &COIL_0_ON, 12), COIL_0_ON);
    let coils = ask(&mut stream, &[0, 9, 0, 0, 0, 6, 1, 1, 0, 0, 0, 8], 10);
    assert_eq!(coils, [0, 9, 0, 0, 0, 4, 1, 1, 1, 0b1]);
    let inputs = ask(&mut stream, &[0, 9, 0, 0, 0, 6, 1, 2, 0, 0, 0, 8], 10);
    assert_eq!(inputs, [0, 9, 0, 0, 0, 4, 1, 2, 1, 0b101], "both doors are closed");
    let many = ask(&mut stream, &[0, 1, 0, 0, 0, 8, 1, 15, 0, 0, 0, 3, 1, 0b110], 12);
    assert_eq!(many, [0, 1, 0, 0, 0, 6, 1, 15, 0, 0, 0, 3]);
    assert_eq!((board.coil(0), board.coil(2), board.frames()), (Some(false), Some(true), 4));
}

#[test]
fn a_pulse_ends_in_the_board_with_nobody_connected() {
    let board = board();
    let mut stream = connect(&board);
    assert_eq!(ask(&mut stream, &FLASH_0, 12), FLASH_0);
    drop(stream);
    board.stop().unwrap();
    let on = board.coil_history().first().copied().unwrap();
    let off = board.wait_for_coil_change(on.at, 0, false, LIMIT).unwrap();
    assert_eq!(off.cause, Cause::FlashEnded);
    assert!(off.at - on.at >= Duration::from_millis(200));
}

#[test]
fn pipelined_and_split_requests_are_all_answered_in_order() {
    let board = board();
    let mut stream = connect(&board);
    let both = [COIL_0_ON, FLASH_0].concat();
    let (first, rest) = both.split_at(17);
    stream.write_all(first).unwrap();
    assert_eq!(read(&mut stream, 12), COIL_0_ON);
    for byte in rest {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(read(&mut stream, 12), FLASH_0);
}

#[test]
fn exceptions_come_as_the_specification_says() {
    let board = board();
    let mut stream = connect(&board);
    let cases: [(u8, [u8; 5], [u8; 2]); 4] = [
        (1, [3, 0, 0, 0, 1], [0x83, 1]),
        (1, [1, 0, 7, 0, 2], [0x81, 2]),
        (1, [5, 0, 0, 0, 1], [0x85, 3]),
        (9, [1, 0, 0, 0, 1], [0x81, 0x0B]),
    ];
    for (unit, pdu, exception) in cases {
        let request = [&[0, 5, 0, 0, 0, 6, unit][..], &pdu].concat();
        let answer = ask(&mut stream, &request, 9);
        assert_eq!(answer, [0, 5, 0, 0, 0, 3, unit, exception[0], exception[1]]);
    }
}

#[test]
fn several_clients_are_served_at_once_and_can_be_cut_off() {
    let board = board();
    let mut streams = [connect(&board), connect(&board), connect(&board)];
    for stream in &mut streams {
        assert_eq!(ask(stream, &COIL_0_ON, 12), COIL_0_ON);
    }
    assert_eq!(board.clients(), 3);
    board.drop_connections().unwrap();
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    }
    assert_eq!(ask(&mut connect(&board), &COIL_0_ON, 12), COIL_0_ON);
}

#[test]
fn a_stopped_board_refuses_and_listens_again_on_its_port() {
    let board = board();
    let mut stream = connect(&board);
    ask(&mut stream, &COIL_0_ON, 12);
    board.stop().unwrap();
    assert!(TcpStream::connect(board.addr()).is_err());
    assert_eq!(board.coil(0), Some(true), "a relay does not mind the network");
    board.restart().unwrap();
    assert_eq!(ask(&mut connect(&board), &COIL_0_ON, 12), COIL_0_ON);
}

#[test]
fn faults_are_what_they_say() {
    let board = board();
    let mut stream = connect(&board);
    board.wrong_echo_once();
    assert_eq!(ask(&mut stream, &COIL_0_ON, 12), [0, 7, 0, 0, 0, 6, 1, 5, 0, 1, 0xFF, 0]);
    assert_eq!(ask(&mut stream, &COIL_0_ON, 12), COIL_0_ON);
    board.refuse_with_exception(6);
    assert_eq!(ask(&mut stream, &COIL_0_ON, 9), [0, 7, 0, 0, 0, 3, 1, 0x85, 6]);
    board.clear_faults();
    board.lie_about_writes();
    let coil_1_on = [0, 7, 0, 0, 0, 6, 1, 5, 0, 1, 0xFF, 0];
    assert_eq!(ask(&mut stream, &coil_1_on, 12), coil_1_on);
    assert_eq!(board.coil(1), Some(false));
    board.clear_faults();
    board.late(Duration::from_millis(150));
    let asked = crate::time::now();
    assert_eq!(ask(&mut stream, &FLASH_0, 12), FLASH_0);
    assert!(asked.elapsed() >= Duration::from_millis(150));
    board.go_silent();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.write_all(&coil_1_on).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err());
    assert_eq!(board.coil(1), Some(false));
}

#[test]
fn a_person_waits_for_the_strike_and_walks_through() {
    let board = board();
    let mut stream = connect(&board);
    assert_eq!(board.walk_through(0, LIMIT).unwrap(), Walk::Locked);
    std::thread::scope(|scope| {
        let person = scope.spawn(|| board.walk_through_within(0, LIMIT, Duration::from_millis(50)).unwrap());
        ask(&mut stream, &FLASH_0, 12);
        assert_eq!(person.join().unwrap(), Walk::Through);
    });
    let mut seen = board.happenings_since(0, LIMIT);
    while !seen.iter().any(|entry| entry.what == Happening::DoorClosed { door: 0 }) {
        let next = seen.last().map_or(0, |entry| entry.number + 1);
        seen.extend(board.happenings_since(next, LIMIT));
    }
    assert!(board.walk_through(7, LIMIT).is_err());
}
