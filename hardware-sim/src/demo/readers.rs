//! The demo's readers: a virtual contactless card behind a real pcscd where that can run, PN532 chips on ptys elsewhere.

use super::DemoError;
use super::config::{DOORS, Door, Driver};
use crate::card::Card;
use crate::pcscd::{PrivatePcscd, SOCKET_VARIABLE};
use crate::pn532::Pn532;
use crate::uid::CardUid;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One reader.
#[derive(Debug)]
enum Reader {
    Virtual { slot: SocketAddr, name: String },
    Serial(Pn532),
}

/// A card held to a reader, until dropped.
#[derive(Debug)]
pub enum Held<'a> {
    /// In the virtual reader.
    Virtual(Card),
    /// In the field of a chip.
    Serial(&'a Pn532),
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        match self {
            Held::Virtual(_card_leaves_with_its_drop) => {}
            Held::Serial(reader) => reader.remove_card(),
        }
    }
}

/// All readers, in the order of their doors.
#[derive(Debug)]
pub struct Readers {
    readers: Vec<Reader>,
    pcscd: Option<PrivatePcscd>,
    /// Why there is no PC/SC reader, if there is none.
    without_pcscd: Option<String>,
}

impl Readers {
    /// The entrance has the virtual reader, the other doors a PN532 each; all PN532 where pcscd can't run.
    ///
    /// # Errors
    /// A pty could not be made.
    pub fn start(folder: &Path) -> Result<Readers, DemoError> {
        let (pcscd, without_pcscd) = match PrivatePcscd::start(1) {
            Ok(pcscd) => (Some(pcscd), None),
            Err(error) => (None, Some(crate::orders::chain(&error))),
        };
        let mut found = pcscd.as_ref().and_then(|pcscd| Some((pcscd.vpcd_addr(0)?, pcscd.reader_name(0)?)));
        let mut readers = Vec::new();
        for door in DOORS {
            readers.push(match found.take() {
                Some((slot, name)) => Reader::Virtual { slot, name },
                None => Reader::Serial(Pn532::start(&folder.join(door.reader))?),
            });
        }
        Ok(Readers { readers, pcscd, without_pcscd })
    }

    /// For the configuration.
    #[must_use]
    pub fn drivers(&self) -> Vec<Driver> {
        let driver = |reader: &Reader| match reader {
            Reader::Virtual { name, .. } => Driver::Pcsc { name: pattern_of(name) },
            Reader::Serial(chip) => Driver::Pn532 { port: chip.path().to_string_lossy().into_owned() },
        };
        self.readers.iter().map(driver).collect()
    }

    /// What the daemon must have in its environment to find our pcscd and not the machine's.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        self.pcscd.iter().map(|pcscd| (SOCKET_VARIABLE, pcscd.socket())).collect()
    }

    /// What they are, and what they are not.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines: Vec<String> = DOORS
            .iter()
            .zip(&self.readers)
            .map(|(door, reader)| match reader {
                Reader::Virtual { name, .. } => {
                    format!("{}: virtual contactless card in a real pcscd of its own ({name})", door.reader)
                }
                Reader::Serial(chip) => {
                    format!("{}: PN532 on a pty ({})", door.reader, chip.path().display())
                }
            })
            .collect();
        if let Some(why) = &self.without_pcscd {
            lines.push(format!("no PC/SC reader, a PN532 in its place: {why}"));
        }
        lines
    }

    /// Holds a card to a door's reader.
    ///
    /// # Errors
    /// The virtual reader is gone, or the chip can't read such a card.
    pub fn hold(&self, door: Door, uid: &CardUid) -> Result<Held<'_>, DemoError> {
        match self.readers.get(usize::from(door.at)) {
            Some(Reader::Virtual { slot, .. }) => Ok(Held::Virtual(Card::insert(*slot, uid.clone())?)),
            Some(Reader::Serial(chip)) => {
                chip.put_card(uid.clone())?;
                Ok(Held::Serial(chip))
            }
            None => Err(DemoError::NoReader { reader: door.reader.to_owned() }),
        }
    }
}

/// pcscd numbers readers of one name; an operator writes a `*` for that, and so does the demo.
fn pattern_of(name: &str) -> String {
    name.split_once(" 00 ").map_or_else(|| name.to_owned(), |(name, _)| format!("{name}*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_configured_by_its_name_without_pcscds_numbers() {
        assert_eq!(pattern_of("Latch Sim A 00 00"), "Latch Sim A*");
        assert_eq!(pattern_of("ACS ACR1252"), "ACS ACR1252");
    }
}
