//! latchd: an edge daemon for keycard door controllers.
//!
//! ```text
//!    READERS                               CONTROLLER (pure)                            DOORS
//!  ┌───────────┐  Tap(uid)    ┌────────────────────────────────────────┐ Pulse(Warrant) ┌──────────────┐
//!  │ pcsc      │ ───────────► │  tap ──► decide ──► record ──► release │ ─────────────► │ modbus board │
//!  │ pn532     │  Link up/lost│           ▲          │ ▲  ▲             │ Secure         │ strike       │
//!  │ osdp      │ ◄─────────── │         index        │ │  │             │ ◄───────────── │ contact, REX │
//!  └───────────┘  feedback    │           ▲    Append│ │Recorded        │  inputs, link  │ fire alarm   │
//!    CENTRAL                  │           │          │ │  │             │                └──────────────┘
//!  ┌───────────┐  Feed        │  receive ─┴─ apply   │ │  │             │  Reading{mono,wall,synchronised}
//!  │ mqtt:     │ ───────────► │   Apply │ ▲ Applied  │ │  │             │ ◄───────────── CLOCK
//!  │   Inbox   │  Command     │  may? ──┼─┼──────────┼─┼─ order, modes  │  next_deadline() ─►
//!  │   verifies│ ───────────► │ Remember│ │Remembered│ │                │
//!  │           │ ◄─────────── │  outbox │ │          │ │                │
//!  └───────────┘  Done, events└─────────┼─┼──────────┼─┼────────────────┘
//!    TECHNICIAN   result                ▼ │          ▼ │
//!  ┌───────────┐  request     ┌────────────────────────────────────────┐
//!  │ latchctl  │ ───────────► │ STORE  cache: sled · journal: files    │
//!  └───────────┘              └────────────────────────────────────────┘
//!    MONITORING
//!  ┌───────────┐  Ask, at most four a second
//!  │ metrics   │ ───────────► the controller looks at itself: measured()
//!  │ ◄ scrapes │ ◄─────────── Snapshot
//!  └───────────┘
//! ```
//!
//! Three chains, each held together by a value that only the step before makes:
//!
//! ```text
//!  tap ─ decide ─► Decision ─ append ─► Recorded ─► Pulse(Warrant)                no record, no release
//!  feed ─ verify, receive ─► Apply ─ persist ─► Applied ─► index, Done            not on disk, not acknowledged
//!  command ─ verify, may? ─► Remember ─ persist ─► Remembered ─► order, Done      at most once, ever
//! ```
//!
//! A request to exit and the fire alarm never wait for any, and what restricts a door waits for no disk.
//!
//! # Layers
//!
//! An import may only point down; `tests/layers.rs` reads them and fails on one that does not.
//!
//! | layer | holds |
//! | --- | --- |
//! | [`daemon`] | configuration, start, reload, the one loop ([`daemon::run`]), the control socket |
//! | [`drivers`] | one folder a port: `reader/`, `door/`, `store/`, `uplink/`, `metrics/`; the only clock reads |
//! | [`control`] | the controller: [`control::Controller::handle`], the decision, the index, door machines, sync, commands, outbox, clock trust, what is counted |
//! | [`wire`] | bytes to values and back: signatures, feed, commands, journal, control socket, metrics page, stored forms, OSDP; no I/O |
//! | [`domain`] | the vocabulary as plain data: ids, UIDs, grants, windows, decisions, entries |
//!
//! # Threads
//!
//! | thread | runs | may wait for |
//! | --- | --- | --- |
//! | main | the controller, boards, serial readers, the control socket | nothing but its own queues |
//! | `journal` | appends, one `fdatasync` for all that wait | the disk |
//! | `cache` | sled: one message, one batch, one barrier | the disk |
//! | `cache reader` | every record, for whoever opens the cache and makes the index of them; then it ends | the disk |
//! | `uplink` | MQTT over our own TLS, verifying and reading what central sends | the network |
//! | `metrics` | the Prometheus endpoint, if there is one: HTTP, text, sizes of files | its callers, and the disk |
//! | `pcsc-…` | one PC/SC reader each, in a context of its own | pcscd and the card |
//! | `lamp-…` | what such a reader shows, if it has lamps | pcscd and the reader |
//! | `log` | lines of the log, on their way to standard error or systemd's journal | whoever reads them |
//! | `notify` | words to systemd, its watchdog's among them: said by main's loop alone | systemd |
//!
//! Drivers send [`control::Event`]s into one bounded queue; what the controller asks for comes back as
//! [`control::Action`]s. The same events at the same times give the same actions, in a test as in a wall.
//!
//! A process of its own, `latchd clock`, asks the kernel how its clock is and writes that down for the daemon, whose sandbox
//! has no call that could set one.
//!
//! A panic ends nothing that doors need: a reader, a board's line and the link begin anew, sled is closed and opened again,
//! and the journal goes on from what is on disk. Where the thread of one of the last three is gone all the same, the
//! process ends by itself, to be started anew: doors without a journal would not be noticed for weeks.
//!
//! # Limits
//!
//! Whatever comes in, from whomever: each queue has a limit, and something that happens at it.
//!
//! | what waits | at most | beyond it |
//! | --- | --- | --- |
//! | events for the controller | 1024 | drivers wait, and what they hear waits in their devices |
//! | entries for the journal | 8192 at its thread, 100 000 behind | the newest are dropped, which is counted and recorded |
//! | notes for the cache | 1024 at its thread, 10 000 behind | left to the journal, which a start reads instead |
//! | changes and commands for the cache | one message; 10 000 commands taken | the broker keeps the next, commands are refused |
//! | words for the link | 4096 | dropped and counted; events stand in the journal |
//! | what the broker sends | 32 messages under way, 4 MiB each | the broker keeps it |
//! | commands for a board | 64 | refused, and so is who asked |
//! | feedback for a line of readers | 64 | dropped: a late light tells nobody anything |
//! | callers at the control socket | 64, of one user 16; 64 KiB a request | they wait, or are told; an answer waits for its reader |
//! | callers for metrics | 16; 8 KiB a request | turned away |
//! | lines of the log | 1024 of 4 KiB | dropped and counted |
//! | words for systemd | 8 | dropped |

pub mod control;
pub mod daemon;
pub mod domain;
pub mod drivers;
pub mod wire;
