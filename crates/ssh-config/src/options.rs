//! Values as they are gathered: the first one of a keyword stays, with where it came from.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lexer::Line;
use crate::pattern::matches_pattern;
use crate::value::{self, RekeyLimit};
use crate::{
    AddressFamily, AlgorithmList, ConfigError, ConfigErrorKind, Keyword, LogLevel, Origin,
    PubkeyAuthentication, RequestTty, StrictHostKeyChecking,
};

/// As many as ssh takes of each.
const MAX_KEY_FILES: usize = 100;
const MAX_KNOWN_HOSTS_FILES: usize = 32;
/// ssh has no limit here; this one is far above any use.
const MAX_VARIABLES: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) address_family: Option<AddressFamily>,
    pub(crate) batch_mode: Option<bool>,
    pub(crate) ca_signature_algorithms: Option<AlgorithmList>,
    pub(crate) certificate_files: Vec<(String, Origin)>,
    pub(crate) ciphers: Option<AlgorithmList>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) connection_attempts: Option<u32>,
    pub(crate) global_known_hosts_files: Option<Vec<String>>,
    pub(crate) hash_known_hosts: Option<bool>,
    pub(crate) host_key_algorithms: Option<AlgorithmList>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) host_name: Option<String>,
    pub(crate) identities_only: Option<bool>,
    pub(crate) identity_agent: Option<String>,
    pub(crate) identity_files: Vec<(String, Origin)>,
    pub(crate) ignore_unknown: Option<Vec<u8>>,
    pub(crate) kbd_interactive_authentication: Option<bool>,
    pub(crate) kex_algorithms: Option<AlgorithmList>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) macs: Option<AlgorithmList>,
    pub(crate) number_of_password_prompts: Option<u32>,
    pub(crate) password_authentication: Option<bool>,
    pub(crate) port: Option<u16>,
    pub(crate) preferred_authentications: Option<String>,
    pub(crate) pubkey_accepted_algorithms: Option<AlgorithmList>,
    pub(crate) pubkey_authentication: Option<PubkeyAuthentication>,
    pub(crate) rekey_bytes: Option<Option<u64>>,
    pub(crate) rekey_interval: Option<Duration>,
    pub(crate) request_tty: Option<RequestTty>,
    pub(crate) required_rsa_size: Option<u32>,
    pub(crate) send_env: Vec<String>,
    pub(crate) server_alive_count_max: Option<u32>,
    pub(crate) server_alive_interval: Option<Duration>,
    pub(crate) set_env: Option<Vec<(String, String)>>,
    pub(crate) strict_host_key_checking: Option<StrictHostKeyChecking>,
    pub(crate) tag: Option<String>,
    pub(crate) tcp_keep_alive: Option<bool>,
    pub(crate) user: Option<String>,
    pub(crate) user_known_hosts_files: Option<Vec<String>>,
    pub(crate) origins: BTreeMap<Keyword, Origin>,
}

impl Options {
    pub(crate) fn rekey_limit(&self) -> RekeyLimit {
        RekeyLimit::new(
            self.rekey_bytes.flatten(),
            self.rekey_interval.filter(|interval| !interval.is_zero()),
        )
    }

    /// Takes the value of a keyword that becomes a setting. A line in a block that does not apply is checked
    /// like any other and then forgotten.
    pub(crate) fn take(
        &mut self,
        keyword: Keyword,
        line: &Line<'_>,
        origin: &Origin,
        applies: bool,
    ) -> Result<(), ConfigError> {
        let mut args = Args { keyword, args: line.args.iter() };
        /// The first value of the keyword that applies.
        macro_rules! first {
            ($field:ident, $value:expr) => {{
                let value = $value;
                if applies && self.$field.is_none() {
                    self.$field = Some(value);
                    self.origins.entry(keyword).or_insert_with(|| origin.clone());
                }
            }};
        }
        /// A time, where `none` leaves the keyword to a later value.
        macro_rules! first_time {
            ($field:ident, $value:expr) => {
                if let Some(time) = $value {
                    first!($field, time)
                }
            };
        }
        match keyword {
            Keyword::AddressFamily => first!(address_family, args.one(AddressFamily::parse)?),
            Keyword::BatchMode => first!(batch_mode, args.one(value::flag)?),
            Keyword::CaSignatureAlgorithms => {
                first!(ca_signature_algorithms, args.one(AlgorithmList::parse)?)
            }
            Keyword::CertificateFile => {
                let file = args.one(text)?;
                self.push_file(keyword, file, origin, applies)?;
            }
            Keyword::Ciphers => first!(ciphers, args.one(AlgorithmList::parse)?),
            Keyword::ConnectTimeout => first_time!(connect_timeout, args.one(value::time)?),
            Keyword::ConnectionAttempts => first!(connection_attempts, args.one(value::number)?),
            Keyword::GlobalKnownHostsFile => first!(global_known_hosts_files, args.files()?),
            Keyword::HashKnownHosts => first!(hash_known_hosts, args.one(value::flag)?),
            Keyword::HostKeyAlgorithms => first!(host_key_algorithms, args.one(AlgorithmList::parse)?),
            Keyword::HostKeyAlias => first!(host_key_alias, args.one(text)?),
            Keyword::HostName => first!(host_name, args.one(text)?),
            Keyword::IdentitiesOnly => first!(identities_only, args.one(value::flag)?),
            Keyword::IdentityAgent => first!(identity_agent, args.one(text)?),
            Keyword::IdentityFile => {
                let file = args.one(text)?;
                self.push_file(keyword, file, origin, applies)?;
            }
            Keyword::IgnoreUnknown => first!(ignore_unknown, args.one(text)?.into_bytes()),
            Keyword::KbdInteractiveAuthentication => {
                first!(kbd_interactive_authentication, args.one(value::flag)?);
            }
            Keyword::KexAlgorithms => first!(kex_algorithms, args.one(AlgorithmList::parse)?),
            Keyword::LogLevel => first!(log_level, args.one(LogLevel::parse)?),
            Keyword::Macs => first!(macs, args.one(AlgorithmList::parse)?),
            Keyword::NumberOfPasswordPrompts => first!(number_of_password_prompts, args.one(value::number)?),
            Keyword::PasswordAuthentication => first!(password_authentication, args.one(value::flag)?),
            Keyword::Port => first!(port, args.one(value::port)?),
            Keyword::PreferredAuthentications => first!(preferred_authentications, args.one(text)?),
            Keyword::PubkeyAcceptedAlgorithms => {
                first!(pubkey_accepted_algorithms, args.one(AlgorithmList::parse)?);
            }
            Keyword::PubkeyAuthentication => {
                first!(pubkey_authentication, args.one(PubkeyAuthentication::parse)?)
            }
            Keyword::RekeyLimit => {
                first!(rekey_bytes, args.one(value::bytes)?);
                if !args.args.as_slice().is_empty() {
                    first_time!(rekey_interval, args.one(value::time)?);
                }
            }
            Keyword::RequestTty => first!(request_tty, args.one(RequestTty::parse)?),
            Keyword::RequiredRsaSize => first!(required_rsa_size, args.one(value::number)?),
            Keyword::SendEnv => {
                for name in args.all()? {
                    if name.is_empty() || name.contains('=') {
                        return Err(args.bad(format!("{name:?} is not a pattern for variables' names")));
                    }
                    if applies {
                        self.send_variable(name, origin)?;
                    }
                }
            }
            Keyword::ServerAliveCountMax => first!(server_alive_count_max, args.one(value::number)?),
            Keyword::ServerAliveInterval => first_time!(server_alive_interval, args.one(value::time)?),
            Keyword::SetEnv => first!(set_env, args.variables()?),
            Keyword::StrictHostKeyChecking => {
                first!(strict_host_key_checking, args.one(StrictHostKeyChecking::parse)?);
            }
            Keyword::Tag => first!(tag, args.one(text)?),
            Keyword::TcpKeepAlive => first!(tcp_keep_alive, args.one(value::flag)?),
            Keyword::User => first!(user, args.one(text)?),
            Keyword::UserKnownHostsFile => first!(user_known_hosts_files, args.files()?),
            // Everything else is decided by its row in the table.
            _ => return Ok(()),
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
        self.origins.entry(keyword).or_insert_with(|| origin.clone());
        Ok(())
    }

    /// A pattern adds to the list; with `-` before it, it takes away what it matches.
    fn send_variable(&mut self, name: String, origin: &Origin) -> Result<(), ConfigError> {
        if let Some(pattern) = name.strip_prefix('-') {
            self.send_env.retain(|known| !matches_pattern(known.as_bytes(), pattern.as_bytes()));
            return Ok(());
        }
        if self.send_env.len() >= MAX_VARIABLES {
            let message = format!("more than {MAX_VARIABLES} patterns in SendEnv");
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        self.send_env.push(name);
        self.origins.entry(Keyword::SendEnv).or_insert_with(|| origin.clone());
        Ok(())
    }
}

/// The arguments of one line.
struct Args<'a> {
    keyword: Keyword,
    args: std::slice::Iter<'a, Vec<u8>>,
}

impl Args<'_> {
    fn one<T>(&mut self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let arg = self.args.next().filter(|arg| !arg.is_empty());
        let arg = arg.ok_or_else(|| self.bad("it has no value"))?;
        parse(self.utf8(arg)?).map_err(|message| self.bad(message))
    }

    fn all(&mut self) -> Result<Vec<String>, ConfigError> {
        let args = std::mem::take(&mut self.args);
        let words: Result<Vec<String>, ConfigError> =
            args.map(|arg| Ok(self.utf8(arg)?.to_owned())).collect();
        let words = words?;
        if words.is_empty() { Err(self.bad("it has no value")) } else { Ok(words) }
    }

    /// Names of files, where `none` alone is no file at all.
    fn files(&mut self) -> Result<Vec<String>, ConfigError> {
        let mut files = self.all()?;
        if files.iter().any(String::is_empty) {
            return Err(self.bad("it has an empty value"));
        }
        if files.len() > MAX_KNOWN_HOSTS_FILES {
            return Err(self.bad(format!("it names more than {MAX_KNOWN_HOSTS_FILES} files")));
        }
        if files.iter().any(|file| file.eq_ignore_ascii_case("none")) {
            if files.len() > 1 {
                return Err(self.bad("\"none\" stands with other values"));
            }
            files.clear();
        }
        Ok(files)
    }

    /// `NAME=VALUE` words, the first of each name.
    fn variables(&mut self) -> Result<Vec<(String, String)>, ConfigError> {
        let words = self.all()?;
        if words.len() > MAX_VARIABLES {
            return Err(self.bad(format!("it sets more than {MAX_VARIABLES} variables")));
        }
        let mut variables: Vec<(String, String)> = Vec::new();
        for word in words {
            // Not the word itself: it may hold a secret.
            let (name, value) = word
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| self.bad("a word is not of the form NAME=VALUE"))?;
            if !variables.iter().any(|(known, _)| known == name) {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(variables)
    }

    fn end(&mut self) -> Result<(), ConfigError> {
        match self.args.next() {
            Some(_) => Err(self.bad("there is more on the line than it takes; quote a value with blanks")),
            None => Ok(()),
        }
    }

    fn utf8<'t>(&self, arg: &'t [u8]) -> Result<&'t str, ConfigError> {
        std::str::from_utf8(arg).map_err(|_| self.bad("its value is not UTF-8"))
    }

    fn bad(&self, message: impl std::fmt::Display) -> ConfigError {
        ConfigError::new(ConfigErrorKind::InvalidValue, format!("{}: {message}", self.keyword))
    }
}

/// Text as it stands, without control characters: it reaches names, paths and messages.
fn text(word: &str) -> Result<String, String> {
    if word.contains(char::is_control) {
        return Err("its value has a control character".to_owned());
    }
    Ok(word.to_owned())
}
