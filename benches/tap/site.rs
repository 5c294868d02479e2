//! The daemon's side: the real program in a release build, a reader, the board, and a central that knows the cards.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use hardware_sim::{broker::Broker, central::Central, pn532::Pn532, wait};
use serde_json::Value;

use super::{
    daemon::{CONTROLLER, Daemon, WITHIN, records},
    journal_of,
    taps::CARDS,
};

/// What the journal held in the end.
pub struct Recorded {
    /// Releases that did not wait for the disk, because it took longer than `release_wait_ms`.
    pub late: usize,
}

/// Fields are dropped in this order.
pub struct Site {
    daemon: Daemon,
    reader: Pn532,
    central: Central,
    state: PathBuf,
    _broker: Broker,
}

impl Site {
    pub fn start(state: &Path, desk: &Path, board: SocketAddr) -> Self {
        let broker = Broker::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let central = Central::start(&broker.url(), CONTROLLER).unwrap();
        central.wait_connected(WITHIN).unwrap();
        central.put_many((0..CARDS).flat_map(records)).unwrap();
        let reader = Pn532::start(&desk.join("reader")).unwrap();
        let daemon = Daemon::start(state, desk, &broker.url(), board, reader.path());
        central.wait_synced(WITHIN).unwrap();
        Site { daemon, reader, central, state: state.to_owned(), _broker: broker }
    }

    pub fn reader(&self) -> &Pn532 {
        &self.reader
    }

    /// The length of the event of the last tap, in the journal, with its newline.
    pub fn granted_event_bytes(&self) -> usize {
        let journal = journal_of(&self.state);
        journal.iter().rfind(|line| line.contains("\"access.granted\"")).unwrap().len() + 1
    }

    /// Stops the daemon, and looks whether every tap is in its journal and has come to central.
    pub fn stop(&mut self, taps: usize) -> Recorded {
        let granted = |event: &Value| event["type"] == "access.granted";
        let heard = || self.central.events().iter().filter(|event| granted(event)).count() == taps;
        assert!(
            wait::until(WITHIN, || heard().then_some(())).is_some(),
            "central has heard of every tap, once"
        );
        self.daemon.stop();
        let journal: Vec<Value> = journal_of(&self.state)
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(granted)
            .collect();
        assert_eq!(journal.len(), taps, "every tap is in the journal, once");
        Recorded { late: journal.iter().filter(|event| event["late"] == true).count() }
    }
}
