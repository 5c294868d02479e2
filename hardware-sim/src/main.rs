//! `latch-sim`: simulated devices as processes. Each verb's arguments live beside its module; this only dispatches.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hardware_sim::{board, card, central, demo, fleet, orders, reader, world};

/// Stands in for everything a door controller is wired to
#[derive(Debug, Parser)]
#[command(name = "latch-sim", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Board(board::verb::Args),
    Central(Box<central::verb::Args>),
    Reader(reader::Args),
    Card(card::verb::Args),
    Demo(demo::Args),
    Tap(demo::tap::Args),
    Fleet(fleet::Args),
    World(world::verb::Args),
}

fn main() -> ExitCode {
    let done: Result<(), Box<dyn std::error::Error>> = match Cli::parse().verb {
        Verb::Board(args) => args.run().map_err(Into::into),
        Verb::Central(args) => args.run().map_err(Into::into),
        Verb::Reader(args) => args.run().map_err(Into::into),
        Verb::Card(args) => args.run().map_err(Into::into),
        Verb::Demo(args) => args.run().map_err(Into::into),
        Verb::Tap(args) => args.run().map_err(Into::into),
        Verb::Fleet(args) => args.run().map_err(Into::into),
        Verb::World(args) => args.run().map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latch-sim: {}", orders::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
