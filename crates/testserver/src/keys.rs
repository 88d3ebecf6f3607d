//! Host keys: generated or given.

use std::{
    collections::HashMap,
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
};

use russh::keys::{
    Algorithm, EcdsaCurve, PrivateKey, PublicKey,
    ssh_key::{LineEnding, private::RsaKeypair, rand_core::UnwrapErr},
};

use crate::error::Error;

/// The sort of a generated host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostKeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`.
    EcdsaP521,
    /// RSA with 2048 bits, for `rsa-sha2-256` and `rsa-sha2-512`. Making one takes up to seconds, once in a process.
    Rsa,
}

impl fmt::Display for HostKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host key, as the builder was told of it.
#[derive(Clone)]
pub(crate) enum HostKeySource {
    /// One of those that the process makes once.
    Generated(HostKeyKind),
    /// One that nobody else has.
    Fresh(HostKeyKind),
    Given(String),
}

/// Gives one server its keys, and none twice.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    given_out: Vec<PublicKey>,
}

impl KeyRing {
    /// Makes, takes or reads the key.
    pub(crate) fn load(&mut self, source: &HostKeySource) -> Result<PrivateKey, Error> {
        let key = match source {
            HostKeySource::Generated(kind) => return self.another(*kind),
            HostKeySource::Fresh(kind) => generate(*kind)?,
            HostKeySource::Given(pem) => read(pem)?,
        };
        self.given_out.push(key.public_key().clone());
        Ok(key)
    }

    /// The first key of this sort that this server has not had, of those that the process has or makes now.
    pub(crate) fn another(&mut self, kind: HostKeyKind) -> Result<PrivateKey, Error> {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = made.entry(kind).or_default();
        let known = keys.iter().find(|key| !self.given_out.contains(key.public_key()));
        let key = match known {
            Some(key) => key.clone(),
            None => {
                let key = generate(kind)?;
                keys.push(key.clone());
                key
            }
        };
        self.given_out.push(key.public_key().clone());
        Ok(key)
    }
}

/// The keys made by this process so far, for servers to share.
static MADE: LazyLock<Mutex<HashMap<HostKeyKind, Vec<PrivateKey>>>> = LazyLock::new(Mutex::default);

const RSA_BITS: usize = 2048;

fn generate(kind: HostKeyKind) -> Result<PrivateKey, Error> {
    let random = &mut UnwrapErr(getrandom::SysRng);
    let made = match kind {
        HostKeyKind::Ed25519 => PrivateKey::random(random, Algorithm::Ed25519),
        HostKeyKind::EcdsaP256 => ecdsa(EcdsaCurve::NistP256),
        HostKeyKind::EcdsaP384 => ecdsa(EcdsaCurve::NistP384),
        HostKeyKind::EcdsaP521 => ecdsa(EcdsaCurve::NistP521),
        HostKeyKind::Rsa => RsaKeypair::random(random, RSA_BITS).map(PrivateKey::from),
    };
    made.map_err(|source| Error::host_key(&format!("generate an {kind} host key"), source))
}

fn ecdsa(curve: EcdsaCurve) -> Result<PrivateKey, russh::keys::ssh_key::Error> {
    PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), Algorithm::Ecdsa { curve })
}

pub(crate) fn read(pem: &str) -> Result<PrivateKey, Error> {
    let key = PrivateKey::from_openssh(pem)
        .map_err(|source| Error::host_key("read the given host key as an OpenSSH private key", source))?;
    if key.is_encrypted() {
        return Err(Error::host_key(
            "use the given host key",
            "it is encrypted; remove its passphrase with ssh-keygen -p",
        ));
    }
    Ok(key)
}

pub(crate) fn private_openssh(key: &PrivateKey) -> Result<String, Error> {
    key.to_openssh(LineEnding::LF)
        .map(|pem| pem.to_string())
        .map_err(|source| Error::host_key("write the host key", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &PrivateKey) -> String {
        key.public_key().to_openssh().unwrap()
    }

    #[test]
    fn servers_share_keys_and_none_gets_one_twice() {
        let (mut one, mut other) = (KeyRing::default(), KeyRing::default());
        let source = HostKeySource::Generated(HostKeyKind::Ed25519);
        let first = one.load(&source).unwrap();
        assert_eq!(text(&first), text(&other.load(&source).unwrap()));
        let second = one.another(HostKeyKind::Ed25519).unwrap();
        assert_ne!(text(&second), text(&first));
        assert_eq!(text(&second), text(&other.load(&source).unwrap()));
        assert!(!["ecdsa", "rsa"].iter().any(|kind| text(&second).contains(kind)));
    }

    #[test]
    fn key_that_was_given_is_not_given_out_again() {
        let shared = KeyRing::default().another(HostKeyKind::EcdsaP256).unwrap();
        let mut ring = KeyRing::default();
        let given = HostKeySource::Given(private_openssh(&shared).unwrap());
        assert_eq!(text(&ring.load(&given).unwrap()), text(&shared));
        assert_ne!(text(&ring.another(HostKeyKind::EcdsaP256).unwrap()), text(&shared));
    }

    #[test]
    fn fresh_key_is_nobody_elses() {
        let source = HostKeySource::Fresh(HostKeyKind::Ed25519);
        let fresh = text(&KeyRing::default().load(&source).unwrap());
        assert_ne!(fresh, text(&KeyRing::default().load(&source).unwrap()));
        let mut ring = KeyRing::default();
        for _ in 0..5 {
            assert_ne!(fresh, text(&ring.another(HostKeyKind::Ed25519).unwrap()));
        }
    }
}
