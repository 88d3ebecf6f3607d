//! Which of its two personalities the server has, and what each has not.

use rustle_testserver::{Builder, RawPeer};
use serde::Deserialize;

use super::Script;
use super::complaint::CODE;
use super::fault::{Fault, Needs};
use crate::failure::Failure;

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Personality {
    /// A proper implementation.
    #[default]
    Server,
    /// The small one that can be made to break every rule.
    Raw,
}

/// What a server can do wrong, of what not every server can.
#[derive(Clone, Copy)]
pub(crate) struct Abilities {
    raw_peer: bool,
    sftp_engine: bool,
}

impl Abilities {
    pub(super) fn of(script: &Script) -> Self {
        Self { raw_peer: script.personality == Personality::Raw, sftp_engine: script.sftp.is_native() }
    }

    /// Whether the fault could ever strike.
    ///
    /// # Errors
    /// It could not: this server has not what it needs.
    pub(crate) fn check(self, code: &'static str, fault: &Fault) -> Result<(), Failure> {
        let name = fault.name();
        match fault.needs() {
            Needs::RawPeer if !self.raw_peer => {
                Err(Failure::new(code, format!("only the raw personality can do `{name}`"))
                    .hint("put personality = \"raw\" at the top of the script"))
            }
            Needs::SftpEngine if !self.sftp_engine => {
                Err(Failure::new(code, format!("only the server's own SFTP engine can do `{name}`"))
                    .hint("leave out `sftp.serve` = \"none\" and `sftp.engine` = \"independent\""))
            }
            _ => Ok(()),
        }
    }
}

impl Personality {
    /// # Errors
    /// The script asks for something that this personality has not.
    pub(super) fn check(self, script: &Script) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::new(CODE, message));
        if self == Self::Server {
            let (key, instead) = if script.limits.messages_between_rekeys().is_some() {
                ("`limits.rekey_messages`", ", or take `limits.rekey_after`")
            } else if script.algorithms.hides_extensions() {
                ("`algorithms.ext_info` = false", "")
            } else {
                return Ok(());
            };
            return Err(Failure::new(CODE, format!("only the raw personality has {key}"))
                .hint(format!("put personality = \"raw\" at the top of the script{instead}")));
        }
        if let Some(key) = script.forwards.asked_for() {
            return refuse(format!("the raw personality forwards nothing: leave out `forwards.{key}`"));
        }
        if script.limits.asks_whether_clients_live() {
            return refuse(
                "the raw personality asks no client whether it lives: leave out `limits.client_alive`"
                    .to_owned(),
            );
        }
        if script.host_certificate.is_some() {
            return refuse(
                "the raw personality shows no certificate: leave out `host_certificate`".to_owned(),
            );
        }
        if script.algorithms.names_host_keys() {
            return refuse(
                "the raw personality offers the algorithm of its first host key alone: choose by `host_keys`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    pub(super) fn apply(self, builder: Builder, rekey_messages: Option<u64>) -> Builder {
        match (self, rekey_messages) {
            (Self::Server, _) => builder,
            (Self::Raw, None) => builder.raw_peer(RawPeer::new()),
            (Self::Raw, Some(n)) => builder.raw_peer(RawPeer::new().rekey_every(n)),
        }
    }
}
