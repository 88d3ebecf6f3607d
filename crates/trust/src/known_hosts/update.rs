//! What changes in the user's files when a known host announces its keys (`UpdateHostKeys`).

use crate::{
    host::HostName,
    key::PublicKey,
    known_hosts::{Entry, HostHashing, KnownHosts, KnownKey, Marker, entry_line, entry_lines, line::Line},
    pattern::HostPattern,
};

/// A host that is known by its key and has announced which keys it has.
///
/// [`judge`](Self::judge) says what is to change, and [`rewrite`](Self::rewrite) makes the new bytes of a file. What is
/// new must have been proved by the host in between.
///
/// ```
/// use rustle_trust::{HostHashing, HostKeysUpdate, HostName, KnownHosts, PublicKey, UpdateVerdict};
///
/// let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
/// let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// let (key, other) = (PublicKey::from_openssh(ed25519)?, PublicKey::from_openssh(other)?);
/// let file = format!("# mine\nweb-1 {ed25519}\n");
///
/// let update = HostKeysUpdate::new(HostName::new("web-1")?, 22, key.clone(), vec![key, other]);
/// let known = KnownHosts::parse("known_hosts", file.as_bytes())?;
/// let UpdateVerdict::Change { learned, deprecated } = update.judge(&known) else { panic!() };
/// assert!(deprecated.is_empty());
///
/// let new = update.rewrite(file.as_bytes(), &learned, &deprecated, || Ok::<_, ()>(HostHashing::Plain));
/// let new = new.unwrap().unwrap();
/// assert!(new.starts_with(file.as_bytes()) && new.len() > file.len());
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HostKeysUpdate {
    host: HostName,
    port: u16,
    address: Option<(HostName, u16)>,
    presented: PublicKey,
    announced: Vec<PublicKey>,
}

/// Whether the user's files are to change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateVerdict {
    /// They say already what the host says.
    Unchanged,
    /// They are left alone.
    Refused(UpdateRefusal),
    /// They change.
    Change {
        /// Keys to write down, once the host has proved that it has them.
        learned: Vec<PublicKey>,
        /// Lines to take out.
        deprecated: Vec<KnownKey>,
    },
}

/// Why the files are left alone. [`TooMany`](Self::TooMany) and [`PresentedIsMissing`](Self::PresentedIsMissing) are
/// stricter than OpenSSH, the others are as it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateRefusal {
    /// More keys were announced than [`HostKeysUpdate::MOST_KEYS`].
    #[error("more keys are announced than any host has")]
    TooMany,
    /// A key was announced twice.
    #[error("a key is announced twice")]
    Repeated,
    /// The key by which the host was trusted is not among those it announced.
    #[error("the key that the host showed is not among those it announces")]
    PresentedIsMissing,
    /// The host is not known by its own line in these files.
    #[error("the host's key stands in no line of its own in the user's files")]
    NotRecorded,
    /// A line of the host has a marker, a wildcard, or more than two names: a person wrote it.
    #[error("a line of the host has a marker, a wildcard or a list of names")]
    WrittenByHand,
    /// A key of the host stands under another name too.
    #[error("a key of the host stands under another name or address too")]
    OtherName,
}

impl HostKeysUpdate {
    /// How many keys a host may announce. An sshd has one of each type, and while they change two: what goes far beyond
    /// that would fill the file until it is past [`KnownHosts::MAX_FILE`] and refuses every host.
    pub const MOST_KEYS: usize = 32;

    /// Begins with the host, the key that it showed in the key exchange, and those it announced.
    #[must_use]
    pub fn new(host: HostName, port: u16, presented: PublicKey, announced: Vec<PublicKey>) -> Self {
        Self { host, port, address: None, presented, announced }
    }

    /// Keeps the lines of the address too (`CheckHostIP yes`), which is known at the port that was connected to, whatever
    /// the host's name is looked up by.
    #[must_use]
    pub fn address(mut self, address: HostName, port: u16) -> Self {
        self.address = Some((address, port));
        self
    }

    /// The keys that the host announced.
    #[must_use]
    pub fn announced(&self) -> &[PublicKey] {
        &self.announced
    }

    /// What is to change. `user_files` holds all of the user's files and nothing else.
    #[must_use]
    pub fn judge(&self, user_files: &KnownHosts) -> UpdateVerdict {
        if self.announced.len() > Self::MOST_KEYS {
            return UpdateVerdict::Refused(UpdateRefusal::TooMany);
        }
        if self
            .announced
            .iter()
            .enumerate()
            .any(|(at, key)| self.announced.iter().skip(at + 1).any(|k| k == key))
        {
            return UpdateVerdict::Refused(UpdateRefusal::Repeated);
        }
        if !self.announced.contains(&self.presented) {
            return UpdateVerdict::Refused(UpdateRefusal::PresentedIsMissing);
        }
        let (mine, others): (Vec<&Entry>, Vec<&Entry>) = user_files
            .entries
            .iter()
            .filter(|entry| entry.key.is_some())
            .partition(|entry| self.names(entry));
        let has =
            |entries: &[&Entry], key: &PublicKey| entries.iter().any(|entry| entry.key.as_ref() == Some(key));
        let learned: Vec<PublicKey> = self.announced.iter().filter(|key| !has(&mine, key)).cloned().collect();
        let deprecated: Vec<KnownKey> = mine
            .iter()
            .filter_map(|entry| entry.known_key())
            .filter(|known| self.is_deprecated(known))
            .collect();
        if mine.iter().any(|entry| entry.marker != Marker::HostKey || is_complex(&entry.hosts)) {
            return UpdateVerdict::Refused(UpdateRefusal::WrittenByHand);
        }
        if !has(&mine, &self.presented) {
            return UpdateVerdict::Refused(UpdateRefusal::NotRecorded);
        }
        if learned.is_empty() && deprecated.is_empty() {
            return UpdateVerdict::Unchanged;
        }
        let elsewhere = |key: &PublicKey| has(&others, key);
        if self.announced.iter().any(elsewhere)
            || deprecated.iter().any(|known| elsewhere(known.key()))
            || mine.iter().any(|entry| self.is_of_another_pair(entry))
        {
            return UpdateVerdict::Refused(UpdateRefusal::OtherName);
        }
        UpdateVerdict::Change { learned, deprecated }
    }

    /// The bytes of a file without the host's lines of the keys in `remove` and with `add` at its end; `None` where
    /// nothing changes.
    ///
    /// Every other byte stays as it is: comments, lines of other hosts, lines that cannot be read. Keys that have a
    /// line of the host already are not added, and keys that the host announced are not removed. `hashing` is asked for
    /// each name that is written, so that each hash has a salt of its own.
    ///
    /// # Errors
    /// Those of `hashing`.
    pub fn rewrite<E>(
        &self,
        bytes: &[u8],
        add: &[PublicKey],
        remove: &[KnownKey],
        mut hashing: impl FnMut() -> Result<HostHashing, E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let goes =
            |key: &PublicKey| !self.announced.contains(key) && remove.iter().any(|known| known.key() == key);
        let mut out = Vec::with_capacity(bytes.len());
        let mut present: Vec<PublicKey> = Vec::new();
        for (index, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match self.own_key(index, text) {
                Some(key) if goes(&key) => continue,
                Some(key) => present.push(key),
                None => {}
            }
            out.extend_from_slice(text);
        }
        let mut changed = out.len() != bytes.len();
        for key in add.iter().filter(|key| !present.contains(key)) {
            if out.last().is_some_and(|byte| *byte != b'\n') {
                out.push(b'\n');
            }
            out.extend_from_slice(self.lines(key, &mut hashing)?.as_bytes());
            changed = true;
        }
        Ok(changed.then_some(out))
    }

    /// Whether a line of the host, in these files, hides its name.
    #[must_use]
    pub fn is_hashed_in(&self, user_files: &KnownHosts) -> bool {
        let hashed = |entry: &Entry| matches!(entry.hosts, HostPattern::Hashed { .. }) && self.names(entry);
        user_files.entries.iter().any(hashed)
    }

    /// The key of a line of the host; `None` for every line that stays.
    fn own_key(&self, index: usize, text: &[u8]) -> Option<PublicKey> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = if index == 0 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
        if text.len() > KnownHosts::MAX_LINE {
            return None;
        }
        let Line { marker, hosts, key } = Line::parse(text).ok()??;
        (marker == Marker::HostKey && self.is_about(&hosts)).then(|| key.into_key())?
    }

    fn lines<E>(
        &self,
        key: &PublicKey,
        hashing: &mut impl FnMut() -> Result<HostHashing, E>,
    ) -> Result<String, E> {
        match &self.address {
            Some((address, port)) => entry_lines((&self.host, self.port), (address, *port), key, hashing),
            None => Ok(entry_line(&self.host, self.port, key, hashing()?)),
        }
    }

    fn names(&self, entry: &Entry) -> bool {
        self.is_about(&entry.hosts)
    }

    fn is_about(&self, hosts: &HostPattern) -> bool {
        hosts.matches(&self.host.at_port(self.port))
            || self.address.as_ref().is_some_and(|(address, port)| hosts.matches(&address.at_port(*port)))
    }

    fn is_deprecated(&self, known: &KnownKey) -> bool {
        known.marker() == Marker::HostKey && !self.announced.contains(known.key())
    }

    /// A line of two names, of which one is the host's or its address, and the other is neither.
    fn is_of_another_pair(&self, entry: &Entry) -> bool {
        let (HostPattern::List(list), Some((address, port))) = (&entry.hosts, &self.address) else {
            return false;
        };
        list.contains(&b',')
            && !(entry.hosts.matches(&self.host.at_port(self.port))
                && entry.hosts.matches(&address.at_port(*port)))
    }
}

/// OpenSSH writes one name, or a name and an address; everything else was written by a person.
fn is_complex(hosts: &HostPattern) -> bool {
    match hosts {
        HostPattern::List(list) => {
            list.iter().any(|byte| matches!(byte, b'*' | b'?'))
                || list.iter().filter(|byte| **byte == b',').count() > 1
        }
        HostPattern::Hashed { .. } => false,
    }
}
