//! What is asked: which host, with which options on top, from which files.

use crate::{ConfigError, ConfigErrorKind, Source};

/// The host to resolve, as the user named it, and the options given with it. Options come before anything in a
/// file, as on ssh's command line.
///
/// ```
/// use rustle_ssh_config::{MemorySource, Query, resolve};
///
/// let query = Query::new("web").user("deploy").option("StrictHostKeyChecking=accept-new");
/// let settings = resolve(&query, &[], &MemorySource::new("alice", "/home/alice"))?;
/// assert_eq!(settings.user(), "deploy");
/// # Ok::<(), rustle_ssh_config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) host: String,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) identity_files: Vec<String>,
    pub(crate) options: Vec<String>,
    pub(crate) tag: Option<String>,
    pub(crate) command: Option<String>,
}

impl Query {
    /// Asks for a host by the name that `Host` blocks match.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Query {
        Query {
            host: host.into(),
            user: None,
            port: None,
            identity_files: Vec::new(),
            options: Vec::new(),
            tag: None,
            command: None,
        }
    }

    /// As ssh's `-l`, or the part before `@`.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Query {
        self.user = Some(user.into());
        self
    }

    /// As ssh's `-p`.
    #[must_use]
    pub fn port(mut self, port: u16) -> Query {
        self.port = Some(port);
        self
    }

    /// As ssh's `-i`; may be repeated. Tokens and `~` are expanded.
    #[must_use]
    pub fn identity_file(mut self, path: impl Into<String>) -> Query {
        self.identity_files.push(path.into());
        self
    }

    /// As ssh's `-o`: `KEYWORD=VALUE` or `KEYWORD VALUE`; may be repeated.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Query {
        self.options.push(option.into());
        self
    }

    /// What is to run on the far side, for `Match command` and `Match sessiontype`.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Query {
        self.command = Some(command.into());
        self
    }

    /// As ssh's `-P`: a tag for `Match tagged`.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Query {
        self.tag = Some(tag.into());
        self
    }
}

/// A configuration file to read, and the rules under which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    pub(crate) path: String,
    pub(crate) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Explicit,
    System,
}

impl ConfigFile {
    /// The user's own file, `~/.ssh/config`: it may be missing, and nobody else may be able to write to it.
    #[must_use]
    pub fn user(path: impl Into<String>) -> ConfigFile {
        ConfigFile { path: path.into(), role: Role::User }
    }

    /// A file named by the user, as with ssh's `-F`: it must be there, and its permissions are the user's affair.
    #[must_use]
    pub fn explicit(path: impl Into<String>) -> ConfigFile {
        ConfigFile { path: path.into(), role: Role::Explicit }
    }

    /// The system-wide file: it may be missing, and what it includes is relative to its own directory.
    #[must_use]
    pub fn system(path: impl Into<String>) -> ConfigFile {
        ConfigFile { path: path.into(), role: Role::System }
    }

    /// The files that ssh reads when none is named: the user's, then the system's.
    ///
    /// # Errors
    /// When the home directory is not known.
    pub fn defaults(source: &dyn Source) -> Result<Vec<ConfigFile>, ConfigError> {
        let home = source.home(None).ok_or_else(|| {
            ConfigError::new(
                ConfigErrorKind::LocalUnknown,
                "the home directory is not known, so ~/.ssh/config cannot be read: \
                 set HOME, or name a configuration file",
            )
        })?;
        Ok(vec![
            ConfigFile::user(format!("{home}/.ssh/config")),
            ConfigFile::system(format!("{}/ssh_config", source.system_directory())),
        ])
    }
}
