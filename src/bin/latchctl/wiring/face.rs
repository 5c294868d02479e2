//! The technician's side of a wiring test: lines typed at a terminal, and none where nobody sits at one.

use std::{
    io::{self, BufRead, BufReader},
    os::fd::AsFd,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::Failure;

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    Enter,
    Yes,
    No,
    Skip,
    Repeat,
    Quit,
    /// Something else.
    Unclear,
}

fn typed(line: &str) -> Typed {
    match line.trim().to_ascii_lowercase().as_str() {
        "" => Typed::Enter,
        "y" | "yes" => Typed::Yes,
        "n" | "no" => Typed::No,
        "s" | "skip" => Typed::Skip,
        "r" | "repeat" => Typed::Repeat,
        "q" | "quit" => Typed::Quit,
        _ => Typed::Unclear,
    }
}

/// Whoever is asked.
#[derive(Debug)]
pub enum Face {
    /// Somebody at a terminal.
    Person(BufReader<io::Stdin>),
    /// Nobody: a script, which is told what happens and asked nothing.
    Nobody,
}

/// What came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Typed(Typed),
    Heard,
    Nothing,
}

impl Face {
    pub fn is_person(&self) -> bool {
        matches!(self, Face::Person(_))
    }

    /// Waits for a line, or for something to read at `other`, or for this long.
    pub fn wait(&mut self, other: impl AsFd, within: Duration) -> Result<First, Failure> {
        let limit = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        let person = match self {
            Face::Person(stdin) if !stdin.buffer().is_empty() => return self.line().map(First::Typed),
            Face::Person(_) => Some(io::stdin()),
            Face::Nobody => None,
        };
        let mut waited = vec![PollFd::new(&other, PollFlags::IN)];
        waited.extend(person.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::IN)));
        match poll(&mut waited, Some(&limit)) {
            Ok(0) => return Ok(First::Nothing),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(First::Nothing),
            Err(error) => return Err(Failure::Input(error.into())),
        }
        if waited.first().is_some_and(|fd| !fd.revents().is_empty()) {
            return Ok(First::Heard);
        }
        self.line().map(First::Typed)
    }

    /// A line; the end of input is no longer anybody's wish to go on.
    pub fn line(&mut self) -> Result<Typed, Failure> {
        let Face::Person(stdin) = self else { return Ok(Typed::Enter) };
        let mut line = String::new();
        match stdin.read_line(&mut line) {
            Ok(0) => Ok(Typed::Quit),
            Ok(_) => Ok(typed(&line)),
            Err(error) => Err(Failure::Input(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_understood_short_and_long() {
        for (line, meant) in [
            ("\n", Typed::Enter),
            ("y\n", Typed::Yes),
            (" NO \n", Typed::No),
            ("skip\n", Typed::Skip),
            ("r\n", Typed::Repeat),
            ("Q\n", Typed::Quit),
            ("what?\n", Typed::Unclear),
        ] {
            assert_eq!(typed(line), meant, "{line:?}");
        }
    }
}
