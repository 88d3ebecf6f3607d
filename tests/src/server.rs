//! An sshd together with a way in: whom to log in as, and with which key.

use std::path::Path;

use rustle_session::{
    AgentSource, Algorithms, Connector, Credentials, KnownHosts, PinnedHostKey, Session, Target,
    TransportOptions,
};

use crate::environment::Interop;
use crate::keys::{KeyFile, KeyKind};
use crate::scratch::Scratch;
use crate::sshd::{Sshd, SshdBuilder};

/// An sshd that lets one account in by key.
#[derive(Debug)]
pub struct Server {
    sshd: Sshd,
    user: String,
    key: KeyFile,
    // Last: the keys are read until the server is gone.
    _folder: Scratch,
}

impl Server {
    /// Starts one that lets in the account of this pass.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(interop: &Interop) -> Self {
        Self::start_with(interop, |sshd| sshd)
    }

    /// As [`start`](Self::start), with lines of `sshd_config` that win over the defaults.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn configured(interop: &Interop, lines: &str) -> Self {
        Self::start_with(interop, |sshd| sshd.config(lines))
    }

    /// As [`start`](Self::start), with anything else set.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(interop: &Interop, with: impl FnOnce(SshdBuilder) -> SshdBuilder) -> Self {
        let folder = Scratch::new();
        let key = KeyFile::generate(&folder, "login_key", KeyKind::Ed25519);
        let sshd = with(Sshd::builder(interop.sshd()).authorize(key.public_line())).start();
        Self { sshd, user: interop.user().to_owned(), key, _folder: folder }
    }

    /// Logs in with these credentials, over a connection that trusts this server.
    ///
    /// # Errors
    /// What connecting or logging in gave.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed.
    pub async fn login(&self, credentials: &Credentials) -> rustle_session::Result<Session> {
        Ok(self.connector().connect().await?.authenticate(credentials).await?)
    }

    /// The server's process.
    #[must_use]
    pub fn sshd(&self) -> &Sshd {
        &self.sshd
    }

    /// The same, to be started again.
    #[must_use]
    pub fn sshd_mut(&mut self) -> &mut Sshd {
        &mut self.sshd
    }

    /// The key that opens it.
    #[must_use]
    pub fn key(&self) -> &KeyFile {
        &self.key
    }

    /// Whom it lets in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Where it is, as the user it lets in.
    ///
    /// # Panics
    /// Where the address is none.
    #[must_use]
    pub fn target(&self) -> Target {
        target(&self.user, self.sshd.port())
    }

    /// A connector that trusts its host key and nothing else.
    ///
    /// # Panics
    /// Where the host key has no fingerprint.
    pub fn connector(&self) -> Connector {
        connector(&self.user, &self.sshd)
    }

    /// Its own key and nothing else.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        no_credentials().key_file(self.key.path())
    }

    /// Logs in.
    ///
    /// # Panics
    /// When it cannot.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed.
    pub async fn session(&self) -> Session {
        self.session_by(self.connector()).await
    }

    /// Logs in with these algorithms on offer.
    ///
    /// # Panics
    /// When it cannot.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed.
    pub async fn session_with(&self, algorithms: Algorithms) -> Session {
        self.session_by(self.connector().algorithms(algorithms)).await
    }

    /// Logs in with these options of the transport.
    ///
    /// # Panics
    /// When it cannot.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed.
    pub async fn session_over(&self, options: TransportOptions) -> Session {
        self.session_by(self.connector().transport(options)).await
    }

    async fn session_by(&self, connector: Connector) -> Session {
        let unauthenticated = connector.connect().await.unwrap_or_else(|error| panic!("connect: {error:?}"));
        let session = unauthenticated.authenticate(&self.credentials()).await;
        session.unwrap_or_else(|rejected| panic!("authenticate: {rejected:?}"))
    }
}

/// A user at a port of 127.0.0.1.
///
/// # Panics
/// Where that is no target.
#[must_use]
pub fn target(user: &str, port: u16) -> Target {
    Target::parse(&format!("ssh://{user}@127.0.0.1:{port}")).expect("a target")
}

/// A connector to this server that trusts its host key and nothing else.
///
/// # Panics
/// Where the host key has no fingerprint.
pub fn connector(user: &str, sshd: &Sshd) -> Connector {
    let trust = PinnedHostKey::new(&sshd.host_key().fingerprint()).expect("a fingerprint");
    Connector::new(target(user, sshd.port())).host_trust(trust)
}

/// Nothing of this machine's own: no agent, no key files.
#[must_use]
pub fn no_credentials() -> Credentials {
    Credentials::new().without_default_keys().agent(AgentSource::None)
}

/// Trust by this file, and by nothing of the machine's own.
pub fn trust(known_hosts: &Path) -> KnownHosts {
    KnownHosts::new().user_files([known_hosts]).system_files([""; 0])
}
