//! `latchd clock FILE`: asks the kernel about its clock once a second and writes it down, for a daemon that may not ask.
//!
//! A process of its own (`systemd/latchd-clock.service`): it has no network, no device and no state, and so the one
//! that has them needs no call that could set a clock.

use std::{convert::Infallible, io, path::Path, path::PathBuf};

use sd_notify::NotifyState;

use crate::drivers::clock_told;

#[derive(Debug, thiserror::Error)]
#[error("can't write down in {file} how the clock is: {error}", file = .file.display())]
pub struct ClockError {
    file: PathBuf,
    error: io::Error,
}

/// Goes on until it is ended, or can't.
///
/// # Errors
/// The kernel does not answer, or the file can't be written.
pub fn tell(file: &Path) -> Result<Infallible, ClockError> {
    let tell = || clock_told::tell(file).map_err(|error| ClockError { file: file.to_owned(), error });
    tell()?;
    say(NotifyState::Ready);
    loop {
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing else is to be done, and a signal ends it at once"
        )]
        std::thread::sleep(clock_told::EVERY);
        tell()?;
        say(NotifyState::Watchdog);
    }
}

/// Without systemd there is nobody to tell.
fn say(word: NotifyState<'_>) {
    let _nobody = sd_notify::notify(&[word]);
}
