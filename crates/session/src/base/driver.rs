//! The one thing under the base that may block: moving unread output to disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::base::intake::Intake;
use crate::base::wire::WireControl;

/// Makes room for a channel over its memory limit; `false` when its reader left none in time.
///
/// # Cancel safety
/// Called by the connection's loop, which ends with it; bytes are moved to disk whole or not at all.
pub(super) async fn make_room(intake: &Arc<Intake>, control: &WireControl) -> bool {
    let spilling = Arc::clone(intake);
    // Owner: the connection's loop, which waits for it here. Ends: after one pass over what is in memory.
    match tokio::task::spawn_blocking(move || spilling.spill()).await {
        Ok(Ok(true)) => return true,
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => tracing::warn!(%error, "unread output could not be moved to a temporary file"),
    }
    wait_for_reader(intake, intake.limits().pause_time(), control).await
}

/// Waits until the reader has made room; each step it takes starts the pause anew.
async fn wait_for_reader(intake: &Intake, pause: Duration, control: &WireControl) -> bool {
    let mut until = Instant::now() + pause;
    while !intake.fits() && intake.end_seen().is_none() {
        tokio::select! {
            () = intake.room() => until = Instant::now() + pause,
            () = tokio::time::sleep_until(until) => return false,
            () = control.cut_or_gone() => return true,
        }
    }
    true
}
