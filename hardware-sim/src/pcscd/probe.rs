//! Asks a pcscd which readers it has, over its own socket: the library would tie this whole process to that socket.
//!
//! The messages are those of pcsc-lite's `winscard_msg.h`, protocol 4: a header (size and command, both `u32` in the
//! machine's order), then the body.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const COMMAND_VERSION: u32 = 0x11;
const COMMAND_GET_READERS_STATE: u32 = 0x12;
const PROTOCOL: (u32, u32) = (4, 4);
/// 16 readers, each a name of 128 bytes and 56 bytes more.
const READER_SIZE: usize = 184;
const READERS: usize = 16;

/// Waits until pcscd answers, and checks that it has these readers. It loads its drivers before it answers anyone.
pub(super) fn wait_for_readers(socket: &Path, wanted: &[String], limit: Duration) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut version = Vec::new();
    for word in [12, COMMAND_VERSION, PROTOCOL.0, PROTOCOL.1, 0] {
        version.extend(u32::to_ne_bytes(word));
    }
    stream.write_all(&version)?;
    // Its version, and a result that is 0 if it speaks ours.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if !answer.ends_with(&[0; 4]) {
        return Err(io::Error::other("it speaks another version of its protocol"));
    }
    let request: Vec<u8> =
        [0, COMMAND_GET_READERS_STATE].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    stream.write_all(&request)?;
    let mut states = [0; READERS * READER_SIZE];
    stream.read_exact(&mut states)?;
    let present: Vec<&[u8]> =
        states.chunks(READER_SIZE).filter_map(|state| state.split(|&b| b == 0).next()).collect();
    match wanted.iter().find(|name| !present.contains(&name.as_bytes())) {
        None => Ok(()),
        Some(missing) => Err(io::Error::other(format!("reader {missing} is missing; its port may be taken"))),
    }
}
