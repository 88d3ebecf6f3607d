//! Under which other names a key is known: a person who is asked about a new host is helped by it.

use std::fmt;

use crate::{
    host::HostName,
    key::{PublicKey, shown},
    known_hosts::{KnownHosts, Marker, Place},
    pattern::HostPattern,
};

/// A line with the same key for another name. Its `Display` is the place and the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherName {
    place: Place,
    names: Option<String>,
}

impl OtherName {
    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The line's host field, without what could drive a terminal; `None` where it is hashed.
    #[must_use]
    pub fn names(&self) -> Option<&str> {
        self.names.as_deref()
    }
}

impl fmt::Display for OtherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.names.as_deref().unwrap_or("[hashed name]"))
    }
}

impl KnownHosts {
    /// The lines that have this key for other hosts than `host` at `port`. Authorities and revoked keys do not count.
    #[must_use]
    pub fn other_names(&self, host: &HostName, port: u16, key: &PublicKey) -> Vec<OtherName> {
        let name = host.at_port(port);
        let same = |entry: &&super::Entry| {
            entry.marker == Marker::HostKey && entry.key.as_ref() == Some(key) && !entry.hosts.matches(&name)
        };
        let other = |entry: &super::Entry| {
            let names = match &entry.hosts {
                HostPattern::List(list) => Some(shown(list)),
                HostPattern::Hashed { .. } => None,
            };
            OtherName { place: entry.place.clone(), names }
        };
        self.entries.iter().filter(same).map(other).collect()
    }
}
