//! The lines that remember a host.

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

/// As [`entry_line`], for a host and its address (`CheckHostIP yes`), each as it is looked up: one line of both, or,
/// since a hash holds one name, two. With `HostKeyAlias` the host has port 22 and the address the one that was connected
/// to. `hashing` is asked for each name, so that each hash has a salt of its own.
///
/// ```
/// use rustle_trust::{HostHashing, HostName, PublicKey, entry_lines};
///
/// let key = PublicKey::from_openssh(
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
/// )?;
/// let (alias, address) = (HostName::new("cluster")?, HostName::new("192.0.2.1")?);
/// let lines = entry_lines((&alias, 22), (&address, 2222), &key, || Ok::<_, ()>(HostHashing::Plain));
/// assert!(lines.unwrap().starts_with("cluster,[192.0.2.1]:2222 ssh-ed25519 AAAA"));
/// # Ok::<(), rustle_trust::Error>(())
/// ```
///
/// # Errors
/// Those of `hashing`.
pub fn entry_lines<E>(
    host: (&HostName, u16),
    address: (&HostName, u16),
    key: &PublicKey,
    mut hashing: impl FnMut() -> Result<HostHashing, E>,
) -> Result<String, E> {
    let ((host, port), (address, address_port)) = (host, address);
    Ok(match hashing()? {
        HostHashing::Plain => {
            format!("{},{} {}\n", host.at_port(port), address.at_port(address_port), key.to_openssh())
        }
        hashed @ HostHashing::Hashed { .. } => {
            entry_line(host, port, key, hashed) + &entry_line(address, address_port, key, hashing()?)
        }
    })
}
