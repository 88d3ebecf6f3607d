//! Where a forward leads.

use std::fmt;

/// Where a forward leads: what the server can reach, by names as it resolves them; of one whose clients come in at the server
/// what this machine can reach.
///
/// ```
/// use rustle_pool::ForwardTarget;
///
/// let database = ForwardTarget::host("db.internal", 5432);
/// assert_eq!(database, ("db.internal", 5432).into());
/// let server_itself = ForwardTarget::host("localhost", 80);
/// let socket = ForwardTarget::socket("/run/postgresql/.s.PGSQL.5432");
/// assert_eq!(socket.to_string(), "/run/postgresql/.s.PGSQL.5432");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardTarget(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Host(String, u16),
    Socket(String),
}

impl ForwardTarget {
    /// A port of a host (`direct-tcpip`, RFC 4254 section 7.2).
    #[must_use]
    pub fn host(host: impl Into<String>, port: u16) -> Self {
        Self(Place::Host(host.into(), port))
    }

    /// A Unix socket of the server (`direct-streamlocal@openssh.com`), or of this machine.
    #[must_use]
    pub fn socket(path: impl Into<String>) -> Self {
        Self(Place::Socket(path.into()))
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }
}

impl<S: Into<String>> From<(S, u16)> for ForwardTarget {
    fn from((host, port): (S, u16)) -> Self {
        Self::host(host, port)
    }
}

impl fmt::Display for ForwardTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
            Place::Socket(path) => f.write_str(path),
        }
    }
}
