//! What happens next, by chance: people, technicians, central and its bugs, faults of everything, and time that passes.

use std::time::Duration;

use latchd::{
    control::{Event, OperatorRequest, ReaderEvent},
    domain::DoorMode,
};

use super::{Topic, World, decisions::instant, journal::Disk, restart::End, site};
use crate::naive;

/// Somebody waits for a window to open or close at most this long.
const LONGEST_WAIT: chrono::Duration = chrono::Duration::minutes(50);

impl World {
    /// Something happens, and some time passes.
    pub fn step(&mut self) {
        let door = self.lot.below(site::DOORS.len());
        match self.lot.of(0..100) {
            0..20 => {
                let card = self.any_card();
                self.tap(door, &card);
            }
            20..32 => self.tap_at_an_edge(),
            32..40 => self.random_order(door),
            40..46 => self.leave(door),
            46..49 => self.force(door),
            49..52 => self.fire(),
            52..57 => self.board_trouble(),
            57..61 => self.disk_trouble(),
            61..66 => self.clock_trouble(),
            66..69 => self.end(),
            69..76 => self.link_trouble(),
            76..82 => self.broker_plays(),
            82..92 => self.central_acts(),
            92..95 => self.reader_trouble(door),
            95 if self.lot.one_in(3) => self.ask(OperatorRequest::Resync),
            96 if self.lot.one_in(2) => self.suspend(),
            _ => self.a_quiet_hour(),
        }
        self.carry_away();
        let most = [1, 30, 250, 6_000, 40_000, 150_000][self.lot.below(6)];
        let time = self.lot.ms(0..most);
        self.later(time);
    }

    /// Somebody stands at a door at the very second that a window of theirs opens or closes.
    fn tap_at_an_edge(&mut self) {
        let held = self.cache.state.held.clone();
        let now = instant(self.clock.wall(self.mono));
        let grants: Vec<_> = held.iter().filter(|r| r["type"] == "grant").collect();
        if grants.is_empty() {
            return;
        }
        let grant = grants[self.lot.below(grants.len())];
        let is_holders =
            |r: &&&serde_json::Value| r["type"] == "credential" && r["holder"] == grant["holder"];
        let Some(uid) = held.iter().find(|r| is_holders(&r)).and_then(|r| r["uid"].as_str()) else { return };
        let windows = naive::windows(site::ZONE.parse().unwrap(), &naive::policy(&held), grant, now);
        let edges = windows.iter().flat_map(|(opens, closes)| opens.iter().chain(closes));
        let next = edges.filter(|at| **at > now && **at < now + LONGEST_WAIT).min().copied();
        let by = self.lot.pick(&[-1000, -1, 0, 0, 1, 1000]);
        let wait = next.map_or(0, |at| (at - now).num_milliseconds() + by).max(0);
        self.wait_calmly(Duration::from_millis(wait as u64));
        let covers = |n: usize| site::naive_doors().get(n).is_some_and(|door| naive::covers(grant, door));
        let covered: Vec<usize> = (0..site::DOORS.len()).filter(|n| covers(*n)).collect();
        let door = if covered.is_empty() { 0 } else { covered[self.lot.below(covered.len())] };
        let uid = uid.to_owned();
        self.tap(door, &uid);
    }

    /// Many minutes in which the loop looks at the clock less often, so that a run of hours is soon over.
    pub fn wait_calmly(&mut self, time: Duration) {
        let before = std::mem::replace(&mut self.look_every, (time / 20).max(Duration::from_secs(1)));
        self.later(time);
        self.look_every = before;
    }

    fn fire(&mut self) {
        let on = self.lot.one_in(3);
        if on {
            self.counts.note("fault: a fire alarm");
        }
        self.set(1, site::FIRE, on);
    }

    fn board_trouble(&mut self) {
        let n = self.lot.below(2);
        let now = self.mono;
        match self.lot.of(0..8) {
            0..2 => {
                self.counts.note("fault: a board is lost");
                self.lose_board(n);
            }
            2 => {
                self.counts.note("fault: a board restarts");
                let said = self.boards[n].restart(now, &mut self.lot);
                said.into_iter().for_each(|what| self.board_says(n, what));
            }
            3 => {
                self.counts.note("fault: a board reads back what was not asked");
                self.boards[n].fails = true;
            }
            4 => {
                self.counts.note("fault: a board is slow");
                self.boards[n].is_slow = true;
            }
            _ => {
                self.boards[n].note_trouble(now);
                (self.boards[n].fails, self.boards[n].is_slow) = (false, false);
                self.connect_board(n);
            }
        }
    }

    fn disk_trouble(&mut self) {
        let disk = self.lot.pick(&[Disk::Quick, Disk::Quick, Disk::Slow, Disk::Failing]);
        self.counts.note(match disk {
            Disk::Quick => "disk: quick",
            Disk::Slow => "fault: the disk is slow",
            Disk::Failing => "fault: the disk is full",
        });
        // Both are on one disk, and need not fail together.
        if !self.lot.one_in(4) {
            self.journal.disk = disk;
        }
        if !self.lot.one_in(4) {
            self.cache.disk = disk;
        }
    }

    fn clock_trouble(&mut self) {
        let what = self.clock.go_wrong(&mut self.lot);
        self.counts.note(&format!("clock: {what}"));
        self.happens(Event::Tick);
    }

    /// The machine sleeps: boards go on by themselves, connections die, and nobody looks.
    fn suspend(&mut self) {
        self.counts.note("fault: the machine is suspended");
        let slept = self.lot.secs(5..1_200);
        self.mono += slept;
        // What was kept open a moment ago was so until now, as far as anybody could see.
        self.seen.kept_open.iter_mut().flatten().for_each(|at| *at += slept);
        if self.lot.one_in(2) {
            self.disconnect(false);
            (0..2).for_each(|n| self.lose_board(n));
        }
        self.happens(Event::Tick);
    }

    fn end(&mut self) {
        let end = self.lot.pick(&[End::Told, End::Killed, End::PowerCut, End::PowerCut]);
        let damaged = self.lot.one_in(8);
        if end == End::PowerCut && self.lot.one_in(5) {
            self.counts.note("clock: 1970 at boot");
            self.clock.boot_in_1970(self.mono);
        }
        self.restart(end, damaged);
        // Whoever held back what was commanded a moment ago delivers it now.
        let sent = self.central.sent.iter().rev().filter(|message| message.topic == Topic::Command);
        let commands: Vec<_> = sent.take(2).cloned().collect();
        commands.into_iter().for_each(|message| self.broker.replay(self.mono, message));
        // What drivers do by themselves.
        for n in 0..2 {
            if !self.lot.one_in(4) {
                self.connect_board(n);
            }
        }
    }

    fn link_trouble(&mut self) {
        match self.lot.of(0..6) {
            0..2 => {
                self.counts.note("fault: the line is down");
                self.broker.line = false;
                self.disconnect(false);
            }
            2 => {
                self.counts.note("fault: the broker forgets the session");
                self.disconnect(true);
            }
            3 => {
                self.counts.note("fault: the connection is dropped");
                self.disconnect(false);
            }
            _ => self.broker.line = true,
        }
    }

    /// A broker that is nobody's friend.
    fn broker_plays(&mut self) {
        match self.lot.of(0..8) {
            0 => {
                self.counts.note("broker: changes the order");
                self.broker.reorder(&mut self.lot);
            }
            1 => {
                self.counts.note("broker: loses a message");
                self.broker.lose(&mut self.lot);
            }
            2 => {
                self.counts.note("broker: retains a command");
                let last = self.central.sent.iter().rev().find(|m| m.topic == Topic::Command).cloned();
                self.broker.retained = last.filter(|_| !self.lot.one_in(3));
            }
            _ => {
                let count = self.lot.of(1..4);
                for _ in 0..count {
                    if let Some(message) = self.any_sent() {
                        self.counts.note("broker: replays a message");
                        self.broker.replay(self.mono, message);
                    }
                }
            }
        }
    }

    fn central_acts(&mut self) {
        let now = instant(self.clock.truth(self.mono));
        match self.lot.of(0..20) {
            0..9 => self.central.random_changes(&mut self.lot, now),
            9..15 => {
                let kind = self.central.command(&mut self.lot, now);
                self.counts.note(&format!("central: commands, {kind}"));
            }
            15 => self.central.snapshot(&mut self.lot),
            16 => {
                self.counts.note("central: restarts");
                self.central.restart(&mut self.lot);
            }
            _ => {
                let what = self.central.misbehave(&mut self.lot, now);
                self.counts.note(&format!("central: {what}"));
            }
        }
        self.carry_away();
    }

    fn reader_trouble(&mut self, door: usize) {
        let reader = site::reader_id(door);
        let detail = "cable".to_owned();
        let what = match self.lot.of(0..8) {
            0..2 => ReaderEvent::Lost { detail },
            2..5 => ReaderEvent::Connected { detail },
            5 => ReaderEvent::Restarted { detail },
            6 => ReaderEvent::Unreadable { detail },
            _ => ReaderEvent::Tamper { is_tampered: self.lot.one_in(2), detail },
        };
        match what {
            ReaderEvent::Lost { .. } => {
                self.counts.note("fault: a reader is lost");
                self.people.readers[door] = false;
            }
            ReaderEvent::Connected { .. } => self.people.readers[door] = true,
            _ => {}
        }
        self.happens(Event::Reader { reader, what });
        if self.lot.one_in(3) {
            self.counts.note("fault: a reader repeats a frame");
            let card = self.any_card();
            self.tap(door, &card);
            self.tap(door, &card);
        }
    }

    /// Everything works, and people come and go: most days are like this.
    pub(super) fn a_quiet_hour(&mut self) {
        self.mend();
        // Right: where a wrong one was believed, it is in doubt until it has caught up.
        (self.clock.synchronised, self.clock.off_ms) = (true, 0);
        self.set(1, site::FIRE, false);
        self.open_doors_again();
        self.later(Duration::from_secs(20));
    }

    /// Central sells and commands, and members come for it.
    pub(super) fn busy_minutes(&mut self) {
        let now = instant(self.clock.truth(self.mono));
        self.central.random_changes(&mut self.lot, now);
        self.central.command(&mut self.lot, now);
        self.carry_away();
        let time = self.lot.secs(1..60);
        self.later(time);
        self.tap_at_an_edge();
        let time = self.lot.secs(1..20);
        self.later(time);
    }

    /// A house whose doors are all locked down is one in which little happens.
    fn open_doors_again(&mut self) {
        use latchd::domain::DoorAction as A;
        for (door, report) in self.controller.door_reports().into_iter().enumerate() {
            match report.mode {
                DoorMode::LockedDown => self.order(door, (A::LockDownRelease, None)),
                DoorMode::LockedOpen => self.order(door, (A::LockOpenRelease, None)),
                DoorMode::Blocked => self.order(door, (A::Unblock, None)),
                DoorMode::Unlocked => self.order(door, (A::Lock, None)),
                DoorMode::Locked | DoorMode::Accessed => {}
            }
        }
        (0..site::DOORS.len()).for_each(|door| self.people.readers[door] = true);
    }
}
