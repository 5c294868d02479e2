//! Many controllers at one broker, as `latch-sim fleet` runs them.

use std::path::Path;

use hardware_sim::fleet;

use crate::site::broker::Broker;

fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_latchd")).parent().unwrap()
}

#[test]
fn a_fleet_comes_up_books_is_commanded_and_comes_back_after_its_broker_was_lost() {
    fleet::play(5, 20, None, programs()).unwrap();
}

#[test]
fn a_fleet_works_at_a_real_broker_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut broker = Broker::prepare(folder.path());
    broker.start();
    fleet::play(3, 20, Some(broker.url()), programs()).unwrap();
}
