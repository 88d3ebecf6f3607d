//! Trust by `known_hosts` files, as `ssh` has it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustle_trust::{HostName, Verdict, entry_line};

use super::{HostKeyOffer, HostTrust, store};
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
    unknown_hosts: UnknownHosts,
    hashing: HostHashing,
    alias: Option<String>,
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
enum UnknownHosts {
    #[default]
    Refuse,
    Record,
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

    /// Writes down a host that is not known, whatever the policy: for callers that asked a person.
    ///
    /// The file is locked, read again, and appended to in one write. A host that is known by this key
    /// meanwhile is left as it is.
    ///
    /// # Errors
    /// As [`check`](HostTrust::check) when the host is known by another key, or the key is revoked, or a file
    /// cannot be read; [`ErrorKind::HostKeyRejected`] when the line cannot be written.
    ///
    /// # Cancel safety
    /// Dropped, it has written the whole line or nothing. The server sees nothing of it.
    pub async fn remember(&self, offer: &HostKeyOffer) -> Result<()> {
        let user_files = self.user_file_paths()?;
        let Some(file) = user_files.first() else {
            return Err(Error::new(
                ErrorKind::HostKeyRejected,
                "record host key",
                "the host is new, and no file is set in which to record its key",
            )
            .at(offer.target())
            .with_hint("name one with `-o UserKnownHostsFile=…`"));
        };
        let salt = match self.hashing {
            HostHashing::Plain => None,
            HostHashing::Hashed => Some(fresh_salt()?),
        };
        let hashing =
            salt.map_or(rustle_trust::HostHashing::Plain, |salt| rustle_trust::HostHashing::Hashed { salt });
        let append = store::append(file, || match self.verdict(offer)? {
            Verdict::Trusted { .. } => Ok(None),
            Verdict::Unknown { offered, unreadable } if unreadable.is_empty() => {
                let (name, port) = self.lookup(offer.host(), offer.port())?;
                Ok(Some(entry_line(&name, port, &offered, hashing)))
            }
            refused => Err(self.refusal(offer, &refused)),
        });
        append.await.map_err(|error| error.at(offer.target()))?;
        tracing::info!(
            host = offer.host(),
            port = offer.port(),
            fingerprint = offer.fingerprint(),
            file = %file.display(),
            "new host key recorded"
        );
        Ok(())
    }

    async fn judge(&self, offer: &HostKeyOffer) -> Result<()> {
        match self.verdict(offer).map_err(|error| error.at(offer.target()))? {
            Verdict::Trusted { .. } => Ok(()),
            // A line that names the host with a key that cannot be read may hold another key: no new host.
            Verdict::Unknown { unreadable, .. }
                if self.unknown_hosts == UnknownHosts::Record && unreadable.is_empty() =>
            {
                self.remember(offer).await
            }
            refused => Err(self.refusal(offer, &refused)),
        }
    }

    fn verdict(&self, offer: &HostKeyOffer) -> Result<Verdict> {
        let (name, port) = self.lookup(offer.host(), offer.port())?;
        Ok(self.read()?.verdict(&name, port, offer.presented(), unix_seconds(SystemTime::now())))
    }

    fn read(&self) -> Result<rustle_trust::KnownHosts> {
        let mut known = rustle_trust::KnownHosts::default();
        for path in self.user_file_paths()?.iter().chain(&self.system_file_paths()) {
            let file = rustle_trust::KnownHosts::parse(&path.to_string_lossy(), &store::read(path)?)
                .map_err(|cause| unusable(path, cause))?;
            for problem in file.problems() {
                tracing::debug!(%problem, "known_hosts line ignored");
            }
            known.append(file);
        }
        Ok(known)
    }

    fn user_file_paths(&self) -> Result<Vec<PathBuf>> {
        match &self.user_files {
            Some(files) => Ok(files.clone()),
            None => default_user_files(std::env::home_dir()),
        }
    }

    fn system_file_paths(&self) -> Vec<PathBuf> {
        self.system_files.clone().unwrap_or_else(|| {
            let directory = system_directory();
            vec![directory.join("ssh_known_hosts"), directory.join("ssh_known_hosts2")]
        })
    }

    /// The name and port to look up: an alias stands for both.
    fn lookup(&self, host: &str, port: u16) -> Result<(HostName, u16)> {
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

    fn refusal(&self, offer: &HostKeyOffer, verdict: &Verdict) -> Error {
        let (kind, hint) = match verdict {
            Verdict::Unknown { unreadable, .. } if !unreadable.is_empty() => {
                let places: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
                (
                    ErrorKind::HostKeyUnknown,
                    format!("repair or remove {}, then connect again", places.join(", ")),
                )
            }
            Verdict::Unknown { .. } => (ErrorKind::HostKeyUnknown, self.how_to_add(offer)),
            Verdict::Changed { known, .. } => {
                let mut commands: Vec<String> = Vec::new();
                for known in known {
                    let command = self.removal(offer, known.place().file());
                    if !commands.contains(&command) {
                        commands.push(command);
                    }
                }
                let commands = commands.join("` and `");
                (
                    ErrorKind::HostKeyChanged,
                    format!(
                        "somebody may be intercepting the connection. If the host has new keys for a good \
                         reason, compare the fingerprint with {}, then remove the old ones with `{commands}`",
                        where_to_compare(offer)
                    ),
                )
            }
            Verdict::Revoked { place, .. } => (
                ErrorKind::HostKeyRevoked,
                format!(
                    "do not log in: whoever has this key can pose as the host. It needs new keys; the mark \
                    is in {place}"
                ),
            ),
            Verdict::CertificateRejected { place, .. } => (
                ErrorKind::HostKeyRejected,
                format!(
                    "have the host's certificate renewed by the authority that {place} names, with this \
                    host's name in it"
                ),
            ),
            // Verdicts may grow; whatever is not trust is none.
            _ => (ErrorKind::HostKeyRejected, "check the host's lines in known_hosts".to_owned()),
        };
        Error::new(kind, "check host key", verdict.to_string()).at(offer.target()).with_hint(hint)
    }

    fn how_to_add(&self, offer: &HostKeyOffer) -> String {
        let compare = where_to_compare(offer);
        let files = self.user_file_paths().unwrap_or_default();
        let file = files.into_iter().find(|file| !store::is_null_device(file));
        match (file, self.lookup(offer.host(), offer.port())) {
            (Some(file), Ok((name, port))) => {
                let line = entry_line(&name, port, offer.presented().key(), rustle_trust::HostHashing::Plain);
                format!(
                    "compare the fingerprint with {compare}; where it is the same, connect once with \
                     `-o StrictHostKeyChecking=accept-new`, or add to {} the line `{}`",
                    file.display(),
                    line.trim_end()
                )
            }
            _ => format!("compare the fingerprint with {compare}, and add the key to a known_hosts file"),
        }
    }

    fn removal(&self, offer: &HostKeyOffer, file: &str) -> String {
        let name = match self.lookup(offer.host(), offer.port()) {
            Ok((name, 22)) => name.to_string(),
            Ok((name, port)) => format!("[{name}]:{port}"),
            Err(_) => offer.host().to_owned(),
        };
        format!("ssh-keygen -f \"{file}\" -R \"{name}\"")
    }
}

impl HostTrust for KnownHosts {
    fn known_algorithms(&self, host: &str, port: u16) -> Vec<String> {
        // What cannot be read here cannot be read by `check` either, which says so.
        let known =
            self.lookup(host, port).and_then(|(name, port)| Ok(self.read()?.known_algorithms(&name, port)));
        known.unwrap_or_default().into_iter().map(str::to_owned).collect()
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.judge(offer))
    }
}

fn where_to_compare(offer: &HostKeyOffer) -> String {
    let file = match offer.algorithm() {
        "ssh-ed25519" => "ssh_host_ed25519_key.pub",
        "ssh-rsa" => "ssh_host_rsa_key.pub",
        name if name.starts_with("ecdsa-") => "ssh_host_ecdsa_key.pub",
        _ => "ssh_host_*_key.pub",
    };
    format!("the host's own (`ssh-keygen -lf /etc/ssh/{file}` there)")
}

fn default_user_files(home: Option<PathBuf>) -> Result<Vec<PathBuf>> {
    match home.filter(|home| home.is_absolute()) {
        Some(home) => Ok(vec![home.join(".ssh").join("known_hosts"), home.join(".ssh").join("known_hosts2")]),
        None => Err(Error::new(
            ErrorKind::HostKeyRejected,
            "check host key",
            "this user has no home directory, so there is no known_hosts to check the host key against",
        )
        .with_hint(
            "set HOME (USERPROFILE on Windows) to an absolute path, or name a file with \
             `-o UserKnownHostsFile=…`",
        )),
    }
}

#[cfg(not(windows))]
fn system_directory() -> PathBuf {
    PathBuf::from("/etc/ssh")
}

#[cfg(windows)]
fn system_directory() -> PathBuf {
    let data =
        std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from);
    data.join("ssh")
}

fn unusable(path: &Path, cause: rustle_trust::Error) -> Error {
    Error::new(
        ErrorKind::HostKeyRejected,
        "check host key",
        format!("the known hosts in {} cannot be used, so no host key can be checked", path.display()),
    )
    .with_hint("repair the file, or name another with `-o UserKnownHostsFile=…`")
    .with_source(cause)
}

/// A clock before 1970 makes every certificate not yet valid, which refuses it.
fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn fresh_salt() -> Result<[u8; 20]> {
    let mut salt = [0; 20];
    getrandom::fill(&mut salt).map_err(|cause| {
        Error::new(
            ErrorKind::Io,
            "record host key",
            "the system gives no random bytes to hash the host's name with",
        )
        .with_source(cause.to_string())
    })?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_home_nothing_is_known_and_that_is_an_error() {
        for home in [None, Some(PathBuf::new()), Some(PathBuf::from("relative"))] {
            let error = default_user_files(home).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
            assert!(error.hint().unwrap().contains("HOME"));
        }
        let root = if cfg!(windows) { r"C:\me" } else { "/home/me" };
        let files = default_user_files(Some(root.into())).unwrap();
        assert_eq!(files[0], Path::new(root).join(".ssh").join("known_hosts"));
    }

    #[test]
    fn a_clock_before_1970_is_the_beginning() {
        assert_eq!(unix_seconds(UNIX_EPOCH - std::time::Duration::from_secs(1)), 0);
        assert_eq!(unix_seconds(UNIX_EPOCH + std::time::Duration::from_secs(7)), 7);
    }
}
