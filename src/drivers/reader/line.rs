//! A serial line as a driver needs it: bytes both ways, and a way to be rid of it without waiting.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialStream};

/// A line that can be thrown away without waiting for it.
pub trait Line: AsyncRead + AsyncWrite + Unpin + Send {
    fn discard(self);
}

impl Line for SerialStream {
    fn discard(self) {
        // Closing a tty waits until all is sent, up to 30 s: so nothing is left to send. Fails where it is gone.
        drop(self.clear(ClearBuffer::All));
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    impl Line for tokio::io::DuplexStream {
        fn discard(self) {}
    }
}
