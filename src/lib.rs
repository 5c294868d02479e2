//! latchd: an edge daemon for keycard door controllers.
//!
//! ```text
//!    READERS                               CONTROLLER (pure)                            DOORS
//!  ┌───────────┐  Tap(uid)    ┌────────────────────────────────────────┐ Pulse(Warrant) ┌──────────────┐
//!  │ pcsc      │ ───────────► │  tap ──► decide ──► record ──► release │ ─────────────► │ modbus board │
//!  │ pn532     │  Link up/lost│           ▲            │  ▲            │                │ strike       │
//!  │           │ ◄─────────── │           │            ▼  │            │ ◄───────────── │ contact, REX │
//!  └───────────┘  feedback    │         index      Append │Recorded    │  inputs, link  └──────────────┘
//!    CENTRAL                  │           ▲            │  │            │
//!  ┌───────────┐  Feed        │  receive ──► persist ──► apply         │  Reading{mono,wall,synchronised}
//!  │ mqtt      │ ───────────► │  (SyncSession)  │ ▲     (Applied)      │ ◄───────────── CLOCK
//!  │           │ ◄─────────── │  outbox         ▼ │                    │  next_deadline() ─►
//!  └───────────┘  Done, events└─────────────────┬─┬────────────────────┘
//!    TECHNICIAN                                 ▼ │
//!  ┌───────────┐  request     ┌────────────────────────────────────────┐
//!  │ latchctl  │ ───────────► │ STORE  cache: sled · journal: files    │
//!  └───────────┘              └────────────────────────────────────────┘
//! ```
//!
//! Two chains, each held together by a value that only the step before makes:
//!
//! ```text
//!  tap  ─ decide ─► Decision ─ append ─► Recorded ─► Pulse(Warrant)     no record, no release
//!  feed ─ receive ─► Apply ─ persist ─► Applied ─► index, Done          not on disk, not acknowledged
//! ```
//!
//! A request to exit never waits for either.
//!
//! # Layers
//!
//! An import may only point down; `tests/layers.rs` reads them and fails on one that does not.
//!
//! | layer | holds |
//! | --- | --- |
//! | [`daemon`] | configuration, start, the one loop ([`daemon::run`]), the control socket |
//! | [`drivers`] | one folder a port: `reader/`, `door/`, `store/`, `uplink/`; the only clock reads |
//! | [`control`] | the controller: [`control::Controller::handle`], the decision, the index, sync, outbox, clock trust |
//! | [`wire`] | bytes to values and back: feed, journal, control socket, stored forms; no I/O |
//! | [`domain`] | the vocabulary as plain data: ids, UIDs, grants, windows, decisions, entries |
//!
//! # Threads
//!
//! | thread | runs | may wait for |
//! | --- | --- | --- |
//! | main | the controller, boards, serial readers, the control socket | nothing but its own queues |
//! | `journal` | appends, one `fdatasync` for all that wait | the disk |
//! | `cache` | sled: one message, one batch, one barrier | the disk |
//! | `uplink` | MQTT, reading and checking what central sends | the network |
//! | `pcsc-…` | one PC/SC reader each, in a context of its own | pcscd and the card |
//!
//! Drivers send [`control::Event`]s into one bounded queue; what the controller asks for comes back as
//! [`control::Action`]s. The same events at the same times give the same actions, in a test as in a wall.

pub mod control;
pub mod daemon;
pub mod domain;
pub mod drivers;
pub mod wire;
