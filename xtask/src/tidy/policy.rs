//! What `deny.toml` allows. It is written for cargo-deny; tidy reads the same lines, so that there is one list.

use std::path::Path;

use serde::Deserialize;

use crate::outcome::Failure;
use crate::shell;

/// The parts of `deny.toml` that tidy holds by itself.
#[derive(Deserialize)]
pub(super) struct Policy {
    graph: Graph,
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    spec: String,
    reason: String,
}

impl Policy {
    pub(super) fn load(root: &Path) -> Result<Self, Failure> {
        Self::parse(&shell::read(&root.join("deny.toml"))?)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| Failure::new(format!("deny.toml: {error}")))
    }

    /// The targets that the promises are made for.
    pub(super) fn targets(&self) -> &[String] {
        &self.graph.targets
    }

    pub(super) fn allows_licence(&self, licence: &str) -> bool {
        self.licenses.allow.iter().any(|allowed| allowed == licence)
    }

    /// Why a package may not be in the graph, by its name alone: what stands in for a banned package has its place in
    /// the workspace, and members are not asked about.
    pub(super) fn ban(&self, package: &str) -> Option<&str> {
        let named = |ban: &&Ban| ban.spec.split('@').next() == Some(package);
        self.bans.deny.iter().find(named).map(|ban| ban.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_file_bans_c_for_every_target() {
        let policy = Policy::load(&shell::root()).unwrap();
        for package in
            ["ring", "cc", "cmake", "bindgen", "pkg-config", "aws-lc-sys", "openssl-sys", "libssh2-sys"]
        {
            assert!(policy.ban(package).is_some(), "{package}");
        }
        assert_eq!(policy.ban("russh"), None);
        for part in ["linux-gnu", "linux-musl", "windows-gnu", "x86_64-apple", "aarch64-apple"] {
            assert!(policy.targets().iter().any(|target| target.contains(part)), "{part}");
        }
        assert!(policy.allows_licence("MIT") && !policy.allows_licence("GPL-3.0-only"));
    }
}
