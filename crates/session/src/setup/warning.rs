//! What a configuration asks for and does not get.

use std::fmt;

use rustle_ssh_config::{ConfigError, Keyword, Origin, Settings, Warning, WarningLevel};

use crate::setup::forwards::Maker;

/// Something that the configuration asks for and that is done otherwise, or not at all.
///
/// Its text names the place, the keyword and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupWarning {
    origin: String,
    subject: String,
    text: String,
    level: WarningLevel,
}

impl SetupWarning {
    /// What keeps a connection from being made at all.
    pub(super) fn of_refusal(error: &ConfigError) -> Self {
        Self {
            origin: error.origin().unwrap_or(&Origin::Default).to_string(),
            subject: error.code().to_owned(),
            text: error.to_string(),
            level: WarningLevel::Notice,
        }
    }

    pub(super) fn new(origin: &Origin, keyword: Keyword, message: impl Into<String>) -> Self {
        let (origin, subject, message) = (origin.to_string(), keyword.to_string(), message.into());
        let text = format!("{origin}: {subject}: {message}");
        Self { text, origin, subject, level: WarningLevel::Detail }
    }

    /// One that everybody should read.
    pub(super) fn notice(origin: &Origin, keyword: Keyword, message: impl Into<String>) -> Self {
        Self { level: WarningLevel::Notice, ..Self::new(origin, keyword, message) }
    }

    fn of_configuration(warning: &Warning) -> Self {
        Self {
            origin: warning.origin().to_string(),
            subject: warning.subject().to_owned(),
            text: warning.to_string(),
            level: warning.level(),
        }
    }

    /// `file:line`, or `command line`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keyword, or the file that it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether everybody should read it: the connection has less than the configuration asks for. The others are for
    /// who wants details.
    #[must_use]
    pub fn is_notice(&self) -> bool {
        self.level == WarningLevel::Notice
    }
}

impl fmt::Display for SetupWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the table of keywords says of the settings.
///
/// # Errors
/// For a setting that must not be left out.
pub(super) fn of(settings: &Settings, forwards: Maker) -> Result<Vec<SetupWarning>, ConfigError> {
    let warnings = match forwards {
        Maker::Nobody => settings.supported()?,
        Maker::Caller => settings.supported_by_a_pool()?,
    };
    Ok(warnings.iter().map(SetupWarning::of_configuration).collect())
}
