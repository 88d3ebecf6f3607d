//! The far side's terminal: what it is to be like, and how large the far side takes ours for.

use rustle_session::Terminal;

/// A terminal to be asked for, and its size.
#[derive(Debug)]
pub(super) struct Far {
    terminal: Terminal,
    size: (u32, u32),
}

impl Far {
    /// One of this name and this size in characters, columns first, with these modes by code (RFC 4254 section 8).
    pub(super) fn new(name: String, size: (u32, u32), modes: impl IntoIterator<Item = (u8, u32)>) -> Self {
        let plain = Terminal::new(name, size.0, size.1);
        let terminal = modes.into_iter().fold(plain, |terminal, (code, value)| terminal.mode(code, value));
        Self { terminal, size }
    }

    /// What is asked for.
    pub(super) fn terminal(&self) -> Terminal {
        self.terminal.clone()
    }

    /// In characters, columns first.
    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }
}
