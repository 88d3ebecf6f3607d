//! Lists of revoked keys (`RevokedHostKeys`): OpenSSH's binary form, or one key for each line.

mod krl;

use std::{fmt, sync::Arc};

use crate::{
    certificate::HostCertificate,
    error::{Error, ErrorKind},
    fingerprint::Fingerprint,
    key::{PublicKey, split_fields},
    known_hosts::PresentedKey,
    revocation::krl::Krl,
};

/// The keys and certificates that a list revokes.
///
/// A list whose every byte is not understood is an error: what was passed over might have been the key in question.
///
/// ```
/// use rustle_trust::{PresentedKey, PublicKey, RevokedKeys};
///
/// let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
/// let list = RevokedKeys::parse("/etc/ssh/revoked", format!("# stolen\n{key}\n").as_bytes())?;
/// let revocation = list.revokes(&PresentedKey::Key(PublicKey::from_openssh(key)?)).unwrap();
/// assert!(revocation.to_string().ends_with("is revoked by /etc/ssh/revoked:2"), "{revocation}");
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RevokedKeys {
    file: Arc<str>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// The number of each line with its key.
    Lines(Vec<(usize, PublicKey)>),
    Binary(Box<Krl>),
}

impl RevokedKeys {
    /// The largest list that is read, in bytes. Read no more than one byte past it.
    pub const MAX_FILE: usize = 64 * 1024 * 1024;

    /// Reads the bytes of a list. `file` is its name for messages.
    ///
    /// A list that begins with `SSHKRL` and a newline is read as OpenSSH's PROTOCOL.krl has it, and any other as lines
    /// of keys or certificates, each of which revokes its key. Lines that are empty or begin with `#` say nothing, and
    /// so do RSA keys of a size that is never accepted.
    ///
    /// # Errors
    /// [`ErrorKind::RevocationList`] for a list that is too large, damaged, cut short, or asks for what is not known
    /// here.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > Self::MAX_FILE {
            return Err(unusable(file, &format!("it is larger than {} MiB", Self::MAX_FILE / (1024 * 1024))));
        }
        let content = if bytes.starts_with(krl::MAGIC) {
            Content::Binary(Box::new(Krl::parse(bytes).map_err(|why| unusable(file, &why))?))
        } else {
            Content::Lines(lines(file, bytes)?)
        };
        Ok(Self { file: file.into(), content })
    }

    /// Why the list forbids what was presented; `None` where it says nothing of it.
    ///
    /// Of a certificate, the key within it and its authority's key are looked up too.
    #[must_use]
    pub fn revokes(&self, presented: &PresentedKey) -> Option<Revocation> {
        let (line, what) = match &self.content {
            Content::Lines(lines) => revoked_line(lines, presented)?,
            Content::Binary(krl) => (None, krl.revokes(presented)?),
        };
        let key = match (&what, presented) {
            (RevokedBy::Authority, PresentedKey::Certificate(certificate)) => certificate.authority(),
            _ => presented.key(),
        };
        let (file, fingerprint) = (Arc::clone(&self.file), key.fingerprint_sha256());
        Some(Revocation { file, line, fingerprint, by: what })
    }

    /// The version that the authority gave a binary list; `None` for lines.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.krl().map(|krl| krl.version)
    }

    /// When a binary list was made, in seconds since 1970; `None` for lines.
    #[must_use]
    pub fn generated(&self) -> Option<u64> {
        self.krl().map(|krl| krl.generated)
    }

    /// The comment of a binary list, without what could drive a terminal; `None` for lines.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.krl().map(|krl| krl.comment.as_str())
    }

    fn krl(&self) -> Option<&Krl> {
        match &self.content {
            Content::Lines(_) => None,
            Content::Binary(krl) => Some(krl),
        }
    }
}

/// That a key or certificate is revoked. Its `Display` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    file: Arc<str>,
    line: Option<usize>,
    fingerprint: Fingerprint,
    by: RevokedBy,
}

/// By what a list revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokedBy {
    /// The key itself, or its fingerprint.
    Key,
    /// The key of the authority that signed the certificate.
    Authority,
    /// The certificate's serial number.
    Serial(u64),
    /// The certificate's key id, shown without what could drive a terminal.
    KeyId(String),
}

impl Revocation {
    /// The list's name, as it was given to [`RevokedKeys::parse`].
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The fingerprint of the key, or of the authority's where that is revoked.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// By what it is revoked.
    #[must_use]
    pub fn by(&self) -> &RevokedBy {
        &self.by
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, fingerprint, .. } = self;
        match &self.by {
            RevokedBy::Key => write!(f, "the host key {fingerprint} is revoked by {file}")?,
            RevokedBy::Authority => {
                write!(f, "the authority {fingerprint} of the host certificate is revoked by {file}")?;
            }
            RevokedBy::Serial(serial) => {
                write!(f, "the host certificate with the serial number {serial} is revoked by {file}")?;
            }
            RevokedBy::KeyId(id) => {
                write!(f, "the host certificate with the key id `{id}` is revoked by {file}")?;
            }
        }
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

fn lines(file: &str, bytes: &[u8]) -> Result<Vec<(usize, PublicKey)>, Error> {
    let mut keys = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        let text = start.and_then(|start| line.get(start..)).unwrap_or_default();
        if matches!(text, [] | [b'#', ..] | [b'\r']) {
            continue;
        }
        match plain_key(text) {
            Ok(key) => keys.push((index + 1, key)),
            // Nobody can present it: it is refused before any list is asked.
            Err(error) if error.kind() == ErrorKind::KeySize => {}
            Err(error) => return Err(unusable(&format!("{file}:{}", index + 1), &error.to_string())),
        }
    }
    Ok(keys)
}

/// The key of a line, or the one that its certificate certifies.
fn plain_key(text: &[u8]) -> Result<PublicKey, Error> {
    PublicKey::from_fields(text).or_else(|error| {
        let certificate = split_fields(text).and_then(|(_, wire)| HostCertificate::from_wire(&wire));
        certificate.map(|certificate| certificate.key().clone()).map_err(|_| error)
    })
}

fn revoked_line(
    lines: &[(usize, PublicKey)],
    presented: &PresentedKey,
) -> Option<(Option<usize>, RevokedBy)> {
    let find = |wanted: &PublicKey| lines.iter().find(|(_, key)| key == wanted).map(|(line, _)| Some(*line));
    if let Some(line) = find(presented.key()) {
        return Some((line, RevokedBy::Key));
    }
    match presented {
        PresentedKey::Key(_) => None,
        PresentedKey::Certificate(certificate) => {
            find(certificate.authority()).map(|line| (line, RevokedBy::Authority))
        }
    }
}

fn unusable(file: &str, why: &str) -> Error {
    let file = file.escape_debug();
    Error::new(ErrorKind::RevocationList, format!("cannot use the list of revoked keys in {file}: {why}"))
}
