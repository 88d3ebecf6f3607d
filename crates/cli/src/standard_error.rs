//! Standard error for lines that come at any time: those of the log, and of commands that carry the connection.
//!
//! While the terminal is handed over key by key, it leaves the cursor where a line ended: there, a new line takes a
//! carriage return to be one.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static RAW: AtomicBool = AtomicBool::new(false);

/// While this is held, lines on a terminal begin at its left edge by a word of their own.
pub(crate) struct RawLines(());

impl RawLines {
    /// The terminal is about to be set.
    pub(crate) fn begin() -> Self {
        RAW.store(io::stderr().is_terminal(), Ordering::Relaxed);
        Self(())
    }
}

impl Drop for RawLines {
    fn drop(&mut self) {
        RAW.store(false, Ordering::Relaxed);
    }
}

/// A writer of whole lines to standard error.
pub(crate) struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if RAW.load(Ordering::Relaxed) {
            io::stderr().write_all(&with_returns(bytes))
        } else {
            io::stderr().write_all(bytes)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn with_returns(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes.len().saturating_add(2));
    for &byte in bytes {
        if byte == b'\n' {
            all.push(b'\r');
        }
        all.push(byte);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_a_return() {
        assert_eq!(with_returns(b"one\n\ntwo\n"), b"one\r\n\r\ntwo\r\n");
    }
}
