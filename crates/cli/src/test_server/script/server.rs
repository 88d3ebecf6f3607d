//! The server itself: host keys, algorithms, limits, and the network before it.

use std::path::{Path, PathBuf};

use rustle_testserver::{Algorithms, Builder, Network};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::units::{Rate, Size, Time};
use crate::failure::Failure;

/// A host key: of a kind, made at the start, or from a file.
#[derive(Deserialize)]
#[serde(try_from = "HostKeyKeys")]
pub(super) enum HostKey {
    Made(HostKeyKind),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostKeyKeys {
    kind: Option<HostKeyKind>,
    file: Option<PathBuf>,
}

/// The sorts of host keys.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostKeyKind {
    #[default]
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Rsa,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlgorithmKeys {
    key_exchange: Option<Vec<String>>,
    ciphers: Option<Vec<String>>,
    macs: Option<Vec<String>>,
    host_keys: Option<Vec<String>>,
    strict_kex: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitKeys {
    max_sessions: Option<usize>,
    auth_attempts: Option<usize>,
    auth_delay: Option<Time>,
    max_auth_tries: Option<usize>,
    login_grace: Option<Time>,
    max_startups: Option<StartupKeys>,
    max_startups_text: Option<String>,
    window: Option<Size>,
    rekey_after: Option<Size>,
}

/// The three numbers of OpenSSH's `MaxStartups`.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartupKeys {
    start: usize,
    rate: u8,
    full: usize,
}

/// The network, in a script and while the server runs.
#[derive(Default, Deserialize)]
#[serde(try_from = "NetworkEntries")]
pub(crate) struct NetworkKeys(Option<Network>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkEntries {
    round_trip: Option<Time>,
    jitter: Option<Time>,
    rate: Option<Rate>,
    rate_to_client: Option<Rate>,
    rate_to_server: Option<Rate>,
    loss_one_in: Option<u64>,
    loss_recovery: Option<Time>,
}

impl HostKey {
    pub(super) fn apply(self, builder: Builder, folder: &Path) -> Result<Builder, Failure> {
        match self {
            Self::Made(kind) => Ok(builder.host_key(kind.into())),
            Self::File(path) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    Failure::io(format!("the host key {} cannot be read", path.display()), &error)
                })?;
                Ok(builder.host_key_openssh(Zeroizing::new(text).as_str()))
            }
        }
    }
}

impl TryFrom<HostKeyKeys> for HostKey {
    type Error = &'static str;

    fn try_from(keys: HostKeyKeys) -> Result<Self, Self::Error> {
        match (keys.kind, keys.file) {
            (Some(kind), None) => Ok(Self::Made(kind)),
            (None, Some(path)) => Ok(Self::File(path)),
            _ => Err("a host key has `kind` or `file`, and not both"),
        }
    }
}

impl From<HostKeyKind> for rustle_testserver::HostKeyKind {
    fn from(kind: HostKeyKind) -> Self {
        match kind {
            HostKeyKind::Ed25519 => Self::Ed25519,
            HostKeyKind::EcdsaP256 => Self::EcdsaP256,
            HostKeyKind::EcdsaP384 => Self::EcdsaP384,
            HostKeyKind::EcdsaP521 => Self::EcdsaP521,
            HostKeyKind::Rsa => Self::Rsa,
        }
    }
}

impl AlgorithmKeys {
    pub(super) fn apply(self, builder: Builder) -> Builder {
        let mut algorithms = Algorithms::new();
        if let Some(names) = self.key_exchange {
            algorithms = algorithms.key_exchange(names);
        }
        if let Some(names) = self.ciphers {
            algorithms = algorithms.ciphers(names);
        }
        if let Some(names) = self.macs {
            algorithms = algorithms.macs(names);
        }
        if let Some(names) = self.host_keys {
            algorithms = algorithms.host_keys(names);
        }
        if self.strict_kex == Some(false) {
            algorithms = algorithms.without_strict_kex();
        }
        builder.algorithms(algorithms)
    }
}

impl LimitKeys {
    pub(super) fn apply(self, mut builder: Builder) -> Builder {
        if let Some(n) = self.max_sessions {
            builder = builder.max_sessions(n);
        }
        if let Some(n) = self.auth_attempts {
            builder = builder.auth_attempts(n);
        }
        if let Some(delay) = self.auth_delay {
            builder = builder.auth_delay(delay.duration());
        }
        if let Some(n) = self.max_auth_tries {
            builder = builder.max_auth_tries(n);
        }
        if let Some(time) = self.login_grace {
            builder = builder.login_grace(time.duration());
        }
        if let Some(StartupKeys { start, rate, full }) = self.max_startups {
            builder = builder.max_startups(start, rate, full);
        }
        if let Some(text) = self.max_startups_text {
            builder = builder.max_startups_text(text);
        }
        if let Some(window) = self.window {
            // RFC 4254 section 5.2: a window is at most 2^32 - 1 bytes.
            builder = builder.window(u32::try_from(window.bytes()).unwrap_or(u32::MAX));
        }
        if let Some(bytes) = self.rekey_after {
            builder = builder.rekey_after(usize::try_from(bytes.bytes()).unwrap_or(usize::MAX));
        }
        builder
    }
}

impl NetworkKeys {
    pub(super) fn apply(self, builder: Builder) -> Builder {
        match self.0 {
            Some(network) => builder.network(network),
            None => builder,
        }
    }

    /// A network, if only one that does nothing.
    pub(crate) fn into_network(self) -> Network {
        self.0.unwrap_or_default()
    }
}

/// A table of the file is a network; no table is none, which costs less than one that does nothing.
impl TryFrom<NetworkEntries> for NetworkKeys {
    type Error = &'static str;

    fn try_from(keys: NetworkEntries) -> Result<Self, Self::Error> {
        let mut network = Network::new();
        if let Some(time) = keys.round_trip {
            network = network.round_trip(time.duration());
        }
        if let Some(time) = keys.jitter {
            network = network.jitter(time.duration());
        }
        if let Some(rate) = keys.rate {
            network = network.rate(rate.bytes_per_second());
        }
        if let Some(rate) = keys.rate_to_client {
            network = network.rate_to_client(rate.bytes_per_second());
        }
        if let Some(rate) = keys.rate_to_server {
            network = network.rate_to_server(rate.bytes_per_second());
        }
        network = match (keys.loss_one_in, keys.loss_recovery) {
            (None, None) => network,
            (Some(one_in), Some(recovery)) => network.loss(one_in, recovery.duration()),
            _ => return Err("`loss_one_in` and `loss_recovery` come together"),
        };
        Ok(Self(Some(network)))
    }
}
