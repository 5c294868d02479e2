//! The task of one port: opens it, and gives each reader on it its turn.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::mpsc::{Receiver, Sender},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Config, Error,
    exchange::Wire,
    peripheral::{Ended, Peripheral},
};
use crate::{
    control::{Event, Feedback},
    domain::Mono,
    drivers::{backoff::Backoff, clock, reader::line::Line, seldom::Seldom},
};

const OPEN_RETRY_FIRST: Duration = Duration::from_millis(100);
/// Trying to open costs nothing, and a cable put back should serve soon.
const OPEN_RETRY_CAP: Duration = Duration::from_millis(500);
/// After a try for a reader that does not answer, which costs the line 200 ms, the others have it to themselves.
const AFTER_SILENCE: Duration = Duration::from_millis(1_000);

#[derive(Debug)]
pub struct Driver {
    port: String,
    baud: u32,
    peripherals: Vec<Peripheral>,
    open_retry: Backoff,
    /// Before this nobody who was tried in vain is tried again, where others are live.
    away_from: Instant,
    started: Instant,
    noise: Seldom,
}

impl Driver {
    pub fn new(config: Config, events: Sender<Event>) -> Self {
        let Config { port, baud, peripherals } = config;
        let own = |peripheral| Peripheral::new(peripheral, (&port, baud), events.clone());
        let peripherals = peripherals.into_iter().map(own).collect();
        let now = clock::instant();
        Driver {
            port,
            baud,
            peripherals,
            open_retry: Backoff::new(OPEN_RETRY_FIRST, OPEN_RETRY_CAP),
            away_from: now,
            started: now,
            noise: Seldom::default(),
        }
    }

    pub async fn run<L: Line>(
        mut self,
        mut open: impl FnMut() -> tokio_serial::Result<L>,
        mut shown: Receiver<(usize, Feedback)>,
    ) {
        loop {
            let error = match open() {
                // What a library panics at must not take the doors' readers with it for good.
                Ok(port) => match AssertUnwindSafe(self.session(port, &mut shown)).catch_unwind().await {
                    Ok(Ended::Stopping) => return,
                    Ok(Ended::Line(source)) => Error::Line { port: self.port.clone(), source },
                    Err(_) => Error::Panicked,
                },
                Err(source) => Error::Open { port: self.port.clone(), source },
            };
            for peripheral in &mut self.peripherals {
                if peripheral.line_is_gone(&error).await.is_err() {
                    return;
                }
            }
            sleep(self.open_retry.wait()).await;
        }
    }

    /// One opened port, until it fails.
    async fn session<L: Line>(&mut self, port: L, shown: &mut Receiver<(usize, Feedback)>) -> Ended {
        let mut wire = Wire::over(port, self.baud);
        let ended = loop {
            if let Err(ended) = self.step(&mut wire, shown).await {
                break ended;
            }
        };
        wire.into_port().discard();
        ended
    }

    /// Waits until somebody is due, and gives them their turn.
    async fn step<L: Line>(
        &mut self,
        wire: &mut Wire<L>,
        shown: &mut Receiver<(usize, Feedback)>,
    ) -> Result<(), Ended> {
        let (number, due) = self.next().ok_or(Ended::Stopping)?;
        tokio::select! {
            biased;
            feedback = shown.recv() => {
                let (number, feedback) = feedback.ok_or(Ended::Stopping)?;
                if let Some(peripheral) = self.peripherals.get_mut(number) {
                    peripheral.show(feedback);
                }
                return Ok(());
            }
            () = sleep_until(due) => {}
        }
        let Some(peripheral) = self.peripherals.get_mut(number) else { return Ok(()) };
        let was_live = peripheral.is_live();
        peripheral.turn(wire).await?;
        if peripheral.is_live() {
            self.open_retry.reset();
        } else if !was_live {
            self.away_from = clock::instant() + AFTER_SILENCE;
        }
        self.note_noise(wire.take_damaged());
        for peripheral in &mut self.peripherals {
            peripheral.say_if_lost().await?;
        }
        Ok(())
    }

    /// Who is due first, and when.
    fn next(&self) -> Option<(usize, Instant)> {
        let somebody_is_live = self.peripherals.iter().any(Peripheral::is_live);
        let due = |p: &Peripheral| match somebody_is_live && p.is_in_trouble() {
            true => p.due().max(self.away_from),
            false => p.due(),
        };
        self.peripherals.iter().map(due).enumerate().min_by_key(|(_, due)| *due)
    }

    fn note_noise(&mut self, packets: u64) {
        if packets > 0
            && let Some(left_out) = self.noise.may(Mono(clock::instant() - self.started))
        {
            tracing::warn!(port = %self.port, packets, left_out, "damaged packets on the line");
        }
    }
}
