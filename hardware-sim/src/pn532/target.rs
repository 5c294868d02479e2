//! A type A card as the PN532 lists it: SENS_RES and SEL_RES beside the UID, and an ATS where the card has one.

use crate::uid::CardUid;

/// A card in the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    uid: CardUid,
    sens_res: [u8; 2],
    sel_res: u8,
    /// Begins with its own length (ISO 14443-4 §5.2).
    ats: Vec<u8>,
}

/// ISO 14443 A knows three lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a type A card has a UID of 4, 7 or 10 bytes, not {0}")]
pub struct NotTypeA(usize);

impl Target {
    /// A usual card of that length: 4 bytes as MIFARE Classic, 7 as DESFire (with an ATS), 10 as a plain one.
    pub fn new(uid: CardUid) -> Result<Self, NotTypeA> {
        let (sens_res, sel_res, ats) = match uid.as_bytes().len() {
            4 => ([0x00, 0x04], 0x08, vec![]),
            7 => ([0x03, 0x44], 0x20, vec![0x06, 0x75, 0x77, 0x81, 0x02, 0x80]),
            10 => ([0x00, 0x84], 0x00, vec![]),
            other => return Err(NotTypeA(other)),
        };
        Ok(Self { uid, sens_res, sel_res, ats })
    }

    /// As another make of card answers; an ATS follows only if bit 5 of `sel_res` is set.
    #[must_use]
    pub fn with(self, sens_res: [u8; 2], sel_res: u8, ats: &[u8]) -> Self {
        Self { sens_res, sel_res, ats: ats.to_vec(), ..self }
    }

    /// The answer to InListPassiveTarget with this one card (UM0701-02 §7.3.5).
    pub(super) fn listed(&self) -> Vec<u8> {
        let uid = self.uid.as_bytes();
        let mut data = vec![0x01, 0x01];
        data.extend(self.sens_res);
        data.push(self.sel_res);
        data.push(u8::try_from(uid.len()).unwrap_or(u8::MAX));
        data.extend(uid);
        if self.sel_res & 0x20 != 0 {
            data.extend(&self.ats);
        }
        data
    }

    /// Whether a host that asks for this one UID finds it; longer ones are given with their cascade tags (88).
    pub(super) fn answers_to(&self, wanted: &[u8]) -> bool {
        let cascaded = match *self.uid.as_bytes() {
            [a, b, c, ref rest @ ..] if rest.len() == 4 => [&[0x88, a, b, c], rest].concat(),
            [a, b, c, d, e, f, ref rest @ ..] if rest.len() == 4 => {
                [&[0x88, a, b, c, 0x88, d, e, f], rest].concat()
            }
            ref short => short.to_vec(),
        };
        wanted.is_empty() || wanted == self.uid.as_bytes() || wanted == cascaded
    }
}
