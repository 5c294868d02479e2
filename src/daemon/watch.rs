//! For technicians who watch cards and inputs as they come: what the controller is told, told on.
//!
//! Nothing is kept and nothing is made while nobody watches. The decision told is the one that was recorded.

use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::{
    control::{
        Action, BoardEvent, Controller, Event, Inputs, JournalCommand, ReaderEvent, clock::Reading,
        controller::Subject,
    },
    domain::{At, BoardId, Entry, EntryKind, Passage, ReaderId, Uid},
    wire::control::{CardSeen, ReaderNews},
};

/// News that a slow watcher may be behind by; what is older it misses, and is told so.
const BEHIND: usize = 256;

/// What a board said.
#[derive(Debug, Clone)]
pub enum BoardNews {
    Connected { board: BoardId, at: At, detail: String, inputs: Inputs },
    Lost { board: BoardId, at: At, detail: String },
    Inputs { board: BoardId, at: At, inputs: Inputs },
}

#[derive(Debug)]
pub struct Watchers {
    readers: Sender<ReaderNews>,
    boards: Sender<BoardNews>,
}

/// What is about to be handled, if somebody watches.
#[derive(Debug)]
pub enum Seen {
    Tap(ReaderId, Uid),
    Reader(ReaderId, ReaderEvent),
    Board(BoardNews),
}

impl Watchers {
    pub fn new() -> Self {
        Watchers { readers: channel(BEHIND).0, boards: channel(BEHIND).0 }
    }

    pub fn readers(&self) -> Receiver<ReaderNews> {
        self.readers.subscribe()
    }

    pub fn boards(&self) -> Receiver<BoardNews> {
        self.boards.subscribe()
    }

    /// Before the controller takes an event.
    pub fn see(&self, event: &Event, at: At) -> Option<Seen> {
        if let Event::Reader { reader, what } = event
            && self.readers.receiver_count() > 0
        {
            return Some(if let ReaderEvent::Tap(uid) = what {
                Seen::Tap(reader.clone(), *uid)
            } else {
                Seen::Reader(reader.clone(), what.clone())
            });
        }
        if let Event::Board { board, what } = event
            && self.boards.receiver_count() > 0
        {
            return board_news(board.clone(), at.floor_ms(), what).map(Seen::Board);
        }
        None
    }

    /// After it: with what it asked for.
    pub fn tell(&self, seen: Seen, actions: &[Action], controller: &Controller, reading: Reading) {
        let at = reading.wall.floor_ms();
        // Whoever has gone meanwhile is told nothing.
        match seen {
            Seen::Board(news) => drop(self.boards.send(news)),
            Seen::Reader(reader, what) => {
                if let Some(news) = reader_news(reader, what, controller, reading) {
                    drop(self.readers.send(news));
                }
            }
            Seen::Tap(reader, uid) => {
                if let Some(card) = card(at, &reader, &uid, actions, controller, reading) {
                    drop(self.readers.send(ReaderNews::Tap(card)));
                }
            }
        }
    }
}

fn board_news(board: BoardId, at: At, what: &BoardEvent) -> Option<BoardNews> {
    match what {
        BoardEvent::Connected { detail, inputs } => {
            Some(BoardNews::Connected { board, at, detail: detail.clone(), inputs: *inputs })
        }
        BoardEvent::Lost { detail } => Some(BoardNews::Lost { board, at, detail: detail.clone() }),
        BoardEvent::Inputs(inputs) => Some(BoardNews::Inputs { board, at, inputs: *inputs }),
        BoardEvent::Pulsed { .. }
        | BoardEvent::Failed { .. }
        | BoardEvent::Ended { .. }
        | BoardEvent::Secured { .. } => None,
    }
}

fn reader_news(
    reader: ReaderId,
    what: ReaderEvent,
    controller: &Controller,
    reading: Reading,
) -> Option<ReaderNews> {
    match what {
        ReaderEvent::Connected { .. } | ReaderEvent::Lost { .. } => {
            let mut reports = controller.reader_reports(reading).into_iter();
            reports
                .find(|report| report.reader == reader)
                .map(|report| super::socket::state_of(report, reading.wall))
        }
        ReaderEvent::Unreadable { detail } => {
            Some(ReaderNews::Unreadable { at: reading.wall.floor_ms(), reader, detail })
        }
        ReaderEvent::Tap(_)
        | ReaderEvent::Restarted { .. }
        | ReaderEvent::Tamper { .. }
        | ReaderEvent::Power { .. } => None,
    }
}

/// The entry that the tap became, and what the technician holds in hand.
fn card(
    at: At,
    reader: &ReaderId,
    uid: &Uid,
    actions: &[Action],
    controller: &Controller,
    reading: Reading,
) -> Option<CardSeen> {
    let (seq, passage, decision) = actions.iter().find_map(|action| decided(action, reader))?;
    let Passage { door, direction, reason, credential, holder, grant, .. } = passage.clone();
    let reversed = uid.reversed();
    let reversed_credential = credential.is_none().then(|| {
        let subject = Subject::Uid(reversed);
        controller.explain(reading, &door, direction, &subject, None).ok()?.credential
    });
    Some(CardSeen {
        at,
        reader: reader.clone(),
        door,
        direction,
        uid: uid.reveal(),
        reversed: reversed.reveal(),
        length: uid.bytes().len() as u8,
        random: uid.is_random(),
        decision: decision.to_owned(),
        reason: serde_json::to_value(reason)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default(),
        credential,
        holder,
        grant,
        reversed_credential: reversed_credential.flatten(),
        seq,
    })
}

fn decided<'a>(action: &'a Action, at: &ReaderId) -> Option<(u64, &'a Passage, &'static str)> {
    let Action::Journal(JournalCommand::Append(Entry { seq, kind, .. })) = action else { return None };
    let (passage, decision) = if let EntryKind::AccessGranted(passage) = kind {
        (passage, "granted")
    } else if let EntryKind::AccessDenied(passage) = kind {
        (passage, "denied")
    } else {
        return None;
    };
    (passage.reader == *at).then_some((*seq, passage, decision))
}
