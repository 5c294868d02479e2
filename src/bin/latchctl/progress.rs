//! A line on standard error for what takes longer than a second, so that nobody wonders whether it hangs. It goes away
//! when the work is done, and is not there where standard error is no terminal.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use latchd::{domain::Mono, drivers::clock};

use super::{client::Client, failure::Failure};

/// Before that, nothing is said.
const QUIET: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub struct Progress {
    /// `checking the journal`
    what: &'static str,
    begun: Mono,
    said_at: Option<Mono>,
    is_shown: bool,
}

impl Progress {
    pub fn begin(what: &'static str) -> Self {
        Progress { what, begun: clock::mono(), said_at: None, is_shown: stderr().is_terminal() }
    }

    /// Where it is: `event 1200 of 90000`. May be said as often as one likes.
    pub fn tell(&mut self, place: &str) {
        let now = clock::mono();
        let is_due = self.said_at.is_none_or(|at| now.since(at) >= EVERY);
        if !self.is_shown || !is_due || now.since(self.begun) < QUIET {
            return;
        }
        self.said_at = Some(now);
        let line = said(self.what, place, now.since(self.begun));
        // A terminal that does not take it is none of ours to report.
        drop(write!(stderr(), "\r\x1b[K{line}").and_then(|()| stderr().flush()));
    }

    /// Waits for the daemon's next word, and says meanwhile that it is waited for.
    pub fn wait(&mut self, client: &Client, most: Duration) -> Result<(), Failure> {
        let end = clock::mono().plus(most);
        while !client.has_news_within(EVERY)? && clock::mono() < end {
            self.tell("");
        }
        self.clear();
        Ok(())
    }

    /// Takes the line away: something else is to be shown.
    fn clear(&mut self) {
        if self.said_at.take().is_some() {
            drop(write!(stderr(), "\r\x1b[K").and_then(|()| stderr().flush()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn said(what: &str, place: &str, since: Duration) -> String {
    let colon = if place.is_empty() { "" } else { ": " };
    format!("{what}{colon}{place} ({} s)", since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_where_and_since_when() {
        let since = Duration::from_millis(3900);
        assert_eq!(said("checking the journal", "", since), "checking the journal (3 s)");
        assert_eq!(said("writing", "event 12 of 90", since), "writing: event 12 of 90 (3 s)");
    }

    #[test]
    fn nothing_is_said_of_what_is_done_at_once() {
        let mut progress = Progress { what: "x", begun: clock::mono(), said_at: None, is_shown: true };
        progress.tell("y");
        assert_eq!(progress.said_at, None);
    }
}
