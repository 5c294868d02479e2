//! The one integration binary: rules by the contract's examples and by properties, layers by reading the imports,
//! and the real daemon among real peers.

mod daemon;
mod site;
mod vectors;
