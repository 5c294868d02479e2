//! Another program's word, waited for with a limit.

use std::{
    io::Read as _,
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

/// Most of it that is read, in bytes.
const MOST: u64 = 4 << 20;

/// What a program prints, if it is there and ends in time. Its errors are none of ours.
pub fn said(program: &str, arguments: &[&str], within: Duration) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.env("LC_ALL", "C").spawn().ok()?;
    let out = child.stdout.take()?;
    let (read, reads) = channel();
    let reader = thread::Builder::new().name(program.into()).spawn(move || {
        let mut bytes = Vec::new();
        let is_read = out.take(MOST).read_to_end(&mut bytes).is_ok();
        drop(read.send(is_read.then_some(bytes)));
    });
    let bytes = reader.ok().and_then(|_| reads.recv_timeout(within).ok()).flatten();
    // It has ended, or is ended.
    drop(child.kill());
    drop(child.wait());
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_or_is_not_there_is_not_waited_for() {
        let long = Duration::from_secs(10);
        assert_eq!(said("echo", &["well"], long).as_deref(), Some("well\n"));
        assert_eq!(said("no-such-program-here", &[], long), None);
        assert_eq!(said("sleep", &["1000"], Duration::from_millis(50)), None);
    }
}
