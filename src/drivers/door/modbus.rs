//! A relay and input board on Modbus TCP that times its own pulses (Waveshare and kin): a strict wrapper over
//! tokio-modbus, and the one task that talks to the board.
//!
//! ```text
//!            connect, read the inputs                 a command, first of all
//!   down ────────────────────────────► up ──┬──────── a pulse that must have ended: look ──────┐
//!    ▲ ▲    (nothing is driven)        ▲    └──────── the inputs, each `poll` ─────────────────┤
//!    │ └─ back-off; commands fail ──┐  └───────────────────────────────────────────────────────┘
//!    └──────────────────────────────┴── any error, time-out or answer that does not fit
//! ```
//!
//! A strike must not move long after the tap that moved it: while the link is down commands fail at once, and one
//! that waited too long fails as well. None is kept for later.

mod exchange;
mod pulses;
#[cfg(test)]
mod tests;
mod transport;

use std::{convert::Infallible, fmt, io, pin::pin, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc::{self, Receiver, Sender},
    task,
    time::{Instant, sleep, sleep_until, timeout},
};

use self::{
    exchange::{Exchange, Fault},
    pulses::{HoldError, Pulses},
};
use crate::{
    control::{BoardCommand, BoardEvent, Event, Inputs},
    domain::BoardId,
    drivers::{backoff::Backoff, clock, seldom::Seldom},
};

/// Commands that may wait: one for each of a board's coils, of which there are 64 at most.
const WAITING_MAX: usize = 64;
/// A command that waited longer is for a person who has gone.
const AGE_MAX: Duration = Duration::from_millis(1_000);
/// After a pulse's time, before its coil is looked at: the board's clock and ours differ, and so does the line.
const SLACK: Duration = Duration::from_millis(200);
/// Between attempts to switch off a coil that does not drop.
const SWITCH_OFF_RETRY: Duration = Duration::from_millis(500);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_millis(2_000);
/// The most inputs a board may have (`control::Inputs`).
pub const INPUTS_MAX: u8 = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub board: BoardId,
    /// `host:port`.
    pub address: String,
    pub unit: u8,
    /// Function 05 to this plus the coil, with n × 100 ms, is a pulse.
    pub flash_base: u16,
    /// For connecting, and for each answer.
    pub timeout: Duration,
    /// From one reading of the inputs to the next.
    pub poll: Duration,
    /// Coils in use: those below this number.
    pub coils: u8,
    /// Inputs to read: those below this number, at most [`INPUTS_MAX`]; 0 reads one all the same, to see that the
    /// board is there.
    pub inputs: u8,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("board at {address}: no connection: {source}")]
    Connect { address: String, source: io::Error },
    #[error("board at {address}: {source}")]
    Exchange { address: String, source: Fault },
    #[error("the daemon is stopping")]
    Stopping,
}

/// Why a command did not do what it was for. What it says is what the journal gets.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("the board is not connected")]
    Down,
    #[error("it waited longer than {} ms behind other commands", AGE_MAX.as_millis())]
    Stale,
    #[error("no coil {coil} is in use; there are {coils}")]
    NoSuchCoil { coil: u8, coils: u8 },
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error(transparent)]
    Exchange(#[from] Fault),
    #[error("the board echoed the pulse, but coil {0} does not read as driven")]
    NotDriven(u8),
    #[error("the board echoed the switching off, but coil {0} still reads as driven")]
    StillDriven(u8),
}

/// A command that was not taken; nothing further will be said of it.
#[derive(Debug, thiserror::Error)]
#[error("board {board}: {WAITING_MAX} commands are waiting already")]
pub struct Refused {
    pub board: BoardId,
    pub command: BoardCommand,
}

/// A running board. Dropping it ends the task; a pulse that runs is ended by the board.
#[derive(Debug)]
pub struct Handle {
    board: BoardId,
    commands: Sender<(Instant, BoardCommand)>,
    task: task::JoinHandle<()>,
}

impl Handle {
    /// Never waits. What is taken is answered by `Pulsed` or `Secured`, or by `Failed`.
    pub fn command(&self, command: BoardCommand) -> Result<(), Box<Refused>> {
        self.commands.try_send((clock::instant(), command)).map_err(|refused| {
            let (_, command) = refused.into_inner();
            Box::new(Refused { board: self.board.clone(), command })
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the board's task in the current runtime.
pub fn spawn(config: Config, events: Sender<Event>) -> Handle {
    let address = config.address.clone();
    let dial = move || {
        let address = address.clone();
        async move {
            let socket = TcpStream::connect(address).await?;
            // A command is one small segment: it must not wait for the last one's acknowledgement.
            socket.set_nodelay(true)?;
            Ok(socket)
        }
    };
    spawn_over(config, events, dial)
}

fn spawn_over<T, F, C>(config: Config, events: Sender<Event>, dial: C) -> Handle
where
    T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
    C: FnMut() -> F + Send + 'static,
{
    let board = config.board.clone();
    let (sender, commands) = mpsc::channel(WAITING_MAX);
    let driver = Driver {
        config,
        commands,
        events,
        pulses: Pulses::default(),
        link: Link::Untried,
        backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
        stuck: Seldom::default(),
    };
    Handle { board, commands: sender, task: task::spawn(driver.run(dial)) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Untried,
    Up,
    Down,
}

struct Driver {
    config: Config,
    commands: Receiver<(Instant, BoardCommand)>,
    events: Sender<Event>,
    /// Outlives the connection: what ran when the link was lost is looked at when it is back.
    pulses: Pulses,
    link: Link,
    backoff: Backoff,
    stuck: Seldom,
}

impl Driver {
    async fn run<T, F, C>(mut self, mut dial: C)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug + 'static,
        F: Future<Output = io::Result<T>> + Send,
        C: FnMut() -> F + Send,
    {
        loop {
            let error = match self.connect(&mut dial).await {
                Ok((mut board, inputs)) => {
                    let Err(error) = self.serve(&mut board, inputs).await;
                    error
                }
                Err(error) => error,
            };
            if matches!(error, Error::Stopping) || self.lost(&error).await.is_err() {
                return;
            }
            let wait = self.backoff.wait();
            if self.refusing(sleep(wait)).await.is_err() {
                return;
            }
        }
    }

    /// A connection is one once the inputs have been read: a board that hangs still accepts.
    async fn connect<T, F, C>(&mut self, dial: &mut C) -> Result<(Exchange, Inputs), Error>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug + 'static,
        F: Future<Output = io::Result<T>> + Send,
        C: FnMut() -> F + Send,
    {
        let dialled = self.refusing(timeout(self.config.timeout, dial())).await?;
        let socket = dialled
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Connect { address: self.config.address.clone(), source })?;
        let mut board = Exchange::over(socket, self.config.unit, self.config.timeout);
        let inputs = self.refusing(board.inputs(self.input_count())).await?;
        Ok((board, inputs.map_err(|fault| self.broken(fault))?))
    }

    /// Does this while the link is down: commands are refused meanwhile.
    async fn refusing<F: Future>(&mut self, doing: F) -> Result<F::Output, Error> {
        let mut doing = pin!(doing);
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some((_, command)) => self.failed(&command, &CommandError::Down).await?,
                    None => return Err(Error::Stopping),
                },
                done = &mut doing => return Ok(done),
            }
        }
    }

    async fn lost(&mut self, error: &Error) -> Result<(), Error> {
        while let Ok((_, command)) = self.commands.try_recv() {
            self.failed(&command, &CommandError::Down).await?;
        }
        if std::mem::replace(&mut self.link, Link::Down) != Link::Down {
            self.send(BoardEvent::Lost { detail: error.to_string() }).await?;
        }
        Ok(())
    }

    /// One connection, until it is in doubt.
    async fn serve(&mut self, board: &mut Exchange, mut inputs: Inputs) -> Result<Infallible, Error> {
        self.link = Link::Up;
        let detail = format!("Modbus TCP at {}, unit {}", self.config.address, self.config.unit);
        self.send(BoardEvent::Connected { detail, inputs }).await?;
        let mut poll_at = clock::instant() + self.config.poll;
        loop {
            let check = self.pulses.next();
            let check_at = check.map_or(poll_at, |(due, _)| due);
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let (asked_at, command) = command.ok_or(Error::Stopping)?;
                    self.execute(board, asked_at, command).await?;
                }
                () = sleep_until(check_at), if check.is_some() => self.check(board).await?,
                () = sleep_until(poll_at) => {}
            }
            // One poll may go between two commands, so that a run of them hides no door contact.
            if clock::instant() >= poll_at {
                self.poll(board, &mut inputs).await?;
                poll_at = clock::instant() + self.config.poll;
            }
        }
    }

    async fn poll(&mut self, board: &mut Exchange, inputs: &mut Inputs) -> Result<(), Error> {
        let now = board.inputs(self.input_count()).await.map_err(|fault| self.broken(fault))?;
        // Not on connecting: a link that fails with its first command each time must not be tried in haste.
        self.backoff.reset();
        if std::mem::replace(inputs, now) == now { Ok(()) } else { self.send(BoardEvent::Inputs(now)).await }
    }

    async fn execute(
        &mut self,
        board: &mut Exchange,
        asked_at: Instant,
        command: BoardCommand,
    ) -> Result<(), Error> {
        let outcome = match command {
            BoardCommand::Pulse { .. } if clock::instant() - asked_at > AGE_MAX => Err(CommandError::Stale),
            BoardCommand::Pulse { ticket, coil, hold, warrant: _ } => {
                self.pulse(board, coil, hold).await.map(|due| {
                    self.pulses.started(coil, ticket, due);
                    BoardEvent::Pulsed { ticket }
                })
            }
            BoardCommand::Secure { ticket, coil } => {
                self.secure(board, coil).await.map(|()| BoardEvent::Secured { ticket })
            }
        };
        match outcome {
            Ok(done) => self.send(done).await,
            Err(CommandError::Exchange(fault)) if fault.is_in_doubt() => {
                self.failed(&command, &fault).await?;
                Err(self.broken(fault))
            }
            Err(why) => self.failed(&command, &why).await,
        }
    }

    /// Drives the coil and reads it back; when it must have dropped again.
    async fn pulse(
        &mut self,
        board: &mut Exchange,
        coil: u8,
        hold: Duration,
    ) -> Result<Instant, CommandError> {
        let Config { flash_base, coils, .. } = self.config;
        let units = pulses::units(hold)?;
        let address = flash_base.checked_add(u16::from(coil)).filter(|_| coil < coils);
        let address = address.ok_or(CommandError::NoSuchCoil { coil, coils })?;
        let echoed = board.pulse(coil, address, units).await;
        // From here on it may be driven, whatever came back; and from no later than now.
        let due = clock::instant() + pulses::time(units) + SLACK;
        let driven = match echoed {
            Ok(()) => board.coil(coil).await,
            Err(fault) => Err(fault),
        };
        match driven {
            Ok(true) => Ok(due),
            Ok(false) => {
                self.pulses.doubted(coil, due);
                Err(CommandError::NotDriven(coil))
            }
            Err(fault) => {
                self.pulses.doubted(coil, due);
                Err(fault.into())
            }
        }
    }

    /// Switches the coil off and reads it back. What fails is looked at again until it has dropped.
    async fn secure(&mut self, board: &mut Exchange, coil: u8) -> Result<(), CommandError> {
        let coils = self.config.coils;
        if coil >= coils {
            return Err(CommandError::NoSuchCoil { coil, coils });
        }
        self.pulses.cut_short(coil, clock::instant() + SWITCH_OFF_RETRY);
        board.switch_off(coil).await?;
        if board.coil(coil).await? {
            return Err(CommandError::StillDriven(coil));
        }
        self.pulses.ended(coil);
        Ok(())
    }

    /// Looks whether the pulse that is due first has ended, and ends it where it has not.
    async fn check(&mut self, board: &mut Exchange) -> Result<(), Error> {
        let Some((_, coil)) = self.pulses.next() else { return Ok(()) };
        match end(board, coil).await {
            Ok(Some(by_board)) => {
                if !by_board {
                    tracing::error!(board = %self.config.board, coil, "a pulse did not end in time; switched off");
                }
                match self.pulses.ended(coil) {
                    Some(ticket) => self.send(BoardEvent::Ended { ticket, by_board }).await,
                    None => Ok(()),
                }
            }
            Err(fault) if fault.is_in_doubt() => Err(self.broken(fault)),
            stuck => {
                self.pulses.postpone(coil, clock::instant() + SWITCH_OFF_RETRY);
                if let Some(left_out) = self.stuck.may(clock::mono()) {
                    let fault = stuck.err().map(tracing::field::display);
                    tracing::error!(
                        board = %self.config.board, coil, fault, left_out,
                        "a pulse has not ended, and the coil can't be switched off; check the board"
                    );
                }
                Ok(())
            }
        }
    }

    fn broken(&self, source: Fault) -> Error {
        Error::Exchange { address: self.config.address.clone(), source }
    }

    fn input_count(&self) -> u8 {
        self.config.inputs.clamp(1, INPUTS_MAX)
    }

    async fn failed(
        &self,
        command: &BoardCommand,
        why: &(dyn std::error::Error + Sync),
    ) -> Result<(), Error> {
        let ticket = command.ticket();
        self.send(BoardEvent::Failed { ticket, detail: why.to_string() }).await
    }

    async fn send(&self, what: BoardEvent) -> Result<(), Error> {
        let board = self.config.board.clone();
        // Fails only when nobody listens any more.
        self.events.send(Event::Board { board, what }).await.map_err(|_| Error::Stopping)
    }
}

/// Sees to it that the coil is not driven: by the board itself, or else by us. `None`: it still is.
async fn end(board: &mut Exchange, coil: u8) -> Result<Option<bool>, Fault> {
    if !board.coil(coil).await? {
        return Ok(Some(true));
    }
    board.switch_off(coil).await?;
    Ok((!board.coil(coil).await?).then_some(false))
}
