//! The manual: what it shows is run.
//!
//! A block of commands says who runs it:
//!
//! | block | is run |
//! | --- | --- |
//! | `console site` | here, at a simulated site with the real daemon (`commands.rs`) |
//! | `console hand` | here too: it waits for somebody's hand, and is ended once it does |
//! | `console example` | with the example of central's side (`central.rs`) |
//! | `console box` | on a box: in a container with a real systemd, by `./dev package-test` |

mod blocks;
mod book;
mod calls;
mod central;
mod commands;
mod fields;
mod reference;
