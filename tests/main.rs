//! The one integration binary: rules by the contract's examples and by properties, layers by reading the imports,
//! and the real daemon among real peers.

mod naive;
mod properties;
mod vectors;
mod wire_properties;
mod worlds;
