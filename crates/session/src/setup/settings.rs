//! What each setting of the configuration becomes: deadlines, sockets, algorithms, credentials.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use rustle_ssh_config as config;
use rustle_ssh_config::{
    AlgorithmList, IdentityAgent, Keyword, Origin, PubkeyAuthentication, Settings, Source,
};

use crate::algorithms::Algorithms;
use crate::auth::{AgentSource, AuthMethod, Credentials};
use crate::connect::dial::{AddressFamily, DialOptions};
use crate::error::Result;
use crate::options::{BufferLimits, TransportOptions};
use crate::setup::warning::SetupWarning;

/// Deadlines and keepalive. What nobody set keeps this crate's own default: it notices a dead peer, where ssh
/// would wait for ever.
pub(super) fn transport(
    settings: &Settings,
    connect_timeout: Option<Duration>,
    buffers: Option<BufferLimits>,
) -> Result<TransportOptions> {
    let mut builder = TransportOptions::builder().buffers(buffers.unwrap_or_default());
    if let Some(timeout) = connect_timeout.or(settings.connect_timeout()) {
        builder = builder.connect_timeout(timeout);
    }
    if is_set(settings, Keyword::ServerAliveInterval) {
        builder = builder.keepalive_interval(settings.server_alive_interval());
    }
    if is_set(settings, Keyword::ServerAliveCountMax) {
        // With 0, ssh gives up at the first question without an answer.
        let max = NonZeroU32::new(settings.server_alive_count_max()).unwrap_or(NonZeroU32::MIN);
        builder = builder.keepalive_max(max);
    }
    builder.build()
}

/// The socket. Its deadline is the transport's, which is never longer.
pub(super) fn dial(settings: &Settings) -> DialOptions {
    let mut dial =
        DialOptions::default().timeout(Duration::MAX).address_family(match settings.address_family() {
            config::AddressFamily::Inet => AddressFamily::V4,
            config::AddressFamily::Inet6 => AddressFamily::V6,
            _ => AddressFamily::Any,
        });
    if !settings.tcp_keep_alive() {
        dial = dial.keepalive(None);
    }
    dial
}

/// The four lists, each changing this crate's defaults.
pub(super) fn algorithms(settings: &Settings, warnings: &mut Vec<SetupWarning>) -> Result<Algorithms> {
    type With = fn(Algorithms, &str) -> Result<Algorithms>;
    let lists: [(Keyword, Option<&AlgorithmList>, With); 4] = [
        (Keyword::KexAlgorithms, settings.kex_algorithms(), Algorithms::with_kex),
        (Keyword::HostKeyAlgorithms, settings.host_key_algorithms(), Algorithms::with_host_keys),
        (Keyword::Ciphers, settings.ciphers(), Algorithms::with_ciphers),
        (Keyword::Macs, settings.macs(), Algorithms::with_macs),
    ];
    let mut algorithms = Algorithms::default();
    for (keyword, list, with) in lists {
        let Some(list) = list else { continue };
        let origin = settings.origin(keyword);
        let known = algorithms.left_out().len();
        algorithms = with(algorithms, &list.to_string()).map_err(|error| {
            let refused = super::refused(format!("{origin}: {error}"));
            match error.hint() {
                Some(hint) => refused.with_hint(hint),
                None => refused,
            }
        })?;
        if let Some(left_out) = algorithms.left_out().get(known..).filter(|names| !names.is_empty()) {
            let message = format!("{} is not offered: this program does not have it", left_out.join(", "));
            warnings.push(SetupWarning::new(origin, keyword, message));
        }
    }
    Ok(algorithms)
}

/// What to log in with, but for passwords and people, which no configuration holds.
pub(super) fn credentials(
    settings: &Settings,
    source: &dyn Source,
    warnings: &mut Vec<SetupWarning>,
) -> Credentials {
    let mut credentials = Credentials::new().agent(agent(settings, source));
    let identities = settings.identity_files();
    if identities.is_empty() {
        credentials = credentials.without_default_keys();
    }
    for identity in identities.iter().filter(|identity| *identity.origin() != Origin::Default) {
        credentials = credentials.key_file(PathBuf::from(identity.path()));
    }
    for certificate in settings.certificate_files() {
        credentials = credentials.certificate_file(PathBuf::from(certificate.path()));
    }
    if settings.identities_only() {
        credentials = credentials.identities_only();
    }
    if settings.batch_mode() {
        credentials = credentials.batch_mode();
    }
    let mut methods = methods(settings, warnings);
    match NonZeroU32::new(settings.number_of_password_prompts()) {
        Some(count) => credentials = credentials.number_of_password_prompts(count),
        // No prompts leave neither of these two anything to ask, as in ssh.
        None => methods.retain(|method| *method == AuthMethod::PublicKey),
    }
    if takes_rsa_sha1(settings, warnings) {
        credentials = credentials.allow_rsa_sha1();
    }
    credentials.methods(methods)
}

fn agent(settings: &Settings, source: &dyn Source) -> AgentSource {
    match settings.identity_agent() {
        IdentityAgent::None => AgentSource::None,
        IdentityAgent::Path(path) => AgentSource::Path(PathBuf::from(path)),
        IdentityAgent::Environment(name) if name == "SSH_AUTH_SOCK" => AgentSource::Env,
        IdentityAgent::Environment(name) => match source.env(name).filter(|path| !path.is_empty()) {
            Some(path) => AgentSource::Path(PathBuf::from(path)),
            None => AgentSource::None,
        },
        // Kinds of agents may be added; one that is not understood is not asked.
        _ => AgentSource::None,
    }
}

fn methods(settings: &Settings, warnings: &mut Vec<SetupWarning>) -> Vec<AuthMethod> {
    let mut methods = AuthMethod::DEFAULT_ORDER.to_vec();
    if let Some(preferred) = settings.preferred_authentications() {
        let (known, unknown): (Vec<_>, Vec<_>) = preferred
            .map(|name| AuthMethod::from_name(name).ok_or(name))
            .partition(std::result::Result::is_ok);
        methods = known.into_iter().flatten().collect();
        let unknown: Vec<_> = unknown.into_iter().filter_map(std::result::Result::err).collect();
        if !unknown.is_empty() {
            let keyword = Keyword::PreferredAuthentications;
            let message = format!("{} is not tried: this program does not have it", unknown.join(", "));
            warnings.push(SetupWarning::new(settings.origin(keyword), keyword, message));
        }
    }
    match settings.pubkey_authentication() {
        PubkeyAuthentication::No => methods.retain(|method| *method != AuthMethod::PublicKey),
        PubkeyAuthentication::HostBound => {
            let keyword = Keyword::PubkeyAuthentication;
            let message = "signatures are not bound to the host's key yet; keys are offered without that";
            warnings.push(SetupWarning::new(settings.origin(keyword), keyword, message));
        }
        _ => {}
    }
    if !settings.password_authentication() {
        methods.retain(|method| *method != AuthMethod::Password);
    }
    if !settings.kbd_interactive_authentication() {
        methods.retain(|method| *method != AuthMethod::KeyboardInteractive);
    }
    methods
}

/// `PubkeyAcceptedAlgorithms` is followed in what it is mostly set for: SHA-1 for an old server.
fn takes_rsa_sha1(settings: &Settings, warnings: &mut Vec<SetupWarning>) -> bool {
    let Some(list) = settings.pubkey_accepted_algorithms() else { return false };
    let names = match list {
        AlgorithmList::Only(names) | AlgorithmList::Append(names) | AlgorithmList::Prepend(names) => {
            names.as_slice()
        }
        _ => &[],
    };
    let sha1 = names.iter().any(|name| name == "ssh-rsa");
    let only_adds =
        matches!(list, AlgorithmList::Append(names) if names.iter().all(|name| name == "ssh-rsa"));
    if !only_adds {
        let keyword = Keyword::PubkeyAcceptedAlgorithms;
        let message = "keys are not restricted by algorithm yet; all that are found may be offered";
        warnings.push(SetupWarning::new(settings.origin(keyword), keyword, message));
    }
    sha1
}

fn is_set(settings: &Settings, keyword: Keyword) -> bool {
    *settings.origin(keyword) != Origin::Default
}
