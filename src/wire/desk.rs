//! What was done to a card at the desk, as the cache keeps it and as the journal tells it again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{At, CredentialId, HolderId, Status};

/// A card whose status is not central's, until central says something of it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCard {
    /// Its entry in the journal.
    pub seq: u64,
    /// `Active` or `Suspended`.
    pub status: Status,
    pub holder: HolderId,
    /// Who did it.
    pub by: String,
    pub at: At,
    /// An administrator did it outside staffed hours.
    pub is_override: bool,
    /// How far the feed had been applied: what central says of the card after it wins.
    pub epoch: u64,
    pub applied: u64,
}

impl StoredCard {
    /// From the journal's `credential.activated` or `credential.suspended`.
    pub fn told(event: &Value) -> Option<(CredentialId, StoredCard)> {
        let text = |field: &str| event.get(field).and_then(Value::as_str);
        let number = |field: &str| event.get(field).and_then(Value::as_u64);
        let status = match text("type")? {
            "credential.activated" => Status::Active,
            "credential.suspended" => Status::Suspended,
            _ => return None,
        };
        let card = StoredCard {
            seq: number("seq")?,
            status,
            holder: HolderId::new(text("holder")?).ok()?,
            by: text("by")?.to_owned(),
            at: At::parse(text("at")?).ok()?,
            is_override: event.get("override")?.as_bool()?,
            epoch: number("epoch")?,
            applied: number("applied")?,
        };
        Some((CredentialId::new(text("credential")?).ok()?, card))
    }

    /// Whether it was done before the feed came to this place.
    pub fn is_before(&self, epoch: u64, applied: u64) -> bool {
        (self.epoch, self.applied) < (epoch, applied)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_journal_tells_a_card_again() {
        let event = json!({"seq": 7, "at": "2026-11-23T09:00:00Z", "type": "credential.suspended", "credential": "c-1",
            "holder": "m-1", "by": "anna (1000)", "override": false, "epoch": 3, "applied": 10});
        let (id, card) = StoredCard::told(&event).unwrap();
        assert_eq!((id.as_str(), card.status, card.seq), ("c-1", Status::Suspended, 7));
        assert!(
            !card.is_before(3, 10) && card.is_before(3, 11) && card.is_before(4, 0) && !card.is_before(2, 99)
        );
        let mut other = event.clone();
        other["type"] = json!("operator.command");
        assert_eq!(StoredCard::told(&other), None);
        let mut torn = event;
        torn.as_object_mut().unwrap().remove("epoch");
        assert_eq!(StoredCard::told(&torn), None, "what can't be placed in the feed is not told again");
    }
}
