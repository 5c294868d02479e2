//! latchd: an edge daemon for keycard door controllers.
//!
//! ```text
//!    READERS                               CONTROLLER (pure)                            DOORS
//!  ┌───────────┐  Tap(uid)    ┌────────────────────────────────────────┐ Release(Recorded) ┌──────────────┐
//!  │ pcsc      │ ───────────► │  tap ──► decide ──► record ──► release │ ────────────────► │ modbus board │
//!  │ pn532     │  Link up/lost│           ▲            │  ▲            │                   │ strike       │
//!  │           │ ◄─────────── │           │            ▼  │            │ ◄──────────────── │ contact, REX │
//!  └───────────┘  feedback    │         index      Append │Recorded    │  inputs, link     └──────────────┘
//!    CENTRAL                  │           ▲            │  │            │
//!  ┌───────────┐  Change      │  change ► verify ► apply ► persist     │  Now{mono,wall,trust}
//!  │ mqtt      │ ───────────► │           (Verified)        │          │ ◄──────────────── CLOCK
//!  │           │ ◄─────────── │  sync session · outbox      ▼          │  next_deadline() ─►
//!  └───────────┘  ack, events └──────────────────────────┬─────────────┘
//!    TECHNICIAN                                          ▼
//!  ┌───────────┐  request     ┌────────────────────────────────────────┐
//!  │ latchctl  │ ───────────► │ STORE  cache: sled · journal: files    │
//!  └───────────┘              └────────────────────────────────────────┘
//! ```

pub mod control;
pub mod daemon;
pub mod domain;
pub mod drivers;
pub mod wire;
