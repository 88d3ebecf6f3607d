//! What the builder was told, for the server to look up.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    builder::{Limits, forwarding::Forwarding},
    command::Script,
    host_certificate::HostCertificate,
    network::Network,
    raw::RawPeer,
    sftp::Sftp,
};

/// What the builder was told.
pub(crate) struct Settings {
    pub(crate) script: Script,
    pub(crate) shell_script: Script,
    pub(crate) subsystems: Script,
    /// Whether what is scripted has to be asked for.
    pub(crate) expect_commands: bool,
    pub(crate) shell: bool,
    pub(crate) builtins: bool,
    pub(crate) sftp: Option<Sftp>,
    pub(crate) direct_tcpip: bool,
    pub(crate) direct_streamlocal: bool,
    pub(crate) forwarding: Forwarding,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) accept_env: Option<Vec<String>>,
    pub(crate) auth_attempts: usize,
    pub(crate) auth_delay: Duration,
    pub(crate) banner: Option<String>,
    pub(crate) identification: String,
    pub(crate) host_certificate: Option<HostCertificate>,
    pub(crate) window: u32,
    pub(crate) rekey_after: usize,
    pub(crate) network: Option<Network>,
    pub(crate) noise: Noise,
    pub(crate) limits: Limits,
    pub(crate) seed: Option<u64>,
    pub(crate) raw_peer: Option<RawPeer>,
}

/// What the start-up files of a login shell print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noise {
    pub(crate) stdout: Bytes,
    pub(crate) stderr: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            script: Script::default(),
            shell_script: Script::default(),
            subsystems: Script::default(),
            expect_commands: false,
            shell: false,
            builtins: false,
            sftp: None,
            direct_tcpip: false,
            direct_streamlocal: false,
            forwarding: Forwarding::default(),
            max_sessions: None,
            accept_env: None,
            // The base's number for "no limit".
            auth_attempts: 0,
            auth_delay: Duration::ZERO,
            banner: None,
            identification: concat!("SSH-2.0-Rustle_Test_", env!("CARGO_PKG_VERSION")).to_owned(),
            host_certificate: None,
            // OpenSSH's CHAN_SES_WINDOW_DEFAULT.
            window: 2 * 1024 * 1024,
            // RFC 4253 section 9 recommends 1 GiB.
            rekey_after: 1 << 30,
            network: None,
            noise: Noise::default(),
            limits: Limits::default(),
            seed: None,
            raw_peer: None,
        }
    }
}

impl Settings {
    /// What was scripted, has to happen, and has not happened yet.
    pub(crate) fn unplayed(&self) -> Vec<String> {
        let mut unplayed = Vec::new();
        if self.expect_commands {
            unplayed.extend(self.script.unasked().into_iter().map(|text| format!("the command {text:?}")));
            unplayed.extend(self.shell_script.unasked().into_iter().map(|_| "the login shell".to_owned()));
            unplayed
                .extend(self.subsystems.unasked().into_iter().map(|name| format!("the subsystem {name:?}")));
        }
        if self.raw_peer.as_ref().is_some_and(RawPeer::is_unplayed) {
            unplayed.push("the script of the raw peer".to_owned());
        }
        unplayed
    }

    /// What has not happened yet need not happen any more.
    pub(crate) fn forgive(&self) {
        for script in [&self.script, &self.shell_script, &self.subsystems] {
            script.forgive();
        }
        if let Some(peer) = &self.raw_peer {
            peer.forgive();
        }
    }

    pub(crate) fn accepts_env(&self, name: &str) -> bool {
        self.accept_env.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }
}
