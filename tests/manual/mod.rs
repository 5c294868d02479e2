//! The manual: what it shows is run.

mod central;
