//! Values as they are gathered: the first one of a keyword stays, with where it came from.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::args::{Args, MAX_WORDS, name, text};
use crate::lexer::Line;
use crate::pattern::{Compared, matches_pattern};
use crate::value::{self, Compression, RekeyLimit};
use crate::{
    AddKeysToAgent, AddressFamily, AlgorithmList, CanonicalizeHostname, ChannelTimeout, CnameRule,
    ConfigError, ConfigErrorKind, ControlMaster, ControlPersist, EscapeChar, FingerprintHash, Forward, IpQos,
    JumpHost, Keyword, LogLevel, Origin, PermitRemoteOpen, PubkeyAuthentication, RequestTty, SessionType,
    Source, StrictHostKeyChecking, SyslogFacility, TrafficClass, Tunnel, TunnelDevice, WarnWeakCrypto,
    YesNoAsk,
};

/// As many as ssh takes of each.
const MAX_KEY_FILES: usize = 100;

/// Where the value of a keyword came from, and whether it asks for anything.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) origin: Origin,
    pub(crate) neutral: bool,
}

macro_rules! options {
    ($($field:ident: $type:ty,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Options {
            $(pub(crate) $field: $type,)*
            pub(crate) marks: BTreeMap<Keyword, Mark>,
        }
    };
}

options! {
    add_keys_to_agent: Option<AddKeysToAgent>,
    address_family: Option<AddressFamily>,
    batch_mode: Option<bool>,
    bind_address: Option<String>,
    bind_interface: Option<String>,
    ca_signature_algorithms: Option<AlgorithmList>,
    canonical_domains: Option<Vec<String>>,
    canonicalize_fallback_local: Option<bool>,
    canonicalize_hostname: Option<CanonicalizeHostname>,
    canonicalize_max_dots: Option<u32>,
    canonicalize_permitted_cnames: Option<Vec<CnameRule>>,
    certificate_files: Vec<(String, Origin)>,
    channel_timeouts: Option<Vec<ChannelTimeout>>,
    check_host_ip: Option<bool>,
    ciphers: Option<AlgorithmList>,
    clear_all_forwardings: Option<bool>,
    compression: Option<Compression>,
    connect_timeout: Option<Duration>,
    connection_attempts: Option<u32>,
    control_master: Option<ControlMaster>,
    control_path: Option<String>,
    control_persist: Option<ControlPersist>,
    dynamic_forwards: Vec<Forward>,
    enable_escape_commandline: Option<bool>,
    enable_ssh_keysign: Option<bool>,
    escape_char: Option<EscapeChar>,
    exit_on_forward_failure: Option<bool>,
    fingerprint_hash: Option<FingerprintHash>,
    fork_after_authentication: Option<bool>,
    forward_agent: Option<bool>,
    forward_agent_path: Option<String>,
    forward_x11: Option<bool>,
    forward_x11_timeout: Option<Duration>,
    forward_x11_trusted: Option<bool>,
    gateway_ports: Option<bool>,
    global_known_hosts_files: Option<Vec<String>>,
    gssapi_authentication: Option<bool>,
    gssapi_delegate_credentials: Option<bool>,
    hash_known_hosts: Option<bool>,
    host_key_algorithms: Option<AlgorithmList>,
    host_key_alias: Option<String>,
    host_name: Option<String>,
    hostbased_accepted_algorithms: Option<AlgorithmList>,
    hostbased_authentication: Option<bool>,
    identities_only: Option<bool>,
    identity_agent: Option<String>,
    identity_files: Vec<(String, Origin)>,
    ignore_unknown: Option<String>,
    ip_qos: Option<IpQos>,
    kbd_interactive_authentication: Option<bool>,
    kbd_interactive_devices: Option<String>,
    kex_algorithms: Option<AlgorithmList>,
    known_hosts_command: Option<String>,
    local_command: Option<String>,
    local_forwards: Vec<Forward>,
    log_level: Option<LogLevel>,
    log_verbose: Option<Vec<String>>,
    macs: Option<AlgorithmList>,
    no_host_authentication_for_localhost: Option<bool>,
    number_of_password_prompts: Option<u32>,
    obscure_keystroke_timing: Option<Duration>,
    password_authentication: Option<bool>,
    permit_local_command: Option<bool>,
    permit_remote_open: Option<(PermitRemoteOpen, String)>,
    pkcs11_provider: Option<String>,
    port: Option<u16>,
    preferred_authentications: Option<String>,
    proxy_command: Option<String>,
    proxy_jump: Option<(Vec<JumpHost>, String)>,
    proxy_use_fdpass: Option<bool>,
    pubkey_accepted_algorithms: Option<AlgorithmList>,
    pubkey_authentication: Option<PubkeyAuthentication>,
    rekey_bytes: Option<Option<u64>>,
    rekey_interval: Option<Duration>,
    remote_command: Option<String>,
    remote_forwards: Vec<Forward>,
    request_tty: Option<RequestTty>,
    required_rsa_size: Option<u32>,
    revoked_host_keys: Option<Vec<String>>,
    security_key_provider: Option<String>,
    send_env: Vec<String>,
    compared: Compared,
    server_alive_count_max: Option<u32>,
    server_alive_interval: Option<Duration>,
    session_type: Option<SessionType>,
    set_env: Option<Vec<(String, String)>>,
    stdin_null: Option<bool>,
    stream_local_bind_mask: Option<u32>,
    stream_local_bind_unlink: Option<bool>,
    strict_host_key_checking: Option<StrictHostKeyChecking>,
    syslog_facility: Option<SyslogFacility>,
    tag: Option<String>,
    tcp_keep_alive: Option<bool>,
    tunnel: Option<Tunnel>,
    tunnel_device: Option<TunnelDevice>,
    update_host_keys: Option<YesNoAsk>,
    user: Option<String>,
    user_known_hosts_files: Option<Vec<String>>,
    verify_host_key_dns: Option<YesNoAsk>,
    version_addendum: Option<String>,
    visual_host_key: Option<bool>,
    warn_weak_crypto: Option<WarnWeakCrypto>,
    xauth_location: Option<String>,
}

impl Options {
    pub(crate) fn rekey_limit(&self) -> RekeyLimit {
        RekeyLimit::new(
            self.rekey_bytes.flatten(),
            self.rekey_interval.filter(|interval| !interval.is_zero()),
        )
    }

    /// Whether and how names are made canonical is settled with the first reading.
    pub(crate) fn settle_canonical(&mut self) {
        self.canonicalize_hostname.get_or_insert(CanonicalizeHostname::No);
        self.canonicalize_max_dots.get_or_insert(1);
        self.canonicalize_fallback_local.get_or_insert(true);
    }

    /// Whether the connection goes to the host itself, as far as it is known yet.
    pub(crate) fn is_direct(&self) -> bool {
        let command = self.proxy_command.as_deref().filter(|command| !command.eq_ignore_ascii_case("none"));
        self.last_jump().is_none() && command.is_none()
    }

    /// The host before the last one, as it is written.
    pub(crate) fn last_jump(&self) -> Option<&JumpHost> {
        self.proxy_jump.as_ref().and_then(|(hosts, _)| hosts.last())
    }

    /// Takes the value of a keyword. A line in a block that does not apply is checked like any other and then
    /// forgotten.
    pub(crate) fn take(
        &mut self,
        keyword: Keyword,
        line: &Line<'_>,
        origin: &Origin,
        applies: bool,
        source: &dyn Source,
    ) -> Result<(), ConfigError> {
        let mut args = Args::new(keyword, line, source);
        let mark = || Mark { origin: origin.clone(), neutral: keyword.is_neutral(line) };
        /// The first value of the keyword that applies.
        macro_rules! first {
            ($field:ident, $value:expr) => {
                first!($field, $value, applies)
            };
            ($field:ident, $value:expr, $applies:expr) => {{
                let value = $value;
                if $applies && self.$field.is_none() {
                    self.$field = Some(value);
                    self.marks.entry(keyword).or_insert_with(mark);
                }
            }};
        }
        /// A time, where `none` leaves the keyword to a later value, and counts as its default if none comes.
        macro_rules! first_time {
            ($field:ident, $value:expr) => {
                match $value {
                    Some(time) => {
                        if applies && self.$field.is_none() {
                            self.marks.remove(&keyword);
                        }
                        first!($field, time)
                    }
                    None if applies => _ = self.marks.entry(keyword).or_insert_with(mark),
                    None => {}
                }
            };
        }
        match keyword {
            Keyword::AddKeysToAgent => {
                let word = args.one(|word| Ok(word.to_owned()))?;
                let time = args.another()?;
                let value = AddKeysToAgent::parse(&word, time.as_deref()).map_err(|why| args.bad(why))?;
                first!(add_keys_to_agent, value)
            }
            Keyword::AddressFamily => first!(address_family, args.one(AddressFamily::parse)?),
            Keyword::BatchMode => first!(batch_mode, args.one(value::flag)?),
            Keyword::BindAddress => first!(bind_address, args.one(text)?),
            Keyword::BindInterface => first!(bind_interface, args.one(text)?),
            Keyword::CaSignatureAlgorithms => {
                first!(ca_signature_algorithms, args.one(AlgorithmList::parse)?)
            }
            Keyword::CanonicalDomains => {
                let domains = args.words()?;
                let parsed: Result<Vec<_>, String> = domains.iter().map(|name| value::domain(name)).collect();
                first!(canonical_domains, parsed.map_err(|why| args.bad(why))?)
            }
            Keyword::CanonicalizeFallbackLocal => {
                first!(canonicalize_fallback_local, args.one(value::flag)?)
            }
            Keyword::CanonicalizeHostname => {
                first!(canonicalize_hostname, args.one(CanonicalizeHostname::parse)?)
            }
            Keyword::CanonicalizeMaxDots => first!(canonicalize_max_dots, args.one(value::number)?),
            Keyword::CanonicalizePermittedCnames => {
                let rules = args.words_or_none()?;
                let rules: Result<Vec<_>, String> = rules.iter().map(|rule| CnameRule::parse(rule)).collect();
                first!(canonicalize_permitted_cnames, rules.map_err(|why| args.bad(why))?)
            }
            Keyword::CertificateFile => {
                let file = args.one(text)?;
                self.push_file(keyword, file, origin, applies)?;
            }
            Keyword::ChannelTimeout => {
                let words = args.words_or_none()?;
                let rules: Result<Vec<_>, String> =
                    words.iter().map(|rule| ChannelTimeout::parse(rule)).collect();
                first!(channel_timeouts, rules.map_err(|why| args.bad(why))?)
            }
            Keyword::CheckHostIp => first!(check_host_ip, args.one(value::flag)?),
            Keyword::Ciphers => first!(ciphers, args.one(AlgorithmList::parse)?),
            Keyword::ClearAllForwardings => first!(clear_all_forwardings, args.one(value::flag)?),
            Keyword::Compression => first!(compression, args.one(Compression::parse)?),
            Keyword::ConnectTimeout => first_time!(connect_timeout, args.one(value::time)?),
            Keyword::ConnectionAttempts => first!(connection_attempts, args.one(value::number)?),
            Keyword::ControlMaster => first!(control_master, args.one(ControlMaster::parse)?),
            Keyword::ControlPath => first!(control_path, args.one(text)?),
            Keyword::ControlPersist => first!(control_persist, args.one(ControlPersist::parse)?),
            Keyword::DynamicForward | Keyword::LocalForward | Keyword::RemoteForward => {
                let forward = args.forward(origin)?;
                if applies {
                    self.push_forward(keyword, forward)?;
                }
            }
            Keyword::EnableEscapeCommandline => first!(enable_escape_commandline, args.one(value::flag)?),
            Keyword::EnableSshKeysign => first!(enable_ssh_keysign, args.one(value::flag)?),
            Keyword::EscapeChar => first!(escape_char, args.one(EscapeChar::parse)?),
            Keyword::ExitOnForwardFailure => first!(exit_on_forward_failure, args.one(value::flag)?),
            Keyword::FingerprintHash => first!(fingerprint_hash, args.one(FingerprintHash::parse)?),
            Keyword::ForkAfterAuthentication => first!(fork_after_authentication, args.one(value::flag)?),
            Keyword::ForwardAgent => {
                let word = args.one(text)?;
                match value::flag(&word) {
                    Ok(flag) => first!(forward_agent, flag),
                    // Two values, and each its first, as ssh: after `ForwardAgent no` a path changes nothing.
                    Err(_) => {
                        let path = value::agent::socket(&word, source).map_err(|why| args.bad(why))?;
                        first!(forward_agent, true);
                        first!(forward_agent_path, path);
                    }
                }
            }
            Keyword::ForwardX11 => first!(forward_x11, args.one(value::flag)?),
            Keyword::ForwardX11Timeout => first_time!(forward_x11_timeout, args.one(value::time)?),
            Keyword::ForwardX11Trusted => first!(forward_x11_trusted, args.one(value::flag)?),
            Keyword::GatewayPorts => first!(gateway_ports, args.one(value::flag)?),
            Keyword::GlobalKnownHostsFile => first!(global_known_hosts_files, args.files()?),
            Keyword::GssapiAuthentication => first!(gssapi_authentication, args.one(value::flag)?),
            Keyword::GssapiDelegateCredentials => first!(gssapi_delegate_credentials, args.one(value::flag)?),
            Keyword::HashKnownHosts => first!(hash_known_hosts, args.one(value::flag)?),
            Keyword::HostKeyAlgorithms => first!(host_key_algorithms, args.one(AlgorithmList::parse)?),
            Keyword::HostKeyAlias => first!(host_key_alias, args.one(name)?),
            Keyword::HostName => first!(host_name, args.one(name)?),
            Keyword::HostbasedAcceptedAlgorithms => {
                first!(hostbased_accepted_algorithms, args.one(AlgorithmList::parse)?)
            }
            Keyword::HostbasedAuthentication => first!(hostbased_authentication, args.one(value::flag)?),
            Keyword::IdentitiesOnly => first!(identities_only, args.one(value::flag)?),
            Keyword::IdentityAgent => {
                first!(identity_agent, args.one(|word| value::agent::socket(&text(word)?, source))?)
            }
            Keyword::IdentityFile => {
                let file = args.one(text)?;
                self.push_file(keyword, file, origin, applies)?;
            }
            Keyword::IgnoreUnknown => first!(ignore_unknown, args.one(text)?),
            Keyword::IpQos => {
                let interactive = args.one(TrafficClass::parse)?;
                let bulk = if args.is_at_end() { interactive } else { args.one(TrafficClass::parse)? };
                first!(ip_qos, IpQos::new(interactive, bulk))
            }
            Keyword::KbdInteractiveAuthentication => {
                first!(kbd_interactive_authentication, args.one(value::flag)?);
            }
            Keyword::KbdInteractiveDevices => first!(kbd_interactive_devices, args.one(text)?),
            Keyword::KexAlgorithms => first!(kex_algorithms, args.one(AlgorithmList::parse)?),
            Keyword::KnownHostsCommand => first!(known_hosts_command, args.rest()?),
            Keyword::LocalCommand => first!(local_command, args.rest()?),
            Keyword::LogLevel => first!(log_level, args.one(LogLevel::parse)?),
            Keyword::LogVerbose => {
                // ssh keeps the first word alone.
                let words = args.words()?;
                first!(log_verbose, words.into_iter().take(1).collect::<Vec<_>>())
            }
            Keyword::Macs => first!(macs, args.one(AlgorithmList::parse)?),
            Keyword::NoHostAuthenticationForLocalhost => {
                first!(no_host_authentication_for_localhost, args.one(value::flag)?)
            }
            Keyword::NumberOfPasswordPrompts => first!(number_of_password_prompts, args.one(value::number)?),
            Keyword::ObscureKeystrokeTiming => {
                first!(obscure_keystroke_timing, args.one(value::terminal::keystroke_interval)?)
            }
            Keyword::PasswordAuthentication => first!(password_authentication, args.one(value::flag)?),
            Keyword::PermitLocalCommand => first!(permit_local_command, args.one(value::flag)?),
            Keyword::PermitRemoteOpen => {
                let words = args.all()?;
                let places = PermitRemoteOpen::parse(&words, source).map_err(|why| args.bad(why))?;
                first!(permit_remote_open, (places, words.join(" ")))
            }
            Keyword::Pkcs11Provider => first!(pkcs11_provider, args.one(text)?),
            Keyword::Port => first!(port, args.one(|word| value::port(word, source))?),
            Keyword::PreferredAuthentications => first!(preferred_authentications, args.one(text)?),
            Keyword::ProxyCommand => {
                let jumps = self.proxy_jump.as_ref().is_some_and(|(hosts, _)| !hosts.is_empty());
                first!(proxy_command, args.rest()?, applies && !jumps)
            }
            Keyword::ProxyJump => {
                let rest = args.rest()?;
                let none = rest.eq_ignore_ascii_case("none");
                let written = rest.split('#').next().unwrap_or_default().trim_ascii_end().to_owned();
                let hosts = if none { Ok(Vec::new()) } else { JumpHost::parse_list(&written, source) };
                let hosts = hosts.map_err(|why| args.bad(why))?;
                first!(proxy_jump, (hosts, written), applies && (none || self.proxy_command.is_none()))
            }
            Keyword::ProxyUseFdpass => first!(proxy_use_fdpass, args.one(value::flag)?),
            Keyword::PubkeyAcceptedAlgorithms => {
                first!(pubkey_accepted_algorithms, args.one(AlgorithmList::parse)?);
            }
            Keyword::PubkeyAuthentication => {
                first!(pubkey_authentication, args.one(PubkeyAuthentication::parse)?)
            }
            Keyword::RekeyLimit => {
                first!(rekey_bytes, args.one(value::bytes)?);
                if !args.is_at_end()
                    && let Some(interval) = args.one(value::time)?
                {
                    first!(rekey_interval, interval);
                }
            }
            Keyword::RemoteCommand => first!(remote_command, args.rest()?),
            Keyword::RequestTty => first!(request_tty, args.one(RequestTty::parse)?),
            Keyword::RequiredRsaSize => first!(required_rsa_size, args.one(value::number)?),
            Keyword::RevokedHostKeys => first!(revoked_host_keys, args.words_or_none()?),
            Keyword::SecurityKeyProvider => first!(security_key_provider, args.one(text)?),
            Keyword::SendEnv => {
                for name in args.all()? {
                    if name.is_empty() || name.contains('=') {
                        return Err(args.bad(format!("{name:?} is not a pattern for variables' names")));
                    }
                    if applies {
                        self.send_variable(name, mark())?;
                    }
                }
            }
            Keyword::ServerAliveCountMax => first!(server_alive_count_max, args.one(value::number)?),
            Keyword::ServerAliveInterval => first_time!(server_alive_interval, args.one(value::time)?),
            Keyword::SessionType => first!(session_type, args.one(SessionType::parse)?),
            Keyword::SetEnv => first!(set_env, args.variables()?),
            Keyword::StdinNull => first!(stdin_null, args.one(value::flag)?),
            Keyword::StreamLocalBindMask => {
                let mask = args.one(value::mask)?;
                // Unlike every other value: the last one counts, in whichever block it stands.
                self.stream_local_bind_mask = Some(mask);
                self.marks.insert(keyword, mark());
            }
            Keyword::StreamLocalBindUnlink => first!(stream_local_bind_unlink, args.one(value::flag)?),
            Keyword::StrictHostKeyChecking => {
                first!(strict_host_key_checking, args.one(StrictHostKeyChecking::parse)?);
            }
            // The first one counts in whichever block it stands, as with ssh.
            Keyword::SyslogFacility => first!(syslog_facility, args.one(SyslogFacility::parse)?, true),
            Keyword::Tag => first!(tag, args.one(name)?),
            Keyword::TcpKeepAlive => first!(tcp_keep_alive, args.one(value::flag)?),
            Keyword::Tunnel => first!(tunnel, args.one(Tunnel::parse)?),
            Keyword::TunnelDevice => first!(tunnel_device, args.one(TunnelDevice::parse)?),
            Keyword::UpdateHostKeys => first!(update_host_keys, args.one(YesNoAsk::parse)?),
            Keyword::User => first!(user, args.one(name)?),
            Keyword::UserKnownHostsFile => first!(user_known_hosts_files, args.files()?),
            Keyword::VerifyHostKeyDns => first!(verify_host_key_dns, args.one(YesNoAsk::parse)?),
            Keyword::VersionAddendum => {
                let rest = args.rest()?;
                let text = rest.split('#').next().unwrap_or_default().trim_ascii_end();
                let text = if text.eq_ignore_ascii_case("none") { "" } else { text };
                first!(version_addendum, text.to_owned())
            }
            Keyword::VisualHostKey => first!(visual_host_key, args.one(value::flag)?),
            Keyword::WarnWeakCrypto => first!(warn_weak_crypto, args.one(WarnWeakCrypto::parse)?),
            Keyword::XAuthLocation => first!(xauth_location, args.one(text)?),
            // These govern the reading and are seen to there.
            Keyword::Host | Keyword::Include | Keyword::Match | Keyword::RefuseConnection => return Ok(()),
        }
        args.end()
    }

    /// A key or certificate: these add up.
    pub(crate) fn push_file(
        &mut self,
        keyword: Keyword,
        file: String,
        origin: &Origin,
        applies: bool,
    ) -> Result<(), ConfigError> {
        let files = match keyword {
            Keyword::CertificateFile => &mut self.certificate_files,
            _ => &mut self.identity_files,
        };
        if !applies || files.iter().any(|(known, _)| *known == file) {
            return Ok(());
        }
        if files.len() >= MAX_KEY_FILES {
            let message = format!("more than {MAX_KEY_FILES} values of {keyword}");
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        files.push((file, origin.clone()));
        self.marks.entry(keyword).or_insert_with(|| Mark { origin: origin.clone(), neutral: false });
        Ok(())
    }

    /// A forwarding: these add up, each once.
    fn push_forward(&mut self, keyword: Keyword, forward: Forward) -> Result<(), ConfigError> {
        let forwards = match keyword {
            Keyword::LocalForward => &mut self.local_forwards,
            Keyword::RemoteForward => &mut self.remote_forwards,
            _ => &mut self.dynamic_forwards,
        };
        if forwards.iter().any(|known| known.is_same(&forward)) {
            return Ok(());
        }
        if forwards.len() >= MAX_WORDS {
            let message = format!("more than {MAX_WORDS} values of {keyword}");
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        let origin = forward.origin.clone();
        forwards.push(forward);
        self.marks.entry(keyword).or_insert(Mark { origin, neutral: false });
        Ok(())
    }

    /// A pattern adds to the list; with `-` before it, it takes away what it matches.
    fn send_variable(&mut self, name: String, mark: Mark) -> Result<(), ConfigError> {
        if let Some(pattern) = name.strip_prefix('-') {
            let names: usize = self.send_env.iter().map(String::len).sum();
            let message = "SendEnv: too many names, too often taken away again; write fewer, or shorter ones";
            self.compared.count(names, pattern.len(), message)?;
            self.send_env.retain(|known| !matches_pattern(known.as_bytes(), pattern.as_bytes()));
            return Ok(());
        }
        if self.send_env.len() >= MAX_WORDS {
            let message = format!("more than {MAX_WORDS} patterns in SendEnv");
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        self.send_env.push(name);
        self.marks.entry(Keyword::SendEnv).or_insert(mark);
        Ok(())
    }
}
