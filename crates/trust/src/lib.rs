//! Host trust as values: lines in, verdicts out.
//!
//! An SSH client has to decide whether the key a server presents belongs to the host it meant to reach. This
//! crate makes that decision from what it is handed: the bytes of `known_hosts` files, the key or certificate
//! of the server, and the time. It opens no file, no socket and no clock, so every verdict can be reproduced.
//!
//! - [`PublicKey`] and [`Fingerprint`]: a server's key and its `SHA256:…` name.
//! - [`HostCertificate`]: an OpenSSH host certificate, its signature verified when it is read.
//! - [`KnownHosts`]: the lines of one or more files; [`KnownHosts::verdict`] judges a [`PresentedKey`].
//! - [`entry_line`]: the line to append when a new host is accepted; [`HostKeysUpdate`]: what changes when a known
//!   host announces other keys.
//! - [`RevokedKeys`]: lists of revoked keys, OpenSSH's binary form among them.
//! - [`SshfpRecord`]: fingerprints in DNS.
//!
//! The meaning of a line is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", as OpenSSH's client applies it.
//! Where this crate differs it is stricter, and the item says so.
//!
//! ```
//! use rustle_trust::{HostName, KnownHosts, PresentedKey, PublicKey, Verdict};
//!
//! let line = "web-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ\n";
//! let known = KnownHosts::parse("known_hosts", line.as_bytes())?;
//!
//! let offered = PublicKey::from_openssh(&line["web-1 ".len()..])?;
//! let verdict = known.verdict(&HostName::new("web-1")?, 22, &PresentedKey::Key(offered), 1_800_000_000);
//! assert!(matches!(verdict, Verdict::Trusted { .. }));
//! # Ok::<(), rustle_trust::Error>(())
//! ```

mod algorithms;
mod certificate;
mod error;
mod fingerprint;
mod host;
mod key;
mod known_hosts;
mod pattern;
mod randomart;
mod revocation;
mod rules;
mod sshfp;
mod time;
mod wire;

pub use crate::{
    algorithms::SIGNATURE_ALGORITHMS,
    certificate::{CertificateProblem, HostCertificate},
    error::{Error, ErrorKind},
    fingerprint::Fingerprint,
    host::HostName,
    key::PublicKey,
    known_hosts::{
        HostHashing, HostKeysUpdate, KnownHosts, KnownKey, Marker, OtherName, Place, PresentedKey, Problem,
        ProblemKind, TrustedBy, UpdateRefusal, UpdateVerdict, Verdict, entry_line, entry_lines,
    },
    revocation::{Revocation, RevokedBy, RevokedKeys},
    rules::TrustRules,
    sshfp::{SshfpMatch, SshfpRecord},
};
