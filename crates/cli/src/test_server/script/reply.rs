//! Scripted commands: which are answered, and with what.

use rustle_testserver::{Builder, Exit, Reply, Signal};
use serde::Deserialize;

use super::bytes;
use super::units::Time;

/// A command and its answer.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(crate) struct Command {
    what: What,
    reply: Reply,
}

/// What is answered.
pub(crate) enum What {
    /// This text.
    Exact(String),
    /// Each text of this pattern.
    Pattern(String),
    /// The request for a login shell.
    LoginShell,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    exact: Option<String>,
    pattern: Option<String>,
    #[serde(default)]
    login_shell: bool,
    stdout: Option<String>,
    stdout_base64: Option<String>,
    stderr: Option<String>,
    stderr_base64: Option<String>,
    delay: Option<Time>,
    exit: Option<u32>,
    signal: Option<String>,
    signal_message: Option<String>,
    #[serde(default)]
    no_exit_status: bool,
    #[serde(default)]
    never_ends: bool,
}

impl Command {
    pub(super) fn apply(self, builder: Builder) -> Builder {
        match self.what {
            What::Exact(text) => builder.command(text, self.reply),
            What::Pattern(pattern) => builder.command_matching(pattern, self.reply),
            What::LoginShell => builder.login_shell(self.reply),
        }
    }

    pub(crate) fn into_parts(self) -> (What, Reply) {
        (self.what, self.reply)
    }
}

impl TryFrom<Keys> for Command {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let what = match (keys.exact, keys.pattern, keys.login_shell) {
            (Some(text), None, false) => What::Exact(text),
            (None, Some(pattern), false) => What::Pattern(pattern),
            (None, None, true) => What::LoginShell,
            _ => return Err("a command has one of `exact`, `pattern` and `login_shell`".to_owned()),
        };
        let stdout = bytes::either("stdout", keys.stdout, keys.stdout_base64)?.unwrap_or_default();
        let stderr = bytes::either("stderr", keys.stderr, keys.stderr_base64)?.unwrap_or_default();
        let mut reply = Reply::stdout(stdout).and_stderr(stderr);
        if let Some(delay) = keys.delay {
            reply = reply.after(delay.duration());
        }
        if keys.signal.is_none() && keys.signal_message.is_some() {
            return Err("`signal_message` needs `signal`".to_owned());
        }
        let message = keys.signal_message.unwrap_or_default();
        let reply = match (keys.exit, keys.signal, keys.no_exit_status, keys.never_ends) {
            (None, None, false, false) => reply,
            (Some(code), None, false, false) => reply.exit(code),
            (None, Some(name), false, false) => reply.ends(Exit::Signal { signal: signal(&name)?, message }),
            (None, None, true, false) => reply.ends(Exit::Silent),
            (None, None, false, true) => reply.never_ends(),
            _ => {
                return Err("a command ends in one way: `exit`, `signal`, `no_exit_status` or `never_ends`"
                    .to_owned());
            }
        };
        Ok(Self { what, reply })
    }
}

/// Signals have no `SIG` on the wire (RFC 4254 section 6.10).
fn signal(name: &str) -> Result<Signal, String> {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    match plain && !name.starts_with("SIG") {
        true => Ok(Signal::new(name)),
        false => Err("`signal` is a name without SIG, such as \"TERM\"".to_owned()),
    }
}
