//! Why a verb was not done: one sentence for people, and the exit status scripts go by (operator, "latchctl").

use std::{io, path::PathBuf};

use latchd::wire::control::{Code, Refusal};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("daemon not reachable at {socket}: {why}; is latchd running? (systemctl status latchd)")]
    Unreachable { socket: String, why: String },
    #[error(
        "not permitted to reach the daemon at {socket}: permission denied; this takes membership of an operators' group, by default \
         latch-observer, latch-technician or latch-admin (`id` shows yours; a new one counts from the next login)"
    )]
    SocketDenied { socket: String },
    #[error(
        "the daemon at {socket} closed the connection {when}; did it stop or restart? (systemctl status latchd)"
    )]
    Closed { socket: String, when: &'static str },
    #[error("what answers at {socket} is not latchd; is that the `socket` of latchd.toml? (--socket PATH)")]
    NotLatchd { socket: String },
    #[error("the daemon at {socket} gave no answer within {limit_s} s; is it stuck? (journalctl -u latchd)")]
    Silent { socket: String, limit_s: u64 },
    #[error(
        "the daemon did not understand the request ({0}); latchd is likely of another version than this latchctl, \
         {VERSION}: compare with latchd --version, and restart latchd after an upgrade"
    )]
    OtherProtocol(String),
    #[error(
        "cannot read the daemon's answer: {0}; latchd is likely of another version than this latchctl, {VERSION}: \
         compare with latchd --version, and restart latchd after an upgrade"
    )]
    Unreadable(String),
    #[error("{}", .0.message)]
    Refused(Refusal),
    #[error("{0}")]
    Usage(String),
    #[error("{failed} of {asked} {what}; each says why in its place")]
    Some { failed: u64, asked: u64, what: &'static str },
    #[error("{what} after {within_s} s: {place}; it goes on without this command (latchctl sync)")]
    StillWaited { what: &'static str, within_s: u32, place: String },
    #[error("cannot compare with {}: {why}", .path.display())]
    Checkpoints { path: PathBuf, why: String },
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    #[error("cannot {doing} {}: {error}", .path.display())]
    File { doing: &'static str, path: PathBuf, error: io::Error },
    #[error("cannot write the answer to standard output: {0}")]
    Output(io::Error),
    /// What is wrong stands in the answer.
    #[error("something is wrong")]
    Told,
    /// Whoever read our output has seen enough (`| head`): nothing failed.
    #[error("standard output was closed")]
    EnoughSeen,
}

impl Failure {
    /// A daemon's refusal, told apart by whether the two programs understand each other.
    pub fn refused(refusal: Refusal) -> Self {
        match refusal.code {
            Code::Usage => Failure::OtherProtocol(refusal.message),
            Code::Failed | Code::NotPermitted | Code::NotFound => Failure::Refused(refusal),
        }
    }

    /// Whether the daemon said that the caller may not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Failure::Refused(refusal) if refusal.code == Code::NotPermitted)
    }

    /// From writing standard output.
    pub fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Failure::EnoughSeen } else { Failure::Output(error) }
    }

    /// What to tell, if anything.
    pub fn sentence(&self) -> Option<String> {
        if matches!(self, Failure::EnoughSeen | Failure::Told) { None } else { Some(self.to_string()) }
    }

    /// 0 done · 1 refused or failed · 2 usage · 3 daemon not reachable · 4 not permitted · 5 no such thing.
    pub fn status(&self) -> u8 {
        match self {
            Failure::EnoughSeen => 0,
            Failure::Unreadable(_)
            | Failure::Some { .. }
            | Failure::StillWaited { .. }
            | Failure::File { .. }
            | Failure::Told
            | Failure::Checkpoints { .. }
            | Failure::Input(_)
            | Failure::Output(_) => 1,
            Failure::OtherProtocol(_) | Failure::Usage(_) => 2,
            Failure::Unreachable { .. }
            | Failure::Closed { .. }
            | Failure::NotLatchd { .. }
            | Failure::Silent { .. } => 3,
            Failure::SocketDenied { .. } => 4,
            Failure::Refused(refusal) => match refusal.code {
                Code::Failed => 1,
                Code::Usage => 2,
                Code::NotPermitted => 4,
                Code::NotFound => 5,
            },
        }
    }
}
