//! What a configuration asks for and does not get.

use std::fmt;

use rustle_ssh_config::{Keyword, Origin, RequestTty, Settings};

/// Something that the configuration asks for and that is done otherwise, or not at all.
///
/// Its text names the place, the keyword and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupWarning {
    origin: String,
    subject: String,
    text: String,
}

impl SetupWarning {
    pub(super) fn new(origin: &Origin, keyword: Keyword, message: impl Into<String>) -> Self {
        let (origin, subject, message) = (origin.to_string(), keyword.to_string(), message.into());
        Self { text: format!("{origin}: {subject}: {message}"), origin, subject }
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
}

impl fmt::Display for SetupWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What reading the configuration warned of, and the settings that nothing here acts upon.
pub(super) fn of(settings: &Settings) -> Vec<SetupWarning> {
    let read = settings.warnings().iter().map(|warning| SetupWarning {
        origin: warning.origin().to_string(),
        subject: warning.subject().to_owned(),
        text: warning.to_string(),
    });
    let idle = settings.set_keywords().filter_map(|(keyword, origin)| {
        unused(keyword, settings).map(|message| SetupWarning::new(origin, keyword, message))
    });
    read.chain(idle).collect()
}

/// Why a setting changes nothing, where it does not.
///
/// Each keyword that is acted upon is named, so that a new one is warned of until somebody acts on it.
fn unused(keyword: Keyword, settings: &Settings) -> Option<&'static str> {
    match keyword {
        Keyword::AddressFamily
        | Keyword::BatchMode
        | Keyword::CertificateFile
        | Keyword::Ciphers
        | Keyword::ConnectTimeout
        | Keyword::GlobalKnownHostsFile
        | Keyword::HashKnownHosts
        | Keyword::HostKeyAlgorithms
        | Keyword::HostKeyAlias
        | Keyword::HostName
        | Keyword::IdentitiesOnly
        | Keyword::IdentityAgent
        | Keyword::IdentityFile
        | Keyword::IgnoreUnknown
        | Keyword::KbdInteractiveAuthentication
        | Keyword::KexAlgorithms
        | Keyword::Macs
        | Keyword::NumberOfPasswordPrompts
        | Keyword::PasswordAuthentication
        | Keyword::Port
        | Keyword::PreferredAuthentications
        | Keyword::PubkeyAcceptedAlgorithms
        | Keyword::PubkeyAuthentication
        | Keyword::ServerAliveCountMax
        | Keyword::ServerAliveInterval
        | Keyword::SetEnv
        | Keyword::StrictHostKeyChecking
        | Keyword::Tag
        | Keyword::TcpKeepAlive
        | Keyword::User
        | Keyword::UserKnownHostsFile => None,
        Keyword::ConnectionAttempts if settings.connection_attempts() <= 1 => None,
        Keyword::ConnectionAttempts => Some("one attempt is made; the caller may make others"),
        Keyword::CaSignatureAlgorithms => {
            Some("authorities' signatures are not restricted further; SHA-1 is never taken")
        }
        Keyword::LogLevel => Some("what is logged is the program's own setting"),
        Keyword::RekeyLimit => Some("keys are renewed by the limits of RFC 4344"),
        Keyword::RequestTty if matches!(settings.request_tty(), RequestTty::No | RequestTty::Auto) => None,
        Keyword::RequestTty => Some("no terminal is asked for unless the program does"),
        Keyword::RequiredRsaSize => Some("RSA keys are not restricted further by their size"),
        Keyword::SendEnv => Some("local variables are not sent yet; SetEnv is followed"),
        _ => Some("nothing acts on it yet"),
    }
}
