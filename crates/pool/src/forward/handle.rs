//! What whoever wanted a forward holds.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Result};
use crate::forward::driver::Ends;
use crate::forward::remote::Standing;
use crate::forward::stats::{Counters, ForwardStats};

/// A forward that is there, made by [`Pool::forward`](crate::Pool::forward). It is there for as long as this is: whatever
/// becomes of connections, it listens. Dropped, it is [closed](Self::close) in the background.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::{Forward, ForwardBind, Pool}, rustle_session::HostSetup, tokio::net::TcpStream};
/// # let pool = Pool::builder().only_registered().build()?;
/// # pool.register("web-1", HostSetup::builder("web-1").without_config_files().resolve()?);
/// let forward = Forward::local(ForwardBind::loopback(0), ("localhost", 80));
/// let web = pool.forward("web-1", forward).await?;
/// let port = web.port().ok_or("it is a Unix socket")?;
/// println!("http://localhost:{port}/ is web-1's");
/// assert!(web.is_bound() && web.addresses().iter().all(|address| address.port() == port));
/// assert_eq!(web.stats().accepted, 0);
/// web.close().await;
/// assert!(TcpStream::connect(("localhost", port)).await.is_err());
/// # Ok(()) }
/// ```
#[must_use = "dropped, it is closed"]
pub struct ForwardHandle {
    addresses: Vec<SocketAddr>,
    path: Option<PathBuf>,
    /// Of one whose clients come in at the server.
    standing: Option<watch::Receiver<Standing>>,
    counters: Arc<Counters>,
    closing: DropGuard,
    ends: Ends,
}

impl ForwardHandle {
    pub(super) fn here(
        (addresses, path): (Vec<SocketAddr>, Option<PathBuf>),
        counters: Arc<Counters>,
        closing: DropGuard,
        ends: Ends,
    ) -> Self {
        Self { addresses, path, standing: None, counters, closing, ends }
    }

    pub(super) fn at_server(
        standing: watch::Receiver<Standing>,
        counters: Arc<Counters>,
        closing: DropGuard,
        ends: Ends,
    ) -> Self {
        Self { addresses: Vec::new(), path: None, standing: Some(standing), counters, closing, ends }
    }

    /// Whether clients are let in now: at the server as long as it listens, here as long as the pool is not shut down, after
    /// which this is no longer brought up to date.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing.borrow().is_bound)
    }

    /// Waits until clients are let in.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins();
    /// # let server = server.tcpip_forward_scripted().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let forward = Forward::remote(ForwardBind::loopback(8080), ("localhost", 3000));
    /// let preview = pool.forward("web-1", forward).await?;
    /// preview.bound().await?; // the server listens
    /// assert_eq!((preview.is_bound(), preview.port()), (true, Some(8080)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Why the server does not listen, as soon as it has refused, did not answer in time or could not be reached. It is asked again
    /// all the same, unless the error is one of a login that was refused for good.
    /// [`ErrorKind::ShutDown`](crate::ErrorKind::ShutDown) where it is not, because the pool is
    /// [shut down](crate::Pool::shutdown).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn bound(&self) -> Result<()> {
        let Some(standing) = &self.standing else { return Ok(()) };
        let mut standing = standing.clone();
        let known = standing.wait_for(|now| now.is_bound || now.error.is_some()).await;
        match known.map(|now| now.error.clone()) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            // It ends with the pool.
            Err(_) => Err(Error::shut_down()),
        }
    }

    /// The addresses and ports that are listened on here: none where it is a Unix socket, or where the server listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The port that is listened on, the system's choice where it was left to it; at the server, as long as it listens.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let at_server = || self.standing.as_ref().and_then(|standing| standing.borrow().port);
        self.addresses.first().map(SocketAddr::port).or_else(at_server)
    }

    /// The Unix socket that is listened on here.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let closed = tokio::net::TcpSocket::new_v4()?; closed.bind("127.0.0.1:0".parse()?)?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(closed.local_addr()?.port()).resolve()?;
    /// # #[cfg(unix)] {
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("web.sock");
    /// let forward = Forward::local(ForwardBind::unix(&path), ("localhost", 80));
    /// let web = pool.forward("web-1", forward).await?;
    /// assert_eq!(web.path(), Some(path.as_path()));
    /// assert!(web.addresses().is_empty() && path.exists());
    /// # }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> ForwardStats {
        let asked_again = self.standing.as_ref().map_or(0, |standing| standing.borrow().asked_again);
        ForwardStats { asked_again, ..self.counters.stats() }
    }

    /// Ends it: nothing listens there any more at once, clients that are parked are hung up on, and those that are open have
    /// [their grace](crate::Forward::grace). A server that was asked to listen and has not answered has it as well: what it grants
    /// is taken back. Resolves when nothing is left.
    ///
    /// # Cancel safety
    /// Dropped, it ends all the same.
    pub async fn close(self) {
        drop(self.closing);
        self.ends.of_all.cancelled().await;
    }

    /// Cancelled when nothing listens there any more, as it is soon after this was closed or dropped; at the server when it has
    /// said so, also of what it was asked for and had not granted yet, or when the grace is over.
    pub(super) fn listens_no_more(&self) -> CancellationToken {
        self.ends.of_listening.clone()
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
