//! The keys that a host says it has, after authentication (OpenSSH PROTOCOL section 2.5).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::BoxFuture;
use crate::base::Connection;
use crate::error::{Error, ErrorKind, Result};

/// What any request may take: a server that signs with a slow device needs seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is left of it when the session is being closed: a short command ends before a busy server has signed, and its host
/// is to be followed too, as far as the grace of the close allows.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(3);

/// The keys that the host announced, and the way to have it prove that it has them.
pub struct AnnouncedKeys {
    wires: Vec<Vec<u8>>,
    connection: Arc<Connection>,
    closing: CancellationToken,
    person: Duration,
}

impl AnnouncedKeys {
    pub(crate) fn new(
        wires: Vec<Vec<u8>>,
        connection: Arc<Connection>,
        closing: CancellationToken,
        person: Duration,
    ) -> Self {
        Self { wires, connection, closing, person }
    }

    /// How long a person may think about what is to become of them
    /// ([`person_timeout`](crate::TransportOptionsBuilder::person_timeout)).
    #[must_use]
    pub fn person_timeout(&self) -> Duration {
        self.person
    }

    /// The wire form of each (RFC 4253 section 6.6). Nothing is proved by being announced.
    #[must_use]
    pub fn wires(&self) -> &[Vec<u8>] {
        &self.wires
    }

    /// Has the host sign for each of these keys, bound to this connection, and verifies all of it.
    ///
    /// # Errors
    /// [`ErrorKind::HostKeyRejected`] where one signature is not that key's, where the host refuses, and where it says
    /// nothing for 30 s, or for 3 s while the session is being closed; [`ErrorKind::Disconnected`] where the connection ended.
    ///
    /// # Cancel safety
    /// Dropped, the host may have been asked.
    #[must_use = "nothing is asked until it is awaited"]
    pub fn prove<'a>(&'a self, wires: &'a [Vec<u8>]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if wires.is_empty() {
                return Ok(());
            }
            let unproved = |why: &str| {
                Error::new(ErrorKind::HostKeyRejected, "update host keys", why)
                    .with_hint("the server's own log says why; nothing was written down")
            };
            let proved = tokio::select! {
                proved = self.connection.prove_host_keys(wires) => proved,
                () = self.out_of_patience() => {
                    return Err(unproved("the host did not prove in time that it has the keys it announced"));
                }
            };
            match proved {
                Ok(true) => Ok(()),
                Ok(false) => Err(unproved("the host did not prove that it has the keys it announced")),
                Err(_) => Err(Error::new(
                    ErrorKind::Disconnected,
                    "update host keys",
                    "the connection ended before the host proved its keys",
                )),
            }
        })
    }

    async fn out_of_patience(&self) {
        let at_the_end = async {
            self.closing().await;
            tokio::time::sleep(PATIENCE_AT_THE_END).await;
        };
        tokio::select! {
            () = tokio::time::sleep(PATIENCE) => {}
            () = at_the_end => {}
        }
    }

    /// Resolves when the session is being closed: nobody should be asked anything any more.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn closing(&self) {
        self.closing.cancelled().await;
    }
}

impl fmt::Debug for AnnouncedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnouncedKeys").field("keys", &self.wires.len()).finish_non_exhaustive()
    }
}
