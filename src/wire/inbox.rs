//! What central says, opened in this order whatever the topic: the signature, the address, then the content.

use super::{
    UidHasher,
    command::{self, Command, Unread},
    feed::{self, Ack, Feed, MessageError},
    jws::Trust,
};
use crate::domain::ControllerId;

/// Who reads, and whom they believe.
#[derive(Debug, Clone)]
pub struct Inbox {
    pub controller: ControllerId,
    pub trust: Trust,
    pub hasher: UidHasher,
}

/// The box's own key does not change while it runs.
impl PartialEq for Inbox {
    fn eq(&self, other: &Self) -> bool {
        (&self.controller, &self.trust) == (&other.controller, &other.trust)
    }
}

impl Inbox {
    pub fn feed(&self, message: &[u8]) -> Result<Feed, MessageError> {
        feed::feed(&self.trust.open(message)?, &self.controller, &self.hasher)
    }

    pub fn ack(&self, message: &[u8]) -> Result<Ack, MessageError> {
        feed::ack(&self.trust.open(message)?, &self.controller)
    }

    pub fn command(&self, message: &[u8], is_retained: bool) -> Result<Command, Unread> {
        command::command(message, is_retained, &self.trust, &self.controller)
    }
}
