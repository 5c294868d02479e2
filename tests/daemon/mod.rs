//! The real daemon among real peers: each file is a part of what it promises.

mod boards;
mod cables;
mod cards;
mod configuration;
mod exits;
mod feed;
mod guests;
mod leaves;
mod lifecycle;
mod modes;
mod outage;
mod revocation;
mod secrecy;
mod taps;
mod technician;
