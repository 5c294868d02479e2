//! The controller: a pure function of what happened and what time it is.
//!
//! No async, no clock, no I/O: [`Controller::handle`] takes an [`Event`] at a [`clock::Reading`] and says what is to
//! be done as [`Action`]s. The same inputs give the same outputs, so a whole site runs in a simulator.

pub mod clock;
pub mod commands_taken;
pub mod controller;
pub mod counters;
pub mod decide;
pub mod desk;
pub mod door;
pub mod event;
pub mod feedback;
pub mod fire;
pub mod index;
pub mod leaf;
pub mod let_in;
pub mod modes;
pub mod operator;
pub mod outbox;
pub mod refusals;
pub mod restarts;
pub mod settings;
pub mod sync;
pub mod turned_away;

pub use controller::Controller;
pub use event::{
    Action, Applied, BoardCommand, BoardEvent, CacheCommand, CacheEvent, CardOrder, Event, Inputs,
    JournalCommand, JournalEvent, Note, OperatorAnswer, OperatorEvent, OperatorRequest, Part, ReaderEvent,
    Recorded, Reload, Removal, Replaced, Staged, UplinkCommand, UplinkEvent, Warrant,
};
pub use feedback::Feedback;
