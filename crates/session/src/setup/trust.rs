//! `StrictHostKeyChecking` and the known hosts, as ssh has them, and the question to a person.

use std::fmt;
use std::sync::Arc;

use rustle_ssh_config::{
    HostKeyQuestion, Keyword, Origin, OsSource, Settings, StrictHostKeyChecking, YesNoAsk,
};
use rustle_trust::TrustRules;

use crate::BoxFuture;
use crate::auth::PromptError;
use crate::danger;
use crate::error::{Error, ErrorKind, Result};
use crate::host_trust::{
    AnnouncedKeys, CommandFacts, DnsResolver, HostHashing, HostKeyOffer, HostKeysChange, HostTrust,
    KnownHosts, KnownHostsCommand, NewHost, Standing,
};
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

    /// Asks whether known_hosts is to follow what a host announces of its keys (`UpdateHostKeys ask`). By default
    /// nobody is asked, and it stays as it is.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm); both leave known_hosts as it is.
    ///
    /// # Cancel safety
    /// The future is dropped when the session is closed.
    fn confirm_change<'a>(
        &'a self,
        offer: &'a HostKeyOffer,
        change: &'a HostKeysChange,
    ) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        let _ = (offer, change);
        Box::pin(std::future::ready(Err(PromptError::Unavailable)))
    }
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
    new_hosts: NewHosts,
    /// Who has to agree to changes of known_hosts (`UpdateHostKeys ask`).
    asked_of_changes: Option<Arc<dyn HostKeyPrompter>>,
    /// `NoHostAuthenticationForLocalhost`.
    loopback: Loopback,
    picture: Picture,
}

/// What becomes of a host that is not known.
enum NewHosts {
    Refuse,
    Record,
    Ask(Arc<dyn HostKeyPrompter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loopback {
    Checked,
    Unchecked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    Hidden,
    Shown,
}

impl ConfiguredTrust {
    /// # Errors
    /// Where the configuration asks for what is not to be had, such as DNS servers on Windows.
    pub(super) fn new(
        settings: &Arc<Settings>,
        prompter: Option<Arc<dyn HostKeyPrompter>>,
        resolver: Option<DnsResolver>,
        warnings: &mut Vec<SetupWarning>,
    ) -> Result<Self> {
        let known = known_hosts(settings, resolver)?;
        let prompter = prompter.filter(|_| !settings.batch_mode());
        let (known, new_hosts) = match settings.strict_host_key_checking() {
            StrictHostKeyChecking::AcceptNew => (known.accept_new(), NewHosts::Record),
            StrictHostKeyChecking::No => {
                let message = "taken as accept-new: new hosts are written down, but a changed key is refused, \
                               where ssh would go on";
                let keyword = Keyword::StrictHostKeyChecking;
                warnings.push(SetupWarning::new(settings.origin(keyword), keyword, message));
                (known.accept_new(), NewHosts::Record)
            }
            StrictHostKeyChecking::Ask => {
                (known.strict(), prompter.clone().map_or(NewHosts::Refuse, NewHosts::Ask))
            }
            _ => (known.strict(), NewHosts::Refuse),
        };
        let mut loopback = Loopback::Checked;
        if settings.no_host_authentication_for_localhost() {
            let message =
                "the host key of a server on this machine is not checked: whoever takes its port is trusted";
            let keyword = Keyword::NoHostAuthenticationForLocalhost;
            warnings.push(SetupWarning::notice(settings.origin(keyword), keyword, message));
            loopback = Loopback::Unchecked;
        }
        let picture = if settings.visual_host_key() { Picture::Shown } else { Picture::Hidden };
        let (known, asked_of_changes) = match (settings.update_host_keys(), prompter) {
            (YesNoAsk::Yes, _) => (known.update_host_keys(), None),
            (YesNoAsk::Ask, Some(prompter)) => (known.update_host_keys(), Some(prompter)),
            // Where nobody can be asked, nobody agrees.
            _ => (known, None),
        };
        Ok(Self { known, new_hosts, asked_of_changes, loopback, picture })
    }

    pub(super) fn shows_picture(&self) -> bool {
        self.picture == Picture::Shown
    }

    async fn judge(&self, offer: &HostKeyOffer) -> Result<()> {
        let is_loopback = offer.address().is_some_and(|address| address.ip().to_canonical().is_loopback());
        // As ssh, which still refuses a revoked key, and checks what has a name of its own.
        if self.loopback == Loopback::Unchecked && is_loopback && !self.known.has_alias() {
            self.known.refuse_unacceptable(offer)?;
            return danger::AcceptAnyHostKey::new().check(offer).await;
        }
        match (&self.new_hosts, self.known.examine(offer).await?) {
            (_, Standing::Trusted) => Ok(()),
            (NewHosts::Refuse, Standing::New(new)) => Err(new.error),
            (NewHosts::Record, Standing::New(_)) => self.known.remember(offer).await,
            (NewHosts::Ask(prompter), Standing::New(new)) => self.ask(prompter.as_ref(), new).await,
        }
    }

    async fn ask(&self, prompter: &dyn HostKeyPrompter, new: NewHost) -> Result<()> {
        let offer = if self.shows_picture() { new.offer.with_picture() } else { new.offer };
        for _ in 0..ATTEMPTS {
            match prompter.confirm(&offer).await {
                Ok(HostKeyAnswer::Yes) => return self.known.remember(&offer).await,
                Ok(HostKeyAnswer::Fingerprint(typed)) if typed == offer.fingerprint() => {
                    return self.known.remember(&offer).await;
                }
                Ok(HostKeyAnswer::Fingerprint(_)) => {
                    return Err(declined(
                        &offer,
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
                Err(PromptError::Unavailable) => return Err(new.error),
                Ok(HostKeyAnswer::No) | Err(_) => {
                    return Err(declined(&offer, ErrorKind::HostKeyUnknown, "the host key was not accepted"));
                }
            }
        }
        Err(declined(&offer, ErrorKind::HostKeyUnknown, "the host key was neither accepted nor refused")
            .with_hint("answer with `yes`, `no` or the fingerprint"))
    }

    /// The change, where nobody has to be asked or the person agrees.
    async fn agreed(
        &self,
        offer: &HostKeyOffer,
        keys: &AnnouncedKeys,
        change: HostKeysChange,
    ) -> Option<HostKeysChange> {
        let Some(prompter) = &self.asked_of_changes else { return Some(change) };
        let asked = async {
            for _ in 0..ATTEMPTS {
                match tokio::time::timeout(keys.person_timeout(), prompter.confirm_change(offer, &change))
                    .await
                {
                    Ok(Ok(HostKeyAnswer::Yes)) => return true,
                    Ok(Ok(HostKeyAnswer::Unclear | HostKeyAnswer::Fingerprint(_))) => {}
                    // No, nobody there, or nobody who answers.
                    _ => return false,
                }
            }
            false
        };
        let is_agreed = tokio::select! {
            agreed = asked => agreed,
            () = keys.closing() => false,
        };
        is_agreed.then_some(change)
    }
}

impl HostTrust for ConfiguredTrust {
    fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>> {
        self.known.known_algorithms(host, port)
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.judge(offer))
    }

    fn announced<'a>(&'a self, offer: &'a HostKeyOffer, keys: &'a AnnouncedKeys) -> BoxFuture<'a, ()> {
        Box::pin(self.known.follow(offer, keys, |change| self.agreed(offer, keys, change)))
    }
}

impl fmt::Debug for ConfiguredTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredTrust")
            .field("known", &self.known)
            .field("asked_of_changes", &self.asked_of_changes.is_some())
            .finish_non_exhaustive()
    }
}

/// The same trust in several hands.
pub(super) struct SharedTrust(pub(super) Arc<ConfiguredTrust>);

impl HostTrust for SharedTrust {
    fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>> {
        self.0.known_algorithms(host, port)
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        self.0.check(offer)
    }

    fn announced<'a>(&'a self, offer: &'a HostKeyOffer, keys: &'a AnnouncedKeys) -> BoxFuture<'a, ()> {
        self.0.announced(offer, keys)
    }
}

fn known_hosts(settings: &Arc<Settings>, resolver: Option<DnsResolver>) -> Result<KnownHosts> {
    let mut known = KnownHosts::new().rules(rules(settings));
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
    for list in settings.revoked_host_keys() {
        known = known.revoked_keys(list);
    }
    if let Some(command) = command(settings)? {
        known = known.command(command);
    }
    if settings.check_host_ip() {
        known = known.check_addresses();
    }
    let dns = settings.verify_host_key_dns();
    if dns != YesNoAsk::No {
        let resolver = resolver.map_or_else(DnsResolver::system, Ok)?;
        known = if dns == YesNoAsk::Yes { known.trust_dns(resolver) } else { known.look_up_in_dns(resolver) };
    }
    Ok(match settings.host_key_alias() {
        Some(alias) => known.host_key_alias(alias),
        None => known,
    })
}

/// The command, whose other tokens the configuration knows. They are tried now, so that what is wrong is said with its
/// line.
fn command(settings: &Arc<Settings>) -> Result<Option<KnownHostsCommand>> {
    let question = HostKeyQuestion::new("ORDER", "");
    let words = settings.known_hosts_command_words(&question, &OsSource::new());
    let Some(words) = words.map_err(|error| super::unusable(&error))? else { return Ok(None) };
    let settings = Arc::clone(settings);
    let arguments = move |facts: &CommandFacts| {
        let question = HostKeyQuestion::new(facts.invocation, &facts.host);
        let question = question.key(&facts.algorithm, &facts.fingerprint, &facts.base64);
        let words = settings.known_hosts_command_words(&question, &OsSource::new());
        Ok(words.map_err(|error| super::unusable(&error))?.unwrap_or_default().into_iter().skip(1).collect())
    };
    KnownHostsCommand::making(words.first().map_or("", String::as_str), Arc::new(arguments)).map(Some)
}

fn rules(settings: &Settings) -> TrustRules {
    let rules = TrustRules::new()
        .required_rsa_bits(usize::try_from(settings.required_rsa_size()).unwrap_or(usize::MAX));
    match settings.ca_signature_algorithms() {
        Some(list) => {
            rules.ca_signature_algorithms(list.apply(TrustRules::default_ca_signature_algorithms()))
        }
        None => rules,
    }
}

fn declined(offer: &HostKeyOffer, kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "check host key", message).at(crate::target::host_and_port(offer.host(), offer.port()))
}
