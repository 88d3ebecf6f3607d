//! What a refused host is told as: the kind, the sentence, and what to do next.

use rustle_trust::{CertificateProblem, Revocation, Verdict, entry_line};

use super::judge::COMMAND;
use super::{HostKeyOffer, KnownHosts, store};
use crate::error::{Error, ErrorKind};
use crate::quote::{Shell, quote};

impl KnownHosts {
    pub(super) fn refusal(&self, offer: &HostKeyOffer, verdict: &Verdict) -> Error {
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
                let mut steps: Vec<String> = Vec::new();
                for known in known {
                    let step = match known.place().file() {
                        COMMAND => "have KnownHostsCommand print the new one".to_owned(),
                        file => format!("remove the old one with `{}`", self.removal(offer, file)),
                    };
                    if !steps.contains(&step) {
                        steps.push(step);
                    }
                }
                (
                    ErrorKind::HostKeyChanged,
                    format!(
                        "somebody may be intercepting the connection. If the host has new keys for a good \
                         reason, compare the fingerprint with {}, then {}",
                        where_to_compare(offer),
                        steps.join(", and ")
                    ),
                )
            }
            Verdict::UnreadableRevocation { place } => (
                ErrorKind::HostKeyRejected,
                format!("repair or remove {place}; whoever wrote it knows which key must not be accepted"),
            ),
            Verdict::Revoked { place, .. } => (
                ErrorKind::HostKeyRevoked,
                format!(
                    "do not log in: whoever has this key can pose as the host. It needs new keys; the mark \
                    is in {place}"
                ),
            ),
            Verdict::UnknownAuthority { authority, .. } => (
                ErrorKind::HostAuthorityUnknown,
                format!(
                    "if {authority} is an authority of this host, add its key to known_hosts in a line that begins with \
                     `@cert-authority`"
                ),
            ),
            Verdict::TooShort { .. } => (
                ErrorKind::HostKeyRejected,
                "the host needs a longer key, or one of another type; `RequiredRSASize` sets what is asked"
                    .to_owned(),
            ),
            Verdict::CertificateRejected { place, reason, .. } => (
                kind_of(reason),
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
        format!("ssh-keygen -f {} -R {}", quoted(file), quoted(&name))
    }
}

/// As a word for the shell into which somebody may paste it.
fn quoted(word: &str) -> String {
    let word_of_shell = match cfg!(windows) {
        // cmd.exe and PowerShell agree on no more, and a file's name has none of what would end it.
        true => None,
        false => quote(Shell::Posix, word.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
    };
    word_of_shell.unwrap_or_else(|| format!("\"{word}\""))
}

/// A key that a list of revoked keys forbids.
pub(super) fn revoked(offer: &HostKeyOffer, revocation: &Revocation) -> Error {
    Error::new(ErrorKind::HostKeyRevoked, "check host key", revocation.to_string()).at(offer.target()).with_hint(
        "do not log in: whoever has this key can pose as the host. It needs a new key, or a new certificate",
    )
}

fn kind_of(problem: &CertificateProblem) -> ErrorKind {
    match problem {
        CertificateProblem::Expired { .. } | CertificateProblem::NotYetValid { .. } => {
            ErrorKind::HostCertificateExpired
        }
        CertificateProblem::WrongHost { .. } | CertificateProblem::NoPrincipals => {
            ErrorKind::HostCertificateName
        }
        _ => ErrorKind::HostKeyRejected,
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
