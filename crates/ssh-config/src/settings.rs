//! The settings of one host.

use std::time::Duration;

use crate::expand::{self, Facts};
use crate::options::Options;
use crate::validate::valid_user;
use crate::{
    AddressFamily, AlgorithmList, ConfigError, ConfigErrorKind, IdentityAgent, Keyword, LogLevel, Origin,
    PubkeyAuthentication, RekeyLimit, RequestTty, Source, StrictHostKeyChecking, Warning,
};

/// The names that ssh tries in `~/.ssh` when no IdentityFile is set, in its order.
const DEFAULT_IDENTITIES: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

/// The settings of one host: what the files and options say, and ssh's defaults for the rest.
///
/// Every accessor is a keyword of the table whose support is [`Parsed`](crate::Support::Parsed);
/// [`origin`](Settings::origin) tells where its value came from.
#[derive(Debug)]
pub struct Settings {
    pub(crate) alias: String,
    pub(crate) hostname: String,
    pub(crate) user: String,
    pub(crate) identity_files: Vec<FileSetting>,
    pub(crate) certificate_files: Vec<FileSetting>,
    pub(crate) identity_agent: IdentityAgent,
    pub(crate) user_known_hosts_files: Vec<String>,
    pub(crate) global_known_hosts_files: Vec<String>,
    pub(crate) set_env: Vec<(String, String)>,
    pub(crate) options: Options,
    warnings: Vec<Warning>,
}

/// A file that a keyword names, with its path made whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSetting {
    path: String,
    written: String,
    origin: Origin,
}

impl FileSetting {
    /// The path, with `~`, tokens and environment expanded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As it is written in the configuration.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Where it is written. A default is not asked for by anyone: it may be missing.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Settings {
    pub(crate) fn new(
        alias: String,
        hostname: String,
        mut options: Options,
        warnings: Vec<Warning>,
        source: &dyn Source,
    ) -> Result<Settings, ConfigError> {
        let user = user(&options, &alias, &hostname, source)?;
        let facts = Facts {
            source,
            alias: &alias,
            host: &hostname,
            port: options.port.unwrap_or(22),
            user: &user,
            host_key_alias: options.host_key_alias.as_deref(),
        };
        let origins = &options.origins;
        let failed = |keyword: Keyword, message: String| {
            let origin = origins.get(&keyword).unwrap_or(&Origin::Default);
            ConfigError::new(ConfigErrorKind::InvalidValue, format!("{keyword}: {message}")).at(origin)
        };
        if options.connection_attempts == Some(0) {
            return Err(failed(Keyword::ConnectionAttempts, "0 attempts would never connect".to_owned()));
        }
        let identity_files = match options.identity_files.as_slice() {
            [] => {
                let written = DEFAULT_IDENTITIES.map(|name| (format!("~/.ssh/{name}"), Origin::Default));
                key_files(Keyword::IdentityFile, &written, &facts)?
            }
            written => key_files(Keyword::IdentityFile, written, &facts)?,
        };
        let certificate_files = key_files(Keyword::CertificateFile, &options.certificate_files, &facts)?;
        let identity_agent = identity_agent(options.identity_agent.as_deref(), &facts)
            .map_err(|message| failed(Keyword::IdentityAgent, message))?;
        let known_hosts = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"].map(str::to_owned);
        let user_known_hosts_files = options
            .user_known_hosts_files
            .as_deref()
            .unwrap_or(&known_hosts)
            .iter()
            .map(|file| {
                expand::path(file, &facts).map_err(|message| failed(Keyword::UserKnownHostsFile, message))
            })
            .collect::<Result<_, _>>()?;
        let system = source.system_directory();
        let known_hosts = ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| format!("{system}/{name}"));
        let global_known_hosts_files = options
            .global_known_hosts_files
            .as_deref()
            .unwrap_or(&known_hosts)
            .iter()
            .map(|file| {
                expand::tilde(file, source).map_err(|message| failed(Keyword::GlobalKnownHostsFile, message))
            })
            .collect::<Result<_, _>>()?;
        let set_env = options.set_env.take().unwrap_or_default();
        let set_env = set_env
            .into_iter()
            .map(|(name, value)| {
                let value = expand::tokens_and_env(&value, expand::PATH_TOKENS, &facts);
                Ok((name, value.map_err(|message| failed(Keyword::SetEnv, message))?))
            })
            .collect::<Result<_, ConfigError>>()?;
        Ok(Settings {
            identity_files,
            certificate_files,
            identity_agent,
            user_known_hosts_files,
            global_known_hosts_files,
            set_env,
            user,
            alias,
            hostname,
            options,
            warnings,
        })
    }

    /// Where the value of a keyword came from; for keywords that add up, its first value.
    #[must_use]
    pub fn origin(&self, keyword: Keyword) -> &Origin {
        self.options.origins.get(&keyword).unwrap_or(&Origin::Default)
    }

    /// The keywords that somebody set, so that a caller can tell which of them it does not act on.
    pub fn set_keywords(&self) -> impl Iterator<Item = (Keyword, &Origin)> {
        self.options.origins.iter().map(|(keyword, origin)| (*keyword, origin))
    }

    /// What was asked for and is not done.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The host as it was asked for.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// HostName: the name or address to connect to.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// User; the local user's name by default.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Port; 22 by default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.options.port.unwrap_or(22)
    }

    /// IdentityFile, in order, without `none`; the usual names by default.
    #[must_use]
    pub fn identity_files(&self) -> &[FileSetting] {
        &self.identity_files
    }

    /// CertificateFile, in order.
    #[must_use]
    pub fn certificate_files(&self) -> &[FileSetting] {
        &self.certificate_files
    }

    /// IdentitiesOnly; no by default.
    #[must_use]
    pub fn identities_only(&self) -> bool {
        self.options.identities_only.unwrap_or(false)
    }

    /// IdentityAgent; the one in `SSH_AUTH_SOCK` by default.
    #[must_use]
    pub fn identity_agent(&self) -> &IdentityAgent {
        &self.identity_agent
    }

    /// UserKnownHostsFile; `~/.ssh/known_hosts` and `known_hosts2` by default. Empty for `none`.
    #[must_use]
    pub fn user_known_hosts_files(&self) -> &[String] {
        &self.user_known_hosts_files
    }

    /// GlobalKnownHostsFile; `ssh_known_hosts` and `ssh_known_hosts2` in the system's directory by default.
    #[must_use]
    pub fn global_known_hosts_files(&self) -> &[String] {
        &self.global_known_hosts_files
    }

    /// StrictHostKeyChecking; ask by default.
    #[must_use]
    pub fn strict_host_key_checking(&self) -> StrictHostKeyChecking {
        self.options.strict_host_key_checking.unwrap_or(StrictHostKeyChecking::Ask)
    }

    /// HostKeyAlias: the name to look up in known_hosts instead of the host's.
    #[must_use]
    pub fn host_key_alias(&self) -> Option<&str> {
        self.options.host_key_alias.as_deref()
    }

    /// HashKnownHosts; no by default.
    #[must_use]
    pub fn hash_known_hosts(&self) -> bool {
        self.options.hash_known_hosts.unwrap_or(false)
    }

    /// Ciphers; `None` leaves the defaults.
    #[must_use]
    pub fn ciphers(&self) -> Option<&AlgorithmList> {
        self.options.ciphers.as_ref()
    }

    /// MACs; `None` leaves the defaults.
    #[must_use]
    pub fn macs(&self) -> Option<&AlgorithmList> {
        self.options.macs.as_ref()
    }

    /// KexAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn kex_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.kex_algorithms.as_ref()
    }

    /// HostKeyAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn host_key_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.host_key_algorithms.as_ref()
    }

    /// PubkeyAcceptedAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn pubkey_accepted_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.pubkey_accepted_algorithms.as_ref()
    }

    /// CASignatureAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn ca_signature_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.ca_signature_algorithms.as_ref()
    }

    /// RequiredRSASize: the least number of bits of an RSA key; 1024 by default.
    #[must_use]
    pub fn required_rsa_size(&self) -> u32 {
        self.options.required_rsa_size.unwrap_or(1024)
    }

    /// RekeyLimit.
    #[must_use]
    pub fn rekey_limit(&self) -> RekeyLimit {
        self.options.rekey_limit()
    }

    /// PreferredAuthentications: the methods in this order; `None` leaves the default order.
    #[must_use]
    pub fn preferred_authentications(&self) -> Option<impl Iterator<Item = &str>> {
        self.options
            .preferred_authentications
            .as_deref()
            .map(|list| list.split(',').filter(|name| !name.is_empty()))
    }

    /// PubkeyAuthentication; yes by default.
    #[must_use]
    pub fn pubkey_authentication(&self) -> PubkeyAuthentication {
        self.options.pubkey_authentication.unwrap_or(PubkeyAuthentication::Yes)
    }

    /// PasswordAuthentication; yes by default.
    #[must_use]
    pub fn password_authentication(&self) -> bool {
        self.options.password_authentication.unwrap_or(true)
    }

    /// KbdInteractiveAuthentication; yes by default.
    #[must_use]
    pub fn kbd_interactive_authentication(&self) -> bool {
        self.options.kbd_interactive_authentication.unwrap_or(true)
    }

    /// NumberOfPasswordPrompts; 3 by default.
    #[must_use]
    pub fn number_of_password_prompts(&self) -> u32 {
        self.options.number_of_password_prompts.unwrap_or(3)
    }

    /// BatchMode: whether nobody is there to be asked; no by default.
    #[must_use]
    pub fn batch_mode(&self) -> bool {
        self.options.batch_mode.unwrap_or(false)
    }

    /// ConnectTimeout; `None` for the system's own.
    #[must_use]
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.options.connect_timeout.filter(|timeout| !timeout.is_zero())
    }

    /// ConnectionAttempts; 1 by default.
    #[must_use]
    pub fn connection_attempts(&self) -> u32 {
        self.options.connection_attempts.unwrap_or(1)
    }

    /// AddressFamily; any by default.
    #[must_use]
    pub fn address_family(&self) -> AddressFamily {
        self.options.address_family.unwrap_or(AddressFamily::Any)
    }

    /// TCPKeepAlive; yes by default.
    #[must_use]
    pub fn tcp_keep_alive(&self) -> bool {
        self.options.tcp_keep_alive.unwrap_or(true)
    }

    /// ServerAliveInterval; `None`, the default, sends nothing.
    #[must_use]
    pub fn server_alive_interval(&self) -> Option<Duration> {
        self.options.server_alive_interval.filter(|interval| !interval.is_zero())
    }

    /// ServerAliveCountMax; 3 by default.
    #[must_use]
    pub fn server_alive_count_max(&self) -> u32 {
        self.options.server_alive_count_max.unwrap_or(3)
    }

    /// SendEnv: patterns of the local variables to send.
    #[must_use]
    pub fn send_env(&self) -> &[String] {
        &self.options.send_env
    }

    /// SetEnv: variables to send, with tokens and environment expanded.
    #[must_use]
    pub fn set_env(&self) -> &[(String, String)] {
        &self.set_env
    }

    /// RequestTTY; auto by default.
    #[must_use]
    pub fn request_tty(&self) -> RequestTty {
        self.options.request_tty.unwrap_or(RequestTty::Auto)
    }

    /// LogLevel; info by default.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.options.log_level.unwrap_or(LogLevel::Info)
    }
}

/// The user to log in as. A name that tokens or the environment made is checked as one that was typed; a
/// literal name in a file is the user's own affair, as with ssh.
fn user(options: &Options, alias: &str, host: &str, source: &dyn Source) -> Result<String, ConfigError> {
    let Some(written) = &options.user else {
        let message = "the local user's name is not known; give the remote user's, as in user@host";
        return source.user().ok_or_else(|| ConfigError::new(ConfigErrorKind::LocalUnknown, message));
    };
    let origin = options.origins.get(&Keyword::User).unwrap_or(&Origin::Default);
    if *origin == Origin::CommandLine && !written.contains(['%', '$']) {
        return checked_user(written.clone(), origin);
    }
    let facts = Facts {
        source,
        alias,
        host,
        port: options.port.unwrap_or(22),
        user: "",
        host_key_alias: options.host_key_alias.as_deref(),
    };
    let user = expand::tokens_and_env(written, expand::USER_TOKENS, &facts).map_err(|message| {
        ConfigError::new(ConfigErrorKind::InvalidValue, format!("User: {message}")).at(origin)
    })?;
    if user == *written { Ok(user) } else { checked_user(user, origin) }
}

fn checked_user(user: String, origin: &Origin) -> Result<String, ConfigError> {
    if valid_user(&user) {
        return Ok(user);
    }
    let message = format!("User: {user:?} has characters that no user name has");
    Err(ConfigError::new(ConfigErrorKind::InvalidName, message).at(origin))
}

fn key_files(
    keyword: Keyword,
    files: &[(String, Origin)],
    facts: &Facts<'_>,
) -> Result<Vec<FileSetting>, ConfigError> {
    let files = files.iter().filter(|(file, _)| !file.eq_ignore_ascii_case("none"));
    files
        .map(|(written, origin)| {
            let path = expand::path(written, facts).map_err(|message| {
                ConfigError::new(ConfigErrorKind::InvalidValue, format!("{keyword}: {message}")).at(origin)
            })?;
            Ok(FileSetting { path, written: written.clone(), origin: origin.clone() })
        })
        .collect()
}

fn identity_agent(written: Option<&str>, facts: &Facts<'_>) -> Result<IdentityAgent, String> {
    let variable = |name: &str| IdentityAgent::Environment(name.to_owned());
    match written {
        None | Some("SSH_AUTH_SOCK") => Ok(variable("SSH_AUTH_SOCK")),
        Some("none") => Ok(IdentityAgent::None),
        Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) if is_variable(name) => Ok(variable(name)),
            Some(name) => Err(format!("{name:?} is no environment variable's name")),
            None => expand::path(text, facts).map(IdentityAgent::Path),
        },
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
