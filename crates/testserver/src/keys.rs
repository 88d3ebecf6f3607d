//! Host keys: generated or given.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use russh::keys::{
    Algorithm, EcdsaCurve, PrivateKey,
    ssh_key::{LineEnding, rand_core::UnwrapErr},
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
    /// RSA with 2048 bits, for `rsa-sha2-256` and `rsa-sha2-512`. Making one takes up to seconds, so a process makes
    /// few and uses them again; no server gets the one it had before.
    Rsa,
}

impl fmt::Display for HostKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Rsa => "rsa",
        })
    }
}

/// A host key, as the builder was told of it.
#[derive(Clone)]
pub(crate) enum HostKeySource {
    Generated(HostKeyKind),
    Given(String),
}

impl HostKeySource {
    /// Makes or reads the key. `generation` counts the key changes of one server, so that a change is one.
    pub(crate) fn load(&self, generation: usize) -> Result<PrivateKey, Error> {
        match self {
            Self::Generated(kind) => generate(*kind, generation),
            Self::Given(pem) => {
                let key = PrivateKey::from_openssh(pem).map_err(|source| {
                    Error::host_key("read the given host key as an OpenSSH private key", source)
                })?;
                if key.is_encrypted() {
                    return Err(Error::host_key(
                        "use the given host key",
                        "it is encrypted; remove its passphrase with ssh-keygen -p",
                    ));
                }
                Ok(key)
            }
        }
    }
}

/// RSA keys made by this process so far.
static RSA: Mutex<Vec<PrivateKey>> = Mutex::new(Vec::new());

const RSA_BITS: usize = 2048;

fn generate(kind: HostKeyKind, generation: usize) -> Result<PrivateKey, Error> {
    let fresh = |algorithm| {
        PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), algorithm)
            .map_err(|source| Error::host_key(&format!("generate an {kind} host key"), source))
    };
    match kind {
        HostKeyKind::Ed25519 => fresh(Algorithm::Ed25519),
        HostKeyKind::EcdsaP256 => fresh(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
        HostKeyKind::EcdsaP384 => fresh(Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }),
        HostKeyKind::EcdsaP521 => fresh(Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 }),
        HostKeyKind::Rsa => {
            let mut made = RSA.lock().unwrap_or_else(PoisonError::into_inner);
            while made.len() <= generation {
                let pair = russh::keys::ssh_key::private::RsaKeypair::random(
                    &mut UnwrapErr(getrandom::SysRng),
                    RSA_BITS,
                )
                .map_err(|source| Error::host_key("generate an rsa host key", source))?;
                made.push(pair.into());
            }
            Ok(made[generation].clone())
        }
    }
}

pub(crate) fn private_openssh(key: &PrivateKey) -> Result<String, Error> {
    key.to_openssh(LineEnding::LF)
        .map(|pem| pem.to_string())
        .map_err(|source| Error::host_key("write the host key", source))
}
