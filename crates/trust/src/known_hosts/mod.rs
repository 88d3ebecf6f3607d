//! The lines of `known_hosts` files, kept with the places they came from.

mod line;
mod order;
mod others;
mod update;
mod verdict;
mod write;

use std::{fmt, sync::Arc};

pub use self::{
    others::OtherName,
    update::{HostKeysUpdate, UpdateRefusal, UpdateVerdict},
    verdict::{PresentedKey, TrustedBy, Verdict},
    write::{HostHashing, entry_line, entry_lines},
};
use crate::{
    error::{Error, ErrorKind},
    host::HostName,
    key::PublicKey,
    known_hosts::line::{EntryKey, Line},
    pattern::HostPattern,
    rules::TrustRules,
};

/// Problems kept for one file; the rest are only counted.
const MAX_PROBLEMS: usize = 100;

/// The lines of any number of `known_hosts` files, in the order in which ssh would read them.
///
/// One bad line takes nothing from the others: it is skipped, as ssh skips it, and reported by
/// [`problems`](Self::problems).
///
/// ```
/// use rustle_trust::{HostName, KnownHosts};
///
/// let mut known = KnownHosts::parse("/home/deploy/.ssh/known_hosts", b"web-1 ssh-ed25519 damaged\n")?;
/// known.append(KnownHosts::parse("/etc/ssh/ssh_known_hosts", b"# none yet\n")?);
///
/// let shown = known.problems()[0].to_string();
/// assert!(shown.starts_with("/home/deploy/.ssh/known_hosts:1: "), "{shown}");
/// assert!(known.entries(&HostName::new("web-1")?, 22).is_empty());
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    problems_omitted: usize,
    rules: TrustRules,
}

impl KnownHosts {
    /// The largest file that is read, in bytes: some 25,000 lines with RSA keys, more of which would hold a connection up
    /// for longer than a look-up may. Read no more than one byte past it.
    pub const MAX_FILE: usize = 16 * 1024 * 1024;
    /// The most lines of a file.
    pub const MAX_LINES: usize = 1_000_000;
    /// The longest line that is understood, in bytes. A longer one is a [`Problem`].
    pub const MAX_LINE: usize = 128 * 1024;

    /// Reads the bytes of one file. `file` is its name for messages; a file that does not exist has no bytes.
    ///
    /// # Errors
    /// When the file, or a line of it, is past a limit or it is encoded as UTF-16: then nothing is known of what it holds, which must
    /// not be mistaken for a file without the host.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > Self::MAX_FILE {
            return Err(unusable(file, &format!("it is larger than {} MiB", Self::MAX_FILE / (1024 * 1024))));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(unusable(file, "it is encoded as UTF-16; save it as UTF-8"));
        }
        // A mark of byte order is invisible in an editor and would hide the first line's marker or host.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let file: Arc<str> = file.into();
        let mut known = Self::default();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index >= Self::MAX_LINES {
                return Err(unusable(&file, &format!("it has more than {} lines", Self::MAX_LINES)));
            }
            let place = Place { file: Arc::clone(&file), line: index + 1 };
            if line.len() > Self::MAX_LINE {
                // It may hold the host's key, or revoke the one that is shown.
                let message = format!(
                    "cannot use the known hosts in {place}: the line is longer than {} KiB",
                    Self::MAX_LINE / 1024
                );
                return Err(Error::new(ErrorKind::File, message));
            }
            known.read_line(place, line);
        }
        Ok(known)
    }

    /// Adds the lines of another file behind these. The rules stay as they are here.
    pub fn append(&mut self, mut other: Self) {
        self.entries.append(&mut other.entries);
        self.problems.append(&mut other.problems);
        self.problems_omitted += other.problems_omitted;
    }

    /// Asks more, or other things, of keys and certificates than OpenSSH does by default.
    #[must_use]
    pub fn with_rules(mut self, rules: TrustRules) -> Self {
        self.rules = rules;
        self
    }

    /// The lines that could not be used, the first hundred of each file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many further lines could not be used.
    #[must_use]
    pub fn problems_omitted(&self) -> usize {
        self.problems_omitted
    }

    /// What the files say of a host: what `ssh-keygen -F` finds for `host`, or for `[host]:port`.
    #[must_use]
    pub fn entries(&self, host: &HostName, port: u16) -> Vec<KnownKey> {
        let name = host.at_port(port);
        self.matching(&name).into_iter().filter_map(Entry::known_key).collect()
    }

    /// The lines about a name. Each hashed line costs two digests, so a verdict asks once for each name.
    fn matching(&self, name: &str) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.hosts.matches(name)).collect()
    }

    fn read_line(&mut self, place: Place, line: &[u8]) {
        match Line::parse(line) {
            Ok(None) => {}
            Ok(Some(Line { marker, hosts, key })) => {
                let is_damaged = key.is_damaged();
                if let EntryKey::Unreadable(error) = &key {
                    let kind = match marker {
                        Marker::Revoked => ProblemKind::RevokedKey(error.clone()),
                        _ => ProblemKind::Key(error.clone()),
                    };
                    self.report(place.clone(), kind);
                }
                self.entries.push(Entry { place, marker, hosts, key: key.into_key(), is_damaged });
            }
            Err(kind) => self.report(place, kind),
        }
    }

    fn report(&mut self, place: Place, kind: ProblemKind) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { place, kind });
        } else {
            self.problems_omitted += 1;
        }
    }
}

/// One line of a file.
#[derive(Clone, Debug)]
struct Entry {
    place: Place,
    marker: Marker,
    hosts: HostPattern,
    /// `None` where the line names hosts but its key cannot be read.
    key: Option<PublicKey>,
    /// Whether the key that cannot be read might be one that a host can show.
    is_damaged: bool,
}

impl Entry {
    fn known_key(&self) -> Option<KnownKey> {
        let key = self.key.clone()?;
        Some(KnownKey { place: self.place.clone(), marker: self.marker, key })
    }
}

/// A line of a file, by number from 1. Its `Display` is `file:line`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    file: Arc<str>,
    line: usize,
}

impl Place {
    /// The file's name, as it was given to [`KnownHosts::parse`].
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line's number, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A key that a file holds for a host. Its `Display` is the key's type and fingerprint, and the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    place: Place,
    marker: Marker,
    key: PublicKey,
}

impl KnownKey {
    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What the line says of it.
    #[must_use]
    pub fn marker(&self) -> Marker {
        self.marker
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for KnownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.key, self.place)
    }
}

/// What a line says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Marker {
    /// No marker: it is the key of the host.
    HostKey,
    /// `@cert-authority`: it may sign certificates of the host.
    CertAuthority,
    /// `@revoked`: it must never be accepted.
    Revoked,
}

/// A line that was skipped, or that revokes nobody knows what. Its `Display` names file, line and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    kind: ProblemKind,
}

impl Problem {
    /// Where the line stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong with it.
    #[must_use]
    pub fn kind(&self) -> &ProblemKind {
        &self.kind
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.kind {
            ProblemKind::RevokedKey(_) => "it is to be repaired or removed",
            _ => "the line is ignored",
        };
        write!(f, "{}: {}; {end}", self.place, self.kind)
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// It begins with a word in `@` that is not known, or has more than one marker.
    #[error("`{0}` is not a marker: one of `@cert-authority` and `@revoked` may stand first")]
    Marker(String),
    /// It ends before the key.
    #[error("no key follows the host names")]
    NoKey,
    /// A hashed host name is not `|1|salt|hash`.
    #[error("its hashed host name is damaged")]
    HashedName,
    /// A host pattern is longer than OpenSSH reads.
    #[error("one of its host patterns is too long")]
    PatternTooLong,
    /// The key cannot be read, or is of a type that is not supported.
    #[error("{0}")]
    Key(Error),
    /// The same of a key that the line revokes. The hosts of the line are refused by
    /// [`Verdict::UnreadableRevocation`], but for a type that nobody could present.
    #[error("what it revokes cannot be read: {0}")]
    RevokedKey(Error),
}

impl ProblemKind {
    /// Whether the line may have been meant to revoke a key: whoever reads the file should hear of it.
    #[must_use]
    pub fn may_revoke(&self) -> bool {
        matches!(self, Self::Marker(_) | Self::RevokedKey(_))
    }
}

fn unusable(file: &str, why: &str) -> Error {
    Error::new(ErrorKind::File, format!("cannot use the known hosts in {file}: {why}"))
}
