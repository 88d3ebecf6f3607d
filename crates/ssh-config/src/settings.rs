//! The settings of one host.

mod algorithms;
mod authentication;
mod commands;
mod complete;
mod forwarding;
mod host_trust;
mod naming;
mod network;
mod other;

pub use crate::settings::commands::HostKeyQuestion;

use crate::expand::Facts;
use crate::options::Options;
use crate::{ForwardAgent, IdentityAgent, JumpHost, Keyword, Origin, Warning, YesNoAsk};

/// The settings of one host: what the files and options say, and ssh's defaults for the rest.
///
/// There is an accessor for each keyword of the table, whatever is done with it;
/// [`supported`](Settings::supported) tells what is not, and [`origin`](Settings::origin) where a value came from.
#[derive(Debug)]
pub struct Settings {
    pub(crate) hostname: String,
    pub(crate) identity_files: Vec<FileSetting>,
    pub(crate) certificate_files: Vec<FileSetting>,
    identity_agent: IdentityAgent,
    forward_agent: ForwardAgent,
    pub(crate) forward_agent_path: Option<String>,
    user_known_hosts_files: Vec<String>,
    global_known_hosts_files: Vec<String>,
    revoked_host_keys: Vec<String>,
    set_env: Vec<(String, String)>,
    control_path: Option<String>,
    remote_command: Option<String>,
    version_addendum: Option<String>,
    proxy_jump: Vec<JumpHost>,
    update_host_keys: YesNoAsk,
    facts: Facts,
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
    /// Where the value of a keyword came from; for keywords that add up, its first value.
    #[must_use]
    pub fn origin(&self, keyword: Keyword) -> &Origin {
        self.options.marks.get(&keyword).map_or(&Origin::Default, |mark| &mark.origin)
    }

    /// The keywords that somebody set.
    pub fn set_keywords(&self) -> impl Iterator<Item = (Keyword, &Origin)> {
        self.options.marks.iter().map(|(keyword, mark)| (*keyword, &mark.origin))
    }

    /// What the reading itself has to say: about files, and about lines without a meaning.
    /// [`supported`](Settings::supported) has these and more.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The host as it was asked for.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.facts.alias
    }

    /// HostName: the name or address to connect to.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// User; the local user's name by default.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.facts.user
    }

    /// Port; 22 by default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.facts.port
    }

    /// Tag: a word for `Match tagged`; `None` by default.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.options.tag.as_deref()
    }

    /// IgnoreUnknown: patterns of keywords that are passed over where nobody knows them.
    #[must_use]
    pub fn ignore_unknown(&self) -> Option<&str> {
        self.options.ignore_unknown.as_deref()
    }
}

/// A text that stands for nothing where it is `none`.
fn unless_none(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.eq_ignore_ascii_case("none"))
}
