//! The real daemon among real peers: each file is a part of what it promises.

mod boards;
mod cables;
mod cards;
mod commands;
mod configuration;
mod exits;
mod feed;
mod guests;
mod leaves;
mod lifecycle;
mod lines;
mod link;
mod modes;
mod neighbours;
mod outage;
mod peers;
mod renewal;
mod revocation;
mod secrecy;
mod signed;
mod silence;
mod sync_faults;
mod taps;
mod technician;
mod tls;
