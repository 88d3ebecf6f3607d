//! What under the base may block: moving unread output to disk, and throwing it away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::base::intake::{Intake, Unread};
use crate::base::shared::Shared;
use crate::base::wire::WireControl;

/// How long a connection with nobody else on it waits for a slow reader before anything goes to disk: so short
/// that no keepalive is missed. A reader of more than about 10 MB/s never sees the disk.
const ALONE: Duration = Duration::from_millis(200);

/// How long it waits after each quarter of a mebibyte that nobody reads and that goes to disk, where nobody else is on it: 32
/// MB/s at the most. Faster, it would take processors and the disk from those who do read, on other connections.
const BREATH: Duration = Duration::from_millis(8);

/// While memory and disk are full, how often what the reader has freed on disk is used.
const RETRY: Duration = Duration::from_millis(20);

/// Whether other channels would suffer from a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Others,
}

/// Makes room for a channel over its memory limit; `false` when its reader has used up the pause it may cause.
///
/// # Cancel safety
/// Called by the connection's loop, which ends with it; bytes are moved to disk whole or not at all.
pub(super) async fn make_room(channel: u32, intake: &Arc<Intake>, company: Company, shared: &Shared) -> bool {
    let (control, stalls) = (&*shared.control, &shared.stalls);
    let mut had_spilled = intake.is_on_disk();
    if company == Company::Alone && !had_spilled && waited(intake, ALONE, control).await {
        return true;
    }
    let started = Instant::now();
    let mut is_paused = false;
    let left = intake.limits().pause_time().saturating_sub(intake.paused());
    loop {
        let is_enough = spilled(intake).await;
        // It may have no room on the disk at all.
        if !had_spilled && intake.is_on_disk() {
            had_spilled = true;
            stalls.spills();
            tracing::debug!(channel, "output is not read: it goes to a temporary file");
        }
        if is_enough {
            intake.add_pause(started.elapsed());
            return true;
        }
        let left = left.saturating_sub(started.elapsed());
        if left.is_zero() {
            return false;
        }
        if !std::mem::replace(&mut is_paused, true) {
            stalls.pauses();
            tracing::debug!(channel, most = ?left, "output is not read: the connection stands still");
        }
        let waiting = Instant::now();
        let is_made = waited(intake, RETRY.min(left), control).await;
        stalls.add_pause(waiting.elapsed());
        if is_made {
            intake.add_pause(started.elapsed());
            return true;
        }
    }
}

/// Lets others have the machine for a [`BREATH`].
///
/// # Cancel safety
/// Safe.
pub(super) async fn breathe(control: &WireControl) {
    tokio::select! {
        () = tokio::time::sleep(BREATH) => {}
        () = control.cut_or_gone() => {}
    }
}

/// Moves what is in memory to disk; whether that was enough.
async fn spilled(intake: &Arc<Intake>) -> bool {
    let spilling = Arc::clone(intake);
    // Owner: the connection's loop, which waits for it here. Ends: after one pass over what is in memory.
    match tokio::task::spawn_blocking(move || spilling.spill()).await {
        Ok(Ok(enough)) => enough,
        Ok(Err(error)) => {
            tracing::warn!(%error, "unread output could not be moved to a temporary file");
            false
        }
        Err(_) => false,
    }
}

/// Throws away what nobody will read; the end of a large file takes its time.
pub(super) async fn throw_away(unread: Unread) {
    // Owner: the connection's loop, which waits for it here. Ends: once two files are closed. Not begun, it is dropped as well.
    let _ = tokio::task::spawn_blocking(move || drop(unread)).await;
}

/// Waits for the reader; whether there is room, or nothing left to make room for.
async fn waited(intake: &Intake, time: Duration, control: &WireControl) -> bool {
    let made = async {
        while !intake.fits() && intake.end_seen().is_none() {
            tokio::select! {
                () = intake.room() => {}
                () = control.cut_or_gone() => return,
            }
        }
    };
    tokio::time::timeout(time, made).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::wire::CutReason;

    #[tokio::test(start_paused = true)]
    async fn a_breath_is_short_and_ends_with_the_connection() {
        let control = WireControl::new();
        let begun = Instant::now();
        breathe(&control).await;
        assert!(begun.elapsed() >= BREATH && begun.elapsed() < 2 * BREATH, "{:?}", begun.elapsed());
        control.cut(CutReason::Aborted);
        let begun = Instant::now();
        breathe(&control).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
