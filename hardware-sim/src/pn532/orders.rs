//! What a reader can be ordered to do, as words: on its control socket, on standard input, and in a scenario, a file
//! of orders with their times.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::nonsense::{Babble, Noise, Spoil};
use super::{Pn532, Target};
use crate::orders::chain;
use crate::uid::CardUid;
use crate::until_told::length_of_time;

/// How long a person holds a card to a reader.
const HOLD: Duration = Duration::from_millis(400);

pub const HELP: &str = "\
Orders, one a line, on the control socket and on standard input:
  tap UID [TIME]          hold a card to it (400ms)
  put UID                 lay a card on it
  remove                  take the card away
  unplug | plug           pull the plug; plug it in again at the same path
  hang | wake             deaf and dumb though plugged in; well again
  spoil KIND [TIMES]      spoil its next answers (1), each in this way: checksum, half, lost-byte,
                          garbage, twice, other, error or silence
  noise HEX               bytes on the line that nobody asked for
  babble noise|acks       never silent: noise, or acknowledgements without end
  quiet                   no more of that, and no more spoilt answers
  split | whole           a byte a millisecond; frames at once
A UID is 4, 7 or 10 bytes in hex. Each order is answered by `ok`, or by `error:` and a sentence.

A scenario is a file of such orders, each behind the time it is for, counted from the start:
  # somebody leans a ladder against the cable
  10s    spoil checksum 5
  12s    babble noise
  14.5s  quiet";

/// Something a reader is to do.
#[derive(Debug, Clone)]
pub enum Order {
    Tap(Target, Duration),
    Put(Target),
    Remove,
    Unplug,
    Plug,
    Hang(bool),
    Spoil(Spoil, u32),
    Noise(Vec<u8>),
    Babble(Option<Babble>),
    Split(bool),
}

impl Order {
    pub fn read(line: &str) -> Result<Order, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["tap", card] => Order::Tap(target(card)?, HOLD),
            ["tap", card, hold] => Order::Tap(target(card)?, length_of_time(hold)?),
            ["put", card] => Order::Put(target(card)?),
            ["remove"] => Order::Remove,
            ["unplug"] => Order::Unplug,
            ["plug"] => Order::Plug,
            ["hang"] => Order::Hang(true),
            ["wake"] => Order::Hang(false),
            ["spoil", kind] => Order::Spoil(spoil(kind)?, 1),
            ["spoil", kind, times] => Order::Spoil(spoil(kind)?, number(times)?),
            ["noise", bytes] => Order::Noise(hex(bytes)?),
            ["babble", "noise"] => Order::Babble(Some(Babble::Noise(Noise::new(1)))),
            ["babble", "acks"] => Order::Babble(Some(Babble::Acks)),
            ["quiet"] => Order::Babble(None),
            ["split"] => Order::Split(true),
            ["whole"] => Order::Split(false),
            _ => return Err(format!("no such order: {line}; see latch-sim reader pn532 --help")),
        })
    }

    pub fn carry_out(self, reader: &Pn532) -> Result<(), String> {
        match self {
            Order::Tap(card, hold) => reader.tap_target(card, hold),
            Order::Put(card) => reader.put_target(card),
            Order::Remove => reader.remove_card(),
            Order::Unplug => reader.unplug(),
            Order::Plug => reader.plug_in().map_err(|error| chain(&error))?,
            Order::Hang(hung) => reader.hang(hung),
            Order::Spoil(how, times) => reader.spoil(how, times),
            Order::Noise(bytes) => reader.noise(&bytes),
            Order::Babble(Some(what)) => reader.babble(what),
            Order::Babble(None) => reader.quiet(),
            Order::Split(split) => reader.split_frames(split),
        }
        Ok(())
    }
}

/// Orders and when they are due, in the order of the file.
#[derive(Debug, Clone)]
pub struct Scenario(Vec<Due>);

/// An order, its words, and how long after the start it is due.
#[derive(Debug, Clone)]
pub struct Due {
    pub after: Duration,
    pub words: String,
    pub order: Order,
}

#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("cannot read the scenario {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: {why}")]
    Line { path: PathBuf, line: usize, why: String },
}

impl Scenario {
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        let file = |source| ScenarioError::File { path: path.into(), source };
        let text = fs::read_to_string(path).map_err(file)?;
        let mut orders: Vec<Due> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let before = orders.last().map_or(Duration::ZERO, |due| due.after);
            let due = due(line, before);
            let wrong = |why| ScenarioError::Line { path: path.into(), line: number + 1, why };
            orders.push(due.map_err(wrong)?);
        }
        Ok(Scenario(orders))
    }

    pub fn into_orders(self) -> impl Iterator<Item = Due> {
        self.0.into_iter()
    }
}

fn due(line: &str, before: Duration) -> Result<Due, String> {
    let (time, words) =
        line.split_once(char::is_whitespace).ok_or("a time and an order are expected, such as 2s remove")?;
    let after = length_of_time(time)?;
    if after < before {
        return Err(format!("{time} is before the line above"));
    }
    let words = words.trim().to_owned();
    Ok(Due { after, order: Order::read(&words)?, words })
}

fn target(word: &str) -> Result<Target, String> {
    let uid: CardUid = word.parse().map_err(|error| chain(&error))?;
    Target::new(uid).map_err(|error| chain(&error))
}

fn spoil(word: &str) -> Result<Spoil, String> {
    let known = || Spoil::ALL.map(|(name, _)| name).join(", ");
    let found = Spoil::ALL.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, how)| *how)
        .ok_or_else(|| format!("{word} is no way to spoil an answer; one of {}", known()))
}

fn number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("{word} is no number of times"))
}

fn hex(word: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> =
        word.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2) && !digits.is_empty());
    let digits = digits.ok_or_else(|| format!("{word} is no bytes in hex, such as 00FF13"))?;
    Ok(digits.chunks(2).map(|two| two.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Result<Scenario, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, text).unwrap();
        let shorten = |error| chain(&error).replace(&path.display().to_string(), "s");
        Scenario::load(&path).map_err(shorten)
    }

    #[test]
    fn every_order_of_the_help_is_one() {
        for line in [
            "tap 01020304",
            "tap 04A1B2C3D4E5F6 2s",
            "put 01020304",
            "remove",
            "unplug",
            "plug",
            "hang",
            "wake",
            "spoil checksum",
            "spoil lost-byte 5",
            "noise 00FF13",
            "babble noise",
            "babble acks",
            "quiet",
            "split",
            "whole",
        ] {
            assert!(Order::read(line).is_ok(), "{line}");
            assert!(HELP.contains(line.split(' ').next().unwrap()), "{line}");
        }
    }

    #[test]
    fn a_wrong_order_says_what_is_wrong() {
        for (line, why) in [
            ("jump", "no such order: jump"),
            ("tap 01", "a UID has 4 to 10 bytes, not 1"),
            ("spoil everything", "everything is no way to spoil an answer; one of checksum, half"),
            ("spoil half often", "often is no number of times"),
            ("noise 0", "0 is no bytes in hex"),
            ("noise xy", "xy is no bytes in hex"),
        ] {
            let said = Order::read(line).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_scenario_is_orders_with_their_times_and_comments() {
        let read =
            scenario("# a day\n10s  tap 01020304 # Anna\n\n  12.5s babble noise\n12.5s quiet\n").unwrap();
        let orders: Vec<_> = read.into_orders().map(|due| (due.after.as_millis(), due.words)).collect();
        let expected = [(10_000, "tap 01020304"), (12_500, "babble noise"), (12_500, "quiet")];
        assert_eq!(orders, expected.map(|(after, words)| (after, words.to_owned())));
    }

    #[test]
    fn a_scenario_with_a_mistake_is_refused_with_its_line() {
        for (text, why) in [
            ("1s remove\nremove\n", "s:2: a time and an order are expected"),
            ("1s remove\nsoon remove\n", "s:2: soon is no length of time"),
            ("2s remove\n1s remove\n", "s:2: 1s is before the line above"),
            ("\n\n1s dance\n", "s:3: no such order: dance"),
        ] {
            let said = scenario(text).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
