//! New keys begun by this side, with bulk in flight.
//!
//! From our `SSH_MSG_KEXINIT` until the server's, the base takes at most two windows of channel data and
//! then ends the connection, while RFC 4253 section 7.1 lets the server send all that its windows allow:
//! with several full windows in flight that is more. So this side first keeps its own packets back. The
//! server gets no window adjustment and runs dry, in the time that its windows' bytes take; then adjustments and `KEXINIT`
//! go out in one piece, and the server answers before it has sent much again.

use std::time::Duration;

use russh::client::Handle;
use tokio::time::Instant;

use crate::base::Gone;
use crate::base::handler::Handler;
use crate::base::shared::Shared;
use crate::base::wire::WireControl;

/// Shortest silence that counts as "the server has run dry"; a scheduling hiccup on a fast link is longer
/// than its round trip.
const SHORTEST_SILENCE: Duration = Duration::from_millis(20);

/// A server that does not answer is taken to be as far away as this.
const LONGEST_ANSWER: Duration = Duration::from_secs(2);

/// The server may have data that no window limits (debug messages, answers): it is not waited for longer.
const LONGEST_DRAIN: Duration = Duration::from_secs(10);

/// How long the base may take to take the request: it takes it at once, or only after an exchange that is under way.
const ASKED_WITHIN: Duration = Duration::from_millis(100);

/// How long the base may take to write its `KEXINIT` once asked.
const KEXINIT_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn rekey(handle: &Handle<Handler>, shared: &Shared) -> Result<(), Gone> {
    let control = &*shared.control;
    // The shortest answer says little in a long queue; how long the server takes to answer now is how long what it has
    // sent may take to arrive.
    let asked = Instant::now();
    if let Ok(Err(_)) = tokio::time::timeout(LONGEST_ANSWER, handle.send_ping()).await {
        return Err(Gone);
    }
    let silence = (shared.round_trip.shortest() * 2).max(asked.elapsed()).max(SHORTEST_SILENCE);
    let keeping_back = Held::new(control);
    drain(control, silence).await;
    let before = shared.rekeys();
    let held = control.held_bytes();
    // While keys are exchanged the base takes no requests, and that exchange needs the packets held back here: a
    // request that it does not take says that an exchange is under way, and that one counts.
    match tokio::time::timeout(ASKED_WITHIN, handle.rekey_soon()).await {
        Ok(asked) => asked.map_err(|_| Gone)?,
        Err(_) => return Ok(()),
    }
    // `KEXINIT` is about a kilobyte: once that much more is held back, it stands behind the adjustments.
    let deadline = Instant::now() + KEXINIT_WITHIN;
    while control.held_bytes() < held + 256 && shared.rekeys() == before && Instant::now() < deadline {
        if handle.is_closed() {
            return Err(Gone);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(keeping_back);
    shared.rekeyed_since(before).await
}

/// Waits until nothing has arrived for this long.
async fn drain(control: &WireControl, silence: Duration) {
    let deadline = Instant::now() + LONGEST_DRAIN;
    let mut seen = control.received();
    let mut since = Instant::now();
    while Instant::now() < deadline {
        tokio::time::sleep(silence / 4).await;
        let now = control.received();
        if now != seen {
            seen = now;
            since = Instant::now();
        } else if since.elapsed() >= silence {
            return;
        }
    }
}

/// Keeps outbound bytes back while it lives.
struct Held<'a>(&'a WireControl);

impl<'a> Held<'a> {
    fn new(control: &'a WireControl) -> Self {
        control.hold();
        Self(control)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}
