//! What happens at the boards, written down beforehand by whoever tests a site:
//!
//! ```text
//! # A morning at the entrance.
//! at 2s      rex 0
//! after 1s   wait-walk 0 3s
//! at 20s     unit 2 silent
//! after 500ms expect coil 0 off
//! ```
//!
//! `at` counts from the beginning, `after` from the line before. All of a file is read before anything is done.

use std::sync::Weak;
use std::time::{Duration, Instant};

use super::Board;
use super::orders::Order;
use crate::time;
use crate::until_told::length_of_time;

/// A scenario in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario(Vec<Line>);

#[derive(Debug, Clone, PartialEq)]
struct Line {
    /// From 1.
    number: usize,
    text: String,
    when: When,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    At(Duration),
    After(Duration),
}

/// All mistakes of a file, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

impl Scenario {
    pub fn read(text: &str) -> Result<Self, Mistakes> {
        let (mut lines, mut mistakes) = (Vec::new(), Vec::new());
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match read(n + 1, line) {
                Ok(line) => lines.push(line),
                Err(why) => mistakes.push(format!("line {}: {why}", n + 1)),
            }
        }
        if mistakes.is_empty() { Ok(Self(lines)) } else { Err(Mistakes(mistakes)) }
    }

    /// Plays it; says each line as it is done, and how many went wrong. Ends early when the boards are gone.
    pub fn play(&self, boards: &Weak<Vec<Board>>, mut say: impl FnMut(&str)) -> usize {
        let start = time::now();
        let (mut before, mut wrong) = (start, 0);
        for line in &self.0 {
            let due = match line.when {
                When::At(at) => start + at,
                When::After(after) => before + after,
            };
            wait(due);
            let Some(boards) = boards.upgrade() else { return wrong };
            let done = line.order.carry_out(&boards);
            before = time::now();
            match done {
                Ok(said) if said.is_empty() => say(&format!("line {}: {}", line.number, line.text)),
                Ok(said) => say(&format!("line {}: {}: {said}", line.number, line.text)),
                Err(why) => {
                    wrong += 1;
                    say(&format!("line {}: {}: error: {why}", line.number, line.text));
                }
            }
        }
        wrong
    }
}

fn wait(until: Instant) {
    while let Some(left) = until.checked_duration_since(time::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

fn read(number: usize, line: &str) -> Result<Line, String> {
    const EXPECTED: &str = "expected at TIME ORDER, or after TIME ORDER";
    let mut words = line.splitn(3, char::is_whitespace).filter(|word| !word.is_empty());
    let (Some(when), Some(rest)) =
        (words.next(), line.split_once(char::is_whitespace).map(|(_, rest)| rest.trim()))
    else {
        return Err(EXPECTED.into());
    };
    let (time, order) = rest.split_once(char::is_whitespace).ok_or(EXPECTED)?;
    let time = length_of_time(time)?;
    let when = match when {
        "at" => When::At(time),
        "after" => When::After(time),
        _ => return Err(format!("{when} is no way to say when; {EXPECTED}")),
    };
    Ok(Line { number, text: order.trim().to_owned(), when, order: order.trim().parse()? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::board::BoardConfig;

    #[test]
    fn all_mistakes_are_named_with_their_lines_before_anything_is_done() {
        let text = "at 1s rex 0\n# fine\n\nin 2s rex 0\nat soon rex 0\nafter 1s  open 0\nat 1s\n";
        let Mistakes(mistakes) = Scenario::read(text).unwrap_err();
        assert_eq!(
            mistakes,
            [
                "line 4: in is no way to say when; expected at TIME ORDER, or after TIME ORDER",
                "line 5: soon is no length of time; write 2s or 800ms",
                "line 6: no such order: open 0; see latch-sim board --help",
                "line 7: expected at TIME ORDER, or after TIME ORDER"
            ]
        );
    }

    #[test]
    fn the_one_that_ships_is_good() {
        let shipped = Scenario::read(include_str!("../../../config/boards/morning.scenario")).unwrap();
        assert!(shipped.0.len() > 5);
    }

    #[test]
    fn it_is_played_in_its_time_and_says_what_went_wrong() {
        let boards = Arc::new(vec![Board::start(BoardConfig::with_doors(1)).unwrap()]);
        let text = "at 50ms   force 0 60s   # somebody breaks in\nafter 10ms expect input 0 off\nat 100ms expect coil 0 on 10ms";
        let mut said = Vec::new();
        let start = time::now();
        let wrong =
            Scenario::read(text).unwrap().play(&Arc::downgrade(&boards), |line| said.push(line.to_owned()));
        assert!(start.elapsed() >= Duration::from_millis(110));
        assert_eq!((wrong, said.len()), (1, 3));
        assert_eq!(said[0], "line 1: force 0 60s");
        assert!(said[2].starts_with("line 3: expect coil 0 on 10ms: error: "), "{}", said[2]);
    }
}
