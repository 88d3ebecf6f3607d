//! From values as they are written to settings: tokens, paths, defaults, and what one value means for another.

use crate::expand::{self, ALL_TOKENS, Expansion, Facts, PROXY_TOKENS, USER_TOKENS};
use crate::options::Options;
use crate::settings::{FileSetting, Settings, unless_none};
use crate::validate::{valid_hostname, valid_user};
use crate::value::is_variable;
use crate::{
    ConfigError, ConfigErrorKind, Forward, ForwardAgent, ForwardListen, ForwardTarget, IdentityAgent,
    JumpHost, Keyword, LogLevel, Origin, RequestTty, Source, Tunnel, Warning, YesNoAsk,
};

/// The names that ssh tries in `~/.ssh` when no IdentityFile is set, in its order.
const DEFAULT_IDENTITIES: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];

impl Settings {
    /// `facts` has the user where the query names one, and `command` is what it wants run, where it does.
    pub(crate) fn new(
        hostname: String,
        mut facts: Facts,
        mut options: Options,
        command: Option<&str>,
        warnings: Vec<Warning>,
        source: &dyn Source,
    ) -> Result<Settings, ConfigError> {
        if options.clear_all_forwardings == Some(true) {
            options.local_forwards.clear();
            options.remote_forwards.clear();
            options.dynamic_forwards.clear();
            options.tunnel = Some(Tunnel::No);
        }
        if let Some(alias) = &mut options.host_key_alias {
            alias.make_ascii_lowercase();
        }
        facts.host.clone_from(&hostname);
        facts.port = options.port.unwrap_or(22);
        facts.key_alias = options.host_key_alias.clone().unwrap_or_else(|| facts.alias.clone());
        facts.jump_host = options.last_jump().map(|jump| jump.host().to_owned()).unwrap_or_default();
        facts.user = user(&options, &facts, source)?;
        Finish { options: &mut options, facts: &facts, source }.settings(hostname, command).map(|settings| {
            Settings { facts: facts.clone(), options: std::mem::take(&mut options), warnings, ..settings }
        })
    }
}

struct Finish<'a> {
    options: &'a mut Options,
    facts: &'a Facts,
    source: &'a dyn Source,
}

impl Finish<'_> {
    fn settings(mut self, hostname: String, command: Option<&str>) -> Result<Settings, ConfigError> {
        if self.options.connection_attempts == Some(0) {
            return Err(self.failed(Keyword::ConnectionAttempts, "0 attempts would never connect"));
        }
        self.forwards()?;
        let remote_command = unless_none(self.options.remote_command.as_ref())
            .map(|command| expand::text_of(command, self.facts, Expansion::command(ALL_TOKENS)))
            .transpose()
            .map_err(|message| self.failed(Keyword::RemoteCommand, message))?;
        let (forward_agent, forward_agent_path) = self.forward_agent()?;
        Ok(Settings {
            identity_files: self.identity_files()?,
            certificate_files: self.key_files(Keyword::CertificateFile, &self.options.certificate_files)?,
            identity_agent: self
                .identity_agent()
                .map_err(|message| self.failed(Keyword::IdentityAgent, message))?,
            forward_agent,
            forward_agent_path,
            user_known_hosts_files: self.user_known_hosts_files()?,
            global_known_hosts_files: self.global_known_hosts_files(),
            revoked_host_keys: self.paths(
                Keyword::RevokedHostKeys,
                self.options.revoked_host_keys.as_deref().unwrap_or_default(),
            )?,
            set_env: self.set_env()?,
            control_path: unless_none(self.options.control_path.as_ref())
                .map(|path| self.path(Keyword::ControlPath, path))
                .transpose()?,
            version_addendum: self
                .options
                .version_addendum
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| self.value(Keyword::VersionAddendum, text))
                .transpose()?,
            proxy_jump: self.proxy_jump(&hostname)?,
            update_host_keys: self.update_host_keys(command.is_some() || remote_command.is_some()),
            remote_command,
            facts: self.facts.clone(),
            options: Options::default(),
            warnings: Vec::new(),
            hostname,
        })
    }

    fn failed(&self, keyword: Keyword, message: impl std::fmt::Display) -> ConfigError {
        let origin = self.options.marks.get(&keyword).map_or(&Origin::Default, |mark| &mark.origin);
        ConfigError::new(ConfigErrorKind::InvalidValue, format!("{keyword}: {message}")).at(origin)
    }

    fn path(&self, keyword: Keyword, path: &str) -> Result<String, ConfigError> {
        expand::path(path, self.facts, self.source).map_err(|message| self.failed(keyword, message))
    }

    fn paths(&self, keyword: Keyword, paths: &[String]) -> Result<Vec<String>, ConfigError> {
        paths.iter().map(|path| self.path(keyword, path)).collect()
    }

    fn value(&self, keyword: Keyword, text: &str) -> Result<String, ConfigError> {
        let expansion = Expansion::value(ALL_TOKENS, self.source);
        expand::text_of(text, self.facts, expansion).map_err(|message| self.failed(keyword, message))
    }

    fn identity_files(&self) -> Result<Vec<FileSetting>, ConfigError> {
        match self.options.identity_files.as_slice() {
            [] => {
                let written = DEFAULT_IDENTITIES.map(|name| (format!("~/.ssh/{name}"), Origin::Default));
                self.key_files(Keyword::IdentityFile, &written)
            }
            written => self.key_files(Keyword::IdentityFile, written),
        }
    }

    fn key_files(
        &self,
        keyword: Keyword,
        files: &[(String, Origin)],
    ) -> Result<Vec<FileSetting>, ConfigError> {
        let files = files.iter().filter(|(file, _)| !file.eq_ignore_ascii_case("none"));
        files
            .map(|(written, origin)| {
                let path = expand::path(written, self.facts, self.source).map_err(|message| {
                    ConfigError::new(ConfigErrorKind::InvalidValue, format!("{keyword}: {message}"))
                        .at(origin)
                })?;
                Ok(FileSetting { path, written: written.clone(), origin: origin.clone() })
            })
            .collect()
    }

    fn identity_agent(&self) -> Result<IdentityAgent, String> {
        let variable = |name: &str| IdentityAgent::Environment(name.to_owned());
        match self.options.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => Ok(variable("SSH_AUTH_SOCK")),
            Some("none") => Ok(IdentityAgent::None),
            Some(text) => match legacy_variable(text) {
                Some(name) => Ok(variable(name)),
                None => expand::path(text, self.facts, self.source).map(IdentityAgent::Path),
            },
        }
    }

    /// And the path as `ssh -G` prints it.
    fn forward_agent(&self) -> Result<(ForwardAgent, Option<String>), ConfigError> {
        let on = self.options.forward_agent == Some(true);
        let Some(written) = &self.options.forward_agent_path else {
            return Ok((if on { ForwardAgent::Yes } else { ForwardAgent::No }, None));
        };
        let (value, shown) = match legacy_variable(written) {
            Some(name) => (ForwardAgent::Environment(name.to_owned()), written.clone()),
            None => {
                let path = self.path(Keyword::ForwardAgent, written)?;
                (ForwardAgent::Path(path.clone()), path)
            }
        };
        Ok((if on { value } else { ForwardAgent::No }, Some(shown)))
    }

    fn user_known_hosts_files(&self) -> Result<Vec<String>, ConfigError> {
        let usual = USER_KNOWN_HOSTS.map(str::to_owned);
        let files = self.options.user_known_hosts_files.as_deref().unwrap_or(&usual);
        self.paths(Keyword::UserKnownHostsFile, files)
    }

    /// As they stand: ssh fills in nothing here.
    fn global_known_hosts_files(&self) -> Vec<String> {
        let system = self.source.system_directory();
        let usual = ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| format!("{system}/{name}"));
        self.options.global_known_hosts_files.clone().unwrap_or_else(|| usual.into())
    }

    fn set_env(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let variables = self.options.set_env.as_deref().unwrap_or_default().iter();
        variables.map(|(name, text)| Ok((name.clone(), self.value(Keyword::SetEnv, text)?))).collect()
    }

    /// Tokens in the paths of sockets.
    fn forwards(&mut self) -> Result<(), ConfigError> {
        let facts = self.facts;
        let expansion = Expansion { environment: None, ..Expansion::value(ALL_TOKENS, self.source) };
        let whole = |forward: &mut Forward| {
            let paths = [
                match &mut forward.listen {
                    ForwardListen::Unix(path) => Some(path),
                    ForwardListen::Tcp { .. } => None,
                },
                match &mut forward.target {
                    ForwardTarget::Unix(path) => Some(path),
                    _ => None,
                },
            ];
            for path in paths.into_iter().flatten() {
                *path = expand::text_of(path, facts, expansion).map_err(|message| {
                    ConfigError::new(ConfigErrorKind::InvalidValue, message).at(&forward.origin)
                })?;
            }
            Ok(())
        };
        let options = &mut *self.options;
        [&mut options.local_forwards, &mut options.remote_forwards, &mut options.dynamic_forwards]
            .into_iter()
            .flatten()
            .try_for_each(whole)
    }

    /// The hosts with their tokens expanded: they are dialled like any other, and checked like any other.
    fn proxy_jump(&self, hostname: &str) -> Result<Vec<JumpHost>, ConfigError> {
        let Some((hosts, _)) = &self.options.proxy_jump else { return Ok(Vec::new()) };
        let keyword = Keyword::ProxyJump;
        let port = |jump: &JumpHost| jump.port().unwrap_or(22);
        if let Some(last) = hosts.last() {
            let user = last.user().unwrap_or(&self.facts.user);
            if last.host() == hostname && port(last) == self.facts.port && user == self.facts.user {
                let message = format!("{hostname} would be reached through itself");
                return Err(self.failed(keyword, message));
            }
        }
        let expanded = |text: &str| {
            expand::text_of(text, self.facts, Expansion::command(PROXY_TOKENS))
                .map_err(|message| self.failed(keyword, message))
        };
        let invalid = |what: &str, name: &str| {
            let message = format!("{keyword}: {name:?} has characters that no {what} name has");
            let origin = self.options.marks.get(&keyword).map_or(&Origin::Default, |mark| &mark.origin);
            ConfigError::new(ConfigErrorKind::InvalidName, message).at(origin)
        };
        hosts
            .iter()
            .map(|jump| {
                let host = expanded(jump.host())?;
                if !valid_hostname(&host) {
                    return Err(invalid("host", &host));
                }
                let user = jump.user().map(expanded).transpose()?;
                match &user {
                    Some(user) if !valid_user(user) => Err(invalid("user", user)),
                    _ => Ok(JumpHost::expanded(user, host, jump.port())),
                }
            })
            .collect()
    }

    /// By default, the keys of a server are written down where nobody chose another place for them or another
    /// authority over them. A question about them needs a terminal that nothing else uses.
    fn update_host_keys(&self, runs_command: bool) -> YesNoAsk {
        let options = &*self.options;
        let Some(set) = options.update_host_keys else {
            let usual_file = match options.user_known_hosts_files.as_deref() {
                None => true,
                Some([only]) => only == USER_KNOWN_HOSTS[0],
                Some(_) => false,
            };
            let by_dns = !matches!(options.verify_host_key_dns, None | Some(YesNoAsk::No));
            return if usual_file && !by_dns { YesNoAsk::Yes } else { YesNoAsk::No };
        };
        let stays = unless_none(options.control_path.as_ref()).is_some()
            && !matches!(options.control_persist, None | Some(crate::ControlPersist::No));
        let no_terminal = runs_command || options.request_tty == Some(RequestTty::No);
        let silent = matches!(options.log_level, Some(LogLevel::Quiet | LogLevel::Fatal | LogLevel::Error));
        if set == YesNoAsk::Ask && (stays || no_terminal || silent) { YesNoAsk::No } else { set }
    }
}

/// The variable's name in `$NAME`, which is a form of its own.
fn legacy_variable(text: &str) -> Option<&str> {
    text.strip_prefix('$').filter(|name| is_variable(name))
}

/// The user to log in as. A name that tokens, the environment or an option made is checked as one that was typed; a
/// literal name in a file is the user's own affair, as with ssh.
fn user(options: &Options, facts: &Facts, source: &dyn Source) -> Result<String, ConfigError> {
    if !facts.user.is_empty() {
        return Ok(facts.user.clone());
    }
    let Some(written) = &options.user else {
        let message = "the local user's name is not known; give the remote user's, as in user@host";
        return source.user().ok_or_else(|| ConfigError::new(ConfigErrorKind::LocalUnknown, message));
    };
    let origin = options.marks.get(&Keyword::User).map_or(&Origin::Default, |mark| &mark.origin);
    let expansion = Expansion::value(USER_TOKENS, source);
    let user = expand::text_of(written, facts, expansion).map_err(|message| {
        ConfigError::new(ConfigErrorKind::InvalidValue, format!("User: {message}")).at(origin)
    })?;
    if user == *written && *origin != Origin::CommandLine { Ok(user) } else { checked_user(user, origin) }
}

fn checked_user(user: String, origin: &Origin) -> Result<String, ConfigError> {
    if valid_user(&user) {
        return Ok(user);
    }
    let message = format!("User: {user:?} has characters that no user name has");
    Err(ConfigError::new(ConfigErrorKind::InvalidName, message).at(origin))
}
