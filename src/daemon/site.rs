//! The one loop: whatever happens goes to the controller, and what it asks for goes to the drivers.
//!
//! All of it runs on one thread: the controller, the boards, the serial readers, the control socket. Nothing here
//! waits for a disk, a broker or a PC/SC call; those have threads of their own and speak over queues.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use tokio::sync::{
    Notify, broadcast,
    mpsc::{Receiver, Sender, error::TrySendError},
    oneshot, watch,
};

use super::{
    changes::Changes,
    config::Config,
    logging::Levels,
    systemd::Watchdog,
    watch::{BoardNews, Watchers},
    wiring::{self, Boards, Readers},
};
use crate::{
    control::{
        Action, CacheCommand, Controller, Event, JournalCommand, OperatorAnswer, OperatorEvent,
        OperatorRequest, Reload, UplinkCommand, clock::Reading, settings::Settings,
    },
    drivers::{
        clock, kernel_clock,
        metrics::Snapshot,
        store::{
            cache::{Cache, Job, Progress},
            journal::Journal,
        },
    },
    wire::{control::ReaderNews, metrics::Queue},
};

/// The longest the loop sleeps: how soon a change of the clock's trust, or staleness, is noticed.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(1);
/// Journal entries that may wait here while the journal's own queue is full; past it the newest are dropped.
const KEPT_ENTRIES: usize = 100_000;
/// For the stores to put on disk what they were given, when the daemon stops. With what boards and the link have, less
/// than the five seconds within which it is to be gone.
const STORES_END_WITHIN: Duration = Duration::from_secs(3);
/// For boards to confirm, before the daemon stops, that strikes are off which only it would end.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The controller and the drivers, shared by the loop and the control socket's sessions on the same thread.
#[derive(Debug, Clone)]
pub struct Site(Rc<RefCell<Core>>);

#[derive(Debug)]
struct Core {
    controller: Controller,
    journal: Journal,
    cache: Cache,
    uplink: Option<Sender<UplinkCommand>>,
    boards: Boards,
    readers: Readers,
    entries: VecDeque<JournalCommand>,
    changes: Changes,
    /// What the link has not been told yet.
    unsaid: VecDeque<UplinkCommand>,
    answers: BTreeMap<u64, oneshot::Sender<OperatorAnswer>>,
    last_token: u64,
    dropped: Dropped,
    recorded: watch::Sender<u64>,
    signed: watch::Sender<u64>,
    /// The daemon is to end, and to be started again.
    again: Rc<Notify>,
    state_dir: PathBuf,
    levels: Levels,
    settings: Rc<Settings>,
    /// For drivers that begin later.
    events: Sender<Event>,
    watchers: Watchers,
}

/// A configuration that is to be in force, and who waits until it is.
pub type Change = (Box<Config>, oneshot::Sender<()>);

/// What was let go of because a queue was full.
#[derive(Debug, Default)]
struct Dropped {
    entries: u64,
    messages: u64,
}

/// What the site is made of.
#[derive(Debug)]
pub struct Parts {
    pub controller: Controller,
    pub journal: Journal,
    pub cache: Cache,
    pub uplink: Sender<UplinkCommand>,
    pub boards: Boards,
    pub readers: Readers,
    pub state_dir: PathBuf,
    pub levels: Levels,
    pub settings: Settings,
    pub events: Sender<Event>,
}

/// The clocks, as the controller takes them.
pub fn reading() -> Reading {
    Reading { mono: clock::mono(), wall: clock::wall(), synchronised: kernel_clock::synchronised() }
}

impl Site {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            controller,
            journal,
            cache,
            uplink,
            boards,
            readers,
            state_dir,
            levels,
            settings,
            events,
        } = parts;
        let recorded = watch::Sender::new(0);
        Site(Rc::new(RefCell::new(Core {
            controller,
            journal,
            cache,
            uplink: Some(uplink),
            boards,
            readers,
            entries: VecDeque::new(),
            changes: Changes::default(),
            unsaid: VecDeque::new(),
            answers: BTreeMap::new(),
            last_token: 0,
            dropped: Dropped::default(),
            recorded,
            signed: watch::Sender::new(0),
            again: Rc::default(),
            state_dir,
            levels,
            settings: Rc::new(settings),
            events,
            watchers: Watchers::new(),
        })))
    }

    /// Runs until `stop` resolves, or a part has ended without which doors can't go on for long. Returns which.
    pub async fn run(
        &self,
        mut events: Receiver<Event>,
        mut changes: Receiver<Change>,
        mut watchdog: Watchdog,
        stop: impl Future<Output = ()>,
    ) -> Option<&'static str> {
        tokio::pin!(stop);
        let mut ended = None;
        while ended.is_none() {
            watchdog.alive();
            let sleep = self.until_next_deadline();
            let sleep = watchdog
                .due()
                .map_or(sleep, |due| sleep.min(due.saturating_duration_since(clock::instant())));
            tokio::select! {
                biased;
                () = &mut stop => break,
                event = events.recv() => match event {
                    Some(event) => self.hurry(event).await,
                    None => break,
                },
                Some((config, done)) = changes.recv() => {
                    self.change(&config, &mut events);
                    // Who has given up waiting is told by the log.
                    let _gone = done.send(());
                }
                () = tokio::time::sleep(sleep) => self.hurry(Event::Tick).await,
            }
            ended = self.0.borrow().ended();
        }
        self.close(&mut events).await;
        self.happened(Event::Stopping);
        ended
    }

    /// Another configuration is in force from now on. What drivers of before have said by now is heard before: it is
    /// meant as things were wired then.
    fn change(&self, config: &Config, events: &mut Receiver<Event>) {
        for _ in 0..events.len() {
            match events.try_recv() {
                Ok(event) => self.happened(event),
                Err(_) => break,
            }
        }
        self.0.borrow_mut().change(config);
    }

    /// Has strikes switched off that nobody would when we are gone. Nothing but boards is heard meanwhile.
    async fn close(&self, events: &mut Receiver<Event>) {
        let end = clock::instant() + CLOSE_WITHIN;
        self.happened(Event::Closing);
        while self.look(|controller, _| controller.is_closing()) {
            match tokio::time::timeout_at(end, events.recv()).await {
                Ok(Some(event @ (Event::Board { .. } | Event::Journal(_)))) => self.happened(event),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => {
                    tracing::warn!(
                        "strikes may be driven that nobody ends any more; look at the boards' watchdogs"
                    );
                    return;
                }
            }
        }
    }

    fn until_next_deadline(&self) -> Duration {
        let deadline = self.0.borrow().controller.next_deadline();
        deadline.map_or(LOOK_AT_CLOCK, |at| at.since(clock::mono()).min(LOOK_AT_CLOCK))
    }

    fn happened(&self, event: Event) {
        let mut core = self.0.borrow_mut();
        core.happened(event);
        core.say_all();
    }

    /// The same, where boards write what they were told before the link is: a strike waits for no message.
    async fn hurry(&self, event: Event) {
        let boards_were_told = self.0.borrow_mut().happened(event);
        if boards_were_told {
            tokio::task::yield_now().await;
        }
        self.0.borrow_mut().say_all();
    }

    /// The actions of the controller's start.
    pub fn begin(&self, actions: Vec<Action>) {
        let mut core = self.0.borrow_mut();
        core.carry_out(actions);
        core.say_all();
    }

    /// Looks at the controller.
    pub fn look<T>(&self, look: impl FnOnce(&Controller, Reading) -> T) -> T {
        look(&self.0.borrow().controller, reading())
    }

    /// What is shown to who watches from afar.
    pub fn snapshot(&self) -> Snapshot {
        let core = self.0.borrow();
        let Core { controller, entries, changes, unsaid, uplink, dropped, levels, events, .. } = &*core;
        let (under_way, room) =
            uplink.as_ref().map_or((0, 0), |u| (u.max_capacity() - u.capacity(), u.max_capacity()));
        let queue = |name, length: usize, limit: Option<usize>| Queue {
            name,
            length: length as u64,
            limit: limit.map(|limit| limit as u64),
        };
        Snapshot {
            measured: controller.measured(reading()),
            queues: vec![
                queue("events", events.max_capacity() - events.capacity(), Some(events.max_capacity())),
                queue("journal", entries.len(), Some(KEPT_ENTRIES)),
                queue("cache", changes.waiting.len(), Some(changes.limit())),
                queue("uplink", under_way + unsaid.len(), Some(room)),
            ],
            dropped: vec![
                ("journal_entries", dropped.entries),
                ("uplink_messages", dropped.messages),
                ("cache_notes", changes.dropped),
                ("log_lines", levels.dropped()),
            ],
        }
    }

    /// Has a technician's request carried out. The answer comes when it is done.
    pub fn request(&self, by: String, request: OperatorRequest) -> oneshot::Receiver<OperatorAnswer> {
        let (sender, answer) = oneshot::channel();
        let token = {
            let mut core = self.0.borrow_mut();
            core.last_token += 1;
            let token = core.last_token;
            // Those who have given up waiting for a board that never answered.
            core.answers.retain(|_, waiting| !waiting.is_closed());
            core.answers.insert(token, sender);
            token
        };
        self.happened(Event::Operator(OperatorEvent { token, by, request }));
        answer
    }

    /// The configuration was read again, and nothing of it was taken.
    pub fn refused(&self, why: String) {
        self.happened(Event::Reload(Reload::Refused { why }));
    }

    /// A part of the daemon has failed, and is begun anew.
    pub fn failed(&self, part: &'static str, detail: String) {
        self.happened(Event::Failed { part, detail });
    }

    /// What the controller was told last of the configuration.
    pub fn settings(&self) -> Rc<Settings> {
        self.0.borrow().settings.clone()
    }

    /// What is logged.
    pub fn levels(&self) -> Levels {
        self.0.borrow().levels.clone()
    }

    /// The last `seq` on disk, and each newer one as it comes.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.0.borrow().recorded.subscribe()
    }

    /// The last `seq` whose hash was signed, and each newer one as it comes.
    pub fn signed(&self) -> watch::Receiver<u64> {
        self.0.borrow().signed.subscribe()
    }

    /// Has the cache's copy written now; what is sent is heard as it goes on, and at its end.
    pub fn copy(&self, progress: watch::Sender<Progress>, done: oneshot::Sender<Result<u64, String>>) {
        let mut core = self.0.borrow_mut();
        core.changes.waiting.push_back(Job::Copy { progress, done });
        core.hand_over();
    }

    /// Ends the daemon as SIGTERM does: who runs it starts it again.
    pub fn start_again(&self) {
        self.0.borrow().again.notify_one();
    }

    /// Resolves when it is to end so.
    pub async fn is_to_start_again(&self) {
        let again = self.0.borrow().again.clone();
        again.notified().await;
    }

    /// Has the journal's end signed.
    pub fn sign_journal(&self) {
        let mut core = self.0.borrow_mut();
        core.keep_entry(JournalCommand::Sign);
        core.hand_over();
    }

    /// Taps and readers, as they come.
    pub fn watch_readers(&self) -> broadcast::Receiver<ReaderNews> {
        self.0.borrow().watchers.readers()
    }

    /// Boards and their inputs, as they come.
    pub fn watch_boards(&self) -> broadcast::Receiver<BoardNews> {
        self.0.borrow().watchers.boards()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.0.borrow().state_dir.clone()
    }

    /// Stops the drivers in order: no more input, then what was recorded goes to disk, then the link.
    pub fn stop(&self) {
        let mut core = self.0.borrow_mut();
        core.readers.stop();
        core.boards.stop();
        core.hand_over();
        // The link says goodbye while the disk works.
        core.uplink = None;
        let end = clock::instant() + STORES_END_WITHIN;
        let left = || end.saturating_duration_since(clock::instant());
        core.journal.stop_within(left());
        core.cache.stop_within(left());
    }
}

impl Core {
    fn change(&mut self, config: &Config) {
        let (boards, readers) = (self.boards.not_kept(config), self.readers.not_kept(config));
        let settings = Box::new(wiring::settings(config));
        self.settings = Rc::new((*settings).clone());
        // What is switched off is so by the boards as they were.
        self.happened(Event::Reload(Reload::Taken { settings, boards, readers }));
        self.boards.change(config, &self.events);
        if let Err(error) = self.readers.change(config, &self.events) {
            tracing::error!(%error, "a reader can't be begun; restart latchd");
        }
        let Config { keep, max_events, .. } = *config;
        self.keep_entry(JournalCommand::Keep { keep, max_events });
        self.changes.push(CacheCommand::Doors(self.settings.places()));
        self.hand_over();
        self.say_all();
    }

    /// A part whose thread is gone.
    fn ended(&self) -> Option<&'static str> {
        let is_gone = [
            ("journal", self.journal.is_gone()),
            ("cache", self.cache.is_gone()),
            ("link to central", self.uplink.as_ref().is_some_and(Sender::is_closed)),
        ];
        is_gone.into_iter().find(|(_, is_gone)| *is_gone).map(|(part, _)| part)
    }

    /// Whether a board was told something.
    fn happened(&mut self, event: Event) -> bool {
        let reading = reading();
        let seen = self.watchers.see(&event, reading.wall);
        let actions = self.controller.handle(reading, event);
        if let Some(seen) = seen {
            self.watchers.tell(seen, &actions, &self.controller, reading);
        }
        self.carry_out(actions)
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> bool {
        let mut actions = VecDeque::from(actions);
        let mut boards_were_told = false;
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Board { board, command } => {
                    boards_were_told = true;
                    if let Some(refused) = self.boards.send(&board, command) {
                        actions.extend(self.controller.handle(reading(), refused));
                    }
                }
                Action::Feedback { reader, feedback } => self.readers.feedback(&reader, feedback),
                Action::Journal(command) => self.keep_entry(command),
                Action::Cache(command) => self.changes.push(command),
                Action::Uplink(command) => self.unsaid.push_back(command),
                Action::Discard(index) => drop(tokio::task::spawn_blocking(move || drop(index))),
                Action::Answer { token, answer } => {
                    // A technician who has gone does not wait for it.
                    let _gone = self.answers.remove(&token).map(|waiting| waiting.send(answer));
                }
            }
        }
        self.hand_over();
        let recorded = self.controller.recorded();
        self.recorded.send_if_modified(|last| std::mem::replace(last, recorded) != recorded);
        let signed = self.controller.checkpoint().map_or(0, |checkpoint| checkpoint.seq);
        self.signed.send_if_modified(|last| std::mem::replace(last, signed) != signed);
        boards_were_told
    }

    fn keep_entry(&mut self, command: JournalCommand) {
        if self.entries.len() < KEPT_ENTRIES {
            self.entries.push_back(command);
        } else {
            self.dropped.entries = self.dropped.entries.saturating_add(1);
            tracing::error!("an event was dropped: the disk has not kept up for too long");
        }
    }

    fn hand_over(&mut self) {
        self.journal.send(&mut self.entries);
        self.cache.send(&mut self.changes.waiting);
    }

    fn say_all(&mut self) {
        while let Some(command) = self.unsaid.pop_front() {
            self.say(command);
        }
    }

    fn say(&mut self, command: UplinkCommand) {
        let Some(uplink) = &self.uplink else { return };
        match uplink.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.messages = self.dropped.messages.saturating_add(1);
                tracing::warn!("the link to central does not keep up");
            }
            Err(TrySendError::Closed(_)) => tracing::error!("the link to central has ended"),
        }
    }
}
