//! A snapshot that is waited for, with how far it has come.

use std::time::Duration;

use latchd::{
    drivers::clock,
    wire::{
        control::{Request, SyncReport},
        outgoing::Want,
    },
};

use super::{Session, typed};
use crate::{client::Patience, failure::Failure, progress::Progress, text};

const EVERY: Duration = Duration::from_millis(250);

impl Session {
    /// Asks for a snapshot, and returns when it is in force, or after so many seconds.
    pub fn resync(&mut self, within_s: u32) -> Result<(), Failure> {
        // First, so that nothing can fail once it is done.
        let site = if self.json { None } else { Some(self.site()?) };
        let until = clock::mono().plus(Duration::from_secs(within_s.into()));
        let mut progress = Progress::begin("waiting for a snapshot");
        let mut answer = self.done(Request::SyncResync, Patience::Prompt)?;
        let report = loop {
            let report: SyncReport = typed(answer.clone())?;
            if !waits(&report) {
                break report;
            }
            let place = text::sync::place(&report);
            if clock::mono() >= until {
                return Err(Failure::StillWaited { what: "no snapshot is in force", within_s, place });
            }
            progress.tell(&place);
            // Nothing comes unasked; a daemon that goes is noticed at once.
            self.client.has_news_within(EVERY)?;
            answer = self.done(Request::Sync, Patience::Prompt)?;
        };
        drop(progress);
        match site {
            None => self.out.json(&answer),
            Some(site) => self.out.text(&text::sync::arrived(&report, &site, self.style)),
        }
    }
}

/// Whether the snapshot that was asked for is not in force yet.
fn waits(report: &SyncReport) -> bool {
    report.want == Want::Snapshot.as_str() || report.snapshot.is_some()
}
