//! What a reader tells of its own: cards, and how it is. What becomes of it as an event, and what is none.

use super::{Ended, Peripheral};
use crate::{
    control::ReaderEvent,
    domain::Uid,
    drivers::reader::presence::Sighting,
    wire::osdp::{LStatR, card::CardError},
};

impl Peripheral {
    pub(super) async fn take_card(&mut self, card: Result<Uid, CardError>) -> Result<(), Ended> {
        // A reader with a key is in no conversation but a secure one; and this is where it would matter.
        if self.config.key_file.is_some() && !self.channel.is_secure() {
            return Ok(());
        }
        let now = self.mono();
        let uid = card.map(|uid| self.config.uid_order.apply(uid));
        if self.keeps_old_cards {
            if let Ok(uid) = uid {
                self.presence.lying(now, uid);
            }
            tracing::debug!(reader = %self.config.reader, "a card that was read before the reader could say so");
            return Ok(());
        }
        let event = match uid {
            Ok(uid) => (self.presence.seen(now, uid) == Sighting::Tap).then_some(ReaderEvent::Tap(uid)),
            Err(error) => {
                if let Some(left_out) = self.unreadable.may(now) {
                    tracing::info!(reader = %self.config.reader, %error, left_out, "a card could not be read");
                }
                let is_new = self.presence.seen_nameless(now) == Sighting::Tap;
                is_new.then(|| ReaderEvent::Unreadable { detail: error.to_string() })
            }
        };
        self.say(event).await
    }

    pub(super) async fn note_status(&mut self, status: LStatR) -> Result<(), Ended> {
        let (is_tampered, power_fails) = (status.tamper != 0, status.power != 0);
        if std::mem::replace(&mut self.is_tampered, is_tampered) != is_tampered {
            let detail = match is_tampered {
                true => "begin: the reader was opened or taken off the wall",
                false => "end: the reader is closed and in its place again",
            };
            self.say(Some(ReaderEvent::Tamper { is_tampered, detail: detail.into() })).await?;
        }
        if std::mem::replace(&mut self.power_fails, power_fails) != power_fails {
            self.say(Some(ReaderEvent::Power { is_failing: power_fails })).await?;
        }
        Ok(())
    }
}
