//! The one integration binary: rules by the contract's examples and by properties, layers by reading the imports,
//! and the real daemon among real peers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking where it stands, in its helping functions too"
)]

mod asked;
mod contract;
mod daemon;
mod latchctl;
mod layers;
mod manual;
mod packaging;
mod power;
mod properties;
mod site;
mod supply;
mod time_zones;
mod vectors;
mod wire_properties;
mod world;
mod worlds;
