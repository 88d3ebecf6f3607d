//! What each setting of the configuration becomes: deadlines, sockets, algorithms, credentials.

use std::net::{IpAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use rustle_ssh_config as config;
use rustle_ssh_config::{AlgorithmList, Keyword, Origin, PubkeyAuthentication, Settings, Source};

use crate::algorithms::{Algorithms, Compression};
use crate::auth::{AuthMethod, Credentials};
use crate::connect::dial::{AddressFamily, DialOptions};
use crate::error::Result;
use crate::options::{BufferLimits, TransportOptions};
use crate::setup::agents;
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
    let rekey = settings.rekey_limit();
    builder = builder.rekey_bytes(rekey.bytes()).rekey_interval(rekey.interval());
    builder.build()
}

/// How long a shared connection is kept that nobody uses. `ControlPersist no` is about what is left behind by a program that
/// ends: it asks nothing of one that goes on.
pub(super) fn kept_idle(settings: &Settings) -> Option<Duration> {
    if settings.control_master() == config::ControlMaster::No {
        return None;
    }
    match settings.control_persist() {
        config::ControlPersist::Yes => Some(Duration::MAX),
        config::ControlPersist::For(time) => Some(time),
        _ => None,
    }
}

/// The socket. Its deadline is the transport's, which is never longer.
///
/// # Errors
/// A `BindAddress` that is no address and does not resolve to one.
pub(super) fn dial(settings: &Settings) -> Result<DialOptions> {
    let mut dial =
        DialOptions::default().timeout(Duration::MAX).address_family(match settings.address_family() {
            config::AddressFamily::Inet => AddressFamily::V4,
            config::AddressFamily::Inet6 => AddressFamily::V6,
            _ => AddressFamily::Any,
        });
    if !settings.tcp_keep_alive() {
        // Whoever wants to live through an outage of the network has no limit on what is under way either.
        dial = dial.keepalive(None).user_timeout(None);
    }
    if let Some(name) = settings.bind_address() {
        dial = dial.bind_addresses(local_addresses(name, settings)?);
    }
    dial = dial.bind_interface(settings.bind_interface().map(str::to_owned));
    if let Some(attempts) = NonZeroU32::new(settings.connection_attempts()) {
        dial = dial.attempts(attempts);
    }
    Ok(dial.traffic_class(traffic_classes(settings).bulk))
}

/// The classes of packets (`IPQoS`); none leaves them to the system.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrafficClasses {
    pub(super) interactive: Option<u8>,
    pub(super) bulk: Option<u8>,
}

pub(super) fn traffic_classes(settings: &Settings) -> TrafficClasses {
    let byte = |class| match class {
        config::TrafficClass::Byte(byte) => Some(byte),
        _ => None,
    };
    let classes = settings.ip_qos();
    TrafficClasses { interactive: byte(classes.interactive()), bulk: byte(classes.bulk()) }
}

/// The addresses of `BindAddress`, which may be a name of this machine.
fn local_addresses(name: &str, settings: &Settings) -> Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let origin = settings.origin(Keyword::BindAddress);
    let failed = |why: String| {
        super::refused(format!("{origin}: BindAddress: {name} is no address of this machine: {why}"))
            .with_hint("write an address that `ip address` shows")
    };
    let found = (name, 0).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let found: Vec<_> = found.map(|address| address.ip()).collect();
    if found.is_empty() { Err(failed("it has none".to_owned())) } else { Ok(found) }
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
    if settings.compression() {
        algorithms = algorithms.with_compression(Compression::On);
    }
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
    let mut credentials = Credentials::new().agent(agents::asked(settings, source));
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
    if let Some(list) = settings.pubkey_accepted_algorithms() {
        credentials = credentials.accepted_algorithms(list.apply(&Credentials::DEFAULT_ALGORITHMS));
    }
    credentials = credentials.required_rsa_size(settings.required_rsa_size());
    if let Some(terms) = agents::given(settings) {
        credentials = credentials.add_keys_to_agent(terms);
    }
    credentials.methods(methods)
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

pub(super) fn is_set(settings: &Settings, keyword: Keyword) -> bool {
    *settings.origin(keyword) != Origin::Default
}
