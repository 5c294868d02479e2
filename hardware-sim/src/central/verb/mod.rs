//! `latch-sim central`: books, cancels, commands and looks on by hand, against any broker and real controllers.
//!
//! For one controller it takes records as they are; with a site file it is the front office of all its locations, and every
//! order is asked of the members' rules.
//!
//! ```text
//!   mod (this file)  arguments, what is printed     office  the books on disk, and every location's central
//!   orders           one location, no rules         words   the office's orders, a bookings file
//!   keygen           a key and its other half
//! ```

mod keygen;
mod office;
pub mod orders;
#[cfg(test)]
mod tests;
mod words;

use super::bookings::{self, BookingError};
use super::members::site::SiteError;
use super::members::{Books, Site};
use super::{Builder, Central, CentralError, FeedError, TlsFiles};
use crate::jws::{KeyError, SecretKey, Signer};
use crate::orders::{Handler, OrderSocket, OrdersError};
use crate::until_told::{say, told_to_stop};
use chrono::{DateTime, SubsecRound as _, Utc};
use office::{Office, OfficeError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the printing threads look whether central is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the feeds are compared with the books, so that what is over goes.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

fn after_help() -> String {
    format!(
        "Orders, one a line, on standard input or the socket.\n\n{}\n\n{}\n\nA bookings file has the columns\n  {}\nand \
         is taken as it is; with --site it has\n  {}\nand every row is asked of the rules; guests are NAME or \
         NAME:UID, separated by blanks.",
        words::HELP,
        orders::HELP,
        bookings::COLUMNS,
        words::COLUMNS
    )
}

/// A central that books rooms and desks, keeps the feed, signs it, stores and acknowledges events
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(), args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    run: Option<RunArgs>,
}

#[derive(Debug, clap::Subcommand)]
enum Instead {
    Keygen(keygen::Args),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// The MQTT 5 broker, such as mqtt://127.0.0.1:1883, or mqtts://broker.example for TLS 1.3
    #[arg(long, value_name = "URL")]
    broker: String,
    /// The controller to be central for, without rules: the id in its configuration
    #[arg(long, value_name = "ID", required_unless_present = "site", conflicts_with = "site")]
    controller: Option<String>,
    /// Be the front office of these locations: hours, rooms, desks and members, as TOML; hardware-sim/site.example.toml
    /// shows all of it
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// With --site: keep the books, and each location's feed and events, in this folder (default: in memory)
    #[arg(long, value_name = "DIR", requires = "site")]
    state: Option<PathBuf>,
    /// Keep the feed in this file, and go on with the one in it (default: in memory, a new epoch each start)
    #[arg(long, value_name = "FILE", conflicts_with = "site")]
    feed: Option<PathBuf>,
    /// Keep the stored events in this file (default: in memory)
    #[arg(long, value_name = "FILE", conflicts_with = "site")]
    events: Option<PathBuf>,
    /// Cards and bookings to start with, as CSV; the columns are named below
    #[arg(long, value_name = "FILE")]
    bookings: Option<PathBuf>,
    /// Sign with the key in this file, made by keygen (default: plain JSON, which controllers with trusted keys refuse)
    #[arg(long, value_name = "FILE", requires = "kid")]
    signing_key: Option<PathBuf>,
    /// What the controllers know the signing key by
    #[arg(long, value_name = "KID", requires = "signing_key")]
    kid: Option<String>,
    /// With mqtts://: the authority that vouches for the broker, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Central's own certificate for the broker, as PEM
    #[arg(long, value_name = "FILE", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The user to be for the broker
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// The file with the user's password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Who gives the commands
    #[arg(long, value_name = "NAME", default_value = "latch-sim@central")]
    by: String,
    /// Take orders on this Unix socket too
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Why the verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Central itself.
    #[error(transparent)]
    Central(#[from] CentralError),
    /// The bookings file.
    #[error(transparent)]
    Bookings(#[from] BookingError),
    /// A record in it.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The site file.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The books.
    #[error(transparent)]
    Office(#[from] OfficeError),
    /// A bookings file that is asked of the rules.
    #[error("{0}")]
    File(String),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The password's file.
    #[error("password file {path} can't be read")]
    Password {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Standard input or the socket.
    #[error(transparent)]
    Orders(#[from] OrdersError),
    /// The process around it.
    #[error("cannot wait for signals, print, or make the folder for the state")]
    Process(#[source] std::io::Error),
}

impl Args {
    /// Runs until SIGINT or SIGTERM.
    ///
    /// # Errors
    /// A wrong URL, or a file that can't be taken.
    pub fn run(self) -> Result<(), VerbError> {
        match (self.instead, self.run) {
            (Some(Instead::Keygen(args)), _) => Ok(args.run()?),
            (None, Some(args)) => args.run(),
            // clap has asked for --broker.
            (None, None) => Ok(()),
        }
    }
}

impl RunArgs {
    fn run(self) -> Result<(), VerbError> {
        let signer = match (&self.signing_key, &self.kid) {
            (Some(file), Some(kid)) => Some(Signer::new(kid, SecretKey::read(file)?)),
            _ => None,
        };
        match &self.site {
            Some(site) => self.run_office(Site::read(site)?, signer),
            None => self.run_plain(signer),
        }
    }

    fn builder(&self, controller: &str, signer: Option<Signer>) -> Result<Builder, VerbError> {
        let mut builder = Central::builder(&self.broker, controller).by(&self.by);
        if let Some(signer) = signer {
            builder = builder.signer(signer);
        }
        if let Some(ca) = &self.ca {
            let identity = self.cert.clone().zip(self.key.clone());
            builder = builder.tls(TlsFiles { ca: ca.clone(), identity });
        }
        if let (Some(user), Some(file)) = (&self.username, &self.password_file) {
            let read = |source| VerbError::Password { path: file.clone(), source };
            let password = std::fs::read_to_string(file).map_err(read)?;
            builder = builder.credentials(user, password.trim_end());
        }
        Ok(builder)
    }

    /// For one controller, records as they are.
    fn run_plain(&self, signer: Option<Signer>) -> Result<(), VerbError> {
        let records = match &self.bookings {
            Some(path) => bookings::read_file(path, this_second())?,
            None => Vec::new(),
        };
        let controller = self.controller.as_deref().unwrap_or_default();
        let mut builder = self.builder(controller, signer)?;
        if let Some(path) = &self.feed {
            builder = builder.feed_file(path);
        }
        if let Some(path) = &self.events {
            builder = builder.events_file(path);
        }
        let central = Arc::new(builder.start()?);
        self.introduce(&central);
        // What a kept feed has already is not changed again.
        let known = central.records();
        central.put_many(records.into_iter().filter(|record| !known.contains(record)))?;
        watch(&central, None)?;
        let ordered = Arc::downgrade(&central);
        self.take_orders(Arc::new(move |line| {
            orders::carry_out(&*ordered.upgrade().ok_or("central is shutting down")?, line)
        }))
    }

    /// For all locations of a site, by the members' rules.
    fn run_office(&self, site: Site, signer: Option<Signer>) -> Result<(), VerbError> {
        if let Some(state) = &self.state {
            std::fs::create_dir_all(state).map_err(VerbError::Process)?;
        }
        let mut centrals = BTreeMap::new();
        for location in &site.locations {
            let mut builder = self.builder(&location.id, signer.clone())?;
            if let Some(state) = &self.state {
                builder = builder
                    .feed_file(state.join(format!("{}.feed.jsonl", location.id)))
                    .events_file(state.join(format!("{}.events.jsonl", location.id)));
            }
            let central = Arc::new(builder.start()?);
            self.introduce(&central);
            centrals.insert(location.id.clone(), central);
        }
        let books = self.state.as_ref().map(|state| state.join("books.jsonl"));
        let office = Office::open(Books::new(site), books.as_deref(), centrals, this_second())?;
        let office = Arc::new(office);
        if let Some(path) = &self.bookings {
            let said = words::book_file(&office, path, this_second()).map_err(VerbError::File)?;
            said.iter().for_each(say);
        }
        for central in office.centrals() {
            watch(central, Some(&office))?;
        }
        compare_now_and_then(&office)?;
        let ordered = Arc::downgrade(&office);
        self.take_orders(Arc::new(move |line| {
            office_order(&*ordered.upgrade().ok_or("central is shutting down")?, line)
        }))
    }

    fn introduce(&self, central: &Central) {
        let signed = match &self.kid {
            Some(kid) => format!("signs as {kid}"),
            None => "plain JSON, unsigned".to_owned(),
        };
        let (controller, epoch) = (central.controller(), central.position().epoch);
        say(format_args!("central for {controller} on {}, epoch {epoch}; {signed}", self.broker));
        central.found().iter().for_each(say);
    }

    fn take_orders(&self, handler: Handler) -> Result<(), VerbError> {
        let socket = self.socket.as_ref().map(|path| OrderSocket::open(path, Arc::clone(&handler)));
        let _socket = socket.transpose()?;
        crate::orders::from_stdin(handler)?;
        told_to_stop(None).map_err(VerbError::Process)
    }
}

/// One line: to the office, or to one location's central.
fn office_order(office: &Office, line: &str) -> Result<String, String> {
    if line.trim() == "help" {
        return Ok(format!("{}\n{}", words::HELP, orders::HELP));
    }
    if let Some(rest) = line.strip_prefix("at ") {
        let (location, order) =
            rest.trim().split_once(' ').ok_or("expected at LOCATION ORDER; say help for a list")?;
        let central = office
            .central(location)
            .ok_or_else(|| format!("there is no location {location}; see locations"))?;
        return orders::carry_out(central, order.trim());
    }
    let unknown = || Err(format!("no such order, or not like this: {line}; say help for a list"));
    words::carry_out(office, line, this_second()).unwrap_or_else(unknown)
}

/// Prints a central's events, violations and link from a thread of its own; the office hears the events.
fn watch(central: &Arc<Central>, office: Option<&Arc<Office>>) -> Result<(), VerbError> {
    let (central, office) = (Arc::downgrade(central), office.map(Arc::downgrade));
    let look_on = move || look_on(&central, office.as_ref());
    std::thread::Builder::new().name("sim-print".into()).spawn(look_on).map_err(VerbError::Process)?;
    Ok(())
}

fn look_on(central: &Weak<Central>, office: Option<&Weak<Office>>) {
    let (mut events, mut violations, mut stood, mut troubled) = (0, 0, false, false);
    let mut why_not = None;
    while let Some(central) = central.upgrade() {
        let controller = central.controller();
        let stands = central.is_connected();
        if stands != stood {
            let how = if stands { "connected to the broker" } else { "lost the broker; trying again" };
            say(format_args!("{controller}: {how}"));
            stood = stands;
        }
        let why = central.why_not_connected();
        if let Some(why) = why.as_ref().filter(|why| why_not.as_ref() != Some(*why)) {
            say(format_args!("{controller}: not connected: {why}"));
        }
        why_not = why;
        if let Some(why) = central.trouble().filter(|_| !troubled) {
            say(format_args!("{controller}: nothing more is sent or acknowledged: {why}"));
            troubled = true;
        }
        // Waits for one, then prints all.
        let _ = central.wait_for_event_after(events, |_| true, LOOK_EVERY);
        for (journal, event) in central.entries_from(events) {
            events += 1;
            say(format_args!("{controller}: event {event}"));
            if let Some(office) = office.and_then(Weak::upgrade) {
                heard(&office, controller, &journal, &event);
            }
        }
        for violation in central.violations().iter().skip(violations) {
            violations += 1;
            say(format_args!("{controller}: VIOLATION {violation}"));
        }
    }
}

fn heard(office: &Office, location: &str, journal: &str, event: &Value) {
    match office.hear(location, journal, event, this_second()) {
        Ok(true) => say(format_args!("{location}: the books have it")),
        Ok(false) => {}
        Err(error) => say(format_args!("{location}: {}", crate::orders::chain(&error))),
    }
    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("type") == "guest.arrived" {
        say(format_args!(
            "{location}: tells {} that a guest of {} has arrived",
            text("host"),
            text("booking")
        ));
    }
}

/// What is over leaves the feeds.
fn compare_now_and_then(office: &Arc<Office>) -> Result<(), VerbError> {
    let office = Arc::downgrade(office);
    let compare = move || {
        let mut compared = crate::time::now();
        while let Some(office) = office.upgrade() {
            if compared.elapsed() >= COMPARE_EVERY {
                compared = crate::time::now();
                if let Err(error) = office.bring_up_to_date(this_second()) {
                    say(crate::orders::chain(&error));
                }
            }
            drop(office);
            std::thread::park_timeout(LOOK_EVERY);
        }
    };
    std::thread::Builder::new().name("sim-office".into()).spawn(compare).map_err(VerbError::Process)?;
    Ok(())
}

/// Bookings are made to the second.
fn this_second() -> DateTime<Utc> {
    crate::wait::wall_now().trunc_subsecs(0)
}
