//! Commands of all the boards on a line, as they wait for it. Those for a board that is down are refused at once,
//! whatever the line is doing meanwhile: a strike must not move long after the tap that moved it.

use std::{collections::VecDeque, pin::pin};

use tokio::{
    sync::mpsc::{Receiver, Sender},
    time::{Instant, sleep_until},
};

use super::batch::CommandError;
use crate::{
    control::{BoardCommand, BoardEvent, Event},
    domain::BoardId,
};

/// The daemon is stopping.
#[derive(Debug, Clone, Copy)]
pub struct Stopping;

/// A command, and for which of the line's boards.
#[derive(Debug)]
pub struct Waiting {
    pub asked_at: Instant,
    pub board: usize,
    pub command: BoardCommand,
}

pub struct Inbox {
    pub commands: Receiver<Waiting>,
    pub events: Sender<Event>,
    /// The line's boards, and whether each takes commands.
    pub boards: Vec<(BoardId, bool)>,
    pub waiting: VecDeque<Waiting>,
    pub waiting_max: usize,
    /// Nothing comes any more: what is here is the last.
    pub is_closed: bool,
}

impl Inbox {
    /// Takes in what has come. What is beyond the limit stays in the queue, which has its own. Who has let go of the line
    /// told it something last, such as to switch off a strike: that is done first.
    pub async fn gather(&mut self) -> Result<(), Stopping> {
        while self.waiting.len() < self.waiting_max {
            match self.commands.try_recv() {
                Ok(waiting) => self.take(waiting).await?,
                Err(tokio::sync::mpsc::error::TryRecvError::Empty) => return Ok(()),
                Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => {
                    self.is_closed = true;
                    return if self.waiting.is_empty() { Err(Stopping) } else { Ok(()) };
                }
            }
        }
        Ok(())
    }

    /// Has this exchange to its end, and takes in what comes meanwhile.
    pub async fn have_out<F: Future>(&mut self, exchange: F) -> Result<F::Output, Stopping> {
        let mut exchange = pin!(exchange);
        loop {
            let has_room = self.waiting.len() < self.waiting_max && !self.is_closed;
            tokio::select! {
                biased;
                command = self.commands.recv(), if has_room => match command {
                    Some(waiting) => self.take(waiting).await?,
                    None => self.is_closed = true,
                },
                done = &mut exchange => return Ok(done),
            }
        }
    }

    /// Does this, and takes in what comes meanwhile.
    pub async fn during<F: Future>(&mut self, doing: F) -> Result<F::Output, Stopping> {
        let mut doing = pin!(doing);
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv(), if self.waiting.len() < self.waiting_max => match command {
                    Some(waiting) => self.take(waiting).await?,
                    None => return Err(Stopping),
                },
                done = &mut doing => return Ok(done),
            }
        }
    }

    /// Rests until then, or until something is to be done.
    pub async fn rest(&mut self, until: Instant) -> Result<(), Stopping> {
        tokio::select! {
            biased;
            command = self.commands.recv() => match command {
                Some(waiting) => self.take(waiting).await,
                None => Err(Stopping),
            },
            () = sleep_until(until) => Ok(()),
        }
    }

    async fn take(&mut self, waiting: Waiting) -> Result<(), Stopping> {
        if self.boards.get(waiting.board).is_some_and(|(_, takes)| *takes) {
            self.waiting.push_back(waiting);
            return Ok(());
        }
        self.refuse(&waiting).await
    }

    async fn refuse(&self, waiting: &Waiting) -> Result<(), Stopping> {
        let (ticket, detail) = (waiting.command.ticket(), CommandError::Down.to_string());
        self.say(waiting.board, BoardEvent::Failed { ticket, detail }).await
    }

    /// The board is down: its commands that wait fail, and so will those that come.
    pub async fn shut(&mut self, board: usize) -> Result<(), Stopping> {
        // Those first that came and have not been looked at.
        self.gather().await?;
        if let Some((_, takes)) = self.boards.get_mut(board) {
            *takes = false;
        }
        let (theirs, others) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.board == board);
        self.waiting = others;
        let theirs: VecDeque<Waiting> = theirs;
        for waiting in &theirs {
            self.refuse(waiting).await?;
        }
        Ok(())
    }

    pub fn open(&mut self, board: usize) {
        if let Some((_, takes)) = self.boards.get_mut(board) {
            *takes = true;
        }
    }

    /// Takes the first that waits, and with it those for the same board, each coil once and in order.
    pub fn batch(&mut self) -> Option<(usize, Vec<Waiting>)> {
        let board = self.waiting.front()?.board;
        let (mut batch, mut rest, mut coils) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut is_full = false;
        for waiting in std::mem::take(&mut self.waiting) {
            let (BoardCommand::Pulse { coil, .. } | BoardCommand::Secure { coil, .. }) = waiting.command;
            is_full |= waiting.board == board && coils.contains(&coil);
            if waiting.board == board && !is_full {
                coils.push(coil);
                batch.push(waiting);
            } else {
                rest.push_back(waiting);
            }
        }
        self.waiting = rest;
        Some((board, batch))
    }

    pub async fn say(&self, board: usize, what: BoardEvent) -> Result<(), Stopping> {
        let Some((board, _)) = self.boards.get(board) else { return Ok(()) };
        // Fails only when nobody listens any more.
        self.events.send(Event::Board { board: board.clone(), what }).await.map_err(|_| Stopping)
    }
}
