//! The one integration binary: rules by the contract's examples and by properties, layers by reading the imports,
//! and the real daemon among real peers.

mod layers;
mod naive;
mod properties;
mod time_zones;
mod vectors;
mod wire_properties;
mod worlds;
