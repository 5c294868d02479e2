//! The command line. Verbs that are not there yet are absent.

pub mod desk;
mod explain;

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use latchd::domain::{BoardId, DoorAction, DoorId, HolderId, ReaderId};

pub use self::explain::Explain;
use super::{
    help,
    moment::{self, Moment},
};

const EXAMPLES: &str = "\
Examples:
  latchctl status
  latchctl explain --door entrance --uid 04A1B2C3D4E5F6
  latchctl explain --door room-4 --credential c-81 --at '2026-11-23 09:30'
  latchctl events --since 2h --door entrance --follow
  latchctl grants --holder m-17 --json | jq -r '.[].id'

Exit status:
  0 done, 1 refused or failed, 2 usage, 3 daemon not reachable, 4 not permitted, 5 no such thing";

const GRANTS: &str = "\
TIME is RFC 3339 (2026-11-23T09:30:00+01:00), or wall time at the site:
'2026-11-23 09:30', 2026-11-23 or 09:30.

Examples:
  latchctl grants --door room-4 --active
  latchctl grants --holder m-17 --at '2026-11-23 09:30'";

const EXPLAIN: &str = "\
TIME is RFC 3339 (2026-11-23T09:30:00+01:00), or wall time at the site:
'2026-11-23 09:30', 2026-11-23 or 09:30. When the clocks go back, the first
pass of the repeated hour is meant.

Examples:
  latchctl explain --door entrance --uid 04A1B2C3D4E5F6
  latchctl explain --door room-4 --credential c-81 --at 09:30
  latchctl explain --event 501
  latchctl explain --batch < questions.jsonl > answers.jsonl";

const EXPLAIN_USAGE: &str = "\
latchctl explain --door <D> <--uid <U>|--credential <C>> [OPTIONS]
       latchctl explain --event <SEQ>
       latchctl explain --batch";

const EVENTS: &str = "\
TIME is RFC 3339 (2026-11-23T09:30:00+01:00), wall time at the site
('2026-11-23 09:30', 2026-11-23, or 09:30 for the last time it was so), or an
age (90s, 15m, 2h, 3d).

Examples:
  latchctl events --since 2h --type access.denied
  latchctl events --door entrance --limit 20 --follow";

const ACCESS: &str = "\
Example:
  latchctl door access entrance --reason 'delivery, let in by Anna'";

const UNLOCK: &str = "\
Examples:
  latchctl door unlock entrance --for 2h --reason 'open day'
  latchctl door unlock --all";

const LOCK_DOWN: &str = "\
REX buttons go on letting people out, and cards whose grant overrides a
lockdown go on opening. `latchctl door lock-down-release` ends it.

Example:
  latchctl door lock-down --all --reason 'intruder on floor 2'";

/// Where the daemon listens, unless it is configured otherwise.
pub const SOCKET: &str = "/run/latchd/latchd.sock";

/// Shows and commands the door controller on this machine (latchd), over its Unix socket.
///
/// Text output is for people, with times in the site's zone. With --json it is one document, or one a line for
/// streams, with the field names of the wire.
#[derive(Debug, Parser)]
#[command(name = "latchctl", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Args {
    /// Answer in JSON
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// The daemon's socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = SOCKET,
        display_order = 901
    )]
    pub socket: PathBuf,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// One screen: what needs attention first, then doors, readers, boards, sync, clock, journal
    #[command(after_help = help::STATUS)]
    Status,
    /// Every door: mode, lock, contact, alarm, who was last let in
    #[command(after_help = help::DOORS)]
    Doors,
    /// Commands a door
    #[command(subcommand)]
    Door(DoorVerb),
    /// Every reader: its door, its state, its last tap
    #[command(after_help = help::READERS)]
    Readers,
    /// Looks on at a reader
    #[command(subcommand)]
    Reader(ReaderVerb),
    /// Tries a board's wiring
    #[command(subcommand)]
    Board(BoardVerb),
    /// Cards: status, validity, holder; never a full UID
    #[command(after_help = help::CREDENTIALS)]
    Credentials {
        /// Only this holder's
        #[arg(long, value_name = "H")]
        holder: Option<HolderId>,
    },
    /// One card: shown, activated at the desk, suspended
    #[command(subcommand)]
    Credential(desk::CredentialVerb),
    /// Grants, with their windows as computed
    #[command(after_help = GRANTS)]
    Grants(Grants),
    /// Why a door would open for a card, or not, without opening anything
    #[command(after_help = EXPLAIN, override_usage = EXPLAIN_USAGE)]
    Explain(Explain),
    /// The journal: what was decided, done and noticed, oldest first
    #[command(after_help = EVENTS)]
    Events(Events),
    /// Checks the journal
    #[command(subcommand)]
    Journal(JournalVerb),
    /// What the daemon logs: shown, or changed until its next start
    #[command(after_help = help::LOG)]
    Log {
        /// error, warn, info, debug or trace; or one for each module (info,latchd::drivers=debug)
        #[arg(value_name = "LEVEL")]
        level: Option<String>,
    },
    /// Writes the store to one file: who may come in, doors' modes, and the key that card numbers are hashed under
    #[command(after_help = help::BACKUP)]
    Backup {
        /// A file that is not there yet; it is as secret as the box
        file: PathBuf,
    },
    /// Puts a backup in place of what the daemon holds, and has it started again
    #[command(after_help = help::RESTORE)]
    Restore {
        /// Of this controller
        file: PathBuf,
    },
    /// Positions, age of the last feed, queue; or asks for a snapshot
    #[command(after_help = help::SYNC)]
    Sync {
        #[command(subcommand)]
        verb: Option<SyncVerb>,
    },
    /// What is wrong with this box, and what to do about it; with the daemon or without
    #[command(after_help = help::DOCTOR)]
    Doctor {
        /// The daemon's configuration
        #[arg(long, value_name = "FILE", default_value = latchd::daemon::arguments::CONFIG)]
        config: PathBuf,
    },
    /// A live screen: doors, readers, boards, events, sync, clock
    #[command(after_help = help::MONITOR)]
    Monitor,
    /// Gathers a bundle for support, without UIDs, keys and passwords; with the daemon or without
    #[command(after_help = help::DIAGNOSE)]
    Diagnose {
        /// The bundle to write, a .tar.gz
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The daemon's configuration
        #[arg(long, value_name = "FILE", default_value = latchd::daemon::arguments::CONFIG)]
        config: PathBuf,
    },
    /// Prints completions for a shell, for packagers
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
        /// Of which of the two programs
        #[arg(long, value_name = "PROGRAM", value_enum, default_value_t = Program::Latchctl)]
        of: Program,
    },
    /// Writes manual pages into a directory, for packagers
    #[command(after_help = help::MAN)]
    Man {
        /// The directory, which is made if need be
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    Latchctl,
    Latchd,
}

#[derive(Debug, Subcommand)]
pub enum ReaderVerb {
    /// Shows each card as it is tapped, with its UID: for commissioning
    #[command(after_help = help::READER_WATCH)]
    Watch(Watch),
}

#[derive(Debug, Group)]
pub struct Watch {
    /// Which reader; all of them when left out
    #[arg(value_name = "R")]
    pub reader: Option<ReaderId>,
    /// Ends after so many taps
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum BoardVerb {
    /// Drives each strike that is wired to a board, and watches each of its inputs
    #[command(after_help = help::BOARD_TEST)]
    Test {
        /// Which board
        #[arg(value_name = "B")]
        board: BoardId,
        #[command(flatten)]
        test: Testing,
    },
}

#[derive(Debug, Group)]
pub struct Testing {
    /// Asks nothing, and goes by what the inputs show
    #[arg(long)]
    pub yes: bool,
    /// How long an input is waited for (30s, 2m)
    #[arg(long, value_name = "TIME", value_parser = moment::seconds, default_value = "30s")]
    pub timeout: u32,
    /// Writes a report to hand over, in Markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// The commands of those names on the wire, but for `show`.
#[derive(Debug, Subcommand)]
pub enum DoorVerb {
    /// One door: mode, lock, contact, alarm, who was last let in
    #[command(after_help = help::DOOR_SHOW)]
    Show {
        /// Which door
        #[arg(value_name = "D")]
        door: DoorId,
    },
    /// Tries its wiring, step by step: strike, contact, exit button
    #[command(after_help = help::DOOR_TEST)]
    Test {
        /// Which door
        #[arg(value_name = "D")]
        door: DoorId,
        #[command(flatten)]
        test: Testing,
    },
    /// Opens once, as a tap would; recorded with your name
    #[command(after_help = ACCESS)]
    Access(Target),
    /// Locks: cards and codes open it again one at a time
    #[command(after_help = help::LOCK)]
    Lock(Target),
    /// Keeps it unlocked, until told otherwise or for a time
    #[command(after_help = UNLOCK)]
    Unlock(Timed),
    /// Refuses everybody but those who override a lockdown
    #[command(after_help = help::BLOCK)]
    Block(Target),
    /// Ends a block: locked
    #[command(after_help = help::UNBLOCK)]
    Unblock(Target),
    /// Locks down: nothing but its own release changes that
    #[command(after_help = LOCK_DOWN)]
    LockDown(Target),
    /// Ends a lockdown: back to what was
    #[command(after_help = help::LOCK_DOWN_RELEASE)]
    LockDownRelease(Target),
    /// Locks open: nothing but its own release, or its time, changes that
    #[command(after_help = help::LOCK_OPEN)]
    LockOpen(Timed),
    /// Ends locked open: back to what was
    #[command(after_help = help::LOCK_OPEN_RELEASE)]
    LockOpenRelease(Target),
}

#[derive(Debug, Group)]
pub struct Target {
    /// Which door
    #[arg(value_name = "D", required_unless_present = "all", conflicts_with = "all")]
    pub door: Option<DoorId>,
    /// Every door
    #[arg(long)]
    pub all: bool,
    /// Why, kept in the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Group)]
pub struct Timed {
    #[command(flatten)]
    pub target: Target,
    /// For so long (30s, 15m, 2h, 3d); then the door's mode is what it was
    #[arg(long = "for", value_name = "TIME", value_parser = moment::seconds)]
    pub for_s: Option<u32>,
}

impl DoorVerb {
    /// What is ordered of which doors; what orders nothing comes back.
    pub fn order(self) -> Result<(DoorAction, Timed), DoorVerb> {
        let plain = |target| Timed { target, for_s: None };
        Ok(match self {
            other @ (DoorVerb::Show { .. } | DoorVerb::Test { .. }) => return Err(other),
            DoorVerb::Access(target) => (DoorAction::Access, plain(target)),
            DoorVerb::Lock(target) => (DoorAction::Lock, plain(target)),
            DoorVerb::Unlock(timed) => (DoorAction::Unlock, timed),
            DoorVerb::Block(target) => (DoorAction::Block, plain(target)),
            DoorVerb::Unblock(target) => (DoorAction::Unblock, plain(target)),
            DoorVerb::LockDown(target) => (DoorAction::LockDown, plain(target)),
            DoorVerb::LockDownRelease(target) => (DoorAction::LockDownRelease, plain(target)),
            DoorVerb::LockOpen(timed) => (DoorAction::LockOpen, timed),
            DoorVerb::LockOpenRelease(target) => (DoorAction::LockOpenRelease, plain(target)),
        })
    }
}

#[derive(Debug, Group)]
pub struct Grants {
    /// Only this holder's
    #[arg(long, value_name = "H")]
    pub holder: Option<HolderId>,
    /// Only those that cover this door
    #[arg(long, value_name = "D")]
    pub door: Option<DoorId>,
    /// Only those that are open at the time asked about
    #[arg(long)]
    pub active: bool,
    /// Then instead of now
    #[arg(long, value_name = "TIME", value_parser = moment::at)]
    pub at: Option<Moment>,
}

#[derive(Debug, Group)]
pub struct Events {
    /// Only since then
    #[arg(long, value_name = "TIME", value_parser = moment::since)]
    pub since: Option<Moment>,
    /// Only of this door
    #[arg(long, value_name = "D")]
    pub door: Option<DoorId>,
    /// Only of this type (access.denied), or of this group of types (access)
    #[arg(long = "type", value_name = "T")]
    pub kind: Option<String>,
    /// Go on with new ones until interrupted
    #[arg(long)]
    pub follow: bool,
    /// Only the newest so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum JournalVerb {
    /// Checks the chain of hashes from the first kept event to the last, and the signatures under it
    #[command(after_help = help::VERIFY)]
    Verify {
        /// Signatures kept elsewhere, a JSON object a line: of `journal checkpoint`, or central's `status` messages
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Prints events as they stand in the journal, a JSON object a line
    #[command(after_help = help::EXPORT)]
    Export {
        /// Only this event and those after it
        #[arg(long, value_name = "SEQ")]
        from: Option<u64>,
    },
    /// Signs the end of the journal and prints that, to be kept elsewhere
    #[command(after_help = help::CHECKPOINT)]
    Checkpoint,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SyncVerb {
    /// Asks central for a snapshot of everything
    #[command(after_help = help::RESYNC)]
    Resync {
        /// Return only when all of it is in force
        #[arg(long)]
        wait: bool,
        /// How long that is waited for (90s, 20m); exit status 1 if it takes longer
        #[arg(long, value_name = "TIME", value_parser = moment::seconds, requires = "wait", default_value = "10m")]
        within: u32,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use latchd::domain::DoorOrder;

    use super::*;

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn json_and_socket_stand_before_or_after_the_verb() {
        for line in [
            "latchctl --json --socket /s status",
            "latchctl status --json --socket /s",
            "latchctl --socket /s journal verify --json",
            "latchctl journal --socket /s verify --json",
        ] {
            let args = parsed(line).unwrap();
            assert!(args.json && args.socket.as_os_str() == "/s", "{line}");
        }
        assert_eq!(parsed("latchctl sync").unwrap().socket, PathBuf::from("/run/latchd/latchd.sock"));
    }

    #[test]
    fn explain_takes_one_card_at_one_door_or_a_batch() {
        assert!(parsed("latchctl explain --door d --uid 04A1B2C3").is_ok());
        assert!(parsed("latchctl explain --door d --credential c --direction out --at 09:30").is_ok());
        assert!(parsed("latchctl explain --batch").is_ok());
        assert!(parsed("latchctl explain --event 501").is_ok());
        assert!(parsed("latchctl explain --event 501 --door d").is_err());
        assert!(parsed("latchctl explain --event 501 --batch").is_err());
        assert!(parsed("latchctl explain --door d").is_err());
        assert!(parsed("latchctl explain --uid 04A1B2C3").is_err());
        assert!(parsed("latchctl explain --door d --uid 04A1B2C3 --credential c").is_err());
        assert!(parsed("latchctl explain --batch --door d").is_err());
        assert!(parsed("latchctl explain --door d --uid 04A1B2C3 --at 2h").is_err());
    }

    #[test]
    fn a_door_is_named_or_all_are_meant() {
        assert!(parsed("latchctl door access entrance").is_ok());
        assert!(parsed("latchctl door access --all").is_ok());
        assert!(parsed("latchctl door access").is_err());
        assert!(parsed("latchctl door access entrance --all").is_err());
        assert!(parsed("latchctl door access a/b").is_err());
    }

    #[test]
    fn every_action_of_the_wire_is_a_verb_and_only_what_stays_open_takes_a_time() {
        for action in DoorAction::ALL {
            let verb = action.as_str().replace('_', "-");
            let line = format!("latchctl door {verb} entrance --reason why");
            let Verb::Door(verb_of) = parsed(&line).unwrap().verb else { panic!("{line}") };
            assert_eq!(verb_of.order().unwrap().0, action);
            let takes_time = parsed(&format!("{line} --for 30s")).is_ok();
            assert_eq!(takes_time, DoorOrder::new(action, Some(30)).is_ok(), "{action}");
        }
        assert!(parsed("latchctl door show entrance").is_ok());
        assert!(parsed("latchctl door unlock entrance --for soon").is_err());
    }
}
