//! Drives the chip in real time: the pty's bytes in, the chip's bytes out, its deadlines. Whoever puts a card in the
//! field writes the chip's answer at once, under the same lock; the thread is only for what comes from the host or
//! from the clock.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::chip::{Chip, Seen};
use crate::pty::{Pty, PtyError};
use crate::time;
use crate::watched::Watched;

/// What a host that doesn't read can leave unread, beyond the kernel's own buffer; the rest is lost, as on a UART.
const UNSENT_MAX: usize = 16 * 1024;
/// Between two bytes in split mode, and until a full pty is tried again.
const BYTE_TAKES: Duration = Duration::from_millis(1);
/// A pty that nobody has open hangs up all the time: how often to look whether somebody has.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The chip with its line.
#[derive(Debug)]
pub(super) struct Line {
    pub chip: Chip,
    pub split: bool,
    pub ending: bool,
    pty: Option<Arc<Pty>>,
    /// Nobody has this pty open any more.
    hung_up: bool,
    host_open: bool,
    unsent: VecDeque<u8>,
    next_byte: Option<Instant>,
}

impl Line {
    pub fn new(try_takes: Duration) -> Self {
        Self {
            chip: Chip::new(try_takes),
            split: false,
            ending: false,
            pty: None,
            hung_up: false,
            host_open: false,
            unsent: VecDeque::new(),
            next_byte: None,
        }
    }

    pub fn plug(&mut self, now: Instant, path: &Path) -> Result<(), PtyError> {
        if self.pty.is_none() {
            self.pty = Some(Arc::new(Pty::open(path)?));
            self.hung_up = false;
            self.chip.power_up();
            self.chip.record.add(now, Seen::Plugged);
        }
        Ok(())
    }

    pub fn unplug(&mut self, now: Instant) {
        if let Some(pty) = self.pty.take() {
            // The thread may hold the device a moment longer; the path goes now.
            pty.unlink();
            self.set_host_open(now, false);
            self.chip.power_up();
            self.chip.record.add(now, Seen::Unplugged);
        }
    }

    /// Has the chip do something and sends what it says.
    pub fn say(&mut self, now: Instant, chip: impl FnOnce(&mut Chip) -> Vec<u8>) {
        let said = chip(&mut self.chip);
        let room = UNSENT_MAX.saturating_sub(self.unsent.len());
        self.unsent.extend(said.into_iter().take(room));
        self.send(now);
    }

    fn set_host_open(&mut self, now: Instant, open: bool) {
        if std::mem::replace(&mut self.host_open, open) == open {
            return;
        }
        self.chip.record.add(now, if open { Seen::HostOpened } else { Seen::HostClosed });
        self.unsent.clear();
    }

    fn send(&mut self, now: Instant) {
        if self.next_byte.is_some_and(|next| next > now) {
            return;
        }
        self.next_byte = None;
        let Some(pty) = self.pty.as_ref().filter(|_| self.host_open) else {
            // Nobody listens: what is said is lost.
            self.unsent.clear();
            return;
        };
        while !self.unsent.is_empty() {
            let most = if self.split { 1 } else { self.unsent.len() };
            let bytes = self.unsent.make_contiguous();
            match rustix::io::write(&pty.master, bytes.get(..most).unwrap_or_default()) {
                Ok(sent) => {
                    self.unsent.drain(..sent);
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.next_byte = Some(now + BYTE_TAKES);
                    return;
                }
                Err(_) => self.unsent.clear(),
            }
            if self.split && !self.unsent.is_empty() {
                self.next_byte = Some(now + BYTE_TAKES);
                return;
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        [self.chip.next_deadline(), self.next_byte].into_iter().flatten().min()
    }
}

/// The thread: until the line is ending.
pub(super) fn drive(line: &Watched<Line>, woken: &UnixStream) {
    while !line.look(|line| line.ending) {
        let (pty, hung_up, deadline) =
            line.look(|line| (line.pty.clone(), line.hung_up, line.next_deadline()));
        let listened = pty.as_ref().filter(|_| !hung_up);
        let look = hung_up.then_some(LOOK_EVERY);
        let ready = wait(woken, listened.map(|pty| &**pty), deadline, look);
        drain(woken);
        if let Some(pty) = pty.filter(|_| ready || hung_up) {
            receive(line, &pty);
        }
        line.change(|line| {
            let now = time::now();
            line.say(now, |chip| chip.advance(now));
        });
    }
}

/// Waits for the waker, the host or the clock; whether the host has something.
fn wait(woken: &UnixStream, pty: Option<&Pty>, deadline: Option<Instant>, look: Option<Duration>) -> bool {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(time::now()));
    let limit = [left, look].into_iter().flatten().min();
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let waker = PollFd::new(woken, PollFlags::IN);
    match pty {
        Some(pty) => {
            let mut both = [waker, PollFd::new(&pty.master, PollFlags::IN)];
            // A signal: everything is looked at again.
            let _ = poll(&mut both, limit.as_ref());
            both.last().is_some_and(|pty| !pty.revents().is_empty())
        }
        None => {
            let _ = poll(&mut [waker], limit.as_ref());
            false
        }
    }
}

fn drain(mut woken: &UnixStream) {
    let mut waste = [0; 64];
    while matches!(woken.read(&mut waste), Ok(read) if read > 0) {}
}

/// Reads what the host sent, and sees whether anybody has the line open.
fn receive(line: &Watched<Line>, pty: &Arc<Pty>) {
    let mut bytes = [0; 512];
    let read = rustix::io::read(&pty.master, &mut bytes);
    line.change(|line| {
        if !line.pty.as_ref().is_some_and(|now| Arc::ptr_eq(now, pty)) {
            // Unplugged meanwhile.
            return;
        }
        let now = time::now();
        line.hung_up = !matches!(read, Ok(_) | Err(Errno::AGAIN | Errno::INTR));
        line.set_host_open(now, !line.hung_up);
        if let Ok(read) = read {
            line.say(now, |chip| chip.receive(now, bytes.get(..read).unwrap_or_default()));
        }
    });
}
