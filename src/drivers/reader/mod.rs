//! Card readers: each says taps and its link as `ReaderEvent`s, and shows feedback.

pub mod line;
pub mod link;
pub mod osdp;
pub mod pcsc;
pub mod pn532;
pub mod presence;

use crate::domain::Uid;

/// Which way round a reader answers a UID's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UidOrder {
    #[default]
    AsRead,
    Reversed,
}

impl UidOrder {
    pub fn apply(self, uid: Uid) -> Uid {
        match self {
            UidOrder::AsRead => uid,
            UidOrder::Reversed => uid.reversed(),
        }
    }
}
