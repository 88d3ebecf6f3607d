//! `StrictHostKeyChecking` and the known hosts, as ssh has them, and the question to a person.

use std::fmt;
use std::sync::Arc;

use rustle_ssh_config::{Keyword, Origin, Settings, StrictHostKeyChecking};

use crate::BoxFuture;
use crate::auth::PromptError;
use crate::error::{Error, ErrorKind, Result};
use crate::host_trust::{HostHashing, HostKeyOffer, HostTrust, KnownHosts};
use crate::setup::warning::SetupWarning;

/// How often a person is asked who answers neither yes nor no.
const ATTEMPTS: usize = 3;

/// Somebody who can say whether the key of an unknown host is the right one.
///
/// ```
/// use rustle_session::{BoxFuture, HostKeyAnswer, HostKeyOffer, HostKeyPrompter, PromptError};
///
/// /// Knows one fingerprint.
/// struct Noted(String);
///
/// impl HostKeyPrompter for Noted {
///     fn confirm<'a>(&'a self, _: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
///         Box::pin(async { Ok(HostKeyAnswer::Fingerprint(self.0.clone())) })
///     }
/// }
/// ```
pub trait HostKeyPrompter: Send + Sync {
    /// Asks whether to trust this key from now on.
    ///
    /// # Errors
    /// [`PromptError::Unavailable`] if there is nobody to ask, [`PromptError::Cancelled`] if the person declined.
    /// Both refuse the host.
    ///
    /// # Cancel safety
    /// The future is dropped when the connection attempt is, and after the
    /// [person's time](crate::TransportOptionsBuilder::person_timeout).
    fn confirm<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>>;
}

/// What a person says about a host key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyAnswer {
    /// It is the right one.
    Yes,
    /// It is not, or the person does not know.
    No,
    /// It is the right one if it has this fingerprint, `SHA256:…`.
    Fingerprint(String),
    /// Nothing that could be understood: the question is put again.
    Unclear,
}

impl HostKeyAnswer {
    /// Understands what was typed, as ssh does: `yes`, `no` or the fingerprint.
    ///
    /// ```
    /// use rustle_session::HostKeyAnswer;
    ///
    /// assert_eq!(HostKeyAnswer::parse("Yes\n"), HostKeyAnswer::Yes);
    /// assert_eq!(HostKeyAnswer::parse("y"), HostKeyAnswer::Unclear);
    /// ```
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        let typed = typed.trim();
        if typed.eq_ignore_ascii_case("yes") {
            Self::Yes
        } else if typed.is_empty() || typed.eq_ignore_ascii_case("no") {
            Self::No
        } else if typed.starts_with("SHA256:") {
            Self::Fingerprint(typed.to_owned())
        } else {
            Self::Unclear
        }
    }
}

/// The trust that a configuration asks for: known hosts, and a person about the others where there is one.
pub(super) struct ConfiguredTrust {
    known: KnownHosts,
    /// Set only where the configuration says to ask.
    prompter: Option<Arc<dyn HostKeyPrompter>>,
}

impl ConfiguredTrust {
    pub(super) fn new(
        settings: &Settings,
        prompter: Option<Arc<dyn HostKeyPrompter>>,
        warnings: &mut Vec<SetupWarning>,
    ) -> Self {
        let known = known_hosts(settings);
        match settings.strict_host_key_checking() {
            StrictHostKeyChecking::AcceptNew => Self { known: known.accept_new(), prompter: None },
            StrictHostKeyChecking::No => {
                let keyword = Keyword::StrictHostKeyChecking;
                let message = "taken as accept-new: new hosts are written down, but a changed key is refused, \
                               where ssh would go on";
                warnings.push(SetupWarning::new(settings.origin(keyword), keyword, message));
                Self { known: known.accept_new(), prompter: None }
            }
            StrictHostKeyChecking::Ask if !settings.batch_mode() => Self { known: known.strict(), prompter },
            _ => Self { known: known.strict(), prompter: None },
        }
    }

    async fn judge(&self, offer: &HostKeyOffer) -> Result<()> {
        let verdict = self.known.check(offer).await;
        match (&self.prompter, verdict) {
            (Some(prompter), Err(unknown)) if unknown.kind() == ErrorKind::HostKeyUnknown => {
                self.ask(prompter.as_ref(), offer, unknown).await
            }
            (_, verdict) => verdict,
        }
    }

    async fn ask(&self, prompter: &dyn HostKeyPrompter, offer: &HostKeyOffer, unknown: Error) -> Result<()> {
        for _ in 0..ATTEMPTS {
            match prompter.confirm(offer).await {
                Ok(HostKeyAnswer::Yes) => return self.known.remember(offer).await,
                Ok(HostKeyAnswer::Fingerprint(typed)) if typed == offer.fingerprint() => {
                    return self.known.remember(offer).await;
                }
                Ok(HostKeyAnswer::Fingerprint(_)) => {
                    return Err(declined(
                        offer,
                        ErrorKind::HostKeyRejected,
                        format!(
                            "the host key's fingerprint is {}, which is not the one given",
                            offer.fingerprint()
                        ),
                    )
                    .with_hint("do not log in before it is clear why the host shows another key"));
                }
                Ok(HostKeyAnswer::Unclear) => {}
                // As if it had not been asked: the refusal says how to add the key.
                Err(PromptError::Unavailable) => return Err(unknown),
                Ok(HostKeyAnswer::No) | Err(_) => {
                    return Err(declined(offer, ErrorKind::HostKeyUnknown, "the host key was not accepted"));
                }
            }
        }
        Err(declined(offer, ErrorKind::HostKeyUnknown, "the host key was neither accepted nor refused")
            .with_hint("answer with `yes`, `no` or the fingerprint"))
    }
}

impl HostTrust for ConfiguredTrust {
    fn known_algorithms(&self, host: &str, port: u16) -> Vec<String> {
        self.known.known_algorithms(host, port)
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.judge(offer))
    }
}

impl fmt::Debug for ConfiguredTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredTrust")
            .field("known", &self.known)
            .field("prompter", &self.prompter.is_some())
            .finish()
    }
}

/// The same trust in several hands.
pub(super) struct SharedTrust(pub(super) Arc<ConfiguredTrust>);

impl HostTrust for SharedTrust {
    fn known_algorithms(&self, host: &str, port: u16) -> Vec<String> {
        self.0.known_algorithms(host, port)
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        self.0.check(offer)
    }
}

fn known_hosts(settings: &Settings) -> KnownHosts {
    let mut known = KnownHosts::new();
    // Unset, they are left to `KnownHosts`, which has the same defaults and words for a missing home directory.
    if *settings.origin(Keyword::UserKnownHostsFile) != Origin::Default {
        known = known.user_files(settings.user_known_hosts_files());
    }
    if *settings.origin(Keyword::GlobalKnownHostsFile) != Origin::Default {
        known = known.system_files(settings.global_known_hosts_files());
    }
    if settings.hash_known_hosts() {
        known = known.hash_new(HostHashing::Hashed);
    }
    match settings.host_key_alias() {
        Some(alias) => known.host_key_alias(alias),
        None => known,
    }
}

fn declined(offer: &HostKeyOffer, kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "check host key", message).at(crate::target::host_and_port(offer.host(), offer.port()))
}
