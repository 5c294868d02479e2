//! The board's side of the network: clients, their frames in order, and the faults a test asked for. It also keeps
//! the board's own time, so that a pulse ends with nobody connected.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::frame::{Exception, Frame, Request, bits_pdu, echo_pdu};
use super::plant::{Happening, Plant};
use crate::time;
use crate::watched::Watched;

/// Such boards have 4 to 8 sockets; a few more, since a test may leave some half closed.
const CLIENTS_MAX: usize = 16;

/// What a board does with a frame for another unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WrongUnit {
    /// Exception 0B, as a gateway whose target does not respond.
    #[default]
    Refuse,
    /// No answer, as a device that is addressed as somebody else.
    Ignore,
}

/// What is wrong with the board just now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub silent: bool,
    pub wrong_echo_once: bool,
    pub lie_about_writes: bool,
    pub late: Duration,
    pub write_delay: Duration,
    pub refuse: Option<u8>,
}

/// The model and all that is counted about it.
#[derive(Debug)]
pub(super) struct State {
    pub plant: Plant,
    pub faults: Faults,
    pub frames: u64,
    pub clients: usize,
}

/// What the board's thread and its owner share.
#[derive(Debug)]
pub(super) struct Shared {
    pub state: Watched<State>,
    /// Rung whenever a deadline may have come nearer.
    pub sooner: Notify,
    pub unit: u8,
    pub wrong_unit: WrongUnit,
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

/// What the owner asks of the network side; each is answered when it is done.
#[derive(Debug)]
pub(super) enum Command {
    DropConnections(SyncSender<()>),
    Stop(SyncSender<()>),
    Restart(StdListener, SyncSender<()>),
}

/// Runs until the owner is gone.
pub(super) async fn serve(shared: Arc<Shared>, listener: StdListener, mut commands: mpsc::Receiver<Command>) {
    let mut listener = TcpListener::from_std(listener).ok();
    let mut clients = JoinSet::new();
    loop {
        let deadline = shared.state.look(|state| state.plant.next_deadline());
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
                    listener = TcpListener::from_std(again).ok();
                    let _ = done.try_send(());
                }
            },
            stream = accept(listener.as_ref()) => {
                // Too many: the new one is closed at once, as such boards do.
                if clients.len() < CLIENTS_MAX {
                    clients.spawn(converse(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = clients.join_next() => {}
            () = until(deadline) => shared.act(|_, _| ()),
            () = shared.sooner.notified() => {}
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
        Some(deadline) => tokio::time::sleep(deadline.saturating_duration_since(time::now())).await,
        None => std::future::pending().await,
    }
}

/// Counts a client for as long as its task lives, also when that is cut off.
struct Present(Arc<Shared>);

impl Present {
    fn new(shared: Arc<Shared>) -> Self {
        shared.act(|state, now| {
            state.clients += 1;
            state.plant.record.add(now, Happening::ClientConnected);
        });
        Self(shared)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.act(|state, now| {
            state.clients = state.clients.saturating_sub(1);
            state.plant.record.add(now, Happening::ClientLeft);
        });
    }
}

/// One client: frames are answered one after the other, however they arrive.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    let _present = Present::new(Arc::clone(&shared));
    // A few dozen bytes at a time: Nagle would hold each answer back.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => buffer.extend(chunk.iter().take(read)),
        }
        loop {
            let frame = match Frame::take(&mut buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "client dropped: its stream is not Modbus TCP");
                    return;
                }
            };
            let Some(answer) = respond(&shared, &frame).await else { continue };
            if stream.write_all(&answer.to_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The answer to one frame, after whatever faults there are; `None`: none.
async fn respond(shared: &Shared, frame: &Frame) -> Option<Frame> {
    let faults = shared.state.change(|state| {
        state.frames += 1;
        state.faults
    });
    if faults.silent {
        return None;
    }
    let function = frame.pdu.first().copied().unwrap_or_default();
    if frame.unit != shared.unit {
        return match shared.wrong_unit {
            WrongUnit::Ignore => None,
            WrongUnit::Refuse => Some(answer(frame, Exception::GATEWAY_TARGET_SILENT.pdu(function))),
        };
    }
    let request = Request::parse(&frame.pdu);
    if matches!(&request, Ok(request) if request.is_write()) && !faults.write_delay.is_zero() {
        tokio::time::sleep(faults.write_delay).await;
    }
    let done = match (faults.refuse, request) {
        (Some(code), _) => Err(Exception(code)),
        (None, Err(exception)) => Err(exception),
        (None, Ok(request)) => shared.act(|state, now| carry_out(state, now, &request, frame)),
    };
    if !faults.late.is_zero() {
        tokio::time::sleep(faults.late).await;
    }
    Some(answer(frame, done.unwrap_or_else(|exception| exception.pdu(function))))
}

fn answer(to: &Frame, pdu: Vec<u8>) -> Frame {
    Frame { transaction: to.transaction, unit: to.unit, pdu }
}

fn carry_out(
    state: &mut State,
    now: Instant,
    request: &Request,
    frame: &Frame,
) -> Result<Vec<u8>, Exception> {
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
