//! The line that remembers a host.

use crate::{host::HostName, key::PublicKey, pattern::hashed};

/// Whether a written line shows the host's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHashing {
    /// The name stands in the line.
    Plain,
    /// Only its hash does, as with `HashKnownHosts yes`.
    Hashed {
        /// Fresh random bytes for each line.
        salt: [u8; 20],
    },
}

/// The line to append to a `known_hosts` file when a host is accepted, ended by a newline.
///
/// A file whose last line has no newline needs one before it.
///
/// ```
/// use rustle_trust::{HostHashing, HostName, PublicKey, entry_line};
///
/// let key = PublicKey::from_openssh(
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
/// )?;
/// let line = entry_line(&HostName::new("web-1")?, 2222, &key, HostHashing::Plain);
/// assert!(line.starts_with("[web-1]:2222 ssh-ed25519 AAAA") && line.ends_with('\n'));
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[must_use]
pub fn entry_line(host: &HostName, port: u16, key: &PublicKey, hashing: HostHashing) -> String {
    let name = host.at_port(port);
    let name = match hashing {
        HostHashing::Plain => name,
        HostHashing::Hashed { salt } => hashed(&name, &salt),
    };
    format!("{name} {}\n", key.to_openssh())
}
