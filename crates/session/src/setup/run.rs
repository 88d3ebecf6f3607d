//! What the configuration says about the command to run: which, on what, and with which variables.

use std::fmt;

use rustle_ssh_config as config;
use rustle_ssh_config::{Settings, matches_pattern};

/// What the configuration says about running something on the host, for who runs it.
///
/// The session itself runs nothing by it: these are wishes to follow, as ssh does.
///
/// ```
/// use rustle_session::{HostSetup, SessionKind, TerminalWish};
///
/// let setup = HostSetup::builder("me@web-1")
///     .without_config_files()
///     .option("RemoteCommand=uptime; date")
///     .option("RequestTTY=force")
///     .resolve()?;
/// assert_eq!(setup.run().remote_command(), Some("uptime; date"));
/// assert_eq!(setup.run().terminal(), TerminalWish::Force);
/// assert_eq!(setup.run().session(), SessionKind::Command);
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RunSettings {
    remote_command: Option<String>,
    session: SessionKind,
    terminal: TerminalWish,
    reads_stdin: bool,
    offered: Vec<(String, String)>,
    verbosity: Option<Verbosity>,
}

/// `SessionType`: what a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKind {
    /// A command, or a shell.
    Command,
    /// A subsystem, whose name is what would be the command.
    Subsystem,
    /// Nothing is run.
    None,
}

/// `RequestTTY`: whether a command gets a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TerminalWish {
    /// A shell does, a command does not.
    Auto,
    /// Never.
    No,
    /// Where standard input is one.
    Yes,
    /// In any case.
    Force,
}

/// `LogLevel`: how much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verbosity {
    /// As little as can be.
    Quiet,
    /// What is usual.
    Normal,
    /// More, from 1 to 3 as with ssh's `-v`.
    Verbose(u8),
}

impl RunSettings {
    pub(super) fn new(settings: &Settings) -> Self {
        let local = || {
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        };
        Self {
            remote_command: settings.remote_command().map(str::to_owned),
            session: match settings.session_type() {
                config::SessionType::None => SessionKind::None,
                config::SessionType::Subsystem => SessionKind::Subsystem,
                _ => SessionKind::Command,
            },
            terminal: match settings.request_tty() {
                config::RequestTty::Yes => TerminalWish::Yes,
                config::RequestTty::Force => TerminalWish::Force,
                config::RequestTty::No => TerminalWish::No,
                _ => TerminalWish::Auto,
            },
            reads_stdin: !settings.stdin_null(),
            offered: match settings.send_env() {
                [] => Vec::new(),
                patterns => local().filter(|(name, _)| is_sent(patterns, name)).collect(),
            },
            verbosity: super::settings::is_set(settings, config::Keyword::LogLevel)
                .then(|| verbosity(settings.log_level())),
        }
    }

    /// `RemoteCommand`, with tokens expanded: what runs where nothing else is asked for. It is for the remote shell.
    #[must_use]
    pub fn remote_command(&self) -> Option<&str> {
        self.remote_command.as_deref()
    }

    /// `SessionType`.
    #[must_use]
    pub fn session(&self) -> SessionKind {
        self.session
    }

    /// `RequestTTY`.
    #[must_use]
    pub fn terminal(&self) -> TerminalWish {
        self.terminal
    }

    /// Whether the command gets this program's standard input; not with `StdinNull`.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        self.reads_stdin
    }

    /// The local variables that `SendEnv` names, for [`Command::offer_env`](crate::Command::offer_env): before those
    /// of [`HostSetup::environment`](crate::HostSetup::environment), which go first where both have one.
    #[must_use]
    pub fn offered_environment(&self) -> &[(String, String)] {
        &self.offered
    }

    /// `LogLevel`, where somebody set it.
    #[must_use]
    pub fn verbosity(&self) -> Option<Verbosity> {
        self.verbosity
    }
}

impl fmt::Debug for RunSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the command nor the variables' values: tokens stand in both.
        let offered: Vec<&str> = self.offered.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("RunSettings")
            .field("remote_command", &self.remote_command.is_some())
            .field("session", &self.session)
            .field("terminal", &self.terminal)
            .field("reads_stdin", &self.reads_stdin)
            .field("offered", &offered)
            .field("verbosity", &self.verbosity)
            .finish()
    }
}

/// Whether the patterns of `SendEnv` name this variable. Those with a dash in front were taken away in the reading.
fn is_sent(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches_pattern(name.as_bytes(), pattern.as_bytes()))
}

fn verbosity(level: config::LogLevel) -> Verbosity {
    match level {
        config::LogLevel::Quiet | config::LogLevel::Fatal | config::LogLevel::Error => Verbosity::Quiet,
        config::LogLevel::Verbose | config::LogLevel::Debug1 => Verbosity::Verbose(1),
        config::LogLevel::Debug2 => Verbosity::Verbose(2),
        config::LogLevel::Debug3 => Verbosity::Verbose(3),
        _ => Verbosity::Normal,
    }
}
