//! Between central and the controller: a broker that keeps a session and delivers again what was not acknowledged, and
//! a line that comes and goes. A broker that is nobody's friend changes the order, delivers anything central ever sent
//! once more, or loses it; that is all it can do, for it can sign nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use latchd::domain::Entry;
use latchd::wire::{
    command::CommandResult,
    outgoing::{DoorState, Status, Sync},
};

use super::{
    central::{Message, Topic},
    lot::Lot,
};

/// What it holds for a controller that is away; what comes after is dropped, as brokers do.
const MOST_QUEUED: usize = 500;
/// Commands that may be at the controller at once.
const MOST_ORDERS: usize = 20;

/// What the controller says.
#[derive(Debug, Clone)]
pub enum Said {
    Sync(Sync),
    Events(Vec<Entry>),
    Status(Box<Status>),
    Result(CommandResult),
    Door(Box<DoorState>),
}

/// What comes of the line and the broker.
#[derive(Debug)]
pub enum News {
    Connected {
        is_resumed: bool,
    },
    /// To the controller. The token, where there is one to be `Done`.
    Delivered {
        token: u64,
        message: Rc<Message>,
        again: bool,
        retained: bool,
    },
    ToCentral(Said),
}

#[derive(Debug, Clone)]
struct Queued {
    due: Duration,
    message: Rc<Message>,
    again: bool,
    retained: bool,
}

#[derive(Debug)]
pub struct Broker {
    /// The cable is in, and the broker is there.
    pub line: bool,
    pub is_up: bool,
    has_session: bool,
    /// The message on `feed` at the controller, which is not done: the first of the queue.
    offered: Option<u64>,
    feed: VecDeque<Queued>,
    /// Of commands and acknowledgements any number may be under way.
    others: VecDeque<Queued>,
    orders: BTreeMap<u64, Queued>,
    /// Somebody said on `command` that it is to be retained.
    pub retained: Option<Rc<Message>>,
    token: u64,
    connect_at: Duration,
    to_central: VecDeque<(Duration, Said)>,
    /// The connection is to be dropped; what is said behind that falls.
    pub is_undone: bool,
}

impl Broker {
    #[must_use]
    pub fn new() -> Self {
        Broker {
            line: true,
            is_up: false,
            has_session: false,
            offered: None,
            feed: VecDeque::new(),
            others: VecDeque::new(),
            orders: BTreeMap::new(),
            retained: None,
            token: 0,
            connect_at: Duration::ZERO,
            to_central: VecDeque::new(),
            is_undone: false,
        }
    }

    /// Central hands it over. Without a session there is nowhere to keep it.
    pub fn take(&mut self, now: Duration, message: Rc<Message>, lot: &mut Lot) {
        let queue = if message.topic == Topic::Feed { &mut self.feed } else { &mut self.others };
        if !self.has_session || queue.len() >= MOST_QUEUED {
            return;
        }
        let after = queue.back().map_or(now, |last| last.due.max(now));
        let due = after + lot.ms(1..60);
        queue.push_back(Queued { due, message, again: false, retained: false });
    }

    /// Delivers this now, before all else: a replay.
    pub fn replay(&mut self, now: Duration, message: Rc<Message>) {
        let queued = Queued { due: now, message, again: false, retained: false };
        if queued.message.topic != Topic::Feed {
            self.others.push_front(queued);
            return;
        }
        let place = usize::from(self.offered.is_some()).min(self.feed.len());
        self.feed.insert(place, queued);
    }

    /// Changes the order of two that wait.
    pub fn reorder(&mut self, lot: &mut Lot) {
        let first = usize::from(self.offered.is_some());
        if self.feed.len() >= first + 2 {
            let (a, b) =
                (first + lot.below(self.feed.len() - first), first + lot.below(self.feed.len() - first));
            let (due_a, due_b) = (self.feed[a].due, self.feed[b].due);
            self.feed.swap(a, b);
            (self.feed[a].due, self.feed[b].due) = (due_a, due_b);
        }
    }

    /// Loses one that waits.
    pub fn lose(&mut self, lot: &mut Lot) {
        let first = usize::from(self.offered.is_some());
        if self.feed.len() > first {
            let n = first + lot.below(self.feed.len() - first);
            self.feed.remove(n);
        }
    }

    #[must_use]
    pub fn queued(&self) -> usize {
        self.feed.len() + self.others.len() + self.orders.len()
    }

    /// The token of the message on `feed` that is at the controller, and what it is.
    #[must_use]
    pub fn offered(&self) -> Option<(u64, &Rc<Message>)> {
        Some((self.offered?, &self.feed.front()?.message))
    }

    pub fn done(&mut self, token: u64) {
        if self.orders.remove(&token).is_none() && self.offered == Some(token) {
            self.offered = None;
            self.feed.pop_front();
        }
    }

    pub fn say(&mut self, now: Duration, said: Said, lot: &mut Lot) {
        let after = self.to_central.back().map_or(now, |(due, _)| (*due).max(now));
        self.to_central.push_back((after + lot.ms(1..40), said));
    }

    /// The line is cut, or the connection dropped. `forgets`: the broker has lost the session.
    pub fn disconnect(&mut self, now: Duration, forgets: bool, lot: &mut Lot) -> bool {
        self.connect_at = now + lot.ms(300..5_000);
        // What was said last may not have come there.
        if lot.one_in(2) {
            self.to_central.clear();
        }
        if forgets {
            self.has_session = false;
            (self.feed, self.others) = Default::default();
            self.orders.clear();
        }
        let orders = std::mem::take(&mut self.orders);
        for mut queued in orders.into_values().rev() {
            queued.again = true;
            self.others.push_front(queued);
        }
        if self.offered.take().is_some()
            && let Some(first) = self.feed.front_mut()
        {
            first.again = true;
        }
        std::mem::replace(&mut self.is_up, false)
    }

    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let connects = (self.line && !self.is_up).then_some(self.connect_at);
        let feed = self.feed.front().filter(|_| self.offered.is_none()).map(|queued| queued.due);
        let has_room = self.orders.len() < MOST_ORDERS;
        let others = self.others.front().filter(|_| has_room).map(|queued| queued.due);
        let delivered = feed.into_iter().chain(others).min().filter(|_| self.is_up);
        let heard = self.to_central.front().map(|(due, _)| *due);
        connects.into_iter().chain(delivered).chain(heard).min()
    }

    pub fn take_due(&mut self, now: Duration) -> Option<News> {
        if let Some((_, said)) = self.to_central.pop_front_if(|(due, _)| *due <= now) {
            return Some(News::ToCentral(said));
        }
        if self.line && !self.is_up && self.connect_at <= now {
            return Some(self.connect(now));
        }
        if !self.is_up {
            return None;
        }
        if self.orders.len() < MOST_ORDERS
            && let Some(queued) = self.others.pop_front_if(|queued| queued.due <= now)
        {
            return Some(self.deliver_other(queued));
        }
        let first = self.feed.front().filter(|queued| self.offered.is_none() && queued.due <= now)?;
        self.token += 1;
        self.offered = Some(self.token);
        let Queued { message, again, retained, .. } = first.clone();
        Some(News::Delivered { token: self.token, message, again, retained })
    }

    fn deliver_other(&mut self, queued: Queued) -> News {
        self.token += 1;
        let Queued { message, again, retained, .. } = queued.clone();
        if message.topic == Topic::Command {
            self.orders.insert(self.token, queued);
        }
        News::Delivered { token: self.token, message, again, retained }
    }

    fn connect(&mut self, now: Duration) -> News {
        self.is_up = true;
        let is_resumed = std::mem::replace(&mut self.has_session, true);
        if let Some(message) = self.retained.clone() {
            self.others.push_back(Queued { due: now, message, again: false, retained: true });
        }
        News::Connected { is_resumed }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}
