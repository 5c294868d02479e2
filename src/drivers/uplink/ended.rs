//! How a connection to the broker ended, and why: in sentences for who stands in front of the box.

use rumqttc::v5::ConnectionError;

use super::{poll::PUBACK_PATIENCE, session::ANSWER, transport::TransportError};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{0}")]
    Connection(Box<ConnectionError>),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the broker did not answer within {} s", ANSWER.as_secs())]
    NoAnswer,
    #[error(
        "the broker refused the subscription to {0}; its access rules must let this controller read and write its own topics"
    )]
    Refused(String),
    #[error("the broker does not do QoS 1, without which nothing is certain to arrive")]
    NoQos1,
    #[error("the broker has acknowledged nothing for {} s", PUBACK_PATIENCE.as_secs())]
    Unanswered,
    #[error(
        "another client connects with this controller's id and takes its connection over; \
         find it: a second box with the same controller.id, or a copy of this one"
    )]
    TakenOver,
    #[error("the link has more to send than it can hold")]
    Full,
    #[error("the certificates were replaced; connecting with the new ones")]
    Replaced,
    #[error("the configuration was changed; connecting with the new one")]
    Reconfigured,
    #[error("a change could not be stored; the broker is to deliver it again")]
    Undone,
    #[error("its driver has failed; report this, with the log")]
    Panicked,
}

/// What is to be made of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody else has our name: coming back at once would be a fight.
    TakenOver,
    /// Our own doing: the next connection is to come at once.
    Intended,
    Trouble,
}

impl LinkError {
    pub fn kind(&self) -> Kind {
        match self {
            LinkError::TakenOver => Kind::TakenOver,
            LinkError::Replaced | LinkError::Reconfigured => Kind::Intended,
            LinkError::Connection(_)
            | LinkError::Transport(_)
            | LinkError::NoAnswer
            | LinkError::Refused(_)
            | LinkError::NoQos1
            | LinkError::Unanswered
            | LinkError::Full
            | LinkError::Undone
            | LinkError::Panicked => Kind::Trouble,
        }
    }
}

/// How a served connection ended.
#[derive(Debug)]
pub enum Ended {
    Lost(LinkError),
    Stopped,
}
