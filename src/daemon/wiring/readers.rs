//! The running readers, and what becomes of each when the configuration is another.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use tokio::sync::mpsc::Sender;

use super::super::config::{self, Config, ReaderDriver};
use crate::{
    control::{Event, Feedback},
    domain::ReaderId,
    drivers::reader::{
        UidOrder, osdp,
        pcsc::{self, Claims},
        pn532,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    #[error(transparent)]
    Pcsc(#[from] pcsc::Error),
}

/// The running readers.
#[derive(Debug, Default)]
pub struct Readers {
    running: BTreeMap<ReaderId, (Plan, Reader)>,
    claims: Claims,
}

#[derive(Debug)]
enum Reader {
    Pcsc(pcsc::Handle),
    Pn532(pn532::Handle),
    Osdp(osdp::Handle),
}

/// What a reader's driver is told. One whose plan is what it was goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Pcsc(pcsc::Config),
    Pn532(pn532::Config),
    /// The line it is on, with everybody there.
    Osdp(osdp::Config),
}

impl Readers {
    /// Starts the readers' threads and tasks. Must be called in the door loop's runtime.
    pub fn start(config: &Config, events: &Sender<Event>) -> Result<Self, WiringError> {
        let mut readers = Readers::default();
        readers.change(config, events)?;
        Ok(readers)
    }

    /// Those that a changed configuration begins anew, or ends.
    pub fn not_kept(&self, config: &Config) -> BTreeSet<ReaderId> {
        let new = plans(config);
        let gone = self.running.iter().filter(|(id, (own, _))| new.get(*id) != Some(own));
        gone.map(|(id, _)| id.clone()).collect()
    }

    /// As this configuration has them, from now on. A reader that is as it was notices nothing.
    pub fn change(&mut self, config: &Config, events: &Sender<Event>) -> Result<(), WiringError> {
        let new = plans(config);
        self.running.retain(|id, (own, _)| new.get(id) == Some(own));
        self.claims.change(named(config));
        for (id, plan) in new {
            if self.running.contains_key(&id) {
                continue;
            }
            let reader = match &plan {
                Plan::Pcsc(own) => Reader::Pcsc(pcsc::spawn(own.clone(), &self.claims, events.clone())?),
                Plan::Pn532(own) => Reader::Pn532(pn532::spawn(own.clone(), events.clone())),
                Plan::Osdp(line) => {
                    self.begin_line(line, events);
                    continue;
                }
            };
            self.running.insert(id, (plan, reader));
        }
        Ok(())
    }

    /// All readers on a line, with the first of them.
    fn begin_line(&mut self, line: &osdp::Config, events: &Sender<Event>) {
        line.peripherals.iter().for_each(|p| warn_of_clear_text(&p.reader, p.key_file.as_deref()));
        let handles = osdp::spawn(line.clone(), events.clone());
        for (peripheral, handle) in line.peripherals.iter().zip(handles) {
            let plan = Plan::Osdp(line.clone());
            self.running.insert(peripheral.reader.clone(), (plan, Reader::Osdp(handle)));
        }
    }

    pub fn feedback(&self, reader: &ReaderId, feedback: Feedback) {
        match self.running.get(reader) {
            Some((_, Reader::Pcsc(handle))) => handle.feedback(feedback),
            Some((_, Reader::Pn532(handle))) => handle.feedback(feedback),
            Some((_, Reader::Osdp(handle))) => handle.feedback(feedback),
            None => {}
        }
    }

    pub fn stop(&mut self) {
        self.running.clear();
    }
}

fn plans(config: &Config) -> BTreeMap<ReaderId, Plan> {
    let lines = osdp_lines(config);
    let plan = |r: &config::Reader| {
        let (reader, uid_order) = (r.id.value.clone(), uid_order(r));
        let plan = match &r.driver {
            ReaderDriver::Pcsc { name } => {
                Plan::Pcsc(pcsc::Config { reader: reader.clone(), name: name.clone(), uid_order })
            }
            ReaderDriver::Pn532 { port, baud } => {
                let port = port.value.display().to_string();
                Plan::Pn532(pn532::Config { reader: reader.clone(), port, baud: *baud, uid_order })
            }
            ReaderDriver::Osdp { port, .. } => {
                Plan::Osdp(lines.get(&port.value.display().to_string())?.clone())
            }
        };
        Some((reader, plan))
    };
    config.readers.iter().filter_map(plan).collect()
}

/// Those behind pcscd, by the names of their devices.
fn named(config: &Config) -> impl Iterator<Item = (&ReaderId, &str)> {
    config.readers.iter().filter_map(|r| match &r.driver {
        ReaderDriver::Pcsc { name } => Some((&r.id.value, name.as_str())),
        ReaderDriver::Pn532 { .. } | ReaderDriver::Osdp { .. } => None,
    })
}

fn uid_order(reader: &config::Reader) -> UidOrder {
    if reader.reversed { UidOrder::Reversed } else { UidOrder::AsRead }
}

/// The lines of OSDP readers by their ports, each with those on it.
fn osdp_lines(config: &Config) -> BTreeMap<String, osdp::Config> {
    let mut lines: BTreeMap<String, osdp::Config> = BTreeMap::new();
    for r in &config.readers {
        let ReaderDriver::Osdp { port, baud, address, key_file } = &r.driver else { continue };
        let port = port.value.display().to_string();
        let line = lines.entry(port.clone()).or_insert_with(|| osdp::Config {
            port,
            baud: baud.value,
            peripherals: Vec::new(),
        });
        line.peripherals.push(osdp::Peripheral {
            reader: r.id.value.clone(),
            address: address.value,
            key_file: key_file.clone(),
            uid_order: uid_order(r),
        });
    }
    lines
}

fn warn_of_clear_text(reader: &ReaderId, key_file: Option<&Path>) {
    match key_file {
        None => tracing::warn!(
            %reader,
            "insecure: it has no key_file, so it is spoken to in clear text; who gets at the cable can open the door"
        ),
        Some(path) => {
            if let Some(warning) = osdp::key_file::too_open(path) {
                tracing::warn!(%reader, warning);
            }
        }
    }
}
