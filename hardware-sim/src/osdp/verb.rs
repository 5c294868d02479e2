//! `latch-sim reader osdp`: readers on an RS-485 line as a process, which says what happens and takes orders.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Fault, Key, Osdp, OsdpError};
use crate::orders::{Handler, OrderSocket, OrdersError, chain, from_stdin};
use crate::time;
use crate::uid::CardUid;
use crate::until_told::{say, told_to_stop};

/// How often the printing thread looks whether the readers are still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const ORDERS: &str = "\
Orders, one a line, on the control socket and on standard input:
  tap UID [TIME], put UID hold a card to it; it is told once, as OSDP readers do
  remove                  take the card away
  card BITS HEX           the same with any bits, such as card 26 A1B2C340
  tamper | closed         open it; close it again
  power-fail | power-ok   its supply fails; is well again
  mute | hang             it hears, and says nothing
  clear                   it answers in clear text, whatever was agreed
  corrupt                 a bit of every answer is turned on its way
  forge                   the same, with the CRC made right again
  well | wake             none of these
  restart                 switch it off and on
  unplug | plug           pull the line's adapter; plug it in again at the same path
Each goes to the first address; `at 2 tap UID` goes to another. A UID is 4 to 10 bytes in hex. Each order is answered
by `ok`, or by `error:` and a sentence.";

/// An OSDP reader, or several on one line, on a pty
#[derive(Debug, clap::Args)]
#[command(after_help = ORDERS)]
pub struct Args {
    /// Where to link the pty to: what the daemon's configuration names as `port`
    #[arg(long, value_name = "PATH")]
    pty: PathBuf,
    /// The reader's address, 0 to 126; several, separated by commas, for several readers
    #[arg(long, value_name = "N", value_delimiter = ',', required = true,
          value_parser = clap::value_parser!(u8).range(0..=126))]
    address: Vec<u8>,
    /// The readers' own keys, in the order of the addresses: files with 32 hexadecimal digits. One without is in clear text
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    key: Vec<PathBuf>,
    /// A Unix socket that takes orders
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    #[error(transparent)]
    Line(#[from] OsdpError),
    #[error("cannot read the key {0}")]
    KeyFile(PathBuf, #[source] std::io::Error),
    #[error("{0} holds no key; expected 32 hexadecimal digits")]
    Key(PathBuf),
    #[error("more keys than addresses; give as many, or fewer")]
    TooManyKeys,
    #[error(transparent)]
    Orders(#[from] OrdersError),
    #[error("cannot wait for signals or print")]
    Process(#[source] std::io::Error),
}

impl Args {
    pub fn run(self) -> Result<(), VerbError> {
        if self.key.len() > self.address.len() {
            return Err(VerbError::TooManyKeys);
        }
        let keys: Vec<Key> = self.key.iter().map(|path| key(path)).collect::<Result<_, _>>()?;
        let key_of = |(n, address): (usize, &u8)| (*address, keys.get(n).copied());
        let readers: Vec<(u8, Option<Key>)> = self.address.iter().enumerate().map(key_of).collect();
        let line = Arc::new(Osdp::start(&self.pty, &readers)?);
        let start = time::now();
        for (address, key) in readers {
            let how = if key.is_some() { "with a key" } else { "in clear text" };
            say(format_args!("OSDP reader {address} at {}, {how}", self.pty.display()));
            let watched = Arc::downgrade(&line);
            std::thread::Builder::new()
                .name("sim-print".into())
                .spawn(move || print(&watched, address, start))
                .map_err(VerbError::Process)?;
        }
        let ordered = Arc::downgrade(&line);
        let first = self.address.first().copied().unwrap_or_default();
        let handler: Handler = Arc::new(move |words| order(&ordered, first, words));
        let _socket = self.control.map(|path| OrderSocket::open(&path, Arc::clone(&handler))).transpose()?;
        from_stdin(handler)?;
        let told = told_to_stop(None).map_err(VerbError::Process);
        // The printing threads may hold it a moment longer than this process lives: the path must go now.
        line.unplug();
        told
    }
}

fn key(path: &Path) -> Result<Key, VerbError> {
    let text = fs::read_to_string(path).map_err(|error| VerbError::KeyFile(path.into(), error))?;
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
    bytes.ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| VerbError::Key(path.into()))
}

fn print(line: &Weak<Osdp>, address: u8, start: Instant) {
    let mut next = 0;
    while let Some(line) = line.upgrade() {
        for entry in line.seen_since(address, next, LOOK_EVERY) {
            next = entry.number + 1;
            let after = entry.at.saturating_duration_since(start).as_secs_f64();
            say(format_args!("{after:10.3}  {address:3}  {}", entry.what));
        }
    }
}

/// Carries out one order.
fn order(line: &Weak<Osdp>, first: u8, text: &str) -> Result<String, String> {
    let line = line.upgrade().ok_or("the readers are shutting down")?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let (address, words) = match words.as_slice() {
        ["at", address, rest @ ..] => {
            (address.parse().map_err(|_| format!("{address} is no address"))?, rest)
        }
        all => (first, all),
    };
    let wrong = |fault| line.fault(address, fault);
    match words {
        ["tap" | "put", card] | ["tap", card, _] => line.tap(address, &uid(card)?),
        ["card", bits, data] => {
            let bits: u16 = bits.parse().map_err(|_| format!("{bits} is no number of bits"))?;
            let data = data_encoding::HEXLOWER_PERMISSIVE.decode(data.as_bytes());
            let data = data.map_err(|_| "the bits are pairs of hex digits, such as A1B2C340")?;
            if data.len() != usize::from(bits).div_ceil(8) {
                return Err(format!("{bits} bits are {} bytes", usize::from(bits).div_ceil(8)));
            }
            line.card(address, bits, &data);
        }
        // It was told once, and does not lie there.
        ["remove"] => {}
        ["tamper"] => line.tamper(address, true),
        ["closed"] => line.tamper(address, false),
        ["power-fail"] => line.fail_power(address, true),
        ["power-ok"] => line.fail_power(address, false),
        ["mute" | "hang"] => wrong(Fault::Mute),
        ["clear"] => wrong(Fault::ClearText),
        ["corrupt"] => wrong(Fault::Corrupt),
        ["forge"] => wrong(Fault::Forge),
        ["well" | "wake"] => wrong(Fault::None),
        ["restart"] => line.restart(address),
        ["unplug"] => line.unplug(),
        ["plug"] => line.plug_in().map_err(|error| chain(&error))?,
        _ => return Err(format!("no such order: {text}; see latch-sim reader osdp --help")),
    }
    Ok(String::new())
}

fn uid(word: &str) -> Result<CardUid, String> {
    word.parse().map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_go_to_the_first_reader_or_to_the_one_they_name() {
        let folder = tempfile::tempdir().unwrap();
        let line = Arc::new(Osdp::start(&folder.path().join("line"), &[(1, None), (2, None)]).unwrap());
        let order = |text: &str| order(&Arc::downgrade(&line), 1, text);
        let cards = |address| line.seen_since(address, 1, Duration::ZERO).len();
        order("tap 04A1B2C3 400ms").unwrap();
        order("at 2 card 26 A1B2C340").unwrap();
        order("at 2 put 04A1B2C3").unwrap();
        assert_eq!((cards(1), cards(2)), (1, 2));
        for wrong in ["tap 04", "card 26 A1B2", "at x tap 04A1B2C3", "dance"] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
        order("unplug").unwrap();
        assert!(!line.path().exists());
        order("plug").unwrap();
        assert!(line.path().exists());
    }
}
