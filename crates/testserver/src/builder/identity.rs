//! Setting up how a server shows itself: its lines, its keys, its algorithms.

use super::Builder;
use crate::{
    algorithms::Algorithms,
    host_certificate::HostCertificate,
    keys::{HostKeyKind, HostKeySource},
};

impl Builder {
    /// Shows this text before authentication (RFC 4252 section 5.4).
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().banner("Authorised use only.\r\n");
    /// ```
    pub fn banner(mut self, text: impl Into<String>) -> Self {
        self.settings.banner = Some(text.into());
        self
    }

    /// The whole identification line (RFC 4253 section 4.2), such as `SSH-2.0-OpenSSH_9.2` or `SSH-1.99-Old`.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().identification("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3");
    /// ```
    pub fn identification(mut self, line: impl Into<String>) -> Self {
        self.settings.identification = line.into();
        self
    }

    /// Has a generated host key of this sort. May be called again for a server with several keys, which all differ.
    /// Without any, the server has an Ed25519 key.
    ///
    /// A process makes few keys and all its servers share them, since some take seconds to make; so two servers may well
    /// have the same key. Where a test has to tell them apart, there is [`fresh_host_key`](Self::fresh_host_key).
    ///
    /// ```
    /// use rustle_testserver::{HostKeyKind, TestServer};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let one = TestServer::builder().host_key(HostKeyKind::Ed25519).start().await?;
    /// let other = TestServer::builder().fresh_host_key(HostKeyKind::Ed25519).start().await?;
    /// assert_ne!(one.host_key_openssh(), other.host_key_openssh());
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn host_key(mut self, kind: HostKeyKind) -> Self {
        self.host_keys.push(HostKeySource::Generated(kind));
        self
    }

    /// Has a host key of this sort that is made for this server alone.
    pub fn fresh_host_key(mut self, kind: HostKeyKind) -> Self {
        self.host_keys.push(HostKeySource::Fresh(kind));
        self
    }

    /// Has this host key, an unencrypted private key in OpenSSH's format.
    pub fn host_key_openssh(mut self, private_key: impl Into<String>) -> Self {
        self.host_keys.push(HostKeySource::Given(private_key.into()));
        self
    }

    /// Shows its host keys with this certificate to clients that take such; the others see the bare keys. A key that comes
    /// later, by [`swap_host_key`](crate::TestServer::swap_host_key), gets one by the same authority.
    pub fn host_certificate(mut self, certificate: HostCertificate) -> Self {
        self.settings.host_certificate = Some(certificate);
        self
    }

    /// Offers only these algorithms.
    ///
    /// ```
    /// use rustle_testserver::{Algorithms, HostKeyKind, TestServer};
    ///
    /// let builder = TestServer::builder()
    ///     .host_key(HostKeyKind::EcdsaP256)
    ///     .algorithms(Algorithms::new().ciphers(["aes128-ctr"]).macs(["hmac-sha2-256"]));
    /// ```
    pub fn algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }
}
