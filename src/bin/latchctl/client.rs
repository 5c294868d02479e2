//! The connection to the daemon: requests out, answers in, each a bounded line, none waited for without a limit but
//! those that have no end.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use latchd::wire::control::{Answer, Envelope, MAX_LINE, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
    sockopt::{Timeout, set_socket_timeout},
};
use serde_json::Value;

use super::{failure::Failure, progress::Progress};

/// How long to wait for each line of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// What the daemon answers from memory, or after one exchange with a board.
    Prompt,
    /// What waits for somebody to hold a card to a reader, for so many seconds.
    Card(u32),
    /// What reads the whole journal from disk.
    Long,
    /// A stream that goes on until one side ends.
    Endless,
}

impl Patience {
    fn limit(self) -> Option<Duration> {
        match self {
            Patience::Prompt => Some(Duration::from_secs(10)),
            Patience::Card(within_s) => Some(Duration::from_secs(u64::from(within_s) + 10)),
            Patience::Long => Some(Duration::from_secs(1800)),
            Patience::Endless => None,
        }
    }
}

#[derive(Debug)]
pub struct Client {
    socket: String,
    from: BufReader<UnixStream>,
    to: UnixStream,
    patience: Patience,
    /// Whether the last request could not be sent whole. The daemon may have said why before it hung up.
    unsent: bool,
    /// Whether some of the answer under way has come.
    begun: bool,
}

impl Client {
    pub fn connect(path: &Path) -> Result<Self, Failure> {
        let socket = path.display().to_string();
        match connected(path) {
            Ok(stream) => Client::over(stream, socket),
            Err(error) => Err(unreachable_because(&socket, &error)),
        }
    }

    fn over(to: UnixStream, socket: String) -> Result<Self, Failure> {
        let from = to.try_clone().map_err(|e| unreachable_because(&socket, &e))?;
        let from = BufReader::with_capacity(1 << 16, from);
        let patience = Patience::Endless;
        let mut client = Client { socket, from, to, patience, unsent: false, begun: false };
        client.wait(Patience::Prompt)?;
        Ok(client)
    }

    /// Sends one request; its answers are read with [`Client::next`].
    pub fn send(&mut self, request: Request, patience: Patience) -> Result<(), Failure> {
        self.wait(patience)?;
        self.begun = false;
        let line = line(request)?;
        self.unsent = self.to.write_all(&line).is_err();
        Ok(())
    }

    /// Sends a request, hands over its items, and returns what ends the answer.
    pub fn ask(
        &mut self,
        request: Request,
        patience: Patience,
        each: &mut dyn FnMut(Value) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        self.send(request, patience)?;
        let mut progress =
            (patience == Patience::Long).then(|| Progress::begin("latchd is reading its files"));
        loop {
            if let Some((progress, most)) = progress.as_mut().zip(patience.limit()) {
                progress.wait(self, most)?;
            }
            match self.next()? {
                Answer::Item(item) => each(item)?,
                Answer::Done(done) => return Ok(done),
                Answer::Error(refusal) => return Err(Failure::refused(refusal)),
            }
        }
    }

    /// The next line of an answer. Kinds of lines that a newer daemon has are passed over.
    pub fn next(&mut self) -> Result<Answer, Failure> {
        loop {
            let line = self.line()?;
            self.begun = true;
            if let Ok(answer) = serde_json::from_slice(&line) {
                return Ok(answer);
            }
            self.pass_over(&line)?;
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Failure> {
        let mut line = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        match self.from.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(_) => {}
            Err(error) => return Err(self.lost(&error)),
        }
        if line.last() == Some(&b'\n') {
            return Ok(line);
        }
        if line.len() > MAX_LINE {
            return Err(Failure::Unreadable(format!("a line longer than {MAX_LINE} bytes")));
        }
        self.begun |= !line.is_empty();
        Err(self.closed())
    }

    /// A line that is none of ours: of a newer daemon, or not latchd's at all.
    fn pass_over(&self, line: &[u8]) -> Result<(), Failure> {
        let value: Option<Value> = serde_json::from_slice(line).ok();
        let Some(object) = value.as_ref().and_then(Value::as_object).filter(|o| o.len() == 1) else {
            return Err(Failure::NotLatchd { socket: self.socket.clone() });
        };
        if ["item", "done", "error"].iter().any(|known| object.contains_key(*known)) {
            let broken = serde_json::from_slice::<Answer>(line).err();
            return Err(Failure::Unreadable(broken.map(|e| e.to_string()).unwrap_or_default()));
        }
        Ok(())
    }

    /// The one document of an answer without items.
    pub fn answer(&mut self) -> Result<Value, Failure> {
        match self.next()? {
            Answer::Done(done) => Ok(done),
            Answer::Item(_) => Err(Failure::Unreadable("an item where none belongs".into())),
            Answer::Error(refusal) => Err(Failure::refused(refusal)),
        }
    }

    /// What answers come from, to be waited for beside something else.
    pub fn reading(&self) -> &UnixStream {
        &self.to
    }

    /// Whether something has come, or comes within this time.
    pub fn has_news_within(&self, within: Duration) -> Result<bool, Failure> {
        if self.has_line() {
            return Ok(true);
        }
        let limit = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.to, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(unreachable_because(&self.socket, &error.into())),
        }
    }

    /// Whether the next answer has already come, as far as can be told without waiting.
    pub fn has_line(&self) -> bool {
        self.from.buffer().contains(&b'\n')
    }

    /// Where the daemon's socket is.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// The sending half, for a thread that asks while this one reads.
    pub fn sender(&self) -> Result<UnixStream, Failure> {
        self.to.try_clone().map_err(|e| unreachable_because(&self.socket, &e))
    }

    fn wait(&mut self, patience: Patience) -> Result<(), Failure> {
        if self.patience != patience {
            self.to.set_read_timeout(patience.limit()).map_err(|e| unreachable_because(&self.socket, &e))?;
            self.patience = patience;
        }
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let socket = self.socket.clone();
        match (error.kind(), self.patience.limit()) {
            (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, Some(limit)) if !self.unsent => {
                Failure::Silent { socket, limit_s: limit.as_secs() }
            }
            (_, _) => self.closed(),
        }
    }

    fn closed(&self) -> Failure {
        let when = if self.begun { "in the middle of its answer" } else { "without an answer" };
        Failure::Closed { socket: self.socket.clone(), when }
    }
}

/// Connects, with a limit: a daemon that is stuck takes no connection once its queue of them is full.
fn connected(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    set_socket_timeout(&socket, Timeout::Send, Patience::Prompt.limit())?;
    rustix::net::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

/// A request as the line that asks it.
pub fn line(request: Request) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(&Envelope::of(request, login()))
        .map_err(|e| Failure::Usage(format!("cannot write the request: {e}")))?;
    line.push(b'\n');
    Ok(line)
}

/// Who logged in and became root since, as by `sudo`: what the kernel's audit calls `auid`. The daemon can't look: other
/// users' processes are hidden from it.
fn login() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    // The kernel's word for nobody: a service's process.
    let uid = text.trim().parse().ok().filter(|login| ![0, u32::MAX].contains(login))?;
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    Some(user.map_or_else(|| format!("uid {uid}"), |user| format!("{} ({uid})", user.name)))
}

fn unreachable_because(socket: &str, error: &io::Error) -> Failure {
    let socket = socket.to_owned();
    // Kinds are open-ended: what is not told apart keeps the system's words.
    let why = if error.kind() == io::ErrorKind::PermissionDenied {
        return Failure::SocketDenied { socket };
    } else if error.kind() == io::ErrorKind::NotFound {
        "no such file".to_owned()
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        "connection refused, nothing listens on it".to_owned()
    } else if error.kind() == io::ErrorKind::WouldBlock {
        let limit = Patience::Prompt.limit().map_or(0, |limit| limit.as_secs());
        return Failure::Silent { socket, limit_s: limit };
    } else {
        error.to_string()
    };
    Failure::Unreachable { socket, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Client, UnixStream) {
        let (ours, daemons) = UnixStream::pair().unwrap();
        (Client::over(ours, "/s".into()).unwrap(), daemons)
    }

    #[test]
    fn a_daemon_that_says_nothing_is_not_waited_for_without_end() {
        let (mut client, _daemon) = pair();
        assert_eq!(client.to.read_timeout().unwrap(), Some(Duration::from_secs(10)));
        client.to.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let failure = client.ask(Request::Status, Patience::Prompt, &mut |_| Ok(())).unwrap_err();
        assert_eq!(failure.status(), 3);
        assert!(failure.to_string().starts_with("the daemon at /s gave no answer within 10 s;"), "{failure}");
        client.wait(Patience::Endless).unwrap();
        assert_eq!(client.to.read_timeout().unwrap(), None);
    }

    #[test]
    fn what_the_daemon_said_before_it_hung_up_is_read() {
        let (mut client, mut daemon) = pair();
        daemon.write_all(b"{\"error\":{\"code\":\"not_permitted\",\"message\":\"no\"}}\n").unwrap();
        drop(daemon);
        let failure = client.ask(Request::Status, Patience::Prompt, &mut |_| Ok(())).unwrap_err();
        assert_eq!((failure.status(), failure.to_string().as_str()), (4, "no"));
        assert!(matches!(client.next(), Err(Failure::Closed { .. })));
    }

    #[test]
    fn a_line_without_a_limit_is_not_read() {
        let (mut client, mut daemon) = pair();
        let feeder = std::thread::Builder::new();
        let feeder = feeder.spawn(move || daemon.write_all(&vec![b' '; MAX_LINE + 2])).unwrap();
        let failure = client.next().unwrap_err();
        assert!(failure.to_string().contains("a line longer than 1048576 bytes"), "{failure}");
        drop(client);
        let _ = feeder.join().unwrap();
    }

    #[test]
    fn a_socket_that_may_not_be_opened_is_not_permitted() {
        let failure = unreachable_because("/s", &io::ErrorKind::PermissionDenied.into());
        assert_eq!(failure.status(), 4);
        assert!(failure.to_string().contains("/s: permission denied"), "{failure}");
        assert_eq!(unreachable_because("/s", &io::ErrorKind::NotFound.into()).status(), 3);
    }
}
