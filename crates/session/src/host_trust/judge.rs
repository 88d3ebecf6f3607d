//! What the files, the lists, the command and DNS say of a host key together.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustle_trust::{
    HostName, PresentedKey, PublicKey, RevokedKeys, SshfpMatch, SshfpRecord, Verdict, entry_line, entry_lines,
};

use super::command::Invocation;
use super::known_hosts::{Addresses, UnknownHosts};
use super::offer::DnsFinding;
use super::store::Outcome;
use super::{HostHashing, HostKeyOffer, KnownHosts, refusal, store};
use crate::error::{Error, ErrorKind, Result};

/// What stands for a file where a line is from the command.
pub(super) const COMMAND: &str = "KnownHostsCommand";

/// Where hosts are known without a port.
const SSH_PORT: u16 = 22;

/// What is known of a host that is not refused.
#[derive(Debug)]
pub(crate) enum Standing {
    Trusted,
    /// Nothing: a person, or a policy, may decide.
    New(NewHost),
}

/// A host that nothing speaks against, and nothing for.
#[derive(Debug)]
pub(crate) struct NewHost {
    /// What whoever does not decide is told.
    pub(crate) error: Error,
    /// With what helps a person to decide.
    pub(crate) offer: HostKeyOffer,
}

/// What DNS says.
enum InDns {
    Trusted,
    Finding(Option<DnsFinding>),
}

impl KnownHosts {
    /// Writes down a host that is not known, whatever the policy: for callers that asked a person.
    ///
    /// The file is locked, read again, and appended to in one write. A host that is known by this key
    /// meanwhile is left as it is.
    ///
    /// # Errors
    /// As [`check`](super::HostTrust::check) when the host is known by another key, or the key is revoked, or a file
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
        self.refuse_unacceptable(offer)?;
        let printed = self.printed_about_host(offer).await?;
        let append = store::append(file, || {
            let mut known = self.read()?;
            known.append(printed);
            match self.verdict(&known, offer)? {
                Verdict::Trusted { .. } => Ok(None),
                verdict if is_new(&verdict) => {
                    let (name, port) = self.lookup(offer.host(), offer.port())?;
                    let key = offer.presented().key();
                    match self.address_to_check(offer) {
                        // The address is known by its own port, also where an alias stands for host and port.
                        Some(address) if is_new(&plain_verdict(&known, &address, offer)) => {
                            let address = (&address, offer.port());
                            entry_lines((&name, port), address, key, || self.hashing.fresh()).map(Some)
                        }
                        _ => Ok(Some(entry_line(&name, port, key, self.hashing.fresh()?))),
                    }
                }
                refused => Err(self.refusal(offer, &refused)),
            }
        });
        if append.await.map_err(|error| error.at(offer.target()))? == Outcome::Written {
            tracing::info!(
                host = offer.host(),
                port = offer.port(),
                fingerprint = offer.fingerprint(),
                file = %file.display(),
                "new host key recorded"
            );
        }
        Ok(())
    }

    /// What is known of the host, without a decision about new ones.
    ///
    /// # Cancel safety
    /// Dropped, a command that was asked is killed, and a line is written whole or not at all.
    pub(crate) async fn examine(&self, offer: &HostKeyOffer) -> Result<Standing> {
        let examined = async {
            self.refuse_unacceptable(offer)?;
            let finding = match self.ask_dns(offer).await {
                InDns::Trusted => return Ok(Standing::Trusted),
                InDns::Finding(finding) => finding,
            };
            let mut known = self.read_whole_lines().await?;
            known.append(self.printed_about_host(offer).await?);
            tell_problems(&known);
            match self.verdict(&known, offer)? {
                Verdict::Trusted { .. } => {
                    self.check_address(&known, offer, UnknownHosts::Record).await?;
                    Ok(Standing::Trusted)
                }
                verdict if is_new(&verdict) => {
                    self.check_address(&known, offer, UnknownHosts::Refuse).await?;
                    let (name, port) = self.lookup(offer.host(), offer.port())?;
                    let others = known.other_names(&name, port, offer.presented().key());
                    let others = others.iter().map(ToString::to_string).collect();
                    let error = self.refusal(offer, &verdict);
                    Ok(Standing::New(NewHost { error, offer: offer.clone().found(others, finding) }))
                }
                refused => Err(self.refusal(offer, &refused)),
            }
        };
        examined.await.map_err(|error: Error| error.at(offer.target()))
    }

    /// Refuses a key that is shorter than required, a key or certificate that a list revokes, and every one where a list
    /// cannot be had: whoever vouches for the host otherwise.
    pub(crate) fn refuse_unacceptable(&self, offer: &HostKeyOffer) -> Result<()> {
        if !self.rules.takes_key(offer.presented().key()) {
            let nothing = rustle_trust::KnownHosts::default().with_rules(self.rules.clone());
            let too_short = self.verdict(&nothing, offer)?;
            return Err(self.refusal(offer, &too_short).at(offer.target()));
        }
        for path in &self.revoked_files {
            let unusable = |error: Error| {
                error.at(offer.target()).with_hint(
                    "make it a list that this user can read, as `ssh-keygen -k` writes it or with a public key in each \
                     line, or set `RevokedHostKeys none`",
                )
            };
            let bytes = store::read_present(path, RevokedKeys::MAX_FILE as u64).map_err(|cause| {
                let message = format!(
                    "the list of revoked keys {} cannot be read, so no host key can be checked",
                    path.display()
                );
                unusable(Error::new(ErrorKind::HostKeyRejected, "check host key", message).with_source(cause))
            })?;
            let list = RevokedKeys::parse(&path.to_string_lossy(), &bytes).map_err(|cause| {
                let message = "a list of revoked keys is no good, so no host key can be checked";
                unusable(Error::new(ErrorKind::HostKeyRejected, "check host key", message).with_source(cause))
            })?;
            if let Some(revocation) = list.revokes(offer.presented()) {
                return Err(refusal::revoked(offer, &revocation));
            }
        }
        Ok(())
    }

    pub(super) async fn judge(&self, offer: &HostKeyOffer) -> Result<()> {
        match self.examine(offer).await? {
            Standing::Trusted => Ok(()),
            Standing::New(_) if self.unknown_hosts == UnknownHosts::Record => self.remember(offer).await,
            Standing::New(new) => Err(new.error),
        }
    }

    /// The algorithms of the keys that are known, for the proposal.
    pub(super) async fn orders(&self, host: &str, port: u16) -> Vec<String> {
        // What cannot be read here cannot be read by `check` either, which says so; a command that failed has no say in
        // the order, and is run again for `check`.
        let known = async {
            let (name, port) = self.lookup(host, port)?;
            let mut known = self.read_whole_lines().await?;
            if let Some(command) = &self.command {
                known.append(printed(&command.run(&name.at(port), Invocation::Order).await?)?);
            }
            Ok::<_, Error>(known.known_algorithms(&name, port))
        };
        known.await.unwrap_or_default().into_iter().map(str::to_owned).collect()
    }

    /// The user's files and no others, for whoever holds the lock of the one that is written to.
    pub(super) fn read_user_files(&self) -> Result<rustle_trust::KnownHosts> {
        let mut known = rustle_trust::KnownHosts::default();
        for path in self.user_file_paths()? {
            known.append(parsed(&path, &store::read(&path)?)?);
        }
        Ok(known)
    }

    /// All files, for whoever holds the lock of the one that is written to.
    fn read(&self) -> Result<rustle_trust::KnownHosts> {
        let mut known = self.read_user_files()?.with_rules(self.rules.clone());
        for path in self.system_file_paths() {
            known.append(parsed(&path, &store::read(&path)?)?);
        }
        Ok(known)
    }

    /// The user's files and no others, where nobody holds a lock.
    pub(super) async fn read_whole_lines_of_user_files(&self) -> Result<rustle_trust::KnownHosts> {
        let mut known = rustle_trust::KnownHosts::default();
        for path in self.user_file_paths()? {
            known.append(parsed(&path, &store::read_whole_lines(&path).await?)?);
        }
        Ok(known)
    }

    /// All files, where nobody holds a lock.
    async fn read_whole_lines(&self) -> Result<rustle_trust::KnownHosts> {
        let mut known = self.read_whole_lines_of_user_files().await?.with_rules(self.rules.clone());
        for path in self.system_file_paths() {
            known.append(parsed(&path, &store::read_at_once(&path).await?)?);
        }
        Ok(known)
    }

    fn verdict(&self, known: &rustle_trust::KnownHosts, offer: &HostKeyOffer) -> Result<Verdict> {
        let (name, port) = self.lookup(offer.host(), offer.port())?;
        Ok(known.verdict(&name, port, offer.presented(), unix_seconds(SystemTime::now())))
    }

    /// What the command says of the host that showed this key.
    async fn printed_about_host(&self, offer: &HostKeyOffer) -> Result<rustle_trust::KnownHosts> {
        let Some(command) = &self.command else { return Ok(rustle_trust::KnownHosts::default()) };
        let (name, port) = self.lookup(offer.host(), offer.port())?;
        printed(&command.run(&name.at(port), Invocation::HostName(offer)).await?)
    }

    /// Refuses a host whose address is known by another key. A new address is written down where `new` says so.
    async fn check_address(
        &self,
        known: &rustle_trust::KnownHosts,
        offer: &HostKeyOffer,
        new: UnknownHosts,
    ) -> Result<()> {
        let Some(address) = self.address_to_check(offer) else { return Ok(()) };
        let verdict = match &self.command {
            Some(command) => {
                let output = command.run(&address.at(offer.port()), Invocation::Address(offer)).await?;
                let mut known = known.clone();
                known.append(printed(&output)?);
                plain_verdict(&known, &address, offer)
            }
            None => plain_verdict(known, &address, offer),
        };
        match verdict {
            Verdict::Trusted { .. } => Ok(()),
            verdict if is_new(&verdict) => {
                if new == UnknownHosts::Record {
                    self.remember_address(&address, offer).await;
                }
                Ok(())
            }
            verdict @ (Verdict::Revoked { .. } | Verdict::UnreadableRevocation { .. }) => {
                Err(self.refusal(offer, &verdict))
            }
            refused => Err(Error::new(
                ErrorKind::HostKeyChanged,
                "check host key",
                format!("of the address {address}: {refused}"),
            )
            .with_hint(
                "the address may have been another host's: if so, remove its line with `ssh-keygen -R`, or set \
                 `CheckHostIP no`. If not, somebody may be intercepting the connection",
            )),
        }
    }

    /// The host is trusted already: where its address cannot be written down, that is said and no more.
    async fn remember_address(&self, address: &HostName, offer: &HostKeyOffer) {
        let files = self.user_file_paths().unwrap_or_default();
        let Some(file) = files.first() else { return };
        let appended = async {
            let line = || {
                let is_still_new = is_new(&plain_verdict(&self.read()?, address, offer));
                let line = entry_line(address, offer.port(), offer.presented().key(), self.hashing.fresh()?);
                Ok(is_still_new.then_some(line))
            };
            store::append(file, line).await
        };
        match appended.await {
            Ok(Outcome::AsItWas) => {}
            Ok(Outcome::Written) => {
                tracing::info!(%address, file = %file.display(), "the host's address recorded")
            }
            Err(error) => tracing::warn!(%address, %error, "the host's address is not in known_hosts"),
        }
    }

    /// The address that has to be known, as ssh has it: not this machine's own, not beside a certificate, and not where it
    /// is the name; but for ssh it is none with a port, which tells where the host is looked up by an alias.
    pub(super) fn address_to_check(&self, offer: &HostKeyOffer) -> Option<HostName> {
        let ip = offer.address()?.ip().to_canonical();
        let is_plain = matches!(offer.presented(), PresentedKey::Key(_));
        if self.addresses == Addresses::Unchecked || ip.is_loopback() || !is_plain {
            return None;
        }
        let host = HostName::new(offer.host()).ok();
        let is_known_otherwise = self.has_alias() && offer.port() != SSH_PORT;
        let address = HostName::new(&ip.to_string()).ok()?;
        (is_known_otherwise || host.as_ref() != Some(&address)).then_some(address)
    }

    async fn ask_dns(&self, offer: &HostKeyOffer) -> InDns {
        let Some(resolver) = &self.dns else { return InDns::Finding(None) };
        // An address has no name to look up.
        if offer.host().parse::<std::net::IpAddr>().is_ok() {
            return InDns::Finding(None);
        }
        let answer = match resolver.sshfp(offer.host()).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(host = offer.host(), %error, "the host key is not looked up in DNS");
                return InDns::Finding(Some(DnsFinding::NotMatching));
            }
        };
        match SshfpRecord::compare(&answer.records, offer.presented().key()) {
            SshfpMatch::Match if answer.is_secure => {
                tracing::debug!(host = offer.host(), "the host key stands in DNS, securely");
                InDns::Trusted
            }
            SshfpMatch::Match => InDns::Finding(Some(DnsFinding::Matching)),
            SshfpMatch::Mismatch => {
                tracing::warn!(
                    host = offer.host(),
                    fingerprint = offer.fingerprint(),
                    "DNS has other keys for the host: somebody may be intercepting the connection"
                );
                InDns::Finding(Some(DnsFinding::NotMatching))
            }
            _ => InDns::Finding(Some(DnsFinding::NotMatching)),
        }
    }
}

impl HostHashing {
    /// How the next name is written: each hash has a salt of its own.
    pub(super) fn fresh(self) -> Result<rustle_trust::HostHashing> {
        Ok(match self {
            Self::Hashed => rustle_trust::HostHashing::Hashed { salt: fresh_salt()? },
            Self::Plain => rustle_trust::HostHashing::Plain,
        })
    }
}

/// Whether a policy or a person may take the host in.
fn is_new(verdict: &Verdict) -> bool {
    match verdict {
        // A line that names the host with a key that cannot be read may hold another key: no new host.
        Verdict::Unknown { unreadable, .. } => unreadable.is_empty(),
        Verdict::UnknownAuthority { .. } => true,
        _ => false,
    }
}

/// The verdict on the plain key alone.
fn plain_verdict(known: &rustle_trust::KnownHosts, name: &HostName, offer: &HostKeyOffer) -> Verdict {
    let key: PublicKey = offer.presented().key().clone();
    known.verdict(name, offer.port(), &PresentedKey::Key(key), unix_seconds(SystemTime::now()))
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<rustle_trust::KnownHosts> {
    rustle_trust::KnownHosts::parse(&path.to_string_lossy(), bytes)
        .map_err(|cause| unusable(&path.display().to_string(), cause))
}

/// What a command printed, as a file.
fn printed(output: &[u8]) -> Result<rustle_trust::KnownHosts> {
    rustle_trust::KnownHosts::parse(COMMAND, output).map_err(|cause| unusable(COMMAND, cause))
}

/// A line that was to revoke a key is worth a warning; the others say nothing, as with ssh.
fn tell_problems(known: &rustle_trust::KnownHosts) {
    for problem in known.problems() {
        if problem.kind().may_revoke() {
            tracing::warn!(%problem, "a line of known_hosts that may revoke a key is not understood");
        } else {
            tracing::debug!(%problem, "known_hosts line ignored");
        }
    }
}

fn unusable(file: &str, cause: rustle_trust::Error) -> Error {
    Error::new(
        ErrorKind::HostKeyRejected,
        "check host key",
        format!("the known hosts in {file} cannot be used, so no host key can be checked"),
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
    fn a_clock_before_1970_is_the_beginning() {
        assert_eq!(unix_seconds(UNIX_EPOCH - std::time::Duration::from_secs(1)), 0);
        assert_eq!(unix_seconds(UNIX_EPOCH + std::time::Duration::from_secs(7)), 7);
    }
}
