//! SSHFP records by a plain DNS query of our own (`VerifyHostKeyDNS`).
//!
//! Nothing that goes wrong here turns into trust: an error is one, and an answer counts only if it is one to the
//! question, whole, and found to be authentic by a resolver that the system's administrator trusts.

mod exchange;
mod message;
mod resolv_conf;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustle_trust::SshfpRecord;

use self::message::Question;
use crate::error::{Error, ErrorKind, Result};

/// What resolvers are asked at the most, whatever the configuration says.
const LONGEST: Duration = Duration::from_secs(30);

/// The C library reads lines of some hundred bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Which DNS servers to ask, and whether to believe them.
///
/// ```
/// use rustle_session::DnsResolver;
///
/// let resolver = DnsResolver::from_resolv_conf("nameserver 127.0.0.53\noptions trust-ad timeout:2\n");
/// assert_eq!(resolver.nameservers()[0].to_string(), "127.0.0.53:53");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsResolver {
    nameservers: Vec<SocketAddr>,
    timeout: Duration,
    attempts: u32,
    /// Whether the network up to the server is one on which nobody forges its word.
    trusts_ad: bool,
}

/// The SSHFP records of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshfpAnswer {
    pub(crate) records: Vec<SshfpRecord>,
    /// The server has verified their signatures, and is believed.
    pub(crate) is_secure: bool,
}

impl DnsResolver {
    /// The system's: `/etc/resolv.conf`, or the server of this machine where there is no such file.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where the file cannot be read, and on Windows, which has none.
    pub fn system() -> Result<Self> {
        if cfg!(windows) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "read DNS settings",
                "Windows has no resolv.conf to say which DNS servers to ask and whether to believe them",
            )
            .with_hint("set `VerifyHostKeyDNS no`"));
        }
        Self::from_file(Path::new("/etc/resolv.conf"))
    }

    /// As a file in the format of `resolv.conf(5)` says.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be read.
    pub fn from_file(path: &Path) -> Result<Self> {
        match read(path) {
            Ok(text) => Ok(Self::from_resolv_conf(&String::from_utf8_lossy(&text))),
            Err(cause) => Err(Error::new(
                ErrorKind::Configuration,
                "read DNS settings",
                format!("{} cannot be read, so no DNS server is known", path.display()),
            )
            .with_source(cause)),
        }
    }

    /// As this text in the format of `resolv.conf(5)` says: `nameserver` (the first three), and of `options`
    /// `timeout`, `attempts` and `trust-ad`. Where no line names a server it is 127.0.0.1. Where lines do and none of
    /// them is understood, no server is asked: another than the administrator named would be believed. Nothing is
    /// searched.
    #[must_use]
    pub fn from_resolv_conf(text: &str) -> Self {
        resolv_conf::parse(text)
    }

    /// Asks this server and no other, where it is not at DNS's own port.
    #[must_use]
    pub fn with_nameserver(mut self, nameserver: SocketAddr) -> Self {
        self.nameservers = vec![nameserver];
        self
    }

    /// The same servers, whose word counts for nothing.
    pub(crate) fn without_trust(mut self) -> Self {
        self.trusts_ad = false;
        self
    }

    /// The servers, in the order in which they are asked.
    #[must_use]
    pub fn nameservers(&self) -> &[SocketAddr] {
        &self.nameservers
    }

    /// Asks for the SSHFP records of a host. No record at all is an answer too.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left of the question.
    pub(crate) async fn sshfp(&self, host: &str) -> Result<SshfpAnswer> {
        let question =
            Question::sshfp(host).ok_or_else(|| failed(host, "its name is none that DNS could have"))?;
        let asked = exchange::ask(self, &question);
        match tokio::time::timeout(LONGEST, asked).await {
            Ok(Ok(answer)) => {
                Ok(SshfpAnswer { records: answer.records, is_secure: answer.is_authentic && self.trusts_ad })
            }
            Ok(Err(why)) => Err(failed(host, &why)),
            Err(_) => Err(failed(host, &format!("no server answered within {} s", LONGEST.as_secs()))),
        }
    }
}

/// The file's bytes; one that is not there has none.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match super::store::read_present(path, LONGEST_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn failed(host: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::HostUnreachable,
        "look up host key",
        format!("the SSHFP records of {} are not to be had: {why}", host.escape_debug()),
    )
}

/// For [`crate::fuzzing`]: how many records a message has as the answer to a question.
#[cfg(feature = "fuzzing")]
pub(crate) fn records_in(message: &[u8]) -> Option<usize> {
    match Question::sshfp("web-1.example.com")?.read(7, message) {
        message::Reply::Answer(answer) => Some(answer.records.len()),
        _ => None,
    }
}
