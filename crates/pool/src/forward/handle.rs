//! What whoever wanted a forward holds.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::forward::stats::{Counters, ForwardStats};

/// A forward that is there, made by [`Pool::forward`](crate::Pool::forward). It is there for as long as this is: whatever
/// becomes of connections, it listens. Dropped, it is [closed](Self::close) in the background.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use rustle_pool::{Forward, ForwardBind, Pool};
/// # use rustle_session::HostSetup;
/// # let pool = Pool::builder().only_registered().build()?;
/// # pool.register("web-1", HostSetup::builder("web-1").without_config_files().resolve()?);
/// let forward = Forward::local(ForwardBind::loopback(0), ("localhost", 80));
/// let web = pool.forward("web-1", forward).await?;
/// let port = web.port().ok_or("it is a Unix socket")?;
/// println!("http://localhost:{port}/ is web-1's");
/// web.close().await;
/// # Ok(()) }
/// ```
#[must_use = "dropped, it is closed"]
pub struct ForwardHandle {
    addresses: Vec<SocketAddr>,
    path: Option<PathBuf>,
    counters: Arc<Counters>,
    closing: DropGuard,
    ended: CancellationToken,
}

impl ForwardHandle {
    pub(super) fn new(
        (addresses, path): (Vec<SocketAddr>, Option<PathBuf>),
        counters: Arc<Counters>,
        closing: DropGuard,
        ended: CancellationToken,
    ) -> Self {
        Self { addresses, path, counters, closing, ended }
    }

    /// The addresses and ports that are listened on: none where it is a Unix socket.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The port that is listened on, the system's choice where it was left to it.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.addresses.first().map(SocketAddr::port)
    }

    /// The Unix socket that is listened on.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> ForwardStats {
        self.counters.stats()
    }

    /// Ends it: nothing listens there any more at once, clients that are parked are hung up on, and those that are open have
    /// [their grace](crate::Forward::grace). Resolves when nothing is left.
    ///
    /// # Cancel safety
    /// Dropped, it ends all the same.
    pub async fn close(self) {
        drop(self.closing);
        self.ended.cancelled().await;
    }
}

impl fmt::Debug for ForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardHandle")
            .field("addresses", &self.addresses)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
