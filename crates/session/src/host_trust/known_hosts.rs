//! Trust by `known_hosts` files, as `ssh` has it: what is to be read and asked.

use std::path::PathBuf;

use rustle_trust::{HostName, TrustRules};

use super::command::KnownHostsCommand;
use super::dns::DnsResolver;
use super::{AnnouncedKeys, HostKeyOffer, HostTrust, usual};
use crate::BoxFuture;
use crate::error::{Error, ErrorKind, Result};

/// Checks host keys against `known_hosts` files.
///
/// By default the files are `ssh`'s: `~/.ssh/known_hosts` and `~/.ssh/known_hosts2`, then
/// `/etc/ssh/ssh_known_hosts` and `/etc/ssh/ssh_known_hosts2` (`%ProgramData%\ssh\…` on Windows). They are
/// read anew for every connection. A file that does not exist is empty; one that cannot be read refuses every
/// host.
///
/// [`strict`](Self::strict), the default, refuses hosts that are not known. [`accept_new`](Self::accept_new)
/// writes them down and goes on; it refuses changed and revoked keys like the other.
///
/// ```
/// use rustle_session::{HostHashing, KnownHosts};
///
/// let files = ["/srv/deploy/known_hosts"];
/// let trust = KnownHosts::new().user_files(files).accept_new().hash_new(HostHashing::Hashed);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct KnownHosts {
    user_files: Option<Vec<PathBuf>>,
    system_files: Option<Vec<PathBuf>>,
    pub(super) unknown_hosts: UnknownHosts,
    pub(super) hashing: HostHashing,
    alias: Option<String>,
    pub(super) rules: TrustRules,
    pub(super) revoked_files: Vec<PathBuf>,
    pub(super) command: Option<KnownHostsCommand>,
    pub(super) addresses: Addresses,
    pub(super) dns: Option<DnsResolver>,
    pub(super) updates: Updates,
}

/// Whether a host that is written down shows its name to whoever reads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostHashing {
    /// The name stands in the line: ssh's default.
    #[default]
    Plain,
    /// Only a salted hash of it does (`HashKnownHosts yes`).
    Hashed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum UnknownHosts {
    #[default]
    Refuse,
    Record,
}

/// Whether a host's address has to be known by the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Addresses {
    #[default]
    Unchecked,
    Checked,
}

/// Whether the user's files follow what a host announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Updates {
    #[default]
    Ignored,
    Followed,
}

impl KnownHosts {
    /// ssh's files, and unknown hosts refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads these in place of the files in `~/.ssh` (`UserKnownHostsFile`). New hosts are written to the
    /// first.
    pub fn user_files<I>(mut self, files: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<PathBuf>,
    {
        self.user_files = Some(files.into_iter().map(Into::into).collect());
        self
    }

    /// Reads these in place of the system's files (`GlobalKnownHostsFile`).
    pub fn system_files<I>(mut self, files: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<PathBuf>,
    {
        self.system_files = Some(files.into_iter().map(Into::into).collect());
        self
    }

    /// Refuses hosts that are not known (`StrictHostKeyChecking yes`).
    pub fn strict(mut self) -> Self {
        self.unknown_hosts = UnknownHosts::Refuse;
        self
    }

    /// Writes down hosts that are not known, and trusts them from then on (`StrictHostKeyChecking
    /// accept-new`).
    ///
    /// Where the line cannot be written the host is refused.
    pub fn accept_new(mut self) -> Self {
        self.unknown_hosts = UnknownHosts::Record;
        self
    }

    /// Whether hosts that are written down are hashed (`HashKnownHosts`).
    pub fn hash_new(mut self, hashing: HostHashing) -> Self {
        self.hashing = hashing;
        self
    }

    /// Looks every host up by this name and no port (`HostKeyAlias`): for one host behind several names, or
    /// several behind one address.
    pub fn host_key_alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Reads this list of keys and certificates that are never accepted (`RevokedHostKeys`); may be repeated. It is one
    /// that `ssh-keygen -k` makes, or one public key for each line.
    ///
    /// A list that is not there, cannot be read or is damaged refuses every host.
    pub fn revoked_keys(mut self, list: impl Into<PathBuf>) -> Self {
        self.revoked_files.push(list.into());
        self
    }

    /// Asks this program too (`KnownHostsCommand`).
    pub fn command(mut self, command: KnownHostsCommand) -> Self {
        self.command = Some(command);
        self
    }

    /// What is asked of keys and certificates beyond being known (`CASignatureAlgorithms`, `RequiredRSASize`).
    ///
    /// ```
    /// use rustle_session::{KnownHosts, TrustRules};
    ///
    /// let trust = KnownHosts::new().rules(TrustRules::new().required_rsa_bits(3072));
    /// ```
    pub fn rules(mut self, rules: TrustRules) -> Self {
        self.rules = rules;
        self
    }

    /// Checks the host's address as well (`CheckHostIP yes`): one that is known by another key refuses the host, one
    /// that is new is written down beside it. Addresses of this machine are not looked at, nor those of hosts with a
    /// certificate, nor is anything where the connection has no address.
    pub fn check_addresses(mut self) -> Self {
        self.addresses = Addresses::Checked;
        self
    }

    /// Looks the host's key up in DNS (`VerifyHostKeyDNS ask`) and tells what is found there: in
    /// [`HostKeyOffer::dns`] where a person is asked, else in the log. It never makes a host trusted; what does is
    /// [`trust_dns`](Self::trust_dns).
    pub fn look_up_in_dns(mut self, resolver: DnsResolver) -> Self {
        self.dns = Some(resolver.without_trust());
        self
    }

    /// Looks the host's key up in DNS (`VerifyHostKeyDNS yes`) and takes a record for trust, where a server that
    /// `resolv.conf` calls `trust-ad` has verified its signature. Anything less, an error most of all, is as
    /// [`look_up_in_dns`](Self::look_up_in_dns).
    pub fn trust_dns(mut self, resolver: DnsResolver) -> Self {
        self.dns = Some(resolver);
        self
    }

    /// Follows what a known host announces of its keys after authentication (`UpdateHostKeys yes`): new ones are
    /// written down once the host has proved that it has them, and those it no longer has go.
    ///
    /// New lines go to the first of the user's files that is there. Lines that a person wrote, by markers, wildcards or
    /// lists of names, keep a host's lines as they are, and so do a key that stands under another name too and more keys
    /// than [`HostKeysUpdate::MOST_KEYS`](rustle_trust::HostKeysUpdate::MOST_KEYS). A host that showed a certificate, or is
    /// not known by a line in the user's files, changes nothing.
    pub fn update_host_keys(mut self) -> Self {
        self.updates = Updates::Followed;
        self
    }

    pub(super) fn user_file_paths(&self) -> Result<Vec<PathBuf>> {
        match &self.user_files {
            Some(files) => Ok(files.clone()),
            None => usual::user_files(std::env::home_dir()),
        }
    }

    pub(super) fn system_file_paths(&self) -> Vec<PathBuf> {
        self.system_files.clone().unwrap_or_else(|| {
            let directory = usual::system_directory();
            vec![directory.join("ssh_known_hosts"), directory.join("ssh_known_hosts2")]
        })
    }

    /// The name and port to look up: an alias stands for both.
    pub(super) fn lookup(&self, host: &str, port: u16) -> Result<(HostName, u16)> {
        let (name, port) = match &self.alias {
            Some(alias) => (alias.as_str(), 22),
            None => (host, port),
        };
        match HostName::new(name) {
            Ok(name) => Ok((name, port)),
            Err(cause) => Err(Error::new(
                ErrorKind::HostKeyRejected,
                "check host key",
                "known_hosts cannot hold a host of this name, so its key cannot be checked",
            )
            .with_hint("give the host a name for look-ups with `-o HostKeyAlias=…`")
            .with_source(cause)),
        }
    }

    pub(crate) fn has_alias(&self) -> bool {
        self.alias.is_some()
    }
}

impl HostTrust for KnownHosts {
    fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>> {
        Box::pin(self.orders(host, port))
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.judge(offer))
    }

    fn announced<'a>(&'a self, offer: &'a HostKeyOffer, keys: &'a AnnouncedKeys) -> BoxFuture<'a, ()> {
        Box::pin(self.follow(offer, keys, |change| std::future::ready(Some(change))))
    }
}
