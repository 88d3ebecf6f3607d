//! Command lines that the configuration asks for, with their tokens.

use crate::expand::{self, ALL_TOKENS, Expansion, PROXY_TOKENS, Purpose};
use crate::settings::{Settings, unless_none};
use crate::{ConfigError, ConfigErrorKind, Keyword, Source, lexer};

/// What is known of a host key when `KnownHostsCommand` is asked about it. Its accessors are the command's own
/// tokens.
#[derive(Clone, Debug)]
pub struct HostKeyQuestion {
    invocation: String,
    host: String,
    key: Option<(String, String, String)>,
}

impl HostKeyQuestion {
    /// A question for this reason (`%I`: `ADDRESS`, `HOSTNAME` or `ORDER`) about this name (`%H`), as known_hosts
    /// would have it.
    #[must_use]
    pub fn new(invocation: impl Into<String>, host: impl Into<String>) -> HostKeyQuestion {
        HostKeyQuestion { invocation: invocation.into(), host: host.into(), key: None }
    }

    /// About a key: its type (`%t`), its fingerprint (`%f`) and its base64 (`%K`). Without one, these are `NONE`.
    #[must_use]
    pub fn key(
        mut self,
        kind: impl Into<String>,
        fingerprint: impl Into<String>,
        base64: impl Into<String>,
    ) -> HostKeyQuestion {
        self.key = Some((kind.into(), fingerprint.into(), base64.into()));
        self
    }
}

impl Settings {
    /// ProxyCommand with its tokens expanded, for the user's shell.
    ///
    /// ```
    /// use rustle_ssh_config::{MemorySource, Query, resolve};
    ///
    /// let query = Query::new("web").port(2222).option("ProxyCommand=nc %h %p");
    /// let settings = resolve(&query, &[], &MemorySource::new("alice", "/home/alice"))?;
    /// assert_eq!(settings.proxy_command_line()?.as_deref(), Some("nc web 2222"));
    /// # Ok::<(), rustle_ssh_config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// For a token that ProxyCommand does not have, and for one whose text has characters that a shell would take
    /// for its own.
    pub fn proxy_command_line(&self) -> Result<Option<String>, ConfigError> {
        self.line(Keyword::ProxyCommand, self.proxy_command(), Expansion::command(PROXY_TOKENS))
    }

    /// KnownHostsCommand as it is written; `None`, the default, for `none` as well.
    #[must_use]
    pub fn known_hosts_command(&self) -> Option<&str> {
        unless_none(self.options.known_hosts_command.as_ref())
    }

    /// KnownHostsCommand as a program and its arguments: no shell reads it. The program's own name has no tokens.
    ///
    /// ```
    /// use rustle_ssh_config::{HostKeyQuestion, MemorySource, OsSource, Query, resolve};
    ///
    /// let query = Query::new("web").option("KnownHostsCommand=/bin/keys --of %H %t");
    /// let settings = resolve(&query, &[], &MemorySource::new("alice", "/home/alice"))?;
    /// let question = HostKeyQuestion::new("HOSTNAME", "web").key("ssh-ed25519", "SHA256:x", "AAAA");
    /// let command = settings.known_hosts_command_words(&question, &OsSource::new())?;
    /// assert_eq!(command.unwrap(), ["/bin/keys", "--of", "web", "ssh-ed25519"]);
    /// # Ok::<(), rustle_ssh_config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// For a token that it does not have, a variable that is not set, a quote that is not closed, and where no
    /// program is named.
    pub fn known_hosts_command_words(
        &self,
        question: &HostKeyQuestion,
        source: &dyn Source,
    ) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(command) = self.known_hosts_command() else { return Ok(None) };
        let keyword = Keyword::KnownHostsCommand;
        let none = || ("NONE".to_owned(), "NONE".to_owned(), "NONE".to_owned());
        let (kind, fingerprint, base64) = question.key.clone().unwrap_or_else(none);
        let extra: [(char, &str); 5] = [
            ('H', &question.host),
            ('I', &question.invocation),
            ('t', &kind),
            ('f', &fingerprint),
            ('K', &base64),
        ];
        let words = lexer::words(command.as_bytes()).map_err(|why| self.wrong(keyword, why))?;
        if words.is_empty() {
            return Err(self.wrong(keyword, "it names no program"));
        }
        let expansion = Expansion { extra: &extra, ..Expansion::value(ALL_TOKENS, source) };
        let mut line = Vec::with_capacity(words.len());
        for (index, word) in words.into_iter().enumerate() {
            let word = String::from_utf8(word).map_err(|_| self.wrong(keyword, "it is not UTF-8"))?;
            line.push(match index {
                0 => word,
                _ => {
                    expand::text_of(&word, &self.facts, expansion).map_err(|why| self.wrong(keyword, &why))?
                }
            });
        }
        Ok(Some(line))
    }

    /// LocalCommand as it is written; `None`, the default, for `none` as well.
    #[must_use]
    pub fn local_command(&self) -> Option<&str> {
        unless_none(self.options.local_command.as_ref())
    }

    /// LocalCommand with its tokens expanded, for the user's shell; `tunnel` is the name of the tun device in use
    /// (`%T`), where there is one.
    ///
    /// # Errors
    /// As [`proxy_command_line`](Settings::proxy_command_line).
    pub fn local_command_line(&self, tunnel: Option<&str>) -> Result<Option<String>, ConfigError> {
        let extra = [('T', tunnel.unwrap_or("NONE"))];
        let expansion = Expansion { extra: &extra, ..Expansion::command(ALL_TOKENS) };
        self.line(Keyword::LocalCommand, self.local_command(), expansion)
    }

    /// PermitLocalCommand: whether LocalCommand is run; no by default.
    #[must_use]
    pub fn permit_local_command(&self) -> bool {
        self.options.permit_local_command.unwrap_or(false)
    }

    /// RemoteCommand: what runs on the far side where nothing else is asked for, with tokens expanded.
    #[must_use]
    pub fn remote_command(&self) -> Option<&str> {
        self.remote_command.as_deref()
    }

    fn line(
        &self,
        keyword: Keyword,
        written: Option<&str>,
        expansion: Expansion<'_>,
    ) -> Result<Option<String>, ConfigError> {
        debug_assert!(expansion.purpose == Purpose::CommandLine);
        written
            .map(|text| {
                expand::text_of(text, &self.facts, expansion).map_err(|why| self.wrong(keyword, &why))
            })
            .transpose()
    }

    fn wrong(&self, keyword: Keyword, message: &str) -> ConfigError {
        ConfigError::new(ConfigErrorKind::InvalidValue, format!("{keyword}: {message}"))
            .at(self.origin(keyword))
    }
}
