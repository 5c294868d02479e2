//! Orders to the boards of a line, as people write them: on the control socket, on standard input, in a scenario.

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use super::{Board, BoardError, Walk};
use crate::orders::chain;
use crate::until_told::length_of_time;

/// How long a person holds the button, and a door stays open, unless told otherwise.
const REX_HOLD: Duration = Duration::from_millis(500);
const OPEN_FOR: Duration = Duration::from_secs(2);
/// How long something that is expected may take, unless told otherwise.
const EXPECT_WITHIN: Duration = Duration::from_secs(5);

pub const HELP: &str = "\
Orders, one a line, on the control socket, on standard input, or in a scenario; where several boards share the line,
`unit N` before an order says which (otherwise the first):
  walk DOOR [TIME]       pull once; if the strike is released, go through and let it fall shut (2s)
  wait-walk DOOR [TIME]  the same, once the strike is released (within 5s)
  force DOOR [TIME]      break it open
  prop DOOR              go through and leave it open
  close DOOR
  stick DOOR | free DOOR         it jams, strike or not; it moves again
  bounce DOOR TIME               its contact chatters so long when it falls shut
  rex DOOR [TIME]        press the button (0.5s)
  input INPUT on|off     drive an input: the fire alarm, a broken wire
  weld COIL | unweld COIL        the relay sticks once it is on
  expect coil|input N on|off [TIME]  an error if it is not so within 5s
  silent | lie           take no frame; echo writes without doing them
  wrong-echo             echo another coil at the next write
  late TIME | slow TIME  answer so much later; carry out writes so much later
  short | damage         answers break off; the next answer has a wrong bit
  exception CODE         refuse everything
  answer-as UNIT         answer under another unit's number
  answer                 all of these are over
  drop | stop | restart  cut the clients; pull the cable; put it back
  power-off              pull the cable, and every relay falls
  state                  coils, inputs and doors
Each is answered by `ok`, or by `error:` and a sentence.";

/// What is to be done, and by which unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    unit: Option<u8>,
    act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Walk(usize, Duration),
    WaitWalk(usize, Duration),
    Force(usize, Duration),
    Prop(usize),
    Close(usize),
    Stick(usize, bool),
    Bounce(usize, Duration),
    Rex(usize, Duration),
    Input(u16, bool),
    Weld(u16, bool),
    Expect(Seen, bool, Duration),
    Fault(Fault),
    Drop,
    Stop,
    Restart,
    PowerOff,
    State,
}

/// What is wrong with a board from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Silent,
    Lie,
    WrongEcho,
    Late(Duration),
    Slow(Duration),
    Short,
    Damage,
    Exception(u8),
    AnswerAs(u8),
    None,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Coil(u16),
    Input(u16),
}

impl FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (unit, words) = match words.as_slice() {
            ["unit", unit, rest @ ..] => (Some(number(unit)?), rest),
            all => (None, all),
        };
        let act = at_the_door(words)
            .or_else(|| at_the_board(words))
            .unwrap_or_else(|| Err(format!("no such order: {line}; see latch-sim board --help")))?;
        Ok(Self { unit, act })
    }
}

/// What people do.
fn at_the_door(words: &[&str]) -> Option<Result<Act, String>> {
    let timed = |door: &str, rest: &[&str], otherwise, act: fn(usize, Duration) -> Act| {
        Ok(act(number(door)?, seconds(rest, otherwise)?))
    };
    let door = |door: &str, act: &dyn Fn(usize) -> Act| number(door).map(act);
    Some(match words {
        ["walk", at, rest @ ..] => timed(at, rest, OPEN_FOR, Act::Walk),
        ["wait-walk", at, rest @ ..] => timed(at, rest, OPEN_FOR, Act::WaitWalk),
        ["force", at, rest @ ..] => timed(at, rest, OPEN_FOR, Act::Force),
        ["rex", at, rest @ ..] => timed(at, rest, REX_HOLD, Act::Rex),
        ["bounce", at, long] => timed(at, &[*long], Duration::ZERO, Act::Bounce),
        ["prop", at] => door(at, &Act::Prop),
        ["close", at] => door(at, &Act::Close),
        ["stick", at] => door(at, &|door| Act::Stick(door, true)),
        ["free", at] => door(at, &|door| Act::Stick(door, false)),
        _ => return None,
    })
}

/// What is wired to the board, and what is wrong with it.
fn at_the_board(words: &[&str]) -> Option<Result<Act, String>> {
    Some(match words {
        ["input", input, level] => number(input).and_then(|input| Ok(Act::Input(input, on(level)?))),
        ["weld", coil] => number(coil).map(|coil| Act::Weld(coil, true)),
        ["unweld", coil] => number(coil).map(|coil| Act::Weld(coil, false)),
        ["expect", what, which, level, rest @ ..] => expect(what, which, level, rest),
        ["drop"] => Ok(Act::Drop),
        ["stop"] => Ok(Act::Stop),
        ["restart"] => Ok(Act::Restart),
        ["power-off"] => Ok(Act::PowerOff),
        ["state"] => Ok(Act::State),
        _ => return fault(words).map(|fault| fault.map(Act::Fault)),
    })
}

fn fault(words: &[&str]) -> Option<Result<Fault, String>> {
    Some(match words {
        ["silent"] => Ok(Fault::Silent),
        ["lie"] => Ok(Fault::Lie),
        ["wrong-echo"] => Ok(Fault::WrongEcho),
        ["late", by] => length_of_time(by).map(Fault::Late),
        ["slow", by] => length_of_time(by).map(Fault::Slow),
        ["short"] => Ok(Fault::Short),
        ["damage"] => Ok(Fault::Damage),
        ["exception", code] => number(code).map(Fault::Exception),
        ["answer-as", unit] => number(unit).map(Fault::AnswerAs),
        ["answer"] => Ok(Fault::None),
        _ => return None,
    })
}

fn expect(what: &str, which: &str, level: &str, rest: &[&str]) -> Result<Act, String> {
    let seen = match what {
        "coil" => Seen::Coil(number(which)?),
        "input" => Seen::Input(number(which)?),
        _ => return Err(format!("{what} is neither coil nor input")),
    };
    Ok(Act::Expect(seen, on(level)?, seconds(rest, EXPECT_WITHIN)?))
}

fn on(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{word} is neither on nor off")),
    }
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is not a number that fits here"))
}

fn seconds(words: &[&str], otherwise: Duration) -> Result<Duration, String> {
    match words {
        [] => Ok(otherwise),
        [word] => length_of_time(word),
        _ => Err("one length of time, no more".into()),
    }
}

impl Order {
    /// Carries it out, and says what came of it.
    pub fn carry_out(&self, boards: &[Board]) -> Result<String, String> {
        let board = match self.unit {
            None => boards.first(),
            Some(unit) => boards.iter().find(|board| board.unit() == unit),
        };
        let board =
            board.ok_or_else(|| format!("there is no unit {} on this line", self.unit.unwrap_or(0)))?;
        let done = match self.act {
            Act::Walk(door, open_for) => return walked(board.walk_through(door, open_for)),
            Act::WaitWalk(door, open_for) => {
                return walked(board.walk_through_within(door, EXPECT_WITHIN, open_for));
            }
            Act::Prop(door) => return walked(board.prop_open(door)),
            Act::State => return Ok(state(board)),
            Act::Expect(seen, on, within) => return expected(board, seen, on, within),
            Act::Force(door, open_for) => board.force_open(door, open_for),
            Act::Close(door) => board.close(door),
            Act::Stick(door, stuck) => board.stick(door, stuck),
            Act::Bounce(door, long) => board.bounce(door, long),
            Act::Rex(door, hold) => board.press_rex(door, hold),
            Act::Input(input, on) => board.set_input(input, on),
            Act::Weld(coil, welded) => board.weld(coil, welded),
            Act::Drop => board.drop_connections(),
            Act::Stop => board.stop(),
            Act::Restart => board.restart(),
            Act::PowerOff => board.lose_power(),
            Act::Fault(fault) => {
                misbehave(board, fault);
                Ok(())
            }
        };
        done.map(|()| String::new()).map_err(|error| chain(&error))
    }
}

fn misbehave(board: &Board, fault: Fault) {
    match fault {
        Fault::Silent => board.go_silent(),
        Fault::Lie => board.lie_about_writes(),
        Fault::WrongEcho => board.wrong_echo_once(),
        Fault::Late(by) => board.late(by),
        Fault::Slow(by) => board.delay_writes(by),
        Fault::Short => board.cut_answers_short(),
        Fault::Damage => board.damage_once(),
        Fault::Exception(code) => board.refuse_with_exception(code),
        Fault::AnswerAs(unit) => board.answer_as(unit),
        Fault::None => board.clear_faults(),
    }
}

fn expected(board: &Board, seen: Seen, on: bool, within: Duration) -> Result<String, String> {
    let is = match seen {
        Seen::Coil(coil) => board.wait_for_coil(coil, on, within),
        Seen::Input(input) => board.wait_for_input(input, on, within),
    };
    let state = if on { "on" } else { "off" };
    if is { Ok(String::new()) } else { Err(format!("{seen:?} was not {state} within {within:?}")) }
}

fn walked(walk: Result<Walk, BoardError>) -> Result<String, String> {
    match walk {
        Ok(Walk::Through) => Ok("through".into()),
        Ok(Walk::Locked) => Err("locked: the strike is not released, or the door is stuck".into()),
        Err(error) => Err(chain(&error)),
    }
}

fn state(board: &Board) -> String {
    let (coils, inputs, open) = board.snapshot();
    let bits = |bits: &[bool]| bits.iter().map(|&on| if on { '1' } else { '0' }).collect::<String>();
    let doors: Vec<&str> = open.iter().map(|&open| if open { "open" } else { "closed" }).collect();
    format!(
        "unit {}\ncoils {}\ninputs {}\ndoors {}",
        board.unit(),
        bits(&coils),
        bits(&inputs),
        doors.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::BoardConfig;

    #[test]
    fn every_order_of_the_help_is_one() {
        let lines = HELP.lines().filter_map(|line| line.strip_prefix("  "));
        // What stands before two spaces; of `a | b` both.
        let orders: Vec<&str> =
            lines.flat_map(|line| line.split("  ").next().unwrap().split(" | ")).collect();
        assert!(orders.len() > 25, "{orders:?}");
        for order in orders {
            let words = order.replace("coil|input", "coil").replace("on|off", "on");
            let words = words.replace("[TIME]", "").replace("TIME", "50ms");
            let known: Vec<String> = words
                .split_whitespace()
                .map(|word| if word.chars().all(char::is_uppercase) { "1".into() } else { word.to_owned() })
                .collect();
            let order = known.join(" ");
            assert!(order.parse::<Order>().is_ok(), "{order}: {:?}", order.parse::<Order>());
            assert!(format!("unit 3 {order}").parse::<Order>().is_ok());
        }
    }

    #[test]
    fn a_wrong_order_is_named() {
        for (order, why) in [
            ("open 0", "no such order: open 0"),
            ("walk x", "x is not a number"),
            ("walk 0 1s 2s", "one length of time"),
            ("input 0 maybe", "maybe is neither on nor off"),
            ("unit 300 walk 0", "300 is not a number"),
            ("expect door 0 on", "door is neither coil nor input"),
        ] {
            let error = order.parse::<Order>().unwrap_err();
            assert!(error.starts_with(why), "{order}: {error}");
        }
    }

    #[test]
    fn orders_are_carried_out_at_the_unit_they_are_for() {
        let boards = [Board::start(BoardConfig::with_doors(1)).unwrap()];
        let order = |line: &str| line.parse::<Order>().unwrap().carry_out(&boards);
        assert_eq!(order("expect input 0 on"), Ok(String::new()));
        assert_eq!(order("unit 1 force 0 60s"), Ok(String::new()));
        assert_eq!(order("expect input 0 off 1s"), Ok(String::new()));
        assert!(order("expect coil 0 on 10ms").is_err());
        assert_eq!(order("unit 2 close 0"), Err("there is no unit 2 on this line".into()));
        assert!(order("state").unwrap().contains("doors open"));
    }
}
