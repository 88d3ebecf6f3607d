//! One direction of a wire: what has passed, and which faults wait at which byte.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::meter::Meter;
use crate::fault::{Drip, Due};

/// One direction of a wire.
#[derive(Debug)]
pub(crate) struct Flow {
    bytes: u64,
    faults: VecDeque<Due<u64>>,
    /// The faults that change a byte, each with its place.
    changes: Vec<Due<u64>>,
    drip: Option<Meter>,
}

impl Flow {
    pub(crate) fn new(faults: Vec<Due<u64>>, changes: Vec<Due<u64>>) -> Self {
        Self { bytes: 0, faults: faults.into(), changes, drip: None }
    }

    /// What has passed so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next fault that is due at the bytes passed so far.
    pub(crate) fn pop_due(&mut self) -> Option<Due<u64>> {
        if self.faults.front().is_some_and(|fault| fault.at <= self.bytes) {
            self.faults.pop_front()
        } else {
            None
        }
    }

    /// How many bytes may pass at once, given `wanted`; none while a drip has to wait.
    pub(crate) fn room(&mut self, wanted: usize, now: Instant) -> usize {
        if self.drip.as_ref().is_some_and(|drip| drip.is_over(now)) {
            self.drip = None;
        }
        let to_fault = self.faults.front().map_or(u64::MAX, |fault| fault.at.saturating_sub(self.bytes));
        // A byte that is to be changed goes alone.
        let to_change =
            self.changes.first().map_or(u64::MAX, |change| change.at.saturating_sub(self.bytes).max(1));
        let to_drip = self.drip.as_mut().map_or(u64::MAX, |drip| drip.room(now));
        usize::try_from(to_fault.min(to_change).min(to_drip)).map_or(wanted, |room| room.min(wanted))
    }

    pub(crate) fn passed(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        self.changes.retain(|change| change.at >= self.bytes);
        if let Some(drip) = &mut self.drip {
            drip.passed(bytes, now);
        }
    }

    /// Of two drips at once the first counts.
    pub(crate) fn drip(&mut self, drip: Drip, now: Instant) {
        if self.drip.as_ref().is_none_or(|drip| drip.is_over(now)) {
            self.drip = Some(Meter::new(drip, now));
        }
    }

    /// The faults that change the next byte.
    pub(crate) fn changes(&self) -> &[Due<u64>] {
        let due = self.changes.iter().take_while(|change| change.at == self.bytes).count();
        self.changes.get(..due).unwrap_or_default()
    }

    /// When a drip lets more pass, if somebody waits for it.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.drip.as_ref().and_then(Meter::due)
    }

    /// Whether somebody has waited long enough.
    pub(crate) fn wakes(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due && let Some(drip) = &mut self.drip {
            drip.woken();
        }
        due
    }
}
