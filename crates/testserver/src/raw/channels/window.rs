//! What a client may send on a channel: window and packets (RFC 4254 section 5.2).

use crate::raw::{faults::Adjust, transport::Broken};

/// What the client may send.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) window: u32,
    pub(super) left: u32,
    pub(super) adjust: Adjust,
    pub(super) max_packet: u32,
}

impl Incoming {
    /// Counts what has come; says by how much the window is to grow.
    pub(super) fn take(&mut self, count: usize) -> Result<u32, Broken> {
        let count = u32::try_from(count).ok().filter(|count| *count <= self.max_packet).ok_or_else(|| {
            Broken::new(format!(
                "{count} bytes of data in one packet, where {} were allowed",
                self.max_packet
            ))
        })?;
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            Broken::new(format!("{count} bytes of data, where the window had {} left", self.left))
        })?;
        let more = match self.adjust {
            Adjust::Never => 0,
            Adjust::By(bytes) if self.left == 0 => bytes,
            // When half of it is used, so that the client need not wait.
            Adjust::AsUsed if self.left <= self.window / 2 => self.window - self.left,
            Adjust::By(_) | Adjust::AsUsed => 0,
        };
        self.left = self.left.saturating_add(more);
        Ok(more)
    }
}

pub(super) fn permits(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
