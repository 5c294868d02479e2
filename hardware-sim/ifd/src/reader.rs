//! What the reader does, in safe code: a folder is the reader, and its files are what a person does to it.
//!
//! | file | means |
//! | --- | --- |
//! | `card` | a card with this UID (hex) lies on it |
//! | `unplugged` | its plug is out |
//! | `hang-card` | a card is on it that never answers |
//! | `hang-escape` | its firmware hangs in an escape command, until the file is gone |
//! | `refuse-escape` | its driver passes no escape command on, as libccid as it is installed |
//! | `escapes` | written by it: a line for each escape command, milliseconds since 1970 and the bytes in hex |

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often it looks whether it hangs still.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why it does not do what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Unplugged,
    NoCard,
    Refused,
}

/// A reader, by its folder.
#[derive(Debug, Clone)]
pub struct Reader {
    folder: PathBuf,
    /// What it shows by itself (ACR1252U: bit 3 is a beep at each card). As from the factory.
    own: u8,
}

impl Reader {
    pub fn open(folder: PathBuf) -> Result<Self, Trouble> {
        let reader = Reader { folder, own: 0x7F };
        if reader.is("unplugged") { Err(Trouble::Unplugged) } else { Ok(reader) }
    }

    fn is(&self, file: &str) -> bool {
        self.folder.join(file).exists()
    }

    fn hang_while(&self, file: &str) {
        while self.is(file) {
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// The UID of the card that lies there.
    pub fn card(&self) -> Result<Vec<u8>, Trouble> {
        if self.is("unplugged") {
            return Err(Trouble::Unplugged);
        }
        let text = fs::read_to_string(self.folder.join("card")).map_err(|_| Trouble::NoCard)?;
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let byte = |two: &[u32]| two.iter().fold(0, |byte: u32, digit| byte << 4 | digit) as u8;
        let uid: Vec<u8> = digits.chunks(2).map(byte).collect();
        if uid.is_empty() { Err(Trouble::NoCard) } else { Ok(uid) }
    }

    /// GET DATA's UID; anything else is a command it does not know.
    pub fn transmit(&self, command: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.hang_while("hang-card");
        let mut answer = self.card()?;
        if !command.starts_with(&[0xFF, 0xCA, 0x00, 0x00]) {
            return Ok(vec![0x6D, 0x00]);
        }
        answer.extend([0x90, 0x00]);
        Ok(answer)
    }

    /// An escape command, as an ACR1252U and an ACR122U answer theirs.
    pub fn escape(&mut self, command: &[u8]) -> Result<Vec<u8>, Trouble> {
        if self.is("unplugged") {
            return Err(Trouble::Unplugged);
        }
        if self.is("refuse-escape") {
            return Err(Trouble::Refused);
        }
        self.note(command);
        self.hang_while("hang-escape");
        Ok(match *command {
            [0xE0, 0x00, 0x00, 0x21, 0x00] => vec![0xE1, 0x00, 0x00, 0x00, 0x01, self.own],
            [0xE0, 0x00, 0x00, 0x21, 0x01, own] => {
                self.own = own;
                vec![0xE1, 0x00, 0x00, 0x00, 0x01, own]
            }
            [0xE0, 0x00, 0x00, 0x28 | 0x29, 0x01, value] => vec![0xE1, 0x00, 0x00, 0x00, 0x01, value],
            [0xFF, 0x00, 0x40, lamps, 0x04, on, off, times, _] => {
                // It answers when it is over.
                let tenths = (u32::from(on) + u32::from(off)) * u32::from(times);
                busy_for(Duration::from_millis(100) * tenths);
                vec![0x90, lamps & 0x03]
            }
            [0xFF, 0x00, 0x52, _, 0x00] => vec![0x90, 0x00],
            _ => vec![0x63, 0x00],
        })
    }

    fn note(&self, command: &[u8]) {
        let now = now().as_millis();
        let hex: String = command.iter().map(|byte| format!("{byte:02X}")).collect();
        let file = OpenOptions::new().create(true).append(true).open(self.folder.join("escapes"));
        // One write a line, so that a reader of the file sees whole ones.
        let written = file.and_then(|mut file| file.write_all(format!("{now} {hex}\n").as_bytes()));
        if let Err(error) = written {
            eprintln!("sim-ifd: an escape command could not be noted in {}: {error}", self.folder.display());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a device has a clock of its own, and this is it")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a device that is busy does nothing else, and nobody stops it")]
fn busy_for(time: Duration) {
    thread::sleep(time);
}
