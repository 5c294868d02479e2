//! How a verb that stands in for a device lives: until SIGINT or SIGTERM, so that what it made (a socket, a link) is
//! removed again, saying meanwhile what happens.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Returns at SIGINT or SIGTERM, or when `limit` is over.
pub fn told_to_stop(limit: Option<Duration>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let over = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = over => {}
        }
        Ok(())
    })
}

/// A line on standard output. A reader that went away is no reason to stop simulating.
pub fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A length of time as people write it: `2`, `2s`, `0.5s`, `800ms`.
pub fn length_of_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds: Option<f64> = number.trim().parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds * unit).ok())
        .ok_or_else(|| format!("{text} is no length of time; write 2s or 800ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_and_without_unit() {
        for (text, millis) in [("2", 2000), ("2s", 2000), ("0.5s", 500), ("800ms", 800)] {
            assert_eq!(length_of_time(text), Ok(Duration::from_millis(millis)));
        }
        for text in ["", "s", "-1s", "soon", "1e99"] {
            assert!(length_of_time(text).is_err(), "{text}");
        }
    }
}
