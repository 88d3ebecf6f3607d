//! The settings in the format of `ssh -G`.

use std::fmt::Display;

use crate::{AlgorithmList, Defaults, IdentityAgent, Keyword, Origin, Settings};

impl Settings {
    /// The settings as `ssh -G` prints them: a line each of a keyword in lower case and its value, in the order of
    /// OpenSSH 9.2. Keywords that came later have a line only where they are set, in the place that later versions
    /// give them.
    #[must_use]
    pub fn lines(&self, defaults: &Defaults) -> Vec<String> {
        self.printed(defaults).into_iter().map(|line| format!("{} {}", line.name, line.value)).collect()
    }

    /// The same, with the keyword of each line.
    #[must_use]
    pub fn printed(&self, defaults: &Defaults) -> Vec<PrintedSetting> {
        let mut page = Page { settings: self, defaults, lines: Vec::new() };
        page.names();
        page.switches();
        page.numbers();
        page.texts();
        page.forwards();
        page.lists();
        page.particular();
        page.lines
    }
}

/// One line of `ssh -G`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedSetting {
    keyword: Keyword,
    name: String,
    value: String,
    origin: Origin,
}

impl PrintedSetting {
    /// The keyword.
    #[must_use]
    pub fn keyword(&self) -> Keyword {
        self.keyword
    }

    /// Its name as `ssh -G` writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands after it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where this value came from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

struct Page<'a> {
    settings: &'a Settings,
    defaults: &'a Defaults,
    lines: Vec<PrintedSetting>,
}

impl Page<'_> {
    fn put(&mut self, keyword: Keyword, value: impl Display) {
        let origin = match keyword {
            // The host is what was asked for.
            Keyword::Host => Origin::CommandLine,
            keyword => self.settings.origin(keyword).clone(),
        };
        self.put_from(keyword, value, origin);
    }

    fn put_from(&mut self, keyword: Keyword, value: impl Display, origin: Origin) {
        // The one name that ssh itself does not write in lower case.
        let name = match keyword {
            Keyword::CanonicalizePermittedCnames => "canonicalizePermittedcnames".to_owned(),
            keyword => keyword.name().to_ascii_lowercase(),
        };
        let value = match self.defaults.value(keyword) {
            Some(default) if !self.is_set(keyword) => default.to_owned(),
            _ => value.to_string(),
        };
        self.lines.push(PrintedSetting { keyword, name, value, origin });
    }

    fn put_some(&mut self, keyword: Keyword, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(keyword, value);
        }
    }

    /// For keywords that came after 9.2.
    fn put_set(&mut self, keyword: Keyword, value: impl Display) {
        if self.is_set(keyword) {
            self.put(keyword, value);
        }
    }

    fn flag(&mut self, keyword: Keyword, yes: bool) {
        self.put(keyword, if yes { "yes" } else { "no" });
    }

    fn algorithms(&mut self, keyword: Keyword, list: Option<&AlgorithmList>) {
        let defaults = self.defaults.value(keyword).unwrap_or_default();
        let whole = match list {
            None => defaults.to_owned(),
            Some(list) => list.apply(&defaults.split(',').collect::<Vec<_>>()).join(","),
        };
        self.put(keyword, whole);
    }

    /// Words on one line, `none` without any.
    fn words(&mut self, keyword: Keyword, words: &[String]) {
        self.put(keyword, if words.is_empty() { "none".to_owned() } else { words.join(" ") });
    }

    fn files(&mut self, keyword: Keyword, files: &[(String, Origin)]) {
        files.iter().for_each(|(file, origin)| self.put_from(keyword, file, origin.clone()));
    }

    fn is_set(&self, keyword: Keyword) -> bool {
        self.settings.options.marks.contains_key(&keyword)
    }

    fn names(&mut self) {
        let settings = self.settings;
        self.put(Keyword::Host, settings.alias());
        self.put(Keyword::User, settings.user());
        self.put(Keyword::HostName, settings.hostname());
        self.put(Keyword::Port, settings.port());
    }

    fn switches(&mut self) {
        let settings = self.settings;
        self.put(Keyword::AddressFamily, settings.address_family());
        self.flag(Keyword::BatchMode, settings.batch_mode());
        self.flag(Keyword::CanonicalizeFallbackLocal, settings.canonicalize_fallback_local());
        self.put(Keyword::CanonicalizeHostname, settings.canonicalize_hostname());
        self.flag(Keyword::CheckHostIp, settings.check_host_ip());
        self.flag(Keyword::Compression, settings.compression());
        self.put(Keyword::ControlMaster, settings.control_master());
        self.flag(Keyword::EnableSshKeysign, settings.enable_ssh_keysign());
        self.flag(Keyword::ClearAllForwardings, settings.clear_all_forwardings());
        self.flag(Keyword::ExitOnForwardFailure, settings.exit_on_forward_failure());
        self.put(Keyword::FingerprintHash, settings.fingerprint_hash());
        self.flag(Keyword::ForwardX11, settings.forward_x11());
        self.flag(Keyword::ForwardX11Trusted, settings.forward_x11_trusted());
        self.flag(Keyword::GatewayPorts, settings.gateway_ports());
        self.flag(Keyword::GssapiAuthentication, settings.gssapi_authentication());
        self.flag(Keyword::GssapiDelegateCredentials, settings.gssapi_delegate_credentials());
        self.flag(Keyword::HashKnownHosts, settings.hash_known_hosts());
        self.flag(Keyword::HostbasedAuthentication, settings.hostbased_authentication());
        self.flag(Keyword::IdentitiesOnly, settings.identities_only());
        self.flag(Keyword::KbdInteractiveAuthentication, settings.kbd_interactive_authentication());
        self.flag(Keyword::NoHostAuthenticationForLocalhost, settings.no_host_authentication_for_localhost());
        self.flag(Keyword::PasswordAuthentication, settings.password_authentication());
        self.flag(Keyword::PermitLocalCommand, settings.permit_local_command());
        // ssh's own jump host is a command of its own making, which passes no descriptor.
        self.flag(Keyword::ProxyUseFdpass, settings.proxy_use_fdpass() && settings.proxy_jump().is_empty());
        self.put(Keyword::PubkeyAuthentication, settings.pubkey_authentication());
        self.put(Keyword::RequestTty, settings.request_tty());
        self.put(Keyword::SessionType, settings.session_type());
        self.flag(Keyword::StdinNull, settings.stdin_null());
        self.flag(Keyword::ForkAfterAuthentication, settings.fork_after_authentication());
        self.flag(Keyword::StreamLocalBindUnlink, settings.stream_local_bind_unlink());
        self.put(Keyword::StrictHostKeyChecking, settings.strict_host_key_checking());
        self.flag(Keyword::TcpKeepAlive, settings.tcp_keep_alive());
        self.put(Keyword::Tunnel, settings.tunnel());
        self.put(Keyword::VerifyHostKeyDns, settings.verify_host_key_dns());
        self.flag(Keyword::VisualHostKey, settings.visual_host_key());
        self.put(Keyword::UpdateHostKeys, settings.update_host_keys());
        self.flag(Keyword::EnableEscapeCommandline, settings.enable_escape_commandline());
        self.put_set(Keyword::WarnWeakCrypto, settings.warn_weak_crypto());
    }

    fn numbers(&mut self) {
        let settings = self.settings;
        self.put(Keyword::CanonicalizeMaxDots, settings.canonicalize_max_dots());
        self.put(Keyword::ConnectionAttempts, settings.connection_attempts());
        self.put(Keyword::ForwardX11Timeout, settings.forward_x11_timeout().as_secs());
        self.put(Keyword::NumberOfPasswordPrompts, settings.number_of_password_prompts());
        self.put(Keyword::ServerAliveCountMax, settings.server_alive_count_max());
        let interval = settings.server_alive_interval().unwrap_or_default();
        self.put(Keyword::ServerAliveInterval, interval.as_secs());
        self.put(Keyword::RequiredRsaSize, settings.required_rsa_size());
        let interval = match settings.obscure_keystroke_timing().map(|time| time.as_millis()) {
            None => "no".to_owned(),
            Some(20) => "yes".to_owned(),
            Some(interval) => interval.to_string(),
        };
        self.put_set(Keyword::ObscureKeystrokeTiming, interval);
    }

    fn texts(&mut self) {
        let settings = self.settings;
        let options = &settings.options;
        self.put_some(Keyword::BindAddress, settings.bind_address());
        self.put_some(Keyword::BindInterface, settings.bind_interface());
        self.algorithms(Keyword::Ciphers, settings.ciphers());
        self.put_some(Keyword::ControlPath, settings.control_path());
        self.algorithms(Keyword::HostKeyAlgorithms, settings.host_key_algorithms());
        self.put_some(Keyword::HostKeyAlias, settings.host_key_alias());
        self.algorithms(Keyword::HostbasedAcceptedAlgorithms, settings.hostbased_accepted_algorithms());
        match settings.identity_agent() {
            IdentityAgent::None => self.put(Keyword::IdentityAgent, "none"),
            IdentityAgent::Path(path) => self.put(Keyword::IdentityAgent, path),
            IdentityAgent::Environment(_) => {
                self.put_some(Keyword::IdentityAgent, options.identity_agent.as_deref());
            }
        }
        self.put_some(Keyword::IgnoreUnknown, settings.ignore_unknown());
        self.put_some(Keyword::KbdInteractiveDevices, settings.kbd_interactive_devices());
        self.algorithms(Keyword::KexAlgorithms, settings.kex_algorithms());
        self.algorithms(Keyword::CaSignatureAlgorithms, settings.ca_signature_algorithms());
        self.put_some(Keyword::LocalCommand, settings.local_command());
        self.put_some(Keyword::RemoteCommand, settings.remote_command());
        self.put(Keyword::LogLevel, settings.log_level());
        self.algorithms(Keyword::Macs, settings.macs());
        self.put_some(Keyword::Pkcs11Provider, settings.pkcs11_provider());
        self.put_some(Keyword::SecurityKeyProvider, settings.security_key_provider());
        self.put_some(Keyword::PreferredAuthentications, options.preferred_authentications.as_deref());
        self.algorithms(Keyword::PubkeyAcceptedAlgorithms, settings.pubkey_accepted_algorithms());
        if let Some(files) = options.revoked_host_keys.as_ref().filter(|files| !files.is_empty()) {
            self.put(Keyword::RevokedHostKeys, files.join(" "));
        }
        self.put(Keyword::XAuthLocation, settings.xauth_location().unwrap_or("/usr/bin/xauth"));
        self.put_some(Keyword::KnownHostsCommand, settings.known_hosts_command());
        self.put_some(Keyword::Tag, settings.tag());
        self.put_some(Keyword::VersionAddendum, settings.version_addendum());
    }

    fn forwards(&mut self) {
        let settings = self.settings;
        for forward in settings.dynamic_forwards() {
            self.put_from(Keyword::DynamicForward, forward.listen(), forward.origin().clone());
        }
        for (keyword, forwards) in [
            (Keyword::LocalForward, settings.local_forwards()),
            (Keyword::RemoteForward, settings.remote_forwards()),
        ] {
            for forward in forwards {
                let both = format!("{} {}", forward.listen(), forward.target());
                self.put_from(keyword, both, forward.origin().clone());
            }
        }
    }

    fn lists(&mut self) {
        let settings = self.settings;
        let options = &settings.options;
        // As written, and `none` too.
        match options.identity_files.as_slice() {
            [] => settings
                .identity_files()
                .iter()
                .for_each(|file| self.put(Keyword::IdentityFile, file.written())),
            written => self.files(Keyword::IdentityFile, written),
        }
        self.words(Keyword::CanonicalDomains, settings.canonical_domains());
        self.files(Keyword::CertificateFile, &options.certificate_files);
        self.words(Keyword::GlobalKnownHostsFile, settings.global_known_hosts_files());
        self.words(Keyword::UserKnownHostsFile, settings.user_known_hosts_files());
        settings.send_env().iter().for_each(|name| self.put(Keyword::SendEnv, name));
        for (name, value) in settings.set_env() {
            self.put(Keyword::SetEnv, format!("{name}={value}"));
        }
        self.words(Keyword::LogVerbose, settings.log_verbose());
        let timeouts = settings.channel_timeouts().iter().map(|rule| rule.written().to_owned());
        if self.is_set(Keyword::ChannelTimeout) {
            self.words(Keyword::ChannelTimeout, &timeouts.collect::<Vec<_>>());
        }
    }

    fn particular(&mut self) {
        let settings = self.settings;
        let options = &settings.options;
        let places = options.permit_remote_open.as_ref().map_or("any", |(_, written)| written);
        self.put(Keyword::PermitRemoteOpen, places);
        self.put(Keyword::AddKeysToAgent, settings.add_keys_to_agent());
        match &settings.forward_agent_path {
            Some(path) => self.put(Keyword::ForwardAgent, path),
            None => self.flag(Keyword::ForwardAgent, options.forward_agent == Some(true)),
        }
        let timeout = options.connect_timeout.map_or("none".to_owned(), |time| time.as_secs().to_string());
        self.put(Keyword::ConnectTimeout, timeout);
        self.put(Keyword::TunnelDevice, settings.tunnel_device());
        let rules: Vec<String> =
            settings.canonicalize_permitted_cnames().iter().map(ToString::to_string).collect();
        self.words(Keyword::CanonicalizePermittedCnames, &rules);
        self.put(Keyword::ControlPersist, settings.control_persist());
        self.put(Keyword::EscapeChar, settings.escape_char());
        self.put(Keyword::IpQos, settings.ip_qos());
        let rekey = settings.rekey_limit();
        let interval = rekey.interval().unwrap_or_default().as_secs();
        self.put(Keyword::RekeyLimit, format!("{} {interval}", rekey.bytes().unwrap_or_default()));
        self.put(Keyword::StreamLocalBindMask, format!("0{:o}", settings.stream_local_bind_mask()));
        self.put(Keyword::SyslogFacility, settings.syslog_facility());
        match options.proxy_jump.as_ref().map(|(hosts, written)| (hosts.last(), written)) {
            // The last host is printed as it was understood, and what stands before it as it is written.
            Some((Some(last), written)) => {
                let before = written.rfind(',').map(|at| &written[..=at]).unwrap_or_default();
                self.put(Keyword::ProxyJump, format!("{before}{last}"));
            }
            _ => self.put_some(Keyword::ProxyCommand, settings.proxy_command()),
        }
    }
}
