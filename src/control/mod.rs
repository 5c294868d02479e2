//! The controller: a pure function of what happened and what time it is.
//!
//! No async, no clock, no I/O: [`Controller::handle`] takes an [`Event`] at a [`crate::domain::Now`] and says what is
//! to be done as [`Action`]s. The same inputs give the same outputs, so a whole site runs in a simulator.

pub mod decide;
pub mod event;
pub mod index;
pub mod let_in;

pub use event::{Action, BoardCommand, BoardEvent, Event, Feedback, Inputs, ReaderEvent, Recorded, Warrant};
