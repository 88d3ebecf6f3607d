//! The server itself: host keys, algorithms, and the network before it.

use std::path::{Path, PathBuf};

use rustle_testserver::{Algorithms, Builder, HostKeyKind, Network};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::complaint::CODE;
use super::named::Named;
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
    kind: Option<Named<HostKeyKind>>,
    file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(try_from = "AlgorithmEntries")]
pub(super) struct AlgorithmKeys {
    algorithms: Algorithms,
    only_rsa: bool,
    names_host_keys: bool,
    hides_extensions: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlgorithmEntries {
    preset: Option<Preset>,
    key_exchange: Option<Vec<String>>,
    ciphers: Option<Vec<String>>,
    macs: Option<Vec<String>>,
    host_keys: Option<Vec<String>>,
    strict_kex: Option<bool>,
    ext_info: Option<bool>,
}

/// What some servers have, by the names of the library's functions.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    OldCtrHmac,
    Group14Only,
    RsaSha2Only,
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
    queue: Option<Size>,
    loss_one_in: Option<u64>,
    loss_recovery: Option<Time>,
}

impl HostKey {
    pub(super) fn apply(self, builder: Builder, folder: &Path) -> Result<Builder, Failure> {
        match self {
            Self::Made(kind) => Ok(builder.host_key(kind)),
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
            (Some(kind), None) => Ok(Self::Made(kind.value())),
            (None, Some(path)) => Ok(Self::File(path)),
            _ => Err("a host key has `kind` or `file`, and not both"),
        }
    }
}

impl AlgorithmKeys {
    /// # Errors
    /// None of the host keys can sign by the algorithms that the preset leaves.
    pub(super) fn apply(self, builder: Builder, host_keys: &[HostKey]) -> Result<Builder, Failure> {
        let rsa = |key: &HostKey| matches!(key, HostKey::Made(HostKeyKind::Rsa) | HostKey::File(_));
        if self.only_rsa && !host_keys.iter().any(rsa) {
            return Err(Failure::new(
                CODE,
                "`algorithms.preset` is \"rsa_sha2_only\", and no host key is of RSA",
            )
            .hint("add host_keys = [{ kind = \"rsa\" }]"));
        }
        Ok(builder.algorithms(self.algorithms))
    }

    /// Whether the algorithms of host keys are chosen, which the raw personality has no choice of.
    pub(super) fn names_host_keys(&self) -> bool {
        self.names_host_keys
    }

    /// Whether clients are told of no extensions, which the raw personality alone can do.
    pub(super) fn hides_extensions(&self) -> bool {
        self.hides_extensions
    }
}

impl TryFrom<AlgorithmEntries> for AlgorithmKeys {
    type Error = &'static str;

    fn try_from(keys: AlgorithmEntries) -> Result<Self, Self::Error> {
        let mut algorithms = match keys.preset {
            None => Algorithms::new(),
            Some(Preset::OldCtrHmac) => Algorithms::old_ctr_hmac(),
            Some(Preset::Group14Only) => Algorithms::group14_only(),
            Some(Preset::RsaSha2Only) => Algorithms::rsa_sha2_only(),
        };
        let only_rsa = keys.preset == Some(Preset::RsaSha2Only);
        if only_rsa && keys.host_keys.is_some() {
            return Err("the preset \"rsa_sha2_only\" is a choice of `host_keys`: leave out one of them");
        }
        let names_host_keys = only_rsa || keys.host_keys.is_some();
        if let Some(names) = keys.key_exchange {
            algorithms = algorithms.key_exchange(names);
        }
        if let Some(names) = keys.ciphers {
            algorithms = algorithms.ciphers(names);
        }
        if let Some(names) = keys.macs {
            algorithms = algorithms.macs(names);
        }
        if let Some(names) = keys.host_keys {
            algorithms = algorithms.host_keys(names);
        }
        match (keys.strict_kex, keys.preset) {
            (Some(true), Some(Preset::OldCtrHmac)) => {
                return Err("servers of the preset \"old_ctr_hmac\" have no strict key exchange");
            }
            (Some(false), _) => algorithms = algorithms.without_strict_kex(),
            _ => {}
        }
        let hides_extensions = keys.ext_info == Some(false);
        if hides_extensions {
            algorithms = algorithms.without_ext_info();
        }
        Ok(Self { algorithms, only_rsa, names_host_keys, hides_extensions })
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
        if let Some(size) = keys.queue {
            network = network.queue(usize::try_from(size.bytes()).unwrap_or(usize::MAX));
        }
        network = match (keys.loss_one_in, keys.loss_recovery) {
            (None, None) => network,
            (Some(one_in), Some(recovery)) => network.loss(one_in, recovery.duration()),
            _ => return Err("`loss_one_in` and `loss_recovery` come together"),
        };
        Ok(Self(Some(network)))
    }
}
