//! What runs on the far side, and how this side behaves meanwhile.

use std::time::Duration;

use crate::settings::Settings;
use crate::{EscapeChar, LogLevel, RequestTty, SessionType, SyslogFacility};

impl Settings {
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

    /// SessionType; default by default.
    #[must_use]
    pub fn session_type(&self) -> SessionType {
        self.options.session_type.unwrap_or(SessionType::Default)
    }

    /// StdinNull: whether standard input is left alone; no by default.
    #[must_use]
    pub fn stdin_null(&self) -> bool {
        self.options.stdin_null.unwrap_or(false)
    }

    /// ForkAfterAuthentication: whether the program goes on in the background; no by default.
    #[must_use]
    pub fn fork_after_authentication(&self) -> bool {
        self.options.fork_after_authentication.unwrap_or(false)
    }

    /// EscapeChar; `~` by default.
    #[must_use]
    pub fn escape_char(&self) -> EscapeChar {
        self.options.escape_char.unwrap_or(EscapeChar::Byte(b'~'))
    }

    /// EnableEscapeCommandline: whether escapes lead to a command line; no by default.
    #[must_use]
    pub fn enable_escape_commandline(&self) -> bool {
        self.options.enable_escape_commandline.unwrap_or(false)
    }

    /// ObscureKeystrokeTiming: at which interval keystrokes are sent; 20 ms by default, `None` for as they come.
    #[must_use]
    pub fn obscure_keystroke_timing(&self) -> Option<Duration> {
        let interval = self.options.obscure_keystroke_timing.unwrap_or(Duration::from_millis(20));
        Some(interval).filter(|interval| !interval.is_zero())
    }

    /// LogLevel; info by default.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.options.log_level.unwrap_or(LogLevel::Info)
    }

    /// LogVerbose: places in OpenSSH's source that log all; none by default.
    #[must_use]
    pub fn log_verbose(&self) -> &[String] {
        self.options.log_verbose.as_deref().unwrap_or_default()
    }

    /// SyslogFacility; user by default.
    #[must_use]
    pub fn syslog_facility(&self) -> SyslogFacility {
        self.options.syslog_facility.unwrap_or(SyslogFacility::User)
    }
}
