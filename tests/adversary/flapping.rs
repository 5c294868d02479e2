//! A day with a line that comes and goes every few seconds or minutes, in virtual time: the broker is honest and keeps
//! a session, which now and then it forgets; taps and changes go on; central acknowledges late, twice, backwards and
//! for another journal. Nothing is lost, and nothing counts twice.

use std::{collections::VecDeque, time::Duration};

use latchd::control::Event;

use super::{central::Message, disk::JOURNAL, for_seeds, world::World};

const DAY: Duration = Duration::from_secs(86_400);
const SEEDS: u64 = 4;
/// What the broker may hold: a line is seldom away for an hour.
const MOST_QUEUED: usize = 2000;

/// A broker that keeps every message until it is acknowledged.
#[derive(Default)]
struct Broker {
    queue: VecDeque<(Message, bool)>,
    /// The message at the controller, the first of the queue.
    offered: Option<u64>,
    has_session: bool,
    /// What comes later, and when: acknowledgements.
    later: Vec<(Duration, Message)>,
}

/// When what happens by itself happens next.
struct Times {
    change: Duration,
    tap: Duration,
    flap: Duration,
    crash: Duration,
}

struct Day {
    world: World,
    broker: Broker,
    times: Times,
    taps: u64,
    flaps: u64,
}

impl Day {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let now = world.mono;
        let times = Times { change: now, tap: now, flap: now, crash: now + Duration::from_secs(7200) };
        Day { world, broker: Broker::default(), times, taps: 0, flaps: 0 }
    }

    fn after(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        self.world.mono + Duration::from_millis(self.world.lot.of(least_ms..most_ms))
    }

    /// What is due now.
    fn step(&mut self) {
        let now = self.world.mono;
        if self.times.change <= now {
            self.world.central.change(&mut self.world.lot);
            self.times.change = self.after(10, 400_000);
        }
        if self.times.tap <= now {
            self.world.tap();
            self.taps += 1;
            self.times.tap = self.after(10, 300_000);
        }
        if self.times.flap <= now {
            self.flap();
        }
        if self.times.crash <= now {
            self.lose_what_is_said();
            self.taps -= self.world.written.iter().filter(|entry| is_tap(entry)).count() as u64;
            self.world.crash();
            self.times.crash = self.after(3_600_000, 14_400_000);
        }
        self.carry();
        self.disk();
    }

    /// The line comes or goes: seconds, or minutes.
    fn flap(&mut self) {
        self.flaps += 1;
        if self.world.link.is_up {
            self.lose_what_is_said();
            self.world.disconnect();
            if self.world.lot.one_in(20) {
                self.broker.has_session = false;
                self.broker.queue.clear();
            }
        } else {
            self.world.connect(self.broker.has_session);
            self.broker.has_session = true;
        }
        let most = if self.world.lot.one_in(2) { 10_000 } else { 600_000 };
        self.times.flap = self.after(1000, most);
    }

    /// What the controller has just said may not have come to the broker.
    fn lose_what_is_said(&mut self) {
        if self.world.lot.one_in(2) {
            (self.world.syncs, self.world.events) = Default::default();
        }
        self.broker.offered = None;
        if let Some((_, again)) = self.broker.queue.front_mut() {
            *again = true;
        }
    }

    /// What the broker carries, both ways.
    fn carry(&mut self) {
        let Day { world, broker, .. } = self;
        if let Some(sync) = world.syncs.pop_front() {
            world.central.answer(&sync, &mut world.lot);
        }
        if let Some(events) = world.events.pop_front() {
            world.central.store(&events);
            let stored = world.central.ledger.len() as u64;
            if world.lot.one_in(5) {
                let earlier = world.lot.of(0..stored + 1);
                world.central.acknowledge(JOURNAL, earlier);
                world.central.acknowledge("00000000-0000-0000-0000-000000000000", stored + 5);
                world.central.acknowledge(JOURNAL, stored);
            }
        }
        // The broker has no session, so it has nowhere to keep it.
        let outgoing = std::mem::take(&mut world.central.outgoing);
        for message in outgoing.into_iter().filter(|_| broker.has_session) {
            match message {
                Message::Feed(_) => broker.queue.push_back((message, false)),
                Message::Ack(_) => {
                    let most = if world.lot.one_in(4) { 100_000 } else { 200 };
                    let late = Duration::from_millis(world.lot.of(1..most));
                    broker.later.push((world.mono + late, message));
                }
            }
        }
        assert!(broker.queue.len() < MOST_QUEUED, "messages pile up");
        let (due, later) =
            std::mem::take(&mut broker.later).into_iter().partition(|(at, _)| *at <= world.mono);
        broker.later = later;
        for (_, message) in due {
            if world.link.is_up {
                world.deliver(message, false);
            }
        }
        if broker.offered.is_some_and(|offered| world.link.last_done == offered) {
            broker.offered = None;
            broker.queue.pop_front();
        }
        if world.link.has_room()
            && let Some((message, again)) = broker.queue.front().cloned()
        {
            broker.offered = Some(world.deliver(message, again));
        }
    }

    fn disk(&mut self) {
        match self.world.lot.of(0..3) {
            0 => self.world.store(),
            1 => self.world.tell_stored(),
            _ => self.world.flush_journal(usize::MAX),
        }
    }

    /// On to what comes next; at once, nearly, while something is under way.
    fn sleep(&mut self) {
        let Day { world, broker, times, .. } = self;
        let is_busy = world.at_cache.is_some()
            || world.done.is_some()
            || !world.written.is_empty()
            || !world.syncs.is_empty()
            || !world.events.is_empty()
            || world.link.is_up && !broker.queue.is_empty();
        let next = [times.change, times.tap, times.flap, times.crash].into_iter();
        let deadline = world.controller.next_deadline().map(|at| at.0);
        let soon = is_busy.then(|| world.mono + Duration::from_millis(world.lot.of(1..100)));
        let acks = broker.later.iter().map(|(at, _)| *at);
        let until = next.chain(deadline).chain(soon).chain(acks).min().unwrap_or(world.mono);
        world.mono = until.max(world.mono + Duration::from_millis(1));
        world.happens(Event::Tick);
    }
}

fn is_tap(entry: &latchd::domain::Entry) -> bool {
    use latchd::domain::EntryKind::{AccessDenied, AccessGranted};
    matches!(entry.kind, AccessGranted(_) | AccessDenied(_))
}

#[test]
fn a_day_of_flapping_loses_nothing_and_applies_nothing_twice() {
    for_seeds(0..SEEDS, "a_day_of_flapping", |seed| {
        let mut day = Day::new(seed);
        let end = day.world.mono + DAY;
        while day.world.mono < end {
            day.step();
            day.world.check();
            day.sleep();
        }
        day.world.converge();
        let Day { world, taps, flaps, .. } = day;
        let at_central = world.central.ledger.iter().filter(|entry| is_tap(entry)).count() as u64;
        assert_eq!(at_central, taps, "taps at central");
        eprintln!(
            "seed {seed}: {flaps} times up or down, {taps} taps, {} events, {} messages applied, {} crashes",
            world.central.ledger.len(),
            world.disk.applied_messages,
            world.crashes
        );
    });
}
