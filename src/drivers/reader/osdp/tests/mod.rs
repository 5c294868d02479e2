//! The driver against readers played by bytes, over an in-memory line and a clock that stands still ([`bytes`],
//! [`conversation`]); and against libosdp's peripheral, which is nobody's of us ([`peer`]).

mod bytes;
mod conversation;
mod peer;
mod played;
