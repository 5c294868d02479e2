//! Between the controller and central: what the link says, delivers and carries away, and what central makes of it.

use std::rc::Rc;

use latchd::{
    control::{Event, UplinkCommand, UplinkEvent},
    wire::{
        command::{CommandError, Unread},
        feed::MessageError,
        jws::JwsError,
    },
};

use super::{
    Invariant, Message, Topic, World,
    broker::{News, Said},
};

impl World {
    pub(super) fn say(&mut self, command: UplinkCommand) {
        if self.broker.is_undone {
            return;
        }
        let is_up = self.broker.is_up;
        self.verdicts.demand(Invariant::WithinLimits, is_up, || format!("said without a link: {command:?}"));
        match command {
            UplinkCommand::Done { token } => {
                let under_way = self.at_cache == Some(token);
                self.verdicts.demand(Invariant::OnDiskFirst, !under_way, || {
                    "acknowledged to the broker, and not on disk".into()
                });
                self.broker.done(token);
            }
            UplinkCommand::Gone { .. } => {}
            UplinkCommand::Undone => self.broker.is_undone = true,
            UplinkCommand::Sync(sync) => {
                self.check_sync(&sync);
                self.broker.say(self.mono, Said::Sync(sync), &mut self.lot);
            }
            UplinkCommand::Status(status) => {
                let (said, on_disk) = (status.recorded, self.journal.on_disk());
                self.verdicts.demand(Invariant::OnDiskFirst, said <= on_disk, || {
                    format!("events through {said} are said to be recorded, and {on_disk} are")
                });
                self.broker.say(self.mono, Said::Status(Box::new(status)), &mut self.lot);
            }
            UplinkCommand::Result(result) => self.broker.say(self.mono, Said::Result(result), &mut self.lot),
            UplinkCommand::Door(state) => {
                self.broker.say(self.mono, Said::Door(Box::new(state)), &mut self.lot);
            }
            UplinkCommand::SendEvents { from, through } => self.send_events(from, through),
        }
    }

    /// As the link does: what one message has room for, and how far that went.
    fn send_events(&mut self, from: u64, through: u64) {
        let on_disk = self.journal.on_disk();
        self.verdicts.demand(Invariant::OnDiskFirst, through <= on_disk, || {
            format!("events through {through} are sent, and {on_disk} are on disk")
        });
        let count = through.saturating_sub(from) + 1;
        self.verdicts
            .demand(Invariant::WithinLimits, count <= 500, || format!("{count} events in a message"));
        let room = if self.lot.one_in(4) { self.lot.below(20) + 1 } else { 500 };
        let held = self.journal.pick(from, through);
        let picked = held[..room.min(held.len())].to_vec();
        let Some(last) = picked.last().map(|entry| entry.seq) else {
            return self.uplink_says(UplinkEvent::Skipped { through });
        };
        self.broker.say(self.mono, Said::Events(picked), &mut self.lot);
        self.uplink_says(UplinkEvent::Sent { through: last });
    }

    pub(super) fn uplink_says(&mut self, what: UplinkEvent) {
        self.happens(Event::Uplink(what));
    }

    pub(super) fn broker_brings(&mut self, news: News) {
        match news {
            News::Connected { is_resumed } => {
                self.counts.note(if is_resumed {
                    "link: up, as it was"
                } else {
                    "link: up, with nothing kept"
                });
                self.uplink_says(UplinkEvent::Connected { detail: "broker:8883".into(), is_resumed });
                if self.lot.one_in(10) {
                    self.uplink_says(UplinkEvent::SaidOffline);
                }
            }
            News::Delivered { token, message, again, retained } => {
                self.deliver(token, &message, again, retained);
            }
            News::ToCentral(said) => self.central_hears(said),
        }
        self.carry_away();
    }

    /// What central has said goes to the broker.
    pub(super) fn carry_away(&mut self) {
        while let Some(message) = self.central.outgoing.pop_front() {
            self.broker.take(self.mono, message, &mut self.lot);
        }
    }

    fn deliver(&mut self, token: u64, message: &Message, again: bool, retained: bool) {
        let inbox = if message.forged { &self.strict } else { &self.inbox };
        let bytes = message.body.to_string().into_bytes();
        let event = match message.topic {
            Topic::Feed => UplinkEvent::Feed { token, again, message: inbox.feed(&bytes) },
            Topic::Ack => UplinkEvent::Ack { message: inbox.ack(&bytes) },
            Topic::Command => UplinkEvent::Command { token, message: inbox.command(&bytes, retained) },
        };
        let refused = match &event {
            UplinkEvent::Feed { message: Err(MessageError::Jws(JwsError::NotCompact)), .. }
            | UplinkEvent::Command {
                message: Err(Unread { why: CommandError::Message(MessageError::Jws(_)), .. }),
                ..
            } => "link: a message nobody has signed",
            UplinkEvent::Feed { message: Err(_), .. } => "link: a message nobody understands",
            UplinkEvent::Command { message: Err(Unread { why: CommandError::Retained, .. }), .. } => {
                "link: a retained command"
            }
            _ if again => "link: delivered again",
            _ => "link: delivered",
        };
        self.counts.note(refused);
        self.uplink_says(event);
    }

    fn central_hears(&mut self, said: Said) {
        match said {
            _ if self.is_deaf => {}
            Said::Sync(sync) => self.central.answer(&sync, &mut self.lot),
            Said::Events(events) => {
                let stored = self.central.store(&events, |seq| self.journal.was_dropped(seq));
                let wrong = stored.err().unwrap_or_default();
                self.verdicts.demand(Invariant::NothingLost, wrong.is_empty(), || wrong);
            }
            Said::Result(result) => self.check_result(result),
            Said::Door(state) => _ = self.seen.doors_said.insert(state.door.to_string(), *state),
            Said::Status(_) => {}
        }
    }

    /// The line breaks. `forgets`: and the broker with it.
    pub(super) fn disconnect(&mut self, forgets: bool) {
        if self.broker.disconnect(self.mono, forgets, &mut self.lot) {
            self.uplink_says(UplinkEvent::Disconnected { detail: "connection reset".into() });
        }
    }

    /// Any message that central ever sent, as far as anybody still has it.
    pub(super) fn any_sent(&mut self) -> Option<Rc<Message>> {
        let count = self.central.sent.len();
        if count == 0 {
            return None;
        }
        let back = if self.lot.one_in(2) { count.min(6) } else { count };
        Some(Rc::clone(&self.central.sent[count - 1 - self.lot.below(back)]))
    }
}
