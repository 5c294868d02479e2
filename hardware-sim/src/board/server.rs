//! The boards' side of a line: what comes on it, in order, for whichever unit it is, and the faults a test asked for.
//! It also keeps the boards' own time, so that a pulse ends with nobody connected.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::frame::{Exception, Frame, Request, bits_pdu, echo_pdu};
use super::plant::{Happening, Plant};
use super::rtu;
use super::stream::Stream;
use crate::pty::Pty;
use crate::record::Record;
use crate::time;
use crate::watched::Watched;

/// Such boards have 4 to 8 sockets; a few more, since a test may leave some half closed.
const CLIENTS_MAX: usize = 16;
/// On RTU, what is in doubt is thrown away after such a silence.
const SILENCE: Duration = Duration::from_millis(20);

/// What a board on TCP does with a frame for another unit. On a bus nobody answers for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WrongUnit {
    /// Exception 0B, as a gateway whose target does not respond.
    #[default]
    Refuse,
    /// No answer, as a device that is addressed as somebody else.
    Ignore,
}

/// How fast a line is: what its bytes take, and how long a board thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub baud: u32,
    /// Of a byte on the line: start, data, parity, stop.
    pub bits: u32,
    pub turnaround: Duration,
}

impl Rate {
    /// 8N1, and boards that answer within 2 ms.
    #[must_use]
    pub fn of(baud: u32) -> Self {
        Self { baud, bits: 10, turnaround: Duration::from_millis(2) }
    }

    fn takes(&self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(u64::from(self.bits));
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(self.baud.max(1)))
    }
}

/// What is wrong with a board just now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub silent: bool,
    pub wrong_echo_once: bool,
    pub lie_about_writes: bool,
    pub late: Duration,
    pub write_delay: Duration,
    pub refuse: Option<u8>,
    /// Answers break off in the middle.
    pub short: bool,
    /// The next answer has a wrong bit in it.
    pub damaged_once: bool,
    /// Answers go out under another unit's number.
    pub answers_as: Option<u8>,
}

/// The model and all that is counted about it.
#[derive(Debug)]
pub(super) struct State {
    pub plant: Plant,
    pub faults: Faults,
    pub frames: u64,
    pub clients: usize,
}

/// What a board shares between the line's thread and its owner.
#[derive(Debug)]
pub(super) struct Shared {
    pub state: Watched<State>,
    /// Rung whenever a deadline may have come nearer; the line's.
    pub sooner: Arc<Notify>,
    pub unit: u8,
}

impl Shared {
    /// Changes the plant at this instant, with everything that was due before already done.
    pub fn act<R>(&self, act: impl FnOnce(&mut State, Instant) -> R) -> R {
        let result = self.state.change(|state| {
            let now = time::now();
            state.plant.advance(now);
            act(state, now)
        });
        self.sooner.notify_one();
        result
    }
}

/// A request as it came over the line, whoever it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub unit: u8,
    pub function: u8,
}

/// The line, as its thread knows it.
#[derive(Debug)]
pub(super) struct Bus {
    pub asked: Arc<Watched<Record<Asked>>>,
    pub units: Vec<Arc<Shared>>,
    pub sooner: Arc<Notify>,
    pub is_rtu: bool,
    pub rate: Option<Rate>,
    pub wrong_unit: WrongUnit,
}

/// Where it listens.
#[derive(Debug)]
pub(super) enum Port {
    Tcp(StdListener),
    Pty(Pty),
}

/// What the owner asks of the line; each is answered when it is done.
#[derive(Debug)]
pub(super) enum Command {
    DropConnections(SyncSender<()>),
    Stop(SyncSender<()>),
    Restart(Port, SyncSender<()>),
}

/// Runs until the owner is gone.
pub(super) async fn serve(bus: Arc<Bus>, port: Port, mut commands: mpsc::Receiver<Command>) {
    let mut clients = JoinSet::new();
    let mut listener = open(port, &bus, &mut clients);
    loop {
        let deadlines =
            bus.units.iter().filter_map(|unit| unit.state.look(|state| state.plant.next_deadline()));
        let deadline = deadlines.min();
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::DropConnections(done)) => {
                    clients.shutdown().await;
                    let _ = done.try_send(());
                }
                Some(Command::Stop(done)) => {
                    listener = None;
                    clients.shutdown().await;
                    let _ = done.try_send(());
                }
                Some(Command::Restart(again, done)) => {
                    listener = open(again, &bus, &mut clients);
                    let _ = done.try_send(());
                }
            },
            stream = accept(listener.as_ref()) => {
                // Too many: the new one is closed at once, as such boards do.
                // A few dozen bytes at a time: Nagle would hold each answer back.
                if clients.len() < CLIENTS_MAX && stream.set_nodelay(true).is_ok() {
                    let present = Present::new(Arc::clone(&bus));
                    clients.spawn(Conversation::new(Stream::Tcp(stream), &bus, Some(present)).run());
                }
            }
            Some(_) = clients.join_next() => {}
            () = until(deadline) => bus.units.iter().for_each(|unit| unit.act(|_, _| ())),
            () = bus.sooner.notified() => {}
        }
    }
}

/// A pty is talked to from now on; a listener is to be accepted from.
fn open(port: Port, bus: &Arc<Bus>, clients: &mut JoinSet<()>) -> Option<TcpListener> {
    match port {
        Port::Tcp(listener) => TcpListener::from_std(listener).ok(),
        Port::Pty(pty) => {
            if let Ok(stream) = Stream::pty(pty) {
                clients.spawn(Conversation::new(stream, bus, None).run());
            }
            None
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Out of descriptors or a client that gave up: the board must not spin on it.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Counts a client for as long as its task lives, also when that is cut off.
#[derive(Debug)]
struct Present(Arc<Bus>);

impl Present {
    fn new(bus: Arc<Bus>) -> Self {
        for unit in &bus.units {
            unit.act(|state, now| {
                state.clients += 1;
                state.plant.record.add(now, Happening::ClientConnected);
            });
        }
        Self(bus)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        for unit in &self.0.units {
            unit.act(|state, now| {
                state.clients = state.clients.saturating_sub(1);
                state.plant.record.add(now, Happening::ClientLeft);
            });
        }
    }
}

/// One client, or one serial line: a board answers one request after the other, however they arrive; on a bus a late
/// one keeps no other waiting.
struct Conversation {
    stream: Stream,
    bus: Arc<Bus>,
    buffer: Vec<u8>,
    /// When what is in the buffer is given up.
    silent_at: Option<Instant>,
    answers: Vec<Answer>,
    _present: Option<Present>,
}

struct Answer {
    due: Instant,
    unit: u8,
    bytes: Vec<u8>,
}

impl Conversation {
    fn new(stream: Stream, bus: &Arc<Bus>, present: Option<Present>) -> Self {
        let (bus, buffer, answers) = (Arc::clone(bus), Vec::new(), Vec::new());
        Self { stream, bus, buffer, silent_at: None, answers, _present: present }
    }

    async fn run(mut self) {
        loop {
            let due = self.answers.iter().map(|answer| answer.due).min();
            let going_on = tokio::select! {
                heard = self.stream.read(&mut self.buffer) => {
                    if !heard {
                        return;
                    }
                    self.hear().await
                }
                () = until(due) => self.answer_due().await,
                () = until(self.silent_at) => {
                    self.buffer.clear();
                    self.silent_at = None;
                    Ok(())
                }
            };
            if going_on.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self) -> io::Result<()> {
        while let Some((frame, length)) = self.take()? {
            let came = time::now() + self.bus.rate.map_or(Duration::ZERO, |rate| rate.takes(length));
            if self.bus.rate.is_some() {
                tokio::time::sleep_until(came.into()).await;
            }
            let function = frame.pdu.first().copied().unwrap_or_default();
            self.bus.asked.change(|asked| asked.add(came, Asked { unit: frame.unit, function }));
            if let Some((pdu, shown, late)) = respond(&self.bus, &frame).await {
                self.answer(&frame, pdu, shown, came, late);
                self.answer_due().await?;
            }
        }
        self.silent_at = (self.bus.is_rtu && !self.buffer.is_empty()).then(|| time::now() + SILENCE);
        Ok(())
    }

    /// The next request, and its length on the line.
    fn take(&mut self) -> io::Result<Option<(Frame, usize)>> {
        let before = self.buffer.len();
        let frame = if self.bus.is_rtu {
            rtu::take(&mut self.buffer).unwrap_or_else(|_| {
                self.buffer.clear();
                None
            })
        } else {
            Frame::take(&mut self.buffer).map_err(|error| {
                tracing::warn!(%error, "client dropped: its stream is not Modbus TCP");
                io::ErrorKind::InvalidData
            })?
        };
        Ok(frame.map(|frame| (frame, before - self.buffer.len())))
    }

    fn answer(&mut self, to: &Frame, pdu: Vec<u8>, shown: Shown, came: Instant, late: Duration) {
        let frame = Frame { transaction: to.transaction, unit: shown.unit, pdu };
        let mut bytes = if self.bus.is_rtu { rtu::to_bytes(&frame) } else { frame.to_bytes() };
        if shown.damaged
            && let Some(bit) = bytes.iter_mut().rev().nth(3)
        {
            *bit ^= 0x10;
        }
        if shown.short {
            bytes.truncate(bytes.len() / 2 + 1);
        }
        let sent = self.bus.rate.map_or(Duration::ZERO, |rate| rate.turnaround + rate.takes(bytes.len()));
        let own = self.answers.iter().filter(|answer| answer.unit == to.unit).map(|answer| answer.due);
        let due = own.max().map_or(came + sent + late, |before| before.max(came + sent + late));
        self.answers.push(Answer { due, unit: to.unit, bytes });
    }

    /// Sends what is due, the oldest first.
    async fn answer_due(&mut self) -> io::Result<()> {
        let now = time::now();
        while let Some(at) = self.answers.iter().position(|answer| answer.due <= now) {
            let answer = self.answers.remove(at);
            self.stream.write_all(&answer.bytes).await?;
        }
        Ok(())
    }
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy)]
struct Shown {
    unit: u8,
    short: bool,
    damaged: bool,
}

/// The answer to one frame, after whatever faults there are, and how much later than usual it goes out; `None`: none.
async fn respond(bus: &Bus, frame: &Frame) -> Option<(Vec<u8>, Shown, Duration)> {
    let function = frame.pdu.first().copied().unwrap_or_default();
    let Some(board) = bus.units.iter().find(|board| board.unit == frame.unit) else {
        if let Some(first) = bus.units.first() {
            first.state.change(|state| state.frames += 1);
        }
        let as_it_is = Shown { unit: frame.unit, short: false, damaged: false };
        let refused = Exception::GATEWAY_TARGET_SILENT.pdu(function);
        return (!bus.is_rtu && bus.wrong_unit == WrongUnit::Refuse).then_some((
            refused,
            as_it_is,
            Duration::ZERO,
        ));
    };
    let faults = board.state.change(|state| {
        state.frames += 1;
        let now = state.faults;
        state.faults.damaged_once = false;
        now
    });
    if faults.silent {
        return None;
    }
    let request = Request::parse(&frame.pdu);
    if matches!(&request, Ok(request) if request.is_write()) && !faults.write_delay.is_zero() {
        tokio::time::sleep(faults.write_delay).await;
    }
    let done = match (faults.refuse, request) {
        (Some(code), _) => Err(Exception(code)),
        (None, Err(exception)) => Err(exception),
        (None, Ok(request)) => board.act(|state, now| carry_out(state, now, &request, frame)),
    };
    let shown = Shown {
        unit: faults.answers_as.unwrap_or(frame.unit),
        short: faults.short,
        damaged: faults.damaged_once,
    };
    Some((done.unwrap_or_else(|exception| exception.pdu(function)), shown, faults.late))
}

fn carry_out(
    state: &mut State,
    now: Instant,
    request: &Request,
    frame: &Frame,
) -> Result<Vec<u8>, Exception> {
    state.plant.spoken_to(now);
    match request {
        Request::ReadCoils { start, count } => {
            Ok(bits_pdu(0x01, &slice(&state.plant.coils(), *start, *count)?))
        }
        Request::ReadInputs { start, count } => {
            Ok(bits_pdu(0x02, &slice(&state.plant.inputs(), *start, *count)?))
        }
        _ if state.faults.lie_about_writes => Ok(echo_pdu(&frame.pdu)),
        Request::WriteCoil { address, value } => {
            state.plant.write_coil(now, *address, *value)?;
            Ok(echo(state, &frame.pdu))
        }
        Request::WriteCoils { start, values } => {
            state.plant.write_coils(now, *start, values)?;
            Ok(echo(state, &frame.pdu))
        }
    }
}

/// The echo; once, on request, that of a neighbouring coil, as a late answer to another write would be.
fn echo(state: &mut State, request: &[u8]) -> Vec<u8> {
    let mut echo = echo_pdu(request);
    if std::mem::take(&mut state.faults.wrong_echo_once)
        && let Some(address_low) = echo.get_mut(2)
    {
        *address_low ^= 1;
    }
    echo
}

fn slice(bits: &[bool], start: u16, count: u16) -> Result<Vec<bool>, Exception> {
    let start = usize::from(start);
    let places = bits.get(start..start + usize::from(count)).ok_or(Exception::ILLEGAL_ADDRESS)?;
    Ok(places.to_vec())
}
