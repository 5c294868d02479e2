//! One address on the line: from its first word to its cards.
//!
//! ```text
//!          identity, [challenge, proof, identity again,] abilities, status: all answered
//!   away ──────────────────────────────────────────────────────────────────────────────► live ─┐ poll every 50 ms
//!    ▲ ▲                                                                                   │   │
//!    │ └── back-off ── no answer, wrong key, …             three times no answer, a refusal│ ◄─┘
//!    └─────────────────────────────── once more at once ───────────────────────────────────┘
//! ```
//!
//! Away for two seconds it is said to be lost: a reader that merely restarts is not, and the standard's own 8 s would
//! leave people standing at a dead reader that `status` calls connected.
//!
//! Cards that a reader kept while nobody asked are no taps: who held them up has gone. So nothing counts until it has
//! said once that it has nothing.

mod beginning;
mod news;

use std::{collections::VecDeque, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc::Sender,
    time::Instant,
};

use self::beginning::Failure;
use super::{
    Error, Trouble,
    exchange::{Answer, Fault, Wire},
    identity::Abilities,
    signals,
};
use crate::{
    control::{Event, Feedback, ReaderEvent},
    domain::Mono,
    drivers::{
        backoff::Backoff,
        clock,
        reader::{link::Link, presence::Presence},
        seldom::Seldom,
    },
    wire::osdp::{Channel, Command, Heard, LStatR, LocalStatus, Poll, Reply, card},
};

/// How often a reader is asked for cards, as far as the line has time.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How often its tamper contact is asked for. It should say so by itself; some do not.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// Unanswered for so long, it is said to be lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// Times a command is said before it counts as unanswered.
const TRIES: u8 = 3;
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(2);
/// Well for so long, it has overcome what was wrong.
const STEADY: Duration = Duration::from_secs(5);
/// Times it may fall out of a conversation between two steady ones before that is said as a loss.
const FALLS: u8 = 3;

/// Why a line's task can't go on.
#[derive(Debug)]
pub enum Ended {
    Line(Fault),
    Stopping,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Ended::Line(fault)
    }
}

/// What was asked last: what a refusal means depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Cards,
    Status,
    ToShow,
}

/// A command that is not answered yet: the same bytes until it is.
#[derive(Debug)]
struct Unanswered {
    asked: Asked,
    bytes: Vec<u8>,
    misses: u8,
}

#[derive(Debug)]
pub struct Peripheral {
    config: super::Peripheral,
    port: String,
    baud: u32,
    events: Sender<Event>,
    link: Link,
    channel: Channel,
    /// In a conversation since.
    live_since: Option<Instant>,
    /// Why it is not. `None`: it has not been tried since the line was opened.
    trouble: Option<Trouble>,
    unanswered: Option<Unanswered>,
    /// When it is to be spoken to.
    due: Instant,
    heard_at: Instant,
    retry: Backoff,
    falls: u8,
    /// It has not said yet that it has nothing.
    keeps_old_cards: bool,
    presence: Presence,
    started: Instant,
    abilities: Abilities,
    to_show: VecDeque<Command>,
    /// `None`: it does not know its own status.
    status_due: Option<Instant>,
    is_tampered: bool,
    power_fails: bool,
    fell: Seldom,
    unreadable: Seldom,
}

impl Peripheral {
    pub fn new(config: super::Peripheral, line: (&str, u32), events: Sender<Event>) -> Self {
        let (port, baud) = line;
        let now = clock::instant();
        Peripheral {
            channel: Channel::new(config.address),
            config,
            port: port.to_owned(),
            baud,
            events,
            link: Link::default(),
            live_since: None,
            trouble: None,
            unanswered: None,
            due: now,
            heard_at: now,
            retry: Backoff::new(RETRY_FIRST, RETRY_CAP),
            falls: 0,
            keeps_old_cards: true,
            presence: Presence::default(),
            started: now,
            abilities: Abilities::default(),
            to_show: VecDeque::new(),
            status_due: None,
            is_tampered: false,
            power_fails: false,
            fell: Seldom::default(),
            unreadable: Seldom::default(),
        }
    }

    pub fn is_live(&self) -> bool {
        self.live_since.is_some()
    }

    /// Away, and tried in vain.
    pub fn is_in_trouble(&self) -> bool {
        !self.is_live() && self.trouble.is_some()
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    /// Shows it next, in place of what is not shown yet. Nothing to a reader that is away.
    pub fn show(&mut self, feedback: Feedback) {
        if self.is_live() {
            self.to_show = signals::commands(feedback, self.abilities).into();
            self.due = clock::instant();
        }
    }

    /// The port is closed, or could not be opened.
    pub async fn line_is_gone(&mut self, why: &Error) -> Result<(), Ended> {
        self.be_away();
        self.trouble = None;
        self.due = clock::instant();
        let event = self.link.lost(|| why.to_string());
        self.say(event).await
    }

    /// Its turn on the line: one exchange, or one attempt to begin a conversation.
    pub async fn turn<L>(&mut self, wire: &mut Wire<L>) -> Result<(), Ended>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        match self.live_since {
            Some(since) => self.ask_next(wire, since).await,
            None => self.attempt(wire).await,
        }
    }

    async fn attempt<L>(&mut self, wire: &mut Wire<L>) -> Result<(), Ended>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        match self.begin(wire).await {
            Ok((introduction, status)) => self.be_live(introduction, status).await,
            Err(Failure::Ended(ended)) => Err(ended),
            Err(Failure::Trouble(trouble)) => {
                self.due = clock::instant() + self.retry.wait();
                self.trouble = Some(trouble);
                Ok(())
            }
        }
    }

    /// Says that it is lost, when that is so and news. To be asked again and again.
    pub async fn say_if_lost(&mut self) -> Result<(), Ended> {
        let falls_again_and_again = self.falls >= FALLS;
        let is_lost = falls_again_and_again || clock::instant() - self.heard_at >= LOST_AFTER;
        let Some(source) = self.trouble.as_ref().filter(|_| !self.is_live() && is_lost) else {
            return Ok(());
        };
        let (port, address) = (&self.port, self.config.address);
        let event = self.link.lost(|| format!("OSDP address {address} on {port}: {source}"));
        self.say(event).await
    }

    async fn be_live(&mut self, introduction: String, status: Option<LStatR>) -> Result<(), Ended> {
        let now = clock::instant();
        self.live_since = Some(now);
        self.heard_at = now;
        self.due = now;
        self.keeps_old_cards = true;
        self.status_due = status.map(|_| now + STATUS_EVERY);
        let event = self.link.connected(|| introduction);
        self.say(event).await?;
        match status {
            Some(status) => self.note_status(status).await,
            None => Ok(()),
        }
    }

    fn be_away(&mut self) {
        self.live_since = None;
        self.unanswered = None;
        self.to_show.clear();
    }

    /// One exchange of a conversation.
    async fn ask_next<L>(&mut self, wire: &mut Wire<L>, since: Instant) -> Result<(), Ended>
    where
        L: AsyncRead + AsyncWrite + Unpin,
    {
        let began = clock::instant();
        let mut question = match self.unanswered.take() {
            Some(question) => question,
            None => match self.next_question(began) {
                Ok(question) => question,
                Err(trouble) => {
                    self.fall(trouble);
                    return Ok(());
                }
            },
        };
        self.due = began + POLL_EVERY;
        match wire.exchange(&mut self.channel, &question.bytes).await? {
            Answer::Heard(Heard::Reply(reply)) => {
                self.was_heard(since);
                return self.take(question.asked, reply).await;
            }
            Answer::Heard(Heard::Unknown(code)) => {
                self.was_heard(since);
                tracing::debug!(reader = %self.config.reader, code, "an answer of a kind nobody knows");
            }
            Answer::Heard(Heard::Refused(refusal)) => self.fall(refusal.into()),
            Answer::Heard(Heard::Busy) if clock::instant() - self.heard_at < LOST_AFTER => {
                self.unanswered = Some(question);
            }
            Answer::Heard(Heard::Busy) => self.fall(Trouble::Busy),
            Answer::Heard(Heard::NotOurs) | Answer::Silent => {
                question.misses += 1;
                if question.misses >= TRIES {
                    self.fall(Trouble::Silent(self.baud));
                    return Ok(());
                }
                self.unanswered = Some(question);
            }
        }
        Ok(())
    }

    fn next_question(&mut self, now: Instant) -> Result<Unanswered, Trouble> {
        let (asked, command) = match (self.to_show.pop_front(), self.status_due) {
            (Some(command), _) => (Asked::ToShow, command),
            (None, Some(due)) if due <= now => {
                self.status_due = Some(now + STATUS_EVERY);
                (Asked::Status, Command::LocalStatus(LocalStatus))
            }
            (None, _) => (Asked::Cards, Command::Poll(Poll)),
        };
        let bytes = self.channel.say(&command)?;
        Ok(Unanswered { asked, bytes, misses: 0 })
    }

    fn was_heard(&mut self, since: Instant) {
        let now = clock::instant();
        self.heard_at = now;
        if now - since >= STEADY {
            self.retry.reset();
            self.falls = 0;
        }
        if !self.to_show.is_empty() {
            self.due = now;
        }
    }

    /// Out of the conversation: begun anew at once, unless that goes on and on.
    fn fall(&mut self, trouble: Trouble) {
        self.be_away();
        let now = clock::instant();
        self.due = if self.falls == 0 { now } else { now + self.retry.wait() };
        self.falls = self.falls.saturating_add(1);
        if let Some(left_out) = self.fell.may(self.mono()) {
            tracing::warn!(reader = %self.config.reader, %trouble, left_out, "the conversation is begun anew");
        }
        self.trouble = Some(trouble);
    }

    async fn take(&mut self, asked: Asked, reply: Reply) -> Result<(), Ended> {
        if let Some(card) = card::of(&reply) {
            return self.take_card(card).await;
        }
        match (reply, asked) {
            (Reply::LStatR(status), _) => return self.note_status(status).await,
            (Reply::Ack(_), Asked::Cards) => self.keeps_old_cards = false,
            (Reply::Ack(_), _) => {}
            (Reply::Nak(_), Asked::Cards) => self.fall(Trouble::Nak("to be asked for cards")),
            (Reply::Nak(_), Asked::Status) => self.status_due = None,
            (Reply::Nak(_), Asked::ToShow) => {
                tracing::debug!(reader = %self.config.reader, "it can't show what it says it can");
            }
            (reply, _) => {
                tracing::debug!(reader = %self.config.reader, code = reply.code().as_byte(), "not for us");
            }
        }
        Ok(())
    }

    async fn say(&self, what: Option<ReaderEvent>) -> Result<(), Ended> {
        let Some(what) = what else { return Ok(()) };
        let reader = self.config.reader.clone();
        // Fails only when nobody listens any more.
        self.events.send(Event::Reader { reader, what }).await.map_err(|_| Ended::Stopping)
    }

    fn mono(&self) -> Mono {
        Mono(clock::instant() - self.started)
    }
}
