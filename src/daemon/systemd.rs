//! What systemd is told: that doors work, that the configuration is read again, that the end has begun, and, all the
//! time, that the loop which opens doors goes round.
//!
//! The watchdog is fed by that loop alone, between one event and the next ([`Watchdog::alive`]): a loop that stands
//! still feeds nothing, however well other threads and timers do, and systemd starts the daemon anew. What is said
//! goes over a thread, because systemd's socket can be full, and doors don't wait for it. Without systemd there is
//! nobody to tell.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::Instant;

use crate::drivers::clock;

/// Words on their way. More can't wait unless systemd itself stands still; then there is nobody to hear them.
const WAITING: usize = 8;
/// How long the end waits for the last word to be said.
const LAST_WORD_WITHIN: Duration = Duration::from_millis(200);
/// Of the time within which systemd must hear from the loop: fed at half of it, one late turn is no death.
const FED_EARLIER: u32 = 2;

/// Says things to systemd.
#[derive(Debug, Clone)]
pub struct Systemd(SyncSender<Word>);

/// Whether the loop goes round, as systemd wants to know it.
#[derive(Debug)]
pub struct Watchdog {
    systemd: Systemd,
    /// How often it is to be said; never, if systemd does not ask.
    every: Option<Duration>,
    due: Instant,
}

#[derive(Debug)]
enum Word {
    Say(Vec<NotifyState<'static>>),
    /// All before it has been said.
    Said(Sender<()>),
}

impl Systemd {
    pub fn start() -> io::Result<Self> {
        let (words, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("notify".into()).spawn(move || say(waiting))?;
        Ok(Systemd(words))
    }

    /// Doors work, and the control socket answers.
    pub fn ready(&self) {
        self.say(vec![NotifyState::Ready]);
    }

    /// The configuration is read again. [`Systemd::ready`] follows, whatever comes of it.
    pub fn reloading(&self) {
        let mut words = vec![NotifyState::Reloading];
        // Without it systemd would take a READY of before for the answer.
        words.extend(NotifyState::monotonic_usec_now());
        self.say(words);
    }

    pub fn stopping(&self) {
        self.say(vec![NotifyState::Stopping]);
    }

    /// Waits a moment for what is still to be said.
    pub fn last_word(self) {
        let (done, said) = channel();
        if self.0.try_send(Word::Said(done)).is_ok() {
            let _in_time = said.recv_timeout(LAST_WORD_WITHIN);
        }
    }

    fn say(&self, words: Vec<NotifyState<'static>>) {
        if self.0.try_send(Word::Say(words)).is_err() {
            tracing::debug!("systemd does not listen");
        }
    }
}

fn say(waiting: Receiver<Word>) {
    for word in waiting {
        match word {
            Word::Say(words) => {
                if let Err(error) = sd_notify::notify(&words) {
                    tracing::debug!(%error, "systemd was not told");
                }
            }
            Word::Said(done) => _ = done.send(()),
        }
    }
}

impl Watchdog {
    pub fn new(systemd: Systemd) -> Self {
        Watchdog::fed(systemd, sd_notify::watchdog_enabled())
    }

    /// `within`: when systemd gives up waiting for a word.
    fn fed(systemd: Systemd, within: Option<Duration>) -> Self {
        let every = within.filter(|within| !within.is_zero()).map(|within| within / FED_EARLIER);
        Watchdog { systemd, every, due: clock::instant() }
    }

    /// The loop has come round.
    pub fn alive(&mut self) {
        let (Some(every), now) = (self.every, clock::instant()) else { return };
        if now >= self.due {
            self.due = now + every;
            self.systemd.say(vec![NotifyState::Watchdog]);
        }
    }

    /// When the loop must have come round again.
    pub fn due(&self) -> Option<Instant> {
        self.every.map(|_| self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchdog(within_s: u64) -> (Watchdog, Receiver<Word>) {
        let (words, waiting) = sync_channel(WAITING);
        (Watchdog::fed(Systemd(words), Some(Duration::from_secs(within_s))), waiting)
    }

    fn told(waiting: &Receiver<Word>) -> usize {
        waiting
            .try_iter()
            .filter(|word| matches!(word, Word::Say(w) if matches!(w[..], [NotifyState::Watchdog])))
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_at_half_its_time_and_only_when_the_loop_comes_round() {
        let (mut watchdog, waiting) = watchdog(10);
        watchdog.alive();
        watchdog.alive();
        assert_eq!(told(&waiting), 1);
        assert_eq!(watchdog.due(), Some(clock::instant() + Duration::from_secs(5)));
        tokio::time::advance(Duration::from_millis(4999)).await;
        watchdog.alive();
        assert_eq!(told(&waiting), 0);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(told(&waiting), 0, "nobody came round");
        watchdog.alive();
        assert_eq!(told(&waiting), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_asked_says_nothing_and_a_systemd_that_stands_still_holds_up_nobody() {
        let (words, waiting) = sync_channel(WAITING);
        let mut silent = Watchdog::fed(Systemd(words), None);
        silent.alive();
        assert_eq!((told(&waiting), silent.due()), (0, None));
        let (mut watchdog, waiting) = watchdog(1);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            watchdog.alive();
        }
        assert_eq!(told(&waiting), WAITING);
    }
}
