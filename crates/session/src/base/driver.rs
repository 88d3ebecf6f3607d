//! The one thing under the base that may block: moving unread output to disk.

use std::sync::Arc;
use std::time::Duration;

use crate::base::intake::Intake;
use crate::base::wire::WireControl;

/// How long a connection with nobody else on it waits for a slow reader before anything goes to disk. So short
/// that no keepalive is missed; backpressure is cheaper than a file.
const ALONE: Duration = Duration::from_millis(200);

/// Whether other channels would suffer from a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Others,
}

/// Makes room for a channel over its memory limit; `false` when its reader left none in time.
///
/// # Cancel safety
/// Called by the connection's loop, which ends with it; bytes are moved to disk whole or not at all.
pub(super) async fn make_room(intake: &Arc<Intake>, company: Company, control: &WireControl) -> bool {
    if company == Company::Alone && wait_for_reader(intake, ALONE, control).await {
        return true;
    }
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
    let mut taken = intake.taken();
    while !intake.fits() && intake.end_seen().is_none() {
        tokio::select! {
            () = intake.room() => {}
            () = tokio::time::sleep(pause) => {
                if intake.taken() == taken {
                    return false;
                }
                taken = intake.taken();
            }
            () = control.cut_or_gone() => return true,
        }
    }
    true
}
