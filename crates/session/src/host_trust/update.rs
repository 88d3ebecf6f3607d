//! Following what a known host announces of its keys (`UpdateHostKeys`; OpenSSH PROTOCOL section 2.5).

use rustle_trust::{HostKeysUpdate, KnownKey, PresentedKey, PublicKey, UpdateVerdict};

use super::known_hosts::Updates;
use super::store::Outcome;
use super::{AnnouncedKeys, HostHashing, HostKeyOffer, KnownHosts, store};
use crate::error::{Error, Result};

/// What a host's announcement changes in the user's files.
#[derive(Debug)]
pub struct HostKeysChange {
    update: HostKeysUpdate,
    learned: Vec<PublicKey>,
    deprecated: Vec<KnownKey>,
    hashing: HostHashing,
}

impl HostKeysChange {
    /// The keys that are new, each as its type and fingerprint. The host has proved that it has them.
    pub fn learned(&self) -> impl Iterator<Item = String> {
        self.learned.iter().map(ToString::to_string)
    }

    /// The keys that the host no longer has, each as its type, fingerprint and place.
    pub fn deprecated(&self) -> impl Iterator<Item = String> {
        self.deprecated.iter().map(ToString::to_string)
    }
}

impl KnownHosts {
    /// As the policy says, where `agree` gives the change back. Whatever goes wrong leaves the files as they are, and the
    /// session as well.
    pub(crate) async fn follow<F>(
        &self,
        offer: &HostKeyOffer,
        keys: &AnnouncedKeys,
        agree: impl FnOnce(HostKeysChange) -> F,
    ) where
        F: Future<Output = Option<HostKeysChange>>,
    {
        if self.updates == Updates::Ignored {
            return;
        }
        let followed = async {
            let Some(change) = self.change(offer, keys).await? else { return Ok(()) };
            match agree(change).await {
                Some(change) => self.apply(offer, &change).await,
                None => Ok(()),
            }
        };
        if let Err(error) = followed.await {
            tracing::warn!(host = offer.host(), %error, "known_hosts does not follow the host's new keys");
        }
    }

    /// What there is to change, everything new proved by the host; `None` for nothing.
    ///
    /// # Cancel safety
    /// Dropped, nothing has changed.
    async fn change(&self, offer: &HostKeyOffer, keys: &AnnouncedKeys) -> Result<Option<HostKeysChange>> {
        // The authority answers for a host with a certificate.
        let PresentedKey::Key(presented) = offer.presented() else { return Ok(None) };
        let (name, port) = self.lookup(offer.host(), offer.port())?;
        let announced = keys.wires().iter().filter_map(|wire| PublicKey::from_wire(wire).ok()).collect();
        let mut update = HostKeysUpdate::new(name, port, presented.clone(), announced);
        if let Some(address) = self.address_to_check(offer) {
            update = update.address(address, offer.port());
        }
        let known = self.read_whole_lines_of_user_files().await?;
        let (mut learned, deprecated) = match update.judge(&known) {
            UpdateVerdict::Change { learned, deprecated } => (learned, deprecated),
            UpdateVerdict::Refused(why) => {
                tracing::debug!(host = offer.host(), %why, "known_hosts stays as it is");
                return Ok(None);
            }
            _ => return Ok(None),
        };
        learned.retain(|key| self.takes(key));
        if learned.is_empty() && deprecated.is_empty() {
            return Ok(None);
        }
        let wires: Vec<Vec<u8>> = learned.iter().map(|key| key.wire().to_vec()).collect();
        keys.prove(&wires).await?;
        let hashing = if update.is_hashed_in(&known) { HostHashing::Hashed } else { self.hashing };
        Ok(Some(HostKeysChange { update, learned, deprecated, hashing }))
    }

    /// Writes the change to the files: new keys to the first that is there, and whatever is deprecated out of all.
    ///
    /// # Cancel safety
    /// Dropped, each file is as it was or as it is to be.
    async fn apply(&self, offer: &HostKeyOffer, change: &HostKeysChange) -> Result<()> {
        let files = self.user_file_paths()?;
        // As ssh, no file is made for this: the host stands in one of them.
        let first = files.iter().find(|file| !store::is_null_device(file) && file.exists());
        for file in &files {
            let (mut added, mut removed) = (Vec::new(), Vec::new());
            let rewritten = store::rewrite(file, |bytes| {
                // Another process may have been here since. What nobody agreed to is left to the next time.
                let verdict = change.update.judge(&self.read_user_files()?);
                let UpdateVerdict::Change { learned, deprecated } = verdict else { return Ok(None) };
                let is_first = first == Some(file);
                added = learned;
                added.retain(|key| is_first && change.learned.contains(key));
                removed = deprecated;
                removed.retain(|known| {
                    known.place().file() == file.to_string_lossy()
                        && change.deprecated.iter().any(|agreed| agreed.key() == known.key())
                });
                change.update.rewrite(bytes, &added, &removed, || change.hashing.fresh())
            });
            if rewritten.await.map_err(|error: Error| error.at(offer.target()))? == Outcome::AsItWas {
                continue;
            }
            for key in &added {
                tracing::info!(host = offer.host(), %key, file = %file.display(), "new host key learned");
            }
            for key in &removed {
                tracing::info!(host = offer.host(), %key, "obsolete host key removed");
            }
        }
        Ok(())
    }

    /// A key that could be negotiated: no DSA, and long enough.
    fn takes(&self, key: &PublicKey) -> bool {
        key.algorithm() != "ssh-dss" && self.rules.takes_key(key)
    }
}
