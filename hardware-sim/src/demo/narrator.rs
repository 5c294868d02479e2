//! Prints the day as it happens, and counts what was as it should be and what was not.

use chrono::{DateTime, Local, Utc};
use std::io::{self, IsTerminal, Write};

/// Whether to use colour when standard output is a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal.
    Auto,
    /// Not at all (`NO_COLOR`).
    Never,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "1;31";

/// The voice of the demo.
#[derive(Debug)]
pub struct Narrator {
    colour: bool,
    checks: usize,
    failures: usize,
}

impl Narrator {
    /// One that has said nothing yet.
    #[must_use]
    pub fn new(colour: Colour) -> Narrator {
        let colour = colour == Colour::Auto && io::stdout().is_terminal();
        Narrator { colour, checks: 0, failures: 0 }
    }

    /// Checks made so far.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// Checks that failed so far.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// A part of the day begins.
    pub fn heading(&self, text: &str) {
        self.line(&format!("\n{}", self.paint(BOLD, text)));
    }

    /// A fact about the site.
    pub fn fact(&self, name: &str, value: &str) {
        self.line(&format!("  {name:<9} {}", self.paint(DIM, value)));
    }

    /// Somebody does something, now.
    pub fn act(&self, actor: &str, what: &str) {
        self.line(&format!("{}  {:<9} {what}", clock(crate::wait::wall_now()), actor));
    }

    /// What was seen is what it should be, or not; then `seen` says what it is instead.
    pub fn check(&mut self, expected: &str, seen: Result<(), String>) {
        self.checks += 1;
        let line = match seen {
            Ok(()) => format!("{} {expected}", self.paint(GREEN, "✓")),
            Err(instead) => {
                self.failures += 1;
                format!("{} {}", self.paint(RED, "✗"), self.paint(RED, &format!("{expected}: {instead}")))
            }
        };
        self.line(&format!("                    {line}"));
    }

    /// A line as it is. Nobody reading is no reason to end the day half-way.
    pub fn line(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// An instant as people at this machine read it.
#[must_use]
pub fn clock(instant: DateTime<Utc>) -> String {
    instant.with_timezone(&Local).format("%H:%M:%S").to_string()
}

/// `Ok` if it holds, or else what is the case instead.
///
/// # Errors
/// It does not hold.
pub fn holds(condition: bool, instead: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(instead()) }
}
