//! Reading the configuration where blocking does no harm: files, name look-ups, and commands of `Match exec`.

use crate::error::{Error, ErrorKind, Result};
use crate::setup::{HostSetup, HostSetupBuilder};

/// Puts a setup together on a thread for work that blocks.
///
/// # Cancel safety
/// Dropped, the thread finishes its reading; the result is dropped.
pub(super) async fn resolve(builder: HostSetupBuilder) -> Result<HostSetup> {
    // Owner: the runtime's pool of blocking threads. Ends: by itself, when all is read. Waited for: here, and by the
    // runtime when it shuts down.
    match tokio::task::spawn_blocking(move || builder.resolve()).await {
        Ok(resolved) => resolved,
        Err(aborted) => Err(Error::new(
            ErrorKind::Configuration,
            "read configuration",
            "the reading was broken off: the program is ending, or this is a mistake in it",
        )
        .with_source(aborted.to_string())),
    }
}
