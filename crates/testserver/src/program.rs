//! Which program answers a request on a session channel.

use crate::{
    auth::certificate::Restrictions, builtin, record::CommandKind, server::Shared, session_channel::Program,
};

/// What is to run, and in what surroundings.
pub(crate) struct Ordered {
    pub(crate) program: Program,
    pub(crate) text: Vec<u8>,
    /// What stood in its place, where a certificate puts its own command first.
    pub(crate) original: Option<String>,
}

impl Shared {
    /// What answers a request under these restrictions; `None` refuses it. A forced command stands in the place of
    /// whatever was asked for, as with sshd.
    pub(crate) fn order(
        &self,
        kind: CommandKind,
        text: &[u8],
        user: &str,
        under: &Restrictions,
    ) -> Option<Ordered> {
        let Some(forced) = under.force_command() else {
            return Some(Ordered {
                program: self.program(kind, text, user)?,
                text: text.to_vec(),
                original: None,
            });
        };
        let program = match forced {
            "internal-sftp" => self.program(CommandKind::Subsystem, b"sftp", user)?,
            forced => self.program(CommandKind::Exec, forced.as_bytes(), user)?,
        };
        let original = match kind {
            CommandKind::Shell => None,
            CommandKind::Exec | CommandKind::Subsystem => Some(String::from_utf8_lossy(text).into_owned()),
        };
        Some(Ordered { program, text: forced.as_bytes().to_vec(), original })
    }
}

/// Which program answers a request; `None` refuses it.
impl Shared {
    fn program(&self, kind: CommandKind, text: &[u8], user: &str) -> Option<Program> {
        let settings = &self.settings;
        match kind {
            CommandKind::Exec => Some(
                settings
                    .script
                    .find(text)
                    .map(Program::Scripted)
                    .or_else(|| {
                        settings.builtins.then(|| builtin::parse(text).map(Program::Builtin)).flatten()
                    })
                    .or_else(|| settings.shell.then(|| Program::Shell(Some(text.to_vec()))))
                    .unwrap_or(Program::NotFound),
            ),
            CommandKind::Shell => settings
                .shell_script
                .find(b"")
                .map(Program::Scripted)
                .or_else(|| settings.shell.then_some(Program::Shell(None))),
            CommandKind::Subsystem => settings.subsystems.find(text).map(Program::Scripted).or_else(|| {
                let may = self.sftp.is_some() && self.accounts.has_sftp(user);
                (may && text == b"sftp").then_some(Program::Sftp)
            }),
        }
    }
}
