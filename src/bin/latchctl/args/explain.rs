//! What `explain` is asked: one card at one door, an entry of the journal, or a batch.

use clap::{Args as Group, ValueEnum};
use latchd::domain::{CredentialId, Direction, DoorId};

use super::moment::{self, Moment};

#[derive(Debug, Group)]
pub struct Explain {
    /// Which door
    #[arg(long, value_name = "D", required_unless_present_any = ["batch", "event"])]
    pub door: Option<DoorId>,
    /// The card, by the UID it answers, in hexadecimal
    #[arg(
        long,
        value_name = "U",
        required_unless_present_any = ["batch", "event", "credential"],
        conflicts_with = "credential"
    )]
    pub uid: Option<String>,
    /// The card, by its credential's id
    #[arg(long, value_name = "C")]
    pub credential: Option<CredentialId>,
    /// Which way through the door
    #[arg(long, value_enum, default_value_t = Way::In)]
    pub direction: Way,
    /// Then instead of now
    #[arg(long, value_name = "TIME", value_parser = moment::at)]
    pub at: Option<Moment>,
    /// Why it was decided so in this entry of the journal, and how it would be by what is known today
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["door", "uid", "credential", "direction", "at", "batch"])]
    pub event: Option<u64>,
    /// Read {"door","uid","direction","at"} JSON lines from standard input and answer each with a JSON line; a line
    /// that can't be answered gets {"error":…} in its place, and the exit status is 1 at the end
    #[arg(long, conflicts_with_all = ["door", "uid", "credential", "direction", "at"])]
    pub batch: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Way {
    In,
    Out,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::In => Direction::In,
            Way::Out => Direction::Out,
        }
    }
}
